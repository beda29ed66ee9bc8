// A kernel on a picture: a photograph, the reader's own file (which stays in the page) or a drawing.
// Numbers come from filtering.js; this file draws and listens.

import { cells, colourScale, magnitude, short } from "./ui/cells.js";
import { diverging, onThemeChange, palette } from "./ui/colours.js";
import * as ui from "./ui/controls.js";
import { channel, filterPlane, luminance, matrixOf } from "./maths/convolution.js";

const { h } = ui;

const LARGEST = 224; // the longer side of a reader's own picture, in pixels
const PAD = 64; // sides of the drawing pad
const OWN = "own numbers";
// What each preset is best seen in; the others say something about edges, where signs matter.
const COLOURFUL = /blur|sharpen|identity|emboss/i;

const same = (a, b) => a.length === b.length && a.every((row, r) => row.every((v, c) => v === b[r][c]));
const total = (kernel) => kernel.flat().reduce((a, b) => a + b, 0);
const clamp = (v, low, high) => Math.min(high, Math.max(low, v));

/** The largest magnitude of a plane whose border of `reach` pixels is left out. */
function interior(plane, width, height, reach) {
  let most = 0;
  for (let r = reach; r < height - reach; r += 1) {
    for (let i = r * width + reach; i < (r + 1) * width - reach; i += 1)
      most = Math.max(most, Math.abs(plane[i]));
  }
  return most || 1;
}

/** The same weights in the middle of a larger kernel, or the middle of a larger one. */
function resized(kernel, size) {
  const shift = (kernel.length - size) / 2;
  return matrixOf(size, size, (r, c) => kernel[r + shift]?.[c + shift] ?? 0);
}

/** The pixels of something that a canvas can draw, at most `largest` wide and high. */
function pixelsOf(source, largest = Infinity) {
  const scale = Math.min(1, largest / Math.max(source.width, source.height));
  const [width, height] = [source.width, source.height].map((n) => Math.max(5, Math.round(n * scale)));
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.fillStyle = "#fff"; // what is transparent in a reader's picture
  context.fillRect(0, 0, width, height);
  context.drawImage(source, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

function loadPicture(address) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(pixelsOf(image));
    image.onerror = () => reject(new Error("a picture of this figure did not load"));
    image.src = address;
  });
}

/** The drawing pad: a small black picture and a white brush. */
function drawingPad() {
  const canvas = new OffscreenCanvas(PAD, PAD);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const clear = () => {
    context.fillStyle = "#000";
    context.fillRect(0, 0, PAD, PAD);
  };
  clear();
  context.strokeStyle = "#fff";
  context.lineWidth = 3;
  context.lineCap = context.lineJoin = "round";
  // Something to look at before the reader draws: a ring and a stroke.
  context.beginPath();
  context.arc(26, 30, 14, 0, 2 * Math.PI);
  context.moveTo(36, 41);
  context.lineTo(53, 57);
  context.stroke();
  return {
    clear,
    read: () => context.getImageData(0, 0, PAD, PAD),
    stroke(from, to) {
      context.beginPath();
      context.moveTo(from[1] + 0.5, from[0] + 0.5);
      context.lineTo(to[1] + 0.5, to[0] + 0.51);
      context.stroke();
    },
  };
}

/** A picture with a marker on the pixel under the loupe. */
function side(title, label) {
  const canvas = h("canvas", { class: "lab-picture", role: "img", "aria-label": label });
  const marker = h("div", { class: "lab-marker", "aria-hidden": "true" });
  const frame = h("div", { class: "lab-frame" }, canvas, marker);
  return {
    el: h("figure", { class: "lab-side" }, h("figcaption", {}, title), frame),
    canvas,
    frame,
    resize(width, height) {
      if (canvas.width !== width) canvas.width = width;
      if (canvas.height !== height) canvas.height = height;
      canvas.style.imageRendering = Math.max(width, height) <= 96 ? "pixelated" : "auto";
    },
    paint(image) {
      canvas.getContext("2d").putImageData(image, 0, 0);
    },
    mark(row, column, span) {
      const { width, height } = canvas;
      marker.style.setProperty("--x", `${(100 * (column + 0.5)) / width}%`);
      marker.style.setProperty("--y", `${(100 * (row + 0.5)) / height}%`);
      marker.style.setProperty("--span", `${(100 * span) / width}%`);
    },
    /** The pixel [row, column] under a pointer. */
    pixel(event) {
      const box = canvas.getBoundingClientRect();
      return [
        clamp(Math.floor(((event.clientY - box.top) / box.height) * canvas.height), 0, canvas.height - 1),
        clamp(Math.floor(((event.clientX - box.left) / box.width) * canvas.width), 0, canvas.width - 1),
      ];
    },
  };
}

function render({ model, el }) {
  const get = (name) => model.get(name);
  const schedule = ui.perFrame(() => draw());
  const traits = ui.traits(model, ["kernel", "bias", "view", "position"], schedule);
  const { put } = traits;
  const voice = ui.announcer();
  const trouble = ui.notice();
  const pad = drawingPad();
  const presets = get("presets");
  const pictures = get("pictures");
  const loaded = new Map(); // index of a picture -> its ImageData
  let source = get("selected"); // an index, "own" or "drawing"
  let image = null; // ImageData of the source
  let planes = {}; // grey and colours of `image`, made when they are asked for
  let result = null; // what was computed last, with what it was computed from
  let dark = false;
  let alive = true;

  const plane = (name) =>
    (planes[name] ??= name === "grey" ? luminance(image.data) : channel(image.data, Number(name)));
  const show = (next) => {
    image = next;
    planes = {};
    result = null;
    const { width, height } = image;
    const [row, column] = get("position");
    const fits = row < height && column < width;
    put(fits ? {} : { position: [Math.floor(height / 2), Math.floor(width / 2)] });
  };

  // -------- where the picture comes from
  const group = `lab-${Math.random().toString(36).slice(2)}`;
  const radios = new Map();
  const tile = (key, name, content) => {
    const radio = h("input", { type: "radio", class: "companion-cover", name: group, "aria-label": name });
    radios.set(key, radio);
    radio.addEventListener("change", () => choose(key));
    return h("label", { class: "companion-tile lab-tile", title: name }, radio, content);
  };
  const file = h("input", { type: "file", accept: "image/*", class: "companion-cover" });
  let own = null;
  file.addEventListener("change", () => open(file.files[0]));
  async function open(chosen) {
    file.value = "";
    if (!chosen) return;
    try {
      const bitmap = await createImageBitmap(chosen);
      if (!alive) return;
      own = pixelsOf(bitmap, LARGEST);
      bitmap.close();
      trouble.set("");
      choose("own");
    } catch {
      trouble.set(`${chosen.name} could not be read as a picture.`, "error");
    }
  }
  async function choose(key) {
    source = key;
    for (const [name, radio] of radios) radio.checked = name === key;
    clear.el.hidden = key !== "drawing";
    before.frame.classList.toggle("lab-drawable", key === "drawing");
    if (key === "drawing") show(pad.read());
    else if (key === "own") show(own);
    else {
      if (!loaded.has(key)) loaded.set(key, await loadPicture(pictures[key].picture));
      if (source !== key || !alive) return;
      if (get("selected") !== key) put({ selected: key });
      show(loaded.get(key));
    }
  }
  const clear = ui.button({
    label: "Clear the pad",
    onClick: () => {
      pad.clear();
      show(pad.read());
    },
  });
  clear.el.hidden = true;
  const sources = h(
    "div",
    { class: "lab-sources", role: "radiogroup", "aria-label": "Picture" },
    ...pictures.map(({ picture, caption }, i) => tile(i, caption, h("img", { src: picture, alt: "" }))),
    tile("drawing", "Draw", h("span", { class: "lab-word" }, "draw")),
    h("label", { class: "companion-button lab-open" }, file, "Your own picture …"),
    clear.el,
  );

  // -------- the two pictures and the loupe's place
  const before = side("Input", "The input picture");
  const after = side("Output", "The output picture");
  const place = (row, column) => {
    const [r, c] = [clamp(row, 0, image.height - 1), clamp(column, 0, image.width - 1)];
    if (get("position")[0] === r && get("position")[1] === c) return;
    put({ position: [r, c] });
    const y = result?.grey[r * image.width + c];
    if (y !== undefined) voice.say(`Row ${r}, column ${c}: output ${ui.spoken(y, 3)}`);
  };
  let brush = null; // where the stroke has come to
  for (const part of [before, after]) {
    part.frame.addEventListener("pointerdown", (event) => {
      if (!image || event.button) return;
      const at = part.pixel(event);
      if (part === before && source === "drawing") {
        part.frame.setPointerCapture(event.pointerId);
        brush = at;
        pad.stroke(at, at);
        show(pad.read());
      }
      place(...at);
    });
    part.frame.addEventListener("pointermove", (event) => {
      if (!image) return;
      const at = part.pixel(event);
      if (brush && part === before) {
        pad.stroke(brush, at);
        brush = at;
        show(pad.read());
      }
      place(...at);
    });
    for (const end of ["pointerup", "pointercancel"])
      part.frame.addEventListener(end, () => {
        brush = null;
      });
  }
  // By keyboard: two ranges in the picture, which a screen reader can tell apart; arrows work in both.
  const ranges = ["row", "column"].map((name, axis) => {
    const input = h("input", {
      type: "range",
      class: "companion-cover",
      min: 0,
      step: 1,
      "aria-label": `Loupe: ${name}`,
    });
    input.addEventListener("input", () => {
      const next = [...get("position")];
      next[axis] = Number(input.value);
      place(...next);
    });
    input.addEventListener("keydown", (event) => {
      const [row, column] = get("position");
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (step) {
        event.preventDefault();
        const by = event.shiftKey ? 8 : 1;
        place(row + by * step[0], column + by * step[1]);
      } else if (event.key === " " && source === "drawing") {
        event.preventDefault();
        pad.stroke([row, column], [row, column]);
        show(pad.read());
      }
    });
    return input;
  });
  before.frame.append(...ranges);

  // -------- the kernel
  const preset = ui.select({
    label: "Kernel",
    options: [...presets.map(({ name }) => name), OWN],
    onChange: (name) => {
      const found = presets.find((one) => one.name === name);
      if (found) put({ kernel: found.kernel, bias: 0, view: COLOURFUL.test(name) ? "colour" : "signed" });
      else schedule();
    },
  });
  const size = ui.segmented({
    label: "Size",
    options: [
      { value: 3, label: "3 × 3" },
      { value: 5, label: "5 × 5" },
    ],
    value: get("kernel").length,
    onChange: (n) => put({ kernel: resized(get("kernel"), n) }),
  });
  const one = ui.button({
    label: "Make the sum 1",
    title: "Divide all weights by their sum, so that brightness is kept",
    onClick: () => {
      const s = total(get("kernel"));
      put({ kernel: get("kernel").map((row) => row.map((v) => v / s)) });
    },
  });
  const turn = ui.button({
    label: "Turn by 180°",
    title: "What a convolution does before it lays the kernel over the picture",
    onClick: () =>
      put({
        kernel: get("kernel")
          .map((row) => [...row].reverse())
          .reverse(),
      }),
  });
  const bias = ui.slider({
    label: "Bias",
    min: -1,
    max: 1,
    step: 0.01,
    value: get("bias"),
    neutral: 0,
    describe: (v) => ui.spoken(v),
    quantity: "bias",
    onInput: (v) => put({ bias: v }),
  });
  const view = ui.segmented({
    label: "Show the output",
    value: get("view"),
    options: [
      { value: "signed", label: "signed" },
      { value: "grey", label: "clipped, grey" },
      { value: "colour", label: "clipped, colour" },
    ],
    onChange: (v) => put({ view: v }),
  });

  // -------- the loupe: patch times kernel, summed
  const number = (quantity, digits = 3) =>
    ui.number({ quantity, value: 0, format: (v) => ui.fixed(v, digits) });
  const shown = {
    y: number("y"),
    sum: number("sum"),
    weights: number("weights", 2),
    low: number("low", 2),
    high: number("high", 2),
    outside: number("outside", 1),
  };
  const biasWords = h("span", {});
  const [where, plusBias] = [h("span", {}), h("span", {})];
  const loupe = h("div", { class: "lab-loupe" });
  const tints = colourScale("kernel and products");
  let grids = null;
  function buildLoupe(n) {
    const edit = (r, c, value) =>
      put({ kernel: get("kernel").map((row, i) => row.map((v, j) => (i === r && j === c ? value : v))) });
    grids = {
      size: n,
      patch: cells({ rows: n, columns: n, label: "Patch of the picture", format: (v) => ui.fixed(v) }),
      kernel: cells({
        rows: n,
        columns: n,
        label: "Kernel",
        edit: (r, c) => `weight, row ${r}, column ${c}`,
        onEdit: edit,
      }),
      products: cells({ rows: n, columns: n, label: "Products", format: (v) => (v ? ui.fixed(v) : "0") }),
    };
    const part = (name, grid, sign) =>
      h(
        "figure",
        { class: "lab-part" },
        h("figcaption", {}, name),
        h(
          "div",
          { class: "lab-factor" },
          sign ? h("span", { class: "lab-sign", "aria-hidden": "true" }, sign) : null,
          grid.el,
        ),
      );
    loupe.dataset.size = n;
    loupe.replaceChildren(
      part("Patch", grids.patch),
      part("Kernel (edit it)", grids.kernel, "×"),
      part("Products", grids.products, "="),
    );
  }
  const sums = h(
    "p",
    { class: "lab-sum companion-maths" },
    h("i", {}, "y"),
    where,
    " = sum of the products",
    plusBias,
    h("span", {}, " = ", shown.sum.el),
    biasWords,
    " = ",
    h("strong", {}, shown.y.el),
  );
  const legend = colourScale();
  legend.el.querySelector(".cell-scale-bar").classList.add("lab-scale-bar");
  const facts = h(
    "p",
    { class: "companion-note" },
    "The weights add up to ",
    shown.weights.el,
    ". The output goes from ",
    shown.low.el,
    " to ",
    shown.high.el,
    ".",
  );
  const clipped = h("span", {}, " ", shown.outside.el, " % of its values lie outside 0 … 1 and are clipped.");
  const full = h("span", {}, " Colours are full at the largest value away from the border.");
  facts.append(clipped, full);

  // -------- from the state to the screen
  function compute() {
    const [kernel, b, v] = [get("kernel"), get("bias"), get("view")];
    if (result && result.kernel === kernel && result.bias === b && result.view === v && result.dark === dark)
      return;
    const { width, height } = image;
    const fresh = !result || result.kernel !== kernel || result.bias !== b;
    const filtered = (name) => filterPlane(plane(name), width, height, kernel, b);
    const colours = v === "colour" ? ["0", "1", "2"].map(filtered) : null;
    let grey = result?.grey;
    // Filtering is linear: the grey of the filtered colours is the filtered grey.
    if (fresh)
      grey = colours
        ? colours[0].map((red, i) => 0.299 * red + 0.587 * colours[1][i] + 0.114 * colours[2][i])
        : filtered("grey");
    const parts = colours ?? [grey];
    let [low, high, outside] = [Infinity, -Infinity, 0];
    for (const values of parts) {
      for (const y of values) {
        if (y < low) low = y;
        if (y > high) high = y;
        if (y < -1e-9 || y > 1 + 1e-9) outside += 1; // rounding is no clipping
      }
    }
    // Zeros beyond the border make the strongest edges there are: the scale leaves the border out.
    const limit = v === "signed" ? interior(grey, width, height, (kernel.length - 1) / 2) : 1;
    const picture = new ImageData(width, height);
    const input = v === "colour" ? image : new ImageData(width, height);
    for (let i = 0, o = 0; i < grey.length; i += 1, o += 4) {
      if (v === "signed") {
        const [r, g, bl] = diverging(grey[i] / limit, dark);
        picture.data[o] = r;
        picture.data[o + 1] = g;
        picture.data[o + 2] = bl;
      } else {
        picture.data[o] = 255 * parts[0][i];
        picture.data[o + 1] = 255 * parts.at(v === "colour" ? 1 : 0)[i];
        picture.data[o + 2] = 255 * parts.at(-1)[i];
      }
      picture.data[o + 3] = 255;
      if (v === "colour") continue;
      input.data[o] = input.data[o + 1] = input.data[o + 2] = 255 * planes.grey[i];
      input.data[o + 3] = 255;
    }
    for (const part of [before, after]) part.resize(width, height);
    before.paint(input);
    after.paint(picture);
    result = {
      kernel,
      bias: b,
      view: v,
      dark,
      grey,
      low,
      high,
      limit,
      outside: outside / (parts.length * grey.length),
    };
  }

  function draw() {
    if (!image || !alive) return;
    const [kernel, b, v] = [get("kernel"), get("bias"), get("view")];
    const n = kernel.length;
    if (grids?.size !== n) buildLoupe(n);
    plane("grey");
    compute();
    const { width, height } = image;
    const [row, column] = get("position");
    preset.set(presets.find((one2) => same(one2.kernel, kernel))?.name ?? OWN);
    size.set(n);
    bias.set(b);
    view.set(v);
    const weights = total(kernel);
    one.enable(Math.abs(weights) > 1e-6 && Math.abs(weights - 1) > 1e-9);

    const reach = (n - 1) / 2;
    const strongest = magnitude(kernel);
    let sum = 0;
    kernel.forEach((line, r) =>
      line.forEach((weight, c) => {
        const [y, x] = [row + r - reach, column + c - reach];
        const inside = y >= 0 && x >= 0 && y < height && x < width;
        const value = inside ? planes.grey[y * width + x] : 0;
        sum += weight * value;
        grids.patch.set(r, c, value, 1);
        const { el: cell } = grids.patch.cell(r, c);
        const shade = Math.round(255 * value);
        if (cell.dataset.shade !== String(shade)) {
          cell.dataset.shade = shade;
          cell.style.background = `rgb(${shade}, ${shade}, ${shade})`;
          cell.style.color = value > 0.45 ? "#000" : "#fff";
        }
        cell.classList.toggle("lab-outside", !inside);
        grids.kernel.set(r, c, weight, strongest);
        grids.products.set(r, c, weight * value, strongest);
      }),
    );
    where.textContent = `[${row}, ${column}]`;
    plusBias.textContent = b ? " + bias" : "";
    const words = (name) => `${name} at row ${row}, column ${column}`;
    grids.patch.describe(words("Patch of the picture"));
    grids.products.describe(words("Products of patch and kernel"));
    shown.sum.set(sum);
    shown.sum.el.parentElement.hidden = b === 0;
    biasWords.textContent = b ? ` ${b > 0 ? "+" : "−"} ${ui.fixed(Math.abs(b))}` : "";
    shown.y.set(result.grey[row * width + column]);
    shown.weights.set(weights);
    shown.low.set(result.low);
    shown.high.set(result.high);
    shown.outside.set(100 * result.outside);
    clipped.hidden = v === "signed";
    full.hidden = v !== "signed";
    tints.set(`−${short(strongest)}`, `+${short(strongest)}`);
    legend.el.dataset.view = v;
    if (v === "signed") legend.set(`−${ui.fixed(result.limit)}`, `+${ui.fixed(result.limit)}`);
    else legend.set("0", "1");
    legend.el.querySelector(".lab-scale-bar").style.background = scaleOf(v);
    before.mark(row, column, n);
    after.mark(row, column, 1);
    before.canvas.setAttribute(
      "aria-label",
      `The input picture: ${source === "own" ? "your own" : source === "drawing" ? "your drawing" : pictures[source].caption}`,
    );
    after.canvas.setAttribute(
      "aria-label",
      `The output, ${v === "signed" ? "blue negative, orange positive" : "clipped to 0 to 1"}, from ${ui.spoken(result.low)} to ${ui.spoken(result.high)}`,
    );
    ranges.forEach((input, axis) => {
      input.max = (axis ? width : height) - 1;
      input.value = [row, column][axis];
      input.setAttribute(
        "aria-valuetext",
        `${["row", "column"][axis]} ${[row, column][axis]}, output ${ui.spoken(result.grey[row * width + column], 3)}`,
      );
    });
  }
  const scaleOf = (v) => {
    if (v !== "signed") return "linear-gradient(to right, #000, #fff)";
    const stops = Array.from({ length: 9 }, (_, i) => `rgb(${diverging(i / 4 - 1, dark).join()})`);
    return `linear-gradient(to right, ${stops.join()})`;
  };

  const root = ui.frame(
    {
      title: get("title"),
      describe:
        "Choose a picture and a kernel, or type your own weights. Move over the pictures: the loupe shows the patch under the kernel, and what becomes of it.",
    },
    sources,
    trouble.el,
    ui.row(preset.el, size.el, view.el),
    h("div", { class: "lab-pair" }, before.el, after.el),
    h("div", { class: "lab-legend" }, legend.el, facts),
    ui.panel(
      {},
      loupe,
      sums,
      bias.el,
      ui.row(one.el, turn.el, tints.el),
      h(
        "p",
        { class: "companion-note" },
        "The loupe reads the picture in grey. In colour the same happens to red, green and blue. Beyond the border the picture counts as 0.",
      ),
    ),
    voice.el,
  );
  root.dataset.state = "waiting";
  el.append(root);

  const onTheme = (colours) => {
    const [r, g, b] = colours.surface.match(/[\d.]+/g).map(Number);
    dark = r + g + b < (colours.surface.startsWith("color") ? 1.5 : 382);
    schedule();
  };
  onTheme(palette(root));
  const stopTheme = onThemeChange(root, onTheme);

  choose(source)
    .then(() => {
      draw();
      root.dataset.state = "ready";
      el.dispatchEvent(new CustomEvent("companion-ready", { bubbles: true }));
    })
    .catch((error) => {
      root.dataset.state = "failed";
      trouble.set(error.message, "error");
      el.dispatchEvent(new CustomEvent("companion-failed", { bubbles: true, detail: error }));
    });

  const fromPython = () => {
    if (get("selected") !== source && typeof source === "number")
      choose(get("selected")).catch((error) => trouble.set(error.message, "error"));
  };
  model.on("change:selected", fromPython);
  return () => {
    alive = false;
    stopTheme();
    traits.stop();
    model.off("change:selected", fromPython);
  };
}

export default { render };

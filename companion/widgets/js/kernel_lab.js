// A kernel on a picture: a photograph, the reader's own file (which stays in the page) or a drawing.
// Numbers come from maths/convolution.js; this file draws and listens.

import { channel, filterPlane, luminance, matrixOf, turned } from "./maths/convolution.js";
import { drawing } from "./maths/strokes.js";
import { cells, colourScale, exact, magnitude } from "./ui/cells.js";
import { followTheme, isDark } from "./ui/colours.js";
import * as ui from "./ui/controls.js";
import { h } from "./ui/controls.js";
import { copyCode, python, wrapped } from "./ui/copy_code.js";
import { imagePicker } from "./ui/image_picker.js";
import { bindTraits, failing, lifetime, perFrame, whenLoaded } from "./ui/lifetime.js";
import { loadPicture, pictureFile } from "./ui/pictures.js";
import { colourOf, gradientOf, paintMap } from "./ui/pixel_map.js";

/** @import { AnyModel, RenderProps } from "@anywidget/types" */
/** @import { Matrix } from "./maths/convolution.js" */

/** @typedef {"signed" | "grey" | "colour"} View of the output */
/**
 * @typedef {number | "own" | "drawing"} Source the picture: one of the widget's by number, or the reader's
 */
/**
 * @typedef {object} State
 * @property {Matrix} kernel 3×3 or 5×5
 * @property {number} bias
 * @property {View} view
 * @property {number[]} position [row, column] of the loupe
 * @property {number} selected picture
 * @property {{ picture: string, caption: string }[]} pictures
 * @property {{ name: string, kernel: Matrix }[]} presets
 * @property {string} title
 */
/** @typedef {AnyModel<State>} Model */
/** @typedef {(changes: Partial<State>) => void} Put */
/** @typedef {ReturnType<typeof planesOf>} Planes */
/** @typedef {ReturnType<typeof filtered>} Result */

const LARGEST = 224; // the longer side of a reader's own picture, in pixels
const PAD = { height: 64, width: 64, radius: 1.5 };
const OWN = "own numbers";
// What each preset is best seen in; the others say something about edges, where signs matter.
const COLOURFUL = /blur|sharpen|identity|emboss/i;

const same = (/** @type {Matrix} */ a, /** @type {Matrix} */ b) =>
  a.length === b.length && a.every((row, r) => row.every((v, c) => v === b[r][c]));
const total = (/** @type {Matrix} */ kernel) => kernel.flat().reduce((a, b) => a + b, 0);

/**
 * The largest magnitude of a plane whose border of `reach` pixels is left out.
 * @param {Float64Array} plane @param {number} width @param {number} height @param {number} reach
 */
function interior(plane, width, height, reach) {
  let most = 0;
  for (let r = reach; r < height - reach; r += 1) {
    for (let i = r * width + reach; i < (r + 1) * width - reach; i += 1)
      most = Math.max(most, Math.abs(plane[i]));
  }
  return most || 1;
}

/**
 * The same weights in the middle of a larger kernel, or the middle of a larger one.
 * @param {Matrix} kernel @param {number} size
 */
function resized(kernel, size) {
  const shift = (kernel.length - size) / 2;
  return matrixOf(size, size, (r, c) => kernel[r + shift]?.[c + shift] ?? 0);
}

/** A picture with its planes of numbers, made when they are asked for. @param {ImageData} image */
function planesOf(image) {
  /** @type {{ [name: string]: Float64Array }} */
  const made = {};
  return {
    image,
    width: image.width,
    height: image.height,
    grey: () => (made.grey ??= luminance(image.data)),
    colours: () => [0, 1, 2].map((number) => (made[number] ??= channel(image.data, number))),
  };
}

/**
 * What the kernel makes of a picture, and how it is to be shown.
 * @param {Planes} planes @param {Model} model
 */
function filtered(planes, model) {
  const [kernel, bias, view] = [model.get("kernel"), model.get("bias"), model.get("view")];
  const { width, height } = planes;
  const apply = (/** @type {Float64Array} */ plane) => filterPlane(plane, width, height, kernel, bias);
  const colours = view === "colour" ? planes.colours().map(apply) : null;
  // Filtering is linear: the grey of the filtered colours is the filtered grey.
  const grey = colours
    ? colours[0].map((red, i) => 0.299 * red + 0.587 * colours[1][i] + 0.114 * colours[2][i])
    : apply(planes.grey());
  const shown = colours ?? [grey];
  let [low, high, outside] = [Infinity, -Infinity, 0];
  for (const values of shown) {
    for (const y of values) {
      if (y < low) low = y;
      if (y > high) high = y;
      if (y < -1e-9 || y > 1 + 1e-9) outside += 1; // rounding is no clipping
    }
  }
  // Zeros beyond the border make the strongest edges there are: the scale leaves the border out.
  const limit = view === "signed" ? interior(grey, width, height, (kernel.length - 1) / 2) : 1;
  return {
    kernel,
    bias,
    view,
    grey,
    shown,
    low,
    high,
    limit,
    outside: outside / (shown.length * grey.length),
  };
}

/**
 * Paint values of 0…1: one plane as grey, three as red, green and blue.
 * @param {ImageData} into @param {Float64Array[]} planes
 */
function paintPlanes({ data }, planes) {
  const [red, green, blue] = planes.length > 1 ? planes : [planes[0], planes[0], planes[0]];
  for (let i = 0, o = 0; i < red.length; i += 1, o += 4) {
    data[o] = 255 * red[i]; // clamps and rounds by itself
    data[o + 1] = 255 * green[i];
    data[o + 2] = 255 * blue[i];
    data[o + 3] = 255;
  }
}

// ---------------------------------------------------------------- the pictures

/**
 * The drawing pad: white lines on black. With something to look at before the reader draws: a ring and a
 * stroke.
 */
function drawnPicture() {
  const work = drawing(PAD);
  const ring = Array.from({ length: 33 }, (_, i) => {
    const angle = (i * Math.PI) / 16;
    return /** @type {[number, number]} */ ([26 + 14 * Math.cos(angle), 30 + 14 * Math.sin(angle)]);
  });
  work.set([
    ring,
    [
      [36, 41],
      [53, 57],
    ],
  ]);
  return {
    clear: () => work.set([]),
    /** Draw from one pixel [row, column] to another. @param {number[] | null} from @param {number[]} to */
    stroke(from, [row, column]) {
      if (from) work.lineTo(column + 0.5, row + 0.5);
      else work.begin(column + 0.5, row + 0.5);
    },
    read() {
      const image = new ImageData(PAD.width, PAD.height);
      paintPlanes(image, [Float64Array.from(work.image())]);
      return image;
    },
  };
}

/**
 * Where the picture comes from.
 * @param {Model} model
 * @param {{ onSelect: (selected: number) => void, onShow: (image: ImageData) => void,
 *   onTrouble: (sentence: string) => void }} options
 */
function sourcePicker(model, { onSelect, onShow, onTrouble }) {
  const pictures = model.get("pictures");
  const pad = drawnPicture();
  /** @type {Map<Source, ImageData>} */
  const loaded = new Map();
  /** @type {Source} */
  let source = model.get("selected");
  const choose = async (/** @type {Source} */ key) => {
    source = key;
    picker.set(key);
    clear.el.hidden = key !== "drawing";
    if (key === "drawing") loaded.set(key, pad.read());
    if (typeof key === "number" && !loaded.has(key))
      loaded.set(key, await loadPicture(pictures[key].picture));
    const image = loaded.get(key);
    if (source !== key || !image) return;
    if (typeof key === "number" && model.get("selected") !== key) onSelect(key);
    onShow(image);
  };
  const picker = imagePicker({
    label: "Picture",
    tileClass: "lab-tile",
    tiles: [
      ...pictures.map((picture, i) => ({ value: /** @type {Source} */ (i), ...picture })),
      { value: "drawing", caption: "Draw", content: h("span", { class: "lab-word" }, "draw") },
    ],
    onChange: (key) => choose(key).catch((error) => onTrouble(error.message)),
  });
  const file = pictureFile({
    fit: { largest: LARGEST },
    onTrouble,
    onPicture: (pixels) => {
      loaded.set("own", pixels);
      choose("own");
    },
  });
  const clear = ui.button({
    label: "Clear the pad",
    onClick: () => {
      pad.clear();
      onShow(pad.read());
    },
  });
  clear.el.hidden = true;
  return {
    el: h("div", { class: "lab-sources" }, picker.el, file.el, clear.el),
    choose,
    source: () => source,
    words: () => {
      if (typeof source === "number") return pictures[source].caption;
      return source === "own" ? "your own" : "your drawing";
    },
    /** @param {number[] | null} from @param {number[]} to */
    stroke(from, to) {
      pad.stroke(from, to);
      onShow(pad.read());
    },
  };
}

/** A picture with a marker on the pixel under the loupe. @param {string} title @param {string} label */
function side(title, label) {
  const canvas = h("canvas", { class: "lab-picture", role: "img", "aria-label": label });
  const marker = h("div", { class: "lab-marker", "aria-hidden": "true" });
  const frame = h("div", { class: "lab-frame" }, canvas, marker);
  return {
    el: h("figure", { class: "lab-side" }, h("figcaption", {}, title), frame),
    frame,
    /** @param {number} width @param {number} height @param {(into: ImageData) => void} fill */
    paint(width, height, fill) {
      if (canvas.width !== width) canvas.width = width;
      if (canvas.height !== height) canvas.height = height;
      canvas.style.imageRendering = Math.max(width, height) <= 96 ? "pixelated" : "auto";
      const context = canvas.getContext("2d");
      if (!context) return;
      const into = context.createImageData(width, height);
      fill(into);
      context.putImageData(into, 0, 0);
    },
    /** @param {string} words */
    describe: (words) => canvas.setAttribute("aria-label", words),
    /** @param {number[]} position @param {number} span of the window, in pixels */
    mark([row, column], span) {
      const { width, height } = canvas;
      marker.style.setProperty("--x", `${(100 * (column + 0.5)) / width}%`);
      marker.style.setProperty("--y", `${(100 * (row + 0.5)) / height}%`);
      marker.style.setProperty("--span", `${(100 * span) / width}%`);
    },
    /** The pixel [row, column] under a pointer. @param {PointerEvent} event */
    pixel(event) {
      const box = canvas.getBoundingClientRect();
      return [
        ui.clamp(Math.floor(((event.clientY - box.top) / box.height) * canvas.height), 0, canvas.height - 1),
        ui.clamp(Math.floor(((event.clientX - box.left) / box.width) * canvas.width), 0, canvas.width - 1),
      ];
    },
  };
}

/** @type {{ [key: string]: [rows: number, columns: number] }} */
const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

/**
 * The two pictures: the loupe is moved over either, by pointer or keys, and lines are drawn on the input.
 * @param {Model} model
 * @param {{ onPlace: (row: number, column: number) => void, isDrawing: () => boolean,
 *   onStroke: (from: number[] | null, to: number[]) => void }} options
 */
function picturePair(model, { onPlace, isDrawing, onStroke }) {
  const before = side("Input", "The input picture");
  const after = side("Output", "The output picture");
  /** @type {number[] | null} */
  let brush = null; // where the stroke has come to
  for (const part of [before, after]) {
    part.frame.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      const at = part.pixel(event);
      if (part === before && isDrawing()) {
        part.frame.setPointerCapture(event.pointerId);
        brush = at;
        onStroke(null, at);
      }
      onPlace(at[0], at[1]);
    });
    part.frame.addEventListener("pointermove", (event) => {
      const at = part.pixel(event);
      if (brush && part === before) {
        onStroke(brush, at);
        brush = at;
      }
      onPlace(at[0], at[1]);
    });
    for (const end of /** @type {const} */ (["pointerup", "pointercancel"]))
      part.frame.addEventListener(end, () => {
        brush = null;
      });
  }
  // By keyboard: two ranges in the picture, which a screen reader can tell apart; arrows work in both.
  const names = ["row", "column"];
  const ranges = names.map((name, axis) => {
    const input = h("input", {
      type: "range",
      class: "companion-cover",
      min: 0,
      step: 1,
      "aria-label": `Loupe: ${name}`,
    });
    input.addEventListener("input", () => {
      const [row, column] = model.get("position");
      const value = Number(input.value);
      onPlace(axis ? row : value, axis ? value : column);
    });
    input.addEventListener("keydown", (event) => {
      const [row, column] = model.get("position");
      if (event.key in ARROWS) {
        event.preventDefault();
        const by = event.shiftKey ? 8 : 1;
        const [down, right] = ARROWS[event.key];
        onPlace(row + by * down, column + by * right);
      } else if (event.key === " " && isDrawing()) {
        event.preventDefault();
        onStroke(null, [row, column]);
      }
    });
    return input;
  });
  before.frame.append(...ranges);
  return {
    el: h("div", { class: "lab-pair" }, before.el, after.el),
    /** @param {Planes} planes @param {Result} result @param {boolean} dark */
    paint({ image, width, height, grey }, { view, shown, limit }, dark) {
      before.paint(width, height, (into) =>
        view === "colour" ? into.data.set(image.data) : paintPlanes(into, [grey()]),
      );
      after.paint(width, height, (into) =>
        view === "signed"
          ? paintMap(into, shown[0], colourOf("diverging", -limit, limit, dark))
          : paintPlanes(into, shown),
      );
    },
    /**
     * Where the loupe is, and what is said of both pictures.
     * @param {Planes} planes @param {Result} result @param {string} source
     */
    draw({ width, height }, { kernel, view, grey, low, high }, source) {
      const position = model.get("position");
      const [row, column] = position;
      before.frame.classList.toggle("lab-drawable", isDrawing());
      before.mark(position, kernel.length);
      after.mark(position, 1);
      before.describe(`The input picture: ${source}`);
      const colours = view === "signed" ? "blue negative, orange positive" : "clipped to 0 to 1";
      after.describe(`The output, ${colours}, from ${ui.spoken(low)} to ${ui.spoken(high)}`);
      const y = ui.spoken(grey[row * width + column], 3);
      ranges.forEach((input, axis) => {
        input.max = String((axis ? width : height) - 1);
        input.value = String(position[axis]);
        input.setAttribute("aria-valuetext", `${names[axis]} ${position[axis]}, output ${y}`);
      });
    },
  };
}

/** The colour scale of the output and what its numbers are. */
function outputLegend() {
  const scale = colourScale();
  const numbers = ui.readouts(ui.fixed);
  const clipped = h("span", {}, " ");
  const outside = numbers.make("outside", (v) => ui.fixed(v, 1));
  clipped.append(outside, " % of its values lie outside 0 … 1 and are clipped.");
  const full = h("span", {}, " Colours are full at the largest value away from the border.");
  const [low, high] = [numbers.make("low"), numbers.make("high")];
  const weights = numbers.make("weights");
  const facts = ui.note("The weights add up to ", weights, ". The output goes from ", low, " to ", high, ".");
  facts.append(clipped, full);
  return {
    el: h("div", { class: "lab-legend" }, scale.el, facts),
    /** @param {Result} result @param {boolean} dark */
    draw({ kernel, view, low: least, high: most, limit, outside: share }, dark) {
      const isSigned = view === "signed";
      numbers.set({ weights: total(kernel), low: least, high: most, outside: 100 * share });
      clipped.hidden = isSigned;
      full.hidden = !isSigned;
      scale.el.dataset.view = view;
      const gradient = gradientOf(isSigned ? "diverging" : "grey", dark);
      if (isSigned) scale.set(`−${ui.fixed(limit)}`, `+${ui.fixed(limit)}`, gradient);
      else scale.set("0", "1", gradient);
    },
  };
}

// ---------------------------------------------------------------- kernel and loupe

/** Which kernel, and how its output is shown. @param {Model} model @param {Put} onPut */
function kernelControls(model, onPut) {
  const presets = model.get("presets");
  const preset = ui.select({
    label: "Kernel",
    options: [...presets.map(({ name }) => name), OWN],
    onChange: (name) => {
      const found = presets.find((one) => one.name === name);
      if (found) onPut({ kernel: found.kernel, bias: 0, view: COLOURFUL.test(name) ? "colour" : "signed" });
      else draw();
    },
  });
  const size = ui.segmented({
    label: "Size",
    options: [
      { value: 3, label: "3 × 3" },
      { value: 5, label: "5 × 5" },
    ],
    value: model.get("kernel").length,
    onChange: (n) => onPut({ kernel: resized(model.get("kernel"), n) }),
  });
  const view = ui.segmented({
    label: "Show the output",
    value: model.get("view"),
    options: [
      { value: "signed", label: "signed" },
      { value: "grey", label: "clipped, grey" },
      { value: "colour", label: "clipped, colour" },
    ],
    onChange: (v) => onPut({ view: v }),
  });
  const draw = () => {
    const kernel = model.get("kernel");
    preset.set(presets.find((one) => same(one.kernel, kernel))?.name ?? OWN);
    size.set(kernel.length);
    view.set(model.get("view"));
  };
  return { el: ui.row(preset.el, size.el, view.el), draw };
}

/** What can be done to the weights. @param {Model} model @param {Put} onPut */
function weightControls(model, onPut) {
  const one = ui.button({
    label: "Make the sum 1",
    title: "Divide by the sum: brightness is kept",
    onClick: () => {
      const s = total(model.get("kernel"));
      onPut({ kernel: model.get("kernel").map((row) => row.map((v) => v / s)) });
    },
  });
  const turn = ui.button({
    label: "Turn by 180°",
    title: "What a convolution does before it lays the kernel over the picture",
    onClick: () => onPut({ kernel: turned(model.get("kernel")) }),
  });
  const bias = ui.slider({
    label: "Bias",
    min: -1,
    max: 1,
    step: 0.01,
    value: model.get("bias"),
    neutral: 0,
    describe: (v) => ui.spoken(v),
    quantity: "bias",
    onInput: (v) => onPut({ bias: v }),
  });
  const tints = colourScale("kernel and products");
  return {
    bias: bias.el,
    row: ui.row(one.el, turn.el, tints.el),
    draw() {
      const kernel = model.get("kernel");
      const [sum, strongest] = [total(kernel), exact(magnitude(kernel))];
      bias.set(model.get("bias"));
      one.enable(Math.abs(sum) > 1e-6 && Math.abs(sum - 1) > 1e-9);
      tints.set(`−${strongest}`, `+${strongest}`);
    },
  };
}

/** Patch times kernel, summed. @param {Model} model @param {Put} onPut */
function loupe(model, onPut) {
  const el = h("div", { class: "lab-loupe" });
  const numbers = ui.readouts((v) => ui.fixed(v, 3));
  const [where, plusBias, biasWords] = [h("span", {}), h("span", {}), h("span", {})];
  const inner = h("span", {}, " = ", numbers.make("sum"));
  const y = h("strong", {}, numbers.make("y"));
  const sum = h("p", { class: "lab-sum companion-maths" }, h("i", {}, "y"), where, " = sum of the products");
  sum.append(plusBias, inner, biasWords, " = ", y);
  const edit = (/** @type {number} */ r, /** @type {number} */ c, /** @type {number} */ value) =>
    onPut({
      kernel: model.get("kernel").map((row, i) => row.map((v, j) => (i === r && j === c ? value : v))),
    });
  const make = (/** @type {number} */ n) => ({
    size: n,
    patch: cells({ rows: n, columns: n, label: "Patch of the picture", format: (v) => ui.fixed(v) }),
    kernel: cells({
      rows: n,
      columns: n,
      label: "Kernel",
      edit: (r, c) => `weight, row ${r}, column ${c}`,
      onEdit: edit,
      format: (v) => exact(Number(v.toFixed(3))), // room for a 5×5 Gaussian; what is typed has two decimals
    }),
    products: cells({ rows: n, columns: n, label: "Products", format: (v) => (v ? ui.fixed(v) : "0") }),
  });
  const part = (/** @type {string} */ name, /** @type {Node} */ grid, sign = "") =>
    h(
      "figure",
      { class: "lab-part" },
      h("figcaption", {}, name),
      h(
        "div",
        { class: "lab-factor" },
        sign ? h("span", { class: "lab-sign", "aria-hidden": "true" }, sign) : null,
        grid,
      ),
    );
  /** @type {ReturnType<typeof make> | null} */
  let grids = null;
  const gridsOf = (/** @type {number} */ n) => {
    if (grids?.size === n) return grids;
    grids = make(n);
    el.dataset.size = String(n);
    el.replaceChildren(
      part("Patch", grids.patch.el),
      part("Kernel (edit it)", grids.kernel.el, "×"),
      part("Products", grids.products.el, "="),
    );
    return grids;
  };
  return {
    el,
    sum,
    /** @param {Planes} planes @param {Result} result */
    draw({ width, height, grey }, result) {
      const [kernel, bias] = [model.get("kernel"), model.get("bias")];
      const [row, column] = model.get("position");
      const { patch, kernel: weights, products } = gridsOf(kernel.length);
      const reach = (kernel.length - 1) / 2;
      const strongest = magnitude(kernel);
      let added = 0;
      kernel.forEach((line, r) =>
        line.forEach((weight, c) => {
          const [py, px] = [row + r - reach, column + c - reach];
          const inside = py >= 0 && px >= 0 && py < height && px < width;
          const value = inside ? grey()[py * width + px] : 0;
          added += weight * value;
          patch.set(r, c, value, 1);
          shadeOf(patch.cell(r, c).el, value, inside);
          weights.set(r, c, weight, strongest);
          products.set(r, c, weight * value, strongest);
        }),
      );
      where.textContent = `[${row}, ${column}]`;
      const words = (/** @type {string} */ name) => `${name} at row ${row}, column ${column}`;
      patch.describe(words("Patch of the picture"));
      products.describe(words("Products of patch and kernel"));
      plusBias.textContent = bias ? " + bias" : "";
      inner.hidden = bias === 0;
      biasWords.textContent = bias ? ` ${bias > 0 ? "+" : "−"} ${ui.fixed(Math.abs(bias))}` : "";
      numbers.set({ sum: added, y: result.grey[row * width + column] });
    },
  };
}

/**
 * A number of the patch on the grey of its pixel.
 * @param {HTMLElement} cell @param {number} value @param {boolean} inside
 */
function shadeOf(cell, value, inside) {
  const shade = String(Math.round(255 * value));
  cell.classList.toggle("lab-outside", !inside);
  if (cell.dataset.shade === shade) return;
  cell.dataset.shade = shade;
  cell.style.background = `rgb(${shade}, ${shade}, ${shade})`;
  cell.style.color = value > 0.45 ? "#000" : "#fff";
}

// ---------------------------------------------------------------- the widget

/** What the loupe shows in PyTorch. @param {Model} model @param {Planes} planes */
function codeOf(model, { width, height, grey }) {
  const [kernel, [row, column]] = [model.get("kernel"), model.get("position")];
  const reach = (kernel.length - 1) / 2;
  const patch = matrixOf(kernel.length, kernel.length, (r, c) => {
    const [y, x] = [row + r - reach, column + c - reach];
    return y >= 0 && x >= 0 && y < height && x < width ? grey()[y * width + x] : 0;
  });
  return `import torch
from torch.nn import functional as F

# A whole picture, 1×1×height×width, takes padding=${reach} to keep its size.
patch = torch.tensor(${wrapped(python(patch))}, dtype=torch.double)
kernel = torch.tensor(${wrapped(python(kernel))}, dtype=torch.double)
bias = torch.tensor([${python(model.get("bias"))}], dtype=torch.double)

y = F.conv2d(patch[None, None], kernel[None, None], bias)
print(y.item())
`;
}

/** @param {RenderProps<State>} props */
function render({ model, el }) {
  const voice = ui.announcer();
  const trouble = ui.notice();
  const say = (/** @type {string} */ sentence) => trouble.set(sentence, "error");
  /** @type {Planes | null} */
  let planes = null;
  /** @type {Result | null} */
  let result = null; // what was computed last
  let dark = false;
  let alive = true;

  const show = (/** @type {ImageData} */ image) => {
    if (!alive) return;
    planes = planesOf(image);
    result = null;
    const { width, height } = image;
    const [row, column] = model.get("position");
    const fits = row < height && column < width;
    put(fits ? {} : { position: [Math.floor(height / 2), Math.floor(width / 2)] });
  };
  const place = (/** @type {number} */ row, /** @type {number} */ column) => {
    if (!planes) return;
    const [r, c] = [ui.clamp(row, 0, planes.height - 1), ui.clamp(column, 0, planes.width - 1)];
    if (String(model.get("position")) === String([r, c])) return;
    put({ position: [r, c] });
    const y = result?.grey[r * planes.width + c];
    if (y !== undefined) voice.say(`Row ${r}, column ${c}: output ${ui.spoken(y, 3)}`);
  };
  const draw = () => {
    if (!planes || !alive) return;
    const now = [model.get("kernel"), model.get("bias"), model.get("view")];
    if (!result || [result.kernel, result.bias, result.view].some((value, i) => value !== now[i])) {
      result = filtered(planes, model);
      pair.paint(planes, result, dark);
    }
    kernel.draw();
    weights.draw();
    detail.draw(planes, result);
    code.draw();
    legend.draw(result, dark);
    pair.draw(planes, result, sources.words());
  };
  const schedule = perFrame(draw);
  const traits = bindTraits(model, ["kernel", "bias", "view", "position"], schedule);
  const { put } = traits;

  const sources = sourcePicker(model, {
    onSelect: (selected) => put({ selected }),
    onShow: show,
    onTrouble: say,
  });
  const pair = picturePair(model, {
    onPlace: place,
    isDrawing: () => sources.source() === "drawing",
    onStroke: sources.stroke,
  });
  const kernel = kernelControls(model, put);
  const weights = weightControls(model, put);
  const detail = loupe(model, put);
  const legend = outputLegend();
  const code = copyCode({
    what: "the patch under the kernel",
    code: () => (planes ? codeOf(model, planes) : ""),
    say: voice.say,
  });
  const root = ui.frame(
    {
      title: model.get("title"),
      describe:
        "Choose a picture and a kernel, or type your own weights. Move over the pictures: " +
        "the loupe shows the patch under the kernel, and what becomes of it.",
    },
    sources.el,
    trouble.el,
    kernel.el,
    pair.el,
    legend.el,
    ui.panel(
      {},
      detail.el,
      detail.sum,
      weights.bias,
      weights.row,
      ui.note(
        "The loupe reads the picture in grey. " +
          "Beyond the border it counts as 0. Pixels and products are shown with two decimals; the sum is exact.",
      ),
    ),
    code.el,
    voice.el,
  );
  el.append(root);
  const stopTheme = followTheme(root, (colours) => {
    dark = isDark(colours);
    result = null;
    schedule();
  });
  const fail = failing(root, (error) => say(error.message));
  whenLoaded(root, sources.choose(model.get("selected")).then(draw), fail);

  const fromPython = () => {
    if (typeof sources.source() !== "number" || model.get("selected") === sources.source()) return;
    sources.choose(model.get("selected")).catch((error) => say(error.message));
  };
  model.on("change:selected", fromPython);
  return lifetime(
    () => {
      alive = false;
    },
    stopTheme,
    traits.stop,
    () => model.off("change:selected", fromPython),
  );
}

export default { render };

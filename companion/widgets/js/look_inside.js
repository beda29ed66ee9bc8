// What a network makes of an image: its classes, and each layer's channels. See LookInside in look_inside.py
// for the state. Before the network is there, the first image can be looked into: its maps come with the state.

import { softmax } from "./maths/classification.js";
import { openModel } from "./runtime/session.js";
import { colourScale } from "./ui/cells.js";
import { followTheme, isDark } from "./ui/colours.js";
import * as ui from "./ui/controls.js";
import { h } from "./ui/controls.js";
import { drawingPad } from "./ui/drawing_pad.js";
import { imagePicker } from "./ui/image_picker.js";
import { bindTraits, emit, failing, lifetime, perFrame, whenLoaded } from "./ui/lifetime.js";
import { loadPicture } from "./ui/pictures.js";
import { colourOf, gradientOf } from "./ui/pixel_map.js";

/** @import { AnyModel, RenderProps } from "@anywidget/types" */
/** @import { Rgb } from "./ui/colours.js" */

/**
 * @typedef {object} Layer
 * @property {string} title
 * @property {[channels: number, height: number, width: number]} shape of its maps
 * @property {number} low of its maps of the first image, at most 0
 * @property {number} high
 * @property {string} maps of the first image: one below the other, from low to high
 * @property {[number, number][]} rows what the units of each row of a map see: first pixel, and one after the last
 * @property {[number, number][]} columns
 * @property {string[]} filters pictures, one a channel; none if the layer does not see the image itself
 * @property {[value: number, image: number, row: number, column: number][][]} patches a list a channel
 */

/**
 * @typedef {object} State
 * @property {string} network SHA-256 of the exported model
 * @property {number} megabytes
 * @property {[number, number, number]} image_shape C×H×W
 * @property {"digit" | "photograph"} input
 * @property {string[]} class_names
 * @property {{ picture: string, columns: number }} atlas all images in one picture
 * @property {{ image: number, caption: string }[]} examples
 * @property {Layer[]} layers
 * @property {number[]} probabilities of the first image
 * @property {number} layer
 * @property {number} channel
 * @property {string} title
 */

/** @typedef {AnyModel<State>} Model */
/** @typedef {{ values: Float32Array, low: number, high: number }} Maps of a layer, and the ends of their scale */
/** @typedef {{ image: Float32Array, probabilities: number[], maps: Maps[] }} Seen */

const PLACES = 5; // classes listed
const HEAVY = 3; // megabytes from which a network is loaded only when the reader asks for it
const GAP = 3;

/** The scale on which a layer's maps are shown: in two colours if they have both signs. @param {Maps} maps */
const scaleOf = ({ low }) => (low < 0 ? "diverging" : "sequential");

// ---------------------------------------------------------------- the images that come with the widget

/**
 * Cuts images out of the atlas.
 * @param {ImageData} sheet @param {number} across images in a row @param {[number, number, number]} shape
 */
function cutter(sheet, across, [channels, height, width]) {
  const canvas = new OffscreenCanvas(sheet.width, sheet.height);
  canvas.getContext("2d")?.putImageData(sheet, 0, 0);
  const corner = (/** @type {number} */ k) => [(k % across) * width, Math.floor(k / across) * height];
  return {
    canvas,
    corner,
    /** Image k as the network takes it: C×H×W in [0, 1]. @param {number} k */
    image(k) {
      const [left, top] = corner(k);
      const image = new Float32Array(channels * height * width);
      for (let c = 0, i = 0; c < channels; c += 1)
        for (let y = 0; y < height; y += 1)
          for (let x = 0; x < width; x += 1, i += 1)
            image[i] = sheet.data[4 * ((top + y) * sheet.width + left + x) + c] / 255;
      return image;
    },
  };
}

/** An image's pixels as a picture to be seen. @param {ImageData} into @param {Float32Array} image */
function paintImage({ data }, image, dim = 1) {
  const plane = data.length / 4;
  const step = image.length > plane ? plane : 0;
  for (let i = 0, o = 0; i < plane; i += 1, o += 4) {
    for (let c = 0; c < 3; c += 1) data[o + c] = 255 * dim * image[c * step + i];
    data[o + 3] = 255;
  }
}

// ---------------------------------------------------------------- panels

/** The most probable classes. @param {string[]} names */
function verdict(names) {
  const rows = Array.from({ length: Math.min(PLACES, names.length) }, (_, k) => {
    const name = h("span", { class: "look-class" });
    const bar = ui.bar({ token: k ? "edge" : "data-1" });
    const shown = ui.number({
      quantity: `place-${k + 1}`,
      value: 0,
      format: (v) => `${ui.fixed(100 * v, 1)} %`,
    });
    return { el: h("li", { class: "look-place" }, name, shown.el, bar.el), name, bar, shown };
  });
  return {
    el: h("ol", { class: "look-places", "aria-label": "Most probable classes" }, ...rows.map(({ el }) => el)),
    /** @param {number[]} p */
    draw(p) {
      const order = p.map((_, k) => k).sort((a, b) => p[b] - p[a]);
      rows.forEach(({ name, bar, shown }, k) => {
        name.textContent = names[order[k]];
        name.title = names[order[k]];
        bar.set(p[order[k]]);
        shown.set(p[order[k]]);
      });
    },
  };
}

/**
 * All channels of a layer on one canvas, in rows; a range input over it, for keys, and presses choose.
 * @param {(channel: number) => void} onPick
 */
function channelGrid(onPick) {
  const canvas = h("canvas", { class: "look-maps", role: "img", "aria-label": "Maps of all channels" });
  canvas.style.imageRendering = "pixelated";
  const context = canvas.getContext("2d");
  const marker = h("span", { class: "look-marker" });
  const input = h("input", {
    type: "range",
    class: "companion-cover",
    min: 0,
    step: 1,
    "aria-label": "Channel",
  });
  const field = h("div", { class: "look-grid" }, canvas, marker, input);
  const legend = colourScale("activation");
  let [count, rows, across] = [1, 1, 1];
  const pick = (/** @type {number} */ next) => {
    if (next >= 0 && next < count) onPick(next);
  };
  input.addEventListener("input", () => pick(Number(input.value)));
  input.addEventListener("keydown", (event) => {
    const step = /** @type {{ [key: string]: number }} */ ({ ArrowUp: -across, ArrowDown: across })[
      event.key
    ];
    if (!step) return;
    event.preventDefault();
    pick(Number(input.value) + step);
  });
  field.addEventListener("click", (event) => {
    const box = canvas.getBoundingClientRect();
    const column = Math.floor(((event.clientX - box.left) / box.width) * across);
    pick(column + across * Math.floor(((event.clientY - box.top) / box.height) * rows));
    input.focus({ preventScroll: true, focusVisible: false });
  });
  return {
    el: ui.stack(field, legend.el),
    /** @param {Layer} layer @param {Maps} maps @param {boolean} dark */
    draw({ shape: [channels, height, width], title }, maps, dark) {
      across = channels > 16 ? 8 : 4;
      [count, rows] = [channels, Math.ceil(channels / across)];
      input.max = String(count - 1);
      // Small maps are enlarged by whole factors, so that their pixels stay squares; large ones halved.
      const cell = [width, height].map((n) =>
        n <= 32 ? n * Math.max(1, Math.floor(32 / n)) : Math.min(n, 64),
      );
      canvas.width = across * (cell[0] + GAP) - GAP;
      canvas.height = rows * (cell[1] + GAP) - GAP;
      canvas.setAttribute("aria-label", `The maps of ${count} channels of ${title}, ${across} in a row.`);
      const scale = scaleOf(maps);
      legend.set(ui.fixed(maps.low), ui.fixed(maps.high), gradientOf(scale, dark));
      if (!context) return;
      const colour = colourOf(scale, maps.low, maps.high, dark);
      for (let k = 0; k < count; k += 1) {
        const map = painted(maps.values, k * height * width, [height, width], colour);
        const [x, y] = [(k % across) * (cell[0] + GAP), Math.floor(k / across) * (cell[1] + GAP)];
        context.imageSmoothingEnabled = width > cell[0];
        context.drawImage(map, x, y, cell[0], cell[1]);
      }
    },
    /** @param {number} channel @param {string} words what is said of it */
    choose(channel, words) {
      input.value = String(channel);
      input.setAttribute("aria-valuetext", words);
      marker.style.insetInlineStart = `${((channel % across) / across) * 100}%`;
      marker.style.insetBlockStart = `${(Math.floor(channel / across) / rows) * 100}%`;
      marker.style.inlineSize = `${100 / across}%`;
      marker.style.blockSize = `${100 / rows}%`;
    },
  };
}

/**
 * One map as a canvas of its own size.
 * @param {Float32Array} values @param {number} first @param {[number, number]} size height and width
 * @param {(value: number) => Rgb} colour @param {(value: number) => number} [opacity] 0 to 1
 */
function painted(values, first, [height, width], colour, opacity = () => 1) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const buffer = context?.createImageData(width, height);
  if (!context || !buffer) return canvas;
  for (let i = 0, o = 0; i < height * width; i += 1, o += 4) {
    const value = values[first + i];
    buffer.data.set(colour(value), o);
    buffer.data[o + 3] = 255 * opacity(value);
  }
  context.putImageData(buffer, 0, 0);
  return canvas;
}

/** Where the largest of some values is. @param {Float32Array} values @param {number} first @param {number} count */
function strongest(values, first, count) {
  let best = first;
  for (let i = first + 1; i < first + count; i += 1) if (values[i] > values[best]) best = i;
  return best - first;
}

/** A channel's map over the image, what its strongest unit sees in a frame. @param {State["image_shape"]} shape */
function overlay([, height, width]) {
  const side = 448; // of the canvas: whole factors of 28, 32, 56, 64 and 224
  const factor = Math.max(1, Math.floor(side / Math.max(height, width)));
  const canvas = h("canvas", {
    class: "companion-image",
    role: "img",
    width: width * factor,
    height: height * factor,
  });
  canvas.style.imageRendering = height > 64 ? "auto" : "pixelated";
  const context = canvas.getContext("2d");
  const frame = h("span", { class: "look-frame" });
  return {
    el: h("div", { class: "look-over" }, canvas, frame),
    /**
     * @param {Float32Array} image @param {Layer} layer @param {Maps} maps @param {number} channel
     * @param {boolean} dark
     */
    draw(image, { shape: [, rows, columns], ...layer }, maps, channel, dark) {
      const first = channel * rows * columns;
      const at = strongest(maps.values, first, rows * columns);
      const [row, column] = [Math.floor(at / columns), at % columns];
      const [[top, bottom], [left, right]] = [layer.rows[row], layer.columns[column]];
      const place = {
        insetBlockStart: top / height,
        insetInlineStart: left / width,
        blockSize: (bottom - top) / height,
        inlineSize: (right - left) / width,
      };
      for (const [name, share] of Object.entries(place))
        frame.style[/** @type {any} */ (name)] = `${100 * share}%`;
      const value = maps.values[first + at];
      frame.hidden = value <= 0;
      canvas.setAttribute(
        "aria-label",
        `The map of channel ${channel} over the image; it is strongest, ${ui.fixed(value)}, in row ${row + 1} of ` +
          `${rows}, column ${column + 1} of ${columns}.`,
      );
      if (context) {
        const under = new OffscreenCanvas(width, height);
        const paper = under.getContext("2d");
        const buffer = paper?.createImageData(width, height);
        if (!paper || !buffer) return { value, row, column };
        paintImage(buffer, image);
        paper.putImageData(buffer, 0, 0);
        context.imageSmoothingEnabled = height > 64;
        context.filter = "grayscale(1)";
        context.drawImage(under, 0, 0, canvas.width, canvas.height);
        context.filter = "none";
        const limit = Math.max(-maps.low, maps.high);
        const opacity = (/** @type {number} */ v) => 0.3 + 0.5 * Math.min(1, Math.abs(v) / limit);
        const colour = colourOf(scaleOf(maps), maps.low, maps.high, dark);
        const map = painted(maps.values, first, [rows, columns], colour, opacity);
        context.imageSmoothingEnabled = false;
        context.drawImage(map, 0, 0, canvas.width, canvas.height);
      }
      return { value, row, column };
    },
  };
}

/** A channel's filter, if the image itself is what it sees, and the parts of images at which it is strongest. */
function findings() {
  const filter = h("img", { class: "look-filter", alt: "" });
  const filterPart = ui.figure(filter, "its filter: grey is a weight of 0");
  const row = h("ol", { class: "look-patches" });
  const words = ui.note();
  return {
    el: h("div", { class: "look-findings" }, filterPart, row),
    words,
    /** @param {Layer} layer @param {number} channel @param {ReturnType<typeof cutter>} atlas */
    draw(layer, channel, atlas) {
      filterPart.hidden = !layer.filters.length;
      if (layer.filters.length) {
        filter.src = layer.filters[channel];
        filter.alt = `The filter of channel ${channel}`;
      }
      const spans = [layer.rows, layer.columns].map((all) => Math.max(...all.map(([a, b]) => b - a)));
      const cut = layer.patches[channel].some(([, , r, c]) => {
        const [[top, bottom], [left, right]] = [layer.rows[r], layer.columns[c]];
        return bottom - top < spans[0] || right - left < spans[1];
      });
      row.replaceChildren(
        ...layer.patches[channel].map(([value, image, r, c], k) => {
          const [[top, bottom], [left, right]] = [layer.rows[r], layer.columns[c]];
          const factor = Math.max(1, Math.round(84 / spans[0]));
          const canvas = h("canvas", {
            role: "img",
            "aria-label": `Part ${k + 1}: rows ${top} to ${bottom - 1}, columns ${left} to ${right - 1} of an image`,
            width: spans[1] * factor,
            height: spans[0] * factor,
          });
          canvas.style.imageRendering = "pixelated";
          const context = canvas.getContext("2d");
          const [x, y] = atlas.corner(image);
          // A field that reaches beyond the border is cut off there: the part stays where it is in the field.
          const [dx, dy] = [
            left === 0 ? spans[1] - (right - left) : 0,
            top === 0 ? spans[0] - (bottom - top) : 0,
          ];
          if (context) {
            context.imageSmoothingEnabled = spans[0] > 64;
            const to = [dx, dy, right - left, bottom - top].map((n) => n * factor);
            context.drawImage(
              atlas.canvas,
              x + left,
              y + top,
              right - left,
              bottom - top,
              .../** @type {[number, number, number, number]} */ (to),
            );
          }
          const shown = ui.number({ quantity: `patch-${k}`, value });
          return h("li", {}, canvas, shown.el);
        }),
      );
      const size = `${spans[0]}×${spans[1]} pixels`;
      words.textContent =
        `Of all images that this figure knows, these parts make the channel strongest, each as large as what a ` +
        `unit of this layer sees: ${size}.` +
        (cut ? " Where one is cut off, the image ends." : "") +
        (layer.filters.length
          ? ""
          : " Its filter looks at the channels of the layer before, not at the image: as a picture it would say little.");
    },
  };
}

/**
 * What the reader shows to the network: one of the examples, a drawing, a photograph.
 * @param {Model} model
 * @param {(image: Float32Array, name: string) => void} onImage
 */
function source(model, onImage) {
  const [examples, shape] = [model.get("examples"), model.get("image_shape")];
  const [, height, width] = shape;
  /** @type {ReturnType<typeof cutter> | undefined} */
  let atlas;
  const thumbs = examples.map(() => {
    const canvas = h("canvas", { width, height, "aria-hidden": "true" });
    canvas.style.imageRendering = height > 64 ? "auto" : "pixelated";
    return canvas;
  });
  const pad =
    model.get("input") === "digit"
      ? drawingPad({
          label: "Draw a digit",
          height,
          width,
          centre: true,
          onChange(image) {
            picker.set(undefined);
            onImage(image, "your drawing");
          },
        })
      : null;
  const picker = imagePicker({
    label: pad ? "Or take one of these" : "Photograph",
    tileClass: "look-tile",
    tiles: examples.map(({ caption }, value) => ({ value, caption, content: thumbs[value] })),
    value: 0,
    onChange(k) {
      pad?.set([]);
      if (atlas) onImage(atlas.image(examples[k].image), examples[k].caption);
    },
  });
  return {
    pad: pad?.el,
    picker: ui.stack(pad ? ui.note("Or take one of these:") : null, picker.el),
    /** @param {ReturnType<typeof cutter>} next */
    open(next) {
      atlas = next;
      thumbs.forEach((canvas, k) => {
        const [x, y] = next.corner(examples[k].image);
        canvas.getContext("2d")?.drawImage(next.canvas, x, y, width, height, 0, 0, width, height);
      });
    },
  };
}

// ---------------------------------------------------------------- the network

/**
 * The network in the page's worker, opened when it is first wanted.
 * @param {Model} model
 * @param {{ onProgress: (loaded: number, total: number) => void }} options
 */
function network(model, { onProgress }) {
  const layers = model.get("layers");
  /** @type {ReturnType<typeof openModel> | null} */
  let opening = null;
  let alive = true;
  const open = () => {
    opening ??= openModel(model.get("network"), model, { onProgress });
    return opening;
  };
  return {
    open,
    /** What it makes of an image; null if a newer one came. @param {Float32Array} image @returns {Promise<Seen | null>} */
    async look(image) {
      const session = await open();
      if (!alive) return null;
      const outputs = await session.run({ image: { data: image, dims: [1, ...model.get("image_shape")] } });
      if (!outputs || !alive) return null;
      const maps = layers.map((_, k) => {
        const values = /** @type {Float32Array} */ (outputs[`layer${k}`].data);
        let [low, high] = [0, 1e-6];
        for (const v of values) {
          if (v < low) low = v;
          if (v > high) high = v;
        }
        return { values, low, high };
      });
      const logits = Array.from(/** @type {Float32Array} */ (outputs.logits.data));
      return { image, probabilities: softmax(logits), maps };
    },
    stop() {
      alive = false;
      opening?.then((session) => session.release()).catch(() => {});
    },
  };
}

/** The maps of the first image, which come as pictures. @param {Layer} layer @returns {Promise<Maps>} */
async function mapsOf({ maps, low, high }) {
  const { data } = await loadPicture(maps);
  const values = Float32Array.from(
    { length: data.length / 4 },
    (_, i) => low + ((high - low) * data[4 * i]) / 255,
  );
  return { values, low, high };
}

/** @param {RenderProps<State>} props */
function render({ model, el }) {
  const [layers, shape, names] = [model.get("layers"), model.get("image_shape"), model.get("class_names")];
  const heavy = model.get("megabytes") > HEAVY;
  let dark = false;
  /** @type {ReturnType<typeof cutter> | undefined} */
  let atlas;
  /** @type {Seen | undefined} */
  let seen;
  const voice = ui.announcer();
  const trouble = ui.notice();
  const numbers = ui.readouts();

  const draw = () => {
    if (!seen || !atlas) return;
    const [index, channel] = [model.get("layer"), model.get("channel")];
    const layer = layers[index];
    const [channels, height, width] = layer.shape;
    layerChoice.set(index);
    size.textContent =
      height * width > 1
        ? `${channels} channels, each a map of ${height}×${width} numbers`
        : `${channels} channels, each one number: position is gone`;
    classes.draw(seen.probabilities);
    grid.draw(layer, seen.maps[index], dark);
    const { value, row, column } = over.draw(seen.image, layer, seen.maps[index], channel, dark);
    grid.choose(channel, `channel ${channel}, strongest ${ui.spoken(value)}`);
    heading.textContent = `Channel ${channel} of ${layer.title}`;
    known.draw(layer, channel, atlas);
    numbers.set({ strongest: value, row, column });
    sees.hidden = value <= 0;
    silent.hidden = value > 0;
    if (!traits.touched) return;
    voice.say(`Channel ${channel} of ${layer.title}, strongest ${ui.spoken(value)}.`);
  };
  const traits = bindTraits(model, ["layer", "channel"], perFrame(draw));

  /** @param {Error} error */
  const fail = (error) =>
    failing(root, () => trouble.set(`The network could not be run: ${error.message}`, "error"))(error);
  const net = network(model, {
    onProgress(loaded, total) {
      if (heavy && loaded < total)
        trouble.set(`Loading the network: ${Math.round((100 * loaded) / total)} %`, "waiting");
    },
  });
  let newest = 0;
  const show = async (/** @type {Float32Array} */ image, /** @type {string} */ name) => {
    newest += 1;
    const mine = newest;
    try {
      const found = await net.look(image);
      if (!found || mine !== newest) return;
      trouble.set("");
      seen = found;
      draw();
      const best = seen.probabilities.indexOf(Math.max(...seen.probabilities));
      voice.say(`${name}: ${names[best]}, ${Math.round(100 * seen.probabilities[best])} %`);
      emit(root, "painted", { image, probabilities: seen.probabilities });
    } catch (error) {
      fail(/** @type {Error} */ (error));
    }
  };

  const input = source(model, show);
  const classes = verdict(names);
  const layerChoice = (layers.length > 5 ? ui.select : ui.segmented)({
    label: "Layer",
    options: layers.map(({ title }, value) => ({ value, label: title })),
    value: model.get("layer"),
    onChange: (next) =>
      traits.put({ channel: Math.min(model.get("channel"), layers[next].shape[0] - 1), layer: next }),
  });
  const size = ui.note();
  const grid = channelGrid((channel) => traits.put({ channel }));
  const over = overlay(shape);
  const heading = h("p", { class: "companion-heading" });
  const known = findings();
  const whole = (/** @type {number} */ v) => String(v + 1);
  const sees = ui.note(
    "Strongest: ",
    numbers.make("strongest"),
    ", in row ",
    numbers.make("row", whole),
    ", column ",
    numbers.make("column", whole),
    ". The frame holds all that this unit sees.",
  );
  const silent = ui.note("Nothing in this image makes this channel answer.");
  const root = ui.frame(
    {
      title: model.get("title"),
      describe:
        model.get("input") === "digit"
          ? "Draw a digit, and see what each channel of the network answers to. Press a channel to look closer."
          : "Choose a photograph, and see what each channel of the network answers to. Press a channel to look closer.",
    },
    h(
      "div",
      { class: "look-top" },
      input.pad,
      ui.stack(h("p", { class: "companion-heading" }, "It says"), classes.el, input.picker, trouble.el),
    ),
    h("div", { class: "companion-panel" }, ui.row(layerChoice.el, size)),
    h(
      "div",
      { class: "look-pair" },
      ui.stack(h("p", { class: "companion-heading" }, "All channels"), grid.el),
      ui.stack(heading, over.el, sees, silent),
    ),
    ui.plate(
      { title: "What makes this channel strong", name: "What makes this channel strong" },
      known.el,
      known.words,
    ),
    voice.el,
  );
  el.append(root);

  const load = async () => {
    const { picture, columns } = model.get("atlas");
    const [sheet, ...maps] = await Promise.all([loadPicture(picture), ...layers.map(mapsOf)]);
    atlas = cutter(sheet, columns, shape);
    input.open(atlas);
    seen = {
      image: atlas.image(model.get("examples")[0].image),
      probabilities: model.get("probabilities"),
      maps,
    };
    draw();
  };
  const wake = () => {
    if (!heavy) net.open().catch(fail);
  };
  for (const touch of ["pointerenter", "focusin"]) root.addEventListener(touch, wake, { once: true });
  whenLoaded(root, load(), fail);
  const unfollow = followTheme(el, (colours) => {
    dark = isDark(colours);
    draw();
  });
  return lifetime(traits.stop, net.stop, unfollow);
}

export default { render };

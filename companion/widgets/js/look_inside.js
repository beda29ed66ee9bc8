// What a network makes of an image: its classes, and each layer's channels. See LookInside in look_inside.py
// for the state. Before the network is there, the first image can be looked into: its maps come with the state.

import { softmax } from "./maths/classification.js";
import { colourScale } from "./ui/cells.js";
import { followTheme, isDark } from "./ui/colours.js";
import * as ui from "./ui/controls.js";
import { h } from "./ui/controls.js";
import { digitPad, verdict } from "./ui/digit_network.js";
import { imagePicker } from "./ui/image_picker.js";
import { bindTraits, emit, lifetime, perFrame, whenLoaded } from "./ui/lifetime.js";
import { loadPicture, numbersOf, ownPicture } from "./ui/pictures.js";
import { colourOf, gradientOf } from "./ui/pixel_map.js";
import { megabytes, wakingNetwork } from "./ui/waking.js";

/** @import { AnyModel, RenderProps } from "@anywidget/types" */
/** @import { Traits } from "./ui/lifetime.js" */

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
 * @property {{ model: string, bytes: number }} network SHA-256 of the exported model, and what a page loads
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
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("this browser draws no pictures");
  context.putImageData(sheet, 0, 0);
  /** @param {number} k @returns {[x: number, y: number]} */
  const corner = (k) => [(k % across) * width, Math.floor(k / across) * height];
  return {
    canvas,
    corner,
    /** Image k as the network takes it. @param {number} k */
    image: (k) => numbersOf(context.getImageData(...corner(k), width, height), channels),
  };
}

/** An image's pixels as a picture to be seen. @param {ImageData} into @param {Float32Array} image */
function paintImage({ data }, image) {
  const plane = data.length / 4;
  const step = image.length > plane ? plane : 0;
  for (let i = 0, o = 0; i < plane; i += 1, o += 4) {
    for (let c = 0; c < 3; c += 1) data[o + c] = 255 * image[c * step + i];
    data[o + 3] = 255;
  }
}

// ---------------------------------------------------------------- panels

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
  /** @type {[Maps | null, boolean]} */
  let drawn = [null, false];
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
      if (drawn[0] === maps && drawn[1] === dark) return;
      drawn = [maps, dark];
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
      const table = tableOf(maps, dark);
      for (let k = 0; k < count; k += 1) {
        const map = painted(maps, k * height * width, [height, width], table);
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
 * The colours of a layer's maps, 256 from its low to its high end, as a canvas keeps its pixels.
 * @param {Maps} maps @param {boolean} dark @param {(value: number) => number} [opacity] 0 to 1
 */
function tableOf(maps, dark, opacity = () => 1) {
  const colour = colourOf(scaleOf(maps), maps.low, maps.high, dark);
  const bytes = new Uint8ClampedArray(4 * 256);
  for (let k = 0; k < 256; k += 1) {
    const value = maps.low + ((maps.high - maps.low) * k) / 255;
    bytes.set([...colour(value), 255 * opacity(value)], 4 * k);
  }
  return new Uint32Array(bytes.buffer);
}

/**
 * One map as a canvas of its own size.
 * @param {Maps} maps @param {number} first @param {[number, number]} size height and width
 * @param {Uint32Array} table of colours: a million pixels are not to stop the page
 */
function painted({ values, low, high }, first, [height, width], table) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const buffer = context?.createImageData(width, height);
  if (!context || !buffer) return canvas;
  const pixels = new Uint32Array(buffer.data.buffer);
  const scale = 255 / (high - low);
  for (let i = 0; i < pixels.length; i += 1) pixels[i] = table[Math.round((values[first + i] - low) * scale)];
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
        const map = painted(maps, first, [rows, columns], tableOf(maps, dark, opacity));
        context.imageSmoothingEnabled = false;
        context.drawImage(map, 0, 0, canvas.width, canvas.height);
      }
      return { value, row, column };
    },
  };
}

/**
 * A channel's filter, if the image itself is what it sees, and the parts of images at which it is strongest.
 * @param {State["image_shape"]} shape
 */
function findings([, ...size]) {
  const filter = h("div");
  const row = h("ol", { class: "look-patches" });
  const words = ui.note();
  return {
    el: h("div", { class: "look-findings" }, filter, row),
    words,
    /** @param {Layer} layer @param {number} channel @param {ReturnType<typeof cutter>} atlas */
    draw(layer, channel, atlas) {
      const picture = {
        src: layer.filters[channel],
        class: "look-filter",
        alt: `The filter of channel ${channel}`,
      };
      filter.hidden = !layer.filters.length;
      filter.replaceChildren(
        ...layer.filters
          .slice(0, 1)
          .map(() => ui.figure(h("img", picture), "its filter: grey is a weight of 0")),
      );
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
      const isWhole = spans.every((span, axis) => span === size[axis]);
      const sees = isWhole ? "all of it" : `${spans[0]}×${spans[1]} pixels`;
      words.textContent =
        `Of all images that this figure knows, ${isWhole ? "these" : "these parts"} make the channel strongest. ` +
        `What a unit of this layer sees of an image: ${sees}.` +
        (cut ? " Where a part is cut off, the image ends." : "") +
        (layer.filters.length
          ? ""
          : " Its weights look at the layer before, not at the image: as a picture they would say little.");
    },
  };
}

/**
 * The photograph on show, and the ways to one's own.
 * @param {State["image_shape"]} shape @param {HTMLElement} wake
 * @param {{ target: HTMLElement, say: (trouble: string) => void, onPicture: (image: Float32Array, name: string) => void }} options
 */
function photograph([channels, height, width], wake, { target, say, onPicture }) {
  const canvas = h("canvas", {
    class: "companion-image",
    role: "img",
    "aria-label": "The image",
    width,
    height,
  });
  const context = canvas.getContext("2d");
  const own = ownPicture({
    target,
    fit: { width, height },
    onTrouble: say,
    onPicture: (pixels, name) => onPicture(numbersOf(pixels, channels), name),
  });
  return {
    el: ui.stack(canvas, ui.row(wake, ...own.els), own.view),
    clear() {},
    /** @param {Float32Array} image */
    draw(image) {
      const buffer = context?.createImageData(width, height);
      if (!context || !buffer) return;
      paintImage(buffer, image);
      context.putImageData(buffer, 0, 0);
    },
    stop: own.stop,
  };
}

/**
 * The images to choose among.
 * @param {Model} model @param {(image: Float32Array, name: string) => void} onImage
 */
function examplePicker(model, onImage) {
  const [examples, [, height, width]] = [model.get("examples"), model.get("image_shape")];
  /** @type {ReturnType<typeof cutter> | undefined} */
  let atlas;
  const thumbs = examples.map(() => {
    const canvas = h("canvas", { width, height, "aria-hidden": "true" });
    canvas.style.imageRendering = height > 64 ? "auto" : "pixelated";
    return canvas;
  });
  const picker = imagePicker({
    label: "Images to choose among",
    tileClass: "look-tile",
    tiles: examples.map(({ caption }, value) => ({ value, caption, content: thumbs[value] })),
    value: 0,
    onChange(k) {
      if (atlas) onImage(atlas.image(examples[k].image), examples[k].caption);
    },
  });
  return {
    el: picker.el,
    leave: () => picker.set(undefined),
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
 * The network, opened when it is first wanted: by the button `wake`, or a new image.
 * @param {Model} model
 * @param {{ say: (words: string, kind?: "waiting" | "error") => void, onOpen: () => void }} options
 */
function network(model, options) {
  const layers = model.get("layers");
  const of = model.get("network");
  const isDigit = model.get("input") === "digit";
  const label = isDigit ? "Press to draw" : `Load the network, ${megabytes(of.bytes)}`;
  const { wake, run, stop } = wakingNetwork(model, { network: of, label, ...options });
  return {
    wake,
    stop,
    /** What it makes of an image; null if a newer one came. @param {Float32Array} image @returns {Promise<Seen | null>} */
    async look(image) {
      const outputs = await run({ image: { data: image, dims: [1, ...model.get("image_shape")] } });
      if (!outputs) return null;
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

/**
 * One channel closely: its map over the image, how strong it is and where.
 * @param {State["image_shape"]} shape
 */
function closeUp(shape) {
  const numbers = ui.readouts();
  const heading = h("p", { class: "companion-heading" });
  const over = overlay(shape);
  const sees = ui.note(
    "Strongest: ",
    numbers.make("strongest"),
    ", in row ",
    numbers.make("row", String),
    ", column ",
    numbers.make("column", String),
    ". The frame holds all that this unit sees.",
  );
  const silent = ui.note("Nothing in this image makes this channel answer.");
  return {
    el: ui.stack(heading, over.el, sees, silent),
    /** Draws it, and gives its largest value. @param {Seen} seen @param {Layer} layer @param {Maps} maps @param {number} channel @param {boolean} dark */
    draw({ image }, layer, maps, channel, dark) {
      heading.textContent = `Channel ${channel} of ${layer.title}`;
      const { value, row, column } = over.draw(image, layer, maps, channel, dark);
      numbers.set({ strongest: value, row, column });
      sees.hidden = value <= 0;
      silent.hidden = value > 0;
      return value;
    },
  };
}

/** Which layer. @param {Traits<State>} traits */
function layerPicker({ model, put }) {
  const layers = model.get("layers");
  const isShort = layers.map(({ title }) => title).join("").length <= 24; // side by side, also on a phone
  const choice = (isShort ? ui.segmented : ui.select)({
    label: "Layer",
    options: layers.map(({ title }, value) => ({ value, label: title })),
    value: model.get("layer"),
    onChange: (layer) => put({ channel: Math.min(model.get("channel"), layers[layer].shape[0] - 1), layer }),
  });
  const size = ui.note();
  return {
    el: h("div", { class: "companion-panel" }, ui.row(choice.el, size)),
    draw() {
      choice.set(model.get("layer"));
      const [channels, height, width] = layers[model.get("layer")].shape;
      size.textContent =
        height * width > 1
          ? `${channels} channels, each a map of ${height}×${width} numbers`
          : `${channels} channels, each one number: position is gone`;
    },
  };
}

/** @param {RenderProps<State>} props */
function render({ model, el }) {
  const [layers, shape, names] = [model.get("layers"), model.get("image_shape"), model.get("class_names")];
  const isDigit = model.get("input") === "digit";
  let dark = false;
  /** @type {ReturnType<typeof cutter> | undefined} */
  let atlas;
  /** @type {Seen | undefined} */
  let seen;
  const voice = ui.announcer();
  const status = ui.notice();

  const what = isDigit ? "Draw a digit" : "Take a photograph";
  const describe = `${what}, and see what each channel of the network answers to. Press a channel to look closer.`;
  const root = ui.frame({ title: model.get("title"), describe }, voice.el);

  const draw = () => {
    if (!seen || !atlas) return;
    const index = model.get("layer");
    const [layer, maps] = [layers[index], seen.maps[index]];
    const channel = Math.min(model.get("channel"), layer.shape[0] - 1); // an address may ask for another
    input.draw(seen.image);
    classes.draw(seen.probabilities);
    picker.draw();
    grid.draw(layer, maps, dark);
    const value = close.draw(seen, layer, maps, channel, dark);
    grid.choose(channel, `channel ${channel}, strongest ${ui.spoken(value)}`);
    known.draw(layer, channel, atlas);
    if (traits.touched) voice.say(`Channel ${channel} of ${layer.title}, strongest ${ui.spoken(value)}.`);
  };
  const traits = bindTraits(model, ["layer", "channel"], perFrame(draw));
  const net = network(model, { say: status.set, onOpen: () => emit(root, "opened") });

  let newest = 0;
  const show = async (/** @type {Float32Array} */ image, /** @type {string} */ name) => {
    newest += 1;
    const mine = newest;
    try {
      const found = await net.look(image);
      if (!found || mine !== newest) return;
      seen = found;
      draw();
      const { probabilities: p } = seen;
      const best = p.indexOf(Math.max(...p));
      voice.say(`${name}: ${names[best]}, ${Math.round(100 * p[best])} %`);
      emit(root, "painted", { image, probabilities: p });
    } catch (error) {
      status.set(`The network could not be run: ${/** @type {Error} */ (error).message}`, "error");
    }
  };
  const own = (/** @type {Float32Array} */ image, name = "your drawing") => {
    examples.leave();
    show(image, name);
  };

  const examples = examplePicker(model, (image, name) => {
    input.clear();
    show(image, name);
  });
  const input = isDigit
    ? digitPad(shape, net.wake, own)
    : photograph(shape, net.wake, {
        target: root,
        say: (trouble) => status.set(trouble, "error"),
        onPicture: own,
      });
  const classes = verdict(names);
  const picker = layerPicker(traits);
  const grid = channelGrid((channel) => traits.put({ channel }));
  const close = closeUp(shape);
  const known = findings(shape);
  const title = "What makes this channel strong";
  voice.el.before(
    h(
      "div",
      { class: "look-top" },
      input.el,
      ui.stack(
        h("p", { class: "companion-heading" }, "The network says"),
        classes.el,
        ui.note(isDigit ? "Or take one of these:" : "Take one of these, or your own:"),
        examples.el,
        status.el,
      ),
    ),
    picker.el,
    h(
      "div",
      { class: "look-pair" },
      ui.stack(h("p", { class: "companion-heading" }, "All channels"), grid.el),
      close.el,
    ),
    ui.plate({ title, name: title }, known.el, known.words),
  );
  el.append(root);

  const load = async () => {
    const { picture, columns } = model.get("atlas");
    const [sheet, ...maps] = await Promise.all([loadPicture(picture), ...layers.map(mapsOf)]);
    atlas = cutter(sheet, columns, shape);
    examples.open(atlas);
    const image = atlas.image(model.get("examples")[0].image);
    seen = { image, probabilities: model.get("probabilities"), maps };
    draw();
  };
  whenLoaded(root, load());
  const unfollow = followTheme(el, (colours) => {
    dark = isDark(colours);
    draw();
  });
  return lifetime(traits.stop, net.stop, input.stop, unfollow);
}

export default { render };

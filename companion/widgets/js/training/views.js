// The pictures of a model that trains: first-layer weights, predictions, reconstructions, codes, the decoded
// plane, feature maps. Each view says what it wants to know of the present weights, and draws that.

import { imageGrid } from "../ui/canvas.js";
import { classColours, diverging, isDark } from "../ui/colours.js";
import * as ui from "../ui/controls.js";
import { h } from "../ui/controls.js";
import { drawingPad } from "../ui/drawing_pad.js";
import { imagePicker } from "../ui/image_picker.js";

/** @import { Tensor, Tensors } from "../runtime/engine.js" */
/** @import { Rgb } from "../ui/colours.js" */

/** @typedef {Record<string, any> & { kind: string }} View as companion.widgets.live_training describes it */

/**
 * @typedef {object} Context
 * @property {string[]} names of the classes
 * @property {number[]} shape of one image
 * @property {Float32Array} pixels of the first images, in [0, 1]
 * @property {number[]} labels of these
 * @property {() => void} ask for new numbers
 */

/** @typedef {{ functions: Record<string, Tensors>, weights: Float32Array[], data: Tensors }} Seen */

/**
 * @typedef {object} Shown
 * @property {Node} el
 * @property {() => Record<string, Record<string, number | Tensor>>} [functions] that it wants, with their inputs
 * @property {[offset: number, size: number]} [weights] that it wants
 * @property {(seen: Seen, weights: Float32Array | undefined) => void} draw
 * @property {(dark: boolean) => void} [onTheme]
 */

/** The bytes of a text in base64. @param {string} text */
export const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

/** @param {ArrayLike<number>} values */
const largest = (values) => Array.from(values).reduce((most, v) => Math.max(most, Math.abs(v)), 0);

/** @param {ArrayLike<number>} values @param {number} from @param {number} count */
function argmax(values, from, count) {
  let best = 0;
  for (let k = 1; k < count; k += 1) if (values[from + k] > values[from + best]) best = k;
  return best;
}

/** A heading, a sentence, and what belongs to it. @param {string} title @param {...Node} parts */
const plate = (title, ...parts) => ui.plate({ title }, ...parts);

/**
 * Signed numbers as small pictures of equal size: blue below 0, the paper at 0, orange above; three channels
 * as red, green and blue about grey.
 * @param {number} count @param {number[]} shape of one @param {(k: number) => string} caption
 */
function signedTiles(count, [channels, height, width], caption = () => "") {
  const canvases = Array.from({ length: count }, () => {
    const el = h("canvas", { "aria-hidden": "true" });
    [el.width, el.height] = [width, height];
    el.style.imageRendering = "pixelated";
    return el;
  });
  const el = h("div", { class: "training-tiles" });
  canvases.forEach((canvas, k) => {
    const words = caption(k);
    el.append(h("div", {}, canvas, words ? h("span", {}, words) : null));
  });
  const plane = height * width;
  /** @type {ArrayLike<number>} */
  let shown = [];
  let [dark, limit] = [false, 1];
  const show = () =>
    canvases.forEach((canvas, k) => {
      const context = canvas.getContext("2d");
      const image = context?.createImageData(width, height);
      if (!context || !image || !shown.length) return;
      for (let i = 0; i < plane; i += 1) {
        const at = (/** @type {number} */ c) => shown[(k * channels + c) * plane + i] / limit;
        const rgb = channels === 3 ? [0, 1, 2].map((c) => 127.5 * (1 + at(c))) : diverging(at(0), dark);
        image.data.set([...rgb, 255], 4 * i);
      }
      context.putImageData(image, 0, 0);
    });
  return {
    el,
    /** @param {ArrayLike<number>} values @param {number} most the number of the fullest colour */
    draw(values, most) {
      [shown, limit] = [values, most || 1];
      show();
    },
    /** @param {boolean} on */
    onTheme(on) {
      dark = on;
      show();
    },
  };
}

/** @param {View} view @param {Context} context @returns {Shown} */
function filters({ offset, shape, all, limit, start }, { names }) {
  const [count, ...tile] = shape;
  const named = count === names.length && all === count;
  const tiles = signedTiles(count, tile, (k) => (named ? names[k] : ""));
  const full = ui.number({ quantity: "filter-limit", value: limit, format: (v) => ui.fixed(v, 3) });
  tiles.el.setAttribute("role", "img");
  const rest = all > count ? `, the first ${count} of ${all}` : "";
  const what = named ? "one picture a class" : `one picture a unit${rest}`;
  const show = (/** @type {ArrayLike<number>} */ values, /** @type {number} */ most) => {
    tiles.draw(values, most);
    full.set(most);
    tiles.el.setAttribute(
      "aria-label",
      `Weights of the first layer, ${what}; the largest is ${ui.fixed(most, 3)}.`,
    );
  };
  const first = Float32Array.from(new Int8Array(bytesOf(start).buffer), (v) => (v / 127) * limit);
  show(first, limit);
  const words = ui.note(
    `Weights, ${what}: orange where more ink raises its sum, blue where it lowers it; full colour at ±`,
  );
  words.append(full.el, ".");
  return {
    el: plate("First layer", tiles.el, words),
    weights: [offset, first.length],
    draw: (_, weights) => weights && show(weights, largest(weights)),
    onTheme: tiles.onTheme,
  };
}

/** @param {View} view @param {Context} context @returns {Shown} */
function predictions({ count }, { names, shape, pixels, labels }) {
  const tiles = Array.from({ length: count }, (_, k) => {
    const image = imageGrid(shape);
    image.draw(pixels, k);
    const words = h("span", {}, names[labels[k]]);
    return { el: h("div", { class: "training-guess" }, image.el, words), words };
  });
  const grid = h("div", { class: "training-tiles", role: "img" }, ...tiles.map((tile) => tile.el));
  grid.setAttribute("aria-label", `${count} test images, not classified yet.`);
  const right = ui.number({ quantity: "shown-right", value: 0, format: String });
  const story = ui.note(
    "Below each image its class. Once the model trains: what it says, and ✗ where that is wrong.",
  );
  return {
    el: plate("Predictions", grid, story),
    functions: () => ({ test: {} }),
    draw({ functions }) {
      const { data, dims } = functions.test.logits;
      let wrong = "";
      tiles.forEach(({ el, words }, k) => {
        const guess = argmax(data, k * dims[1], dims[1]);
        const good = guess === labels[k];
        el.toggleAttribute("data-wrong", !good);
        words.textContent = good ? names[guess] : `✗ ${names[guess]}`;
        el.title = good ? `rightly ${names[guess]}` : `${names[labels[k]]}, taken for ${names[guess]}`;
        if (!good) wrong += ` ${el.title}.`;
      });
      const hits = tiles.filter(({ el }) => !el.hasAttribute("data-wrong")).length;
      right.set(hits);
      story.replaceChildren(right.el, ` of these ${count} test images are right.`);
      grid.setAttribute("aria-label", `${hits} of ${count} test images are classified rightly.${wrong}`);
    },
  };
}

/** @param {View} view @param {Context} context @returns {Shown} */
function reconstructions({ count }, { shape, pixels }) {
  const label = `${count} test images, and below each its reconstruction.`;
  const grid = imageGrid(shape, { columns: count, rows: 2, gap: 1, label });
  grid.el.classList.add("training-strip");
  for (let k = 0; k < count; k += 1) grid.draw(pixels, k, k, 0);
  return {
    el: plate("Reconstructions", grid.el, ui.note("Above test images, below what the model makes of them.")),
    functions: () => ({ reconstructions: {} }),
    draw({ functions }) {
      const { data } = Object.values(functions.reconstructions)[0];
      for (let k = 0; k < count; k += 1) grid.draw(/** @type {Float32Array} */ (data), k, k, 1);
    },
  };
}

/** @param {View} view @param {Context} context @returns {Shown} */
function grid({ side, reach, shape }) {
  const label = `The plane of codes from −${reach} to ${reach} in both directions, decoded at ${side}×${side} points.`;
  const picture = imageGrid(shape, { columns: side, rows: side, label });
  picture.el.classList.add("training-plane");
  return {
    el: plate(
      "The plane, decoded",
      picture.el,
      ui.note(`The decoder's images for codes from −${reach} to ${reach}.`),
    ),
    functions: () => ({ grid: {} }),
    draw({ functions }) {
      const { data } = Object.values(functions.grid)[0];
      for (let k = 0; k < side * side; k += 1)
        picture.draw(/** @type {Float32Array} */ (data), k, k % side, Math.floor(k / side));
    },
  };
}

const REACHES = [3.5, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 1000];
const PLANE = 340; // CSS pixels along a side

/** The mean of each class, in words. @param {ArrayLike<number>} codes @param {ArrayLike<number>} labels @param {string[]} names */
function means(codes, labels, names) {
  return names.map((name, c) => {
    let [x, y, n] = [0, 0, 0];
    for (let k = 0; k < codes.length / 2; k += 1)
      if (labels[k] === c) [x, y, n] = [x + codes[2 * k], y + codes[2 * k + 1], n + 1];
    return n ? `${name} at ${ui.spoken(x / n, 1)}, ${ui.spoken(y / n, 1)}` : "";
  });
}

/** @param {View} view @param {Context} context @returns {Shown} */
function code({ ellipses, reach: plane }, { names }) {
  const canvas = h("canvas", { class: "training-plane", role: "img" });
  const scale = globalThis.devicePixelRatio || 1;
  canvas.width = canvas.height = Math.round(PLANE * scale);
  const context = canvas.getContext("2d");
  let dark = false;
  /** @type {{ mean: ArrayLike<number>, deviation: ArrayLike<number> | null, labels: ArrayLike<number> } | null} */
  let last = null;
  const show = () => {
    if (!context) return;
    const far = last ? [...Array.from(last.mean, Math.abs)].sort((a, b) => a - b) : [0];
    const reach = REACHES.find((r) => r > 1.05 * far[Math.floor(0.99 * (far.length - 1))]) ?? 1000;
    const unit = PLANE / (2 * reach);
    const ink = dark ? "#e9ecf0" : "#1c2026";
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, PLANE, PLANE);
    context.translate(PLANE / 2, PLANE / 2);
    context.lineWidth = 1;
    context.strokeStyle = ink;
    context.fillStyle = ink;
    context.globalAlpha = 0.25;
    context.beginPath();
    context.moveTo(-PLANE / 2, 0);
    context.lineTo(PLANE / 2, 0);
    context.moveTo(0, -PLANE / 2);
    context.lineTo(0, PLANE / 2);
    if (plane) context.rect(-plane * unit, -plane * unit, 2 * plane * unit, 2 * plane * unit);
    context.stroke();
    context.globalAlpha = 0.75;
    context.font = "12px sans-serif";
    context.textAlign = "end";
    context.textBaseline = "alphabetic";
    context.fillText(String(reach), PLANE / 2 - 4, -5);
    context.textAlign = "start";
    context.fillText(String(reach), 5, 12 - PLANE / 2);
    context.globalAlpha = 1;
    if (!last) return;
    const colours = classColours(names.length || 1, dark);
    const { mean, deviation, labels } = last;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.font = "600 12px sans-serif";
    for (let k = 0; k < mean.length / 2; k += 1) {
      const [x, y] = [mean[2 * k] * unit, -mean[2 * k + 1] * unit];
      context.strokeStyle = context.fillStyle = colours[labels[k] ?? 0];
      if (deviation) {
        context.globalAlpha = 0.35;
        context.beginPath();
        context.ellipse(x, y, deviation[2 * k] * unit, deviation[2 * k + 1] * unit, 0, 0, 2 * Math.PI);
        context.stroke();
        context.globalAlpha = 1;
      }
      context.fillText(names[labels[k]]?.slice(0, 2) ?? "•", x, y);
    }
    const where = means(mean, labels, names).filter(Boolean).join("; ");
    canvas.setAttribute(
      "aria-label",
      `Codes of ${mean.length / 2} test images. Means of the classes: ${where}.`,
    );
  };
  canvas.setAttribute("aria-label", "The plane of codes, empty until the model trains.");
  show();
  const words = ellipses ? " Around each code its posterior: one standard deviation." : "";
  const square = plane ? ` The square is what is decoded beside it.` : "";
  return {
    el: plate(
      "Codes",
      canvas,
      ui.note(`Test images at their codes, written as their class.${words}${square}`),
    ),
    functions: () => ({ code: {} }),
    draw({ functions, data }) {
      const { mean, log_var: spread } = functions.code;
      last = {
        mean: /** @type {Float32Array} */ (mean.data),
        deviation: spread
          ? Float32Array.from(/** @type {Float32Array} */ (spread.data), (v) => Math.exp(v / 2))
          : null,
        labels: /** @type {Int32Array} */ (data.labels?.data ?? []),
      };
      show();
    },
    onTheme(on) {
      dark = on;
      show();
    },
  };
}

/** @param {View} view @param {Context} context @returns {Shown} */
function featureMaps({ maps }, { names, shape, pixels, labels, ask }) {
  const [, height, width] = shape;
  const size = pixels.length ? shape.reduce((a, b) => a * b, 1) : 0;
  const [, count, ...side] = maps;
  let image = pixels.slice(0, size);
  const tiles = signedTiles(count, [1, ...side]);
  tiles.el.setAttribute("role", "img");
  tiles.el.setAttribute(
    "aria-label",
    `${count} feature maps of the first convolution, empty until the model trains.`,
  );
  // One image of each class, as far as they are there.
  const firsts = [...new Set(labels.length ? labels : pixels.slice(0, 8).keys())].sort((a, b) => a - b);
  const choices = firsts.map((label) => {
    const k = labels.length ? labels.indexOf(label) : label;
    const tile = imageGrid(shape);
    tile.draw(pixels, k);
    return { value: k, caption: labels.length ? names[label] : `image ${k + 1}`, content: tile.el };
  });
  const look = (/** @type {Float32Array} */ next) => {
    image = next;
    ask();
  };
  const picker = imagePicker({
    label: "Image",
    tiles: choices,
    value: 0,
    tileClass: "training-pick",
    onChange: (k) => look(pixels.slice(k * size, (k + 1) * size)),
  });
  const own =
    shape[0] === 1
      ? drawingPad({
          label: "Draw an image of your own",
          height,
          width,
          radius: Math.max(0.75, (1.1 * height) / 28),
          onChange(drawn) {
            picker.set(undefined);
            look(drawn);
          },
        })
      : null;
  const verdict = h("p", { class: "training-verdict" }, "…");
  const sure = ui.number({ quantity: "own-probability", value: 0, format: (v) => ui.fixed(v, 2) });
  return {
    el: plate(
      "Feature maps of the first convolution",
      h("div", { class: "training-own" }, ui.stack(picker.el, own?.el ?? ""), ui.stack(tiles.el, verdict)),
    ),
    functions: () => ({ "feature maps": { image: { data: image.slice(), dims: [1, ...shape] } } }),
    draw({ functions }) {
      const { maps: found, logits } = functions["feature maps"];
      const values = /** @type {Float32Array} */ (found.data);
      const most = largest(values);
      tiles.draw(values, most);
      const words = `${count} feature maps; the largest value is ${ui.fixed(most, 2)}.`;
      tiles.el.setAttribute("aria-label", words);
      if (!logits) {
        verdict.textContent = words;
        return;
      }
      const z = /** @type {Float32Array} */ (logits.data);
      const best = argmax(z, 0, z.length);
      sure.set(1 / z.reduce((sum, v) => sum + Math.exp(v - z[best]), 0));
      verdict.replaceChildren("The model says ", h("strong", {}, names[best]), ", p = ", sure.el, ".");
    },
    onTheme: tiles.onTheme,
  };
}

/** @type {Record<string, (view: View, context: Context) => Shown>} */
const MAKERS = { filters, predictions, reconstructions, code, grid, "feature maps": featureMaps };

/**
 * Views, what they want to know together, and a way to draw it.
 * @param {View[]} views @param {Context} context
 */
export function viewsOf(views, context) {
  const all = views.map((view) => ({ kind: view.kind, ...MAKERS[view.kind](view, context) }));
  return {
    els: all.map(({ el }) => el),
    /** What the engine is to compute. */
    wanted: () => ({
      functions: Object.assign({}, ...all.map(({ functions }) => functions?.() ?? {})),
      weights: all.flatMap(({ weights }) => (weights ? [weights] : [])),
    }),
    /** @param {Seen} seen */
    draw(seen) {
      const weights = [...seen.weights];
      for (const view of all) view.draw(seen, view.weights && weights.shift());
    },
    /** @param {{ [token: string]: string }} colours */
    onTheme(colours) {
      for (const view of all) view.onTheme?.(isDark(colours));
    },
  };
}

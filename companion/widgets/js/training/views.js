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
/** float32 numbers of a text in base64. @param {string} text */
export const floatsOf = (text) => new Float32Array(bytesOf(text).buffer);
/** Images in [0, 1] of a text in base64, uint8. @param {string} text */
export const pixelsOf = (text) => Float32Array.from(bytesOf(text), (v) => v / 255);

/** @param {ArrayLike<number>} values */
export const largest = (values) => Array.from(values).reduce((most, v) => Math.max(most, Math.abs(v)), 0);

/** @param {ArrayLike<number>} values @param {number} from @param {number} count */
function argmax(values, from, count) {
  let best = 0;
  for (let k = 1; k < count; k += 1) if (values[from + k] > values[from + best]) best = k;
  return best;
}

/** A heading, a sentence, and what belongs to it. @param {string} title @param {...Node} parts */
const plate = (title, ...parts) => ui.plate({ title }, ...parts);

/**
 * Small images in rows, each with a place for words below it and, over both, for a frame.
 * @param {number[]} shape of one image
 * @param {number} count
 * @param {number} columns
 * @param {boolean} words whether there are any
 */
function rows([, height, width], count, columns, words) {
  const buffer = new ImageData(width, height);
  /** @type {{ cell: HTMLElement, caption: HTMLElement, put: () => void }[]} */
  const places = [];
  const el = h("div", { class: "training-rows", role: "img" });
  for (let first = 0; first < count; first += columns) {
    const canvas = h("canvas", { "aria-hidden": "true" });
    [canvas.width, canvas.height] = [columns * (width + 1) - 1, height];
    canvas.style.imageRendering = "pixelated";
    const context = canvas.getContext("2d");
    const row = h("div", { class: "training-row", style: `--columns: ${columns}` }, canvas);
    for (let k = first; k < Math.min(first + columns, count); k += 1) {
      const caption = h("span", {});
      const frame = h("span", { style: `aspect-ratio: ${width} / ${height}` });
      const cell = h("div", { style: `grid-column: ${k - first + 1}` }, frame, words ? caption : null);
      places.push({ cell, caption, put: () => context?.putImageData(buffer, (k - first) * (width + 1), 0) });
      row.append(cell);
    }
    el.append(row);
  }
  return {
    el,
    places,
    /** @param {number} k @param {(pixel: number) => Rgb} colour */
    paint(k, colour) {
      for (let i = 0; i < width * height; i += 1) buffer.data.set([...colour(i), 255], 4 * i);
      places[k].put();
    },
  };
}

/**
 * Signed numbers as small pictures: blue below 0, the paper at 0, orange above; three channels as red, green and
 * blue about grey.
 * @param {number[]} shape of one @param {number} count @param {number} columns @param {string[]} captions
 */
export function signedRows(shape, count, columns, captions = []) {
  const grid = rows(shape, count, columns, captions.length > 0);
  captions.forEach((caption, k) => grid.places[k].caption.append(caption));
  const [channels, height, width] = shape;
  const plane = height * width;
  /** @type {ArrayLike<number>} */
  let shown = [];
  let [dark, limit] = [false, 1];
  const show = () => {
    if (!shown.length) return;
    for (let k = 0; k < count; k += 1) {
      const at = (/** @type {number} */ i, c = 0) => shown[(k * channels + c) * plane + i] / limit;
      grid.paint(k, (i) =>
        channels === 3 ? [0, 1, 2].map((c) => 127.5 * (1 + at(i, c))) : diverging(at(i), dark),
      );
    }
  };
  return {
    el: grid.el,
    cells: grid.places.map(({ cell }) => cell),
    /** @param {ArrayLike<number>} values @param {number} most the number of the fullest colour @param {string} label */
    draw(values, most, label) {
      [shown, limit] = [values, most || 1];
      grid.el.setAttribute("aria-label", label);
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
  const grid = signedRows(tile, count, named ? Math.min(count, 5) : 8, named ? names : []);
  const full = ui.number({ quantity: "filter-limit", value: limit, format: (v) => ui.fixed(v, 3) });
  const what = named
    ? "one picture a class"
    : `one picture a unit${all > count ? `, ${count} of ${all}` : ""}`;
  const show = (/** @type {ArrayLike<number>} */ values, /** @type {number} */ most) => {
    grid.draw(values, most, `Weights of the first layer, ${what}; the largest is ${ui.fixed(most, 3)}.`);
    full.set(most);
  };
  const first = Float32Array.from(new Int8Array(bytesOf(start).buffer), (v) => (v / 127) * limit);
  show(first, limit);
  const words = ui.note(
    `Weights, ${what}: a bright pixel counts for it where orange, against it where blue. `,
  );
  words.append("Fullest colour: ±", full.el, ".");
  return {
    el: plate("First layer", grid.el, words),
    weights: [offset, first.length],
    draw: (_, weights) => weights && show(weights, largest(weights)),
    onTheme: grid.onTheme,
  };
}

/** The colour of a pixel of image `k`. @param {Float32Array} pixels @param {number[]} shape @param {number} k */
function pixelOf(pixels, [channels, height, width], k) {
  const plane = height * width;
  const at = (/** @type {number} */ i, /** @type {number} */ c) =>
    255 * pixels[(k * channels + Math.min(c, channels - 1)) * plane + i];
  return (/** @type {number} */ i) => [at(i, 0), at(i, 1), at(i, 2)];
}

/** @param {View} view @param {Context} context @returns {Shown} */
function predictions({ count }, { names, shape, pixels, labels }) {
  const grid = rows(shape, count, count === 24 ? 8 : 6, true);
  grid.places.forEach(({ caption }, k) => {
    grid.paint(k, pixelOf(pixels, shape, k));
    caption.append(names[labels[k]]);
  });
  grid.el.setAttribute("aria-label", `${count} test images, not classified yet.`);
  const right = ui.number({ quantity: "shown-right", value: 0, format: String });
  const story = ui.note(
    "Test images with their classes. Once it trains: what the model says, ✗ where it is wrong.",
  );
  return {
    el: plate("Predictions", grid.el, story),
    functions: () => ({ test: {} }),
    draw({ functions }) {
      const { data, dims } = functions.test.logits;
      const wrong = grid.places.map(({ cell, caption }, k) => {
        const guess = argmax(/** @type {Float32Array} */ (data), k * dims[1], dims[1]);
        const good = guess === labels[k];
        cell.toggleAttribute("data-wrong", !good);
        caption.textContent = good ? names[guess] : `✗ ${names[guess]}`;
        cell.title = good ? "" : `${names[labels[k]]}, taken for ${names[guess]}`;
        return cell.title;
      });
      const hits = wrong.filter((title) => !title).length;
      right.set(hits);
      story.replaceChildren(right.el, ` of these ${count} test images are right.`);
      const words = wrong.filter((title) => title).join("; ");
      grid.el.setAttribute("aria-label", `${hits} of ${count} test images are classified rightly. ${words}`);
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
    el: h(
      "div",
      { class: "companion-wide-part" },
      plate("Reconstructions", grid.el, ui.note("Above test images, below what the model makes of them.")),
    ),
    functions: () => ({ reconstructions: {} }),
    draw({ functions }) {
      const { data } = Object.values(functions.reconstructions)[0];
      for (let k = 0; k < count; k += 1) grid.draw(/** @type {Float32Array} */ (data), k, k, 1);
    },
  };
}

/** @param {View} view @returns {Shown} */
function grid({ side, reach, shape }) {
  const label = `The plane of codes from −${reach} to ${reach} in both directions, decoded at ${side}×${side} points.`;
  const picture = imageGrid(shape, { columns: side, rows: side, gap: 1, label });
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
    const at = Array.from({ length: mean.length / 2 }, (_, k) => [
      mean[2 * k] * unit,
      -mean[2 * k + 1] * unit,
    ]);
    context.globalAlpha = 0.3;
    at.forEach(([x, y], k) => {
      if (!deviation) return;
      context.strokeStyle = colours[labels[k] ?? 0];
      context.beginPath();
      context.ellipse(x, y, deviation[2 * k] * unit, deviation[2 * k + 1] * unit, 0, 0, 2 * Math.PI);
      context.stroke();
    });
    context.globalAlpha = 1;
    at.forEach(([x, y], k) => {
      context.fillStyle = colours[labels[k] ?? 0];
      context.fillText(names[labels[k]]?.slice(0, 2) ?? "•", x, y);
    });
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
  let image = new Float32Array(pixels.subarray(0, size));
  const tiles = signedRows([1, ...side], count, count % 8 ? 6 : 8);
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
    image = new Float32Array(next);
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
  const verdict = h("p", {}, "Pick an image, or draw one: once the model trains, here is what it says.");
  const sure = ui.number({ quantity: "own-probability", value: 0, format: (v) => ui.fixed(v, 2) });
  return {
    el: h(
      "div",
      { class: "companion-wide-part" },
      plate(
        "Feature maps of the first convolution",
        ui.split([tiles.el, verdict, ui.note("Orange above 0, blue below.")], [picker.el, own?.el ?? ""]),
      ),
    ),
    functions: () => ({ "feature maps": { image: { data: image.slice(), dims: [1, ...shape] } } }),
    draw({ functions }) {
      const { maps: found, logits } = functions["feature maps"];
      const values = /** @type {Float32Array} */ (found.data);
      const most = largest(values);
      const words = `${count} feature maps; the largest value is ${ui.fixed(most, 2)}.`;
      tiles.draw(values, most, words);
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
    /** One a frame, so that none keeps the page busy for long. @param {Seen} seen */
    async draw(seen) {
      const weights = [...seen.weights];
      for (const view of all) {
        await new Promise(requestAnimationFrame);
        view.draw(seen, view.weights && weights.shift());
      }
    },
    /** @param {{ [token: string]: string }} colours */
    onTheme(colours) {
      for (const view of all) view.onTheme?.(isDark(colours));
    },
  };
}

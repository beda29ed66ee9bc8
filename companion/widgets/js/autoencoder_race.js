// An autoencoder against PCA with as many numbers: errors, reconstructions, the angle between their subspaces,
// their axes. The steps are those of training/bench.js.

import { largestAngle, mostAlike } from "./maths/subspaces.js";
import { bench } from "./training/bench.js";
import { samples } from "./training/curves.js";
import { floatsOf, largest, pixelsOf, signedRows } from "./training/views.js";
import { imageGrid } from "./ui/canvas.js";
import { followTheme, isDark } from "./ui/colours.js";
import * as ui from "./ui/controls.js";
import { h } from "./ui/controls.js";
import { bindTraits, lifetime, perFrame, traitSlider } from "./ui/lifetime.js";
import { lineChart } from "./ui/line_chart.js";

/** @import { AnyModel, RenderProps } from "@anywidget/types" */
/** @import { Point } from "./ui/axes.js" */
/** @import { Plan } from "./training/bench.js" */
/** @import { Columns } from "./maths/subspaces.js" */

/** @typedef {"linear" | "deep"} Kind */

/**
 * What Python's training reached: errors and angles over its steps, and what was to be seen at their end.
 * @typedef {object} Rest
 * @property {number} steps
 * @property {Point[]} curve
 * @property {number} test_error
 * @property {string} reconstructions
 * @property {Point[]} [angles]
 * @property {string} [decoder]
 */

/**
 * @typedef {object} State
 * @property {Record<Kind, Plan & { decoder?: { offset: number, shape: [pixels: number, columns: number] } }>} trainings
 * @property {{ mean: string, components: string, errors: number[], test_errors: number[] }} pca
 * @property {{ shape: number[], pixels: string }} images to show
 * @property {{ k: number, seed: number } & Record<Kind, Rest>} rest
 * @property {number} k
 * @property {number} k_max
 * @property {Kind} kind
 * @property {number} seed
 * @property {string} title
 */

/** What is to be seen of an autoencoder at one time. @typedef {{ images: Float32Array, decoder?: Float32Array }} Seen */

const three = (/** @type {number} */ v) => ui.fixed(v, 3);
const degrees = (/** @type {number} */ v) => `${ui.fixed(v, v < 1 ? 3 : 1)}°`;
const missing = (/** @type {(v: number) => string} */ format) => (/** @type {number | null} */ v) =>
  v === null ? "–" : format(v);

/** PCA, as Python found it. @param {AnyModel<State>} model */
function principal(model) {
  const { mean, components } = model.get("pca");
  const middle = floatsOf(mean);
  const axes = floatsOf(components);
  const size = middle.length;
  const axis = (/** @type {number} */ j) => axes.subarray(j * size, (j + 1) * size);
  return {
    /** The first k components. @param {number} k */
    first: (k) => axes.subarray(0, k * size),
    /** @param {number} k @returns {Columns} */
    columns: (k) => Array.from({ length: k }, (_, j) => Float64Array.from(axis(j))),
    /** Images from k numbers each. @param {Float32Array} images @param {number} k */
    rebuild(images, k) {
      const all = new Float32Array(images.length);
      for (let from = 0; from < images.length; from += size) {
        const image = images.subarray(from, from + size).map((v, i) => v - middle[i]);
        const into = all.subarray(from, from + size);
        into.set(middle);
        for (let j = 0; j < k; j += 1) {
          const along = axis(j).reduce((sum, v, i) => sum + v * image[i], 0);
          for (let i = 0; i < size; i += 1) into[i] += along * axis(j)[i];
        }
      }
      return all;
    },
  };
}

/** Originals, PCA's images and the autoencoder's, in three rows. @param {AnyModel<State>} model @param {ReturnType<typeof principal>} pca */
function comparison(model, pca) {
  const { shape, pixels } = model.get("images");
  const originals = pixelsOf(pixels);
  const [count, ...image] = shape;
  const rows = ["Test images", "PCA", "Autoencoder"].map((words) => {
    const grid = imageGrid(image, { columns: count, gap: 1, label: words });
    grid.el.classList.add("training-strip");
    const name = h("span", {}, words);
    return { grid, name, el: ui.stack(h("p", { class: "race-name" }, name), grid.el) };
  });
  const [first, second, third] = rows;
  const numbers = ui.readouts(missing(three));
  const cell = (/** @type {string} */ quantity) => h("td", {}, numbers.make(quantity));
  const table = h(
    "table",
    { class: "race-errors" },
    h("caption", {}, "Error ‖x − x̂‖² an image"),
    h("tr", {}, h("td"), h("th", { scope: "col" }, "training"), h("th", { scope: "col" }, "test")),
    h("tr", {}, h("th", { scope: "row" }, "PCA"), cell("pca-error"), cell("pca-test-error")),
    h("tr", {}, h("th", { scope: "row" }, "autoencoder"), cell("error"), cell("test-error")),
  );
  const fill = (/** @type {typeof first} */ { grid }, /** @type {Float32Array} */ images) => {
    for (let j = 0; j < count; j += 1) grid.draw(images, j, j);
  };
  fill(first, originals);
  let drawn = 0;
  return {
    el: ui.plate(
      { title: "The same images from k numbers" },
      ui.split(
        rows.map(({ el }) => el),
        [table],
      ),
    ),
    drawPca() {
      const k = model.get("k");
      const { errors, test_errors } = model.get("pca");
      numbers.set({ "pca-error": errors[k - 1], "pca-test-error": test_errors[k - 1] });
      if (k === drawn) return;
      drawn = k;
      const words = `PCA, k = ${k}`;
      second.name.textContent = words;
      second.grid.el.setAttribute(
        "aria-label",
        `${count} test images as PCA rebuilds them from ${k} numbers.`,
      );
      fill(second, pca.rebuild(originals, k));
    },
    /** @param {Seen | null} seen @param {number | null} error @param {number | null} test */
    draw(seen, error, test) {
      const [kind, k] = [model.get("kind"), model.get("k")];
      numbers.set({ error, "test-error": test });
      third.name.textContent = `${kind === "deep" ? "Deep" : "Linear"} autoencoder, k = ${k}${seen ? "" : ": not trained yet"}`;
      third.grid.el.setAttribute(
        "aria-label",
        seen ? `The same images as the ${kind} autoencoder rebuilds them from ${k} numbers.` : "Nothing yet.",
      );
      fill(third, seen?.images ?? new Float32Array(originals.length));
    },
  };
}

/** Both sets of axes as images. @param {AnyModel<State>} model @param {ReturnType<typeof principal>} pca */
function axesOf(model, pca) {
  const [, ...image] = model.get("images").shape;
  const places = ["Principal components", "Decoder’s columns"].map((title) => {
    const box = h("div", {});
    return { box, el: ui.stack(h("p", { class: "race-name" }, title), box) };
  });
  const alike = ui.number({ quantity: "alike", value: null, format: missing((v) => ui.fixed(v, 2)) });
  const size = image.reduce((a, b) => a * b, 1);
  let dark = false;
  /** @type {{ grid: ReturnType<typeof signedRows>, k: number }[]} */
  const grids = [];
  const put = (
    /** @type {number} */ place,
    /** @type {Float32Array} */ values,
    /** @type {string} */ words,
  ) => {
    const k = values.length / size;
    if (grids[place]?.k !== k) {
      grids[place] = { grid: signedRows(image, k, 8), k };
      places[place].box.replaceChildren(grids[place].grid.el);
      grids[place].grid.onTheme(dark);
    }
    // Each by its own largest number: only the pattern counts, not the length.
    const own = values.slice();
    for (let j = 0; j < k; j += 1) {
      const one = own.subarray(j * size, (j + 1) * size);
      const most = largest(one) || 1;
      one.forEach((v, i) => {
        one[i] = v / most;
      });
    }
    grids[place].grid.draw(own, 1, words);
  };
  return {
    el: ui.plate(
      { title: "The same subspace, other axes" },
      h("div", { class: "companion-halves" }, ...places.map(({ el }) => el)),
      ui.note(
        "What one unit of each number adds to the image: orange brighter, blue darker, each by its own largest. The largest |cosine| between a column and a component is ",
        alike.el,
        "; 1 would be the same axis.",
      ),
    ),
    drawPca() {
      const k = model.get("k");
      put(0, pca.first(k), `The first ${k} principal components.`);
    },
    /** @param {Columns | null} columns */
    draw(columns) {
      const k = model.get("k");
      const values = new Float32Array(k * size);
      columns?.forEach((column, j) => values.set(column, j * size));
      put(1, values, columns ? `The ${k} columns of the decoder's matrix.` : "Not trained yet.");
      alike.set(columns && mostAlike(columns, pca.columns(k)));
    },
    onTheme(/** @type {boolean} */ on) {
      dark = on;
      for (const { grid } of grids) grid.onTheme(on);
    },
  };
}

/** The first k columns of a matrix that lies row by row. @param {Float32Array} matrix @param {number} width @param {number} k @returns {Columns} */
const columnsOf = (matrix, width, k) =>
  Array.from({ length: k }, (_, j) =>
    Float64Array.from({ length: matrix.length / width }, (__, i) => matrix[i * width + j]),
  );

/** Errors over the steps of both autoencoders, with PCA's as a line; the angle. @param {AnyModel<State>} model */
function history(model) {
  const errors = lineChart({
    ...{
      x: "step",
      y: "Error ‖x − x̂‖² on the training images",
      height: 260,
      range: [0, null],
      format: three,
    },
    series: [
      { name: "linear autoencoder", quantity: "error-linear", token: "data-1" },
      { name: "deep autoencoder", quantity: "error-deep", token: "data-2" },
      { name: "PCA", token: "data-6", mark: "dashed" },
    ],
  });
  const angles = lineChart({
    ...{
      x: "step",
      y: "Largest angle to PCA’s subspace, in degrees",
      height: 260,
      range: [0, 90],
      format: degrees,
    },
    series: [{ name: "linear autoencoder", quantity: "angle", token: "data-1" }],
  });
  /** @type {Record<Kind | "angle", ReturnType<typeof samples>>} */
  let all = { linear: samples(), deep: samples(), angle: samples() };
  const angleBox = ui.stack(angles.el);
  return {
    el: h("div", { class: "companion-halves" }, errors.el, angleBox),
    clear() {
      all = { linear: samples(), deep: samples(), angle: samples() };
    },
    /** @param {Kind | "angle"} name @param {number} step @param {number} value */
    add: (name, step, value) => all[name].add(step, value),
    /** @param {Rest & { kind: Kind } | null} rest instead of what was trained in the page */
    draw(rest) {
      const isDeep = model.get("kind") === "deep";
      const lines = {
        linear: rest ? (isDeep ? [] : rest.curve) : all.linear.line(),
        deep: rest ? (isDeep ? rest.curve : []) : all.deep.line(),
      };
      const end = Math.max(1, ...[...lines.linear, ...lines.deep].map(([step]) => step));
      const level = model.get("pca").errors[model.get("k") - 1];
      // What the first steps are far above would hide the race.
      const top = 4 * level;
      const shown = (/** @type {Point[]} */ line) =>
        line.map(([step, v]) => /** @type {Point} */ ([step, v > top && step < end / 4 ? NaN : v]));
      errors.draw([
        shown(lines.linear),
        shown(lines.deep),
        [
          [0, level],
          [end, level],
        ],
      ]);
      angles.draw([rest ? (rest.angles ?? []) : all.angle.line()]);
      angleBox.hidden = isDeep;
    },
    stop: lifetime(errors.stop, angles.stop),
  };
}

/** @param {RenderProps<State>} props */
function render({ model, el }) {
  const pca = principal(model);
  const voice = ui.announcer();
  const rows = comparison(model, pca);
  const axes = axesOf(model, pca);
  const curves = history(model);
  let touched = false; // something was trained here: what Python reached is shown no more

  const restNow = () => {
    const rest = model.get("rest");
    const fits = !touched && rest.k === model.get("k") && rest.seed === model.get("seed");
    return fits ? { ...rest[model.get("kind")], kind: model.get("kind") } : null;
  };
  const columns = (/** @type {Float32Array | undefined} */ decoder) =>
    decoder ? columnsOf(decoder, model.get("k_max"), model.get("k")) : null;
  /** @param {Seen | null} seen @param {number | null} error @param {number | null} test */
  const drawSeen = (seen, error, test) => {
    rows.draw(seen, error, test);
    if (model.get("kind") === "linear") axes.draw(columns(seen?.decoder));
  };
  const drawRest = () => {
    const rest = restNow();
    curves.draw(rest);
    drawSeen(
      rest && {
        images: pixelsOf(rest.reconstructions),
        decoder: rest.decoder ? floatsOf(rest.decoder) : undefined,
      },
      rest ? rest.curve[rest.curve.length - 1][1] : null,
      rest ? rest.test_error : null,
    );
  };
  const training = bench({
    ...{ model, el, plans: model.get("trainings"), active: () => model.get("kind"), root: () => root },
    cause: "the steps are too large for these images",
    acting: "Moving k starts anew.",
    numbers: () => ({ k: model.get("k") }),
    look() {
      const decoder = model.get("trainings")[model.get("kind")].decoder;
      return {
        functions: { view: { k: model.get("k") } },
        weights: decoder ? [[decoder.offset, decoder.shape[0] * decoder.shape[1]]] : [],
      };
    },
    onSeen({ functions: { view }, weights: [decoder], steps }) {
      touched = true;
      const [kind, k] = [model.get("kind"), model.get("k")];
      const [error, test] = [Number(view.error.data[0]), Number(view.test_error.data[0])];
      curves.add(kind, steps, error);
      if (decoder) {
        const angle = largestAngle(/** @type {Columns} */ (columns(decoder)), pca.columns(k));
        curves.add("angle", steps, (180 * angle) / Math.PI);
      }
      drawSeen({ images: /** @type {Float32Array} */ (view.reconstructions.data), decoder }, error, test);
      curves.draw(null);
    },
    onReset() {
      curves.clear();
      drawRest();
    },
    onSeed: (seed) => traits.put({ seed }),
    rest: restNow,
  });

  let [k, kind, seed] = [model.get("k"), model.get("kind"), model.get("seed")];
  const draw = () => {
    const next = { k: model.get("k"), kind: model.get("kind"), seed: model.get("seed") };
    way.set(next.kind);
    axes.el.hidden = next.kind === "deep";
    rows.drawPca();
    axes.drawPca();
    const isNew = next.k !== k || next.seed !== seed;
    const isOther = next.kind !== kind;
    ({ k, kind, seed } = next);
    if (isNew) training.reset(true);
    else if (isOther) {
      drawRest();
      training.change();
      training.picture();
    }
  };
  const traits = bindTraits(model, ["kind", "seed"], perFrame(draw));
  const numbers = traitSlider(traits, "k", {
    ...{ label: ui.maths("k"), name: "k, the numbers an image", min: 1, max: model.get("k_max"), step: 1 },
    format: String,
    describe: (v) => `${v} ${v === 1 ? "number" : "numbers"} an image`,
  });
  const way = ui.segmented({
    label: "Autoencoder",
    options: ["linear", "deep"],
    value: kind,
    onChange(next) {
      traits.put({ kind: next });
      voice.say(`The ${next} autoencoder.`);
    },
  });
  const root = ui.frame(
    { title: model.get("title") },
    h("div", { class: "companion-panel companion-sticky" }, training.tools, ui.sliders(numbers.el), way.el),
    training.status,
    curves.el,
    rows.el,
    axes.el,
    voice.el,
  );
  el.append(root);
  root.dataset.training = "idle";
  draw();
  training.change();
  drawRest();
  return lifetime(
    training.stop,
    curves.stop,
    traits.stop,
    followTheme(root, (colours) => axes.onTheme(isDark(colours))),
  );
}

export default { render };

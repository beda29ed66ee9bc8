// An over-wide code whose penalty moves while it trains: the units' weights, how many are on, the dead ones, the
// error, and one image as the sum of its units. The steps are training/bench.js's.

import { bench } from "./training/bench.js";
import { changes, three } from "./training/charts.js";
import { samples } from "./training/curves.js";
import { bytesOf, floatsOf, largest, pixelsOf, signedRows } from "./training/views.js";
import { imageGrid } from "./ui/canvas.js";
import { followTheme, isDark } from "./ui/colours.js";
import * as ui from "./ui/controls.js";
import { h } from "./ui/controls.js";
import { imagePicker } from "./ui/image_picker.js";
import { bindTraits, lifetime, perFrame, traitSlider } from "./ui/lifetime.js";
import { lineChart } from "./ui/line_chart.js";

/** @import { AnyModel, RenderProps } from "@anywidget/types" */
/** @import { Point } from "./ui/axes.js" */
/** @import { Plan } from "./training/bench.js" */

/** @typedef {"none" | "L1" | "KL"} Penalty */
/** @typedef {[step: number, error: number, active: number, dead: number]} Place of the curves; the shares in per cent */

/**
 * @typedef {object} State
 * @property {Plan} training
 * @property {{ offset: number, units: number }} matrix where the units' weights lie
 * @property {{ shape: number[], pixels: string }} images that can be taken apart
 * @property {Penalty} penalty
 * @property {number} weight
 * @property {number} rho
 * @property {number} selected
 * @property {number} seed
 * @property {{ penalty: Penalty, weight: number, rho: number, seed: number, steps: number, curve: Place[],
 *   filters: string, often: string, codes: string, reconstructions: string }} rest
 * @property {string} title
 */

/**
 * What is to be seen at one time.
 * @typedef {object} Seen
 * @property {Float32Array} filters the units' weights, one after the other
 * @property {Float32Array} often the share of images for which each unit is on
 * @property {Float32Array} codes of the images that can be taken apart
 * @property {Float32Array} reconstructions of these
 */

const STRONGEST = 8; // units of an image that are shown
const percent = (/** @type {number} */ v) => `${ui.fixed(v, 1)} %`;

/** Error and shares over the steps. @param {AnyModel<State>} model */
function history(model) {
  const { units } = model.get("matrix");
  const errors = lineChart({
    ...{ x: "step", y: "Error ‖x − x̂‖² on test images", height: 240, range: [0, null], format: three },
    series: [{ name: "error", quantity: "error", token: "data-1" }],
  });
  const shares = lineChart({
    ...{ x: "step", y: "Units, in per cent", height: 240, range: [0, 100], format: percent },
    series: [
      { name: "on for an image", quantity: "active", token: "data-3" },
      { name: "dead", token: "data-2", mark: "dashed" },
    ],
  });
  const lines = [samples(), samples(), samples()];
  let kept = lines;
  const marks = changes();
  const dead = ui.number({ quantity: "dead", value: null, format: (v) => (v === null ? "–" : String(v)) });
  return {
    el: ui.stack(
      h("div", { class: "companion-halves" }, errors.el, shares.el),
      h("p", {}, dead.el, ` of ${units} units are dead: on for none of the images to learn from.`),
    ),
    clear() {
      kept = [samples(), samples(), samples()];
      marks.clear();
    },
    /** @param {Place} place */
    add: ([step, ...values]) => values.forEach((v, k) => kept[k].add(step, v)),
    mark: marks.add,
    /** @param {Place[] | null} rest instead of what was trained here */
    draw(rest) {
      const all = rest
        ? [1, 2, 3].map((k) => rest.map((place) => /** @type {Point} */ ([place[0], place[k]])))
        : kept.map((each) => each.line());
      errors.draw([all[0]], { marks: marks.all });
      shares.draw([all[1], all[2]], { marks: marks.all });
      const last = all[2].at(-1);
      dead.set(last ? Math.round((last[1] * units) / 100) : null);
    },
    stop: lifetime(errors.stop, shares.stop),
  };
}

/** All units' weights as pictures; the dead ones are crossed. @param {AnyModel<State>} model */
function allUnits(model) {
  const { units } = model.get("matrix");
  const [, ...image] = model.get("images").shape;
  const grid = signedRows(image, units, 16);
  grid.el.classList.add("sparse-units");
  grid.el.setAttribute("aria-label", `${units} units, not trained yet.`);
  return {
    el: ui.plate(
      { title: `The ${units} units` },
      grid.el,
      ui.note(
        "What each adds to an image, by its own largest weight: orange brighter, blue darker. Crossed: dead.",
      ),
    ),
    /** @param {Seen | null} seen */
    draw(seen) {
      const own = seen ? seen.filters.slice() : new Float32Array(units * image.reduce((a, b) => a * b, 1));
      const size = own.length / units;
      for (let j = 0; j < units; j += 1) {
        const one = own.subarray(j * size, (j + 1) * size);
        const most = largest(one) || 1;
        one.forEach((v, i) => {
          one[i] = v / most;
        });
        grid.cells[j].toggleAttribute("data-dead", seen?.often[j] === 0);
      }
      const dead = seen ? seen.often.filter((v) => v === 0).length : 0;
      grid.draw(
        own,
        1,
        seen ? `The weights of ${units} units; ${dead} are dead.` : `${units} units, not trained yet.`,
      );
    },
    onTheme: grid.onTheme,
  };
}

/** One image as the sum of its units. @param {AnyModel<State>} model @param {(selected: number) => void} onSelect */
function apart(model, onSelect) {
  const { shape, pixels } = model.get("images");
  const [count, ...image] = shape;
  const originals = pixelsOf(pixels);
  const { units } = model.get("matrix");
  const picker = imagePicker({
    label: "Image to take apart",
    tiles: Array.from({ length: count }, (_, k) => {
      const tile = imageGrid(image);
      tile.draw(originals, k);
      return { value: k, caption: `test image ${k + 1}`, content: tile.el };
    }),
    value: model.get("selected"),
    tileClass: "training-pick",
    onChange: onSelect,
  });
  const both = ["x", "x̂"].map((name) => {
    const grid = imageGrid(image, { label: name });
    return { grid, el: h("div", { class: "sparse-image" }, grid.el, h("span", {}, name)) };
  });
  const parts = signedRows(image, STRONGEST, 4, Array(STRONGEST).fill(""));
  const words = h("p", {});
  const on = ui.number({ quantity: "on", value: null, format: (v) => (v === null ? "–" : String(v)) });
  const size = image.reduce((a, b) => a * b, 1);
  return {
    el: ui.plate(
      { title: "One image, taken apart" },
      picker.el,
      ui.split([h("div", { class: "sparse-pair" }, ...both.map(({ el }) => el)), words], [parts.el]),
    ),
    /** @param {Seen | null} seen */
    draw(seen) {
      const k = model.get("selected");
      picker.set(k);
      both[0].grid.draw(originals, k);
      both[1].grid.draw(seen?.reconstructions ?? new Float32Array(originals.length), k);
      const z = seen ? seen.codes.subarray(k * units, (k + 1) * units) : new Float32Array(units);
      const order = Array.from({ length: units }, (_, j) => j).sort((a, b) => z[b] - z[a]);
      const best = order.slice(0, STRONGEST);
      const values = new Float32Array(STRONGEST * size);
      best.forEach((j, i) => {
        if (seen && z[j] > 0)
          values.set(
            seen.filters.subarray(j * size, (j + 1) * size).map((v) => v * z[j]),
            i * size,
          );
        const caption = parts.cells[i].lastElementChild;
        if (caption) caption.textContent = seen && z[j] > 0 ? ui.fixed(z[j], 2) : "–";
      });
      on.set(seen ? z.filter((v) => v > 0).length : null);
      words.replaceChildren(
        ...(seen
          ? [
              on.el,
              ` of ${units} units are on. Beside it the ${STRONGEST} strongest: their weights times their number z.`,
            ]
          : ["Nothing is learnt yet."]),
      );
      parts.draw(values, largest(values), `The ${STRONGEST} strongest units of this image.`);
    },
    onTheme: parts.onTheme,
  };
}

/** Penalty, its weight and ρ; what does not count is hidden. @param {AnyModel<State>} model @param {ReturnType<typeof bindTraits<State>>} traits @param {(words: string) => void} say */
function settings(model, traits, say) {
  const penalty = ui.segmented({
    label: "Penalty",
    options: ["none", "L1", "KL"],
    value: model.get("penalty"),
    onChange(next) {
      traits.put({ penalty: next });
      say(next === "none" ? "No penalty." : `Penalty ${next}.`);
    },
  });
  const weight = traitSlider(traits, "weight", {
    ...{ label: "its weight", min: 0.01, max: 3, scale: "log", step: 1.05, neutral: 0.1, format: three },
  });
  const rho = traitSlider(traits, "rho", {
    ...{ label: "target ρ", min: 0.01, max: 0.5, step: 0.01, neutral: 0.05 },
  });
  return {
    els: [penalty.el, ui.sliders(weight.el, rho.el)],
    draw() {
      const now = model.get("penalty");
      penalty.set(now);
      weight.el.hidden = now === "none";
      rho.el.hidden = now !== "KL";
    },
  };
}

/** @param {RenderProps<State>} props */
function render({ model, el }) {
  const voice = ui.announcer();
  const curves = history(model);
  const units = allUnits(model);
  const image = apart(model, (selected) => traits.put({ selected }));
  /** @type {Seen | null} */
  let seen = null; // of what is trained here
  let touched = false;

  const names = /** @type {const} */ (["penalty", "weight", "rho", "seed"]);
  const restNow = () => {
    const rest = model.get("rest");
    return !touched && names.every((name) => rest[name] === model.get(name)) ? rest : null;
  };
  /** @returns {Seen | null} */
  const shown = () => {
    const rest = restNow();
    if (!rest) return seen;
    return {
      filters: Float32Array.from(new Int8Array(bytesOf(rest.filters).buffer)),
      often: floatsOf(rest.often),
      codes: floatsOf(rest.codes),
      reconstructions: pixelsOf(rest.reconstructions),
    };
  };
  const drawAll = () => {
    const now = shown();
    curves.draw(restNow()?.curve ?? null);
    units.draw(now);
    image.draw(now);
  };
  const training = bench({
    ...{ model, el, plans: { sparse: model.get("training") }, root: () => root },
    cause: "the penalty's steps are too large",
    numbers: () => ({
      l1: model.get("penalty") === "L1" ? model.get("weight") : 0,
      kl: model.get("penalty") === "KL" ? model.get("weight") : 0,
      rho: model.get("rho"),
    }),
    look() {
      const [, ...shape] = model.get("images").shape;
      const { offset, units: count } = model.get("matrix");
      return { functions: { view: {} }, weights: [[offset, count * shape.reduce((a, b) => a * b, 1)]] };
    },
    async onSeen({ functions: { view }, weights: [filters], steps }) {
      touched = true;
      const of = (/** @type {string} */ name) => /** @type {Float32Array} */ (view[name].data);
      seen = { filters, often: of("often"), codes: of("codes"), reconstructions: of("reconstructions") };
      const share = (/** @type {Float32Array} */ all) => (100 * all.reduce((a, b) => a + b, 0)) / all.length;
      const dead = seen.often.map((v) => Number(v === 0));
      curves.add([steps, Number(view.error.data[0]), share(seen.often), share(dead)]);
      // One a frame, so that none keeps the page busy for long.
      for (const draw of [() => curves.draw(null), () => units.draw(seen), () => image.draw(seen)]) {
        draw();
        await new Promise(requestAnimationFrame);
      }
    },
    onReset() {
      seen = null;
      curves.clear();
      drawAll();
    },
    onSeed: (seed) => traits.put({ seed }),
    rest: restNow,
  });

  let before = names.map((name) => model.get(name));
  const draw = () => {
    const now = names.map((name) => model.get(name));
    const [penalty, weight, rho, seed] = now.map((value, k) => value !== before[k]);
    const isKl = model.get("penalty") === "KL";
    before = now;
    knobs.draw();
    if (seed) {
      training.reset(true);
      return;
    }
    if (training.steps && penalty) curves.mark(training.steps, "penalty", model.get("penalty"));
    if (training.steps && weight) curves.mark(training.steps, "weight", model.get("weight"));
    if (training.steps && rho && isKl) curves.mark(training.steps, "ρ", model.get("rho"));
    training.tell();
    if (training.state !== "playing") drawAll();
  };
  const traits = bindTraits(model, ["penalty", "selected", "seed"], perFrame(draw));
  const knobs = settings(model, traits, voice.say);
  const root = ui.frame(
    { title: model.get("title") },
    h("div", { class: "companion-panel companion-sticky" }, training.tools, ...knobs.els),
    training.status,
    curves.el,
    units.el,
    image.el,
    voice.el,
  );
  el.append(root);
  root.dataset.training = "idle";
  knobs.draw();
  training.change();
  drawAll();
  const onTheme = (/** @type {{ [token: string]: string }} */ colours) => {
    units.onTheme(isDark(colours));
    image.onTheme(isDark(colours));
  };
  return lifetime(training.stop, curves.stop, traits.stop, followTheme(root, onTheme));
}

export default { render };

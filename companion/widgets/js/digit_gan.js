// A DCGAN on small images, trained in the page: what it makes of codes that stay the same, beside real images, and
// both players' losses. The steps are training/bench.js's.

import { bench } from "./training/bench.js";
import { changes, three } from "./training/charts.js";
import { record } from "./training/curves.js";
import { bytesOf } from "./training/views.js";
import { imageGrid } from "./ui/canvas.js";
import * as ui from "./ui/controls.js";
import { h } from "./ui/controls.js";
import { bindTraits, lifetime, perFrame, traitSlider } from "./ui/lifetime.js";
import { lineChart } from "./ui/line_chart.js";

/** @import { AnyModel, RenderProps } from "@anywidget/types" */
/** @import { Plan } from "./training/bench.js" */
/** @import { Point } from "./ui/axes.js" */

/**
 * @typedef {object} State
 * @property {Plan} training
 * @property {{ shape: number[], pixels: string }} real images, uint8
 * @property {Rest} rest what PyTorch reached
 * @property {number} lr
 * @property {number} seed
 * @property {string} title
 */
/** @typedef {{ lr: number, seed: number, steps: number, curve: [step: number, d: number, g: number][], samples: string }} Rest */

const COLUMNS = 8;
const PLAYERS = ["discriminator", "generator"];

/** @param {string} text uint8 in base64 */
const imagesOf = (text) => Float32Array.from(bytesOf(text), (v) => v / 255);

/** What Python's training reached, as long as it is what the widget is set to. @param {AnyModel<State>} model */
function restOf(model) {
  const rest = model.get("rest");
  return rest.steps && rest.lr === model.get("lr") && rest.seed === model.get("seed") ? rest : null;
}

/** A grid of all images with its heading. @param {number[]} shape @param {string} title @param {string} label */
function gallery([count, ...shape], title, label) {
  const grid = imageGrid(shape, {
    ...{ columns: COLUMNS, rows: Math.ceil(count / COLUMNS), gap: 1, label, smooth: true },
  });
  grid.el.classList.add("digit-gan-images");
  return {
    el: ui.stack(h("p", { class: "companion-heading" }, title), grid.el),
    /** @param {ArrayLike<number>} images */
    draw(images) {
      for (let k = 0; k < count; k += 1) grid.draw(images, k, k % COLUMNS, Math.floor(k / COLUMNS));
    },
  };
}

/** Both losses over the steps. */
function lossChart() {
  const chart = lineChart({
    ...{ x: "step", y: "Losses", height: 220, range: [0, null], format: three },
    series: [
      { name: "discriminator", quantity: "loss_d", token: "data-2" },
      { name: "generator, −log D", quantity: "loss_g", token: "data-5", mark: "dashed" },
    ],
  });
  let kept = PLAYERS.map(() => record());
  const marks = changes();
  return {
    el: chart.el,
    clear() {
      kept = PLAYERS.map(() => record());
      marks.clear();
    },
    /** @param {Float32Array} values all losses of each step @param {string[]} names */
    add: (values, names) => values.forEach((v, i) => kept[PLAYERS.indexOf(names[i % names.length])]?.add(v)),
    mark: marks.add,
    /** @param {Rest | null} rest instead of what was trained here */
    draw(rest) {
      const lines = kept.map((each, k) =>
        rest ? rest.curve.map((row) => /** @type {Point} */ ([row[0], row[k + 1]])) : each.line(),
      );
      chart.draw(lines, { marks: marks.all });
    },
    stop: chart.stop,
  };
}

/** @param {RenderProps<State>} props */
function render({ model, el }) {
  const { shape, pixels } = model.get("real");
  const made = gallery(shape, "What the generator makes of 24 codes", "24 generated images");
  const real = gallery(shape, "Real ones", "24 real images");
  const losses = lossChart();
  let touched = false;
  const restNow = () => (touched ? null : restOf(model));
  const nothing = new Float32Array(shape.reduce((a, b) => a * b, 1));
  const training = bench({
    ...{ model, el, plans: { gan: model.get("training") }, root: () => root },
    cause: "the steps are too large",
    numbers: () => ({ lr: model.get("lr") }),
    look: () => ({ functions: { view: {} }, weights: [] }),
    onSteps: ({ losses: taken }) => losses.add(taken, model.get("training").losses),
    onSeen({ functions: { view } }) {
      touched = true;
      made.draw(/** @type {Float32Array} */ (view.samples.data));
      losses.draw(null);
    },
    onReset() {
      losses.clear();
      drawRest();
    },
    onSeed: (seed) => traits.put({ seed }),
    rest: restNow,
    acting: "The slider acts on the next step.",
  });
  const drawRest = () => {
    const rest = restNow();
    made.draw(rest ? imagesOf(rest.samples) : nothing);
    losses.draw(rest);
  };
  let [seed, rate] = [model.get("seed"), model.get("lr")];
  const draw = () => {
    const [before, slower] = [seed, rate];
    [seed, rate] = [model.get("seed"), model.get("lr")];
    if (rate !== slower && training.steps) losses.mark(training.steps, "lr", rate);
    if (seed !== before) return training.reset(true);
    training.tell();
    if (!touched) drawRest();
  };
  const traits = bindTraits(model, ["seed"], perFrame(draw));
  const lr = traitSlider(traits, "lr", {
    ...{ label: "learning rate of both", min: 1e-5, max: 0.01, step: 1.05, scale: "log", neutral: 1e-3 },
    format: three,
  });
  const root = ui.frame(
    { title: model.get("title") },
    h("div", { class: "companion-panel" }, training.tools, ui.sliders(lr.el)),
    training.status,
    ui.split([made.el, real.el], [losses.el]),
  );
  el.append(root);
  root.dataset.training = "idle";
  real.draw(imagesOf(pixels));
  training.change();
  drawRest();
  return lifetime(training.stop, losses.stop, () => traits.stop());
}

export default { render };

// The charts of a training: losses and accuracy over its steps, and where the reader changed something.

import { shortest } from "../ui/axes.js";
import * as ui from "../ui/controls.js";
import { h } from "../ui/controls.js";
import { lifetime } from "../ui/lifetime.js";
import { lineChart } from "../ui/line_chart.js";
import { record, samples } from "./curves.js";

/** @import { Point } from "../ui/axes.js" */
/** @import { Mark, Series } from "../ui/line_chart.js" */
/** @import { Spec } from "../runtime/trainer.js" */
/** @import { Seen, Taken } from "../runtime/training.js" */

const GREEK = /** @type {Record<string, string>} */ ({ alpha: "α", beta: "β", gamma: "γ", lambda: "λ" });
/** What the reader calls an input. @param {string} name */
export const nameOf = (name) =>
  name === "lr" ? "learning rate" : (GREEK[name] ?? name.replaceAll("_", " "));

const SPAN = 20; // a loss that falls to less than a twentieth is shown on a logarithmic axis
const WAITING = "Press Train: the curve grows here.";
const MARKS = 40; // changes by the reader that are remembered

/** Three digits: 0.00123, 1.23, 123. @param {number} v */
export const three = (v) => (v ? shortest(Number(v.toPrecision(3))).replace("-", "−") : "0");
const percent = (/** @type {number} */ v) => `${ui.fixed(v, 1)} %`;

/**
 * @typedef {Series & { isTest: boolean, entry: string }} Line a line, and the entry of the loss that it shows
 * @typedef {{ y: string, lines: Line[], range?: [number, number], format: (v: number) => string }} Plan of a chart
 */

/** The charts: the loss, its parts, the accuracy, as far as they are there. @param {Spec} spec @returns {Plan[]} */
function plans({ losses, functions }) {
  const tested = new Set(Object.keys(functions.test?.outputs ?? {}));
  const pair = (/** @type {string} */ entry, /** @type {string} */ words, /** @type {string} */ token) =>
    [false, true].map((isTest) => {
      const name = (isTest ? "test" : "training") + words;
      const quantity = `${entry}-${isTest ? "test" : "training"}`;
      /** @type {"line" | "dashed"} */
      const mark = isTest ? "dashed" : "line";
      return { isTest, entry, name, token, quantity, mark };
    });
  const known = ({ isTest = false, entry = "" }) => !isTest || tested.has(entry);
  const parts = losses.filter((name) => name !== "loss" && name !== "error");
  const tokens = ["data-2", "data-4", "data-5", "data-6", "data-1", "data-3"]; // those of other charts last
  return [
    { y: "Loss", lines: pair("loss", "", "data-1").filter(known), format: three },
    {
      ...{ y: "Its parts", format: three },
      lines: parts.flatMap((name, k) =>
        pair(name, ` ${nameOf(name)}`, tokens[k % tokens.length]).filter(known),
      ),
    },
    {
      ...{ y: "Accuracy in %", range: /** @type {[number, number]} */ ([0, 100]), format: percent },
      lines: pair("accuracy", "", "data-3").filter(({ isTest }) =>
        isTest ? tested.has("logits") : losses.includes("error"),
      ),
    },
  ].filter(({ lines }) => lines.length);
}

/** Whether values go over so many sizes that a logarithmic axis shows them better. @param {Point[][]} lines */
function isWide(lines) {
  const values = lines.flatMap((line) => line.map(([, v]) => v)).filter((v) => v > 0 && v < Infinity);
  const [low, high] = values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, 0]);
  return high > SPAN * low;
}

/** What the reader changed, and at which step. */
export function changes() {
  /** @type {Mark[]} */
  let all = [];
  return {
    get all() {
      return all;
    },
    clear() {
      all = [];
    },
    /** Something was changed at a step. @param {number} x @param {string} name @param {number | string} value */
    add(x, name, value) {
      const label = `${nameOf(name)} ${typeof value === "number" ? three(value) : value}`;
      const last = all.at(-1);
      // A drag is one change.
      if (last?.label.startsWith(`${nameOf(name)} `) && x - last.x <= Math.max(5, x / 50)) last.label = label;
      else all = [...all, { x, label }].slice(-MARKS);
    },
  };
}

/**
 * What the steps left behind, and its charts.
 * @param {Spec} spec
 */
export function charts(spec) {
  const all = plans(spec).map((plan) => {
    const { lines: series, ...options } = plan;
    return { ...plan, chart: lineChart({ x: "step", height: 260, series, waiting: WAITING, ...options }) };
  });
  /** @type {Map<string, ReturnType<typeof record>>} */
  let steps = new Map();
  /** @type {Map<string, ReturnType<typeof samples>>} */
  let tests = new Map();
  const marks = changes();
  let axis = "auto";
  const clear = () => {
    steps = new Map(spec.losses.map((name) => [name, record()]));
    tests = new Map();
    marks.clear();
  };
  clear();

  /** @param {Line} line @returns {Point[]} */
  const pointsOf = ({ isTest, entry }) => {
    if (isTest) return tests.get(entry)?.line() ?? [];
    if (entry !== "accuracy") return steps.get(entry)?.line() ?? [];
    return (steps.get("error")?.line() ?? []).map(([x, v]) => [x, 100 - v]);
  };
  const drawOne = (/** @type {(typeof all)[number]} */ { chart, lines, range }) => {
    const points = lines.map(pointsOf);
    const own = lines[0].entry === "loss" ? 1 : undefined;
    const wants = axis === "auto" ? isWide(points.slice(0, own)) : axis === "log";
    const bands = lines.map(({ isTest, entry }) =>
      entry === "loss" && !isTest ? steps.get("loss")?.band() : undefined,
    );
    const log = !range && wants && points.flat().some(([, v]) => v > 0);
    chart.draw(points, { bands, marks: marks.all, log });
  };
  const draw = () => all.forEach(drawOne);
  const scale = ui.segmented({
    label: "Loss axis",
    options: ["auto", "linear", "log"],
    onChange(next) {
      axis = next;
      draw();
    },
  });
  scale.el.classList.add("training-scale");
  const note = (/** @type {string} */ entry, /** @type {number} */ step, /** @type {number} */ value) => {
    const kept = tests.get(entry) ?? samples();
    tests.set(entry, kept);
    kept.add(step, value);
  };
  return {
    el: ui.stack(
      h("div", { class: all.length > 1 ? "companion-halves" : "" }, ...all.map(({ chart }) => chart.el)),
      scale.el,
    ),
    clear,
    draw,
    /** One chart a frame, so that none keeps the page busy for long. */
    async drawInTurn() {
      for (const each of all) {
        await new Promise(requestAnimationFrame);
        drawOne(each);
      }
    },
    /** @param {Taken} taken */
    add({ losses }) {
      losses.forEach((loss, i) => steps.get(spec.losses[i % spec.losses.length])?.add(loss));
    },
    /** @param {Seen} seen @param {ArrayLike<number>} labels */
    test({ functions, steps: at }, labels) {
      for (const [name, { data, dims }] of Object.entries(functions.test ?? {})) {
        if (name !== "logits") note(name, at, Number(data[0]));
        else note("accuracy", at, 100 * hits(/** @type {Float32Array} */ (data), dims[1], labels));
      }
    },
    mark: marks.add,
    stop: lifetime(...all.map(({ chart }) => chart.stop)),
  };
}

/**
 * The share of rows whose largest number is that of their label.
 * @param {Float32Array} logits @param {number} classes @param {ArrayLike<number>} labels
 */
function hits(logits, classes, labels) {
  let right = 0;
  for (let k = 0; k < labels.length; k += 1) {
    const row = logits.subarray(k * classes, (k + 1) * classes);
    if (row.indexOf(Math.max(...row)) === labels[k]) right += 1;
  }
  return right / labels.length;
}

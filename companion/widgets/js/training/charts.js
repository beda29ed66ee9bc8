// The charts of a training: losses and accuracy over its steps, and where the reader changed something.

import { shortest } from "../ui/axes.js";
import * as ui from "../ui/controls.js";
import { h } from "../ui/controls.js";
import { lifetime } from "../ui/lifetime.js";
import { lineChart } from "../ui/line_chart.js";
import { record, samples } from "./curves.js";

/** @import { Mark } from "../ui/line_chart.js" */
/** @import { Spec } from "../runtime/trainer.js" */
/** @import { Seen, Taken } from "../runtime/training.js" */

const GREEK = /** @type {Record<string, string>} */ ({ alpha: "α", beta: "β", gamma: "γ", lambda: "λ" });
/** What the reader calls an input. @param {string} name */
export const nameOf = (name) =>
  name === "lr" ? "learning rate" : (GREEK[name] ?? name.replaceAll("_", " "));

const SPAN = 20; // a loss that falls to less than a twentieth is shown on a logarithmic axis

/** Three digits: 0.00123, 1.23, 123. @param {number} v */
export const three = (v) => (v ? shortest(Number(v.toPrecision(3))).replace("-", "−") : "0");
const percent = (/** @type {number} */ v) => `${ui.fixed(v, 1)} %`;

/** The lines of both charts, with what each shows: "training loss", "test accuracy". @param {Spec} spec */
function seriesOf({ losses, functions }) {
  const tested = Object.keys(functions.test?.outputs ?? {});
  const pair = (/** @type {string} */ name, /** @type {string} */ words, /** @type {string} */ token) => [
    { key: `training ${name}`, name: `training${words}`, token, quantity: `${name}-training` },
    {
      ...{ key: `test ${name}`, name: `test${words}`, token, quantity: `${name}-test` },
      mark: /** @type {const} */ ("dashed"),
    },
  ];
  return {
    tested,
    loss: losses
      .filter((name) => name !== "error")
      .flatMap((name, k) =>
        pair(name, ` ${nameOf(name)}`, `data-${[1, 2, 4, 5, 6, 3][k % 6]}`).slice(
          0,
          tested.includes(name) ? 2 : 1,
        ),
      ),
    accuracy: pair("accuracy", "", "data-3").filter((_, k) =>
      k ? tested.includes("logits") : losses.includes("error"),
    ),
  };
}

/**
 * What the steps left behind, and its charts.
 * @param {Spec} spec
 */
export function charts(spec) {
  const { tested, ...series } = seriesOf(spec);
  const loss = lineChart({ x: "step", y: "Loss", height: 260, series: series.loss, format: three });
  const accuracy = series.accuracy.length
    ? lineChart({
        ...{ x: "step", y: "Accuracy in %", height: 260, range: [0, 100], format: percent },
        series: series.accuracy,
      })
    : null;

  /** @type {Map<string, ReturnType<typeof record>>} */
  let steps = new Map();
  /** @type {Map<string, ReturnType<typeof samples>>} */
  let tests = new Map();
  /** @type {Mark[]} */
  let marks = [];
  let isLog = /** @type {boolean | null} */ (null); // null: as the numbers ask for it
  const clear = () => {
    steps = new Map(spec.losses.map((name) => [name, record()]));
    tests = new Map([...tested, "accuracy"].map((name) => [name, samples()]));
    marks = [];
  };
  clear();

  const lineOf = (/** @type {string} */ key) => {
    const [set, ...words] = key.split(" ");
    const name = words.join(" ");
    if (set === "test") return tests.get(name)?.line() ?? [];
    if (name !== "accuracy") return steps.get(name)?.line() ?? [];
    return /** @type {[number, number][]} */ (
      (steps.get("error")?.line() ?? []).map(([x, v]) => [x, 100 - v])
    );
  };
  const scale = ui.segmented({
    label: "Loss axis",
    options: ["linear", "log"],
    onChange(next) {
      isLog = next === "log";
      draw();
    },
  });
  const draw = () => {
    const lines = series.loss.map(({ key }) => lineOf(key));
    const positive = lines.flatMap((line) => line.map(([, v]) => v)).filter((v) => v > 0 && v < Infinity);
    const losses = lineOf("training loss").map(([, v]) => v);
    const spans = Math.max(...losses) / Math.min(...losses) > SPAN;
    const log = positive.length > 0 && (isLog ?? spans);
    if (isLog === null) scale.set(log ? "log" : "linear");
    const bands = series.loss.map(({ key }) =>
      key === "training loss" ? steps.get("loss")?.band() : undefined,
    );
    loss.draw(lines, { bands, marks, log });
    accuracy?.draw(
      series.accuracy.map(({ key }) => lineOf(key)),
      { marks },
    );
  };
  return {
    el: h(
      "div",
      { class: accuracy ? "training-charts training-two" : "training-charts" },
      loss.el,
      accuracy?.el ?? "",
      scale.el,
    ),
    clear,
    draw,
    /** @param {Taken} taken */
    add({ losses }) {
      for (let i = 0; i < losses.length; i += 1)
        steps.get(spec.losses[i % spec.losses.length])?.add(losses[i]);
    },
    /** @param {Seen} seen @param {ArrayLike<number>} labels */
    test({ functions, steps: at }, labels) {
      for (const [name, { data, dims }] of Object.entries(functions.test ?? {})) {
        if (name !== "logits") tests.get(name)?.add(at, Number(data[0]));
        else tests.get("accuracy")?.add(at, 100 * hits(/** @type {Float32Array} */ (data), dims[1], labels));
      }
    },
    /** Something changed at a step. @param {number} x @param {string} name @param {number} value */
    mark(x, name, value) {
      const label = `${nameOf(name)} ${three(value)}`;
      const last = marks.at(-1);
      // A drag is one change.
      if (last?.label.startsWith(`${nameOf(name)} `) && x - last.x <= Math.max(5, x / 50)) last.label = label;
      else marks = [...marks, { x, label }].slice(-40);
    },
    stop: lifetime(loss.stop, accuracy?.stop ?? (() => {})),
  };
}

/** The share of rows whose largest number is that of their label. @param {Float32Array} logits @param {number} classes @param {ArrayLike<number>} labels */
function hits(logits, classes, labels) {
  let right = 0;
  for (let k = 0; k < labels.length; k += 1) {
    const row = logits.subarray(k * classes, (k + 1) * classes);
    if (row.indexOf(Math.max(...row)) === labels[k]) right += 1;
  }
  return right / labels.length;
}

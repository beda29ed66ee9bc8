// One threshold and five views of what it does. See ThresholdLab in threshold_lab.py for the state.

import { auroc, averagePrecision, costs, histogram, precisionAt, rankingOf } from "./maths/ranking.js";
import { axis, chart, linear, mark, path, s, setAll } from "./ui/axes.js";
import * as ui from "./ui/controls.js";
import { h } from "./ui/controls.js";
import { copyCode, python, wrapped } from "./ui/copy_code.js";
import { bindTraits, lifetime, observeWidth, perFrame, traitSlider } from "./ui/lifetime.js";

/** @import { AnyModel, RenderProps } from "@anywidget/types" */
/** @import { Point } from "./ui/axes.js" */
/** @import { Ranking } from "./maths/ranking.js" */

/**
 * @typedef {object} State
 * @property {number[]} labels
 * @property {number[]} scores
 * @property {number} cut distinct scores below the threshold
 * @property {number} miss_cost
 * @property {string} title
 */

const BINS = 32;
const HEIGHT = 200;
const SIDES = { left: 44, right: 12, top: 10, bottom: 42 };

const percent = (/** @type {number} */ v) => `${ui.fixed(100 * v, 1)} %`;

/**
 * Normal rows above the line, anomalies below it, each kind on its own scale; what is flagged lies to the right.
 * @param {ReturnType<typeof histogram>} bins
 */
function histogramChart(bins) {
  const flagged = mark("rect", "threshold-flagged");
  const bars = [mark("path", "threshold-bars", "data-1"), mark("path", "threshold-bars", "data-2")];
  const [bottom, line] = [axis("bottom"), mark("line", "threshold-line")];
  const { el, svg } = chart({ height: HEIGHT }, flagged, ...bars, bottom.el, line);
  const most = [Math.max(...bins.normal), Math.max(...bins.anomalies, 1)];
  return {
    el,
    /** @param {number} width @param {number} threshold @param {string} words */
    draw(width, threshold, words) {
      const [from, to, base] = [10, width - SIDES.right, HEIGHT - SIDES.bottom];
      const x = linear([bins.low, bins.high], [from, to]);
      const middle = 10 + (base - 10) * 0.62;
      const step = (to - from) / BINS;
      [bins.normal, bins.anomalies].forEach((counts, kind) => {
        const room = kind ? base - middle - 2 : middle - 10;
        const d = counts.map((count, k) => {
          if (!count) return "";
          const size = Math.max(2, (count / most[kind]) * room) * (kind ? 1 : -1);
          return `M${(from + k * step + 0.5).toFixed(1)} ${middle.toFixed(1)}v${size.toFixed(1)}h${(step - 1).toFixed(1)}V${middle.toFixed(1)}Z`;
        });
        setAll(bars[kind], { d: d.join("") });
      });
      const at = ui.clamp(x(threshold), from, to);
      setAll(flagged, { x: at, y: 10, width: Math.max(0, to - at), height: base - 10 });
      setAll(line, { x1: at, x2: at, y1: 4, y2: base });
      bottom.draw({ scale: x, at: base, from, to, count: width < 420 ? 4 : 7, name: "score" });
      setAll(svg, { "aria-label": words });
    },
  };
}

/**
 * A curve with the threshold's point on it.
 * @param {{ x: string, y: string, tint: string, unit?: boolean, best?: boolean }} options
 */
function curveChart({ x: xName, y: yName, tint, unit = true, best = false }) {
  const [left, bottom] = [axis("left"), axis("bottom")];
  const chance = mark("path", "companion-guide");
  const curve = mark("path", "companion-curve", tint);
  const here = mark("circle", "companion-dot", tint, { r: 6 });
  const lowest = mark("circle", "threshold-best", null, { r: 5, visibility: best ? "visible" : "hidden" });
  const name = s("text", { class: "companion-ink", x: 4, y: 14 }, yName);
  const { el, svg } = chart({ height: HEIGHT + 16 }, left.el, bottom.el, chance, curve, lowest, here, name);
  return {
    el,
    /**
     * @param {{ width: number, points: Point[], at: number, guide: Point[], range?: [number, number],
     *   domain?: [number, number], cheapest?: number, words: string }} options
     */
    draw({ width, points, at, guide, range = [0, 1], domain = [0, 1], cheapest = 0, words }) {
      const [from, to, base] = [SIDES.left, width - SIDES.right, HEIGHT + 16 - SIDES.bottom];
      const x = linear(domain, [from, to]);
      const y = linear(range, [base, 24]);
      const place = (/** @type {Point} */ [a, b]) => /** @type {Point} */ ([x(a), y(b)]);
      setAll(curve, { d: path(points.map(place)) });
      setAll(chance, { d: path(guide.map(place)) });
      const [cx, cy] = place(points[at]);
      setAll(here, { cx: cx.toFixed(1), cy: cy.toFixed(1) });
      if (best) {
        const [bx, by] = place(points[cheapest]);
        setAll(lowest, { cx: bx.toFixed(1), cy: by.toFixed(1) });
      }
      left.draw({ scale: y, at: from, from, to, count: unit ? 5 : 4 });
      bottom.draw({ scale: x, at: base, from, to, count: width < 360 ? 3 : 5, name: xName });
      setAll(svg, { "aria-label": words });
    },
  };
}

/** The four counts, as a table. @param {ReturnType<typeof ui.readouts>} numbers */
function confusion(numbers) {
  const whole = (/** @type {number} */ v) => String(v);
  const cell = (/** @type {string} */ name, /** @type {string} */ words, /** @type {boolean} */ right) =>
    h(
      "td",
      { class: right ? "threshold-right" : "threshold-wrong" },
      numbers.make(name, whole),
      h("span", { class: "companion-note" }, words),
    );
  const head = (/** @type {string} */ words) => h("th", { scope: "row" }, words);
  return h(
    "table",
    { class: "threshold-table" },
    h(
      "thead",
      {},
      h("tr", {}, h("td"), h("th", { scope: "col" }, "flagged"), h("th", { scope: "col" }, "not flagged")),
    ),
    h(
      "tbody",
      {},
      h("tr", {}, head("anomalies"), cell("tp", "found", true), cell("fn", "missed", false)),
      h("tr", {}, head("normal"), cell("fp", "false alarms", false), cell("tn", "left alone", true)),
    ),
  );
}

/** The three curves of a ranking, and their points at a cut. @param {Ranking} ranking */
function curves(ranking) {
  const { tp, fp, anomalies, normal, values } = ranking;
  const roc = curveChart({ x: "false alarm rate", y: "recall", tint: "data-1" });
  const pr = curveChart({ x: "recall", y: "precision", tint: "data-4" });
  const cost = curveChart({ x: "threshold", y: "cost", tint: "data-3", unit: false, best: true });
  const share = anomalies / (anomalies + normal);
  /** @type {Point[]} */
  const rocPoints = tp.map((hit, cut) => [fp[cut] / normal, hit / anomalies]);
  /** @type {Point[]} */
  const prPoints = tp.map((hit, cut) => [hit / anomalies, precisionAt(ranking, cut)]);
  const last = values.length - 1;
  const end = values[last] + 0.02 * (values[last] - values[0] || 1);
  return {
    els: [
      ui.figure(roc.el, "ROC"),
      ui.figure(pr.el, "Precision and recall; dashed: what chance gives"),
      ui.figure(cost.el, "Cost; the ring is the cheapest threshold"),
    ],
    /** @param {number} width @param {number} cut @param {number[]} all costs @param {number} cheapest */
    draw(width, cut, all, cheapest) {
      const [far, hit] = rocPoints[cut];
      const precision = prPoints[cut][1];
      roc.draw({
        ...{ width, points: rocPoints, at: cut },
        guide: [
          [0, 0],
          [1, 1],
        ],
        words: `ROC curve. At this threshold recall is ${ui.fixed(hit)}, the false alarm rate ${ui.fixed(far)}.`,
      });
      pr.draw({
        ...{ width, points: prPoints, at: cut },
        guide: [
          [0, share],
          [1, share],
        ],
        words: `Precision over recall. At this threshold precision is ${ui.fixed(precision)}, recall ${ui.fixed(hit)}.`,
      });
      const points = all.map((c, k) => /** @type {Point} */ ([values[k] ?? end, c]));
      cost.draw({
        ...{ width, points, at: cut, guide: [], cheapest },
        domain: [values[0], end],
        range: [0, Math.max(...all)],
        words: `Cost over the threshold: ${ui.fixed(all[cut], 0)} here, ${ui.fixed(all[cheapest], 0)} at the cheapest.`,
      });
    },
  };
}

/** The same in scikit-learn. @param {AnyModel<State>} model @param {number} threshold */
const codeOf = (model, threshold) => `import numpy as np
from sklearn.metrics import (
    average_precision_score, confusion_matrix, roc_auc_score,
)

labels = np.array(${wrapped(`[${model.get("labels").join(", ")}]`)})
scores = np.array(${wrapped(python(model.get("scores")))})
threshold = ${Number.isFinite(threshold) ? python(threshold) : "np.inf"}
miss_cost = ${python(model.get("miss_cost"))}

flagged = (scores >= threshold).astype(int)
(tn, fp), (fn, tp) = confusion_matrix(labels, flagged, labels=[0, 1])
cost = fp + miss_cost * fn
auroc = roc_auc_score(labels, scores)
average_precision = average_precision_score(labels, scores)
print(tp, fp, fn, tn, cost, auroc, average_precision)
`;

/** @param {RenderProps<State>} props */
function render({ model, el }) {
  const [labels, scores] = [model.get("labels"), model.get("scores")];
  const ranking = rankingOf(labels, scores);
  const { values, tp, fp, anomalies, normal } = ranking;
  const bins = histogram(labels, scores, BINS);
  const voice = ui.announcer();
  const numbers = ui.readouts(ui.fixed);
  const threshold = (/** @type {number} */ cut) => values[cut] ?? Infinity;

  const draw = () => {
    const [cut, miss] = [model.get("cut"), model.get("miss_cost")];
    const all = costs(ranking, miss);
    const least = Math.min(...all);
    const recall = tp[cut] / anomalies;
    numbers.set({
      ...{ tp: tp[cut], fp: fp[cut], fn: anomalies - tp[cut], tn: normal - fp[cut] },
      ...{ recall, precision: precisionAt(ranking, cut), "false-alarm-rate": fp[cut] / normal },
      ...{ cost: all[cut], "best-cost": least, "miss-cost": miss },
      ...{ auroc: auroc(ranking), "average-precision": averagePrecision(ranking) },
      threshold: Number.isFinite(threshold(cut)) ? threshold(cut) : null,
    });
    slide.set(cut);
    code.draw();
    const words =
      `${tp[cut]} of ${anomalies} anomalies and ${fp[cut]} of ${normal} normal rows ` +
      "score at least as high as the threshold.";
    if (column.width && half.width) {
      histo.draw(
        column.width,
        threshold(cut),
        `Histogram of the scores, normal rows above, anomalies below. ${words}`,
      );
      plots.draw(half.width, cut, all, all.indexOf(least));
    }
    if (traits.touched) voice.say(`${words} Cost ${ui.fixed(all[cut], 0)}.`);
  };
  const traits = bindTraits(model, [], perFrame(draw));

  const slide = traitSlider(traits, "cut", {
    label: "Threshold",
    min: 0,
    max: values.length,
    step: 1,
    format: (cut) => (cut < values.length ? ui.fixed(values[cut], 3) : "above all"),
    describe: (cut) => (cut < values.length ? ui.spoken(values[cut], 3) : "above all scores"),
  });
  const dear = traitSlider(traits, "miss_cost", {
    label: "A miss costs",
    name: "What a missed anomaly costs, in false alarms",
    quantity: "miss-cost",
    ...{ min: 1, max: 200, step: 1 },
    format: (v) => `${ui.fixed(v, 0)} false alarms`,
  });
  const code = copyCode({
    what: "the threshold",
    library: "scikit-learn",
    code: () => codeOf(model, threshold(model.get("cut"))),
    say: voice.say,
  });
  const histo = histogramChart(bins);
  const plots = curves(ranking);
  const grid = h("div", { class: "companion-halves" }, ...plots.els);
  const row = (/** @type {string} */ words, /** @type {Node} */ shown) => h("p", {}, words, shown);
  const whole = (/** @type {number} */ v) => ui.grouped(Math.round(v));
  el.append(
    ui.frame(
      { title: model.get("title"), describe: "What scores at least as high as the threshold is flagged." },
      h("div", { class: "companion-panel companion-sticky" }, ui.sliders(slide.el, dear.el)),
      ui.legend([
        { token: "data-1", label: "normal rows (above)", mark: "area" },
        { token: "data-2", label: "anomalies (below, on a scale of their own)", mark: "area" },
      ]),
      histo.el,
      ui.split(
        [confusion(numbers)],
        [
          h(
            "p",
            {},
            "Flagged: scores of at least ",
            numbers.make("threshold", (v) => (v === null ? "∞" : ui.fixed(v, 3))),
          ),
          row("Recall, of the anomalies found: ", numbers.make("recall", percent)),
          row("Precision, of the alarms true: ", numbers.make("precision", percent)),
          row("False alarm rate, of the normal rows: ", numbers.make("false-alarm-rate", percent)),
          h(
            "p",
            {},
            "Cost ",
            numbers.make("cost", whole),
            "; the cheapest threshold costs ",
            numbers.make("best-cost", whole),
          ),
          h(
            "p",
            {},
            "For all thresholds: AUROC ",
            numbers.make("auroc", (v) => ui.fixed(v, 3)),
            ", average precision ",
            numbers.make("average-precision", (v) => ui.fixed(v, 3)),
          ),
        ],
      ),
      grid,
      code.el,
      voice.el,
    ),
  );
  const column = observeWidth(histo.el, draw);
  const half = observeWidth(plots.els[0], draw);
  draw();
  return lifetime(column.stop, half.stop, () => traits.stop());
}

export default { render };

// Logits of one image by slider: what softmax, cross-entropy and its gradient make of them.
// Numbers come from maths/classification.js; this file draws and listens.

import { crossEntropy, crossEntropyGradient, softmax } from "./maths/classification.js";
import { axis, chart, dots, linear, mark, path, setAll } from "./ui/axes.js";
import * as ui from "./ui/controls.js";
import { h, maths } from "./ui/controls.js";
import { copyCode, python } from "./ui/copy_code.js";
import { bindTraits, lifetime, observeWidth, perFrame, stepper, traitSlider } from "./ui/lifetime.js";

/** @import { AnyModel, RenderProps } from "@anywidget/types" */
/** @import { Point } from "./ui/axes.js" */

/**
 * @typedef {object} State
 * @property {number[]} logits
 * @property {string[]} class_names
 * @property {number} label the right class
 * @property {number} temperature
 * @property {[number, number]} logit_range of the sliders
 * @property {string} title
 */

const TEMPERATURE = { min: 0.1, max: 10, step: 1.02 };
const LEARNING_RATE = 1;
const TOPS = [5, 10, 20, 50, 100]; // ends of the loss axis: the first that has room for all points

const three = (/** @type {number} */ v) => ui.fixed(v, 3);
const signed = (/** @type {number} */ v) => ui.signed(v, 3);
/** Three decimals, or two digits and a power of ten where those would all be 0. @param {number} v */
const small = (v) => (v === 0 || v >= 5e-4 ? three(v) : v.toExponential(1).replace("e-", "e−"));
/** e^z can be too large for any float: that is why softmax is not computed from it. @param {number} v */
const power = (v) =>
  v === Infinity ? "overflow" : v < 1000 ? ui.fixed(v, 3) : v.toExponential(1).replace("e+", "e");
const add = (/** @type {number[]} */ values) => values.reduce((a, b) => a + b, 0);

/**
 * A small bar beside its number. `both`: the bar starts in the middle and goes to either side.
 * @param {{ quantity: string, format: (v: number) => string, tint?: string, both?: boolean }} options
 */
function cell({ quantity, format, tint, both }) {
  const bar = h("span", { class: "softmax-bar" });
  const track = h(
    "span",
    { class: `softmax-track${both ? " softmax-both" : ""}`, data: { tint }, "aria-hidden": "true" },
    bar,
  );
  const shown = ui.number({ quantity, value: 0, format });
  return {
    el: h("div", { class: "softmax-cell" }, track, shown.el),
    /** @param {number} value @param {number} share of the bar's room, with a sign if it has two sides */
    set(value, share) {
      shown.set(value);
      if (both) {
        track.dataset.tint = value > 0 ? "plus" : "minus";
        bar.style.insetInlineStart = `${50 + 50 * Math.min(0, share)}%`;
        bar.style.inlineSize = `${50 * Math.abs(share)}%`;
      } else bar.style.inlineSize = `${100 * share}%`;
    },
  };
}

/** The curve L = −log p of the right class, the level of pure guessing, and the way walked on it. */
function lossChart() {
  const height = 236;
  const margin = { left: 34, right: 12 };
  const curve = mark("path", "companion-curve", "data-1");
  const chance = mark("line", "companion-curve companion-dashed", "data-6");
  const drop = mark("path", "companion-guide", null, { fill: "none" });
  const trail = mark("path", "companion-trail", "data-4");
  const here = mark("circle", "companion-dot", "data-4", { r: 7 });
  const [left, bottom] = [axis("left"), axis("bottom")];
  const { el, svg } = chart({ height }, left.el, bottom.el, drop, chance, curve, trail, here);
  return {
    el,
    /** @param {{ width: number, loss: number, walked: number[], classes: number }} options walked: losses */
    draw({ width, loss, walked, classes }) {
      const [to, base] = [width - margin.right, height - 44];
      const x = linear([0, 1], [margin.left, to]);
      const most = Math.max(loss, ...walked);
      const top = TOPS.find((limit) => most <= limit) ?? most;
      const y = linear([0, top], [base, 10]);
      /** @param {number} l @returns {Point} */
      const at = (l) => [x(Math.exp(-l)), y(l)];
      setAll(curve, { d: path(Array.from({ length: 160 }, (_, i) => at(top * (1 - i / 159)))) });
      const level = Math.log(classes);
      setAll(chance, { x1: margin.left, x2: to, y1: y(level), y2: y(level) });
      const [cx, cy] = at(loss);
      setAll(drop, {
        d: path([
          [margin.left, cy],
          [cx, cy],
          [cx, base],
        ]),
      });
      setAll(here, { cx: cx.toFixed(1), cy: cy.toFixed(1) });
      setAll(trail, { d: dots(walked.map(at)) });
      left.draw({ scale: y, at: margin.left, from: margin.left, to, count: 5 });
      bottom.draw({ scale: x, at: base, from: margin.left, to, count: 5, name: "p of the right class" });
      setAll(svg, {
        "aria-label":
          `The loss as minus log p of the right class: ` +
          `it falls from beyond ${top} at p near 0 to 0 at p = 1. ` +
          `The point is at p = ${small(Math.exp(-loss))}, loss ${small(loss)}; ` +
          `guessing among ${classes} classes costs ${three(level)}.`,
      });
    },
  };
}

/**
 * What the reader sees, in a sentence or two.
 * @param {number[]} p @param {number} y @param {string[]} names @param {number} temperature
 */
function insight(p, y, names, temperature) {
  const best = p.indexOf(Math.max(...p));
  if (Math.max(...p) - Math.min(...p) < 1e-3) {
    return `All classes are equally probable: the loss is log ${p.length}, that of pure guessing.`;
  }
  if (best !== y) {
    const rival = p[best] - p[y] < 1e-3 ? "as probable as" : "more probable than";
    return (
      `“${names[best]}” is ${rival} the right class: an error. ` +
      `A step takes most from “${names[best]}” and gives it all to “${names[y]}”.`
    );
  }
  if (p[y] > 0.99)
    return (
      "Right, and sure of it: the gradient is almost 0, " +
      "and there is little left to learn from this image."
    );
  if (temperature > 3)
    return "Right, but a high temperature flattens the probabilities: the order stays, the confidence goes.";
  return (
    "Right, but not sure: the gradient goes on pushing until p of the right class is 1, " +
    "which it never quite reaches."
  );
}

/**
 * One row a class: its logit by slider, its power of e, its probability, its gradient; and the sums below.
 * @param {AnyModel<State>} model
 * @param {(logits: number[]) => void} onMove
 */
function classTable(model, onMove) {
  const names = model.get("class_names");
  const [low, high] = model.get("logit_range");
  let top = high; // of the sliders: it rises with the logits
  const rows = names.map((name, k) => {
    const badge = h("span", { class: "softmax-badge" }, "right class");
    const logit = ui.slider({
      label: h("span", {}, name, badge),
      name: `logit of ${name}`,
      min: low,
      max: high,
      step: 0.05,
      neutral: 0,
      value: model.get("logits")[k],
      quantity: `z-${k}`,
      describe: (v) => ui.spoken(v),
      onInput: (v) => onMove(model.get("logits").map((old, j) => (j === k ? v : old))),
    });
    logit.el.classList.add("softmax-logit");
    const raised = ui.number({ quantity: `exp-${k}`, value: 0, format: power });
    const p = cell({ quantity: `p-${k}`, format: three, tint: "data-1" });
    const g = cell({ quantity: `gradient-${k}`, format: signed, both: true });
    const row = h(
      "div",
      { class: "softmax-row", role: "group", "aria-label": name },
      logit.el,
      h("div", { class: "softmax-cell softmax-power" }, raised.el),
      p.el,
      g.el,
    );
    return { row, badge, logit, raised, p, g };
  });
  const heads = h(
    "div",
    { class: "softmax-row softmax-heads", "aria-hidden": "true" },
    h("span", { class: "" }, h("span", {}, "logit ", maths("z"))),
    h("span", { class: "softmax-power" }, maths("e^{z/T}")),
    h("span", { class: "" }, h("span", {}, "probability ", maths("p"))),
    h("span", { class: "" }, h("span", {}, "gradient ", maths("(p − y)/T"))),
  );
  const sums = {
    power: ui.number({ quantity: "exp-sum", value: 0, format: power }),
    p: ui.number({ quantity: "p-sum", value: 1, format: three }),
    g: ui.number({
      quantity: "gradient-sum",
      value: 0,
      format: (v) => ui.signed(Math.abs(v) < 1e-9 ? 0 : v, 3),
    }),
  };
  const total = h(
    "div",
    { class: "softmax-row softmax-total" },
    h("span", {}, "sum"),
    h("div", { class: "softmax-cell softmax-power" }, sums.power.el),
    h("div", { class: "softmax-cell" }, sums.p.el),
    h("div", { class: "softmax-cell" }, sums.g.el),
  );
  return {
    el: h("div", { class: "softmax-rows" }, heads, ...rows.map(({ row }) => row), total),
    /** The sliders' right end goes back to where it was first. */
    reset() {
      top = high;
    },
    /** @param {{ z: number[], y: number, T: number, p: number[], gradient: number[] }} options */
    draw({ z, y, T, p, gradient }) {
      const reach = Math.max(1, ...gradient.map(Math.abs));
      const powers = z.map((v) => Math.exp(v / T));
      top = Math.max(top, Math.ceil(Math.max(...z)));
      rows.forEach((row, k) => {
        row.logit.limit(top);
        row.logit.set(z[k]);
        row.raised.set(powers[k]);
        row.p.set(p[k], p[k]);
        row.g.set(gradient[k], gradient[k] / reach);
        row.badge.hidden = k !== y;
        row.row.toggleAttribute("data-right", k === y);
      });
      sums.power.set(add(powers));
      sums.p.set(add(p));
      sums.g.set(add(gradient));
    },
  };
}

/** The loss: its curve, its value, and what to say about it. @param {string[]} names */
function lossPlate(names) {
  const picture = lossChart();
  const numbers = ui.readouts(small);
  const chance = ui.number({ quantity: "chance", value: Math.log(names.length), format: three });
  const story = h("p", {});
  const result = h("p", { class: "companion-result companion-maths" });
  result.append(h("i", {}, "L"), " = −log ", numbers.make("p-right"), " = ", numbers.make("loss"), " nats");
  const key = ui.legend([
    { token: "data-1", label: maths("L = −log p"), mark: "line" },
    { token: "data-4", label: "here, and the steps taken", mark: "dot" },
    { token: "data-6", label: h("span", {}, `guessing: log ${names.length} = `, chance.el), mark: "dashed" },
  ]);
  const count = ui.note(
    "Gradient descent: ",
    numbers.make("steps", String),
    ` steps taken, learning rate ${LEARNING_RATE}.`,
  );
  return {
    el: h(
      "div",
      { class: "companion-plate", role: "group", "aria-label": "The loss" },
      ui.split([picture.el], [result, story, key, count]),
    ),
    picture: picture.el,
    /**
     * @param {{ width: number, y: number, T: number, p: number[], loss: number, walked: number[] }} options
     */
    draw({ width, y, T, p, loss, walked }) {
      numbers.set({ "p-right": p[y], loss, steps: walked.length });
      story.textContent = insight(p, y, names, T);
      picture.draw({ width, loss, walked, classes: names.length });
      return story.textContent;
    },
  };
}

/** The same in PyTorch. @param {{ z: number[], y: number, T: number }} state */
const codeOf = ({ z, y, T }) => `import torch
from torch.nn import functional as F

logits = torch.tensor(${python(z)})
label = torch.tensor(${y})
temperature = ${python(T)}

probabilities = F.softmax(logits / temperature, dim=0)
loss = F.cross_entropy(logits / temperature, label)
print(probabilities, loss)
`;

/** @param {RenderProps<State>} props */
function render({ model, el }) {
  const names = model.get("class_names");
  const state = () => ({ z: model.get("logits"), y: model.get("label"), T: model.get("temperature") });
  const start = state();
  const voice = ui.announcer();
  /** @type {number[]} */
  let walked = []; // the losses before each step

  const draw = () => {
    const { width } = column;
    if (!width) return;
    const now = state();
    const { z, y, T } = now;
    const [p, gradient] = [softmax(z, T), crossEntropyGradient(z, y, T)];
    const l = crossEntropy(z, y, T);
    table.draw({ ...now, p, gradient });
    label.set(y);
    code.draw();
    const story = loss.draw({ width, y, T, p, loss: l, walked });
    if (traits.touched) voice.say(`Loss ${ui.spoken(l, 3)} nats, p of ${names[y]} ${three(p[y])}. ${story}`);
  };
  const traits = bindTraits(model, ["logits", "label"], perFrame(draw));
  const descent = stepper(() => {
    const { z, y, T } = state();
    walked.push(crossEntropy(z, y, T));
    const gradient = crossEntropyGradient(z, y, T);
    traits.put({ logits: z.map((v, k) => v - LEARNING_RATE * gradient[k]) });
  });
  /** @param {Partial<State>} changes by the reader, not by a step */
  const move = (changes) => {
    descent.stop();
    walked = [];
    traits.put(changes);
  };

  const table = classTable(model, (logits) => move({ logits }));
  const loss = lossPlate(names);
  const temperature = traitSlider(traits, "temperature", {
    label: h("span", {}, "temperature ", maths("T")),
    name: "temperature",
    ...TEMPERATURE,
    scale: "log",
    neutral: 1,
    onInput: (v) => move({ temperature: v }),
  });
  const code = copyCode({ what: "the loss", code: () => codeOf(state()), say: voice.say });
  const label = ui.select({
    label: "Right class",
    value: start.y,
    options: names.map((name, k) => ({ value: k, label: name })),
    onChange: (k) => move({ label: k }),
  });
  const actions = ui.row(
    ui.button({
      label: "Take a step",
      title: "One step of gradient descent on the logits",
      kind: "primary",
      onClick: () => descent.take(1),
    }).el,
    ui.button({
      label: "10 steps",
      title: "Ten steps of gradient descent on the logits",
      onClick: () => descent.take(10),
    }).el,
    ui.button({
      label: "Add 1 to all logits",
      title: "Shift every logit by the same amount",
      onClick: () => move({ logits: model.get("logits").map((v) => v + 1) }),
    }).el,
    ui.button({
      label: "Reset",
      title: "Back to the first logits",
      kind: "quiet",
      onClick: () => {
        table.reset();
        move({ logits: [...start.z], label: start.y, temperature: start.T });
      },
    }).el,
  );
  el.append(
    ui.frame(
      {
        title: model.get("title"),
        describe: "Move the logits, or choose another right class. A step goes against the gradient.",
      },
      ui.row(label.el),
      table.el,
      temperature.el,
      actions,
      loss.el,
      code.el,
      voice.el,
    ),
  );
  const column = observeWidth(loss.picture, draw);
  return lifetime(descent.stop, column.stop, traits.stop);
}

export default { render };

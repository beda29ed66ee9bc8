// Logits of one image by slider: what softmax, cross-entropy and its gradient make of them.
// Numbers come from classification.js; this file draws and listens.

import { axis, linear, path, s, setAll } from "./ui/axes.js";
import { crossEntropy, crossEntropyGradient, softmax } from "./maths/classification.js";
import * as ui from "./ui/controls.js";

const { h, maths } = ui;

const TEMPERATURE = { min: 0.1, max: 10, step: 1.02 };
const LEARNING_RATE = 1;
const TOPS = [5, 10, 20, 50, 100]; // ends of the loss axis: the first that has room for all points
const three = (v) => ui.fixed(v, 3);
const signed = (v) => ui.signed(v, 3);
/** Three decimals, or two digits and a power of ten where those would all be 0. */
const small = (v) => (v === 0 || v >= 5e-4 ? three(v) : v.toExponential(1).replace("e-", "e−"));
/** e^z can be too large for any float: that is why softmax is not computed from it. */
const power = (v) =>
  v === Infinity ? "overflow" : v < 1000 ? ui.fixed(v, 3) : v.toExponential(1).replace("e+", "e");

/** A small bar beside its number. `both`: the bar starts in the middle and goes to either side. */
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
  const curve = s("path", { class: "companion-curve", "data-tint": "data-1" });
  const chance = s("line", { class: "companion-curve companion-dashed", "data-tint": "data-6" });
  const drop = s("path", { class: "companion-guide", fill: "none" });
  const trail = s("path", { class: "companion-trail", "data-tint": "data-4" });
  const here = s("circle", { class: "companion-dot", "data-tint": "data-4", r: 7 });
  const [left, bottom] = [axis("left"), axis("bottom")];
  const svg = s("svg", { height, role: "img" }, left.el, bottom.el, drop, chance, curve, trail, here);
  return {
    el: h("div", { class: "companion-chart" }, svg),
    draw({ width, loss, walked, classes }) {
      const [to, base] = [width - margin.right, height - 44];
      const x = linear([0, 1], [margin.left, to]);
      const most = Math.max(loss, ...walked);
      const top = TOPS.find((limit) => most <= limit) ?? most;
      const y = linear([0, top], [base, 10]);
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
      setAll(trail, {
        d: walked
          .map((l) => {
            const [a, b] = at(l);
            return `M${a.toFixed(1)} ${b.toFixed(1)}h0`;
          })
          .join(""),
      });
      left.draw({ scale: y, at: margin.left, from: margin.left, to, count: 5 });
      bottom.draw({ scale: x, at: base, from: margin.left, to, count: 5, name: "p of the right class" });
      setAll(svg, {
        "aria-label":
          `The loss as minus log p of the right class: it falls from beyond ${top} at p near 0 to 0 at p = 1. ` +
          `The point is at p = ${small(Math.exp(-loss))}, loss ${small(loss)}; guessing among ${classes} classes costs ${three(level)}.`,
      });
    },
  };
}

function insight(p, y, names, temperature) {
  const best = p.indexOf(Math.max(...p));
  if (Math.max(...p) - Math.min(...p) < 1e-3) {
    return `All classes are equally probable: the loss is log ${p.length}, that of pure guessing.`;
  }
  if (best !== y) {
    const rival = p[best] - p[y] < 1e-3 ? "as probable as" : "more probable than";
    return `“${names[best]}” is ${rival} the right class: an error. A step takes most from “${names[best]}” and gives it all to “${names[y]}”.`;
  }
  if (p[y] > 0.99)
    return "Right, and sure of it: the gradient is almost 0, and there is little left to learn from this image.";
  if (temperature > 3)
    return "Right, but a high temperature flattens the probabilities: the order stays, the confidence goes.";
  return "Right, but not sure: the gradient goes on pushing until p of the right class is 1, which it never quite reaches.";
}

function render({ model, el }) {
  const names = model.get("class_names");
  const [low, high] = model.get("logit_range");
  let top = high; // of the sliders: it rises with the logits
  const start = {
    logits: [...model.get("logits")],
    label: model.get("label"),
    temperature: model.get("temperature"),
  };
  const voice = ui.announcer();
  const schedule = ui.perFrame(() => draw());
  let walked = [];
  let walking = 0;
  let width = 0;

  const traits = ui.traits(model, ["logits", "label", "temperature"], schedule);
  const { put } = traits;
  const stop = () => clearTimeout(walking);
  const move = (changes) => {
    stop();
    walked = [];
    put(changes);
  };

  // -------- one row a class
  const rows = names.map((name, k) => {
    const badge = h("span", { class: "softmax-badge" }, "right class");
    const logit = ui.slider({
      label: h("span", {}, name, badge),
      name: `logit of ${name}`,
      min: low,
      max: high,
      step: 0.05,
      neutral: 0,
      value: start.logits[k],
      quantity: `z-${k}`,
      describe: (v) => ui.spoken(v),
      onInput: (v) => move({ logits: model.get("logits").map((old, j) => (j === k ? v : old)) }),
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
  const head = (label, cls = "") => h("span", { class: cls }, label);
  const heads = h(
    "div",
    { class: "softmax-row softmax-heads", "aria-hidden": "true" },
    head(h("span", {}, "logit ", maths("z"))),
    head(maths("e^{z/T}"), "softmax-power"),
    head(h("span", {}, "probability ", maths("p"))),
    head(h("span", {}, "gradient ", maths("(p − y)/T"))),
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

  // -------- what is chosen, what is done
  const temperature = ui.slider({
    label: h("span", {}, "temperature ", maths("T")),
    name: "temperature",
    ...TEMPERATURE,
    scale: "log",
    neutral: 1,
    value: start.temperature,
    quantity: "temperature",
    onInput: (v) => move({ temperature: v }),
  });
  const label = ui.select({
    label: "Right class",
    value: start.label,
    options: names.map((name, k) => ({ value: k, label: name })),
    onChange: (k) => move({ label: k }),
  });
  const step = () => {
    const [z, y, T] = [model.get("logits"), model.get("label"), model.get("temperature")];
    walked.push(crossEntropy(z, y, T));
    const g = crossEntropyGradient(z, y, T);
    put({ logits: z.map((v, k) => v - LEARNING_RATE * g[k]) });
  };
  const walk = (left) => {
    step();
    if (left > 1) walking = setTimeout(walk, 60, left - 1);
  };
  const take = (count) => {
    stop();
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) for (let i = 0; i < count; i += 1) step();
    else walk(count);
  };
  const actions = ui.row(
    ui.button({
      label: "Take a step",
      title: "One step of gradient descent on the logits",
      kind: "primary",
      onClick: () => take(1),
    }).el,
    ui.button({
      label: "10 steps",
      title: "Ten steps of gradient descent on the logits",
      onClick: () => take(10),
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
        top = high;
        move({ ...start, logits: [...start.logits] });
      },
    }).el,
  );

  // -------- the loss
  const chart = lossChart();
  const pRight = ui.number({ quantity: "p-right", value: 0, format: small });
  const loss = ui.number({ quantity: "loss", value: 0, format: small });
  const chance = ui.number({ quantity: "chance", value: Math.log(names.length), format: three });
  const steps = ui.number({ quantity: "steps", value: 0, format: String });
  const story = h("p", {});
  const lossPlate = h(
    "div",
    { class: "companion-plate", role: "group", "aria-label": "The loss" },
    h(
      "div",
      { class: "companion-split" },
      h("div", { class: "companion-stack" }, chart.el),
      h(
        "div",
        { class: "companion-stack" },
        h(
          "p",
          { class: "companion-result companion-maths" },
          h("i", {}, "L"),
          " = −log ",
          pRight.el,
          " = ",
          loss.el,
          " nats",
        ),
        story,
        ui.legend([
          { token: "data-1", label: maths("L = −log p"), mark: "line" },
          { token: "data-4", label: "here, and the steps taken", mark: "dot" },
          {
            token: "data-6",
            label: h("span", {}, `guessing: log ${names.length} = `, chance.el),
            mark: "dashed",
          },
        ]),
        h(
          "p",
          { class: "companion-note" },
          "Gradient descent: ",
          steps.el,
          ` steps taken, learning rate ${LEARNING_RATE}.`,
        ),
      ),
    ),
  );

  el.append(
    ui.frame(
      {
        title: model.get("title"),
        describe: "Move the logits, or choose another right class. A step goes against the gradient.",
      },
      ui.row(label.el),
      h("div", { class: "softmax-rows" }, heads, ...rows.map(({ row }) => row), total),
      temperature.el,
      actions,
      lossPlate,
      voice.el,
    ),
  );

  // -------- from the state to the screen
  function draw() {
    if (!width) return;
    const [z, y, T] = [model.get("logits"), model.get("label"), model.get("temperature")];
    const p = softmax(z, T);
    const g = crossEntropyGradient(z, y, T);
    const l = crossEntropy(z, y, T);
    const reach = Math.max(1, ...g.map(Math.abs));
    const powers = z.map((v) => Math.exp(v / T));
    top = Math.max(top, Math.ceil(Math.max(...z)));
    rows.forEach(({ row, badge, logit, raised, p: pCell, g: gCell }, k) => {
      logit.limit(top);
      logit.set(z[k]);
      raised.set(powers[k]);
      pCell.set(p[k], p[k]);
      gCell.set(g[k], g[k] / reach);
      badge.hidden = k !== y;
      row.toggleAttribute("data-right", k === y);
    });
    const add = (values) => values.reduce((a, b) => a + b, 0);
    sums.power.set(add(powers));
    sums.p.set(add(p));
    sums.g.set(add(g));
    temperature.set(T);
    label.set(y);
    pRight.set(p[y]);
    loss.set(l);
    steps.set(walked.length);
    story.textContent = insight(p, y, names, T);
    chart.draw({ width, loss: l, walked, classes: names.length });
    if (traits.touched)
      voice.say(`Loss ${ui.spoken(l, 3)} nats, p of ${names[y]} ${three(p[y])}. ${story.textContent}`);
  }

  const stopResize = ui.onResize(chart.el, (next) => {
    width = next;
    draw();
  });
  return () => {
    stop();
    stopResize();
    traits.stop();
  };
}

export default { render };

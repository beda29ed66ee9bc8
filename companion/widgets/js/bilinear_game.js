// The game x·y under three rules: their ways in the plane, how far they are from the equilibrium, and by how much a
// step moves them away. The rules are maths/bilinear_game.js.

import { growth, rules, trajectory } from "./maths/bilinear_game.js";
import { arrow, axis, chart, dots, linear, mark, path, s, setAll } from "./ui/axes.js";
import * as ui from "./ui/controls.js";
import { clamp, h } from "./ui/controls.js";
import { copyCode, python } from "./ui/copy_code.js";
import { bindTraits, lifetime, observeWidth, perFrame, reducedMotion, traitSlider } from "./ui/lifetime.js";
import { lineChart } from "./ui/line_chart.js";

/** @import { AnyModel, RenderProps } from "@anywidget/types" */
/** @import { Traits } from "./ui/lifetime.js" */
/** @import { Point } from "./ui/axes.js" */
/** @import { Place, Rule } from "./maths/bilinear_game.js" */

/**
 * @typedef {object} State
 * @property {number} step_size
 * @property {number} x
 * @property {number} y
 * @property {number} steps
 * @property {string} title
 */
/** @typedef {Record<Rule, Place[]>} Ways */

const REACH = 2.4; // of the plane, in both directions
const FURTHEST = 2; // of the start
const MOST = 200;
const PAUSE = 60; // milliseconds between steps that play
const LARGEST = 420;
const FIELD = 9; // arrows along a side
const TINTS = /** @type {Record<Rule, string>} */ ({
  ...{ simultaneous: "data-2", alternating: "data-1", "extra-gradient": "data-4" },
});
const WORDS = /** @type {Record<Rule, string>} */ ({
  ...{ simultaneous: "simultaneous", alternating: "alternating", "extra-gradient": "extra-gradient" },
});
const three = (/** @type {number} */ v) => String(Number(v.toPrecision(3)));
const four = (/** @type {number} */ v) => ui.fixed(v, 4);
const hundredths = (/** @type {number} */ v) => Math.round(100 * v) / 100;

/** The plane with the ways of all three. @param {(x: number, y: number) => void} onStart */
function plane(onStart) {
  const [left, bottom] = [axis("left"), axis("bottom")];
  const field = mark("path", "companion-arrow bilinear-field", "soft");
  const zero = mark("path", "companion-arrow", "edge");
  const lines = rules.map((rule) => mark("path", "companion-curve bilinear-way", TINTS[rule]));
  const marks = rules.map((rule) => mark("path", "companion-trail bilinear-dots", TINTS[rule]));
  const ends = rules.map((rule) => mark("circle", "companion-dot", TINTS[rule], { r: 6 }));
  const start = mark("circle", "bilinear-start", null, { r: 7 });
  const grip = mark("circle", "bilinear-grip", null, { r: 22 });
  const inside = s("svg", {}, field, zero, ...lines, ...marks, ...ends, start, grip);
  const { el, svg } = chart({ height: 320, class: "bilinear-plane" }, left.el, bottom.el, inside);
  let [x, y] = [linear([-1, 1], [0, 1]), linear([-1, 1], [1, 0])];
  /** @param {PointerEvent} event */
  const put = (event) => {
    const box = svg.getBoundingClientRect();
    const near = (/** @type {number} */ v) => hundredths(clamp(v, -FURTHEST, FURTHEST));
    onStart(near(x.invert(event.clientX - box.left)), near(y.invert(event.clientY - box.top)));
  };
  let dragging = false;
  svg.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    dragging = event.pointerType === "mouse" || event.target === grip;
    if (dragging) svg.setPointerCapture(event.pointerId);
    put(event);
  });
  svg.addEventListener("pointermove", (event) => dragging && put(event));
  for (const end of ["pointerup", "pointercancel"]) svg.addEventListener(end, () => (dragging = false));
  return {
    el,
    /** @param {Ways} ways @param {number} width @param {string} label */
    draw(ways, width, label) {
      const side = Math.min(LARGEST, width - 34);
      setAll(svg, { height: side + 34, "aria-label": label });
      const [from, to] = [30, 30 + side];
      const box = { x: from, y: 0, width: side, height: side };
      setAll(inside, { ...box, viewBox: Object.values(box).join(" ") });
      x = linear([-REACH, REACH], [from, to]);
      y = linear([-REACH, REACH], [side, 6]);
      left.draw({ scale: y, at: from, from, to, count: 4 });
      bottom.draw({ scale: x, at: side, from, to, count: 4 });
      const at = (/** @type {Place} */ [a, b]) => /** @type {Point} */ ([x(a), y(b)]);
      const places = Array.from({ length: FIELD }, (_, k) => -2 + (4 * k) / (FIELD - 1));
      const arrows = places.flatMap((a) =>
        places.map((b) => arrow(...at([a, b]), ...at([a - 0.14 * b, b + 0.14 * a]), 4)),
      );
      setAll(field, { d: arrows.join("") });
      setAll(zero, { d: `M${x(0) - 6} ${y(0)}h12M${x(0)} ${y(0) - 6}v12` });
      // What leaves the plane is cut a little outside of it: numbers may grow without end.
      const shown = (/** @type {Place} */ [a, b]) => Math.hypot(a, b) < 2 * REACH;
      rules.forEach((rule, k) => {
        const all = ways[rule];
        const out = all.findIndex((place) => !shown(place));
        const points = (out < 0 ? all : all.slice(0, out + 1)).map(at);
        setAll(lines[k], { d: path(points) });
        setAll(marks[k], { d: dots(points) });
        const [cx, cy] = points[points.length - 1];
        setAll(ends[k], { cx: cx.toFixed(1), cy: cy.toFixed(1) });
      });
      const [cx, cy] = at(ways.simultaneous[0]).map((v) => v.toFixed(1));
      for (const each of [start, grip]) setAll(each, { cx, cy });
    },
  };
}

/** What a step multiplies the distance by, and how far each rule is. */
function account() {
  const numbers = ui.readouts(four);
  const rows = rules.map((rule) =>
    h(
      "p",
      {},
      h("strong", { class: "companion-tinted", data: { tint: TINTS[rule] } }, WORDS[rule]),
      h("span", {}, "× ", numbers.make(`growth-${rule}`)),
      h("span", {}, "now at ", numbers.make(`distance-${rule}`, three)),
    ),
  );
  return {
    el: h("div", { class: "bilinear-rules" }, ...rows),
    /** @param {Ways} ways @param {number} step */
    draw(ways, step) {
      for (const rule of rules) {
        numbers.set({
          [`growth-${rule}`]: growth(rule, step),
          [`distance-${rule}`]: Math.hypot(...ways[rule][ways[rule].length - 1]),
        });
      }
    },
  };
}

/** Steps one by one, or as they come. @param {Traits<State>} traits */
function presses(traits) {
  const { model } = traits;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  const stop = () => {
    clearTimeout(timer);
    timer = undefined;
  };
  const take = () => traits.put({ steps: Math.min(MOST, model.get("steps") + 1) });
  const walk = () => {
    take();
    timer = model.get("steps") < MOST ? setTimeout(walk, PAUSE) : undefined;
    draw();
  };
  const play = ui.button({
    label: "Play",
    kind: "primary",
    onClick() {
      const runs = timer !== undefined;
      stop();
      if (!runs && reducedMotion()) traits.put({ steps: MOST });
      else if (!runs) {
        if (model.get("steps") === MOST) traits.put({ steps: 0 });
        walk();
      }
      draw();
    },
  });
  const by = (/** @type {string} */ label, /** @type {() => number} */ steps) =>
    ui.button({
      label,
      onClick() {
        stop();
        traits.put({ steps: steps() });
        draw();
      },
    });
  const one = by("One step", () => Math.min(MOST, model.get("steps") + 1));
  const back = by("Back to the start", () => 0);
  const draw = () => {
    play.el.replaceChildren(timer === undefined ? "Play" : "Pause");
    one.enable(model.get("steps") < MOST);
  };
  return { el: ui.row(play.el, one.el, back.el), draw, stop };
}

/** The three rules in PyTorch, whose gradients they follow. @param {AnyModel<State>} model */
const codeOf = (model) => `import torch

eta, steps = ${python(model.get("step_size"))}, ${model.get("steps")}

def gradients(x, y):
    x, y = (v.detach().clone().requires_grad_() for v in (x, y))
    return torch.autograd.grad(x * y, (x, y))

def simultaneous(x, y):
    by_x, by_y = gradients(x, y)
    return x - eta * by_x, y + eta * by_y

def alternating(x, y):
    x = x - eta * gradients(x, y)[0]
    return x, y + eta * gradients(x, y)[1]

def extra_gradient(x, y):
    by_x, by_y = gradients(*simultaneous(x, y))
    return x - eta * by_x, y + eta * by_y

distances = {}
for rule in (simultaneous, alternating, extra_gradient):
    place = torch.tensor(${python([model.get("x"), model.get("y")])}, dtype=torch.double).unbind()
    for _ in range(steps):
        place = rule(*place)
    distances[rule.__name__] = torch.stack(place).norm().item()
print(distances)
`;

/** @param {RenderProps<State>} props */
function render({ model, el }) {
  const voice = ui.announcer();
  const draw = () => {
    const [step, steps] = [model.get("step_size"), model.get("steps")];
    const start = /** @type {Place} */ ([model.get("x"), model.get("y")]);
    const ways = /** @type {Ways} */ (
      Object.fromEntries(rules.map((rule) => [rule, trajectory(rule, step, steps, start)]))
    );
    const far = (/** @type {Rule} */ rule) => three(Math.hypot(...ways[rule][steps]));
    const ends = rules.map((rule) => `${WORDS[rule]} ${far(rule)}`).join(", ");
    const words = `After ${steps} steps of ${step} the distances are: ${ends}.`;
    numbers.draw(ways, step);
    buttons.draw();
    code.draw();
    distances.draw(
      rules.map((rule) => ways[rule].map((place, t) => /** @type {Point} */ ([t, Math.hypot(...place)]))),
      { log: true },
    );
    if (traits.touched) voice.say(words);
    if (column.width) picture.draw(ways, column.width, `The ways from (${start.join(", ")}). ${words}`);
  };
  const traits = bindTraits(model, [], perFrame(draw));
  const places = { min: -FURTHEST, max: FURTHEST, step: 0.05 };
  const sliders = [
    traitSlider(traits, "step_size", {
      ...{ label: "step size η", min: 0.02, max: 1.2, step: 0.01, neutral: 0.2 },
    }),
    traitSlider(traits, "x", { label: "start x", ...places, neutral: 1 }),
    traitSlider(traits, "y", { label: "start y", ...places, neutral: 0 }),
    traitSlider(traits, "steps", { label: "steps", min: 0, max: MOST, step: 1, format: String }),
  ];
  const picture = plane((x, y) => traits.put({ x, y }));
  const numbers = account();
  const code = copyCode({ what: "the three rules", code: () => codeOf(model), say: voice.say });
  const buttons = presses(traits);
  const distances = lineChart({
    ...{ x: "step", y: "Distance to (0, 0)", height: 230, format: three },
    series: rules.map((rule) => ({ name: WORDS[rule], token: TINTS[rule] })),
  });
  el.append(
    ui.frame(
      {
        title: model.get("title"),
        describe:
          "x steps so that x·y falls, y so that it rises. Arrows show where both want to go. Drag the start, or use the sliders.",
      },
      h("div", { class: "companion-panel" }, buttons.el, ui.sliders(...sliders.map((each) => each.el))),
      ui.split(
        [picture.el],
        [
          h("p", { class: "companion-heading" }, "A step multiplies the distance by"),
          numbers.el,
          ui.note(
            "Exact for simultaneous, √(1 + η²), and extra-gradient, √(1 − η² + η⁴). Alternating goes round an ellipse, nearer and further in turn; 1 is what is left over many steps.",
          ),
        ],
      ),
      distances.el,
      code.el,
      voice.el,
    ),
  );
  const column = observeWidth(picture.el, draw);
  draw();
  return lifetime(column.stop, distances.stop, buttons.stop, () => traits.stop());
}

export default { render };

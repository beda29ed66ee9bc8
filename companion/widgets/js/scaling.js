// EfficientNet-B0 and what compound scaling makes of it, drawn to one scale: layers across, the side of the
// maps upwards, channels downwards. Counting is maths/costs.js; this file draws and listens.

import { add, efficientnetStages, waysToScale } from "./maths/costs.js";
import { chart, linear, mark, pointable, s, setAll, text, ticks } from "./ui/axes.js";
import * as ui from "./ui/controls.js";
import { h, maths } from "./ui/controls.js";
import { copyCode, python } from "./ui/copy_code.js";
import { bindTraits, lifetime, observeWidth, perFrame, traitSlider } from "./ui/lifetime.js";

/** @import { AnyModel, RenderProps } from "@anywidget/types" */
/** @import { Cost, Plan, Stage } from "./maths/costs.js" */
/** @import { Scale } from "./ui/axes.js" */
/** @import { Traits } from "./ui/lifetime.js" */

/** @typedef {{ name: string, phi: number } & Plan & Cost} Published a network of the paper, as published */
/**
 * @typedef {object} State
 * @property {number} phi
 * @property {number} alpha base of the depth
 * @property {number} beta base of the width
 * @property {number} gamma base of the resolution
 * @property {string} way to scale, see WAYS
 * @property {Published[]} published
 * @property {string} title
 */

const BASE = { width: 1, depth: 1, resolution: 224 };
/** @type {{ [base: string]: number }} */
const PUBLISHED_BASES = { alpha: 1.2, beta: 1.1, gamma: 1.15 };
const WAYS = [
  ["compound", "All three"],
  ["depth", "Depth only"],
  ["width", "Width only"],
  ["resolution", "Resolution only"],
];
const HEIGHT = { up: 150, down: 110, top: 30, bottom: 44 };
const LEFT = 46;

/** A factor or a size that may become very large. @param {number} v @param {number} digits */
const large = (v, digits) => (v >= 1000 ? ui.grouped(Math.round(v)) : ui.fixed(v, digits));

/** "390 M", "1.8 G" (M, G, T: 10⁶, 10⁹, 10¹²). @param {number} v */
function amount(v) {
  const [unit, size] =
    /** @type {const} */ ([
      ["T", 1e12],
      ["G", 1e9],
      ["M", 1e6],
    ]).find(([, limit]) => v >= 0.9995 * limit) ?? [];
  if (!size) return ui.grouped(v);
  return `${large(v / size, v >= 99.5 * size ? 0 : v >= 9.95 * size ? 1 : 2)} ${unit}`;
}
const times = (/** @type {number} */ v) => `×${ui.fixed(v, 2)}`;
const totalOf = (/** @type {Stage[]} */ stages) => add(...stages.map((stage) => stage.cost));
const drawn = (/** @type {Stage[]} */ stages) => stages.slice(0, -1);
const layersOf = (/** @type {Stage[]} */ stages) =>
  drawn(stages).reduce((sum, stage) => sum + stage.layers, 0);

/** The lines and numbers behind the profiles. */
function profileGrid() {
  const el = s("g", { "aria-hidden": "true" });
  const middle = HEIGHT.top + HEIGHT.up;
  let seen = "";
  return {
    el,
    /**
     * @param {{ width: number, x: Scale, up: Scale, down: Scale }} options scales of layers, sides, channels
     */
    draw({ width, x, up, down }) {
      const layers = x.domain[1];
      const key = [width, up.domain, down.domain, layers].join();
      if (key === seen) return;
      seen = key;
      const parts = [];
      for (const { scale, count } of [
        { scale: up, count: 5 },
        { scale: down, count: 4 },
      ]) {
        for (const value of ticks(...scale.domain, count).values.filter((v) => v > 0)) {
          const y = scale(value);
          parts.push(
            mark("line", "companion-grid", null, { x1: LEFT, x2: width - 8, y1: y, y2: y }),
            text(String(value), { x: LEFT - 6, y: y + 4, "text-anchor": "end" }),
          );
        }
      }
      const bottom = middle + HEIGHT.down;
      for (const value of ticks(0, layers, Math.min(6, width / 80)).values.filter(Number.isInteger)) {
        const at = x(value);
        parts.push(
          mark("line", "companion-tick", null, { x1: at, x2: at, y1: middle - 3, y2: middle + 3 }),
          text(at > width - 70 ? "" : String(value), { x: at, y: bottom + 38, "text-anchor": "middle" }),
        );
      }
      el.replaceChildren(...parts);
    },
  };
}

/**
 * Both networks as profiles around a middle line.
 * @param {(stage: number | null) => void} onPoint
 */
function profile(onPoint) {
  const height = HEIGHT.top + HEIGHT.up + HEIGHT.down + HEIGHT.bottom;
  const middle = HEIGHT.top + HEIGHT.up;
  const stages = Array.from({ length: 8 }, () => ({
    up: mark("rect", "scaling-up"),
    down: mark("rect", "scaling-down"),
    base: mark("rect", "scaling-base"),
    hit: mark("rect", "scaling-hit"),
  }));
  stages.forEach(({ hit }, i) => pointable(hit, (on) => onPoint(on ? i : null)));
  const grid = profileGrid();
  const line = mark("line", "companion-baseline", null, { y1: middle, y2: middle });
  const names = [
    text("side of the maps, pixels", { x: LEFT, y: 16 }),
    text("channels", { x: LEFT, y: height - HEIGHT.bottom + 16 }),
  ];
  const across = text("layers", { "text-anchor": "end", y: height - 6 });
  const { el, svg } = chart(
    { height },
    grid.el,
    ...stages.flatMap((x) => [x.up, x.down]),
    ...stages.map((x) => x.base),
    line,
    ...names,
    across,
    ...stages.map((x) => x.hit),
  );
  return {
    el,
    /**
     * @param {{ width: number, base: Stage[], now: Stage[], pointed: number | null, words: string }}
     *   options
     */
    draw({ width, base, now, pointed, words }) {
      const most = (/** @type {(stage: Stage) => number} */ of) =>
        Math.max(...[...drawn(base), ...drawn(now)].map(of));
      const layers = Math.max(20, layersOf(base), layersOf(now));
      const x = linear([0, layers], [LEFT, width - 8]);
      const side = Math.max(
        160,
        most((stage) => stage.size),
      );
      const channels = Math.max(
        400,
        most((stage) => stage.channels),
      );
      const up = linear([0, side], [middle, HEIGHT.top]);
      const down = linear([0, channels], [middle, middle + HEIGHT.down]);
      grid.draw({ width, x, up, down });
      setAll(line, { x1: LEFT, x2: width - 8 });
      setAll(across, { x: width - 8 });
      let [at, before] = [0, 0];
      drawn(now).forEach((stage, i) => {
        const { up: rectUp, down: rectDown, base: outline, hit } = stages[i];
        const [left, right] = [x(at), x(at + stage.layers)];
        const wide = Math.max(0.5, right - left - (right - left > 5 ? 1.5 : 0)).toFixed(1);
        const upper = { y: up(stage.size).toFixed(1), height: (middle - up(stage.size)).toFixed(1) };
        const lower = { y: middle, height: (down(stage.channels) - middle).toFixed(1) };
        setAll(rectUp, { x: left.toFixed(1), width: wide, ...upper });
        setAll(rectDown, { x: left.toFixed(1), width: wide, ...lower });
        for (const rect of [rectUp, rectDown])
          rect.classList.toggle("scaling-dim", pointed !== null && pointed !== i);
        setAll(hit, {
          x: left.toFixed(1),
          width: (right - left).toFixed(1),
          y: HEIGHT.top,
          height: HEIGHT.up + HEIGHT.down,
        });
        const plain = base[i];
        setAll(outline, {
          x: x(before).toFixed(1),
          width: (x(before + plain.layers) - x(before)).toFixed(1),
          y: up(plain.size).toFixed(1),
          height: (down(plain.channels) - up(plain.size)).toFixed(1),
        });
        at += stage.layers;
        before += plain.layers;
      });
      setAll(svg, { "aria-label": words });
    },
  };
}

/**
 * Four bars on one scale, one for each way to scale.
 * @param {keyof Cost} quantity
 */
function fourBars(quantity) {
  const rows = WAYS.map(([way, label]) => {
    const bar = ui.bar({ token: way === "compound" ? "data-1" : "soft" });
    const shown = ui.number({ quantity: `${quantity}-${way}`, value: 0, format: amount });
    return { way, bar, shown, el: h("li", { class: "scaling-row" }, h("span", {}, label), bar.el, shown.el) };
  });
  return {
    el: h("ul", { class: "scaling-rows" }, ...rows.map((row) => row.el)),
    /** @param {{ [way: string]: Cost }} costs @param {string} chosen */
    draw(costs, chosen) {
      const most = Math.max(...WAYS.map(([way]) => costs[way][quantity]));
      for (const { way, bar, shown, el } of rows) {
        bar.set(costs[way][quantity] / most);
        bar.el.dataset.tint = way === chosen ? "data-1" : "edge";
        shown.set(costs[way][quantity]);
        el.classList.toggle("scaling-chosen", way === chosen);
      }
    },
  };
}

/**
 * The three bases, and what they make of multiplications together.
 * @param {AnyModel<State>} model @param {Traits<State>} traits
 */
function baseSliders(model, traits) {
  const sliders = /** @type {const} */ ([
    ["alpha", "α", "depth", 2],
    ["beta", "β", "width", 1.5],
    ["gamma", "γ", "resolution", 1.5],
  ]).map(([name, letter, what, max]) =>
    traitSlider(traits, name, {
      label: h("span", {}, maths(letter), h("span", { class: "scaling-what" }, ` ${what}`)),
      name: `${name}, base of the ${what}`,
      min: 1,
      max,
      step: 0.01,
      neutral: PUBLISHED_BASES[name],
    }),
  );
  const growth = ui.number({ quantity: "growth", value: 0, format: (v) => ui.fixed(v, 3) });
  return {
    sliders: ui.sliders(...sliders.map(({ el }) => el)),
    formula: h("p", { class: "companion-maths" }, ...maths("α·β^2·γ^2 = ").childNodes, growth.el),
    draw() {
      growth.set(model.get("alpha") * model.get("beta") ** 2 * model.get("gamma") ** 2);
    },
  };
}

/** What the scaled network costs, in numbers. */
function costWords() {
  const numbers = ui.readouts(times);
  const resolution = numbers.make("resolution", (v) => `${v} px`);
  const multiplications = numbers.make("multiplications", amount);
  const more = numbers.make("more", (v) => large(v, 1));
  const compare = ui.note();
  return {
    parts: [
      h("p", {}, "depth ", numbers.make("depth"), ", width ", numbers.make("width"), ", ", resolution),
      h(
        "p",
        { class: "companion-result" },
        multiplications,
        h("span", { class: "scaling-unit" }, " multiplications"),
      ),
      h("p", {}, more, " times those of B0; ", numbers.make("parameters", amount), " parameters"),
      compare,
    ],
    /** @param {Plan} plan @param {Cost} cost @param {number} ratio to B0 @param {Published} [row] */
    draw({ depth, width, resolution: side }, cost, ratio, row) {
      numbers.set({ depth, width, resolution: side, ...cost, more: ratio });
      compare.textContent = row
        ? `Published ${row.name}: depth ${times(row.depth)}, width ${times(row.width)}, ` +
          `${row.resolution} px; ${amount(row.multiplications)} multiplications, ` +
          `${amount(row.parameters)} parameters.`
        : "";
    },
  };
}

/**
 * What the stage is that is pointed at, or what the whole is.
 * @param {Stage[]} now @param {Stage[]} base @param {number | null} pointed @param {number} resolution
 */
function stageWords(now, base, pointed, resolution) {
  if (pointed === null)
    return (
      `${layersOf(now)} layers on ${resolution}×${resolution} pixels; B0 has ${layersOf(base)} on 224×224. ` +
      "The last convolution and the dense layer are counted but not drawn. Point at a stage."
    );
  const [stage, plain] = [now[pointed], base[pointed]];
  return (
    `Stage ${pointed + 1}: ${stage.layers} ${stage.layers === 1 ? "layer" : "layers"} ` +
    `of ${stage.operator}, ` +
    `${stage.size}×${stage.size}×${stage.channels}; ` +
    `${amount(stage.cost.multiplications)} multiplications, ${amount(stage.cost.parameters)} parameters. ` +
    `In B0: ${plain.layers}, ${plain.size}×${plain.size}×${plain.channels}.`
  );
}

/** The scaled network in PyTorch, without memory for its weights. @param {Plan} plan */
const codeOf = ({ width, depth, resolution }) => `import torch
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.efficientnet import EfficientNet, MBConvConfig

width, depth, resolution = ${python(width)}, ${python(depth)}, ${resolution}
stages = [  # expansion, kernel, stride, channels in and out, layers
    (1, 3, 1, 32, 16, 1), (6, 3, 2, 16, 24, 2), (6, 5, 2, 24, 40, 2),
    (6, 3, 2, 40, 80, 3), (6, 5, 1, 80, 112, 3), (6, 5, 2, 112, 192, 4),
    (6, 3, 1, 192, 320, 1),
]

with torch.device("meta"):  # shapes alone
    settings = [MBConvConfig(*stage, width, depth) for stage in stages]
    network = EfficientNet(settings, dropout=0.2).eval()
    image = torch.empty(1, 3, resolution, resolution)
with FlopCounterMode(display=False) as counter:
    network(image)
multiplications = counter.get_total_flops() // 2
parameters = sum(p.numel() for p in network.parameters())
print(multiplications, parameters)
`;

/** @param {RenderProps<State>} props */
function render({ model, el }) {
  const published = model.get("published");
  const base = efficientnetStages(BASE);
  const baseCost = totalOf(base);
  const voice = ui.announcer();
  /** @type {number | null} */
  let pointed = null;

  /** The network of the paper that the state makes, if it makes one. */
  const match = () => {
    const standard = /** @type {const} */ (["alpha", "beta", "gamma"]).every(
      (name) => model.get(name) === PUBLISHED_BASES[name],
    );
    if (!standard || model.get("way") !== "compound") return -1;
    return published.findIndex((row) => Math.abs(row.phi - model.get("phi")) < 1e-9);
  };
  const draw = () => {
    const { width } = column;
    if (!width) return;
    const [alpha, beta, gamma] = [model.get("alpha"), model.get("beta"), model.get("gamma")];
    const plans = waysToScale(model.get("phi"), alpha, beta, gamma);
    const costs = Object.fromEntries(WAYS.map(([name]) => [name, totalOf(efficientnetStages(plans[name]))]));
    const plan = plans[model.get("way")];
    const now = efficientnetStages(plan);
    const cost = costs[model.get("way")];

    code.draw();
    bases.draw();
    way.set(model.get("way"));
    nearest.set(match());
    words.draw(plan, cost, cost.multiplications / baseCost.multiplications, published[match()]);
    const channels = Math.max(...drawn(now).map((x) => x.channels));
    picture.draw({
      width,
      base,
      now,
      pointed,
      words:
        `The scaled network over the outline of B0: ${layersOf(now)} layers ` +
        `on images of ${plan.resolution} pixels, at most ${channels} channels. ` +
        `B0 has ${layersOf(base)} layers on 224 pixels, at most 320 channels.`,
    });
    detail.textContent = stageWords(now, base, pointed, plan.resolution);
    for (const bars of fourWays) bars.draw(costs, model.get("way"));
    if (!traits.touched) return;
    const [multiplications, parameters] = [cost.multiplications, cost.parameters].map(amount);
    const size = `${layersOf(now)} layers, ${plan.resolution} pixels`;
    voice.say(`${multiplications} multiplications, ${parameters} parameters, ${size}.`);
  };
  const schedule = perFrame(draw);
  const traits = bindTraits(model, ["way"], schedule);
  const { put } = traits;

  const phi = traitSlider(traits, "phi", {
    label: maths("φ"),
    name: "compound coefficient phi",
    min: 0,
    max: 7,
    step: 0.1,
    format: (v) => ui.fixed(v, 1),
  });
  const bases = baseSliders(model, traits);
  const nearest = ui.select({
    label: "Nearest to",
    options: [
      ...published.map((row, value) => ({ value, label: `${row.name}, φ = ${row.phi}` })),
      { value: -1, label: "none of B0 to B7" },
    ],
    onChange: (i) => {
      if (i >= 0) put({ phi: published[i].phi, ...PUBLISHED_BASES, way: "compound" });
    },
  });
  const way = ui.segmented({
    label: "Scale",
    options: WAYS.map(([value, label]) => ({ value, label })),
    onChange: (v) => put({ way: v }),
  });
  const words = costWords();
  const code = copyCode({
    what: "the scaled network",
    code: () =>
      codeOf(
        waysToScale(model.get("phi"), model.get("alpha"), model.get("beta"), model.get("gamma"))[
          model.get("way")
        ],
      ),
    say: voice.say,
  });
  const picture = profile((stage) => {
    if (stage === pointed) return;
    pointed = stage;
    schedule();
  });
  const detail = h("p", { class: "companion-note scaling-detail" });
  const fourWays = [fourBars("parameters"), fourBars("multiplications")];

  el.append(
    ui.frame(
      {
        title: model.get("title"),
        describe:
          "Each block of the picture is a stage: as wide as it has layers, upwards the side of its maps, " +
          "downwards its channels. The outline is B0. What counts as a layer here is one convolution, or one " +
          "whole MBConv. (M, G, T: 10⁶, 10⁹, 10¹².)",
      },
      h("div", { class: "companion-panel companion-sticky" }, ui.sliders(phi.el)),
      picture.el,
      detail,
      ui.split([ui.row(way.el), bases.sliders, bases.formula, ui.row(nearest.el)], words.parts),
      ui.plate(
        { title: "The same growth, four ways" },
        h(
          "div",
          { class: "scaling-pair" },
          ui.stack(ui.note("Parameters"), fourWays[0].el),
          ui.stack(ui.note("Multiplications"), fourWays[1].el),
        ),
      ),
      code.el,
      voice.el,
    ),
  );
  const column = observeWidth(picture.el, draw);
  return lifetime(column.stop, traits.stop);
}

export default { render };

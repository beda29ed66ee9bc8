// EfficientNet-B0 and what compound scaling makes of it, drawn to one scale: layers across, the side of the
// maps upwards, channels downwards. Counting is costs.js; this file draws and listens.

import { linear, s, setAll, ticks } from "./ui/axes.js";
import * as ui from "./ui/controls.js";
import { add, efficientnetStages, waysToScale } from "./maths/costs.js";

const { h, maths } = ui;

const BASE = { width: 1, depth: 1, resolution: 224 };
const PUBLISHED_BASES = { alpha: 1.2, beta: 1.1, gamma: 1.15 };
const WAYS = [
  ["compound", "All three"],
  ["depth", "Depth only"],
  ["width", "Width only"],
  ["resolution", "Resolution only"],
];
const NAMES = ["phi", "alpha", "beta", "gamma", "way"];
const HEIGHT = { up: 150, down: 110, top: 30, bottom: 44 };
const LEFT = 46;

const amount = (v) => {
  for (const [unit, size] of [
    ["T", 1e12],
    ["G", 1e9],
    ["M", 1e6],
  ]) {
    if (v >= 0.9995 * size)
      return `${ui.fixed(v / size, v >= 99.5 * size ? 0 : v >= 9.95 * size ? 1 : 2)} ${unit}`;
  }
  return ui.grouped(v);
};
const times = (v) => `×${ui.fixed(v, 2)}`;
const totalOf = (stages) => add(...stages.map((stage) => stage.cost));
const drawn = (stages) => stages.slice(0, -1);
const layersOf = (stages) => drawn(stages).reduce((sum, stage) => sum + stage.layers, 0);

/** Both networks as profiles around a middle line. */
function profile(onPoint) {
  const height = HEIGHT.top + HEIGHT.up + HEIGHT.down + HEIGHT.bottom;
  const middle = HEIGHT.top + HEIGHT.up;
  const stage = () => ({
    up: s("rect", { class: "scaling-up" }),
    down: s("rect", { class: "scaling-down" }),
    base: s("rect", { class: "scaling-base" }),
    hit: s("rect", { class: "scaling-hit" }),
  });
  const stages = Array.from({ length: 8 }, stage);
  stages.forEach(({ hit }, i) => {
    for (const event of ["pointerenter", "pointerdown"]) hit.addEventListener(event, () => onPoint(i));
    hit.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "mouse") onPoint(null);
    });
  });
  const grid = s("g", { "aria-hidden": "true" });
  const line = s("line", { class: "companion-baseline", y1: middle, y2: middle });
  const names = [
    ["side of the maps, pixels", 16],
    ["channels", height - HEIGHT.bottom + 16],
  ].map(([text, y]) => s("text", { x: LEFT, y }, text));
  const across = s("text", { "text-anchor": "end", y: height - 6 }, "layers");
  const svg = s(
    "svg",
    { height, role: "img" },
    grid,
    ...stages.flatMap((x) => [x.up, x.down]),
    ...stages.map((x) => x.base),
    line,
    ...names,
    across,
    ...stages.map((x) => x.hit),
  );
  let seen = "";
  return {
    el: h("div", { class: "companion-chart" }, svg),
    draw({ width, base, now, pointed, words }) {
      const most = (f) => Math.max(...drawn(base).map(f), ...drawn(now).map(f));
      const layers = Math.max(20, layersOf(base), layersOf(now));
      const x = linear([0, layers], [LEFT, width - 8]);
      const up = linear(
        [
          0,
          Math.max(
            160,
            most((stage) => stage.size),
          ),
        ],
        [middle, HEIGHT.top],
      );
      const down = linear(
        [
          0,
          Math.max(
            400,
            most((stage) => stage.channels),
          ),
        ],
        [middle, middle + HEIGHT.down],
      );
      const key = [width, up.domain, down.domain, layers].join();
      if (key !== seen) {
        seen = key;
        const parts = [];
        for (const [scale, count] of [
          [up, 5],
          [down, 4],
        ]) {
          for (const value of ticks(...scale.domain, count).values.filter((v) => v > 0)) {
            const y = scale(value);
            parts.push(
              s("line", { class: "companion-grid", x1: LEFT, x2: width - 8, y1: y, y2: y }),
              s("text", { x: LEFT - 6, y: y + 4, "text-anchor": "end" }, String(value)),
            );
          }
        }
        const bottom = middle + HEIGHT.down;
        for (const value of ticks(0, layers, Math.min(6, width / 80)).values.filter((v) =>
          Number.isInteger(v),
        )) {
          parts.push(
            s("line", {
              class: "companion-tick",
              x1: x(value),
              x2: x(value),
              y1: middle - 3,
              y2: middle + 3,
            }),
            s(
              "text",
              { x: x(value), y: bottom + 38, "text-anchor": "middle" },
              x(value) > width - 70 ? "" : String(value),
            ),
          );
        }
        grid.replaceChildren(...parts);
      }
      setAll(line, { x1: LEFT, x2: width - 8 });
      setAll(across, { x: width - 8 });
      let [at, before] = [0, 0];
      drawn(now).forEach((stage, i) => {
        const { up: rectUp, down: rectDown, base: outline, hit } = stages[i];
        const [left, right] = [x(at), x(at + stage.layers)];
        const wide = Math.max(0.5, right - left - (right - left > 5 ? 1.5 : 0)).toFixed(1);
        const dim = pointed !== null && pointed !== i;
        setAll(rectUp, {
          x: left.toFixed(1),
          width: wide,
          y: up(stage.size).toFixed(1),
          height: (middle - up(stage.size)).toFixed(1),
        });
        setAll(rectDown, {
          x: left.toFixed(1),
          width: wide,
          y: middle,
          height: (down(stage.channels) - middle).toFixed(1),
        });
        for (const rect of [rectUp, rectDown]) rect.classList.toggle("scaling-dim", dim);
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

/** Four bars on one scale, one for each way to scale. */
function fourBars(quantity) {
  const rows = WAYS.map(([way, label]) => {
    const bar = ui.bar({ token: way === "compound" ? "data-1" : "soft" });
    const shown = ui.number({ quantity: `${quantity}-${way}`, value: 0, format: amount });
    return { way, bar, shown, el: h("li", { class: "scaling-row" }, h("span", {}, label), bar.el, shown.el) };
  });
  return {
    el: h("ul", { class: "scaling-rows" }, ...rows.map((row) => row.el)),
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

function render({ model, el }) {
  const published = model.get("published");
  const base = efficientnetStages(BASE);
  const baseCost = totalOf(base);
  let width = 0;
  let pointed = null;
  const schedule = ui.perFrame(() => draw());
  const voice = ui.announcer();
  const point = (i) => {
    if (i !== pointed) {
      pointed = i;
      schedule();
    }
  };
  const traits = ui.traits(model, NAMES, schedule);
  const { put } = traits;

  const phi = ui.slider({
    label: maths("φ"),
    name: "compound coefficient phi",
    min: 0,
    max: 7,
    step: 0.1,
    value: model.get("phi"),
    quantity: "phi",
    format: (v) => ui.fixed(v, 1),
    onInput: (v) => put({ phi: v }),
  });
  const bases = [
    ["alpha", "α", "depth", 2],
    ["beta", "β", "width", 1.5],
    ["gamma", "γ", "resolution", 1.5],
  ].map(([name, letter, what, max]) => [
    name,
    ui.slider({
      label: h("span", {}, maths(letter), h("span", { class: "scaling-what" }, ` ${what}`)),
      name: `${name}, base of the ${what}`,
      min: 1,
      max,
      step: 0.01,
      value: model.get(name),
      quantity: name,
      neutral: PUBLISHED_BASES[name],
      onInput: (v) => put({ [name]: v }),
    }),
  ]);
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

  const number = (quantity, format) => ui.number({ quantity, value: 0, format });
  const growth = number("growth", (v) => ui.fixed(v, 3));
  const factors = {
    depth: number("depth", times),
    width: number("width", times),
    resolution: number("resolution", (v) => `${v} px`),
  };
  const multiplications = number("multiplications", amount);
  const parameters = number("parameters", amount);
  const more = number("more", (v) => ui.fixed(v, 1));
  const picture = profile(point);
  const detail = h("p", { class: "companion-note scaling-detail" });
  const compare = h("p", { class: "companion-note" });
  const [byParameters, byOperations] = [fourBars("parameters"), fourBars("multiplications")];

  el.append(
    ui.frame(
      {
        title: model.get("title"),
        describe:
          "Each block of the picture is a stage: as wide as it has layers, upwards the side of its maps, downwards its channels. The outline is B0.",
      },
      h("div", { class: "companion-panel companion-sticky" }, ui.sliders(phi.el)),
      picture.el,
      detail,
      h(
        "div",
        { class: "companion-split" },
        h(
          "div",
          { class: "companion-stack" },
          ui.row(way.el),
          ui.sliders(...bases.map(([, slider]) => slider.el)),
          h("p", { class: "companion-maths" }, ...maths("α·β^2·γ^2 = ").childNodes, growth.el),
          ui.row(nearest.el),
        ),
        h(
          "div",
          { class: "companion-stack" },
          h("p", {}, "depth ", factors.depth.el, ", width ", factors.width.el, ", ", factors.resolution.el),
          h(
            "p",
            { class: "companion-result" },
            multiplications.el,
            h("span", { class: "scaling-unit" }, " multiplications"),
          ),
          h("p", {}, more.el, " times those of B0; ", parameters.el, " parameters"),
          compare,
        ),
      ),
      h(
        "div",
        { class: "companion-plate", role: "group", "aria-label": "The same growth, four ways" },
        h("p", { class: "companion-heading", "aria-hidden": "true" }, "The same growth, four ways"),
        h(
          "div",
          { class: "scaling-pair" },
          h(
            "div",
            { class: "companion-stack" },
            h("p", { class: "companion-note" }, "Parameters"),
            byParameters.el,
          ),
          h(
            "div",
            { class: "companion-stack" },
            h("p", { class: "companion-note" }, "Multiplications"),
            byOperations.el,
          ),
        ),
      ),
      voice.el,
    ),
  );

  function draw() {
    if (!width) return;
    const state = Object.fromEntries(NAMES.map((name) => [name, model.get(name)]));
    const plans = waysToScale(state.phi, state.alpha, state.beta, state.gamma);
    const costs = Object.fromEntries(WAYS.map(([name]) => [name, totalOf(efficientnetStages(plans[name]))]));
    const plan = plans[state.way];
    const now = efficientnetStages(plan);
    const cost = costs[state.way];

    phi.set(state.phi);
    for (const [name, slider] of bases) slider.set(state[name]);
    way.set(state.way);
    const standard =
      state.way === "compound" &&
      Object.entries(PUBLISHED_BASES).every(([name, value]) => state[name] === value);
    const match = standard ? published.findIndex((row) => Math.abs(row.phi - state.phi) < 1e-9) : -1;
    nearest.input.selectedIndex = match < 0 ? published.length : match;
    growth.set(state.alpha * state.beta ** 2 * state.gamma ** 2);
    factors.depth.set(plan.depth);
    factors.width.set(plan.width);
    factors.resolution.set(plan.resolution);
    multiplications.set(cost.multiplications);
    parameters.set(cost.parameters);
    more.set(cost.multiplications / baseCost.multiplications);
    const row = published[match];
    compare.textContent = row
      ? `Published ${row.name}: depth ${times(row.depth)}, width ${times(row.width)}, ${row.resolution} px; ${amount(row.multiplications)} multiplications, ${amount(row.parameters)} parameters.`
      : "";

    picture.draw({
      width,
      base,
      now,
      pointed,
      words: `The scaled network over the outline of B0: ${layersOf(now)} layers on images of ${plan.resolution} pixels, at most ${Math.max(...drawn(now).map((x) => x.channels))} channels. B0 has ${layersOf(base)} layers on 224 pixels, at most 320 channels.`,
    });
    const stage = now[pointed];
    detail.textContent = stage
      ? `Stage ${pointed + 1}: ${stage.layers} ${stage.layers === 1 ? "layer" : "layers"} of ${stage.operator}, ${stage.size}×${stage.size}×${stage.channels}; ` +
        `${amount(stage.cost.multiplications)} multiplications, ${amount(stage.cost.parameters)} parameters. In B0: ${base[pointed].layers}, ${base[pointed].size}×${base[pointed].size}×${base[pointed].channels}.`
      : `${layersOf(now)} layers on ${plan.resolution}×${plan.resolution} pixels; B0 has ${layersOf(base)} on 224×224. The last convolution and the dense layer are counted but not drawn. Point at a stage.`;
    byParameters.draw(costs, state.way);
    byOperations.draw(costs, state.way);
    if (traits.touched)
      voice.say(
        `${amount(cost.multiplications)} multiplications, ${amount(cost.parameters)} parameters, ${layersOf(now)} layers, ${plan.resolution} pixels.`,
      );
  }

  const stopResize = ui.onResize(picture.el, (next) => {
    width = next;
    draw();
  });
  return () => {
    stopResize();
    traits.stop();
  };
}

export default { render };

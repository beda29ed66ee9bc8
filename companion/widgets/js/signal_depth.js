// A random deep network, forward and back at every move: how large signal and gradient are in each layer.
// The numbers come from propagation.js; this file draws and listens.

import { axis, linear, path, s, setAll } from "./ui/axes.js";
import * as ui from "./ui/controls.js";
import { propagate } from "./maths/propagation.js";

const { h, maths } = ui;

const DEPTH = { min: 2, max: 50, step: 1 };
const GAIN = { min: 0.1, max: 10, step: 1.02 };
const PRESETS = [
  { value: "he", label: "He", gain: 2 },
  { value: "xavier", label: "Xavier", gain: 1 },
  { value: "pytorch", label: "PyTorch", gain: 1 / 3 },
  { value: "small", label: "too small", gain: 0.1 },
  { value: "large", label: "too large", gain: 10 },
];
const ACTIVATIONS = [
  { value: "relu", label: "ReLU" },
  { value: "tanh", label: "tanh" },
  { value: "none", label: "none" },
];
const MARGIN = { left: 52, right: 12 };
const HEIGHT = 280;
const TINY = 1e-300;

const superscript = (n) =>
  String(n)
    .replace("-", "⁻")
    .replace(/\d/g, (d) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[d]);

/** Three digits, beyond a hundredth and a thousand as a power of ten. */
function sized(v) {
  if (v === 0 || (v >= 0.01 && v < 1000)) return String(Number(v.toPrecision(3)));
  const [mantissa, power] = v.toExponential(2).split("e");
  return `${mantissa} × 10${superscript(Number(power))}`;
}

/** The same for the ear. */
function spokenSize(v) {
  if (v === 0 || (v >= 0.01 && v < 1000)) return String(Number(v.toPrecision(3)));
  const [mantissa, power] = v.toExponential(1).split("e");
  return `${mantissa} times 10 to the ${ui.spoken(Number(power), 0)}`;
}

const log = (v) => Math.log10(Math.max(v, TINY));

/** The factor that a layer has on average between two ends. */
const perLayer = (from, to, layers) => (from > 0 && to > 0 ? (to / from) ** (1 / layers) : 0);

// ---------------------------------------------------------------- the two pictures

/** Signal and gradient over the layers, with a guide at the layer that is looked at. */
function sizeChart(onPick) {
  const band = s("rect", { class: "signal-band" });
  const curves = ["data-1", "data-4"].map((tint, k) =>
    s("path", {
      class: `companion-curve${k ? " companion-dashed" : ""}`,
      "data-tint": tint,
    }),
  );
  const inner = ["data-1", "data-4"].map((tint) => s("path", { class: "signal-inner", "data-tint": tint }));
  const guide = s("line", { class: "companion-guide" });
  const dots = ["data-1", "data-4"].map((tint) =>
    s("circle", { class: "companion-dot", "data-tint": tint, r: 5.5 }),
  );
  const [left, bottom] = [axis("left"), axis("bottom")];
  const svg = s(
    "svg",
    { height: HEIGHT, role: "img", class: "signal-pickable" },
    band,
    left.el,
    bottom.el,
    guide,
    ...inner,
    ...curves,
    ...dots,
  );
  let pickFrom = () => {};
  for (const event of ["pointermove", "pointerdown"]) svg.addEventListener(event, (e) => pickFrom(e));
  return {
    el: h("div", { class: "companion-chart" }, svg),
    draw({ width, depth, shortcuts, sizes, layer }) {
      const powers = sizes.map((values) => Array.from(values, log));
      const all = powers.flat();
      const low = Math.min(-3, Math.floor(Math.min(...all)));
      const high = Math.max(3, Math.ceil(Math.max(...all)));
      const [base, to] = [HEIGHT - 44, width - MARGIN.right];
      const x = linear([0, depth], [MARGIN.left, to]);
      const y = linear([low, high], [base, 10]);
      // Inside a block the signal makes a detour; the line follows the stream that shortcuts carry.
      const onStream = (l) => !shortcuts || l % 2 === 0 || l === depth;
      powers.forEach((values, k) => {
        const points = values.map((v, l) => [x(l), y(v)]);
        setAll(curves[k], { d: path(points.filter((_, l) => onStream(l))) });
        setAll(inner[k], {
          d: points
            .filter((_, l) => !onStream(l))
            .map(([px, py]) => `M${px.toFixed(1)} ${py.toFixed(1)}h0`)
            .join(""),
        });
        setAll(dots[k], { cx: x(layer).toFixed(1), cy: y(values[layer]).toFixed(1) });
      });
      setAll(band, { x: MARGIN.left, width: to - MARGIN.left, y: y(1), height: y(-1) - y(1) });
      setAll(guide, { x1: x(layer), x2: x(layer), y1: 10, y2: base });
      left.draw({
        scale: y,
        at: MARGIN.left,
        from: MARGIN.left,
        to,
        count: 6,
        format: (v) => (v === 0 ? "1" : `10${superscript(v)}`),
      });
      bottom.draw({
        scale: x,
        at: base,
        from: MARGIN.left,
        to,
        count: Math.min(depth, width < 420 ? 5 : 10),
        format: String,
        name: "layer",
      });
      pickFrom = (event) => {
        const at = x.invert(event.clientX - svg.getBoundingClientRect().left);
        onPick(Math.min(depth, Math.max(0, Math.round(at))));
      };
      const [signal, gradient] = sizes;
      setAll(svg, {
        "aria-label":
          `Sizes in each of ${depth} layers on a logarithmic scale. The signal goes from ${spokenSize(signal[0])} at the` +
          ` input to ${spokenSize(signal[depth])} at the end, the gradient from ${spokenSize(gradient[depth])} at the end to` +
          ` ${spokenSize(gradient[0])} at the input.`,
      });
    },
  };
}

/** How the outputs of one layer are spread, in units of their own root mean square. */
function spreadChart() {
  const height = 140;
  const BINS = 31;
  const bars = s("path", { class: "companion-fill signal-bars", "data-tint": "data-1" });
  const bottom = axis("bottom");
  const svg = s("svg", { height, role: "img" }, bars, bottom.el);
  return {
    el: h("div", { class: "companion-chart" }, svg),
    draw({ width, values, rms, layer, silent }) {
      const counts = new Float64Array(BINS);
      const reach = 3.1;
      for (const v of values) {
        const place = Math.floor(((v / (rms || 1) + reach) / (2 * reach)) * BINS);
        counts[Math.min(BINS - 1, Math.max(0, place))] += 1;
      }
      const x = linear([-reach, reach], [MARGIN.left, width - MARGIN.right]);
      const y = linear([0, Math.max(...counts)], [height - 44, 6]);
      const step = (2 * reach) / BINS;
      setAll(bars, {
        d: Array.from(counts, (count, k) =>
          count
            ? `M${(x(-reach + k * step) + 0.5).toFixed(1)} ${y(0).toFixed(1)}V${y(count).toFixed(1)}` +
              `H${(x(-reach + (k + 1) * step) - 0.5).toFixed(1)}V${y(0).toFixed(1)}Z`
            : "",
        ).join(""),
      });
      bottom.draw({
        scale: x,
        at: height - 44,
        from: MARGIN.left,
        to: width - MARGIN.right,
        count: 6,
        name: "output / root mean square",
      });
      setAll(svg, {
        "aria-label": `Histogram of the outputs of layer ${layer} in units of their root mean square; ${Math.round(100 * silent)} per cent of them let no gradient through.`,
      });
    },
  };
}

// ---------------------------------------------------------------- words

// "keeps its size" is the shaded band of the picture.
const FATES = [
  [1e-3, "fades away"],
  [0.1, "fades"],
  [10, "keeps its size"],
  [1e3, "grows"],
  [Infinity, "explodes"],
];
const fate = (ratio) => FATES.find(([limit]) => ratio < limit)[1];

/** What the reader sees, in a sentence or two. */
function insight({ activation, shortcuts, batchNorm, gain, depth }, signalRatio, gradientRatio) {
  const [forward, backward] = [fate(signalRatio), fate(gradientRatio)];
  const fates =
    forward === backward
      ? `Going forward and going back, what passes ${forward}.`
      : `Going forward, the signal ${forward}; going back, the gradient ${backward}.`;
  const reasons = [];
  if (batchNorm && !shortcuts && activation === "relu") {
    reasons.push(
      "Batch norm sets every layer’s size, so the weights’ size no longer matters; but a plain stack " +
        "still multiplies the gradient by about √(π/(π − 1)) ≈ 1.21 a layer on its way back.",
    );
  } else if (batchNorm && shortcuts && activation === "tanh") {
    reasons.push("tanh keeps the stream below 1, whatever the blocks add; nothing bounds the gradient.");
  } else if (batchNorm && shortcuts) {
    reasons.push(
      "Each block adds a term of the same size to the stream: it grows like a root of the depth. Nothing grows exponentially, the gradient included.",
    );
  } else if (batchNorm) {
    reasons.push("Batch norm sets every layer’s size, whatever the weights’ size.");
  } else if (shortcuts && gain > 0.5 && activation !== "tanh") {
    reasons.push(
      "Shortcuts keep the gradient from fading, but every block adds to the stream: without batch norm it multiplies.",
    );
  } else if (shortcuts && activation === "tanh" && gain > 1) {
    reasons.push("tanh keeps the stream below 1, whatever the blocks add; nothing bounds the gradient.");
  } else if (shortcuts) {
    reasons.push("The shortcut carries the signal past weights that are too small to pass it on.");
  } else if (activation === "tanh" && gain > 1.5) {
    reasons.push(
      "tanh keeps the signal below 1, however large the weights. Nothing bounds the gradient: each layer multiplies it by a little more than tanh takes away.",
    );
  } else if (activation === "tanh") {
    reasons.push(
      "While the signal is small, tanh is the identity: each layer multiplies by about √(n·Var(w)), and n·Var(w) = 1 is the fair choice.",
    );
  } else if (activation === "none") {
    reasons.push(
      "Without an activation a layer multiplies by √(n·Var(w)): Xavier’s choice, 1, keeps the size.",
    );
  } else {
    reasons.push(
      "ReLU drops half of the mean square, so a layer multiplies by √(n·Var(w)/2): He’s choice, 2, keeps the size.",
    );
  }
  if (depth < 6) reasons.push("With so few layers nothing has time to go wrong: make it deeper.");
  return [fates, ...reasons].join(" ");
}

// ---------------------------------------------------------------- the widget

function render({ model, el }) {
  const all = new Map();
  const value = (quantity, format = sized) => {
    const shown = ui.number({ quantity, value: 0, format });
    all.set(quantity, [...(all.get(quantity) ?? []), shown]);
    return shown.el;
  };
  const state = () => ({
    depth: model.get("depth"),
    gain: model.get("gain"),
    activation: model.get("activation"),
    shortcuts: model.get("shortcuts"),
    batch_norm: model.get("batch_norm"),
    seed: model.get("seed"),
  });
  const schedule = ui.perFrame(() => draw());
  const voice = ui.announcer();
  let layer = null; // null: the last layer, however deep
  let columnWidth = 0;

  const traits = ui.traits(
    model,
    ["depth", "gain", "activation", "shortcuts", "batch_norm", "seed"],
    schedule,
  );
  const { put } = traits;
  const pick = (next) => {
    if (next === layer) return;
    layer = next;
    schedule();
  };
  const preset = (gain) => PRESETS.find((p) => Math.abs(p.gain / gain - 1) < 5e-3)?.value;

  // -------- controls
  const depth = ui.slider({
    label: "Depth",
    ...DEPTH,
    value: model.get("depth"),
    quantity: "depth",
    format: (v) => `${v} layers`,
    onInput: (v) => put({ depth: v }),
  });
  const gain = ui.slider({
    label: maths("n·Var(w)"),
    name: "size of the weights, n times variance",
    ...GAIN,
    scale: "log",
    neutral: 2,
    value: model.get("gain"),
    quantity: "gain",
    format: (v) => String(Number(v.toPrecision(3))),
    onInput: (v) => put({ gain: v }),
  });
  const init = ui.segmented({
    label: "Weights",
    options: PRESETS,
    value: preset(model.get("gain")) ?? null,
    onChange: (name) => put({ gain: PRESETS.find((p) => p.value === name).gain }),
  });
  const activation = ui.segmented({
    label: "Activation",
    options: ACTIVATIONS,
    value: model.get("activation"),
    onChange: (v) => put({ activation: v }),
  });
  const shortcuts = ui.toggle({
    label: "shortcuts",
    checked: model.get("shortcuts"),
    onChange: (on) => put({ shortcuts: on }),
  });
  const batchNorm = ui.toggle({
    label: "batch norm",
    checked: model.get("batch_norm"),
    onChange: (on) => put({ batch_norm: on }),
  });
  const redraw = ui.button({
    label: "Redraw weights",
    title: "Draw new weights and inputs at random",
    onClick: () => put({ seed: (model.get("seed") + 1) % 2 ** 32 }),
  });
  const controls = h(
    "div",
    { class: "companion-panel signal-controls" },
    h("div", { class: "companion-pair" }, depth.el, gain.el),
    ui.row(init.el, redraw.el),
    ui.row(activation.el, shortcuts.el, batchNorm.el),
  );

  // -------- the pictures and what they say
  let latest = null;
  const describeLayer = (l) =>
    latest
      ? `layer ${l}: signal ${spokenSize(latest.signal[l])}, gradient ${spokenSize(latest.gradient[l])}`
      : `layer ${l}`;
  const sizesPicture = sizeChart(pick);
  const spreadPicture = spreadChart();
  const story = h("p", { class: "signal-story" });
  const rows = h("tbody", {});
  const table = h(
    "details",
    { class: "signal-table", ontoggle: schedule },
    h("summary", {}, "Every layer in numbers"),
    h(
      "div",
      {
        class: "signal-scroll",
        tabindex: "0",
        role: "region",
        "aria-label": "Signal and gradient in every layer",
      },
      h(
        "table",
        {},
        h(
          "thead",
          {},
          h("tr", {}, ...["layer", "signal", "gradient"].map((name) => h("th", { scope: "col" }, name))),
        ),
        rows,
      ),
    ),
  );
  const look = ui.slider({
    label: "Look at layer",
    min: 0,
    max: DEPTH.max,
    step: 1,
    value: model.get("depth"),
    format: (v) => String(v),
    describe: (v) => describeLayer(v),
    onInput: pick,
  });

  const plate = (title, picture, ...words) =>
    h(
      "div",
      { class: "companion-plate", role: "group", "aria-label": title },
      h("p", { class: "companion-heading", "aria-hidden": "true" }, title),
      h(
        "div",
        { class: "companion-split" },
        h("div", { class: "companion-stack" }, ...picture),
        h("div", { class: "companion-stack" }, ...words),
      ),
    );
  const line = (name, ...shown) =>
    h("tr", {}, h("th", { scope: "row" }, name), ...shown.map((v) => h("td", {}, v)));
  const head = (...names) =>
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("td"),
        ...names.map(([name, tint]) =>
          h("th", { scope: "col", class: "companion-tinted", data: { tint } }, name),
        ),
      ),
    );

  const summary = h(
    "table",
    { class: "signal-summary" },
    head(["signal", "data-1"], ["gradient", "data-4"]),
    h(
      "tbody",
      {},
      line("at the input", value("signal-first"), value("gradient-first")),
      line("at the last layer", value("signal-last"), value("gradient-last")),
      line("× each layer", value("signal-factor"), value("gradient-factor")),
    ),
  );
  const sizesPlate = plate(
    "Size in each layer",
    [sizesPicture.el, look.el],
    ui.legend([
      { token: "data-1", label: "signal: root mean square of h", mark: "line" },
      { token: "data-4", label: "gradient: root mean square of ∂L/∂h", mark: "dashed" },
      { token: "soft", label: "the layer looked at", mark: "dotted" },
    ]),
    summary,
    story,
  );
  const layerName = h("span", {});
  const spreadPlate = plate(
    "Inside the layer looked at",
    [spreadPicture.el],
    h(
      "p",
      {},
      layerName,
      ": signal ",
      h("strong", {}, value("layer-signal")),
      ", gradient ",
      h("strong", {}, value("layer-gradient")),
      ".",
    ),
    h(
      "p",
      {},
      value("layer-silent", (v) => `${(100 * v).toFixed(1)} %`),
      " of its outputs let no gradient through (zeros of a ReLU, ends of a tanh).",
    ),
    h(
      "p",
      { class: "companion-note" },
      "Outputs of 64 units for 32 inputs, in units of their own root mean square.",
    ),
  );

  el.append(
    ui.frame(
      {
        title: model.get("title"),
        describe:
          "A batch passes forward through a network with random weights, and a gradient of size 1 passes back. What arrives?",
      },
      controls,
      sizesPlate,
      spreadPlate,
      table,
      voice.el,
    ),
  );

  // -------- from the state to the screen
  function draw() {
    if (!columnWidth) return;
    const now = state();
    depth.set(now.depth);
    gain.set(now.gain);
    init.set(preset(now.gain) ?? null);
    activation.set(now.activation);
    shortcuts.set(now.shortcuts);
    batchNorm.set(now.batch_norm);

    const result = propagate(now);
    latest = result;
    const { signal, gradient } = result;
    const at = Math.min(layer ?? now.depth, now.depth);
    look.input.max = now.depth;
    look.input.style.setProperty("--share", at / now.depth);
    look.set(at);
    look.input.value = at;
    look.input.setAttribute("aria-valuetext", describeLayer(at));
    const inside = result.look(at);

    sizesPicture.draw({
      width: columnWidth,
      depth: now.depth,
      shortcuts: now.shortcuts,
      sizes: [signal, gradient],
      layer: at,
    });
    spreadPicture.draw({
      width: columnWidth,
      values: inside.values,
      rms: signal[at],
      layer: at,
      silent: inside.silent,
    });
    const numbers = {
      "signal-first": signal[0],
      "signal-last": signal[now.depth],
      "gradient-first": gradient[0],
      "gradient-last": gradient[now.depth],
      "signal-factor": perLayer(signal[0], signal[now.depth], now.depth),
      "gradient-factor": perLayer(gradient[now.depth], gradient[0], now.depth),
      "layer-signal": signal[at],
      "layer-gradient": gradient[at],
      "layer-silent": inside.silent,
    };
    for (const [quantity, number] of Object.entries(numbers))
      for (const shown of all.get(quantity)) shown.set(number);
    layerName.textContent = at === 0 ? "The input" : `Layer ${at}`;
    story.textContent = insight(
      { ...now, batchNorm: now.batch_norm },
      signal[now.depth] / signal[0],
      gradient[0] / gradient[now.depth],
    );
    if (table.open) {
      rows.replaceChildren(
        ...Array.from(signal, (v, l) =>
          h(
            "tr",
            {},
            h("th", { scope: "row" }, String(l)),
            h("td", {}, sized(v)),
            h("td", {}, sized(gradient[l])),
          ),
        ),
      );
    }
    el.dispatchEvent(
      new CustomEvent("companion-propagated", {
        bubbles: true,
        detail: { ...now, signal: Array.from(signal), gradient: Array.from(gradient) },
      }),
    );
    if (traits.touched)
      voice.say(
        `${story.textContent} Signal at the end ${spokenSize(signal[now.depth])}, gradient at the input ${spokenSize(gradient[0])}.`,
      );
  }

  const stopResize = ui.onResize(sizesPicture.el, (width) => {
    columnWidth = width;
    draw();
  });
  return () => {
    stopResize();
    traits.stop();
  };
}

export default { render };

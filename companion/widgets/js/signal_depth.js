// A random deep network, forward and back at every move: how large signal and gradient are in each layer.
// The numbers come from maths/propagation.js; this file draws and listens.

import { propagate } from "./maths/propagation.js";
import { axis, chart, dots, linear, mark, path, setAll } from "./ui/axes.js";
import * as ui from "./ui/controls.js";
import { h, maths } from "./ui/controls.js";
import { NOISE, copyCode, python } from "./ui/copy_code.js";
import { bindTraits, emit, lifetime, observeWidth, perFrame, traitSlider } from "./ui/lifetime.js";

/** @import { AnyModel, RenderProps } from "@anywidget/types" */
/** @import { Traits } from "./ui/lifetime.js" */
/** @import { Point } from "./ui/axes.js" */
/** @import { Activation, Sizes } from "./maths/propagation.js" */

/**
 * @typedef {object} State
 * @property {number} depth
 * @property {number} gain n·Var(w)
 * @property {Activation} activation
 * @property {boolean} shortcuts
 * @property {boolean} batch_norm
 * @property {number} seed of weights and inputs
 * @property {string} title
 */

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

const superscript = (/** @type {number} */ n) =>
  String(n)
    .replace("-", "⁻")
    .replace(/\d/g, (d) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[Number(d)]);

/** Three digits, beyond a hundredth and a thousand as a power of ten. @param {number} v */
function sized(v) {
  if (v === 0 || (v >= 0.01 && v < 1000)) return String(Number(v.toPrecision(3)));
  const [mantissa, power] = v.toExponential(2).split("e");
  return `${mantissa} × 10${superscript(Number(power))}`;
}

/** The same for the ear. @param {number} v */
function said(v) {
  if (v === 0 || (v >= 0.01 && v < 1000)) return String(Number(v.toPrecision(3)));
  const [mantissa, power] = v.toExponential(1).split("e");
  return `${mantissa} times 10 to the ${ui.spoken(Number(power), 0)}`;
}

const log = (/** @type {number} */ v) => Math.log10(Math.max(v, TINY));

/**
 * The factor that a layer has on average between two ends.
 * @param {number} from @param {number} to @param {number} layers
 */
const perLayer = (from, to, layers) => (from > 0 && to > 0 ? (to / from) ** (1 / layers) : 0);

// ---------------------------------------------------------------- the two pictures

/**
 * Signal and gradient over the layers, with a guide at the layer that is looked at.
 * @param {(layer: number) => void} onPick
 */
function sizeChart(onPick) {
  const tints = ["data-1", "data-4"];
  const band = mark("rect", "signal-band");
  const curves = tints.map((tint, k) => mark("path", `companion-curve${k ? " companion-dashed" : ""}`, tint));
  const inner = tints.map((tint) => mark("path", "signal-inner", tint));
  const guide = mark("line", "companion-guide");
  const here = tints.map((tint) => mark("circle", "companion-dot", tint, { r: 5.5 }));
  const [left, bottom] = [axis("left"), axis("bottom")];
  const { el, svg } = chart(
    { height: HEIGHT, class: "signal-pickable" },
    band,
    left.el,
    bottom.el,
    guide,
    ...inner,
    ...curves,
    ...here,
  );
  /** @type {(event: PointerEvent) => void} */
  let pickFrom = () => {};
  for (const event of /** @type {const} */ (["pointermove", "pointerdown"]))
    svg.addEventListener(event, (e) => pickFrom(e));
  return {
    el,
    /**
     * @param {{ width: number, depth: number, shortcuts: boolean, sizes: Float64Array[], layer: number }}
     *   options sizes: of signal and gradient in each layer
     */
    draw({ width, depth, shortcuts, sizes, layer }) {
      const powers = sizes.map((values) => Array.from(values, log));
      const all = powers.flat();
      const low = Math.min(-3, Math.floor(Math.min(...all)));
      const high = Math.max(3, Math.ceil(Math.max(...all)));
      const [base, to] = [HEIGHT - 44, width - MARGIN.right];
      const x = linear([0, depth], [MARGIN.left, to]);
      const y = linear([low, high], [base, 10]);
      // Inside a block the signal makes a detour; the line follows the stream that shortcuts carry.
      const onStream = (/** @type {number} */ l) => !shortcuts || l % 2 === 0 || l === depth;
      powers.forEach((values, k) => {
        const points = values.map((v, l) => /** @type {Point} */ ([x(l), y(v)]));
        setAll(curves[k], { d: path(points.filter((_, l) => onStream(l))) });
        setAll(inner[k], { d: dots(points.filter((_, l) => !onStream(l))) });
        setAll(here[k], { cx: x(layer).toFixed(1), cy: y(values[layer]).toFixed(1) });
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
        onPick(ui.clamp(Math.round(at), 0, depth));
      };
      const [signal, gradient] = sizes;
      setAll(svg, {
        "aria-label":
          `Sizes in each of ${depth} layers on a logarithmic scale. ` +
          `The signal goes from ${said(signal[0])} at the input to ${said(signal[depth])} at the end, ` +
          `the gradient from ${said(gradient[depth])} at the end to ${said(gradient[0])} at the input.`,
      });
    },
  };
}

/** How the outputs of one layer are spread, in units of their own root mean square. */
function spreadChart() {
  const height = 140;
  const BINS = 31;
  const bars = mark("path", "companion-fill signal-bars", "data-1");
  const bottom = axis("bottom");
  const { el, svg } = chart({ height }, bars, bottom.el);
  return {
    el,
    /**
     * @param {{ width: number, values: Float64Array, rms: number, layer: number, silent: number }} options
     *   silent: the share of the outputs that let no gradient through
     */
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
        "aria-label":
          `Histogram of the outputs of layer ${layer} in units of their root mean square; ` +
          `${Math.round(100 * silent)} per cent of them let no gradient through.`,
      });
    },
  };
}

// ---------------------------------------------------------------- words

// Inside the shaded band of the picture nothing fades or grows by more than a little.
/** @type {[below: number, words: string][]} */
const FATES = [
  [1e-3, "fades away"],
  [0.1, "fades"],
  [0.4, "fades a little"],
  [2.5, "keeps its size"],
  [10, "grows a little"],
  [1e3, "grows"],
  [Infinity, "explodes"],
];
/** @param {number} ratio */
const fate = (ratio) => FATES.find(([limit]) => ratio < limit)?.[1] ?? "explodes";

/** Why that happens. @param {State} state */
function reason({ activation, shortcuts, batch_norm: batchNorm, gain }) {
  const bounded = "tanh keeps the stream below 1, whatever the blocks add; nothing bounds the gradient.";
  if (batchNorm && !shortcuts && activation === "relu")
    return (
      "Batch norm sets every layer’s size, so the weights’ size no longer matters; but a plain stack " +
      "still multiplies the gradient by about √(π/(π − 1)) ≈ 1.21 a layer on its way back."
    );
  if (batchNorm && shortcuts && activation === "tanh") return bounded;
  if (batchNorm && shortcuts)
    return (
      "Each block adds a term of the same size to the stream: it grows like a root of the depth. " +
      "Nothing grows exponentially, the gradient included."
    );
  if (batchNorm) return "Batch norm sets every layer’s size, whatever the weights’ size.";
  if (shortcuts && gain > 0.5 && activation !== "tanh")
    return (
      "Shortcuts keep the gradient from fading, but every block adds to the stream: " +
      "without batch norm it multiplies."
    );
  if (shortcuts && activation === "tanh" && gain > 1) return bounded;
  if (shortcuts) return "The shortcut carries the signal past weights that are too small to pass it on.";
  if (activation === "tanh" && gain > 1.5)
    return (
      "tanh keeps the signal below 1, however large the weights. Nothing bounds the gradient: " +
      "each layer multiplies it by a little more than tanh takes away."
    );
  if (activation === "tanh")
    return (
      "While the signal is small, tanh is the identity: each layer multiplies by about √(n·Var(w)), " +
      "and n·Var(w) = 1 is the fair choice."
    );
  if (activation === "none")
    return "Without an activation a layer multiplies by √(n·Var(w)): Xavier’s choice, 1, keeps the size.";
  return (
    "ReLU drops half of the mean square, so a layer multiplies by √(n·Var(w)/2): " +
    "He’s choice, 2, keeps the size."
  );
}

/**
 * What the reader sees, in a sentence or two.
 * @param {State} state
 * @param {number} signalRatio last to first @param {number} gradientRatio first to last
 */
function insight(state, signalRatio, gradientRatio) {
  const [forward, backward] = [fate(signalRatio), fate(gradientRatio)];
  const sentences = [
    forward === backward
      ? `Going forward and going back, what passes ${forward}.`
      : `Going forward, the signal ${forward}; going back, the gradient ${backward}.`,
    reason(state),
  ];
  if (state.depth < 6) sentences.push("With so few layers nothing has time to go wrong: make it deeper.");
  return sentences.join(" ");
}

// ---------------------------------------------------------------- the parts of the widget

/**
 * What the network is made of.
 * @param {AnyModel<State>} model
 * @param {Traits<State>} traits
 */
function settings(model, traits) {
  const { put: onPut } = traits;
  const preset = (/** @type {number} */ gain) =>
    PRESETS.find((p) => Math.abs(p.gain / gain - 1) < 5e-3)?.value ?? null;
  const depth = traitSlider(traits, "depth", { label: "Depth", ...DEPTH, format: (v) => `${v} layers` });
  const gain = traitSlider(traits, "gain", {
    label: maths("n·Var(w)"),
    name: "size of the weights, n times variance",
    ...GAIN,
    scale: "log",
    neutral: 2,
    format: (v) => String(Number(v.toPrecision(3))),
  });
  const init = ui.segmented({
    label: "Weights",
    options: PRESETS,
    value: preset(model.get("gain")),
    onChange: (name) => {
      const chosen = PRESETS.find(({ value }) => value === name);
      if (chosen) onPut({ gain: chosen.gain });
    },
  });
  const activation = ui.segmented({
    label: "Activation",
    options: ACTIVATIONS,
    value: model.get("activation"),
    onChange: (v) => onPut({ activation: v }),
  });
  const shortcuts = ui.toggle({
    label: "shortcuts",
    checked: model.get("shortcuts"),
    onChange: (on) => onPut({ shortcuts: on }),
  });
  const batchNorm = ui.toggle({
    label: "batch norm",
    checked: model.get("batch_norm"),
    onChange: (on) => onPut({ batch_norm: on }),
  });
  const redraw = ui.button({
    label: "Redraw weights",
    title: "Draw new weights and inputs at random",
    onClick: () => onPut({ seed: (model.get("seed") + 1) % 2 ** 32 }),
  });
  return {
    el: h(
      "div",
      { class: "companion-panel signal-controls" },
      h("div", { class: "companion-pair" }, depth.el, gain.el),
      ui.row(init.el, redraw.el),
      ui.row(activation.el, shortcuts.el, batchNorm.el),
    ),
    /** @param {State} state */
    draw(state) {
      init.set(preset(state.gain));
      activation.set(state.activation);
      shortcuts.set(state.shortcuts);
      batchNorm.set(state.batch_norm);
    },
  };
}

/**
 * The sizes over all layers, and the slider that looks at one of them.
 * @param {number} depth
 * @param {ReturnType<typeof ui.readouts>} numbers
 * @param {(layer: number) => void} onPick
 */
function sizesPlate(depth, numbers, onPick) {
  const picture = sizeChart(onPick);
  /** @type {Sizes | null} */
  let latest = null;
  const describe = (/** @type {number} */ l) =>
    latest
      ? `layer ${l}: signal ${said(latest.signal[l])}, gradient ${said(latest.gradient[l])}`
      : `layer ${l}`;
  const look = ui.slider({
    label: "Look at layer",
    min: 0,
    max: DEPTH.max,
    step: 1,
    value: depth,
    format: String,
    describe,
    onInput: onPick,
  });
  const line = (/** @type {string} */ name, /** @type {string} */ place) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, name),
      ...["signal", "gradient"].map((what) => h("td", {}, numbers.make(`${what}-${place}`))),
    );
  const head = (/** @type {string} */ name, /** @type {string} */ tint) =>
    h("th", { scope: "col", class: "companion-tinted", data: { tint } }, name);
  const summary = h(
    "table",
    { class: "signal-summary" },
    h("thead", {}, h("tr", {}, h("td"), head("signal", "data-1"), head("gradient", "data-4"))),
    h(
      "tbody",
      {},
      line("at the input", "first"),
      line("at the last layer", "last"),
      line("× each layer", "factor"),
    ),
  );
  const story = h("p", { class: "signal-story" });
  const el = ui.plate(
    { title: "Size in each layer" },
    ui.split(
      [picture.el, look.el],
      [
        ui.legend([
          { token: "data-1", label: "signal: root mean square of h", mark: "line" },
          { token: "data-4", label: "gradient: root mean square of ∂L/∂h", mark: "dashed" },
          { token: "soft", label: "the layer looked at", mark: "dotted" },
        ]),
        summary,
        story,
      ],
    ),
  );
  return {
    el,
    picture: picture.el,
    /** @param {{ state: State, sizes: Sizes, layer: number, width: number }} options */
    draw({ state, sizes, layer, width }) {
      latest = sizes;
      const { signal, gradient } = sizes;
      const n = state.depth;
      look.limit(n);
      look.set(layer);
      picture.draw({ width, depth: n, shortcuts: state.shortcuts, sizes: [signal, gradient], layer });
      numbers.set({
        "signal-first": signal[0],
        "signal-last": signal[n],
        "gradient-first": gradient[0],
        "gradient-last": gradient[n],
        "signal-factor": perLayer(signal[0], signal[n], n),
        "gradient-factor": perLayer(gradient[n], gradient[0], n),
      });
      story.textContent = insight(state, signal[n] / signal[0], gradient[0] / gradient[n]);
      return story.textContent;
    },
  };
}

/** The layer that is looked at. @param {ReturnType<typeof ui.readouts>} numbers */
function spreadPlate(numbers) {
  const picture = spreadChart();
  const name = h("span", {});
  const [signal, gradient] = [numbers.make("layer-signal"), numbers.make("layer-gradient")];
  const silentShare = numbers.make("layer-silent", (v) => `${(100 * v).toFixed(1)} %`);
  const el = ui.plate(
    { title: "Inside the layer looked at" },
    ui.split(
      [picture.el],
      [
        h("p", {}, name, ": signal ", h("strong", {}, signal), ", gradient ", h("strong", {}, gradient), "."),
        h("p", {}, silentShare, " of its outputs let no gradient through (zeros of a ReLU, ends of a tanh)."),
        ui.note("Outputs of 64 units for 32 inputs, in units of their own root mean square."),
      ],
    ),
  );
  return {
    el,
    /** @param {{ sizes: Sizes, layer: number, width: number }} options */
    draw({ sizes, layer, width }) {
      const { values, silent } = sizes.look(layer);
      picture.draw({ width, values, rms: sizes.signal[layer], layer, silent });
      name.textContent = layer === 0 ? "The input" : `Layer ${layer}`;
      numbers.set({
        "layer-signal": sizes.signal[layer],
        "layer-gradient": sizes.gradient[layer],
        "layer-silent": silent,
      });
    },
  };
}

/** Every layer in numbers, for who opens it. @param {() => void} onToggle */
function layerTable(onToggle) {
  const rows = h("tbody", {});
  const heads = ["layer", "signal", "gradient"].map((name) => h("th", { scope: "col" }, name));
  const label = "Signal and gradient in every layer";
  const el = h(
    "details",
    { class: "signal-table", ontoggle: onToggle },
    h("summary", {}, "Every layer in numbers"),
    h(
      "div",
      { class: "signal-scroll", tabindex: "0", role: "region", "aria-label": label },
      h("table", {}, h("thead", {}, h("tr", {}, ...heads)), rows),
    ),
  );
  const row = (/** @type {number} */ l, /** @type {number[]} */ ...sizes) =>
    h("tr", {}, h("th", { scope: "row" }, String(l)), ...sizes.map((v) => h("td", {}, sized(v))));
  return {
    el,
    /** @param {Sizes} sizes */
    draw({ signal, gradient }) {
      if (el.open) rows.replaceChildren(...Array.from(signal, (v, l) => row(l, v, gradient[l])));
    },
  };
}

// ---------------------------------------------------------------- the widget

/** The network in PyTorch, with the page's draws. @param {State} state */
function codeOf({ depth, gain, activation, shortcuts, batch_norm: batchNorm, seed }) {
  const end = activation === "none" ? "z" : `torch.${activation}(z)`;
  return `import torch
from torch.nn import functional as F
${NOISE}
depth, gain, seed = ${depth}, ${python(gain)}, ${seed}
draws = torch.from_numpy(noise(seed, 2 * 32 * 64 + depth * 64 * 64))
x, direction = draws[: 2 * 32 * 64].view(2, 32, 64)
weights = draws[2 * 32 * 64 :].view(depth, 64, 64) * (gain / 64) ** 0.5

outputs = [x.clone().requires_grad_()]
for layer, weight in enumerate(weights, 1):
    z = F.linear(outputs[-1], weight)
${batchNorm ? "    z = F.batch_norm(z, None, None, training=True)\n" : ""}${
  shortcuts ? "    if layer % 2 == 0:\n        z = z + outputs[-2]\n" : ""
}    outputs.append(${end})
    outputs[-1].retain_grad()
outputs[-1].backward(direction)

def size(values):
    return values.square().mean().sqrt().item()

signal = [size(h) for h in outputs]
gradient = [size(h.grad) for h in outputs]
print(signal[-1], gradient[0])
`;
}

/** @param {RenderProps<State>} props */
function render({ model, el }) {
  const state = () => ({
    depth: model.get("depth"),
    gain: model.get("gain"),
    activation: model.get("activation"),
    shortcuts: model.get("shortcuts"),
    batch_norm: model.get("batch_norm"),
    seed: model.get("seed"),
    title: model.get("title"),
  });
  const numbers = ui.readouts(sized);
  const voice = ui.announcer();
  /** @type {number | null} */
  let chosen = null; // null: the last layer, however deep

  const draw = () => {
    const { width } = column;
    if (!width) return;
    const now = state();
    const sizes = propagate(now);
    const layer = Math.min(chosen ?? now.depth, now.depth);
    controls.draw(now);
    const story = overview.draw({ state: now, sizes, layer, width });
    inside.draw({ sizes, layer, width });
    table.draw(sizes);
    code.draw();
    const [signal, gradient] = [Array.from(sizes.signal), Array.from(sizes.gradient)];
    emit(el, "propagated", { ...now, signal, gradient });
    if (!traits.touched) return;
    const ends = [said(signal[now.depth]), said(gradient[0])];
    voice.say(`${story} Signal at the end ${ends[0]}, gradient at the input ${ends[1]}.`);
  };
  const schedule = perFrame(draw);
  const traits = bindTraits(model, ["activation", "shortcuts", "batch_norm", "seed"], schedule);
  const pick = (/** @type {number} */ layer) => {
    if (layer === chosen) return;
    chosen = layer;
    schedule();
  };

  const controls = settings(model, traits);
  const overview = sizesPlate(model.get("depth"), numbers, pick);
  const inside = spreadPlate(numbers);
  const table = layerTable(schedule);
  const code = copyCode({ what: "the network", code: () => codeOf(state()), say: voice.say });
  el.append(
    ui.frame(
      {
        title: model.get("title"),
        describe:
          "A batch passes forward through a network with random weights, " +
          "and a gradient of size 1 passes back. What arrives?",
      },
      controls.el,
      overview.el,
      inside.el,
      table.el,
      code.el,
      voice.el,
    ),
  );
  const column = observeWidth(overview.picture, draw);
  return lifetime(column.stop, traits.stop);
}

export default { render };

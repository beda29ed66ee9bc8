// An autoencoder with a code of one number on points in the plane: the points and their reconstructions, the
// curve that the decoder draws, the field r(x) − x, and the score's arrows. The steps are training/bench.js's.

import { noise as normal } from "./maths/noise.js";
import { agreement, denoisingStep } from "./maths/score.js";
import { pointsOn } from "./maths/strokes.js";
import { bench } from "./training/bench.js";
import { changes, three } from "./training/charts.js";
import { record } from "./training/curves.js";
import { bytesOf } from "./training/views.js";
import { arrow, axis, chart, dots, linear, mark, path, setAll } from "./ui/axes.js";
import { sequential } from "./ui/colours.js";
import * as ui from "./ui/controls.js";
import { h } from "./ui/controls.js";
import { NOISE, copyCode, python, wrapped } from "./ui/copy_code.js";
import { drawingPad } from "./ui/drawing_pad.js";
import { bindTraits, lifetime, observeWidth, perFrame, traitSlider } from "./ui/lifetime.js";
import { lineChart } from "./ui/line_chart.js";

/** @import { AnyModel, RenderProps } from "@anywidget/types" */
/** @import { Tensors } from "./runtime/engine.js" */
/** @import { Plan } from "./training/bench.js" */
/** @import { Point } from "./ui/axes.js" */

/**
 * @typedef {object} State
 * @property {Plan} training
 * @property {Record<string, string>} shapes points of each, x₀, y₀, x₁ …, float32
 * @property {string} shape one of these, or "own"
 * @property {Point[]} own
 * @property {number} noise
 * @property {boolean} score
 * @property {number} selected
 * @property {number} seed
 * @property {{ reach: number, side: number }} plane
 * @property {{ shape: string, noise: number, seed: number, steps: number, losses: Point[] } & Record<string, string>} rest
 * @property {string} title
 */

/** @typedef {{ codes: Float32Array, rebuilt: Float32Array, curve: Float32Array, field: Float32Array }} Seen */

const LARGEST = 520; // CSS pixels along a side of the plane
const SHORTER = 1 / 3; // arrows are drawn at a third of their length, or they would cover each other
const BINS = 12; // colours of codes
const PIXELS = 64; // of the pad, along a side
const WAIT = 350; // milliseconds after a stroke
const NAMES = /** @type {Record<string, string>} */ ({ moons: "two moons", own: "yours" });
const nameOf = (/** @type {string} */ shape) => NAMES[shape] ?? shape;
const two = (/** @type {number} */ v) => ui.fixed(v, 2);
const maybe = (/** @type {number | null} */ v) => (v === null ? "–" : two(v));

/** What is learnt now. @param {AnyModel<State>} model @returns {Float32Array} */
function pointsOf(model) {
  const shape = model.get("shape");
  return shape === "own" ? Float32Array.from(model.get("own").flat()) : numbersOf(model.get("shapes")[shape]);
}

/** The places of the field's arrows, row by row from the top. @param {{ reach: number, side: number }} plane */
function gridOf({ reach, side }) {
  const at = (/** @type {number} */ k) => -reach + (2 * reach * k) / (side - 1);
  return Float32Array.from({ length: 2 * side * side }, (_, i) => {
    const k = i >> 1;
    return i % 2 ? -at(Math.floor(k / side)) : at(k % side);
  });
}

/** @param {ArrayLike<number>} flat @returns {Point[]} */
const pairs = (flat) => Array.from({ length: flat.length / 2 }, (_, k) => [flat[2 * k], flat[2 * k + 1]]);

/** The nearest of some numbers. @param {number[]} distances */
const nearest = (distances) => distances.indexOf(Math.min(...distances));

/** A code's colour, 0…1, that can be seen on either paper. @param {number} t */
const colourOf = (t) =>
  `light-dark(rgb(${sequential(0.78 * t).join()}), rgb(${sequential(0.3 + 0.7 * t).join()}))`;

/** Marks for the points of each bin. @param {string} cls */
const binMarks = (cls) =>
  Array.from({ length: BINS }, (_, bin) =>
    mark("path", `companion-trail ${cls}`, null, { style: `stroke: ${colourOf(bin / (BINS - 1))}` }),
  );

/** Numbers of a text in base64: int16, thousandths. @param {string} text */
const numbersOf = (text) => Float32Array.from(new Int16Array(bytesOf(text).buffer), (v) => v / 1000);

/** Which colour each code has by its rank, 0 … BINS − 1; all the middle one without codes. @param {Float32Array | undefined} codes @param {number} count */
function binsOf(codes, count) {
  const bins = new Uint8Array(count).fill(BINS / 2);
  if (!codes) return bins;
  const order = Array.from(bins.keys()).sort((a, b) => codes[a] - codes[b]);
  order.forEach((k, rank) => {
    bins[k] = Math.floor((BINS * rank) / count);
  });
  return bins;
}

/** The plane. @param {number} reach @param {(k: number) => void} onPoint */
function plane(reach, onPoint) {
  const marks = {
    score: mark("path", "companion-arrow manifold-arrow", "data-2"),
    field: mark("path", "companion-arrow manifold-arrow", "data-1"),
    curve: mark("path", "companion-curve manifold-curve", "data-4"),
    links: mark("path", "manifold-links", "soft"),
    link: mark("path", "companion-curve", "data-5"),
  };
  const paths = binMarks("manifold-points");
  const ends = [
    mark("circle", "manifold-end", "data-5", { r: 7 }),
    mark("circle", "manifold-end", "data-5", { r: 4 }),
  ];
  const frame = mark("rect", "manifold-frame", null, { x: 0.5, y: 0.5 });
  const { el, svg } = chart(
    { height: 320, class: "manifold-plane" },
    ...[frame, marks.score, marks.field, marks.links, marks.curve, ...paths, marks.link, ...ends],
  );
  /** @type {{ points: Float32Array, seen: Seen | null, score: Float64Array | null, grid: Float32Array, selected: number } | null} */
  let last = null;
  let side = 320;
  const at = (/** @type {Point} */ [x, y]) =>
    /** @type {Point} */ ([((x + reach) / (2 * reach)) * side, ((reach - y) / (2 * reach)) * side]);
  const arrows = (/** @type {Float32Array} */ grid, /** @type {ArrayLike<number>} */ steps) =>
    pairs(grid)
      .map(([x, y], k) => {
        const to = at([x + SHORTER * steps[2 * k], y + SHORTER * steps[2 * k + 1]]);
        return arrow(...at([x, y]), ...to, 5);
      })
      .join("");
  const select = () => {
    if (!last) return;
    const { points, seen, selected } = last;
    const from = at([points[2 * selected], points[2 * selected + 1]]);
    const to = seen ? at([seen.rebuilt[2 * selected], seen.rebuilt[2 * selected + 1]]) : from;
    setAll(marks.link, { d: path([from, to]) });
    [from, to].forEach(([cx, cy], k) => setAll(ends[k], { cx, cy }));
  };
  const show = () => {
    if (!last) return;
    const { points, seen, score, grid } = last;
    side = Math.min(LARGEST, column.width || 320);
    setAll(svg, { height: side });
    setAll(frame, { width: side - 1, height: side - 1 });
    setAll(marks.field, { d: seen ? arrows(grid, seen.field) : "" });
    setAll(marks.score, { d: score ? arrows(grid, score) : "" });
    setAll(marks.curve, { d: seen ? path(pairs(seen.curve).map(at)) : "" });
    const there = pairs(points).map(at);
    const back = seen ? pairs(seen.rebuilt).map(at) : [];
    setAll(marks.links, { d: back.map((to, k) => path([there[k], to])).join("") });
    const bins = binsOf(seen?.codes, there.length);
    paths.forEach((each, bin) => {
      setAll(each, { d: dots(there.filter((_, k) => bins[k] === bin)) });
    });
    select();
  };
  const column = observeWidth(el, show);
  const point = (/** @type {PointerEvent} */ event) => {
    if (!last) return;
    const box = svg.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    onPoint(nearest(pairs(last.points).map((p) => Math.hypot(at(p)[0] - x, at(p)[1] - y))));
  };
  svg.addEventListener("pointermove", point);
  svg.addEventListener("pointerdown", point);
  return {
    el,
    /** @param {NonNullable<typeof last>} next @param {string} label */
    draw(next, label) {
      last = next;
      setAll(svg, { "aria-label": label });
      show();
    },
    /** @param {number} selected */
    select(selected) {
      if (last) last.selected = selected;
      select();
    },
    stop: column.stop,
  };
}

/** The codes on their axis. @param {(k: number) => void} onPoint */
function codeAxis(onPoint) {
  const bottom = axis("bottom");
  const paths = binMarks("manifold-codes");
  const here = mark("circle", "manifold-end", "data-5", { r: 7, cy: 16 });
  const { el, svg } = chart({ height: 64 }, bottom.el, ...paths, here);
  /** @type {{ codes: Float32Array, selected: number } | null} */
  let last = null;
  let x = linear([0, 1], [8, 300]);
  const select = () => {
    if (last) setAll(here, { cx: x(last.codes[last.selected]) });
  };
  const show = () => {
    if (last) el.append(svg);
    else svg.remove(); // nothing is known of codes yet
    if (!last || !column.width) return;
    const { codes } = last;
    const [low, high] = [Math.min(...codes), Math.max(...codes)];
    x = linear([low, high > low ? high : low + 1], [8, column.width - 8]);
    const bins = binsOf(codes, codes.length);
    paths.forEach((each, bin) => {
      const own = Array.from(codes).filter((_, k) => bins[k] === bin);
      setAll(each, { d: dots(own.map((z) => [x(z), 16])) });
    });
    bottom.draw({ scale: x, at: 26, from: 8, to: column.width - 8, count: 5, name: "code z" });
    setAll(svg, { "aria-label": `The codes of all points, from ${two(low)} to ${two(high)}.` });
    select();
  };
  const column = observeWidth(el, show);
  const point = (/** @type {PointerEvent} */ event) => {
    if (!last) return;
    const at = event.clientX - svg.getBoundingClientRect().left;
    onPoint(nearest(Array.from(last.codes, (z) => Math.abs(x(z) - at))));
  };
  svg.addEventListener("pointermove", point);
  svg.addEventListener("pointerdown", point);
  return {
    el,
    /** @param {Float32Array | undefined} codes @param {number} selected */
    draw(codes, selected) {
      last = codes ? { codes, selected } : null;
      show();
    },
    /** @param {number} selected */
    select(selected) {
      if (last) last.selected = selected;
      select();
    },
    stop: column.stop,
  };
}

/** The loss over the steps, and that of the best of all denoisers. */
function lossChart() {
  const losses = lineChart({
    ...{ x: "step", y: "Loss ‖r(x + σε) − x‖²", height: 220, range: [0, null], format: three },
    series: [
      { name: "autoencoder", quantity: "loss", token: "data-1" },
      { name: "best of all denoisers", quantity: "best", token: "data-6", mark: "dashed" },
    ],
  });
  let kept = record();
  const marks = changes();
  return {
    el: losses.el,
    clear() {
      kept = record();
      marks.clear();
    },
    /** @param {Float32Array} values of new steps */
    add: (values) => values.forEach((v) => kept.add(v)),
    mark: marks.add,
    /** @param {number} best @param {Point[] | null} rest instead of what was trained here */
    draw(best, rest) {
      const line = rest ?? kept.line();
      const end = Math.max(1, line.at(-1)?.[0] ?? 1);
      const level = /** @type {Point[]} */ ([
        [0, best],
        [end, best],
      ]);
      losses.draw([line, level], { bands: [rest ? undefined : kept.band()], marks: marks.all });
    },
    stop: losses.stop,
  };
}

/** Shapes to choose from, and a pad for one's own. @param {AnyModel<State>} model @param {(own: Point[]) => void} onOwn @param {(shape: string) => void} onShape */
function choice(model, onOwn, onShape) {
  const count = pointsOf(model).length / 2;
  const trouble = ui.notice();
  const shapes = ui.segmented({
    label: "Points",
    options: [...Object.keys(model.get("shapes")), "own"].map((value) => ({ value, label: nameOf(value) })),
    value: model.get("shape"),
    onChange(next) {
      const isEmpty = next === "own" && !model.get("own").length;
      trouble.set(isEmpty ? "Draw a shape below first: there is none yet." : "", "error");
      if (isEmpty) {
        shapes.set(model.get("shape"));
        pad.open = true;
      } else onShape(next);
    },
  });
  shapes.el.classList.add("manifold-shapes");
  /** @type {ReturnType<typeof setTimeout>} */
  let timer;
  const drawing = drawingPad({
    ...{ label: "Draw a shape of your own", height: PIXELS, width: PIXELS, radius: 0.8 },
    onChange(image) {
      clearTimeout(timer);
      timer = setTimeout(() => {
        const own = pointsOn(image, PIXELS, count);
        trouble.set(own ? "" : "The pad is empty: the points stay as they are.");
        if (own) onOwn(own);
      }, WAIT);
    },
  });
  const pad = h("details", {}, h("summary", {}, "Draw points of your own"), drawing.el);
  return {
    els: [shapes.el, trouble.el],
    pad,
    set: shapes.set,
    stop: () => clearTimeout(timer),
  };
}

/** What the colours of the plane say. */
const key = () =>
  ui.legend([
    { token: "data-1", label: "r(x) − x", mark: "line" },
    { token: "data-2", label: "σ²∇log p", mark: "line" },
    { token: "data-4", label: "decoder’s curve", mark: "line" },
    { token: "data-5", label: "a point and its reconstruction", mark: "line" },
  ]);

/** What the selected point says. */
function reading() {
  const numbers = ui.readouts(maybe);
  const el = h(
    "p",
    {},
    ...["x = (", numbers.make("x0"), ", ", numbers.make("x1"), ") → code z = ", numbers.make("code")],
    ...[" → r(x) = (", numbers.make("r0"), ", ", numbers.make("r1"), ")"],
  );
  return {
    el,
    /** @param {Float32Array} points @param {Seen | null} seen @param {number} k */
    draw(points, seen, k) {
      const of = (/** @type {Float32Array | undefined} */ all, /** @type {number} */ i) => all?.[i] ?? null;
      numbers.set({ x0: points[2 * k], x1: points[2 * k + 1], code: of(seen?.codes, k) });
      numbers.set({ r0: of(seen?.rebuilt, 2 * k), r1: of(seen?.rebuilt, 2 * k + 1) });
    },
  };
}

/** The best denoiser's steps at the grid, and its loss; computed anew when points or noise change. @param {Float32Array} grid */
function bestOf(grid) {
  let key = "";
  let [steps, loss] = [/** @type {Float64Array | null} */ (null), 0];
  return (/** @type {Float32Array} */ points, /** @type {number} */ sigma) => {
    const next = `${sigma} ${points.join()}`;
    if (next === key) return { steps, loss };
    key = next;
    if (!sigma) {
      [steps, loss] = [null, 0];
      return { steps, loss };
    }
    steps = denoisingStep(grid, points, sigma);
    const epsilon = normal(0, points.length);
    const noisy = Float64Array.from(points, (v, i) => v + sigma * epsilon[i]);
    const way = denoisingStep(noisy, points, sigma);
    loss = noisy.reduce((sum, v, i) => sum + (v + way[i] - points[i]) ** 2, 0) / (points.length / 2);
    return { steps, loss };
  };
}

/** The toggle of the score's arrows, and how far both agree. @param {(on: boolean) => void} onChange */
function comparison(onChange) {
  const toggle = ui.toggle({ label: "The score’s arrows, σ²∇log p", onChange });
  const cosine = ui.number({ quantity: "cosine", value: null, format: maybe });
  const places = ui.number({ quantity: "places", value: 0, format: String });
  const words = ui.note();
  return {
    els: [toggle.el, words],
    /** @param {boolean} on @param {number} sigma @param {{ cosine: number | null, count: number } | null} found */
    draw(on, sigma, found) {
      toggle.set(on);
      cosine.set(found?.cosine ?? null);
      places.set(found?.count ?? 0);
      if (on && !sigma)
        words.replaceChildren(
          "Without noise the points have no density, so no score: there is nothing to compare with.",
        );
      else if (on)
        words.replaceChildren(
          ...[
            "Exact: the density of a point plus noise is a mixture of Gaussians. Mean cosine of both arrows at the ",
          ],
          ...[
            places.el,
            " places within 2σ of a point: ",
            cosine.el,
            ". Far away a code of one number can't follow.",
          ],
        );
      else words.replaceChildren("Arrows show r(x) − x, at a third of its length.");
    },
  };
}

/**
 * The linked parts: plane, axis of codes, slider and sentence of the selected point.
 * @param {AnyModel<State>} model @param {(selected: number) => void} onSelect
 */
function linked(model, onSelect) {
  const picture = plane(model.get("plane").reach, onSelect);
  const codes = codeAxis(onSelect);
  const point = reading();
  /** @type {{ points: Float32Array, seen: Seen | null, order: number[] }} */
  let last = { points: pointsOf(model), seen: null, order: [] };
  last.order = Array.from({ length: last.points.length / 2 }, (_, k) => k);
  const count = last.order.length;
  const walk = ui.slider({
    ...{ label: "Point", name: "Point, in the order of the codes", min: 1, max: count, step: 1, value: 1 },
    format: (v) => `${v} of ${count}`,
    describe: (v) => `${v} of ${count}, code ${maybe(last.seen?.codes[last.order[v - 1]] ?? null)}`,
    onInput: (place) => onSelect(last.order[place - 1]),
  });
  const select = () => {
    const selected = model.get("selected");
    walk.set(last.order.indexOf(selected) + 1);
    point.draw(last.points, last.seen, selected);
    picture.select(selected);
    codes.select(selected);
  };
  model.on("change:selected", select);
  return {
    picture: picture.el,
    els: [codes.el, ui.sliders(walk.el), point.el],
    /** @param {Float32Array} points @param {Seen | null} seen @param {Float64Array | null} score @param {Float32Array} grid */
    draw(points, seen, score, grid) {
      const order = Array.from({ length: count }, (_, k) => k);
      if (seen) order.sort((a, b) => seen.codes[a] - seen.codes[b]);
      last = { points, seen, order };
      const selected = model.get("selected");
      picture.draw(
        { points, seen, score, grid, selected },
        seen
          ? `${count} points, the curve that the decoder draws, and arrows r(x) − x at ${grid.length / 2} places.`
          : `${count} points, ${nameOf(model.get("shape"))}. Nothing is learnt yet.`,
      );
      codes.draw(seen?.codes, selected);
      select();
    },
    stop: lifetime(picture.stop, codes.stop, () => model.off("change:selected", select)),
  };
}

/** What Python's training reached, as long as it is what the widget is set to. @param {AnyModel<State>} model */
function restOf(model) {
  const rest = model.get("rest");
  const names = /** @type {const} */ (["shape", "noise", "seed"]);
  return names.every((name) => rest[name] === model.get(name)) ? rest : null;
}

/** The best of all denoisers in NumPy. @param {Float32Array} points @param {number} sigma */
function codeOf(points, sigma) {
  const pairs = Array.from({ length: points.length / 2 }, (_, k) =>
    [points[2 * k], points[2 * k + 1]].map((v) => Number(v.toPrecision(7))),
  );
  return `${NOISE}
points = np.array(${wrapped(python(pairs))})
sigma = ${python(sigma)}

def best(noisy):
    """From each place to the mean of the points that it may come from."""
    far = ((noisy[:, None] - points) ** 2).sum(2)
    weights = np.exp((far.min(1, keepdims=True) - far) / (2 * sigma**2))
    return weights @ points / weights.sum(1, keepdims=True)

noisy = points + sigma * noise(0, points.size).reshape(-1, 2)
loss = ((best(noisy) - points) ** 2).sum(1).mean()
print(loss)
`;
}

/** @param {RenderProps<State>} props */
function render({ model, el }) {
  const voice = ui.announcer();
  const grid = gridOf(model.get("plane"));
  const best = bestOf(grid);
  const losses = lossChart();
  let points = pointsOf(model);
  /** @type {Seen | null} */
  let seen = null; // of what is trained here
  let touched = false;

  const restNow = () => (touched ? null : restOf(model));
  /** @returns {Seen | null} */
  const shown = () => {
    const rest = restNow();
    if (!rest) return seen;
    const [codes, rebuilt] = [numbersOf(rest.codes), numbersOf(rest.rebuilt)];
    return { codes, rebuilt, curve: numbersOf(rest.curve), field: numbersOf(rest.field) };
  };
  const parts = linked(model, (selected) => traits.put({ selected }));
  const drawAll = () => {
    const [sigma, on] = [model.get("noise"), model.get("score")];
    const now = shown();
    const { steps, loss } = best(points, sigma);
    code.el.hidden = !sigma; // without noise all is there already
    code.draw();
    compare.draw(on, sigma, on && now && steps ? agreement(now.field, steps, grid, points, 2 * sigma) : null);
    parts.draw(points, now, on ? steps : null, grid);
    losses.draw(loss, restNow()?.losses ?? null);
  };
  const training = bench({
    ...{ model, el, plans: { plane: model.get("training") }, root: () => root },
    cause: "the steps are too large for these points",
    numbers: () => ({ sigma: model.get("noise") }),
    data: () => ({ images: { data: points, dims: [points.length / 2, 2] } }),
    look: () => ({
      functions: { view: { points: { data: points, dims: [points.length / 2, 2] } } },
      weights: [],
    }),
    onSteps: ({ losses: taken }) => losses.add(taken),
    onSeen({ functions: { view } }) {
      touched = true;
      const entries = Object.entries(/** @type {Tensors} */ (view)).map(([name, { data }]) => [name, data]);
      seen = /** @type {Seen} */ (Object.fromEntries(entries));
      drawAll();
    },
    onReset() {
      seen = null;
      losses.clear();
      drawAll();
    },
    onSeed: (seed) => traits.put({ seed }),
    rest: restNow,
  });

  const settings = () => [
    model.get("seed"),
    model.get("shape"),
    model.get("shape") === "own" && model.get("own"),
  ];
  let [before, sigma] = [settings(), model.get("noise")];
  const draw = () => {
    const now = settings();
    const isNew = now.some((value, k) => value !== before[k]);
    before = now;
    shapes.set(model.get("shape"));
    if (sigma !== model.get("noise")) {
      sigma = model.get("noise");
      if (training.steps) losses.mark(training.steps, "σ", sigma);
    }
    training.tell();
    if (!isNew) return drawAll();
    points = pointsOf(model);
    training.reset(true);
  };
  const traits = bindTraits(model, ["shape", "own", "score", "seed"], perFrame(draw));
  const noise = traitSlider(traits, "noise", {
    ...{ label: "noise σ", min: 0, max: 0.5, step: 0.01, neutral: 0.1, format: two },
  });
  const compare = comparison((score) => traits.put({ score }));
  const code = copyCode({
    what: "the best of all denoisers",
    library: "NumPy",
    code: () => codeOf(points, model.get("noise")),
    say: voice.say,
  });
  const shapes = choice(
    model,
    (own) => traits.put({ own, shape: "own" }),
    (shape) => {
      traits.put({ shape });
      voice.say(`The points: ${nameOf(shape)}.`);
    },
  );
  const root = ui.frame(
    { title: model.get("title") },
    h("div", { class: "companion-panel" }, training.tools, ui.sliders(noise.el), ...shapes.els),
    training.status,
    ui.split([parts.picture, key(), ...compare.els], [...parts.els, losses.el, shapes.pad]),
    code.el,
    voice.el,
  );
  el.append(root);
  root.dataset.training = "idle";
  training.change();
  drawAll();
  return lifetime(training.stop, parts.stop, losses.stop, shapes.stop, traits.stop);
}

export default { render };

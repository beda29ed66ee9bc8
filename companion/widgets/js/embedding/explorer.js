// What the embedding explorer computes, a little in each frame: distances, ranks, t-SNE's steps, and how far the
// picture on show can be trusted.

import {
  classesOf,
  distanceCorrelation,
  neighbourhoods,
  neighbourRanks,
  pairDistances,
  planeNeighbours,
  relative,
  squaredDistances,
} from "../maths/embeddings.js";
import { noise } from "../maths/noise.js";
import { affinities, descent, divergence, start } from "../maths/tsne.js";
import { slice } from "../ui/lifetime.js";

/** @import { AnyModel } from "@anywidget/types" */

/**
 * @typedef {object} State
 * @property {{ count: number, scale: number, data: string }} points 16-bit whole numbers times scale
 * @property {Record<string, string>} layouts 32-bit floats, x and y in turn
 * @property {{ shape?: number[], data?: string }} tiles
 * @property {number[]} labels
 * @property {string[]} class_names
 * @property {{ of: number, dimensions: number, variance: number, neighbours: number }} kept
 * @property {string} title
 * @property {string} view
 * @property {number} perplexity
 * @property {number} exaggeration
 * @property {string} init
 * @property {number} seed
 * @property {number} k
 * @property {number} selected
 */

/**
 * @typedef {object} Found how far a picture can be trusted; null while it is not known
 * @property {number} trustworthiness
 * @property {number} continuity
 * @property {number} kept
 * @property {number} rank_correlation
 * @property {number | null} kl of t-SNE
 */

/** @typedef {{ true_: number[], plane: number[] }} Neighbours the nearest first */

const BUDGET = 4; // milliseconds of a frame for steps
const JUDGING = 2; // and for judging the picture meanwhile
const PAUSE = 250; // between two judgements
const ENOUGH = 1000; // steps, as scikit-learn has it

/** The bytes of a text in base64. @param {string} text */
const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;

/**
 * The points, the layouts that Python made, and what follows from them at once.
 * @param {AnyModel<State>} model
 */
function pointsOf(model) {
  const { count: n, scale, data } = model.get("points");
  const points = Float64Array.from(new Int16Array(bytesOf(data)), (v) => v * scale);
  const dimensions = points.length / n;
  const labels = model.get("labels");
  const count = Math.max(1, model.get("class_names").length);
  const own = classesOf(points, labels, count);
  /** @type {Record<string, Float64Array>} */
  const layouts = {};
  for (const [way, text] of Object.entries(model.get("layouts")))
    layouts[way] = Float64Array.from(new Float32Array(bytesOf(text)));
  /** All other points, the nearest to i first. @param {number} i */
  const order = (i) => {
    const far = new Float64Array(n);
    for (let j = 0; j < n; j += 1)
      for (let c = 0; c < dimensions; c += 1)
        far[j] += (points[i * dimensions + c] - points[j * dimensions + c]) ** 2;
    return [...far.keys()].filter((j) => j !== i).sort((a, b) => far[a] - far[b] || a - b);
  };
  let nearest = { of: -1, order: [0] };
  return {
    n,
    points,
    layouts,
    /** The k nearest of point i, in the embedding and in a picture. @param {number} i @param {Float64Array} plane @returns {Neighbours} */
    neighbours(i, plane) {
      const k = model.get("k");
      if (nearest.of !== i) nearest = { of: i, order: order(i) };
      return { true_: nearest.order.slice(0, k), plane: planeNeighbours(plane, i, k) };
    },
    /** Relative spreads of the classes, and how distances between their centres have changed. @param {Float64Array} plane */
    classes(plane) {
      const seen = classesOf(plane, labels, count);
      const before = pairDistances(own.centres, count);
      const ratios = relative(pairDistances(seen.centres, count).map((v, pair) => v / before[pair]));
      return { spreads: relative(own.spreads), seen: relative(seen.spreads), ratios };
    },
  };
}

/**
 * The work behind an explorer; `onFrame` is called after each frame in which something was done.
 * @param {AnyModel<State>} model @param {() => void} onFrame
 */
export function explorer(model, onFrame) {
  const known = pointsOf(model);
  const { n, points, layouts } = known;
  const least = Math.ceil(4096 / n);

  const prepare = function* () {
    const squared = yield* squaredDistances(points, n);
    const order = yield* neighbourRanks(squared, n);
    return { squared, order, correlate: distanceCorrelation(squared, n) };
  };
  /** @param {Float64Array} plane @param {Float64Array | null} p @returns {Generator<undefined, Found>} */
  const judge = function* (plane, p) {
    const kl = p ? yield* divergence(p, plane) : null;
    const kept = yield* neighbourhoods(/** @type {Base} */ (base).order, plane, model.get("k"));
    return { ...kept, kl, rank_correlation: /** @type {Base} */ (base).correlate(plane) };
  };

  /** @typedef {{ squared: Float64Array, order: { ranks: Uint16Array, order: Uint16Array },
   *   correlate: (plane: Float64Array) => number }} Base */
  const preparing = prepare();
  /** @type {Base | null} */
  let base = null;
  /** @type {Generator<undefined, Float64Array> | null} */
  let calibrating = null;
  /** @type {Float64Array | null} */
  let p = null;
  /** @type {ReturnType<typeof descent> | null} */
  let walk = null;
  /** @type {Generator<undefined, Found> | null} */
  let judging = null;
  let [isStale, judged] = [true, 0]; // the picture has changed since it was judged last, and when
  let [left, until] = [0, ENOUGH]; // steps to take now, and where a run ends
  let [frame, isSeen, seenAt, seenSteps] = [0, true, 0, 0];
  let [settings, shown] = ["", ""];
  /** @type {() => void} */
  let loaded = () => {};
  /** @type {IntersectionObserver | undefined} */
  let watch;

  const begin = () => start(model.get("init") === "pca" ? layouts.pca : noise(model.get("seed"), 2 * n));
  let plane = begin();
  const isLive = () => model.get("view") === "tsne";
  const changed = () => {
    judging = null;
    isStale = true;
    judged = 0;
  };

  const work = {
    /** @type {Found | null} */
    found: null,
    rate: 0,
    /** Resolves when the picture at rest has been judged. */
    ready: new Promise((/** @type {(value?: unknown) => void} */ resolve) => {
      loaded = resolve;
    }),
    get plane() {
      return isLive() ? plane : layouts[model.get("view")];
    },
    get steps() {
      return walk?.steps ?? 0;
    },
    get runs() {
      return left > 0;
    },
    /** Take steps; Infinity: until a thousand, and each time after that a thousand more. @param {number} steps */
    go(steps) {
      until = (Math.floor(work.steps / ENOUGH) + 1) * ENOUGH;
      left = steps;
      [seenAt, seenSteps] = [0, work.steps];
      ask();
    },
    pause() {
      left = 0;
      changed();
      ask();
    },
    /** Back to the start; a run goes on from there. */
    restart() {
      walk = null;
      plane = begin();
      until = ENOUGH;
      changed();
      ask();
    },
    /** The settings may have changed. */
    follow() {
      const [perplexity, init] = [model.get("perplexity"), model.get("init")];
      const seed = init === "random" ? model.get("seed") : 0;
      const now = [perplexity, model.get("exaggeration"), init, seed].join();
      if (now !== settings) {
        const hasRun = work.steps > 0;
        if (!settings.startsWith(`${perplexity},`)) [p, calibrating] = [null, null];
        settings = now;
        work.restart();
        if (hasRun && isLive()) left = Infinity; // what is on show is always what the settings give
      }
      if (!isLive()) left = 0;
      const picture = `${model.get("view")},${model.get("k")}`;
      if (picture !== shown) changed();
      shown = picture;
      ask();
    },
    /** @param {number} i */
    neighbours: (i) => known.neighbours(i, work.plane),
    classes: () => known.classes(work.plane),
    stop() {
      left = 0;
      cancelAnimationFrame(frame);
      frame = -1;
      watch?.disconnect();
    },
    /** Nothing is computed while `el` is out of sight. @param {Element} el */
    watch(el) {
      watch ??= new IntersectionObserver(([{ isIntersecting }]) => {
        isSeen = isIntersecting;
        ask();
      });
      watch.observe(el);
    },
  };

  /** Take the steps that fit into a frame. @param {number} begun */
  const takeSteps = (begun) => {
    if (!base || !p || !left) return;
    walk ??= descent(p, plane, model.get("exaggeration"));
    do {
      walk.step();
      left -= 1;
    } while (left && walk.steps < until && performance.now() - begun < BUDGET);
    if (walk.steps >= until) left = 0;
    isStale = true;
    const span = begun - seenAt;
    if (span > 500) {
      if (seenAt) work.rate = (1000 * (walk.steps - seenSteps)) / span;
      [seenAt, seenSteps] = [begun, walk.steps];
    }
  };
  const judgeSome = () => {
    const now = performance.now();
    if (!judging && isStale && (!left || now - judged > PAUSE)) {
      [judging, isStale] = [judge(Float64Array.from(work.plane), isLive() ? p : null), false];
    }
    const end = left ? JUDGING : BUDGET;
    const done = judging && slice(judging, now + end, least);
    if (!done) return;
    [judging, judged, work.found] = [null, performance.now(), done.value];
    loaded();
  };
  const tick = () => {
    frame = 0;
    if (!isSeen) return;
    const begun = performance.now();
    base ??= slice(preparing, begun + BUDGET, least)?.value ?? null;
    if (base && isLive() && !p) {
      calibrating ??= affinities(base.squared, n, model.get("perplexity"));
      p = slice(calibrating, begun + BUDGET, least)?.value ?? null;
    }
    takeSteps(begun);
    if (base && (p || !isLive())) judgeSome();
    onFrame();
    if (!base || (isLive() && !p) || left || judging || isStale) ask();
  };
  const ask = () => {
    if (frame === 0) frame = requestAnimationFrame(tick);
  };
  work.follow();
  return work;
}

// What six methods make of the points and of every place around them, computed in slices of a frame: while the
// reader drags a point, frames stay short and pictures follow.

import {
  corePoints,
  distanceField,
  distances,
  firstCentres,
  kMeans,
  largeCentres,
  localOutlierFactors,
  neighbourFields,
  neighbours,
  shares,
  spread,
  threshold,
} from "../maths/anomaly.js";
import { forestField, forestScores, growForest, imported } from "../maths/isolation.js";
import { TRAINING, tinyAutoencoder } from "../maths/tiny_autoencoder.js";
import { slice } from "../ui/lifetime.js";

/** @import { AnyModel } from "@anywidget/types" */
/** @import { Exported } from "../maths/isolation.js" */
/** @typedef {number[][]} Points */
/**
 * @typedef {Exported & { rows: number[], code: number, weights: number[] }} Fitted what Python fitted to rows: trees,
 *   and an autoencoder with such a code
 */
/** @typedef {{ x0: number, x1: number, y0: number, y1: number }} Window what a panel shows, in the points' units */
/**
 * @typedef {object} State
 * @property {Points} points
 * @property {{ [name: string]: number[] }} datasets
 * @property {Fitted | {}} fitted
 * @property {number} k
 * @property {number} epsilon
 * @property {number} contamination
 * @property {number} clusters
 * @property {number} code
 * @property {boolean} copies
 * @property {boolean} scaled
 * @property {string} shown
 * @property {string} title
 */
/**
 * @typedef {object} Found
 * @property {Float64Array} scores of the rows
 * @property {Float64Array} field of the places
 * @property {Float32Array} shares of the places that score lower
 */

export const METHODS = ["lof", "knn", "dbscan", "cblof", "iforest", "autoencoder"];
export const SIDE = 48; // places along each side of a panel
export const FEWEST = 3; // points that are scored
const COPIES = 20;
const STRETCH = 100;
const AFTER = 300; // steps of the autoencoder when a point was moved, put in or taken out
const [FIRST, MORE] = [12, 150]; // steps before its panel is drawn, and drawn anew
const BUDGET = 8; // milliseconds of a frame

/**
 * The points as the methods get them.
 * @param {AnyModel<State>} model
 */
function rowsOf(model) {
  const points = model.get("points");
  const all = model.get("copies") && points.length ? [...points, ...Array(COPIES).fill(points[0])] : points;
  const stretch = model.get("scaled") ? STRETCH : 1;
  return Float64Array.from(all.flatMap(([x, y]) => [x * stretch, y]));
}

/** As many places between two ends as a panel has. @param {number} a @param {number} b */
const places = (a, b) => Float64Array.from({ length: SIDE }, (_, i) => a + ((i + 0.5) / SIDE) * (b - a));

/**
 * The autoencoder, which learns a little in each round.
 * @param {AnyModel<State>} model
 */
function learner(model) {
  let made = tinyAutoencoder(1, 0);
  let [key, version, left] = ["", -1, 0];
  return {
    /** Whether it has learned all that it will. */
    get rests() {
      return left === 0;
    },
    /**
     * @param {string} fresh what a training belongs to @param {number} now version of the rows
     * @param {Float64Array} rows @param {Fitted | null} fitted
     */
    *learn(fresh, now, rows, fitted) {
      const learned = now === version && fresh === key;
      const code = model.get("code");
      if (fresh !== key) {
        const weights = fitted?.code === code ? fitted.weights : undefined;
        made = tinyAutoencoder(code, 0, weights);
        left = weights ? 0 : TRAINING;
      } else if (now !== version) left = Math.max(left, AFTER);
      [key, version] = [fresh, now];
      if (!learned) made.on(rows);
      for (let steps = Math.min(left, learned ? MORE : FIRST); steps > 0; steps -= 1, left -= 1) {
        made.step();
        yield;
      }
      return made;
    },
  };
}

/**
 * The work behind the sandbox. `onFound` is called when a panel has something new: a method, or "spread" once all
 * are done; `onRest` when there is nothing more to do.
 * @param {AnyModel<State>} model
 * @param {{ onFound: (what: string) => void, onRest: () => void }} options
 */
export function scorer(model, { onFound, onRest }) {
  /** @type {Record<string, Found>} */
  const found = {};
  /** @type {Record<string, string>} */
  let made = {}; // by method: what its scores were made from
  let [version, training, frame, fits] = [0, 0, 0, false];
  let rows = rowsOf(model);
  /** @type {Window} */
  let view = { x0: 0, x1: 1, y0: 0, y1: 1 };
  const pupil = learner(model);

  const keys = () => ({
    knn: `${version} ${model.get("k")}`,
    dbscan: `${version} ${model.get("epsilon")}`,
    cblof: `${version} ${model.get("clusters")}`,
    iforest: `${version} ${fits}`,
    autoencoder: `${version} ${fits} ${training} ${model.get("code")}`,
  });
  const isStale = () =>
    rows.length >= 2 * FEWEST &&
    (!pupil.rests || Object.entries(keys()).some(([method, key]) => made[method] !== key));

  /** @param {string} method @param {Float64Array} scores @param {Float64Array} field */
  const settle = (method, scores, field) => {
    found[method] = { scores, field, shares: shares(field) };
    onFound(method);
  };
  /** What Python fitted, if it is to these rows. */
  const fitted = () => {
    const sent = model.get("fitted");
    const is = "rows" in sent && sent.rows.length === rows.length && sent.rows.every((v, i) => v === rows[i]);
    return is ? /** @type {Fitted} */ (sent) : null;
  };
  const round = function* () {
    const [now, of, at, known] = [keys(), rows, version, fitted()];
    const fresh = `${training} ${model.get("code")} ${known !== null}`;
    const stretch = model.get("scaled") ? STRETCH : 1;
    const grid = { xs: places(view.x0 * stretch, view.x1 * stretch), ys: places(view.y0, view.y1) };
    const [epsilon, clusters] = [model.get("epsilon"), model.get("clusters")];
    if (made.knn !== now.knn) {
      const near = neighbours(of, model.get("k"));
      yield;
      const lof = localOutlierFactors(near);
      const fields = yield* neighbourFields(of, lof, near.k, grid);
      settle("knn", lof.reach, fields.knn);
      yield;
      settle("lof", lof.scores, fields.lof);
      yield;
    }
    if (made.dbscan !== now.dbscan) {
      const core = corePoints(of, epsilon);
      yield;
      settle("dbscan", distances(of, core), yield* distanceField(core, grid));
      yield;
    }
    if (made.cblof !== now.cblof) {
      const start = firstCentres(of, clusters, 0);
      yield;
      const large = largeCentres(yield* kMeans(of, start));
      settle("cblof", distances(of, large), yield* distanceField(large, grid));
      yield;
    }
    if (made.iforest !== now.iforest) {
      const trees = known ? imported(known) : yield* growForest(of, 0);
      const scores = yield* forestScores(trees, of);
      settle("iforest", scores, yield* forestField(trees, grid));
      yield;
    }
    if (made.autoencoder !== now.autoencoder || !pupil.rests) {
      const net = yield* pupil.learn(fresh, at, of, known);
      settle("autoencoder", net.scores(of), yield* net.field(grid));
      yield;
    }
    made = now;
    const field = spread(METHODS.map((method) => found[method].shares));
    found.spread = { scores: new Float64Array(), field, shares: shares(field) };
    onFound("spread");
  };
  /** @type {Generator<undefined, void> | null} */
  let working = null;
  const tick = () => {
    frame = 0;
    working ??= round();
    if (slice(working, performance.now() + BUDGET, 0)) working = null;
    if (working || isStale()) ask();
    else onRest();
  };
  // A round that has begun ends, so that pictures follow a drag; the next one takes what is new by then.
  const ask = () => {
    if (frame === 0) frame = requestAnimationFrame(tick);
  };
  return {
    found,
    /** The points as they are scored: with copies, stretched. */
    get rows() {
      return rows;
    },
    /** How many points are scored, with copies. */
    get count() {
      return rows.length / 2;
    },
    get view() {
      return view;
    },
    /** Whether nothing is left to compute. */
    get rests() {
      return working === null && !isStale();
    },
    /** Look at this part of the plane from now on; trainings begin anew. @param {Window} next */
    open(next) {
      view = next;
      training += 1;
      this.points();
    },
    /** The points have changed. */
    points() {
      rows = rowsOf(model);
      fits = fitted() !== null;
      version += 1;
      if (rows.length >= 2 * FEWEST) ask();
      else {
        for (const name of Object.keys(found)) delete found[name];
        [working, made] = [null, {}];
      }
    },
    /** A setting has changed. */
    follow() {
      fits = fitted() !== null;
      if (isStale()) ask();
    },
    /** The score above which a point is flagged. @param {string} method */
    level(method) {
      if (method === "dbscan") return model.get("epsilon");
      return threshold(found[method].scores, model.get("contamination"));
    },
    stop: () => cancelAnimationFrame(frame),
  };
}

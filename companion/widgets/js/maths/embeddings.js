// Neighbours in many dimensions and in the plane, and what a projection distorts: companion/explain/embeddings.py.
//
// What takes long is a generator that yields after each row, so that a page can do other things in between;
// `finish` runs one to its end.

import { uniform } from "./noise.js";

/** @typedef {Float64Array} Plane x and y of N points in turn: 2N numbers */

/** What a generator returns. @template T @param {Generator<undefined, T>} work @returns {T} */
export function finish(work) {
  for (;;) {
    const { done, value } = work.next();
    if (done) return value;
  }
}

/**
 * Squared distances between N points of D numbers, N×N.
 * @param {Float64Array} points N×D @param {number} n
 * @returns {Generator<undefined, Float64Array>}
 */
export function* squaredDistances(points, n) {
  const d = points.length / n;
  const squared = new Float64Array(n * n);
  for (let i = 0; i < n; i += 1) {
    for (let j = i + 1; j < n; j += 1) {
      let sum = 0;
      for (let a = i * d, b = j * d; a < (i + 1) * d; a += 1, b += 1) sum += (points[a] - points[b]) ** 2;
      squared[i * n + j] = sum;
      squared[j * n + i] = sum;
    }
    yield;
  }
  return squared;
}

/**
 * Who is the how-manieth neighbour: ranks[i·N + j] is 1 for the point j nearest to i; 0 on the diagonal. And
 * the same the other way round: order[i·(N − 1)] is the nearest to i.
 * @param {Float64Array} squared N×N @param {number} n
 * @returns {Generator<undefined, { ranks: Uint16Array, order: Uint16Array }>}
 */
export function* neighbourRanks(squared, n) {
  const ranks = new Uint16Array(n * n);
  const order = new Uint16Array(n * (n - 1));
  const others = new Uint16Array(n - 1);
  for (let i = 0; i < n; i += 1) {
    for (let j = 0, o = 0; j < n; j += 1) {
      if (j === i) continue;
      others[o] = j;
      o += 1;
    }
    const row = squared.subarray(i * n, (i + 1) * n);
    others.sort((a, b) => row[a] - row[b] || a - b);
    order.set(others, i * (n - 1));
    for (let rank = 1; rank < n; rank += 1) ranks[i * n + others[rank - 1]] = rank;
    yield;
  }
  return { ranks, order };
}

/** Squared distances of all points in the plane from point i. @param {Plane} plane @param {number} i @param {Float64Array} into */
function distancesFrom(plane, i, into) {
  const x = plane[2 * i];
  const y = plane[2 * i + 1];
  for (let j = 0; j < into.length; j += 1) into[j] = (plane[2 * j] - x) ** 2 + (plane[2 * j + 1] - y) ** 2;
}

/**
 * The k points that are nearest to point i in the plane, the nearest first.
 * @param {Plane} plane @param {number} i @param {number} k
 */
export function planeNeighbours(plane, i, k, far = new Float64Array(plane.length / 2)) {
  distancesFrom(plane, i, far);
  /** @type {number[]} */
  const best = [];
  for (let j = 0; j < far.length; j += 1) {
    if (j === i || (best.length === k && far[j] >= far[best[k - 1]])) continue;
    let place = Math.min(best.length, k - 1);
    while (place > 0 && far[best[place - 1]] > far[j]) {
      best[place] = best[place - 1];
      place -= 1;
    }
    best[place] = j;
  }
  return best;
}

/**
 * How well the plane keeps neighbourhoods: trustworthiness and continuity, both 1 at best, and the share of the k
 * nearest neighbours that are so in the plane too.
 * @param {{ ranks: Uint16Array, order: Uint16Array }} true_ of `neighbourRanks` @param {Plane} plane @param {number} k
 * @returns {Generator<undefined, { trustworthiness: number, continuity: number, kept: number }>}
 */
export function* neighbourhoods({ ranks, order }, plane, k) {
  const n = plane.length / 2;
  const far = new Float64Array(n);
  let intruders = 0;
  let lost = 0;
  let kept = 0;
  for (let i = 0; i < n; i += 1) {
    for (const j of planeNeighbours(plane, i, k, far)) {
      const rank = ranks[i * n + j];
      if (rank <= k) kept += 1;
      else intruders += rank - k;
    }
    for (let r = 0; r < k; r += 1) {
      const limit = far[order[i * (n - 1) + r]];
      let rank = 0; // i itself counts for the 1 that ranks begin with, unless it is not nearer
      for (let j = 0; j < n; j += 1) if (far[j] < limit) rank += 1;
      lost += Math.max(0, Math.max(rank, 1) - k);
    }
    yield;
  }
  const most = (n * k * (2 * n - 3 * k - 1)) / 2;
  return { trustworthiness: 1 - intruders / most, continuity: 1 - lost / most, kept: kept / (n * k) };
}

const PAIRS = 2000;

/** Ranks from 0, equal values sharing the mean of theirs. @param {Float64Array} values */
function averageRanks(values) {
  const order = Uint32Array.from(values.keys()).sort((a, b) => values[a] - values[b]);
  const ranks = new Float64Array(values.length);
  for (let from = 0; from < order.length; ) {
    let to = from + 1;
    while (to < order.length && values[order[to]] === values[order[from]]) to += 1;
    for (let r = from; r < to; r += 1) ranks[order[r]] = (from + to - 1) / 2;
    from = to;
  }
  return ranks;
}

/** Pearson's correlation. @param {Float64Array} a @param {Float64Array} b */
function correlation(a, b) {
  const mean = (/** @type {Float64Array} */ v) => v.reduce((sum, x) => sum + x, 0) / v.length;
  const [ma, mb] = [mean(a), mean(b)];
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i += 1) {
    ab += (a[i] - ma) * (b[i] - mb);
    aa += (a[i] - ma) ** 2;
    bb += (b[i] - mb) ** 2;
  }
  return ab / Math.sqrt(aa * bb);
}

/**
 * Spearman's rank correlation between distances in the embedding and in the plane, of 2,000 pairs of points
 * that `uniform` draws. What it returns takes a plane.
 * @param {Float64Array} squared N×N @param {number} n
 */
export function distanceCorrelation(squared, n) {
  const draws = uniform(0, 2 * PAIRS);
  const pairs = Array.from({ length: PAIRS }, (_, p) => {
    const i = Math.floor(draws[2 * p] * n);
    return [i, (i + 1 + Math.floor(draws[2 * p + 1] * (n - 1))) % n];
  });
  const true_ = averageRanks(Float64Array.from(pairs, ([i, j]) => squared[i * n + j]));
  /** @param {Plane} plane */
  return (plane) =>
    correlation(
      true_,
      averageRanks(
        Float64Array.from(
          pairs,
          ([i, j]) => (plane[2 * i] - plane[2 * j]) ** 2 + (plane[2 * i + 1] - plane[2 * j + 1]) ** 2,
        ),
      ),
    );
}

/**
 * Each class's centre, C×D, and spread: the root of the mean squared distance from there. NaN without points.
 * @param {Float64Array} points N×D @param {ArrayLike<number>} labels @param {number} count of classes
 */
export function classesOf(points, labels, count) {
  const d = points.length / labels.length;
  const centres = new Float64Array(count * d);
  const sizes = new Float64Array(count);
  for (let i = 0; i < labels.length; i += 1) {
    sizes[labels[i]] += 1;
    for (let c = 0; c < d; c += 1) centres[labels[i] * d + c] += points[i * d + c];
  }
  for (let c = 0; c < centres.length; c += 1) centres[c] /= sizes[Math.floor(c / d)];
  const spreads = new Float64Array(count);
  for (let i = 0; i < labels.length; i += 1) {
    for (let c = 0; c < d; c += 1)
      spreads[labels[i]] += (points[i * d + c] - centres[labels[i] * d + c]) ** 2 / sizes[labels[i]];
  }
  return { centres, spreads: spreads.map((sum, label) => (sizes[label] ? Math.sqrt(sum) : NaN)) };
}

/** The distances of all pairs of points. @param {Float64Array} points N×D @param {number} n */
export function pairDistances(points, n) {
  const squared = finish(squaredDistances(points, n));
  const pairs = [];
  for (let i = 0; i < n; i += 1) for (let j = i + 1; j < n; j += 1) pairs.push(Math.sqrt(squared[i * n + j]));
  return Float64Array.from(pairs);
}

/** Values divided by their geometric mean; what is not positive does not count. @param {Float64Array} values */
export function relative(values) {
  const good = values.filter((v) => v > 0);
  const mean = Math.exp(good.reduce((sum, v) => sum + Math.log(v), 0) / good.length);
  return values.map((v) => v / mean);
}

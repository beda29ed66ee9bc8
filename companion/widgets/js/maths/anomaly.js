// Scores of points in the plane, and of places between them: kNN, LOF, DBSCAN, CBLOF, as scikit-learn and PyOD
// compute them. Higher is more anomalous. Rows are Float64Array of x, y, x, y, …
// Sources: Breunig et al. (2000), LOF; Ester et al. (1996), DBSCAN; He et al. (2003), CBLOF.

import { uniform } from "./noise.js";

/** @typedef {{ xs: Float64Array, ys: Float64Array }} Grid places: all pairs, a row of the grid for each y */
/** @typedef {{ k: number, near: Int32Array, far: Float64Array }} Neighbours k of each row, the nearest first */

export const MIN_POINTS = 5; // DBSCAN's: as many within ε, itself counted, make a core point
const TINY = 1e-10; // keeps densities of copies finite, as scikit-learn does
const [ALPHA, BETA] = [0.9, 5]; // CBLOF's

/**
 * The k rows nearest to a place, written into `near` and `far` (distances squared); of equals the first.
 * `limit` is a squared distance within which there are k.
 * @param {Float64Array} rows @param {number} x @param {number} y @param {number} self a row to pass over, or −1
 * @param {Int32Array} near @param {Float64Array} far @param {number} limit
 */
function nearest(rows, x, y, self, near, far, limit) {
  const k = near.length;
  const n = rows.length / 2;
  let count = 0;
  for (let j = 0; j < n; j += 1) {
    const dx = rows[2 * j] - x;
    const dy = rows[2 * j + 1] - y;
    const d = dx * dx + dy * dy;
    if (d > limit || j === self || (count === k && d === limit)) continue;
    let at = count < k ? count : k - 1;
    while (at > 0 && far[at - 1] > d) {
      far[at] = far[at - 1];
      near[at] = near[at - 1];
      at -= 1;
    }
    far[at] = d;
    near[at] = j;
    if (count < k) count += 1;
    if (count === k) limit = far[k - 1];
  }
}

/**
 * The k nearest others of every row; fewer if there are not so many.
 * @param {Float64Array} rows @param {number} wanted
 * @returns {Neighbours}
 */
export function neighbours(rows, wanted) {
  const n = rows.length / 2;
  const k = Math.max(0, Math.min(wanted, n - 1));
  const [near, far] = [new Int32Array(n * k), new Float64Array(n * k)];
  for (let i = 0; i < n && k; i += 1) {
    const [own, squared] = [near.subarray(i * k, (i + 1) * k), far.subarray(i * k, (i + 1) * k)];
    nearest(rows, rows[2 * i], rows[2 * i + 1], i, own, squared, Infinity);
  }
  return { k, near, far: far.map(Math.sqrt) };
}

/**
 * LOF of every row, and what it is made of: k-distances and local reachability densities.
 * @param {Neighbours} neighbours
 */
export function localOutlierFactors({ k, near, far }) {
  const n = near.length / k;
  const reach = Float64Array.from({ length: n }, (_, i) => far[i * k + k - 1]);
  const density = new Float64Array(n);
  for (let i = 0; i < n; i += 1) {
    let sum = 0;
    for (let e = i * k; e < (i + 1) * k; e += 1) sum += Math.max(far[e], reach[near[e]]);
    density[i] = 1 / (sum / k + TINY);
  }
  const scores = new Float64Array(n);
  for (let i = 0; i < n; i += 1) {
    for (let e = i * k; e < (i + 1) * k; e += 1) scores[i] += density[near[e]] / density[i] / k;
  }
  return { scores, reach, density };
}

/**
 * kNN and LOF of places that are no rows themselves (in scikit-learn: novelty=True). A generator that yields after
 * each row of the grid.
 * @param {Float64Array} rows @param {ReturnType<typeof localOutlierFactors>} fitted @param {number} k
 * @param {Grid} grid
 */
export function* neighbourFields(rows, { reach, density }, k, { xs, ys }) {
  const [knn, lof] = [new Float64Array(xs.length * ys.length), new Float64Array(xs.length * ys.length)];
  const [near, far] = [new Int32Array(k), new Float64Array(k)];
  let at = 0;
  for (let r = 0; r < ys.length; r += 1) {
    let limit = Infinity;
    for (let c = 0; c < xs.length; c += 1, at += 1) {
      nearest(rows, xs[c], ys[r], -1, near, far, limit);
      let [reached, dense] = [0, 0];
      for (let e = 0; e < k; e += 1) {
        reached += Math.max(Math.sqrt(far[e]), reach[near[e]]);
        dense += density[near[e]];
      }
      knn[at] = Math.sqrt(far[k - 1]);
      lof[at] = (dense / k) * (reached / k + TINY);
      // Nobody's k-th neighbour gets further away than one goes.
      limit = (knn[at] + (xs[c + 1] ?? 0) - xs[c]) ** 2 * (1 + 1e-9);
    }
    yield;
  }
  return { knn, lof };
}

/**
 * DBSCAN's core points, as rows of their own.
 * @param {Float64Array} rows @param {number} epsilon
 */
export function corePoints(rows, epsilon) {
  const n = rows.length / 2;
  const core = [];
  for (let i = 0; i < n; i += 1) {
    let count = 0;
    for (let j = 0; j < n && count < MIN_POINTS; j += 1) {
      if (Math.hypot(rows[2 * i] - rows[2 * j], rows[2 * i + 1] - rows[2 * j + 1]) <= epsilon) count += 1;
    }
    if (count === MIN_POINTS) core.push(rows[2 * i], rows[2 * i + 1]);
  }
  return Float64Array.from(core);
}

/**
 * The distance of every row to the nearest of some centres; ∞ if there is none.
 * @param {Float64Array} rows @param {Float64Array} centres
 */
export function distances(rows, centres) {
  const found = new Float64Array(rows.length / 2);
  for (let i = 0; i < found.length; i += 1) {
    let least = Infinity;
    for (let j = 0; j < centres.length; j += 2) {
      const dx = rows[2 * i] - centres[j];
      const dy = rows[2 * i + 1] - centres[j + 1];
      const d = dx * dx + dy * dy;
      if (d < least) least = d;
    }
    found[i] = Math.sqrt(least);
  }
  return found;
}

/**
 * The same of all places of a grid. A generator that yields after each row of it.
 * @param {Float64Array} centres @param {Grid} grid
 */
export function* distanceField(centres, { xs, ys }) {
  const field = new Float64Array(xs.length * ys.length);
  const row = new Float64Array(2 * xs.length);
  for (let r = 0; r < ys.length; r += 1) {
    for (let c = 0; c < xs.length; c += 1) {
      row[2 * c] = xs[c];
      row[2 * c + 1] = ys[r];
    }
    field.set(distances(row, centres), r * xs.length);
    yield;
  }
  return field;
}

/**
 * k-means++ (Arthur & Vassilvitskii 2007) with draws that depend on nothing but the seed: so many rows, far apart;
 * fewer if there are fewer different ones.
 * @param {Float64Array} rows @param {number} count @param {number} seed
 */
export function firstCentres(rows, count, seed) {
  const n = rows.length / 2;
  const draws = uniform(seed, count);
  const centres = new Float64Array(2 * count);
  const far = new Float64Array(n).fill(Infinity);
  for (let c = 0; c < count; c += 1) {
    let chosen = Math.floor(draws[0] * n);
    if (c) {
      const total = far.reduce((sum, d) => sum + d, 0);
      if (!(total > 0)) return centres.slice(0, 2 * c);
      let left = draws[c] * total;
      chosen = far.findIndex((d) => {
        left -= d;
        return left < 0;
      });
      if (chosen < 0) chosen = far.indexOf(Math.max(...far));
    }
    centres.set(rows.subarray(2 * chosen, 2 * chosen + 2), 2 * c);
    for (let i = 0; i < n; i += 1) {
      const d = (rows[2 * i] - centres[2 * c]) ** 2 + (rows[2 * i + 1] - centres[2 * c + 1]) ** 2;
      if (d < far[i]) far[i] = d;
    }
  }
  return centres;
}

/**
 * Lloyd's algorithm from these centres until nobody changes sides (at most 300 rounds). A generator that yields after
 * each round.
 * @param {Float64Array} rows @param {Float64Array} start
 * @returns {Generator<undefined, { centres: Float64Array, sizes: number[] }>} without clusters that nobody belongs to
 */
export function* kMeans(rows, start) {
  const n = rows.length / 2;
  const count = start.length / 2;
  const centres = Float64Array.from(start);
  const sides = new Int32Array(n).fill(-1);
  const sums = new Float64Array(3 * count);
  for (let round = 0, moves = 1; moves && round < 300; round += 1) {
    moves = 0;
    sums.fill(0);
    for (let i = 0; i < n; i += 1) {
      let [best, least] = [0, Infinity];
      for (let c = 0; c < count; c += 1) {
        const dx = rows[2 * i] - centres[2 * c];
        const dy = rows[2 * i + 1] - centres[2 * c + 1];
        const d = dx * dx + dy * dy;
        if (d < least) [best, least] = [c, d];
      }
      if (sides[i] !== best) moves += 1;
      sides[i] = best;
      sums[3 * best] += rows[2 * i];
      sums[3 * best + 1] += rows[2 * i + 1];
      sums[3 * best + 2] += 1;
    }
    for (let c = 0; c < count; c += 1) {
      const size = sums[3 * c + 2];
      if (size) centres.set([sums[3 * c] / size, sums[3 * c + 1] / size], 2 * c);
    }
    yield;
  }
  const kept = [...Array(count).keys()].filter((c) => sums[3 * c + 2]);
  return {
    centres: Float64Array.from(kept.flatMap((c) => [centres[2 * c], centres[2 * c + 1]])),
    sizes: kept.map((c) => sums[3 * c + 2]),
  };
}

/**
 * The centres of CBLOF's large clusters: the largest, until they hold 90 % of the rows or the next has a fifth of the
 * last one's size, as PyOD picks them; all, where PyOD gives up.
 * @param {{ centres: Float64Array, sizes: number[] }} clusters
 */
export function largeCentres({ centres, sizes }) {
  const order = [...sizes.keys()].sort((a, b) => sizes[b] - sizes[a] || a - b);
  const n = sizes.reduce((sum, size) => sum + size, 0);
  /** @type {number[][]} */
  const fits = [[], [], []]; // both rules, α alone, β alone
  let held = 0;
  for (let i = 1; i < order.length; i += 1) {
    held += sizes[order[i - 1]];
    const [alpha, beta] = [held >= n * ALPHA, sizes[order[i - 1]] / sizes[order[i]] >= BETA];
    if (alpha && beta) fits[0].push(i);
    if (alpha) fits[1].push(i);
    if (beta) fits[2].push(i);
  }
  const large = order.slice(0, fits.flat()[0] ?? order.length);
  return Float64Array.from(large.flatMap((c) => [centres[2 * c], centres[2 * c + 1]]));
}

// ---------------------------------------------------------------- ranks and thresholds

/** The score that a share 1 − contamination does not exceed: numpy.percentile. @param {Float64Array} scores @param {number} contamination */
export function threshold(scores, contamination) {
  const sorted = Float64Array.from(scores).sort();
  const place = (1 - contamination) * (sorted.length - 1);
  const below = Math.floor(place);
  const above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (place - below || 0) * (sorted[above] - sorted[below] || 0);
}

/** For every value the share of all that are lower, ties in the middle: 0…1. @param {Float64Array} values */
export function shares(values) {
  const sorted = Float64Array.from(values).sort();
  const n = sorted.length;
  /** How many are below v, or with `ties` not above it. @param {number} v @param {boolean} ties */
  const below = (v, ties) => {
    let [low, high] = [0, n];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sorted[middle] < v || (ties && sorted[middle] === v)) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  return Float32Array.from(values, (v) => {
    const lower = below(v, false);
    const next = lower + 1;
    // A value on its own, as most are, needs no second search.
    return (lower + (next < n && sorted[next] === v ? below(v, true) : next)) / 2 / n;
  });
}

/**
 * How far methods disagree on each place: the mean difference between the shares that two of them give it.
 * @param {Float32Array[]} fields shares
 */
export function spread(fields) {
  const m = fields.length;
  const found = new Float64Array(fields[0].length);
  for (let at = 0; at < found.length; at += 1) {
    let sum = 0;
    for (let a = 1; a < m; a += 1)
      for (let b = 0; b < a; b += 1) sum += Math.abs(fields[a][at] - fields[b][at]);
    found[at] = (2 * sum) / (m * (m - 1));
  }
  return found;
}

/** 1 for the highest score, and so on; equals share the better place. @param {Float64Array} scores @param {number} i */
export const rank = (scores, i) => scores.reduce((above, v) => above + Number(v > scores[i]), 1);

/**
 * The line on which a field has a value: its pieces x0, y0, x1, y1 in places of the grid (marching squares).
 * @param {Float64Array} field @param {number} width @param {number} level
 */
export function contour(field, width, level) {
  /** @type {number[]} */
  const lines = [];
  const height = field.length / width;
  const high = (/** @type {number} */ at) => field[at] > level;
  /** @param {number} a @param {number} b */
  const cross = (a, b) => {
    const t = (level - field[a]) / (field[b] - field[a]);
    const share = Number.isFinite(t) ? t : 0.5;
    const [ax, ay, bx, by] = [a % width, Math.floor(a / width), b % width, Math.floor(b / width)];
    return [ax + share * (bx - ax), ay + share * (by - ay)];
  };
  for (let r = 0; r + 1 < height; r += 1) {
    for (let c = 0; c + 1 < width; c += 1) {
      const first = high(r * width + c);
      if (
        first === high(r * width + c + 1) &&
        first === high((r + 1) * width + c) &&
        first === high((r + 1) * width + c + 1)
      )
        continue;
      const corners = [r * width + c, r * width + c + 1, (r + 1) * width + c + 1, (r + 1) * width + c];
      const ends = [];
      for (let e = 0; e < 4; e += 1) {
        const [a, b] = [corners[e], corners[(e + 1) % 4]];
        if (high(a) !== high(b)) ends.push(cross(a, b));
      }
      for (let e = 0; e + 1 < ends.length; e += 2) lines.push(...ends[e], ...ends[e + 1]);
    }
  }
  return lines;
}

// The metrics of companion/disentanglement (MIG, SAP, DCI with a linear regressor, the FactorVAE score), and what
// rotations do. Columns are Float64Arrays of N numbers.

/** @typedef {{ values: Float64Array, classes: number }} Factor classes: how many, 0 for a continuous factor */
/** @typedef {{ mig: number, sap: number, disentanglement: number, completeness: number, informativeness: number,
 *   table: number[][], shares: number[][] }} Scores table: I(factor; latent) in nats, F×d; shares: of H(factor) */

const RIDGE = 1e-6;

/** @param {ArrayLike<number>} values */
function mean(values) {
  let total = 0;
  for (let i = 0; i < values.length; i += 1) total += values[i];
  return total / values.length;
}

/** @param {ArrayLike<number>} values */
function variance(values) {
  const middle = mean(values);
  let total = 0;
  for (let i = 0; i < values.length; i += 1) total += (values[i] - middle) ** 2;
  return total / values.length;
}

/** How many of the sorted numbers are below one. @param {Float64Array} sorted @param {number} value */
function below(sorted, value) {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Bins of equal counts; equal values share one. @param {Float64Array} values @param {number} bins */
export function binNumbers(values, bins) {
  const sorted = values.slice().sort();
  const numbers = new Int32Array(values.length);
  for (let i = 0; i < values.length; i += 1)
    numbers[i] = Math.floor((below(sorted, values[i]) * bins) / values.length);
  return numbers;
}

/**
 * I(a; b) in nats of class numbers, by counting.
 * @param {ArrayLike<number>} a @param {ArrayLike<number>} b @param {number} kinds more than any number of both
 */
export function information(a, b, kinds) {
  const joint = new Float64Array(kinds * kinds);
  const [first, second] = [new Float64Array(kinds), new Float64Array(kinds)];
  const share = 1 / a.length;
  for (let i = 0; i < a.length; i += 1) {
    joint[a[i] * kinds + b[i]] += share;
    first[a[i]] += share;
    second[b[i]] += share;
  }
  let total = 0;
  for (let i = 0; i < kinds; i += 1)
    for (let j = 0; j < kinds; j += 1) {
      const p = joint[i * kinds + j];
      if (p) total += p * Math.log(p / (first[i] * second[j]));
    }
  return total;
}

/** By how much the best is ahead of the second, or of 0. @param {number[]} row */
export function gap(row) {
  let [best, second] = [-Infinity, 0];
  for (const value of row)
    if (value > best) [best, second] = [value, Math.max(best, 0)];
    else if (value > second) second = value;
  return best - second;
}

/** The order of sorted values, equal ones as they came. @param {Float64Array} values */
export const orderOf = (values) =>
  Uint32Array.from(values.keys()).sort((a, b) => values[a] - values[b] || a - b);

/**
 * Balanced accuracy of the best K − 1 thresholds for K classes, chance taken off.
 * @param {Float64Array} z @param {Factor} factor
 */
export function thresholdScore(z, { values, classes }) {
  const counts = new Float64Array(classes);
  for (const c of values) counts[c] += 1;
  const order = orderOf(z);
  // best[t][c]: up to here, with t thresholds, the last interval of class c
  const best = Array.from({ length: classes }, (_, t) => new Float64Array(classes).fill(t ? -Infinity : 0));
  const won = new Float64Array(classes);
  for (let i = 0; i < order.length; ) {
    won.fill(0);
    const here = z[order[i]];
    for (; i < order.length && z[order[i]] === here; i += 1) {
      const c = values[order[i]];
      won[c] += 1 / (classes * counts[c]);
    }
    for (let t = classes - 1; t > 0; t -= 1) {
      let from = -Infinity;
      for (const value of best[t - 1]) if (value > from) from = value;
      for (let c = 0; c < classes; c += 1) if (from > best[t][c]) best[t][c] = from;
    }
    for (const row of best) for (let c = 0; c < classes; c += 1) row[c] += won[c];
  }
  const accuracy = Math.max(...best.flatMap((row) => [...row]));
  return (classes * accuracy - 1) / (classes - 1);
}

/** A factor as columns to be predicted: centred, their variances adding to 1. @param {Factor} factor */
function targets({ values, classes }) {
  const columns = classes
    ? Array.from({ length: classes }, (_, c) => Float64Array.from(values, (v) => Number(v === c)))
    : [values.slice()];
  const spread = Math.sqrt(columns.reduce((total, column) => total + variance(column), 0));
  return columns.map((column) => {
    const middle = mean(column);
    return column.map((v) => (v - middle) / spread);
  });
}

/** Every other number, from a start on. @param {Float64Array} values @param {0 | 1} start */
function half(values, start) {
  const part = new Float64Array(Math.ceil((values.length - start) / 2));
  for (let i = 0; i < part.length; i += 1) part[i] = values[2 * i + start];
  return part;
}

/** Σ a·b / n. @param {Float64Array} a @param {Float64Array} b */
function product(a, b) {
  let total = 0;
  for (let i = 0; i < a.length; i += 1) total += a[i] * b[i];
  return total / a.length;
}

/** Solve A·X = B for a positive definite A, by elimination. @param {number[][]} a @param {number[][]} b */
function solve(a, b) {
  const rows = a.map((row, i) => [...row, ...b[i]]);
  const n = a.length;
  for (let k = 0; k < n; k += 1)
    for (let i = k + 1; i < n; i += 1) {
      const times = rows[i][k] / rows[k][k];
      for (let j = k; j < rows[i].length; j += 1) rows[i][j] -= times * rows[k][j];
    }
  for (let k = n - 1; k >= 0; k -= 1) {
    for (let j = n; j < rows[k].length; j += 1) {
      for (let i = k + 1; i < n; i += 1) rows[k][j] -= rows[k][i] * rows[i][j];
      rows[k][j] /= rows[k][k];
    }
  }
  return rows.map((row) => row.slice(n));
}

/** 1 − H/log K of K shares; 0 if all are 0. @param {number[]} importance */
function concentration(importance) {
  const whole = importance.reduce((a, b) => a + b, 0);
  if (!(whole > 0)) return 0;
  let entropy = 0;
  for (const value of importance) if (value > 0) entropy -= (value / whole) * Math.log(value / whole);
  return 1 - entropy / Math.log(importance.length);
}

/** @param {number[]} values */
const average = (values) => mean(values);

/**
 * What a factor asks of predictions on the rows that were not fitted.
 * @param {Factor} factor @param {Float64Array[]} predicted @param {Float64Array[]} truth
 */
function informed({ values, classes }, predicted, truth) {
  if (!classes) {
    let error = 0;
    for (let i = 0; i < truth[0].length; i += 1) error += (predicted[0][i] - truth[0][i]) ** 2;
    return Math.max(0, 1 - error / (variance(truth[0]) * truth[0].length));
  }
  const kinds = half(values, 1);
  const [right, all] = [new Float64Array(classes), new Float64Array(classes)];
  kinds.forEach((c, i) => {
    let guess = 0;
    for (let k = 1; k < classes; k += 1) if (predicted[k][i] > predicted[guess][i]) guess = k;
    all[c] += 1;
    right[c] += Number(guess === c);
  });
  const seen = [...all.keys()].filter((c) => all[c]);
  const accuracy = average(seen.map((c) => right[c] / all[c]));
  return Math.max(0, (classes * accuracy - 1) / (classes - 1));
}

/** What is computed once of a latent. @param {Float64Array} z @param {number} bins */
function latentOf(z, bins) {
  const fitted = half(z, 0);
  const [middle, deviation] = [mean(fitted), Math.sqrt(variance(fitted)) || 1];
  const scale = (/** @type {number} */ v) => (v - middle) / deviation;
  return {
    bins: binNumbers(z, bins),
    fitted: fitted.map(scale),
    heldOut: half(z, 1).map(scale),
    /** @type {number[]} */ information: [],
    /** @type {number[]} */ sap: [],
  };
}

/**
 * A function that scores codes, given as columns; what it has found of a column it keeps, as long as the column is
 * the same array.
 * @param {Factor[]} factors @param {number} bins
 */
export function scorer(factors, bins) {
  const kinds = Math.max(bins, ...factors.map(({ classes }) => classes));
  const known = factors.map((factor) => {
    const { values, classes } = factor;
    const cut = classes ? Int32Array.from(values) : binNumbers(values, bins);
    const y = targets(factor);
    const means = y.map((column) => mean(half(column, 0)));
    return {
      factor,
      cut,
      y,
      means,
      entropy: information(cut, cut, kinds),
      fitted: y.map((column, k) => half(column, 0).map((v) => v - means[k])),
      truth: y.map((column) => half(column, 1)),
    };
  });
  /** @type {WeakMap<Float64Array, ReturnType<typeof latentOf>>} */
  const cache = new WeakMap();
  const latent = (/** @type {Float64Array} */ z) => {
    const found = cache.get(z);
    if (found) return found;
    const made = latentOf(z, bins);
    const [middle, deviation] = [mean(z), Math.sqrt(variance(z))];
    const standard = z.map((v) => (v - middle) / deviation);
    made.information = known.map(({ cut }) => information(cut, made.bins, kinds));
    made.sap = known.map(({ factor, y }) =>
      factor.classes ? thresholdScore(z, factor) : product(standard, y[0]) ** 2,
    );
    cache.set(z, made);
    return made;
  };
  /** @param {Float64Array[]} columns @returns {Scores} */
  return (columns) => {
    const latents = columns.map(latent);
    const table = known.map((_, k) => latents.map((one) => one.information[k]));
    const shares = table.map((row, k) => row.map((nats) => nats / known[k].entropy));
    const square = latents.map((a, i) =>
      latents.map((b, j) => product(a.fitted, b.fitted) + (i === j ? RIDGE : 0)),
    );
    const importances = known.map(({ fitted }) => {
      const sides = latents.map((one) => fitted.map((column) => product(one.fitted, column)));
      return solve(square, sides);
    });
    const sizes = importances.map((weights) => weights.map((row) => Math.hypot(...row)));
    const rows = latents.map((_, i) => sizes.map((column) => column[i]));
    const whole = sizes.flat().reduce((a, b) => a + b, 0);
    const informativeness = average(
      known.map(({ factor, truth, means }, k) => {
        const predicted = truth.map((column, c) => {
          const line = new Float64Array(column.length).fill(means[c]);
          latents.forEach(({ heldOut }, i) => {
            const weight = importances[k][i][c];
            for (let n = 0; n < line.length; n += 1) line[n] += weight * heldOut[n];
          });
          return line;
        });
        return informed(factor, predicted, truth);
      }),
    );
    return {
      table,
      shares,
      mig: average(shares.map(gap)),
      sap: average(known.map((_, k) => gap(latents.map((one) => one.sap[k])))),
      disentanglement: rows.reduce(
        (sum, row) => sum + (row.reduce((a, b) => a + b, 0) / whole) * concentration(row),
        0,
      ),
      completeness: average(sizes.map(concentration)),
      informativeness,
    };
  };
}

/**
 * A function that gives the FactorVAE score of codes. `draws` has two numbers from 0 to 1 a vote.
 * @param {Factor[]} factors @param {ArrayLike<number>} draws @param {number} [size] rows a vote
 */
export function factorVaeScorer(factors, draws, size = 64) {
  const count = factors[0].values.length;
  const orders = factors.map(({ values }) => orderOf(values));
  const votes = Array.from({ length: draws.length / 2 }, (_, vote) => {
    const factor = Math.floor(draws[2 * vote] * factors.length);
    const place = Math.floor(draws[2 * vote + 1] * count);
    const { values, classes } = factors[factor];
    const order = orders[factor];
    let [low, high] = [0, count];
    if (classes) {
      const sorted = Float64Array.from(order, (row) => values[row]);
      [low, high] = [below(sorted, sorted[place]), below(sorted, sorted[place] + 1)];
    }
    const start = Math.max(low, Math.min(place - Math.floor(size / 2), high - size));
    return { factor, rows: order.subarray(start, Math.min(start + size, high)) };
  });
  /** @type {WeakMap<Float64Array, Float64Array>} */
  const cache = new WeakMap();
  /** The variance within each vote over the variance of all, once a column. @param {Float64Array} z */
  const spreadsOf = (z) => {
    const found = cache.get(z);
    if (found) return found;
    const whole = variance(z);
    const spreads = new Float64Array(votes.length);
    votes.forEach(({ rows }, vote) => {
      let total = 0;
      for (let i = 0; i < rows.length; i += 1) total += z[rows[i]];
      const middle = total / rows.length;
      let spread = 0;
      for (let i = 0; i < rows.length; i += 1) spread += (z[rows[i]] - middle) ** 2;
      spreads[vote] = spread / whole;
    });
    cache.set(z, spreads);
    return spreads;
  };
  /** @param {Float64Array[]} columns */
  return (columns) => {
    const spreads = columns.map(spreadsOf);
    const tally = [0, 1].map(() => columns.map(() => new Float64Array(factors.length)));
    votes.forEach(({ factor }, vote) => {
      let which = 0;
      for (let i = 1; i < spreads.length; i += 1) if (spreads[i][vote] < spreads[which][vote]) which = i;
      tally[vote % 2][which][factor] += 1;
    });
    let [agreed, all] = [0, 0];
    tally[1].forEach((row, i) => {
      const learned = tally[0][i].indexOf(Math.max(...tally[0][i]));
      agreed += row[learned];
      all += row.reduce((a, b) => a + b, 0);
    });
    return agreed / all;
  };
}

/**
 * Two columns turned by an angle in degrees: cos·a + sin·b and cos·b − sin·a.
 * @param {Float64Array} a @param {Float64Array} b @param {number} angle
 * @returns {[Float64Array, Float64Array]}
 */
export function turned(a, b, angle) {
  if (angle === 0) return [a, b];
  const [cos, sin] = [Math.cos((angle * Math.PI) / 180), Math.sin((angle * Math.PI) / 180)];
  return [a.map((v, i) => cos * v + sin * b[i]), b.map((v, i) => cos * v - sin * a[i])];
}

/**
 * What a rotation of two latents does to posteriors N(μ, Σ), Σ diagonal: the mean of KL[N(Rμ, RΣRᵀ) ‖ N(0, I)], by the
 * formula for full covariances, and of what the best diagonal Gaussian misses of it, in nats.
 * @param {Float64Array[]} mu columns @param {Float64Array[]} logVar @param {[number, number]} plane @param {number} angle
 */
export function rotatedPosterior(mu, logVar, plane, angle) {
  const [i, j] = plane;
  const radians = (angle * Math.PI) / 180;
  const [cos2, sin2] = [Math.cos(radians) ** 2, Math.sin(radians) ** 2];
  const cross = Math.cos(radians) * Math.sin(radians);
  const [first, second] = turned(mu[i], mu[j], angle);
  const count = mu[0].length;
  let [kl, missed] = [0, 0];
  for (let n = 0; n < count; n += 1) {
    const [a, b] = [Math.exp(logVar[i][n]), Math.exp(logVar[j][n])];
    const [p, q, r] = [cos2 * a + sin2 * b, cos2 * b + sin2 * a, cross * (b - a)];
    kl += p + q + first[n] ** 2 + second[n] ** 2 - Math.log(p * q - r * r) - 2;
    missed += Math.log(cos2 / a + sin2 / b) + Math.log(cos2 / b + sin2 / a) + logVar[i][n] + logVar[j][n];
  }
  mu.forEach((column, k) => {
    if (k === i || k === j) return;
    for (let n = 0; n < count; n += 1) kl += Math.exp(logVar[k][n]) + column[n] ** 2 - logVar[k][n] - 1;
  });
  return { kl: kl / (2 * count), missed: missed / (2 * count) };
}

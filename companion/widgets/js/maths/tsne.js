// t-SNE with its exact gradient, step by step: what scikit-learn's TSNE(method="exact") computes.
// Source: van der Maaten & Hinton (2008), "Visualizing data using t-SNE".

/** @import { Plane } from "./embeddings.js" */

const EPSILON = 2 ** -52;
const TRIES = 100;

/** The first phase is exaggerated, with little momentum, as scikit-learn has it. */
export const EARLY = 250;

/**
 * The probabilities p_ij of all pairs i < j, in that order, for a perplexity: each point's bandwidth is sought such
 * that the entropy of its neighbours is log(perplexity). A generator that yields after each row.
 * @param {Float64Array} squared distances, N×N @param {number} n @param {number} perplexity
 * @returns {Generator<undefined, Float64Array>}
 */
export function* affinities(squared, n, perplexity) {
  const wanted = Math.log(perplexity);
  const joint = new Float64Array(n * n);
  const weights = new Float64Array(n);
  let beta = 0; // 1/(2σ²); a row begins with what fitted the last one, if anything did
  for (let i = 0; i < n; i += 1) {
    const row = squared.subarray(i * n, (i + 1) * n);
    let nearest = Infinity;
    let sum = 0;
    for (let j = 0; j < n; j += 1) {
      sum += row[j];
      if (j !== i && row[j] < nearest) nearest = row[j];
    }
    let low = 0;
    let high = Infinity;
    let total = 0;
    let fits = false;
    beta ||= sum > 0 ? n / sum : 1;
    for (let attempt = 0; attempt < TRIES; attempt += 1) {
      let first = 0;
      let second = 0;
      total = 0;
      for (let j = 0; j < n; j += 1) {
        if (j === i) continue;
        const farther = row[j] - nearest; // the nearest has weight 1, so that not all vanish
        const w = Math.exp(-beta * farther);
        weights[j] = w;
        total += w;
        first += w * farther;
        second += w * farther * farther;
      }
      first /= total;
      const excess = Math.log(total) + beta * first - wanted;
      fits = Math.abs(excess) < 1e-10;
      if (fits) break;
      if (excess > 0) low = beta;
      else high = beta;
      // Newton's step for log β, unless it leaves the bracket.
      const slope = beta * beta * (second / total - first * first);
      const next = beta * Math.exp(excess / slope);
      if (next > low && next < high) beta = next;
      else beta = high === Infinity ? 2 * beta : (low + high) / 2;
    }
    if (!fits) beta = 0;
    weights[i] = 0;
    for (let j = 0; j < n; j += 1) {
      joint[i * n + j] += weights[j] / total;
      joint[j * n + i] += weights[j] / total;
    }
    yield;
  }
  const pairs = new Float64Array((n * (n - 1)) / 2);
  for (let i = 0, pair = 0; i < n; i += 1) {
    for (let j = i + 1; j < n; j += 1, pair += 1) pairs[pair] = Math.max(joint[i * n + j] / (2 * n), EPSILON);
  }
  return pairs;
}

/**
 * Where a descent begins: `plane` made so small that its first coordinate has a standard deviation of 10⁻⁴.
 * @param {ArrayLike<number>} plane
 */
export function start(plane) {
  const n = plane.length / 2;
  let [mean, square] = [0, 0];
  for (let i = 0; i < n; i += 1) mean += plane[2 * i] / n;
  for (let i = 0; i < n; i += 1) square += (plane[2 * i] - mean) ** 2 / n;
  return Float64Array.from(plane, (v) => (1e-4 * v) / (Math.sqrt(square) || 1));
}

/**
 * Memory for the gradient of N points.
 * @param {number} n
 */
export const scratchFor = (n) => ({
  weights: new Float64Array((n * (n - 1)) / 2), // 1/(1 + distance²) of all pairs
  x: new Float64Array(n),
  y: new Float64Array(n),
  gx: new Float64Array(n),
  gy: new Float64Array(n),
});

/**
 * The gradient of KL(P ‖ Q), written into `gradient`, with P exaggerated.
 * @param {Float64Array} p of all pairs @param {Plane} plane @param {number} exaggeration
 * @param {Float64Array} gradient 2N @param {ReturnType<typeof scratchFor>} scratch
 */
export function gradientOf(p, plane, exaggeration, gradient, { weights, x, y, gx, gy }) {
  const n = x.length;
  for (let i = 0; i < n; i += 1) {
    x[i] = plane[2 * i];
    y[i] = plane[2 * i + 1];
  }
  // Plain numbers only: arrays and destructuring in here cost five times the time.
  let total = 0;
  for (let i = 0, pair = 0; i < n; i += 1) {
    const xi = x[i];
    const yi = y[i];
    for (let j = i + 1; j < n; j += 1, pair += 1) {
      const dx = xi - x[j];
      const dy = yi - y[j];
      const w = 1 / (1 + dx * dx + dy * dy);
      weights[pair] = w;
      total += w;
    }
  }
  const each = 1 / (2 * total);
  gx.fill(0);
  gy.fill(0);
  for (let i = 0, pair = 0; i < n; i += 1) {
    const xi = x[i];
    const yi = y[i];
    let gxi = 0;
    let gyi = 0;
    for (let j = i + 1; j < n; j += 1, pair += 1) {
      const w = weights[pair];
      const pull = (exaggeration * p[pair] - w * each) * w;
      const dx = pull * (xi - x[j]);
      const dy = pull * (yi - y[j]);
      gxi += dx;
      gyi += dy;
      gx[j] -= dx;
      gy[j] -= dy;
    }
    gx[i] += gxi;
    gy[i] += gyi;
  }
  for (let i = 0; i < n; i += 1) {
    gradient[2 * i] = 4 * gx[i];
    gradient[2 * i + 1] = 4 * gy[i];
  }
}

/**
 * KL(P ‖ Q) in nats: what t-SNE makes small. A generator that yields after each row.
 * @param {Float64Array} p of all pairs @param {Plane} plane
 * @returns {Generator<undefined, number>}
 */
export function* divergence(p, plane) {
  const n = plane.length / 2;
  let total = 0;
  let sum = 0;
  for (let i = 0, pair = 0; i < n; i += 1) {
    const x = plane[2 * i];
    const y = plane[2 * i + 1];
    for (let j = i + 1; j < n; j += 1, pair += 1) {
      const far = 1 + (x - plane[2 * j]) ** 2 + (y - plane[2 * j + 1]) ** 2;
      total += 1 / far;
      sum += p[pair] * Math.log(p[pair] * far);
    }
    yield;
  }
  return 2 * sum + Math.log(2 * total);
}

/**
 * Gradient descent on that divergence, with momentum and a gain for each coordinate, as scikit-learn has it:
 * `step()` takes a step, `plane` is where the points are, `steps` how many it took.
 * @param {Float64Array} p of all pairs
 * @param {Plane} plane where to begin; it is changed
 * @param {number} exaggeration of P in the first 250 steps
 */
export function descent(p, plane, exaggeration) {
  const size = plane.length;
  const rate = Math.max(size / 2 / exaggeration / 4, 50);
  const gradient = new Float64Array(size);
  const scratch = scratchFor(size / 2);
  const update = new Float64Array(size);
  const gains = new Float64Array(size).fill(1);
  const state = {
    plane,
    steps: 0,
    step() {
      const isEarly = state.steps < EARLY;
      if (state.steps === EARLY) {
        update.fill(0);
        gains.fill(1);
      }
      gradientOf(p, plane, isEarly ? exaggeration : 1, gradient, scratch);
      const momentum = isEarly ? 0.5 : 0.8;
      for (let c = 0; c < size; c += 1) {
        gains[c] = Math.max(0.01, update[c] * gradient[c] < 0 ? gains[c] + 0.2 : gains[c] * 0.8);
        update[c] = momentum * update[c] - rate * gains[c] * gradient[c];
        plane[c] += update[c];
      }
      state.steps += 1;
    },
  };
  return state;
}

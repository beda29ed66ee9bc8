// The same network as companion/by_hand/propagation.py: dense layers with random weights, forward and back,
// by hand.

import { noise } from "./noise.js";

export const WIDTH = 64;
export const BATCH = 32;
export const MAX_DEPTH = 50;
const EPSILON = 1e-5;
const SIZE = BATCH * WIDTH;

/** @typedef {"relu" | "tanh" | "none"} Activation */
/**
 * @typedef {object} Sizes
 * @property {Float64Array} signal root mean squares, layers 0…depth
 * @property {Float64Array} gradient
 * @property {(layer: number) => { values: Float64Array, silent: number }} look at the outputs of one layer,
 *   and the share of them that lets no gradient through; good until the next call of `propagate`
 */

/** @type {ReturnType<typeof makeDraws> | null} */
let drawn = null;

/**
 * What depends on the seed alone, all of it N(0, 1): inputs, the gradient that arrives at the end, and the
 * weights of each layer with their transposes. A deeper network begins with the layers of a shallower one.
 * @param {number} seed
 */
export function draws(seed) {
  if (drawn?.seed !== seed) drawn = makeDraws(seed);
  return drawn;
}

/** @param {number} seed */
function makeDraws(seed) {
  const square = WIDTH * WIDTH;
  const all = noise(seed, 2 * SIZE + MAX_DEPTH * square);
  const weights = Array.from({ length: MAX_DEPTH }, (_, l) =>
    all.subarray(2 * SIZE + l * square, 2 * SIZE + (l + 1) * square),
  );
  const transposed = weights.map((w) => {
    const t = new Float64Array(square);
    for (let i = 0; i < WIDTH; i += 1) for (let j = 0; j < WIDTH; j += 1) t[j * WIDTH + i] = w[i * WIDTH + j];
    return t;
  });
  return { seed, x: all.subarray(0, SIZE), direction: all.subarray(SIZE, 2 * SIZE), weights, transposed };
}

/**
 * out = scale · h Wᵀ for a batch h; four examples at a time share each weight that is read.
 * @param {Float64Array} w @param {Float64Array} h @param {Float64Array} out @param {number} scale
 */
function dense(w, h, out, scale) {
  for (let b = 0; b < BATCH; b += 4) {
    const [b0, b1, b2, b3] = [b * WIDTH, (b + 1) * WIDTH, (b + 2) * WIDTH, (b + 3) * WIDTH];
    for (let i = 0; i < WIDTH; i += 1) {
      let s0 = 0;
      let s1 = 0;
      let s2 = 0;
      let s3 = 0;
      const row = i * WIDTH;
      for (let j = 0; j < WIDTH; j += 1) {
        const v = w[row + j];
        s0 += v * h[b0 + j];
        s1 += v * h[b1 + j];
        s2 += v * h[b2 + j];
        s3 += v * h[b3 + j];
      }
      out[b0 + i] = scale * s0;
      out[b1 + i] = scale * s1;
      out[b2 + i] = scale * s2;
      out[b3 + i] = scale * s3;
    }
  }
}

const sums = new Float64Array(WIDTH);
const products = new Float64Array(WIDTH);

/**
 * Batch norm of z in place, unit by unit; the standard deviations that it divides by go to `spread`.
 * @param {Float64Array} z @param {Float64Array} spread
 */
function normalise(z, spread) {
  sums.fill(0);
  spread.fill(0);
  // Along the memory: one example after the other, its units side by side.
  for (let b = 0; b < SIZE; b += WIDTH) for (let i = 0; i < WIDTH; i += 1) sums[i] += z[b + i];
  for (let i = 0; i < WIDTH; i += 1) sums[i] /= BATCH;
  for (let b = 0; b < SIZE; b += WIDTH) {
    for (let i = 0; i < WIDTH; i += 1) {
      const centred = z[b + i] - sums[i];
      z[b + i] = centred;
      spread[i] += centred * centred;
    }
  }
  for (let i = 0; i < WIDTH; i += 1) spread[i] = Math.sqrt(spread[i] / BATCH + EPSILON);
  for (let b = 0; b < SIZE; b += WIDTH) for (let i = 0; i < WIDTH; i += 1) z[b + i] /= spread[i];
}

/**
 * Back through batch norm: the gradient by its output y becomes that by its input, in place.
 * @param {Float64Array} gradient @param {Float64Array} y @param {Float64Array} spread
 */
function normaliseBack(gradient, y, spread) {
  sums.fill(0);
  products.fill(0);
  for (let b = 0; b < SIZE; b += WIDTH) {
    for (let i = 0; i < WIDTH; i += 1) {
      sums[i] += gradient[b + i];
      products[i] += gradient[b + i] * y[b + i];
    }
  }
  for (let b = 0; b < SIZE; b += WIDTH) {
    for (let i = 0; i < WIDTH; i += 1) {
      gradient[b + i] = (gradient[b + i] - (sums[i] + y[b + i] * products[i]) / BATCH) / spread[i];
    }
  }
}

/** Root mean square. @param {Float64Array} values */
const rms = (values) => {
  let sum = 0;
  for (let k = 0; k < SIZE; k += 1) sum += values[k] * values[k];
  return Math.sqrt(sum / SIZE);
};

const buffers = () => Array.from({ length: MAX_DEPTH + 1 }, () => new Float64Array(SIZE));
const outputs = buffers();
const normalised = buffers();
const gradients = buffers();
const spreads = Array.from({ length: MAX_DEPTH + 1 }, () => new Float64Array(WIDTH));
const back = new Float64Array(SIZE);
const delta = new Float64Array(SIZE);

/** @type {{ [activation in Activation]: (v: number) => boolean }} */
const SILENT = { relu: (v) => v === 0, tanh: (v) => Math.abs(v) > 0.99, none: () => false };

/**
 * Forward and back once.
 * @param {{ seed: number, depth: number, gain: number, activation: Activation, shortcuts: boolean,
 *   batch_norm: boolean }} options
 * @returns {Sizes}
 */
export function propagate({ seed, depth, gain, activation, shortcuts, batch_norm: batchNorm }) {
  const { x, direction, weights, transposed } = draws(seed);
  const scale = Math.sqrt(gain / WIDTH);
  outputs[0].set(x);
  for (let l = 1; l <= depth; l += 1) {
    const h = outputs[l];
    dense(weights[l - 1], outputs[l - 1], h, scale);
    if (batchNorm) {
      normalise(h, spreads[l]);
      normalised[l].set(h);
    }
    if (shortcuts && l % 2 === 0) {
      const earlier = outputs[l - 2];
      for (let k = 0; k < SIZE; k += 1) h[k] += earlier[k];
    }
    if (activation === "relu") {
      for (let k = 0; k < SIZE; k += 1) if (!(h[k] > 0)) h[k] = 0;
    } else if (activation === "tanh") for (let k = 0; k < SIZE; k += 1) h[k] = Math.tanh(h[k]);
  }
  for (let l = 0; l < depth; l += 1) gradients[l].fill(0);
  gradients[depth].set(direction);
  for (let l = depth; l >= 1; l -= 1) {
    const [h, g] = [outputs[l], gradients[l]];
    if (activation === "relu") for (let k = 0; k < SIZE; k += 1) delta[k] = h[k] > 0 ? g[k] : 0;
    else if (activation === "tanh") for (let k = 0; k < SIZE; k += 1) delta[k] = g[k] * (1 - h[k] * h[k]);
    else delta.set(g);
    if (shortcuts && l % 2 === 0) {
      const earlier = gradients[l - 2];
      for (let k = 0; k < SIZE; k += 1) earlier[k] += delta[k];
    }
    if (batchNorm) normaliseBack(delta, normalised[l], spreads[l]);
    dense(transposed[l - 1], delta, back, scale);
    const before = gradients[l - 1];
    for (let k = 0; k < SIZE; k += 1) before[k] += back[k];
  }
  const upTo = (/** @type {Float64Array[]} */ arrays) =>
    Float64Array.from({ length: depth + 1 }, (_, l) => rms(arrays[l]));
  const look = (/** @type {number} */ layer) => {
    let silent = 0;
    for (const value of outputs[layer]) silent += SILENT[activation](value) ? 1 : 0;
    return { values: outputs[layer], silent: silent / SIZE };
  };
  return { signal: upTo(outputs), gradient: upTo(gradients), look };
}

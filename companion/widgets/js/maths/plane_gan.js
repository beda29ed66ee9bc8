// Two players in the plane: a generator 2–h–h–2 and a discriminator 2–h–h–1, both with leaky ReLU between, and the
// gradients of both losses. companion/widgets/plane_gan.py has torch compute the same.

import { branch, noise, uniform } from "./noise.js";

/** @typedef {ArrayLike<number>} Flat x₀, y₀, x₁, y₁ … */
/** @typedef {"non-saturating" | "minimax"} GeneratorLoss */

export const SLOPE = 0.2; // of a leaky ReLU below 0
const [BETA1, BETA2, EPSILON] = [0.5, 0.999, 1e-8]; // Adam's, as Radford et al. (2016) set them for GANs

export const softplus = (/** @type {number} */ v) => Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v)));
export const sigmoid = (/** @type {number} */ v) => 1 / (1 + Math.exp(-v));

/** How many weights a network of dense layers has. @param {number[]} sizes */
export const weightsOf = (sizes) => sizes.slice(1).reduce((sum, size, l) => sum + size * (sizes[l] + 1), 0);

/**
 * A network of dense layers on rows, a multiple of four of them: leaky ReLU after all but the last. Weights lie layer
 * by layer, out×in and then the biases.
 * @param {number[]} sizes @param {Float64Array} weights
 */
export function network(sizes, weights) {
  const last = sizes.length - 1;
  const starts = sizes.map((_, l) => weightsOf(sizes.slice(0, l + 1)));
  const gradient = new Float64Array(weights.length);
  /** @type {Float64Array[]} */
  let values = [];
  /** @type {Float64Array[]} */
  let errors = [];
  let room = 0;
  const reserve = (/** @type {number} */ rows) => {
    if (rows <= room) return;
    room = rows;
    values = sizes.map((size) => new Float64Array(rows * size));
    errors = sizes.map((size) => new Float64Array(rows * size));
  };
  return {
    gradient,
    /** Outputs of rows, which stay until the next call. @param {Flat} inputs @param {number} rows */
    forward(inputs, rows) {
      reserve(rows);
      for (let i = 0; i < rows * sizes[0]; i += 1) values[0][i] = inputs[i];
      for (let l = 1; l <= last; l += 1) {
        const [from, to, width, count] = [values[l - 1], values[l], sizes[l - 1], sizes[l]];
        const biases = starts[l - 1] + width * count;
        for (let n = 0; n < rows; n += 4) {
          const a = n * width;
          const b = a + width;
          const c = b + width;
          const d = c + width;
          for (let j = 0; j < count; j += 1) {
            const w = starts[l - 1] + j * width;
            const bias = weights[biases + j];
            let s0 = bias;
            let s1 = bias;
            let s2 = bias;
            let s3 = bias;
            for (let i = 0; i < width; i += 1) {
              const weight = weights[w + i];
              s0 += weight * from[a + i];
              s1 += weight * from[b + i];
              s2 += weight * from[c + i];
              s3 += weight * from[d + i];
            }
            const k = n * count + j;
            to[k] = s0;
            to[k + count] = s1;
            to[k + 2 * count] = s2;
            to[k + 3 * count] = s3;
          }
        }
        if (l < last) for (let k = 0; k < rows * count; k += 1) if (to[k] < 0) to[k] *= SLOPE;
      }
      return values[last];
    },
    /**
     * Go back from the errors of the outputs of the last `forward`. Gives those of the inputs; the gradient of the
     * weights is added to, if `learns`.
     * @param {Flat} outputErrors @param {number} rows @param {boolean} learns
     */
    backward(outputErrors, rows, learns) {
      for (let i = 0; i < rows * sizes[last]; i += 1) errors[last][i] = outputErrors[i];
      for (let l = last; l > 0; l -= 1) {
        const [from, to, error, before] = [values[l - 1], values[l], errors[l], errors[l - 1]];
        const [width, count] = [sizes[l - 1], sizes[l]];
        const biases = starts[l - 1] + width * count;
        before.fill(0, 0, rows * width);
        if (l < last) for (let k = 0; k < rows * count; k += 1) if (to[k] < 0) error[k] *= SLOPE;
        for (let n = 0; n < rows; n += 4) {
          const a = n * width;
          const b = a + width;
          const c = b + width;
          const d = c + width;
          for (let j = 0; j < count; j += 1) {
            const k = n * count + j;
            const e0 = error[k];
            const e1 = error[k + count];
            const e2 = error[k + 2 * count];
            const e3 = error[k + 3 * count];
            const w = starts[l - 1] + j * width;
            for (let i = 0; i < width; i += 1) {
              const weight = weights[w + i];
              before[a + i] += e0 * weight;
              before[b + i] += e1 * weight;
              before[c + i] += e2 * weight;
              before[d + i] += e3 * weight;
            }
            if (!learns) continue;
            gradient[biases + j] += e0 + e1 + e2 + e3;
            for (let i = 0; i < width; i += 1) {
              gradient[w + i] += e0 * from[a + i] + e1 * from[b + i] + e2 * from[c + i] + e3 * from[d + i];
            }
          }
        }
      }
      return errors[0];
    },
  };
}

/** Adam on weights in place. @param {Float64Array} weights */
function adam(weights) {
  const [m, v] = [new Float64Array(weights.length), new Float64Array(weights.length)];
  let steps = 0;
  /** @param {Float64Array} gradient @param {number} rate */
  return (gradient, rate) => {
    steps += 1;
    const [c1, c2] = [1 - BETA1 ** steps, 1 - BETA2 ** steps];
    for (let i = 0; i < weights.length; i += 1) {
      const g = gradient[i];
      m[i] = BETA1 * m[i] + (1 - BETA1) * g;
      v[i] = BETA2 * v[i] + (1 - BETA2) * g * g;
      weights[i] -= ((rate / c1) * m[i]) / (Math.sqrt(v[i] / c2) + EPSILON);
    }
  };
}

/**
 * First weights: N(0, 2/in) for all matrices but the last, whose are N(0, 1/in); biases 0.
 * @param {number[]} sizes @param {number} seed
 */
export function firstWeights(sizes, seed) {
  const weights = new Float64Array(weightsOf(sizes));
  let at = 0;
  sizes.slice(1).forEach((size, l) => {
    const count = size * sizes[l];
    const std = Math.sqrt((l < sizes.length - 2 ? 2 : 1) / sizes[l]);
    weights.set(
      noise(branch(seed, l), count).map((e) => e * std),
      at,
    );
    at += count + size;
  });
  return weights;
}

/**
 * Points from a mixture of Gaussians of equal weight and equal standard deviation in both directions.
 * @param {Flat} centres @param {number} sigma @param {number} count @param {number} seed
 */
export function drawMixture(centres, sigma, count, seed) {
  const which = uniform(branch(seed, 0), count);
  const epsilon = noise(branch(seed, 1), 2 * count);
  const modes = centres.length / 2;
  return Float64Array.from(
    epsilon,
    (e, i) => centres[2 * Math.floor(modes * which[i >> 1]) + (i % 2)] + sigma * e,
  );
}

/**
 * The game: nobody has moved yet. Batches depend on the seed and on how many moves each player has made, on nothing
 * else.
 * @param {{ hidden: number, batch: number, seed: number, centres: Flat, sigma: number }} options
 */
export function game({ hidden, batch, seed, centres, sigma }) {
  const sizes = { g: [2, hidden, hidden, 2], d: [2, hidden, hidden, 1] };
  const weights = { g: firstWeights(sizes.g, branch(seed, 0)), d: firstWeights(sizes.d, branch(seed, 1)) };
  const [generator, discriminator] = [network(sizes.g, weights.g), network(sizes.d, weights.d)];
  const update = { g: adam(weights.g), d: adam(weights.d) };
  const moves = { d: 0, g: 0 };
  const codes = (/** @type {number} */ player, /** @type {number} */ move) =>
    noise(branch(seed, 2, player, move), 2 * batch);
  return {
    weights,
    moves,
    generator,
    discriminator,
    /** One step of the discriminator. Gives its loss before it, −log D(x) − log(1 − D(G(z))), averaged. @param {number} rate */
    stepDiscriminator(rate) {
      const real = drawMixture(centres, sigma, batch, branch(seed, 3, moves.d));
      const fake = generator.forward(codes(0, moves.d), batch);
      const both = new Float64Array(4 * batch);
      both.set(real);
      both.set(fake.subarray(0, 2 * batch), 2 * batch);
      const logits = discriminator.forward(both, 2 * batch);
      let loss = 0;
      const errors = new Float64Array(2 * batch);
      for (let n = 0; n < 2 * batch; n += 1) {
        const isReal = n < batch;
        loss += softplus(isReal ? -logits[n] : logits[n]) / batch;
        errors[n] = (isReal ? sigmoid(logits[n]) - 1 : sigmoid(logits[n])) / batch;
      }
      discriminator.gradient.fill(0);
      discriminator.backward(errors, 2 * batch, true);
      update.d(discriminator.gradient, rate);
      moves.d += 1;
      return loss;
    },
    /**
     * One step of the generator. Gives its loss before it: −log D(G(z)), or log(1 − D(G(z))), averaged.
     * @param {number} rate @param {GeneratorLoss} kind
     */
    stepGenerator(rate, kind) {
      const fake = generator.forward(codes(1, moves.g), batch);
      const logits = discriminator.forward(fake, batch);
      let loss = 0;
      const errors = new Float64Array(batch);
      for (let n = 0; n < batch; n += 1) {
        const d = sigmoid(logits[n]);
        loss += (kind === "minimax" ? -softplus(logits[n]) : softplus(-logits[n])) / batch;
        errors[n] = (kind === "minimax" ? -d : d - 1) / batch;
      }
      const pull = discriminator.backward(errors, batch, false);
      generator.gradient.fill(0);
      generator.backward(pull, batch, true);
      update.g(generator.gradient, rate);
      moves.g += 1;
      return loss;
    },
  };
}

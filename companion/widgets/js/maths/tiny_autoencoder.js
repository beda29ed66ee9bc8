// An autoencoder of points in the plane, 2–8–code–8–2 with tanh, trained by Adam on all rows at once. Each axis is
// standardised first. Its score is the mean squared error. companion/widgets/anomaly_sandbox.py has scikit-learn train one.

import { uniform } from "./noise.js";

/** @typedef {import("./anomaly.js").Grid} Grid */

export const HIDDEN = 8;
export const TRAINING = 1500; // steps of a training
const [FAST, SLOW, SLOWING] = [0.02, 0.005, 1000]; // learning rates, and the step from which it falls
const [BETA1, BETA2, EPSILON] = [0.9, 0.999, 1e-8];

/** Means and standard deviations (1 for an axis that does not vary) of rows. @param {Float64Array} rows */
function momentsOf(rows) {
  const n = rows.length / 2 || 1;
  return [0, 1].map((axis) => {
    let [mean, square] = [0, 0];
    for (let i = axis; i < rows.length; i += 2) mean += rows[i] / n;
    for (let i = axis; i < rows.length; i += 2) square += (rows[i] - mean) ** 2 / n;
    // What rounding leaves of an axis that does not vary is no variation.
    return { mean, deviation: Math.sqrt(square) > 1e-12 * Math.abs(mean) ? Math.sqrt(square) : 1 };
  });
}

/** The learning rate of a step. @param {number} step */
const rateAt = (step) => {
  const share = Math.min(1, Math.max(0, (step - SLOWING) / (TRAINING - SLOWING)));
  return FAST + share * (SLOW - FAST);
};

/**
 * An autoencoder with its weights drawn from ±1/√inputs by `seed`, or one that is trained already.
 * @param {number} code numbers in the middle: 1 or 2
 * @param {number} seed
 * @param {number[]} [trained] weights
 */
export function tinyAutoencoder(code, seed, trained) {
  const sizes = [2, HIDDEN, code, HIDDEN, 2];
  const starts = [0]; // of each layer's weights (out×in, then out biases)
  for (let l = 1; l < 5; l += 1) starts.push(starts[l - 1] + sizes[l] * (sizes[l - 1] + 1));
  const count = starts[4];
  const drawn = uniform(seed, count).map((u, at) => {
    const layer = starts.findLastIndex((start) => start <= at);
    return (2 * u - 1) / Math.sqrt(sizes[layer]);
  });
  const weights = trained ? Float64Array.from(trained) : drawn;
  const [gradient, m, v] = [0, 1, 2].map(() => new Float64Array(count));
  const values = sizes.map((size) => new Float64Array(size));
  const errors = sizes.map((size) => new Float64Array(size));
  let rows = new Float64Array();
  let [mx, my] = momentsOf(rows);
  let steps = 0;

  /** What is made of standardised x, y; its mean squared error. @param {number} x @param {number} y */
  const forward = (x, y) => {
    values[0][0] = x;
    values[0][1] = y;
    for (let l = 1; l < 5; l += 1) {
      const [from, to] = [values[l - 1], values[l]];
      let at = starts[l - 1];
      const biases = at + to.length * from.length;
      for (let j = 0; j < to.length; j += 1) {
        let sum = weights[biases + j];
        for (let i = 0; i < from.length; i += 1, at += 1) sum += weights[at] * from[i];
        to[j] = l < 4 ? Math.tanh(sum) : sum;
      }
    }
    return ((values[4][0] - x) ** 2 + (values[4][1] - y) ** 2) / 2;
  };
  /** Add to the gradient what the last `forward` gives; the loss is the mean over n rows. @param {number} n */
  const backward = (n) => {
    for (let a = 0; a < 2; a += 1) errors[4][a] = (values[4][a] - values[0][a]) / n;
    for (let l = 4; l > 0; l -= 1) {
      const [from, to, error, before] = [values[l - 1], values[l], errors[l], errors[l - 1]];
      let at = starts[l - 1];
      const biases = at + to.length * from.length;
      before.fill(0);
      for (let j = 0; j < to.length; j += 1) {
        const e = l < 4 ? error[j] * (1 - to[j] * to[j]) : error[j];
        gradient[biases + j] += e;
        for (let i = 0; i < from.length; i += 1, at += 1) {
          gradient[at] += e * from[i];
          before[i] += e * weights[at];
        }
      }
    }
  };
  return {
    weights,
    gradient,
    /** Learn from these rows from now on. @param {Float64Array} next */
    on(next) {
      [mx, my] = momentsOf(next);
      rows = next.map((value, at) =>
        at % 2 ? (value - my.mean) / my.deviation : (value - mx.mean) / mx.deviation,
      );
    },
    /** One step of Adam; the loss before it. */
    step() {
      const n = rows.length / 2;
      let loss = 0;
      gradient.fill(0);
      for (let i = 0; i < n; i += 1) {
        loss += forward(rows[2 * i], rows[2 * i + 1]) / n;
        backward(n);
      }
      const rate = rateAt(steps + (trained ? TRAINING : 0));
      steps += 1;
      const [c1, c2] = [1 - BETA1 ** steps, 1 - BETA2 ** steps];
      for (let at = 0; at < count; at += 1) {
        const g = gradient[at];
        m[at] = BETA1 * m[at] + (1 - BETA1) * g;
        v[at] = BETA2 * v[at] + (1 - BETA2) * g * g;
        weights[at] -= ((rate / c1) * m[at]) / (Math.sqrt(v[at] / c2) + EPSILON);
      }
      return loss;
    },
    /** Scores of rows. @param {Float64Array} places */
    scores(places) {
      return Float64Array.from({ length: places.length / 2 }, (_, i) =>
        forward((places[2 * i] - mx.mean) / mx.deviation, (places[2 * i + 1] - my.mean) / my.deviation),
      );
    },
    /** Scores of all places of a grid. A generator that yields after each row of it. @param {Grid} grid */
    *field({ xs, ys }) {
      const field = new Float64Array(xs.length * ys.length);
      let at = 0;
      for (const y of ys) {
        for (const x of xs) {
          field[at] = forward((x - mx.mean) / mx.deviation, (y - my.mean) / my.deviation);
          at += 1;
        }
        yield;
      }
      return field;
    },
  };
}

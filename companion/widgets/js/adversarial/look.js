// What there is to see of a game in the plane: points, fields, the pull on points, and what they amount to.

import { bestDiscriminator, cells, coverage, mixtureDensity, gameValue } from "../maths/densities.js";
import { branch, noise } from "../maths/noise.js";
import { drawMixture, network, sigmoid, softplus } from "../maths/plane_gan.js";

/** @import { GeneratorLoss } from "../maths/plane_gan.js" */
/** @typedef {{ g: Float64Array, d: Float64Array }} Weights */

export const PLANE = { reach: 1.5, side: 40 };
export const HIDDEN = 32;
export const SIGMA = 0.05; // of each Gaussian of the data
const BLUR = 0.1; // of both densities before they are compared
const SAMPLES = 512; // generated points that the estimates are made from
const ARROWS = 64;
const FAINT = 0.02; // density, below which D* loses its colour: it says little where hardly a point is
const AREA = ((2 * PLANE.reach) / PLANE.side) ** 2; // of a cell

/**
 * @typedef {object} Seen
 * @property {Float64Array} real points, x₀, y₀, x₁ …
 * @property {Float64Array} points generated ones
 * @property {Float64Array} field D in each cell
 * @property {Float64Array} best D* in each cell, drawn to ½ where hardly a point is
 * @property {Float64Array} pulls −∂L/∂x of the first generated points
 * @property {Record<"js" | "bound" | "loss_d" | "loss_g" | "covered" | "modes" | "near", number>} numbers
 */

/** A function that looks at weights. @param {Float64Array} centres of the data */
export function looker(centres) {
  const places = cells(PLANE);
  const data = mixtureDensity(centres, Math.hypot(SIGMA, BLUR), PLANE);
  const codes = noise(branch(0, 9), 2 * SAMPLES);
  const real = drawMixture(centres, SIGMA, SAMPLES, branch(0, 8));
  /** @param {Weights} weights @param {GeneratorLoss} loss @returns {Seen} */
  return (weights, loss) => {
    const generator = network([2, HIDDEN, HIDDEN, 2], weights.g);
    const discriminator = network([2, HIDDEN, HIDDEN, 1], weights.d);
    const points = generator.forward(codes, SAMPLES).slice(0, 2 * SAMPLES);
    const field = discriminator
      .forward(places, places.length / 2)
      .slice(0, places.length / 2)
      .map(sigmoid);
    const model = mixtureDensity(points, BLUR, PLANE);
    const best = bestDiscriminator(data, model);
    let [lossD, lossG] = [0, 0];
    for (const logit of discriminator.forward(real, SAMPLES).subarray(0, SAMPLES))
      lossD += softplus(-logit) / SAMPLES;
    const logits = discriminator.forward(points, SAMPLES).subarray(0, SAMPLES);
    for (const logit of logits) {
      lossD += softplus(logit) / SAMPLES;
      lossG += softplus(-logit) / SAMPLES;
    }
    const errors = new Float64Array(ARROWS).map((_, n) => {
      const D = sigmoid(logits[n]);
      return loss === "minimax" ? D : 1 - D; // minus the loss's slope in the logit
    });
    const pulls = discriminator.backward(errors, ARROWS, false).slice(0, 2 * ARROWS);
    return {
      ...{ real, points, field, pulls },
      best: best.map((D, i) => 0.5 + (D - 0.5) * Math.min(1, (data[i] + model[i]) / FAINT)),
      numbers: {
        ...{ js: Math.LN2 + gameValue(data, model, best, AREA) / 2, bound: Math.LN2 - lossD / 2 },
        ...{ loss_d: lossD, loss_g: lossG, ...coverage(points, centres, SIGMA) },
      },
    };
  };
}

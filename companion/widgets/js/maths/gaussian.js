// The same Gaussian mathematics as companion/by_hand/gaussian.py, for the page.

/** KL[N(μ, σ²) ‖ N(0, 1)] in nats. @param {number} mu @param {number} sigma */
export const kl = (mu, sigma) => 0.5 * (mu ** 2 + sigma ** 2 - 2 * Math.log(sigma) - 1);

/** [∂KL/∂μ, ∂KL/∂σ] @param {number} mu @param {number} sigma */
export const klGradient = (mu, sigma) => [mu, sigma - 1 / sigma];

/** Density of N(μ, σ²) at z. @param {number} z @param {number} mu @param {number} sigma */
export const density = (z, mu, sigma) =>
  Math.exp(-0.5 * ((z - mu) / sigma) ** 2) / (sigma * Math.sqrt(2 * Math.PI));

/**
 * log q(z) − log p(z) for q = N(μ, σ²), p = N(0, 1), at z = μ + σ·ε.
 * @param {number} epsilon @param {number} mu @param {number} sigma
 */
const logRatio = (epsilon, mu, sigma) => 0.5 * ((mu + sigma * epsilon) ** 2 - epsilon ** 2) - Math.log(sigma);

const T = Float64Array.from({ length: 321 }, (_, i) => -8 + i / 20);

/**
 * The integrand q(z)·log(q(z)/p(z)) over z = μ + σ·t, |t| ≤ 8:
 * -> {z, value, above, below}, the last two being the areas of its positive and negative part (nats).
 * @param {number} mu @param {number} sigma
 */
export function integrand(mu, sigma) {
  const z = T.map((t) => mu + sigma * t);
  const value = T.map((t, i) => density(z[i], mu, sigma) * logRatio(t, mu, sigma));
  let above = 0;
  let below = 0;
  for (const v of value) {
    if (v > 0) above += v;
    else below -= v;
  }
  const width = sigma / 20;
  return { z, value, above: above * width, below: below * width };
}

/**
 * Monte-Carlo estimate of KL from `noise`: {estimate, standardError}.
 * @param {Float64Array} noise @param {number} mu @param {number} sigma
 */
export function monteCarloKl(noise, mu, sigma) {
  let sum = 0;
  for (const epsilon of noise) sum += logRatio(epsilon, mu, sigma);
  const estimate = sum / noise.length;
  let squares = 0;
  for (const epsilon of noise) squares += (logRatio(epsilon, mu, sigma) - estimate) ** 2;
  return { estimate, standardError: Math.sqrt(squares / (noise.length - 1) / noise.length) };
}

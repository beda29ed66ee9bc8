// The score of points blurred with noise: companion.by_hand.score.

/** @typedef {ArrayLike<number>} Flat x₀, y₀, x₁, y₁ … */

/**
 * σ²·∇ log p_σ at places: from each the way to the mean of the points that it may have come from.
 * @param {Flat} places @param {Flat} points @param {number} sigma positive
 */
export function denoisingStep(places, points, sigma) {
  const count = points.length / 2;
  const steps = new Float64Array(places.length);
  const exponents = new Float64Array(count);
  for (let k = 0; k < places.length; k += 2) {
    let most = -Infinity;
    for (let i = 0; i < count; i += 1) {
      const [dx, dy] = [points[2 * i] - places[k], points[2 * i + 1] - places[k + 1]];
      exponents[i] = -(dx * dx + dy * dy) / (2 * sigma * sigma);
      if (exponents[i] > most) most = exponents[i];
    }
    let [sum, x, y] = [0, 0, 0];
    for (let i = 0; i < count; i += 1) {
      const weight = Math.exp(exponents[i] - most);
      sum += weight;
      x += weight * points[2 * i];
      y += weight * points[2 * i + 1];
    }
    steps[k] = x / sum - places[k];
    steps[k + 1] = y / sum - places[k + 1];
  }
  return steps;
}

/**
 * The mean cosine between arrows at those places that lie within `reach` of a point, and how many these are.
 * @param {Flat} a @param {Flat} b @param {Flat} places @param {Flat} points @param {number} reach
 */
export function agreement(a, b, places, points, reach) {
  let [sum, count] = [0, 0];
  for (let k = 0; k < places.length; k += 2) {
    const sizes = Math.hypot(a[k], a[k + 1]) * Math.hypot(b[k], b[k + 1]);
    let isNear = false;
    for (let i = 0; i < points.length && !isNear; i += 2)
      isNear = Math.hypot(points[i] - places[k], points[i + 1] - places[k + 1]) <= reach;
    if (!isNear || !sizes) continue;
    sum += (a[k] * b[k] + a[k + 1] * b[k + 1]) / sizes;
    count += 1;
  }
  return { cosine: count ? sum / count : null, count };
}

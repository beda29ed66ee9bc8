// Densities on a grid over a square, the best discriminator between two of them, and how many modes are covered:
// companion.widgets.plane_gan has the same in torch.

/** @typedef {ArrayLike<number>} Flat x₀, y₀, x₁, y₁ … */
/** @typedef {{ reach: number, side: number }} Plane the square from −reach to reach, in side×side cells */

const FAR = 5; // standard deviations beyond which a Gaussian is left out
const LEAST = 1e-30; // what rounding left as 0 has a logarithm, too

/** The middles of all cells, row by row from the top. @param {Plane} plane */
export function cells({ reach, side }) {
  const at = (/** @type {number} */ k) => ((2 * k + 1) / side - 1) * reach;
  return Float64Array.from({ length: 2 * side * side }, (_, i) => {
    const k = i >> 1;
    return i % 2 ? -at(Math.floor(k / side)) : at(k % side);
  });
}

/**
 * The density of a mixture of Gaussians of equal weight in the middles of all cells.
 * @param {Flat} centres @param {number} sigma of each, in both directions @param {Plane} plane
 */
export function mixtureDensity(centres, sigma, { reach, side }) {
  const density = new Float64Array(side * side);
  const count = centres.length / 2;
  const cell = (2 * reach) / side;
  const scale = 1 / (count * 2 * Math.PI * sigma * sigma);
  const across = new Float64Array(side);
  const ends = (/** @type {number} */ v) => [
    Math.max(0, Math.ceil((v + reach - FAR * sigma) / cell - 0.5)),
    Math.min(side - 1, Math.floor((v + reach + FAR * sigma) / cell - 0.5)),
  ];
  const bell = (/** @type {number} */ v) => Math.exp((-v * v) / (2 * sigma * sigma));
  for (let k = 0; k < count; k += 1) {
    const [x, y] = [centres[2 * k], centres[2 * k + 1]];
    const [left, right] = ends(x);
    const [top, bottom] = ends(-y);
    for (let c = left; c <= right; c += 1) across[c] = bell((c + 0.5) * cell - reach - x);
    for (let r = top; r <= bottom; r += 1) {
      const down = scale * bell((r + 0.5) * cell - reach + y);
      for (let c = left; c <= right; c += 1) density[r * side + c] += down * across[c];
    }
  }
  return density;
}

/** p_data/(p_data + p_model); ½ where both are 0. @param {Float64Array} data @param {Float64Array} model */
export const bestDiscriminator = (data, model) =>
  data.map((p, i) => (p + model[i] ? p / (p + model[i]) : 0.5));

/**
 * The value of the game, E log D(x) + E log(1 − D(G(z))), between two densities on a grid. What lies outside of the grid
 * adds 0, as if D were right about all of it.
 * @param {Float64Array} data @param {Float64Array} model @param {Float64Array} D in each cell @param {number} area of a
 *   cell
 */
export function gameValue(data, model, D, area) {
  const times = (/** @type {number} */ p, /** @type {number} */ d) =>
    p ? p * Math.log(Math.max(d, LEAST)) : 0;
  let sum = 0;
  for (let i = 0; i < D.length; i += 1) sum += times(data[i], D[i]) + times(model[i], 1 - D[i]);
  return sum * area;
}

/**
 * Which modes are covered: by at least a quarter of the points that are their fair share, within three standard
 * deviations. A point counts for its nearest mode.
 * @param {Flat} points @param {Flat} centres @param {number} sigma
 */
export function coverage(points, centres, sigma) {
  const [count, modes] = [points.length / 2, centres.length / 2];
  const hits = new Float64Array(modes);
  let near = 0;
  for (let n = 0; n < count; n += 1) {
    let [best, least] = [0, Infinity];
    for (let k = 0; k < modes; k += 1) {
      const distance = Math.hypot(points[2 * n] - centres[2 * k], points[2 * n + 1] - centres[2 * k + 1]);
      if (distance < least) [best, least] = [k, distance];
    }
    if (least > 3 * sigma) continue;
    near += 1;
    hits[best] += 1;
  }
  const covered = hits.filter((hit) => hit >= count / (4 * modes)).length;
  return { covered, modes, near: near / count };
}

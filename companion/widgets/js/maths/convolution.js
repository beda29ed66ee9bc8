// Sliding windows by hand, the numbers behind convolution.js and kernel_lab.js. No drawing here.

/** @typedef {number[][]} Matrix rows of numbers */
/** @typedef {{ padding?: number, stride?: number }} Steps */
/**
 * @typedef {object} Term one product of a window
 * @property {number} row in the padded input
 * @property {number} column
 * @property {number} value
 * @property {number} weight
 * @property {number} product
 */

/**
 * Outputs along one axis, ⌊(n + 2p − k)/s⌋ + 1; 0 where the kernel does not fit.
 * @param {number} n @param {number} k @param {Steps} [steps]
 */
export function outputSize(n, k, { padding = 0, stride = 1 } = {}) {
  return Math.max(0, Math.floor((n + 2 * padding - k) / stride) + 1);
}

/** A kernel turned by 180°. @param {Matrix} kernel */
export const turned = (kernel) => kernel.map((row) => [...row].reverse()).reverse();

/**
 * @template T
 * @param {number} rows @param {number} columns @param {(row: number, column: number) => T} value
 */
export const matrixOf = (rows, columns, value) =>
  Array.from({ length: rows }, (_, r) => Array.from({ length: columns }, (_, c) => value(r, c)));

/**
 * The window of output (row, column), as laid over the padded input: a term for each weight, row by row.
 * @param {Matrix} x @param {Matrix} kernel @param {number} row @param {number} column @param {Steps} [steps]
 * @returns {Term[]}
 */
export function terms(x, kernel, row, column, { padding = 0, stride = 1 } = {}) {
  return kernel.flatMap((weights, a) =>
    weights.map((weight, b) => {
      const [r, c] = [stride * row + a, stride * column + b];
      const value = x[r - padding]?.[c - padding] ?? 0;
      return { row: r, column: c, value, weight, product: value * weight };
    }),
  );
}

/** The sum of products. @param {Term[]} parts */
export const sum = (parts) => parts.reduce((total, { product }) => total + product, 0);

/**
 * Cross-correlation of a matrix with a kernel: a matrix, empty where the kernel does not fit.
 * @param {Matrix} x @param {Matrix} kernel @param {Steps} [options]
 */
export function correlate(x, kernel, options) {
  const rows = outputSize(x.length, kernel.length, options);
  const columns = outputSize(x[0].length, kernel[0].length, options);
  return matrixOf(columns ? rows : 0, columns, (r, c) => sum(terms(x, kernel, r, c, options)));
}

/**
 * Cross-correlation of a plane of pixels (row by row) with a kernel of odd sides, plus a bias, zeros beyond
 * the border: the result has the plane's size.
 * @param {Float64Array} plane @param {number} width @param {number} height @param {Matrix} kernel
 */
export function filterPlane(plane, width, height, kernel, bias = 0) {
  const [up, left] = [(kernel.length - 1) / 2, (kernel[0].length - 1) / 2];
  const stride = width + 2 * left;
  const padded = new Float64Array(stride * (height + 2 * up));
  for (let r = 0; r < height; r += 1)
    padded.set(plane.subarray(r * width, (r + 1) * width), (r + up) * stride + left);
  const out = new Float64Array(width * height);
  kernel.forEach((weights, a) =>
    weights.forEach((weight, b) => {
      if (!weight) return;
      for (let r = 0; r < height; r += 1) {
        let from = (r + a) * stride + b;
        for (let to = r * width; to < (r + 1) * width; to += 1, from += 1) out[to] += weight * padded[from];
      }
    }),
  );
  if (bias) for (let i = 0; i < out.length; i += 1) out[i] += bias;
  return out;
}

/** How grey an RGBA image looks (Rec. 601), 0…1. @param {ArrayLike<number>} rgba */
export function luminance(rgba) {
  const grey = new Float64Array(rgba.length / 4);
  for (let i = 0, o = 0; i < grey.length; i += 1, o += 4) {
    grey[i] = (0.299 * rgba[o] + 0.587 * rgba[o + 1] + 0.114 * rgba[o + 2]) / 255;
  }
  return grey;
}

/**
 * One colour channel (0, 1, 2) of an RGBA image, 0…1.
 * @param {ArrayLike<number>} rgba @param {number} number
 */
export function channel(rgba, number) {
  const plane = new Float64Array(rgba.length / 4);
  for (let i = 0, o = number; i < plane.length; i += 1, o += 4) plane[i] = rgba[o] / 255;
  return plane;
}

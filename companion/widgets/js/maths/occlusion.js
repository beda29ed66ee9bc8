// Occlusion: where patches lie, what they show, and the map of what a class loses under them. The twin of
// companion/explain/occlusion.py, whose words define all of it. No drawing here.

import { uniform } from "./noise.js";

/** @typedef {"grey" | "mean" | "blur" | "noise"} Fill */
/** @typedef {number[]} Shape [channels, height, width] */
/** @typedef {{ top: number, left: number }} Place the patch's upper left pixel */

/** @type {Fill[]} */
export const FILLS = ["grey", "mean", "blur", "noise"];

/**
 * The first pixels of all patches along an axis of `side` pixels; the last may stick out.
 * @param {number} side @param {number} patch @param {number} stride
 */
export const places = (side, patch, stride) =>
  Array.from({ length: 1 + Math.ceil((side - patch) / stride) }, (_, k) => k * stride);

/**
 * All places of a patch on an image, row by row.
 * @param {Shape} shape @param {number} patch @param {number} stride
 */
export function gridOf([, height, width], patch, stride) {
  const [tops, lefts] = [places(height, patch, stride), places(width, patch, stride)];
  const all = tops.flatMap((top) => lefts.map((left) => ({ top, left })));
  return { rows: tops.length, columns: lefts.length, places: all };
}

/**
 * The picture that a patch shows its part of, as large as the image (C×H×W, values in [0, 1]). The noise is that
 * of `companion.widgets.noise.uniform`.
 * @param {Float32Array} image @param {Shape} shape
 * @param {{ fill: Fill, patch: number, seed: number }} options
 */
export function filling(image, [channels, height, width], { fill, patch, seed }) {
  const area = height * width;
  if (fill === "grey") return new Float32Array(image.length).fill(0.5);
  if (fill === "noise") return Float32Array.from(uniform(seed, image.length));
  const picture = new Float32Array(image.length);
  for (let c = 0; c < channels; c += 1) {
    const plane = image.subarray(c * area, (c + 1) * area);
    const into = picture.subarray(c * area, (c + 1) * area);
    if (fill === "mean") into.fill(plane.reduce((sum, v) => sum + v, 0) / area);
    else blur(plane, into, height, width, Math.floor(patch / 2));
  }
  return picture;
}

/**
 * Each pixel's mean over the square of 2·radius + 1 pixels about it, inside the image: means along columns, then
 * along rows.
 * @param {Float32Array} plane @param {Float32Array} into
 * @param {number} height @param {number} width @param {number} radius
 */
function blur(plane, into, height, width, radius) {
  const between = new Float64Array(plane.length);
  for (let x = 0; x < width; x += 1) means(plane, between, x, width, height, radius);
  for (let y = 0; y < height; y += 1) means(between, into, y * width, 1, width, radius);
}

/**
 * Means of a line of `count` numbers over windows about each.
 * @param {ArrayLike<number>} from @param {Float32Array | Float64Array} into
 * @param {number} start @param {number} step @param {number} count @param {number} radius
 */
function means(from, into, start, step, count, radius) {
  const sums = new Float64Array(count + 1);
  for (let i = 0; i < count; i += 1) sums[i + 1] = sums[i] + from[start + i * step];
  for (let i = 0; i < count; i += 1) {
    const [low, high] = [Math.max(0, i - radius), Math.min(count, i + radius + 1)];
    into[start + i * step] = (sums[high] - sums[low]) / (high - low);
  }
}

/**
 * A copy of the image with a patch that shows its part of `picture`.
 * @param {Float32Array} image @param {Float32Array} picture @param {Shape} shape
 * @param {Place} place @param {number} patch
 */
export function occluded(image, picture, [channels, height, width], { top, left }, patch) {
  const copy = image.slice();
  const [bottom, right] = [Math.min(top + patch, height), Math.min(left + patch, width)];
  for (let c = 0; c < channels; c += 1)
    for (let y = top; y < bottom; y += 1) {
      const row = (c * height + y) * width;
      copy.set(picture.subarray(row + left, row + right), row + left);
    }
  return copy;
}

/**
 * For each pixel the mean drop of the patches that cover it; NaN where none does (yet).
 * @param {Iterable<[Place, number]>} drops @param {Shape} shape @param {number} patch
 */
export function onPixels(drops, [, height, width], patch) {
  const total = new Float64Array(height * width);
  const covered = new Uint16Array(height * width);
  for (const [{ top, left }, drop] of drops)
    for (let y = top; y < Math.min(top + patch, height); y += 1)
      for (let x = left; x < Math.min(left + patch, width); x += 1) {
        total[y * width + x] += drop;
        covered[y * width + x] += 1;
      }
  return total.map((sum, i) => sum / covered[i]);
}

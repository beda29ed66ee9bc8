// Damaged images: the same as companion/models/corruption.py makes, from the page's own random numbers.

import { noise, uniform } from "./noise.js";

/** @typedef {"gaussian" | "salt and pepper" | "masking"} Kind */

/**
 * An image with noise of a kind and strength: σ of the Gaussian, else the share of pixels that are hit.
 * @param {ArrayLike<number>} image @param {Kind} kind @param {number} strength @param {number} seed
 */
export function damaged(image, kind, strength, seed) {
  if (kind === "gaussian") {
    const epsilon = noise(seed, image.length);
    return Float32Array.from(image, (value, i) => value + strength * epsilon[i]);
  }
  const u = uniform(seed, image.length);
  const white = kind === "masking" ? 0 : strength / 2;
  return Float32Array.from(image, (value, i) => (u[i] < white ? 1 : u[i] < strength ? 0 : value));
}

/** The hidden pixels painted over in grey. @param {ArrayLike<number>} image @param {ArrayLike<number>} hidden */
export const withHoles = (image, hidden) => Float32Array.from(image, (value, i) => (hidden[i] ? 0.5 : value));

// Crops, mirror images and colour shifts of RGBA pixels: companion/training/augmentation.py, for the page.

/**
 * @typedef {object} View a part of an image
 * @property {number} top row of its corner in the image itself
 * @property {number} left
 * @property {number} size of its sides
 * @property {boolean} mirrored the crop is turned over
 * @property {number[]} alpha how far the colours move along each component
 */
/**
 * @typedef {{ variances: number[], directions: number[][] }} Components of colour:
 *   directions[channel][component]
 */

import { noise, uniform } from "./noise.js";

export const DRAWS = 10;

/** Python's round(): halves go to the even neighbour. @param {number} x */
function round(x) {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest === 0.5) return floor % 2 ? floor + 1 : floor;
  return rest < 0.5 ? floor : floor + 1;
}

/**
 * The slide's views of a side × side image.
 * @param {string} kind "none", "flip" or "crop_flip"
 * @param {number} side
 * @returns {View[]}
 */
export function slideViews(kind, side) {
  const size = kind === "crop_flip" ? round((side * 7) / 8) : side;
  const far = side - size;
  const middle = round(far / 2);
  const places =
    kind === "crop_flip"
      ? [
          [0, 0],
          [0, far],
          [far, 0],
          [far, far],
          [middle, middle],
        ]
      : [[middle, middle]];
  const made = places.map(([top, left]) => ({ top, left, size, mirrored: false, alpha: [0, 0, 0] }));
  // The same crops of the mirrored image are crops from its other side, turned over.
  if (kind !== "none")
    made.push(
      ...places.map(([top, left]) => ({ top, left: far - left, size, mirrored: true, alpha: [0, 0, 0] })),
    );
  return made;
}

/** How many different random crops there are, mirrored or not. @param {number} side @param {number} crop */
export const versions = (side, crop) => 2 * (side - crop + 1) ** 2;

/**
 * Ten random views, as AlexNet was trained on: crops from anywhere, mirrored or not, colours shifted.
 * @param {number} seed @param {number} side @param {number} crop its side @param {number} sigma
 * @returns {View[]}
 */
export function randomViews(seed, side, crop, sigma) {
  const u = uniform(seed, 3 * DRAWS);
  const normal = noise((seed + 1000003) % 2 ** 32, 3 * DRAWS);
  const place = (/** @type {number} */ share) => Math.floor(share * (side - crop + 1));
  return Array.from({ length: DRAWS }, (_, i) => ({
    top: place(u[3 * i]),
    left: place(u[3 * i + 1]),
    size: crop,
    mirrored: u[3 * i + 2] < 0.5,
    alpha: [0, 1, 2].map((k) => sigma * normal[3 * i + k]),
  }));
}

/**
 * What a colour shift adds to red, green and blue (of 0…1): Σ α_k λ_k p_k.
 * @param {Components} components @param {number[]} alpha
 */
export const colourShift = ({ variances, directions }, alpha) =>
  directions.map((row) => row.reduce((sum, p, k) => sum + p * variances[k] * alpha[k], 0));

/**
 * Draw a view of `image` into another image, one of the view's size.
 * @param {ImageData} image @param {View} view @param {Components} components @param {ImageData} into
 */
export function cut(image, view, components, into) {
  const { width, data } = image;
  const out = into.data; // clamps and rounds by itself
  const [r, g, b] = colourShift(components, view.alpha).map((v) => 255 * v);
  const { top, left, size, mirrored } = view;
  for (let row = 0, o = 0; row < size; row += 1) {
    const y = top + row;
    for (let column = 0; column < size; column += 1, o += 4) {
      const x = left + (mirrored ? size - 1 - column : column);
      const i = 4 * (y * width + x);
      out[o] = data[i] + r;
      out[o + 1] = data[i + 1] + g;
      out[o + 2] = data[i + 2] + b;
      out[o + 3] = 255;
    }
  }
}

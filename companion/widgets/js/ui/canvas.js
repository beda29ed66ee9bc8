// Draws images of the models (N×C×H×W, values in [0, 1], C 1 or 3) on a canvas, pixel by pixel.

import { h } from "./controls.js";

/** @typedef {number[]} ImageShape [channels, height, width] */

/**
 * Write image `index` into an ImageData of its size.
 * @param {ImageData} into @param {ArrayLike<number>} images @param {ImageShape} shape @param {number} index
 */
function fill(into, images, [channels, height, width], index) {
  const plane = height * width;
  const start = index * channels * plane;
  const step = channels === 1 ? 0 : plane; // one channel is shown as grey
  const out = into.data; // clamps and rounds by itself
  for (let i = 0, o = 0; i < plane; i += 1, o += 4) {
    out[o] = 255 * images[start + i];
    out[o + 1] = 255 * images[start + step + i];
    out[o + 2] = 255 * images[start + 2 * step + i];
    out[o + 3] = 255;
  }
}

/**
 * @typedef {object} GridOptions
 * @property {number} [columns]
 * @property {number} [rows]
 * @property {number} [gap] in pixels of the images
 * @property {boolean} [smooth] let the browser blur between pixels when it scales (for many small images);
 *   otherwise pixels stay sharp squares at every size and device resolution
 * @property {string} [label] what it shows; without one a screen reader passes over it
 * @property {string} [still] the name of the picture that Python gives for a page before any script runs
 */

/**
 * A canvas of `columns`×`rows` images, one canvas pixel an image pixel; CSS makes it larger.
 * @param {ImageShape} shape of one image
 * @param {GridOptions} [options]
 */
export function imageGrid(shape, { columns = 1, rows = 1, gap = 0, smooth = false, label, still } = {}) {
  const [, height, width] = shape;
  const el = h("canvas", label ? { role: "img", "aria-label": label } : { "aria-hidden": "true" });
  el.width = columns * width + (columns - 1) * gap;
  el.height = rows * height + (rows - 1) * gap;
  el.style.imageRendering = smooth ? "auto" : "pixelated";
  if (still) el.dataset.still = still;
  const context = el.getContext("2d");
  const buffer = context?.createImageData(width, height);
  return {
    el,
    /** Draw image `index` of `images` into a field of the grid. @param {ArrayLike<number>} images */
    draw(images, index = 0, column = 0, row = 0) {
      if (!context || !buffer) return;
      fill(buffer, images, shape, index);
      context.putImageData(buffer, column * (width + gap), row * (height + gap));
    },
  };
}

/**
 * @typedef {object} BackgroundOptions
 * @property {number} count how many images
 * @property {(k: number) => ArrayLike<number>} point what image k is decoded from
 * @property {(z: Float32Array, isWanted: () => boolean) => Promise<ArrayLike<number> | null>} decode gives
 *   null while there is no decoder, and for what is no longer wanted
 * @property {(image: ArrayLike<number>, k: number) => void} draw
 */

/**
 * Images that may wait. The function that it returns makes all of them anew after a `delay` in milliseconds;
 * the next call ends what the last one began.
 * @param {BackgroundOptions} options
 */
export function inBackground({ count, point, decode, draw }) {
  let round = 0;
  /** @type {ReturnType<typeof setTimeout>} */
  let timer;
  return (delay = 160) => {
    round += 1;
    const mine = round;
    const isWanted = () => mine === round;
    clearTimeout(timer);
    timer = setTimeout(async () => {
      for (let k = 0; k < count && isWanted(); k += 1) {
        const image = await decode(Float32Array.from(point(k)), isWanted);
        if (!image) return;
        draw(image, k);
      }
    }, delay);
  };
}

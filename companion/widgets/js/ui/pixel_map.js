// Numbers as coloured pixels, with the scale that says what a colour means: outputs of a filter, maps of
// activations, errors, scores, occlusion.

import { colourScale } from "./cells.js";
import { diverging, isDark, sequential } from "./colours.js";
import { fixed, h, stack } from "./controls.js";

/** @import { Rgb } from "./colours.js" */

/**
 * @typedef {"grey" | "sequential" | "diverging"} MapScale black to white; by lightness; minus, paper, plus
 */

/**
 * The colour of a value on a scale from `low` to `high`. On a diverging one 0 has the colour of the paper,
 * and
 * the end that is further from it is full.
 * @param {MapScale} scale @param {number} low @param {number} high
 * @returns {(value: number) => Rgb}
 */
export function colourOf(scale, low, high, dark = false) {
  const limit = Math.max(Math.abs(low), Math.abs(high)) || 1;
  const share = (/** @type {number} */ v) => (v - low) / (high - low || 1);
  if (scale === "diverging") return (v) => diverging(v / limit, dark);
  if (scale === "sequential") return (v) => sequential(share(v));
  return (v) => Array(3).fill(255 * share(v));
}

/**
 * The scale from its low to its high end (−1 to 1, if it diverges), as a CSS background.
 * @param {MapScale} scale
 */
export function gradientOf(scale, dark = false) {
  if (scale === "grey") return "linear-gradient(to right, #000, #fff)";
  const colour = colourOf(scale, -1, 1, dark);
  const stops = Array.from({ length: 9 }, (_, i) => `rgb(${colour(i / 4 - 1).join()})`);
  return `linear-gradient(to right, ${stops.join()})`;
}

/**
 * Colour the pixels of `into`, one a value, row by row.
 * @param {ImageData} into @param {ArrayLike<number>} values @param {(value: number) => Rgb} colour
 */
export function paintMap({ data }, values, colour) {
  for (let i = 0, o = 0; i < values.length; i += 1, o += 4) {
    const [r, g, b] = colour(values[i]);
    data[o] = r; // clamps and rounds by itself
    data[o + 1] = g;
    data[o + 2] = b;
    data[o + 3] = 255;
  }
}

/**
 * @typedef {object} PixelMapOptions
 * @property {number} height in pixels of the map
 * @property {number} width
 * @property {string} label what it shows
 * @property {MapScale} [scale]
 * @property {boolean} [smooth] let the browser blur between pixels
 * @property {string} [words] beside the colour scale: what the numbers are
 * @property {(value: number) => string} [format] of the scale's ends
 */

/**
 * A map of height×width numbers with its colour scale. Give `onTheme` to `followTheme`, so that the colours
 * suit the paper.
 * @param {PixelMapOptions} options
 */
export function pixelMap({
  height,
  width,
  label,
  scale = "sequential",
  smooth = false,
  words = "",
  format = fixed,
}) {
  const canvas = h("canvas", { class: "companion-image", role: "img", "aria-label": label, height, width });
  canvas.style.imageRendering = smooth ? "auto" : "pixelated";
  const context = canvas.getContext("2d");
  const buffer = context?.createImageData(width, height);
  const legend = colourScale(words);
  let dark = false;
  /** @type {[values: ArrayLike<number>, low: number, high: number] | null} */
  let last = null;
  const show = () => {
    if (!last) return;
    const [values, low, high] = last;
    legend.set(format(low), format(high), gradientOf(scale, dark));
    if (!context || !buffer) return;
    paintMap(buffer, values, colourOf(scale, low, high, dark));
    context.putImageData(buffer, 0, 0);
  };
  return {
    el: stack(canvas, legend.el),
    canvas,
    /** @param {ArrayLike<number>} values @param {number} low @param {number} high ends of the scale */
    draw(values, low, high) {
      last = [values, low, high];
      show();
    },
    /** What a screen reader says of the map. @param {string} text */
    describe(text) {
      canvas.setAttribute("aria-label", text);
    },
    /** @param {{ [token: string]: string }} colours */
    onTheme(colours) {
      if (isDark(colours) === dark) return;
      dark = !dark;
      show();
    },
  };
}

// Pictures made smaller or larger by Lanczos' filter, as Pillow does it: along rows, then along columns, rounded to
// 8 bits after each. No drawing here.

/** @typedef {{ data: ArrayLike<number>, width: number, height: number }} Pixels red, green, blue, opacity */
/** @typedef {{ start: number, weights: Float64Array }} Tap of one new pixel: its first old one, and their weights */

/** sinc(x)·sinc(x/3) within 3 of the middle, else 0. @param {number} x */
function lanczos(x) {
  if (x === 0) return 1;
  if (Math.abs(x) >= 3) return 0;
  const angle = Math.PI * x;
  return (3 * Math.sin(angle) * Math.sin(angle / 3)) / angle ** 2;
}

/**
 * What each of `count` new pixels is made of, of those from `from` to `to` (fractions, too) of a line of `side`.
 * @param {number} side @param {number} from @param {number} to @param {number} count
 * @returns {Tap[]}
 */
function taps(side, from, to, count) {
  const scale = (to - from) / count;
  const wide = Math.max(1, scale); // a picture made larger is not blurred
  return Array.from({ length: count }, (_, i) => {
    const middle = from + (i + 0.5) * scale;
    const start = Math.max(0, Math.floor(middle - 3 * wide + 0.5));
    const end = Math.min(side, Math.floor(middle + 3 * wide + 0.5));
    const raw = Float64Array.from({ length: end - start }, (_w, k) =>
      lanczos((start + k - middle + 0.5) / wide),
    );
    const sum = raw.reduce((a, b) => a + b, 0);
    return { start, weights: raw.map((w) => w / sum) };
  });
}

/**
 * The part `box` of an opaque picture, `width`×`height` pixels large.
 * @param {Pixels} picture
 * @param {{ x: number, y: number, w: number, t: number }} box in its pixels, fractions, too
 * @param {number} width @param {number} height
 */
export function resized({ data, width: wide, height: high }, { x, y, w, t }, width, height) {
  const across = taps(wide, x, x + w, width);
  const down = taps(high, y, y + t, height);
  const first = down[0].start;
  const { start: last, weights } = down[height - 1];
  const rows = last + weights.length - first; // those that are needed
  const between = new Uint8ClampedArray(4 * width * rows).fill(255);
  for (let r = 0, o = 0; r < rows; r += 1)
    for (const tap of across) {
      const from = 4 * ((first + r) * wide + tap.start);
      mix(data, from, 4, tap.weights, between, o);
      o += 4;
    }
  const into = new Uint8ClampedArray(4 * width * height).fill(255);
  down.forEach((tap, r) => {
    for (let c = 0; c < width; c += 1)
      mix(between, 4 * ((tap.start - first) * width + c), 4 * width, tap.weights, into, 4 * (r * width + c));
  });
  return into;
}

/**
 * One new pixel; the array that it goes into clamps and rounds.
 * @param {ArrayLike<number>} data @param {number} from @param {number} step @param {Float64Array} weights
 * @param {Uint8ClampedArray} into @param {number} at
 */
function mix(data, from, step, weights, into, at) {
  let [r, g, b] = [0, 0, 0];
  for (let k = 0, o = from; k < weights.length; k += 1, o += step) {
    const w = weights[k];
    r += w * data[o];
    g += w * data[o + 1];
    b += w * data[o + 2];
  }
  into[at] = r;
  into[at + 1] = g;
  into[at + 2] = b;
}

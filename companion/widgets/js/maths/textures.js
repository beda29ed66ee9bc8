// What is painted on a window, and where its reconstruction differs: the twin of error_maps in
// companion/anomaly/autoencoders.py.

/** @typedef {"bright" | "dark" | "plain"} Ink */

/** Grey level of an ink: white, black, or the window's mean. @param {Ink} ink @param {Float32Array} window */
export function greyOf(ink, window) {
  if (ink !== "plain") return ink === "bright" ? 1 : 0;
  return window.reduce((sum, v) => sum + v, 0) / window.length;
}

/**
 * The window under paint: `cover` says how much of each pixel the strokes hide.
 * @param {Float32Array} window @param {Float32Array} cover @param {number} grey @param {number} strength 0 to 1
 */
export function painted(window, cover, grey, strength) {
  return window.map((v, i) => v + strength * cover[i] * (grey - v));
}

/**
 * A Gaussian blur along both axes, as scipy.ndimage.gaussian_filter: cut off at four sigma, mirrored at edges.
 * @param {Float32Array | Float64Array} values height×width @param {number} height @param {number} width @param {number} sigma
 */
export function gaussianBlur(values, height, width, sigma) {
  if (!sigma) return Float64Array.from(values);
  const radius = Math.floor(4 * sigma + 0.5);
  const weights = Array.from({ length: 2 * radius + 1 }, (_, k) =>
    Math.exp(-((k - radius) ** 2) / (2 * sigma * sigma)),
  );
  const sum = weights.reduce((a, b) => a + b, 0);
  const mirror = (/** @type {number} */ i, /** @type {number} */ n) => {
    const at = ((i % (2 * n)) + 2 * n) % (2 * n);
    return at < n ? at : 2 * n - 1 - at;
  };
  /** @param {ArrayLike<number>} from @param {number} lines @param {number} length @param {number} line @param {number} step */
  const along = (from, lines, length, line, step) => {
    const out = new Float64Array(from.length);
    for (let i = 0; i < length; i += 1) {
      const places = weights.map((_, k) => mirror(i + k - radius, length) * step);
      for (let j = 0; j < lines; j += 1) {
        let total = 0;
        for (let k = 0; k < weights.length; k += 1) total += weights[k] * from[j * line + places[k]];
        out[j * line + i * step] = total / sum;
      }
    }
    return out;
  };
  return along(along(values, width, height, 1, width), height, width, width, 1);
}

/**
 * The blurred squared error of each pixel.
 * @param {Float32Array} image @param {Float32Array} rebuilt @param {number} height @param {number} width @param {number} sigma
 */
export function errorMap(image, rebuilt, height, width, sigma) {
  const squares = Float64Array.from(image, (v, i) => (v - rebuilt[i]) ** 2);
  return gaussianBlur(squares, height, width, sigma);
}

/** Where the largest value is. @param {ArrayLike<number>} values */
export function highest(values) {
  let best = 0;
  for (let i = 1; i < values.length; i += 1) if (values[i] > values[best]) best = i;
  return best;
}

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

// ---------------------------------------------------------------- many channels, many filters

/**
 * @typedef {object} Maps some maps of one size, channel by channel, row by row
 * @property {ArrayLike<number>} values
 * @property {[channels: number, height: number, width: number]} shape
 */
/**
 * @typedef {object} Layer a convolution with bias; ReLU and max-pooling follow it
 * @property {ArrayLike<number>} weight filter by filter, channel by channel, row by row
 * @property {ArrayLike<number>} bias one a filter
 * @property {[filters: number, channels: number, kernel: number]} shape
 * @property {number} padding
 * @property {number} stride
 * @property {number} pool side of the pooling's windows, and its stride
 */
/** @typedef {{ sums: Maps, activations: Maps, pooled: Maps }} Stage what a layer makes of its input */

/** How many maps of which size a layer makes. @param {Layer} layer @param {Maps["shape"]} input @returns {Maps["shape"]} */
export function shapeAfter({ shape: [filters, , kernel], padding, stride }, [, height, width]) {
  const steps = { padding, stride };
  return [filters, outputSize(height, kernel, steps), outputSize(width, kernel, steps)];
}

/** Each filter laid over all channels: sums plus bias. @param {Maps} input @param {Layer} layer @returns {Maps} */
function sumsOf(input, layer) {
  const { shape, padding, stride, weight, bias } = layer;
  const [channels, height, width] = input.shape;
  const k = shape[2];
  const [filters, rows, columns] = shapeAfter(layer, input.shape);
  const across = width + 2 * padding;
  const plane = across * (height + 2 * padding);
  const padded = new Float64Array(channels * plane);
  for (let c = 0; c < channels; c += 1)
    for (let r = 0; r < height; r += 1)
      for (let i = 0, to = c * plane + (r + padding) * across + padding; i < width; i += 1)
        padded[to + i] = input.values[(c * height + r) * width + i];
  const values = new Float64Array(filters * rows * columns);
  for (let f = 0, w = 0; f < filters; f += 1) {
    const first = f * rows * columns;
    values.fill(bias[f], first, first + rows * columns);
    for (let c = 0; c < channels; c += 1)
      for (let a = 0; a < k; a += 1)
        for (let b = 0; b < k; b += 1, w += 1)
          for (let r = 0, to = first; r < rows; r += 1)
            for (let i = 0, at = c * plane + (stride * r + a) * across + b; i < columns; i += 1, to += 1)
              values[to] += weight[w] * padded[at + stride * i];
  }
  return { values, shape: [filters, rows, columns] };
}

/** The largest of each window; what is left over at the end is dropped. @param {Maps} maps @param {number} size @returns {Maps} */
function pooledOf({ values, shape: [channels, height, width] }, size) {
  const [rows, columns] = [height, width].map((n) => Math.floor(n / size));
  const pooled = new Float64Array(channels * rows * columns).fill(-Infinity);
  for (let c = 0; c < channels; c += 1)
    for (let r = 0; r < rows * size; r += 1)
      for (let i = 0; i < columns * size; i += 1) {
        const to = (c * rows + Math.floor(r / size)) * columns + Math.floor(i / size);
        pooled[to] = Math.max(pooled[to], values[(c * height + r) * width + i]);
      }
  return { values: pooled, shape: [channels, rows, columns] };
}

/** All that a layer makes of its input. @param {Maps} input @param {Layer} layer @returns {Stage} */
export function stageOf(input, layer) {
  const sums = sumsOf(input, layer);
  const activations = { values: Float64Array.from(sums.values, (v) => Math.max(v, 0)), shape: sums.shape };
  return { sums, activations, pooled: pooledOf(activations, layer.pool) };
}

/**
 * One unit of a layer: the terms of each channel and their sum; all of them and the bias; where its pooling takes it.
 * @param {Maps} input @param {Layer} layer @param {Stage} stage
 * @param {number} filter @param {number} row @param {number} column
 */
export function unitOf(input, layer, { activations, pooled }, filter, row, column) {
  const [channels, height, width] = input.shape;
  const { padding, stride, pool, weight, bias } = layer;
  const k = layer.shape[2];
  const perChannel = Array.from({ length: channels }, (_, c) => {
    const x = matrixOf(height, width, (r, i) => input.values[(c * height + r) * width + i]);
    const kernel = matrixOf(k, k, (a, b) => weight[((filter * channels + c) * k + a) * k + b]);
    const parts = terms(x, kernel, row, column, { padding, stride });
    return { terms: parts, sum: sum(parts) };
  });
  const total = perChannel.reduce((all, { sum: part }) => all + part, 0) + bias[filter];
  const [, rows, columns] = pooled.shape;
  const [top, left] = [row, column].map((n) => Math.floor(n / pool));
  const isPooled = top < rows && left < columns;
  const at = (/** @type {number} */ r, /** @type {number} */ c) =>
    activations.values[(filter * activations.shape[1] + r) * activations.shape[2] + c];
  return {
    perChannel,
    bias: bias[filter],
    sum: total,
    relu: Math.max(total, 0),
    /** The pooling's window in which the unit lies; null if it is among what pooling drops. */
    block: isPooled
      ? {
          row: top,
          column: left,
          values: matrixOf(pool, pool, (a, b) => at(pool * top + a, pool * left + b)),
          largest: pooled.values[(filter * rows + top) * columns + left],
        }
      : null,
  };
}

/**
 * Some parts as they are written with a few decimals, so that what is written adds up to what is written of their
 * sum: where rounding alone does not give that, the parts that were rounded most go the other way.
 * @param {number[]} parts @param {number} digits @param {number} [total] as it is written
 */
export function addingUp(parts, digits, total = parts.reduce((a, b) => a + b, 0)) {
  const unit = 10 ** digits;
  const rounded = parts.map((part) => Math.round(part * unit));
  let short = Math.round(total * unit) - rounded.reduce((a, b) => a + b, 0);
  const way = Math.sign(short);
  const order = parts
    .map((part, k) => ({ k, lost: way * (part * unit - rounded[k]) }))
    .sort((a, b) => b.lost - a.lost);
  for (let i = 0; short !== 0 && order.length; i += 1, short -= way)
    rounded[order[i % order.length].k] += way;
  return rounded.map((part) => part / unit);
}

/**
 * What a unit sees of the image along one axis, from its layer back to the first: first pixel, one after the last.
 * @param {Layer[]} layers up to its own @param {number} place of the unit
 * @param {number[]} sides what each layer gets: the image's side, then those of pooled maps
 */
export function fieldOf(layers, place, sides) {
  let [first, last] = [place, place];
  for (let i = layers.length - 1; i >= 0; i -= 1) {
    const { stride, padding, shape, pool } = layers[i];
    if (i < layers.length - 1) [first, last] = [pool * first, pool * last + pool - 1];
    first = Math.max(0, stride * first - padding);
    last = Math.min(sides[i] - 1, stride * last - padding + shape[2] - 1);
  }
  return [first, last + 1];
}

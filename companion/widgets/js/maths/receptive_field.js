// Receptive fields along one axis: what companion/explain/receptive_field.py computes, without a kernel.

/** @typedef {[kernel: number, stride: number, padding: number, dilation: number]} Window */
/**
 * @typedef {object} Layer
 * @property {string} name
 * @property {string} kind
 * @property {Window[][]} paths from its input to its output
 * @property {number} size the units along a side of its map
 */
/**
 * @typedef {{ size: number, stride: number, padding: number }} Field unit i sees `size` pixels from
 *   i·stride − padding on
 */
/** @typedef {{ first: number, weights: Float64Array }} Level how much units from `first` on count */

/** @param {Window} window */
const extent = ([k, , , d]) => d * (k - 1) + 1;

/**
 * What the units of a window see, given what those that it reads see.
 * @param {Field} field @param {Window} window @returns {Field}
 */
export const after = (field, [k, s, p, d]) => ({
  size: field.size + d * (k - 1) * field.stride,
  stride: field.stride * s,
  padding: field.padding + p * field.stride,
});

/** First and last pixel that unit `unit` sees. @param {Field} field @param {number} unit */
export function span(field, unit) {
  const first = unit * field.stride - field.padding;
  return [first, first + field.size - 1];
}

/** The middle of what unit `unit` sees, in pixels. @param {Field} field @param {number} unit */
export const centre = (field, unit) => unit * field.stride - field.padding + (field.size - 1) / 2;

/** The fields of the input and of each layer. @param {Layer[]} layers */
export function fields(layers) {
  /** @type {Field} */
  let field = { size: 1, stride: 1, padding: 0 };
  const all = [field];
  for (const { paths } of layers) {
    const ends = paths.map((path) => path.reduce(after, field));
    const padding = Math.max(...ends.map((end) => end.padding));
    const last = Math.max(...ends.map((end) => end.size - 1 - end.padding));
    field = { size: last + padding + 1, stride: ends[0].stride, padding };
    all.push(field);
  }
  return all;
}

/**
 * The layers of a stack of windows on `side` pixels, up to one whose window does not fit.
 * @param {Window[]} stack @param {number} side
 */
export function stackLayers(stack, side) {
  /** @type {Layer[]} */
  const layers = [];
  for (const window of stack) {
    side = Math.floor((side + 2 * window[2] - extent(window)) / window[1]) + 1;
    if (side < 1) break;
    layers.push({ name: `layer ${layers.length + 1}`, kind: "", paths: [[window]], size: side });
  }
  return layers;
}

/**
 * Through the windows of a path, from its last layer to its first.
 * @param {Window[]} path @param {Float64Array} weights @param {number} first @returns {Level}
 */
function down(path, weights, first) {
  for (const window of [...path].reverse()) {
    const [k, s, p, d] = window;
    const spread = new Float64Array((weights.length - 1) * s + extent(window));
    for (let i = 0; i < weights.length; i += 1) {
      for (let tap = 0; tap < k; tap += 1) spread[i * s + tap * d] += weights[i] / k;
    }
    weights = spread;
    first = first * s - p;
  }
  return { weights, first };
}

/**
 * What the units of every layer below count for unit `unit` of the last layer, were all weights equal:
 * from the input to the last layer. The input's weights have the sum 1.
 * @param {Layer[]} layers @param {number} unit
 */
export function influence(layers, unit) {
  /** @type {Level[]} */
  const levels = [{ first: unit, weights: Float64Array.of(1) }];
  for (const { paths } of [...layers].reverse()) {
    const above = levels[0];
    const ends = paths.map((path) => down(path, above.weights, above.first));
    const first = Math.min(...ends.map((end) => end.first));
    const weights = new Float64Array(Math.max(...ends.map((end) => end.first + end.weights.length)) - first);
    for (const end of ends)
      end.weights.forEach((w, i) => {
        weights[end.first - first + i] += w / ends.length;
      });
    levels.unshift({ first, weights });
  }
  return levels;
}

/** Standard deviation of where weights with sum 1 lie. @param {Float64Array} weights */
export function spreadOf(weights) {
  let [mean, square] = [0, 0];
  weights.forEach((w, i) => {
    mean += w * i;
  });
  weights.forEach((w, i) => {
    square += w * (i - mean) ** 2;
  });
  return Math.sqrt(square);
}

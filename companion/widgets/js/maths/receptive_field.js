// Receptive fields along one axis: what companion/explain/receptive_field.py computes, without a kernel.
// A window is [kernel, stride, padding, dilation]; a layer is {name, kind, paths, size} with `paths` a list
// of lists of windows and `size` the units along a side of its map.

const extent = ([k, , , d]) => d * (k - 1) + 1;

const after = (field, [k, s, p, d]) => ({
  size: field.size + d * (k - 1) * field.stride,
  stride: field.stride * s,
  padding: field.padding + p * field.stride,
});

/** First and last pixel that unit `unit` sees. */
export function span(field, unit) {
  const first = unit * field.stride - field.padding;
  return [first, first + field.size - 1];
}

/** The middle of what unit `unit` sees, in pixels. */
export const centre = (field, unit) => unit * field.stride - field.padding + (field.size - 1) / 2;

/** The fields {size, stride, padding} of the input and of each layer. */
export function fields(layers) {
  const all = [{ size: 1, stride: 1, padding: 0 }];
  for (const { paths } of layers) {
    const ends = paths.map((path) => path.reduce(after, all.at(-1)));
    const padding = Math.max(...ends.map((end) => end.padding));
    const last = Math.max(...ends.map((end) => end.size - 1 - end.padding));
    all.push({ size: last + padding + 1, stride: ends[0].stride, padding });
  }
  return all;
}

/** The layers of a stack of windows on `side` pixels, up to one whose window does not fit. */
export function stackLayers(stack, side) {
  const layers = [];
  for (const window of stack) {
    side = Math.floor((side + 2 * window[2] - extent(window)) / window[1]) + 1;
    if (side < 1) break;
    layers.push({ name: `layer ${layers.length + 1}`, kind: "", paths: [[window]], size: side });
  }
  return layers;
}

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
 * [{first, weights}] from the input to the last layer. The input's weights have the sum 1.
 */
export function influence(layers, unit) {
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

/** Standard deviation of where weights with sum 1 lie. */
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

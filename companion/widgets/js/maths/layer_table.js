// The table of a network for images of any size: the rules of companion/explain/layer_table.py, for the page.

/** Positions that a window finds along an axis, before rounding. */
export const exactSide = (n, [kernel, stride, padding, dilation]) =>
  (n + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;

function windowSide(n, window, ceil) {
  const exact = exactSide(n, window);
  if (!ceil) return Math.floor(exact);
  const side = Math.ceil(exact);
  // No window may begin in the padding on the far side.
  return (side - 1) * window[1] >= n + window[2] ? side - 1 : side;
}

// A field is what the units of a layer see along one axis: unit i the `size` pixels from i·stride − padding on.
const after = (field, [kernel, stride, padding, dilation]) => ({
  size: field.size + dilation * (kernel - 1) * field.stride,
  stride: field.stride * stride,
  padding: field.padding + padding * field.stride,
});

function joined(a, b) {
  const start = Math.min(-a.padding, -b.padding);
  const end = Math.max(a.size - a.padding, b.size - b.padding);
  return { size: end - start, stride: a.stride, padding: -start };
}

const whole = (side) => [side, side, 0, 1];
const product = (numbers) => numbers.reduce((a, b) => a * b, 1);

/** What a layer without parts makes of what arrives, or {broken: why}. */
function step(node, state) {
  const { shape, fields, flattened } = state;
  const map = shape.length === 3;
  switch (node.rule) {
    case "window": {
      const sides = node.sides ?? node.window.map((window, axis) => windowSide(shape[axis + 1], window, node.ceil));
      if (Math.min(...sides) < 1) {
        return {
          broken: `its window of ${node.window[0][0]}×${node.window[1][0]} is larger than the map of ${shape[1]}×${shape[2]}`,
        };
      }
      return {
        shape: [node.channels, ...sides],
        fields: fields.map((f, axis) => after(f, node.window[axis])),
        flattened,
      };
    }
    case "global":
      return {
        shape: [node.channels, 1, 1],
        fields: fields.map((f, axis) => after(f, whole(shape[axis + 1]))),
        flattened,
      };
    case "flatten":
      return { shape: [product(shape)], fields, flattened: map ? shape.slice(1) : flattened };
    case "dense":
      if (product(shape) !== node.fanIn[0]) {
        return {
          broken: `it has weights for ${node.fanIn[0].toLocaleString("en")} numbers, but ${product(shape).toLocaleString("en")} arrive`,
        };
      }
      return {
        shape: [node.channels],
        fields: fields.map((f, axis) => after(f, whole(flattened[axis]))),
        flattened: [1, 1],
      };
    case "fixed":
      return { shape: node.shape, fields, flattened };
    default:
      return state;
  }
}

function row(node, state, prefix) {
  const path = prefix + node.name;
  const made = {
    node,
    path,
    name: node.name,
    kind: node.kind,
    parameters: node.parameters,
    multiplications: null,
    input: null,
    output: null,
  };
  if (state === null) {
    if (node.parts) made.parts = node.parts.map((part) => row(part, null, `${path}.`)[0]);
    return [made, null];
  }
  made.input = state.shape;
  made.inputFields = state.fields;
  let next;
  if (node.rule === "steps") {
    [made.parts, next] = chain(node.parts, state, `${path}.`);
  } else if (node.parts) {
    const ways = node.parts.map((part) => row(part, state, `${path}.`));
    made.parts = ways.map(([part]) => part);
    const ends = ways.map(([, end]) => end);
    if (ends.includes(null)) next = null;
    else if (node.rule === "gate")
      next = state; // gates average over the whole map, and are left out
    else {
      const fields = [0, 1].map((axis) => ends.map((end) => end.fields[axis]).reduce(joined));
      next = { shape: [node.channels, ...ends[0].shape.slice(1)], fields, flattened: state.flattened };
    }
  } else {
    next = step(node, state);
    if (next.broken) {
      made.broken = next.broken;
      next = null;
    }
  }
  if (made.parts) {
    made.broken ??= made.parts.find((part) => part.broken)?.broken;
    made.multiplications = made.parts.reduce((sum, part) => sum + (part.multiplications ?? 0), 0);
  } else {
    const products = node.products ?? (node.fanIn ? product(next?.shape ?? []) * product(node.fanIn) : 0);
    made.multiplications = next ? products : 0;
  }
  if (next === null) return [made, null];
  made.output = next.shape;
  made.fields = next.fields;
  return [made, next];
}

function chain(nodes, start, prefix) {
  let state = start;
  const rows = nodes.map((node) => {
    const [made, next] = row(node, state, prefix);
    state = next;
    return made;
  });
  return [rows, state];
}

/**
 * The rows of a network for images of height × width:
 * {name, path, kind, parameters, multiplications, input, output, fields, inputFields, parts, broken}.
 * Shapes are [C, H, W] or [features]; after a layer that cannot work they are null.
 */
export function networkTable(network, [height, width]) {
  const field = { size: 1, stride: 1, padding: 0 };
  const start = { shape: [network.channels, height, width], fields: [field, field], flattened: [1, 1] };
  return chain(network.layers, start, "")[0];
}

/** Parameters and multiplications of all rows, and the row that breaks, if one does. */
export const totals = (rows) => ({
  parameters: rows.reduce((sum, r) => sum + r.parameters, 0),
  multiplications: rows.reduce((sum, r) => sum + (r.multiplications ?? 0), 0),
  broken: rows.find((r) => r.broken),
});

/** The row with this path, and those it is inside of: [outermost, …, row]; [] if there is none. */
export function find(rows, path) {
  for (const candidate of rows) {
    if (candidate.path === path) return [candidate];
    if (path.startsWith(`${candidate.path}.`) && candidate.parts) {
      const inner = find(candidate.parts, path);
      if (inner.length) return [candidate, ...inner];
    }
  }
  return [];
}

/** [96, 55, 55] → "55×55×96", as the lecture writes it. */
export const shapeText = (shape) => (shape ? [...shape.slice(1), shape[0]].join("×") : "–");

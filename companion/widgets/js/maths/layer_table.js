// The table of a network for images of any size: the rules of companion/explain/layer_table.py, for the page.

import { after } from "./receptive_field.js";

/** @import { Field, Window } from "./receptive_field.js" */

/** @typedef {number[]} Shape [C, H, W] or [features] */
/**
 * @typedef {object} LayerNode a layer as Python describes it
 * @property {string} name
 * @property {string} kind
 * @property {string} rule how it changes the shape: "window", "global", "flatten", "dense", "fixed", "same",
 *   or, of one with parts, "steps", "paths" and "gate"
 * @property {number} channels of its output
 * @property {number} parameters
 * @property {boolean} [small] acts on single numbers
 * @property {LayerNode[]} [parts]
 * @property {Window[]} [window] one an axis
 * @property {boolean} [ceil]
 * @property {number[]} [fanIn] what each output multiplies
 * @property {boolean} [bias]
 * @property {number} [groups]
 * @property {Shape} [shape] of a "fixed" output
 * @property {number[]} [sides] of its map, where no rule gives them
 * @property {number} [products] multiplications for one image, where no rule gives them
 */
/**
 * @typedef {object} Row a layer for images of one size
 * @property {LayerNode} node
 * @property {string} path the names from outermost to this one, with dots
 * @property {string} name
 * @property {string} kind
 * @property {number} parameters
 * @property {number | null} multiplications null where nothing arrives
 * @property {Shape | null} input
 * @property {Shape | null} output null after a layer that cannot work
 * @property {Field[]} [fields] of its units, one an axis
 * @property {Field[]} [inputFields]
 * @property {Row[]} [parts]
 * @property {string} [broken] why it cannot work
 */
/**
 * @typedef {{ shape: Shape, fields: Field[], flattened: number[] }} Arriving what one layer hands to the
 *   next
 */

/** Positions that a window finds along an axis, before rounding. @param {number} n @param {Window} window */
export const exactSide = (n, [kernel, stride, padding, dilation]) =>
  (n + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;

/** @param {number} n @param {Window} window @param {boolean} ceil */
function windowSide(n, window, ceil) {
  const exact = exactSide(n, window);
  if (!ceil) return Math.floor(exact);
  const side = Math.ceil(exact);
  // No window may begin in the padding on the far side.
  return (side - 1) * window[1] >= n + window[2] ? side - 1 : side;
}

/** What sees all that either of two sees. @param {Field} a @param {Field} b @returns {Field} */
function joined(a, b) {
  const start = Math.min(-a.padding, -b.padding);
  const end = Math.max(a.size - a.padding, b.size - b.padding);
  return { size: end - start, stride: a.stride, padding: -start };
}

/** A window over a whole axis. @param {number} side @returns {Window} */
const whole = (side) => [side, side, 0, 1];
const product = (/** @type {number[]} */ numbers) => numbers.reduce((a, b) => a * b, 1);
const english = (/** @type {number} */ value) => value.toLocaleString("en");

/**
 * What a layer without parts makes of what arrives, or why it cannot work.
 * @param {LayerNode} node @param {Arriving} state
 * @returns {Arriving | string}
 */
function step(node, state) {
  const { shape, fields, flattened } = state;
  const { channels, window: windows = [], fanIn = [] } = node;
  switch (node.rule) {
    case "window": {
      const sides =
        node.sides ?? windows.map((window, axis) => windowSide(shape[axis + 1], window, Boolean(node.ceil)));
      if (Math.min(...sides) < 1) {
        const [[tall], [wide]] = windows;
        return `its window of ${tall}×${wide} is larger than the map of ${shape[1]}×${shape[2]}`;
      }
      return {
        shape: [channels, ...sides],
        fields: fields.map((f, axis) => after(f, windows[axis])),
        flattened,
      };
    }
    case "global":
      return {
        shape: [channels, 1, 1],
        fields: fields.map((f, axis) => after(f, whole(shape[axis + 1]))),
        flattened,
      };
    case "flatten":
      return { shape: [product(shape)], fields, flattened: shape.length === 3 ? shape.slice(1) : flattened };
    case "dense":
      if (product(shape) !== fanIn[0])
        return `it has weights for ${english(fanIn[0])} numbers, but ${english(product(shape))} arrive`;
      return {
        shape: [channels],
        fields: fields.map((f, axis) => after(f, whole(flattened[axis]))),
        flattened: [1, 1],
      };
    case "fixed":
      return { shape: node.shape ?? shape, fields, flattened };
    default:
      return state;
  }
}

/**
 * What parallel parts hand on together.
 * @param {LayerNode} node @param {Arriving} state @param {Arriving[]} ends
 * @returns {Arriving}
 */
function joinedState(node, state, ends) {
  if (node.rule === "gate") return state; // gates average over the whole map, and are left out
  const fields = [0, 1].map((axis) => ends.map((end) => end.fields[axis]).reduce(joined));
  return { shape: [node.channels, ...ends[0].shape.slice(1)], fields, flattened: state.flattened };
}

/**
 * The row of a layer, and what it hands on.
 * @param {LayerNode} node @param {Arriving | null} state @param {string} prefix of the path
 * @returns {[Row, Arriving | null]}
 */
function row(node, state, prefix) {
  const path = prefix + node.name;
  /** @type {Row} */
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
  /** @type {Arriving | null} */
  let next = null;
  if (node.rule === "steps" && node.parts) {
    [made.parts, next] = chain(node.parts, state, `${path}.`);
  } else if (node.parts) {
    const ways = node.parts.map((part) => row(part, state, `${path}.`));
    made.parts = ways.map(([part]) => part);
    const ends = ways.map(([, end]) => end).filter((end) => end !== null);
    if (ends.length === ways.length) next = joinedState(node, state, ends);
  } else {
    const result = step(node, state);
    if (typeof result === "string") made.broken = result;
    else next = result;
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

/**
 * The rows of layers one after the other.
 * @param {LayerNode[]} nodes @param {Arriving | null} start @param {string} prefix
 * @returns {[Row[], Arriving | null]}
 */
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
 * The rows of a network for images of height × width.
 * @param {{ channels: number, layers: LayerNode[] }} network
 * @param {number[]} size [height, width]
 */
export function networkTable(network, [height, width]) {
  const field = { size: 1, stride: 1, padding: 0 };
  const start = { shape: [network.channels, height, width], fields: [field, field], flattened: [1, 1] };
  return chain(network.layers, start, "")[0];
}

/** Parameters and multiplications of all rows, and the row that breaks, if one does. @param {Row[]} rows */
export const totals = (rows) => ({
  parameters: rows.reduce((sum, r) => sum + r.parameters, 0),
  multiplications: rows.reduce((sum, r) => sum + (r.multiplications ?? 0), 0),
  broken: rows.find((r) => r.broken),
});

/**
 * The row with this path, and those it is inside of: [outermost, …, row]; [] if there is none.
 * @param {Row[]} rows @param {string} path
 * @returns {Row[]}
 */
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

/** [96, 55, 55] → "55×55×96", as the lecture writes it. @param {Shape | null} [shape] */
export const shapeText = (shape) => (shape ? [...shape.slice(1), shape[0]].join("×") : "–");

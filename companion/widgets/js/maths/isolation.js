// Isolation Forest on points in the plane: trees of random cuts, as scikit-learn grows them, or scikit-learn's own.
// Source: Liu, Ting & Zhou (2008), "Isolation forest".

import { branch, uniform } from "./noise.js";

/** @typedef {import("./anomaly.js").Grid} Grid */
/**
 * @typedef {object} Tree nodes in parallel arrays, the root first
 * @property {number[]} axis 0 or 1 that is cut; −1: a leaf
 * @property {number[]} cut rows with a value of at most this go left
 * @property {number[]} left
 * @property {number[]} right
 * @property {number[]} size rows in it
 */
/** @typedef {{ trees: Tree[], samples: number }} Forest `samples`: rows that a tree saw */
/** @typedef {{ samples: number, kinds: string, cuts: string, sizes: string }} Exported see `imported` */

export const TREES = 100;
const MOST_SAMPLES = 256;
const EULER = 0.5772156649015329;

/** c(n): the mean path length of a search that ends nowhere in a random tree of n. @param {number} n */
export function averagePath(n) {
  if (n <= 1) return 0;
  return n === 2 ? 1 : 2 * (Math.log(n - 1) + EULER) - (2 * (n - 1)) / n;
}

/** A scattered 32-bit integer as a number between 0 and 1. @param {number} key */
const share = (key) => ((key >>> 0) + 0.5) / 2 ** 32;

/**
 * A tree on some of the rows. What is drawn at a node depends on the seed and its place in the tree alone, so that a
 * row that moves changes few cuts.
 * @param {ArrayLike<number>} rows @param {ArrayLike<number>} chosen @param {number} seed @param {number} depth its limit
 * @returns {Tree}
 */
export function growTree(rows, chosen, seed, depth) {
  /** @type {Tree} */
  const tree = { axis: [], cut: [], left: [], right: [], size: [] };
  const order = Int32Array.from(chosen);
  /** @param {number} from @param {number} to @param {number} level @param {number} place @returns {number} */
  const grow = (from, to, level, place) => {
    const node = tree.axis.length;
    tree.axis.push(-1);
    tree.cut.push(0);
    tree.left.push(-1);
    tree.right.push(-1);
    tree.size.push(to - from);
    if (to - from < 2 || level >= depth) return node;
    let [x0, x1, y0, y1] = [Infinity, -Infinity, Infinity, -Infinity];
    for (let e = from; e < to; e += 1) {
      const x = rows[2 * order[e]];
      const y = rows[2 * order[e] + 1];
      if (x < x0) x0 = x;
      if (x > x1) x1 = x;
      if (y < y0) y0 = y;
      if (y > y1) y1 = y;
    }
    if (x0 === x1 && y0 === y1) return node;
    const key = branch(seed, place);
    const axis = x0 === x1 || (y0 < y1 && share(key) >= 0.5) ? 1 : 0; // one that does not vary is not cut
    const [low, high] = axis ? [y0, y1] : [x0, x1];
    let cut = low + share(branch(key, 1)) * (high - low);
    if (cut >= high) cut = low;
    let middle = from;
    for (let e = from; e < to; e += 1) {
      const row = order[e];
      if (rows[2 * row + axis] > cut) continue;
      order[e] = order[middle];
      order[middle] = row;
      middle += 1;
    }
    tree.axis[node] = axis;
    tree.cut[node] = cut;
    tree.left[node] = grow(from, middle, level + 1, 2 * place);
    tree.right[node] = grow(middle, to, level + 1, 2 * place + 1);
    return node;
  };
  grow(0, order.length, 0, 1);
  return tree;
}

/** Some of 0 … n − 1, each at most once (Fisher & Yates' shuffle, broken off). @param {number} seed @param {number} n @param {number} count */
function sample(seed, n, count) {
  const order = Int32Array.from({ length: n }, (_, i) => i);
  if (count === n) return order;
  const draws = uniform(seed, count);
  for (let i = 0; i < count; i += 1) {
    const other = i + Math.floor(draws[i] * (n - i));
    const kept = order[i];
    order[i] = order[other];
    order[other] = kept;
  }
  return order.subarray(0, count);
}

/**
 * A forest as IsolationForest(max_samples="auto") grows it, with random numbers of its own. A generator that yields
 * after each tree.
 * @param {Float64Array} rows @param {number} seed @returns {Generator<undefined, Forest>}
 */
export function* growForest(rows, seed, count = TREES) {
  const n = rows.length / 2;
  const single = Float32Array.from(rows);
  const samples = Math.min(MOST_SAMPLES, n);
  const depth = Math.ceil(Math.log2(Math.max(samples, 2)));
  const trees = [];
  for (let t = 0; t < count; t += 1) {
    const key = branch(seed, t);
    trees.push(growTree(single, sample(key, n, samples), key, depth));
    yield;
  }
  return { trees, samples };
}

/** The bytes of a text in base64. @param {string} text */
const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

/**
 * Trees that Python sends: of all nodes, each before those under it, what they are (0 leaf, 1 and 2 cuts of an axis),
 * the cuts as float32 (rounded down, which decides alike for rows in float32), the leaves' sizes less 1.
 * @param {Exported} exported @returns {Forest}
 */
export function imported({ samples, kinds, cuts, sizes }) {
  const [kind, cut, size] = [bytesOf(kinds), new Float32Array(bytesOf(cuts).buffer), bytesOf(sizes)];
  let [at, inner, leaf] = [0, 0, 0];
  const trees = [];
  while (at < kind.length) {
    /** @type {Tree} */
    const tree = { axis: [], cut: [], left: [], right: [], size: [] };
    const read = () => {
      const node = tree.axis.length;
      const axis = kind[at] - 1;
      at += 1;
      tree.axis.push(axis);
      tree.cut.push(axis < 0 ? 0 : cut[inner]);
      tree.size.push(axis < 0 ? size[leaf] + 1 : 0);
      tree.left.push(-1);
      tree.right.push(-1);
      if (axis < 0) leaf += 1;
      else {
        inner += 1;
        tree.left[node] = read();
        tree.right[node] = read();
      }
      return node;
    };
    read();
    trees.push(tree);
  }
  return { trees, samples };
}

/** h(x): cuts until the place is alone, or as many more as its leaf would take on average. @param {Tree} tree @param {number} x @param {number} y */
export function pathLength({ axis, cut, left, right, size }, x, y) {
  let [node, depth] = [0, 0];
  while (axis[node] >= 0) {
    node = (axis[node] ? y : x) <= cut[node] ? left[node] : right[node];
    depth += 1;
  }
  return depth + averagePath(size[node]);
}

/** 2^(−E[h]/c(ψ)): near 1 for whoever is soon alone. @param {number} mean E[h] @param {number} samples ψ */
export const isolationScore = (mean, samples) => 2 ** (-mean / (averagePath(samples) || 1));

/** Scores of rows. A generator that yields after some trees. @param {Forest} forest @param {Float64Array} rows */
export function* forestScores({ trees, samples }, rows) {
  const single = Float32Array.from(rows);
  const sums = new Float64Array(rows.length / 2);
  for (const [t, tree] of trees.entries()) {
    for (let i = 0; i < sums.length; i += 1) sums[i] += pathLength(tree, single[2 * i], single[2 * i + 1]);
    if (t % 20 === 19) yield;
  }
  return sums.map((sum) => isolationScore(sum / trees.length, samples));
}

/** The first of ascending values that is above a cut, from `from` on. @param {Float32Array} values @param {number} cut @param {number} from @param {number} to */
function firstAbove(values, cut, from, to) {
  while (from < to) {
    const middle = (from + to) >> 1;
    if (values[middle] <= cut) from = middle + 1;
    else to = middle;
  }
  return from;
}

/**
 * Scores of all places of a grid; a cell of a tree is a rectangle of it. A generator that yields after some trees.
 * @param {Forest} forest @param {Grid} grid with ascending xs and ys
 */
export function* forestField({ trees, samples }, grid) {
  const [xs, ys] = [Float32Array.from(grid.xs), Float32Array.from(grid.ys)];
  const width = xs.length;
  const sums = new Float64Array(width * ys.length);
  for (const [t, { axis, cut, left, right, size }] of trees.entries()) {
    /** @param {number} node @param {number} depth @param {number} c0 @param {number} c1 @param {number} r0 @param {number} r1 */
    const fill = (node, depth, c0, c1, r0, r1) => {
      if (c0 === c1 || r0 === r1) return;
      if (axis[node] < 0) {
        const h = depth + averagePath(size[node]);
        for (let r = r0; r < r1; r += 1) for (let c = c0; c < c1; c += 1) sums[r * width + c] += h;
      } else if (axis[node]) {
        const middle = firstAbove(ys, cut[node], r0, r1);
        fill(left[node], depth + 1, c0, c1, r0, middle);
        fill(right[node], depth + 1, c0, c1, middle, r1);
      } else {
        const middle = firstAbove(xs, cut[node], c0, c1);
        fill(left[node], depth + 1, c0, middle, r0, r1);
        fill(right[node], depth + 1, middle, c1, r0, r1);
      }
    };
    fill(0, 0, 0, width, 0, ys.length);
    if (t % 5 === 4) yield;
  }
  return sums.map((sum) => isolationScore(sum / trees.length, samples));
}

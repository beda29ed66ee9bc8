// What trains, beside the engine: weights, data and noise of each training stay here, and the page asks for
// steps, a burst at a time, and for what it draws.

import { batches, stepNoise } from "../maths/noise.js";

/** @import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-web" */
/** @import { Numbers, Tensor, Tensors } from "./engine.js" */

/** @typedef {{ type: string, shape: number[], draw?: string }} Port an input: its number format, and what is drawn for it */
/** @typedef {{ model: string, inputs: Record<string, Port>, outputs: Record<string, number[]> }} Graph */

/**
 * @typedef {object} Setup
 * @property {Graph[]} steps that take and give the same state; they differ in the size of the batch
 * @property {Record<string, Graph>} functions of the weights and their own inputs
 * @property {string[]} state what a step takes and, as "new_…", gives: "weights" first
 * @property {string[]} losses
 * @property {Float32Array} weights to start from
 * @property {Tensors} data the training set: images, and labels if it has them, a row an image
 * @property {Record<string, Tensors>} given what a function always takes
 */

/**
 * @typedef {object} Burst
 * @property {number} step which of the steps
 * @property {number} seed of batches and noise
 * @property {Record<string, number>} numbers of this burst: learning rate, β …
 * @property {number} budget milliseconds; at least one step is taken
 * @property {number} most steps
 */

/** @typedef {{ weights?: Float32Array, data?: Tensors }} Start other weights to start from; other data, as many rows */
/** @typedef {{ steps: number, losses: Float32Array, time: number }} Taken all steps so far, each new step's losses, milliseconds */
/** @typedef {{ functions: Record<string, Record<string, number | Tensor>>, weights: [offset: number, size: number][] }} Look */
/** @typedef {{ functions: Record<string, Tensors>, weights: Float32Array[], steps: number }} Seen */

const STILL = 2 ** 32 - 1; // the step whose noise a function gets, always the same: its curve then moves for one reason

/** The rows of a tensor, gathered. @param {Tensor} tensor @param {Uint32Array} rows @returns {Numbers} */
function gather({ data, dims }, rows) {
  const size = data.length / dims[0];
  const out = /** @type {Numbers} */ (new /** @type {any} */ (data.constructor)(rows.length * size));
  for (let k = 0; k < rows.length; k += 1)
    out.set(/** @type {any} */ (data.subarray(rows[k] * size, (rows[k] + 1) * size)), k * size);
  return out;
}

/** @param {number[]} shape */
const sizeOf = (shape) => shape.reduce((a, b) => a * b, 1);

/**
 * Trainings by name.
 * @param {typeof import("onnxruntime-web")} ort
 * @param {(model: string) => InferenceSession} session an open one
 * @param {<T>(job: () => Promise<T>) => Promise<T>} inTurn
 */
export function createTrainings(ort, session, inTurn) {
  /** @type {Map<string, ReturnType<typeof training>>} */
  const all = new Map();
  /** @param {string} type @param {Numbers} data @param {readonly number[]} dims */
  const tensor = (type, data, dims) =>
    new ort.Tensor(/** @type {any} */ (type), /** @type {any} */ (data), dims);

  /** @param {Setup} setup */
  function training({ steps, functions, state, losses, weights, data, given }) {
    const count = Object.values(data)[0]?.dims[0] ?? 1;
    /** @type {Record<string, OrtTensor>} */
    const now = {};
    let done = 0;
    let order = batches(0, count);
    let ordered = 0; // the seed that `order` is for

    let [start, rows] = [weights, data];
    /** @param {Start} [from] */
    const restart = (from = {}) => {
      [start, rows] = [from.weights ?? start, from.data ?? rows];
      done = 0;
      for (const name of state) {
        const { shape } = steps[0].inputs[name] ?? { shape: [] };
        const values = name === "weights" ? start.slice() : new Float32Array(sizeOf(shape));
        now[name] = tensor("float32", values, shape);
      }
    };
    restart();

    /**
     * What a graph takes: what is handed over, and noise.
     * @param {Graph} graph @param {Record<string, OrtTensor | Tensor | number>} values @param {number} seed @param {number} step
     */
    const feeds = ({ inputs }, values, seed, step) => {
      /** @type {Record<string, OrtTensor>} */
      const all = {};
      let place = 0;
      for (const [name, { type, shape, draw }] of Object.entries(inputs)) {
        const value = values[name];
        if (draw) {
          all[name] = tensor(type, stepNoise(seed, step, place, draw, sizeOf(shape)), shape);
          place += 1;
        } else if (typeof value === "number") all[name] = tensor(type, Float32Array.of(value), shape);
        else if (!value) throw new Error(`the training has no ${name}`);
        else if (value instanceof ort.Tensor) all[name] = value;
        else all[name] = tensor(type, /** @type {Tensor} */ (value).data, shape);
      }
      return all;
    };

    /** @param {Burst} burst @returns {Promise<Taken>} */
    const burst = async ({ step, seed, numbers, budget, most }) => {
      const graph = steps[step];
      const batch = graph.inputs.images?.shape[0] ?? graph.inputs.labels?.shape[0] ?? count;
      if (ordered !== seed) [order, ordered] = [batches(seed, count), seed];
      /** @type {number[]} */
      const all = [];
      const start = performance.now();
      let good = true;
      for (let k = 0; k < most && good; k += 1) {
        const batchRows = order(done, batch);
        /** @type {Record<string, OrtTensor | Tensor | number>} */
        const values = { ...numbers, ...now };
        for (const name in rows) {
          if (graph.inputs[name]) values[name] = { data: gather(rows[name], batchRows), dims: [] };
        }
        const found = await session(graph.model).run(feeds(graph, values, seed, done));
        for (const name of state) now[name] = found[`new_${name}`];
        for (const name of losses) all.push(Number(found[name].data[0]));
        done += 1;
        good = all.slice(-losses.length).every(Number.isFinite);
        if (performance.now() - start > budget) break;
      }
      return { steps: done, losses: Float32Array.from(all), time: performance.now() - start };
    };

    /** @param {Look} wanted @param {number} seed @returns {Promise<Seen>} */
    const look = async (wanted, seed) => {
      /** @type {Record<string, Tensors>} */
      const seen = {};
      for (const [name, own] of Object.entries(wanted.functions)) {
        const graph = functions[name];
        const values = { ...given[name], ...own, weights: now.weights };
        const found = Object.entries(await session(graph.model).run(feeds(graph, values, seed, STILL)));
        seen[name] = Object.fromEntries(
          found.map(([key, { data, dims }]) => [key, { data: /** @type {Numbers} */ (data), dims }]),
        );
      }
      const vector = /** @type {Float32Array} */ (now.weights.data);
      const parts = wanted.weights.map(([offset, size]) => vector.slice(offset, offset + size));
      return { functions: seen, weights: parts, steps: done };
    };
    return { restart, burst, look };
  }

  const named = (/** @type {string} */ name) => {
    const found = all.get(name);
    if (!found) throw new Error("the training is not open");
    return found;
  };
  return {
    /** @param {string} name @param {Setup} setup */
    begin: (name, setup) =>
      inTurn(async () => {
        all.set(name, training(setup));
      }),
    /** Take steps. @param {string} name @param {Burst} burst */
    burst: (name, burst) => inTurn(() => named(name).burst(burst)),
    /** What functions say of the present weights, and pieces of them. @param {string} name @param {Look} wanted @param {number} seed */
    look: (name, wanted, seed) => inTurn(() => named(name).look(wanted, seed)),
    /** Back to the start. @param {string} name @param {Start} [from] */
    restart: (name, from) => inTurn(async () => named(name).restart(from)),
    /** @param {string} name */
    end: (name) =>
      inTurn(async () => {
        all.delete(name);
      }),
  };
}

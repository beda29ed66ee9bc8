// Trains an exported step in the page: plays, pauses, takes one step, goes back to the start. Weights, data and
// noise stay with the engine (training.js); what asks for steps stands here.

import { watchView } from "../ui/lifetime.js";
import { fileBytes, page } from "./assets.js";
import { gunzip } from "./engine.js";
import { openModel, queued, theEngine } from "./session.js";

/** @import { Numbers, Tensor, Tensors } from "./engine.js" */
/** @import { Burst, Graph, Look, Seen, Setup, Start, Taken } from "./training.js" */
/** @import { Model } from "./assets.js" */

/** @typedef {{ file: string, tensors: Record<string, { type: string, shape: number[] }> }} TensorFile */

/**
 * What Python exported (companion.widgets.live_training).
 * @typedef {object} Spec
 * @property {Graph[]} steps
 * @property {Record<string, Graph>} functions
 * @property {string[]} state
 * @property {string[]} losses
 * @property {string} weights the file's SHA-256
 * @property {TensorFile} data the training set
 * @property {TensorFile | null} test what functions are given
 * @property {Record<string, Record<string, [tensor: string, rows: number]>>} given which rows of which tensor of
 *   `test`, or of `data` if it has none of that name, by function and input
 */

/** @typedef {"idle" | "loading" | "playing" | "paused" | "diverged" | "failed"} State */
/** @typedef {Pick<Burst, "step" | "seed" | "numbers">} Settings */

const BURST = 25; // milliseconds of work between two looks at what the reader wants
const BURST_IN_PAGE = 6; // where the page itself works, and can draw no frame meanwhile

const KINDS = { uint8: Uint8Array, int32: Int32Array, float32: Float32Array };

/** The tensors of a file: gzipped, one after the other. @param {TensorFile} spec @param {Model} model */
async function readTensors({ file, tensors }, model) {
  const { buffer } = await gunzip(await fileBytes(file, model));
  let from = 0;
  /** @type {Tensors} */
  const all = {};
  for (const [name, { type, shape }] of Object.entries(tensors)) {
    const Kind = KINDS[/** @type {keyof typeof KINDS} */ (type)];
    const size = shape.reduce((a, b) => a * b, 1) * Kind.BYTES_PER_ELEMENT;
    all[name] = { data: new Kind(buffer.slice(from, from + size)), dims: shape };
    from += size;
  }
  return all;
}

/** The first rows of a tensor. @param {Tensor} tensor @param {number} rows @returns {Tensor} */
function head({ data, dims }, rows) {
  const size = data.length / dims[0];
  return { data: /** @type {Numbers} */ (data.slice(0, rows * size)), dims: [rows, ...dims.slice(1)] };
}

/**
 * Load a training, and give it to the engine.
 * @param {Spec} spec @param {Model} model @param {(weights: Float32Array) => Start} [start]
 */
async function openTraining(spec, model, start) {
  page.trainings += 1;
  const name = `training ${page.trainings}`;
  const graphs = [...new Set([...spec.steps, ...Object.values(spec.functions)].map((graph) => graph.model))];
  const loading = Promise.all([
    fileBytes(spec.weights, model),
    readTensors(spec.data, model),
    spec.test && readTensors(spec.test, model),
  ]);
  loading.catch(() => {}); // reported below
  const sessions = await Promise.all(graphs.map((graph) => openModel(graph, model)));
  const engine = await theEngine(model);
  const [weights, data, test] = await loading;
  /** @type {Setup} */
  const setup = {
    ...{ steps: spec.steps, functions: spec.functions, state: spec.state, losses: spec.losses, data },
    weights: new Float32Array(weights.buffer),
    given: Object.fromEntries(
      Object.entries(spec.given).map(([key, inputs]) => [
        key,
        Object.fromEntries(
          Object.entries(inputs).map(([input, [tensor, rows]]) => [
            input,
            head(test?.[tensor] ?? data[tensor], rows),
          ]),
        ),
      ]),
    ),
  };
  await engine.begin(name, setup);
  const restart = () => queued(engine, "urgent", () => engine.restart(name, start?.(setup.weights)));
  if (start) await restart();
  return {
    data: { ...data, ...test },
    budget: engine.inWorker ? BURST : BURST_IN_PAGE,
    /** @param {Burst} burst @returns {Promise<Taken>} */
    burst: (burst) => queued(engine, "idle", () => engine.burst(name, burst)),
    /** @param {Look} wanted @param {number} seed @returns {Promise<Seen>} */
    look: (wanted, seed) => queued(engine, "urgent", () => engine.look(name, wanted, seed)),
    restart,
    release() {
      engine.end(name).catch(() => {}); // then there is nothing left to end
      for (const session of sessions) session.release();
    },
  };
}

/**
 * @typedef {object} TrainerOptions
 * @property {Spec} spec
 * @property {Model} model the widget's
 * @property {Element} el out of view nothing is computed
 * @property {boolean} [resumes] whether it goes on by itself when it comes back into view (true)
 * @property {() => Settings} settings of the next burst
 * @property {(weights: Float32Array) => Start} [start] what it starts from, now and after each reset, given the
 *   weights that were exported
 * @property {() => Promise<void>} [onOpen] all is loaded, and no step is taken yet
 * @property {(taken: Taken) => void} onSteps after each burst
 * @property {(state: State, why?: Error) => void} onState
 */

/**
 * A training that plays. Nothing is loaded before the first step, and nothing computed that was not asked for.
 * @param {TrainerOptions} options
 */
export function trainer({ spec, model, el, resumes = true, settings, start, onOpen, onSteps, onState }) {
  /** @type {ReturnType<typeof openTraining> | null} */
  let opening = null;
  /** @type {State} */
  let state = "idle";
  let wanted = 0; // steps
  let round = 0; // of what is asked for: what came before a reset counts no more
  let [busy, inView, stopped] = [false, false, false];

  /** @param {State} next @param {Error} [why] */
  const enter = (next, why) => {
    if (stopped || (next === state && !why)) return;
    state = next;
    onState(state, why);
  };
  const open = () => {
    if (!opening) {
      opening = openTraining(spec, model, start);
      opening.catch(() => {
        opening = null;
      });
    }
    return opening;
  };

  const work = async () => {
    if (busy) return;
    busy = true;
    const mine = round;
    try {
      const isNew = !opening;
      if (isNew) enter("loading");
      const training = await open();
      if (isNew) await onOpen?.();
      while (wanted > 0 && inView && mine === round && !stopped) {
        enter("playing");
        const burst = { ...settings(), budget: training.budget, most: Math.min(wanted, 2 ** 31) };
        const taken = await training.burst(burst);
        if (mine !== round || stopped) break;
        const rows = taken.losses.length / spec.losses.length;
        wanted = Math.max(0, wanted - rows);
        const good = taken.losses.slice(-spec.losses.length).every(Number.isFinite);
        if (!good) wanted = 0;
        onSteps(taken);
        if (!good) enter("diverged");
      }
      if (mine === round && state !== "diverged" && (wanted === 0 || !inView)) enter("paused");
    } catch (error) {
      wanted = 0;
      enter("failed", /** @type {Error} */ (error));
    }
    busy = false;
    if (mine !== round && wanted > 0) work();
  };

  const unwatch = watchView(el, (now) => {
    inView = now;
    if (now && !resumes && state !== "idle") wanted = 0;
    if (now && wanted > 0) work();
  });
  return {
    get state() {
      return state;
    },
    /** Train until `pause`, or take `most` steps. */
    play(most = Infinity) {
      if (state === "diverged") return;
      wanted = most;
      work();
    },
    pause() {
      wanted = 0;
      if (state === "playing" || state === "loading") enter("paused");
    },
    /** The first weights again, and no steps. */
    async reset() {
      wanted = 0;
      round += 1;
      if (!opening) return;
      const training = await opening;
      await training.restart();
      enter("paused");
    },
    /** What functions say of the present weights; null before there is anything. @param {Look} look */
    async look(look) {
      const mine = round;
      const training = stopped ? null : await opening;
      const seen = await training?.look(look, settings().seed);
      return seen && mine === round && !stopped ? { ...seen, data: training?.data ?? {} } : null;
    },
    stop() {
      stopped = true;
      unwatch();
      opening?.then((training) => training.release());
    },
  };
}

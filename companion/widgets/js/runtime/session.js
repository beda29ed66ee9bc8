// Runs exported models for the widgets of a page: one engine, in a worker where the page may have one, one
// session a model, one computation at a time, what the reader waits for first.

import { engineFile, fileBytes, firstOf, page } from "./assets.js";
import { buffersOf, gunzip } from "./engine.js";

/** @import { Engine, Reply, Slots, Tensors } from "./engine.js" */
/** @import { Model, Progress } from "./assets.js" */

/** @typedef {() => Promise<void>} Job never fails */
/** @typedef {{ urgent: Job[], idle: Job[], busy: boolean }} Queue */
/** @typedef {(name: string, inputs: Tensors, transfer?: boolean) => Promise<Tensors>} Run */
/** @typedef {Omit<Engine, "run"> & { run: Run, inWorker: boolean }} PageEngine */
/** @typedef {{ opening: Promise<Slots>, users: number, progress: [number, number] | null, listeners: Set<Progress> }} Shared */

/**
 * The engine in a worker; null where the page's policy allows none.
 * @param {string} code
 * @returns {Promise<PageEngine | null>}
 */
async function inWorker(code) {
  const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
  try {
    const worker = new Worker(url);
    const runs = await new Promise((resolve) => {
      worker.onmessage = () => resolve(true);
      worker.onerror = () => resolve(false);
    });
    return runs ? remote(worker) : null;
  } catch {
    return null;
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** An engine whose calls are messages. @param {Worker} worker @returns {PageEngine} */
function remote(worker) {
  /** @type {Map<number, { resolve: (value: any) => void, reject: (error: Error) => void }>} */
  const waiting = new Map();
  let last = 0;
  worker.onmessage = (/** @type {MessageEvent<Reply>} */ { data: { id, value, error } }) => {
    const { resolve, reject } = waiting.get(id) ?? {};
    waiting.delete(id);
    if (error === undefined) resolve?.(value);
    else reject?.(new Error(error));
  };
  worker.onerror = ({ message }) => {
    for (const { reject } of waiting.values()) reject(new Error(`the engine stopped: ${message}`));
    waiting.clear();
    forget();
  };
  /** @param {keyof Engine} call @param {any[]} values @param {Transferable[]} [transfer] @returns {Promise<any>} */
  const ask = (call, values, transfer = []) =>
    new Promise((resolve, reject) => {
      last += 1;
      waiting.set(last, { resolve, reject });
      worker.postMessage({ id: last, call, values }, transfer);
    });
  return {
    inWorker: true,
    start: (wasm) => ask("start", [wasm], [wasm.buffer]),
    open: (name, bytes) => ask("open", [name, bytes], [/** @type {ArrayBuffer} */ (bytes.buffer)]),
    run: (name, inputs, transfer = false) => ask("run", [name, inputs], transfer ? buffersOf(inputs) : []),
    release: (name) => ask("release", [name]),
    begin: (name, setup) => ask("begin", [name, setup]),
    burst: (name, burst) => ask("burst", [name, burst]),
    look: (name, wanted, seed) => ask("look", [name, wanted, seed]),
    restart: (name, from) => ask("restart", [name, from]),
    end: (name) => ask("end", [name]),
  };
}

/** What the page knew of an engine that is no more. */
function forget() {
  page.engine = null;
  page.sessions.clear();
}

/** The engine in the page's own thread, which it blocks while it computes. @param {string} code */
async function inPage(code) {
  const engine = () => {
    const { companionEngine } = /** @type {any} */ (globalThis);
    if (!companionEngine) throw new Error("the inference engine did not start");
    return /** @type {PageEngine} */ ({ ...companionEngine, inWorker: false });
  };
  const inline = async () => {
    const script = document.createElement("script");
    script.textContent = code;
    document.head.append(script);
    script.remove();
    return engine();
  };
  const imported = async () => {
    const url = URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
    try {
      await import(url); // as anywidget itself loads a widget, so it works wherever that does
    } finally {
      URL.revokeObjectURL(url);
    }
    return engine();
  };
  return firstOf([inline, imported]);
}

/** @param {Model} model */
async function startEngine(model) {
  const loading = engineFile("engine-wasm", model);
  loading.catch(() => {}); // reported below
  const code = new TextDecoder().decode(await gunzip(await engineFile("engine", model)));
  const engine = (await inWorker(code)) ?? (await inPage(code));
  await engine.start(await loading);
  return engine;
}

/** The page's engine. @param {Model} model */
export function theEngine(model) {
  if (!page.engine) {
    page.engine = startEngine(model);
    page.engine.catch(forget);
  }
  return page.engine;
}

/** @param {string} sha256 @param {Model} model @param {Progress} onProgress */
async function openSession(sha256, model, onProgress) {
  const loading = fileBytes(sha256, model, onProgress);
  loading.catch(() => {}); // reported below, once the engine is there
  const engine = await theEngine(model);
  return engine.open(sha256, await loading);
}

/** The session of a model that this page has, or is about to have. @param {string} sha256 @param {Model} model */
function sharedSession(sha256, model) {
  const known = page.sessions.get(sha256);
  if (known) return known;
  /** @type {Shared} */
  const shared = { users: 0, progress: null, listeners: new Set(), opening: /** @type {any} */ (null) };
  shared.opening = openSession(sha256, model, (...bytes) => {
    shared.progress = bytes;
    for (const listener of shared.listeners) listener(...bytes);
  });
  shared.opening.catch(() => page.sessions.delete(sha256));
  page.sessions.set(sha256, shared);
  return shared;
}

/** Resolves when the page has nothing better to do (Safari has no requestIdleCallback). */
const idle = () =>
  new Promise((resolve) => {
    if ("requestIdleCallback" in globalThis) requestIdleCallback(resolve, { timeout: 400 });
    else setTimeout(resolve, 30);
  });

/**
 * Do a job in its turn: one that is "urgent" before all that are "idle".
 * @template T
 * @param {PageEngine} engine @param {"urgent" | "idle"} line @param {() => Promise<T>} job
 * @returns {Promise<T>}
 */
export function queued(engine, line, job) {
  return new Promise((resolve, reject) => {
    page.queue[line].push(() => job().then(resolve, reject));
    work(engine);
  });
}

/** Do what is in the queue, unless that goes on already. @param {PageEngine} engine */
async function work({ inWorker }) {
  const { queue } = page;
  if (queue.busy) return;
  queue.busy = true;
  while (queue.urgent.length || queue.idle.length) {
    if (!inWorker && !queue.urgent.length) await idle();
    await (queue.urgent.shift() ?? queue.idle.shift())?.();
  }
  queue.busy = false;
}

/**
 * Open the model whose file has this SHA-256. Whoever opens a model that the page has gets the same session.
 *
 * - `inputs`, `outputs`: what the model takes and gives, as `{name, type, shape}`; "N" is the batch.
 * - `run(inputs)`: tensors by name, `{data, dims}`, -> tensors by name; null when a newer call of this
 *   `run` came before the computation began: however fast the reader drags, nothing queues up. (For two
 *   results at once, open the model twice.) The numbers may be any typed array that the model's type asks
 *   for; an Int32Array serves for int64, and 64-bit whole numbers come back as a BigInt64Array. With
 *   `{transfer: true}` the inputs' memory is handed over, and their arrays are empty afterwards; outputs
 *   are the caller's own.
 * - `whenIdle(inputs, isWanted)`: the same for what may wait until no `run` does; asks `isWanted()` just
 *   before it begins and gives null if not. A long task is many of these: `isWanted` cancels it between
 *   two, and who counts the answers knows how far it is.
 * - `release()`: no more calls. The last one of a model frees its memory.
 *
 * @param {string} sha256
 * @param {Model} model the widget's
 * @param {{ onProgress?: Progress }} [options] `onProgress(loaded, total)` hears of the file's bytes as they come
 */
export async function openModel(sha256, model, { onProgress } = {}) {
  const shared = sharedSession(sha256, model);
  shared.users += 1;
  if (onProgress && shared.progress) onProgress(...shared.progress);
  if (onProgress) shared.listeners.add(onProgress);
  const { inputs, outputs } = await shared.opening;
  const engine = await theEngine(model);
  let newest = 0;
  let released = false;

  /**
   * @param {"urgent" | "idle"} line @param {Tensors} tensors @param {() => boolean} isWanted
   * @param {boolean} transfer
   */
  const enqueue = (line, tensors, isWanted, transfer) =>
    queued(engine, line, async () =>
      released || !isWanted() ? null : engine.run(sha256, tensors, transfer),
    );

  return {
    inputs,
    outputs,
    /** @param {Tensors} tensors @param {{ transfer?: boolean }} [options] */
    run(tensors, { transfer = false } = {}) {
      newest += 1;
      const call = newest;
      return enqueue("urgent", tensors, () => call === newest, transfer);
    },
    /** @param {Tensors} tensors @param {() => boolean} isWanted @param {{ transfer?: boolean }} [options] */
    whenIdle: (tensors, isWanted, { transfer = false } = {}) => enqueue("idle", tensors, isWanted, transfer),
    release() {
      if (released) return;
      released = true;
      shared.users -= 1;
      if (shared.users || page.sessions.get(sha256) !== shared) return;
      page.sessions.delete(sha256);
      engine.release(sha256).catch(() => {}); // then there is nothing left to release
    },
  };
}

/**
 * Open a decoder, which makes images of latent vectors.
 *
 * `decode(z)` and `whenIdle(z, isWanted)` are a session's `run` and `whenIdle` for z, a Float32Array of
 * latentDim·n numbers, and give the n·C·H·W numbers of n images in [0, 1], or null.
 * @param {string} sha256
 * @param {number} latentDim
 * @param {Model} model
 */
export async function openDecoder(sha256, latentDim, model) {
  const { run, whenIdle, release } = await openModel(sha256, model);
  const inputs = (/** @type {Float32Array} */ z) => ({
    z: { data: z, dims: [z.length / latentDim, latentDim] },
  });
  const image = (/** @type {Tensors | null} */ outputs) =>
    outputs && /** @type {Float32Array} */ (outputs.image.data);
  return {
    decode: async (/** @type {Float32Array} */ z) => image(await run(inputs(z))),
    whenIdle: async (/** @type {Float32Array} */ z, /** @type {() => boolean} */ isWanted) =>
      image(await whenIdle(inputs(z), isWanted)),
    release,
  };
}

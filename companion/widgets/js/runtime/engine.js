// The engine: onnxruntime-web behind four calls, and five more that train (training.js). frontend.py bundles it
// with the library into engine.js, which a worker runs; where a page may have no worker, the page itself.

import { createTrainings } from "./training.js";

/** @import { InferenceSession, Tensor as OrtTensor } from "onnxruntime-web" */
/** @import { Seen } from "./training.js" */

/**
 * @typedef {Float32Array | Float64Array | Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array
 *   | Uint32Array | BigInt64Array | BigUint64Array} Numbers
 */
/** @typedef {{ data: Numbers, dims: readonly number[] }} Tensor numbers row by row, and the size of each dimension */
/** @typedef {Record<string, Tensor>} Tensors by name */
/** @typedef {{ name: string, type: string, shape: readonly (number | string)[] }} Slot an input or output of a model */
/** @typedef {{ inputs: Slot[], outputs: Slot[] }} Slots */

/** @param {Uint8Array<ArrayBuffer>} bytes */
export async function gunzip(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** What went wrong, in one line. @param {unknown} error */
function sentence(error) {
  if (!(error instanceof Error)) return "the engine gave up (there may be too little memory)";
  return error.message.replace(/^.*ERROR_MESSAGE: /s, "").split("\n")[0];
}

/** @param {readonly InferenceSession.ValueMetadata[]} values @returns {Slot[]} */
const slots = (values) =>
  values.map((value) => ({
    name: value.name,
    type: value.isTensor ? value.type : "",
    shape: value.isTensor ? value.shape : [],
  }));

/**
 * An engine that does one thing at a time.
 * @param {typeof import("onnxruntime-web")} ort
 */
export function createEngine(ort) {
  /** @type {Map<string, InferenceSession>} */
  const sessions = new Map();
  /** @type {Promise<unknown>} */
  let turn = Promise.resolve();
  /** @template T @param {() => Promise<T>} job @returns {Promise<T>} */
  const inTurn = (job) => {
    const done = turn.then(job).catch((error) => {
      throw new Error(sentence(error));
    });
    turn = done.catch(() => {});
    return done;
  };

  /** @param {Tensor} tensor @param {string} type what the model takes */
  const toOrt = ({ data, dims }, type) => {
    // JSON and most code have no 64-bit whole numbers, and a typed array no truth values.
    if (type === "int64" && !(data instanceof BigInt64Array))
      return new ort.Tensor("int64", BigInt64Array.from(data, BigInt), dims);
    if (type === "bool") return new ort.Tensor("bool", Uint8Array.from(data, Number), dims);
    return new ort.Tensor(/** @type {any} */ (data), dims);
  };

  const opened = (/** @type {string} */ name) => {
    const session = sessions.get(name);
    if (!session) throw new Error("the model is not open");
    return session;
  };

  return {
    ...createTrainings(ort, opened, inTurn),
    /** Take the wasm, gzipped. @param {Uint8Array<ArrayBuffer>} wasm */
    start: (wasm) =>
      inTurn(async () => {
        ort.env.wasm.wasmBinary = (await gunzip(wasm)).buffer;
        ort.env.wasm.numThreads = 1; // more would need headers that no plain web server sends
        ort.env.wasm.proxy = false;
        ort.env.logLevel = "error";
      }),
    /** Open a model file under a name. @param {string} name @param {Uint8Array} bytes @returns {Promise<Slots>} */
    open: (name, bytes) =>
      inTurn(async () => {
        const session = await ort.InferenceSession.create(bytes, { executionProviders: ["wasm"] });
        sessions.set(name, session);
        return { inputs: slots(session.inputMetadata), outputs: slots(session.outputMetadata) };
      }),
    /** @param {string} name @param {Tensors} inputs @returns {Promise<Tensors>} */
    run: (name, inputs) =>
      inTurn(async () => {
        const session = opened(name);
        const types = new Map(slots(session.inputMetadata).map((slot) => [slot.name, slot.type]));
        /** @type {Record<string, OrtTensor>} */
        const feeds = {};
        for (const [key, tensor] of Object.entries(inputs)) feeds[key] = toOrt(tensor, types.get(key) ?? "");
        const outputs = Object.entries(await session.run(feeds));
        return Object.fromEntries(
          outputs.map(([key, { data, dims }]) => [key, { data: /** @type {Numbers} */ (data), dims }]),
        );
      }),
    /** @param {string} name */
    release: (name) =>
      inTurn(async () => {
        await sessions.get(name)?.release();
        sessions.delete(name);
      }),
  };
}

/** @typedef {ReturnType<typeof createEngine>} Engine */
/** @typedef {{ id: number, call: keyof Engine, values: any[] }} Request */
/** @typedef {{ id: number, value?: any, error?: string }} Reply */

/** The memory of tensors, to be handed over rather than copied. @param {Tensors[]} all */
export const buffersOf = (...all) => [
  ...new Set(
    all.flatMap((tensors) =>
      Object.values(tensors).map(({ data }) => /** @type {ArrayBuffer} */ (data.buffer)),
    ),
  ),
];

/** What of an answer is handed over. @param {keyof Engine} call @param {any} value */
function handedOver(call, value) {
  if (call === "run") return buffersOf(value);
  return call === "look" ? buffersOf(...Object.values(/** @type {Seen} */ (value).functions)) : [];
}

/** Answer a page's messages; the first message, id 0, says that the worker runs. @param {Engine} engine */
export function serve(engine) {
  /** @param {Reply} reply @param {Transferable[]} [transfer] */
  const post = (reply, transfer = []) => self.postMessage(reply, { transfer });
  self.onmessage = async (/** @type {MessageEvent<Request>} */ { data: { id, call, values } }) => {
    try {
      const value = await /** @type {(...values: any[]) => Promise<any>} */ (engine[call])(...values);
      post({ id, value }, handedOver(call, value));
    } catch (error) {
      post({ id, error: /** @type {Error} */ (error).message });
    }
  };
  post({ id: 0 });
}

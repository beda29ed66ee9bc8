// Runs exported decoders: one engine a page, one session a model, one computation at a time.
import { modelBytes, page, runEngine, wasmBytes } from "./assets.js";

/** @import { Engine, Model } from "./assets.js" */

/** @param {Uint8Array<ArrayBuffer>} bytes */
async function gunzip(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** @param {Model} model */
async function startEngine(model) {
  const [wasm, engine] = await Promise.all([wasmBytes(model).then(gunzip), runEngine(model)]);
  const { env } = engine;
  env.wasm.wasmBinary = wasm.buffer;
  env.wasm.numThreads = 1; // more would need headers that no plain web server sends
  env.wasm.proxy = false;
  env.logLevel = "error";
  return engine;
}

/** @param {string} sha256 @param {Model} model */
async function openSession(sha256, model) {
  const bytes = modelBytes(sha256, model);
  bytes.catch(() => {}); // reported below, once the engine is there
  page.engine ??= startEngine(model);
  page.engine.catch(() => {
    page.engine = null;
  });
  const { InferenceSession } = await page.engine;
  return InferenceSession.create(await bytes, { executionProviders: ["wasm"] });
}

/**
 * Let `compute` run when the computations asked for before it are done.
 * @template T
 * @param {() => T | Promise<T>} compute
 */
function enqueue(compute) {
  const result = page.turn.then(compute);
  page.turn = result.catch(() => {});
  return result;
}

/** Resolves when the page has nothing better to do (Safari has no requestIdleCallback). */
const idle = () =>
  new Promise((resolve) => {
    if ("requestIdleCallback" in globalThis) requestIdleCallback(resolve, { timeout: 400 });
    else setTimeout(resolve, 30);
  });

/**
 * Open the decoder that the widget's state names. -> {decode(z), whenIdle(z, isWanted)}
 *
 * - `decode(z)`: z a Float32Array of latentDim·n numbers -> Float32Array of n·C·H·W in [0, 1], or null
 *   when a newer call came before this one began: however fast the reader drags, nothing queues up.
 * - `whenIdle(z, isWanted)`: the same for what may wait; asks `isWanted()` just before it begins
 *   and gives null if not.
 *
 * @param {string} sha256 @param {number} latentDim @param {Model} model
 */
export async function openDecoder(sha256, latentDim, model) {
  let opening = page.decoders.get(sha256);
  if (!opening) {
    opening = openSession(sha256, model);
    page.decoders.set(sha256, opening);
    opening.catch(() => page.decoders.delete(sha256));
  }
  const session = await opening;
  const { Tensor } = /** @type {Engine} */ (await page.engine);
  const run = async (/** @type {Float32Array} */ z) => {
    const input = new Tensor("float32", z, [z.length / latentDim, latentDim]);
    const { image } = await session.run({ z: input });
    return /** @type {Float32Array} */ (image.data);
  };
  let newest = 0;
  let urgent = 0;
  return {
    /** @param {Float32Array} z */
    async decode(z) {
      newest += 1;
      const call = newest;
      urgent += 1;
      try {
        return await enqueue(() => (call === newest ? run(z) : null));
      } finally {
        urgent -= 1;
      }
    },
    /** @param {Float32Array} z @param {() => boolean} isWanted */
    async whenIdle(z, isWanted) {
      do {
        await idle();
        if (!isWanted()) return null;
      } while (urgent > 0);
      return enqueue(() => (isWanted() ? run(z) : null));
    },
  };
}

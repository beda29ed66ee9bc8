// Runs exported decoders: one engine a page, one session a model, one computation at a time.
import { modelBytes, page, runEngine, wasmBytes } from "./assets.js";

async function gunzip(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function startEngine(model) {
  const [wasm, engine] = await Promise.all([wasmBytes(model).then(gunzip), runEngine(model)]);
  const { env, InferenceSession, Tensor } = engine;
  env.wasm.wasmBinary = wasm.buffer;
  env.wasm.numThreads = 1; // more would need headers that no plain web server sends
  env.wasm.proxy = false;
  env.logLevel = "error";
  return { InferenceSession, Tensor };
}

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

/** Let `compute` run when the computations asked for before it are done. */
function inTurn(compute) {
  const result = page.turn.then(compute);
  page.turn = result.catch(() => {});
  return result;
}

/** Resolves when the page has nothing better to do (Safari has no requestIdleCallback). */
const idle = () =>
  new Promise((resolve) => {
    if (globalThis.requestIdleCallback) requestIdleCallback(resolve, { timeout: 400 });
    else setTimeout(resolve, 30);
  });

/**
 * Open the decoder that the widget's state names. -> {decode(z), whenIdle(z, isWanted)}
 *
 * - `decode(z)`: z a Float32Array of latentDim·n numbers -> Float32Array of n·C·H·W in [0, 1], or null
 *   when a newer call came before this one began: however fast the reader drags, nothing queues up.
 * - `whenIdle(z, isWanted)`: the same for what may wait; asks `isWanted()` just before it begins
 *   and gives null if not.
 */
export async function openDecoder(sha256, latentDim, model) {
  if (!page.decoders.has(sha256)) {
    const opening = openSession(sha256, model);
    page.decoders.set(sha256, opening);
    opening.catch(() => page.decoders.delete(sha256));
  }
  const session = await page.decoders.get(sha256);
  const { Tensor } = await page.engine;
  const run = async (z) => {
    const input = new Tensor("float32", z, [z.length / latentDim, latentDim]);
    const { image } = await session.run({ z: input });
    return image.data;
  };
  let newest = 0;
  let urgent = 0;
  return {
    async decode(z) {
      const call = (newest += 1);
      urgent += 1;
      try {
        return await inTurn(() => (call === newest ? run(z) : null));
      } finally {
        urgent -= 1;
      }
    },
    async whenIdle(z, isWanted) {
      do {
        await idle();
        if (!isWanted()) return null;
      } while (urgent > 0);
      return inTurn(() => (isWanted() ? run(z) : null));
    },
  };
}

// Finds what a widget needs: the inference engine (in the book's own site, else among the extension
// files of JupyterLab or Notebook, else from the kernel) and exported models.

/** @import { AnyModel } from "@anywidget/types" */
/** @import { InferenceSession } from "onnxruntime-web" */

/** @typedef {typeof import("onnxruntime-web")} Engine */
/** @typedef {AnyModel<any>} Model of a widget, to ask the kernel through */
/**
 * @typedef {object} Page what a page has once
 * @property {string | null} site address of the folder that book.js came from, when the page is one of the
 *   book's
 * @property {Map<string, { render(props: { model: object, el: HTMLElement }): unknown }>} widgets by name,
 *   from
 *   the widgets' scripts that the page has loaded
 * @property {Map<string, string>} arrived base64 by name, from an asset file that has just run
 * @property {Promise<Engine> | null} engine with its wasm
 * @property {Map<string, Promise<InferenceSession>>} decoders by SHA-256
 * @property {Promise<unknown>} turn ends when the computation that runs now does
 */

// Every widget's bundle carries a copy of this module, so what a page has once hangs on the page.
const hook = /** @type {{ [name: symbol]: Page | undefined }} */ (globalThis);
const name = Symbol.for("companion");
hook[name] ??= {
  site: null,
  widgets: new Map(),
  arrived: new Map(),
  engine: null,
  decoders: new Map(),
  turn: Promise.resolve(),
};
export const page = hook[name];

// An asset file is a script of this one call; a page opened with file:// can't fetch, but it can run scripts.
globalThis.companionAsset ??= (name, base64) => {
  page.arrived.set(name, base64);
};

/** Address of the folder with our files in JupyterLab or Notebook 7, else null. */
function labFolder() {
  const config = document.getElementById("jupyter-config-data");
  if (!config) return null;
  try {
    const { fullLabextensionsUrl } = JSON.parse(config.textContent ?? "");
    return fullLabextensionsUrl
      ? new URL(`${fullLabextensionsUrl}/companion/static/`, document.baseURI).href
      : null;
  } catch {
    return null;
  }
}

/** @param {string} url @returns {Promise<void>} */
function runScript(url) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = url;
    script.onerror = () => reject(new Error(`${url} did not load`));
    script.onload = () => {
      script.remove();
      resolve();
    };
    document.head.append(script);
  });
}

/** @param {string} text */
function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i += 1) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** @param {string} url @param {string} name */
async function fromFile(url, name) {
  await runScript(url);
  const text = page.arrived.get(name);
  page.arrived.delete(name);
  if (text === undefined) throw new Error(`${url} does not hold ${name}`);
  return fromBase64(text);
}

/** @param {ArrayBuffer | ArrayBufferView<ArrayBuffer>} view */
const bytesOf = (view) =>
  ArrayBuffer.isView(view)
    ? new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
    : new Uint8Array(view);

/**
 * Ask the kernel. There is no knowing how long it will be busy, so this waits as long as it takes.
 * @param {string} name @param {Model} model @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
function fromKernel(name, model) {
  return new Promise((resolve, reject) => {
    /**
     * @param {{ kind?: string, name?: string, why?: string } | null} message
     * @param {DataView<ArrayBuffer>[]} buffers
     */
    const listen = (message, buffers) => {
      if (message?.name !== name) return;
      model.off("msg:custom", listen);
      if (message.kind === "asset") resolve(bytesOf(buffers[0]));
      else reject(new Error(message.why));
    };
    model.on("msg:custom", listen);
    model.send({ kind: "asset", name });
  });
}

/**
 * Try one way after the other; reports what the last one said.
 * @template T
 * @param {(() => Promise<T>)[]} ways
 */
async function firstOf(ways) {
  /** @type {unknown} */
  let last = new Error("this page does not know where its files are");
  for (const way of ways) {
    try {
      return await way();
    } catch (error) {
      last = error;
    }
  }
  throw last;
}

/**
 * The bytes of a model: from the widget's state in a notebook, else from the book's site.
 * @param {string} sha256 @param {Model} model
 */
export function modelBytes(sha256, model) {
  const file = model.get("_files")?.[sha256];
  return file ? Promise.resolve(bytesOf(file)) : fromFile(`${page.site}models/${sha256}.js`, sha256);
}

/** The folders that may hold the engine's files. */
const folders = () => [page.site, page.site ? null : labFolder()].filter((folder) => folder !== null);
/** @param {string} name @param {Model} model */
const kernel = (name, model) => (page.site ? [] : [() => fromKernel(name, model)]);

/** The engine's wasm, gzipped. @param {Model} model */
export function wasmBytes(model) {
  const name = "engine-wasm";
  return firstOf([
    ...folders().map((folder) => () => fromFile(`${folder}${name}.js?${ENGINE_VERSION}`, name)),
    ...kernel(name, model),
  ]);
}

/** Run the engine's script. @param {Model} model @returns {Promise<Engine>} */
export async function runEngine(model) {
  const started = () => {
    if (!globalThis.companionEngine) throw new Error("the inference engine did not start");
    return globalThis.companionEngine;
  };
  const fromFolder = (/** @type {string} */ folder) => async () => {
    await runScript(`${folder}engine.js?${ENGINE_VERSION}`);
    return started();
  };
  const fromMessage = async () => {
    const url = URL.createObjectURL(
      new Blob([await fromKernel("engine", model)], { type: "text/javascript" }),
    );
    try {
      await import(url); // as anywidget itself loads a widget, so it works wherever that does
    } finally {
      URL.revokeObjectURL(url);
    }
    return started();
  };
  return (
    globalThis.companionEngine ?? firstOf([...folders().map(fromFolder), ...(page.site ? [] : [fromMessage])])
  );
}

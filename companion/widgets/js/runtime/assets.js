// Finds the files that a widget needs: the inference engine (in the book's own site, else among the
// extension files of JupyterLab or Notebook, else from the kernel), and models and data by their SHA-256.

import { gunzip } from "./engine.js";

/** @import { AnyModel } from "@anywidget/types" */
/** @import { PageEngine, Queue, Shared } from "./session.js" */

/** @typedef {AnyModel<any>} Model */
/** @typedef {{ base64: string, parts: number, size: number }} Part a file's first part knows the others, and all bytes */
/** @typedef {(loaded: number, total: number) => void} Progress in bytes */

/**
 * @typedef {object} Page
 * @property {string | null} site address of the folder that book.js came from, when the page is one of the book's
 * @property {Map<string, { render(props: { model: object, el: HTMLElement }): unknown }>} widgets by name,
 *   from the widgets' scripts that the page has loaded
 * @property {Map<string, Part>} arrived by name, from an asset file that has just run
 * @property {Promise<PageEngine> | null} engine
 * @property {Map<string, Shared>} sessions by the model's SHA-256
 * @property {Queue} queue
 * @property {number} trainings begun so far
 */

const KEY = Symbol.for("companion");
const scope = /** @type {Record<symbol | string, any>} */ (globalThis);

// Every widget's bundle carries a copy of this module, so what a page has once hangs on the page.
scope[KEY] ??= {
  site: null,
  widgets: new Map(),
  arrived: new Map(),
  engine: null,
  sessions: new Map(),
  queue: { urgent: [], idle: [], busy: false },
  trainings: 0,
};

/** @type {Page} */
export const page = scope[KEY];

/** An asset file is a script of this one call; a page opened with file:// can't fetch, but it can run scripts. */
scope.companionAsset ??= (
  /** @type {string} */ name,
  /** @type {string} */ base64,
  /** @type {number} */ parts,
  /** @type {number} */ size,
) => page.arrived.set(name, { base64, parts, size });

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
export function runScript(url) {
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

/** @param {string} text @returns {Uint8Array<ArrayBuffer>} */
function fromBase64(text) {
  const { fromBase64: native } = /** @type {any} */ (Uint8Array);
  if (native) return native.call(Uint8Array, text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i += 1) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/**
 * A file out of its asset scripts: `name`.js and, of one in several parts, `name`.1.js and so on.
 * @param {(script: string) => string} address
 * @param {string} name
 * @param {Progress} onProgress
 */
async function fromScripts(address, name, onProgress) {
  const load = async (/** @type {string} */ part) => {
    const url = address(`${part}.js`);
    await runScript(url);
    const arrived = page.arrived.get(part);
    page.arrived.delete(part);
    if (!arrived) throw new Error(`${url} does not hold ${part}`);
    return { ...arrived, bytes: fromBase64(arrived.base64) };
  };
  const { bytes: first, parts, size } = await load(name);
  let loaded = first.length;
  onProgress(loaded, size);
  if (parts === 1) return first;
  const all = new Uint8Array(size);
  all.set(first);
  // All parts but the last are as long as the first.
  const rest = Array.from({ length: parts - 1 }, async (_, k) => {
    const { bytes } = await load(`${name}.${k + 1}`);
    all.set(bytes, (k + 1) * first.length);
    loaded += bytes.length;
    onProgress(loaded, size);
  });
  await Promise.all(rest);
  return all;
}

/** A copy: what arrives in a message or a widget's state may be read by others too. @param {any} view */
const bytesOf = (view) => new Uint8Array(view.buffer ?? view, view.byteOffset ?? 0, view.byteLength).slice();

/**
 * Ask the kernel. There is no knowing how long it will be busy, so this waits as long as it takes.
 * @param {string} name
 * @param {Model} model
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
function fromKernel(name, model) {
  return new Promise((resolve, reject) => {
    const listen = (/** @type {any} */ message, /** @type {DataView[]} */ buffers) => {
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
 * @returns {Promise<T>}
 */
export async function firstOf(ways) {
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
 * The bytes of an exported file by its SHA-256: from the widget's state in a notebook, else from the book's
 * site, where it is gzipped and, if large, comes in parts of a megabyte. `onProgress` hears of those bytes.
 * @param {string} sha256
 * @param {Model} model
 * @param {Progress} [onProgress]
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
export async function fileBytes(sha256, model, onProgress = () => {}) {
  const file = model.get("_files")?.[sha256];
  if (!file) {
    const packed = await fromScripts((script) => `${page.site}models/${script}`, sha256, onProgress);
    return gunzip(packed).catch(() => {
      throw new Error(`the file ${sha256.slice(0, 12)}… is damaged`);
    });
  }
  const bytes = bytesOf(file);
  onProgress(bytes.length, bytes.length);
  return bytes;
}

/**
 * A file of the engine, gzipped: its code, or its wasm.
 * @param {"engine" | "engine-wasm"} name
 * @param {Model} model
 */
export function engineFile(name, model) {
  const version = ENGINE_VERSION;
  const folder = page.site ?? labFolder();
  const address = (/** @type {string} */ script) => `${folder}${script}?${version}`;
  const ways = [];
  if (folder) ways.push(() => fromScripts(address, name, () => {}));
  if (!page.site) ways.push(() => fromKernel(name, model));
  return firstOf(ways);
}

// Finds what a widget needs: the inference engine (in the book's own site, else among the extension
// files of JupyterLab or Notebook, else from the kernel) and exported models.

// Every widget's bundle carries a copy of this module, so what a page has once hangs on the page.
export const page = (globalThis[Symbol.for("companion")] ??= {
  site: null, // address of the folder that book.js came from, when the page is one of the book's
  widgets: new Map(), // name -> module, from the widgets' scripts that the page has loaded
  arrived: new Map(), // name -> base64, from an asset file that has just run
  engine: null, // Promise of the engine with its wasm
  decoders: new Map(), // SHA-256 -> Promise<InferenceSession>
  turn: Promise.resolve(), // ends when the computation that runs now does
});

/** An asset file is a script of this one call; a page opened with file:// can't fetch, but it can run scripts. */
globalThis.companionAsset ??= (name, base64) => page.arrived.set(name, base64);

/* global ENGINE_VERSION -- set by companion/site/frontend.py */

/** Address of the folder with our files in JupyterLab or Notebook 7, else null. */
function labFolder() {
  const config = document.getElementById("jupyter-config-data");
  if (!config) return null;
  try {
    const { fullLabextensionsUrl } = JSON.parse(config.textContent);
    return fullLabextensionsUrl
      ? new URL(`${fullLabextensionsUrl}/companion/static/`, document.baseURI).href
      : null;
  } catch {
    return null;
  }
}

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

function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i += 1) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

async function fromFile(url, name) {
  await runScript(url);
  const text = page.arrived.get(name);
  page.arrived.delete(name);
  if (text === undefined) throw new Error(`${url} does not hold ${name}`);
  return fromBase64(text);
}

const bytesOf = (view) => new Uint8Array(view.buffer ?? view, view.byteOffset ?? 0, view.byteLength);

/** Ask the kernel. There is no knowing how long it will be busy, so this waits as long as it takes. */
function fromKernel(name, model) {
  return new Promise((resolve, reject) => {
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

/** Try one way after the other; reports what the last one said. */
async function firstOf(ways) {
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

/** The bytes of a model by its SHA-256: from the widget's state in a notebook, else from the book's site. */
export function modelBytes(sha256, model) {
  const file = model.get("_files")?.[sha256];
  return file ? Promise.resolve(bytesOf(file)) : fromFile(`${page.site}models/${sha256}.js`, sha256);
}

/** The folders that may hold the engine's files. */
const folders = () => [page.site, page.site ? null : labFolder()].filter(Boolean);
const kernel = (name, model) => (page.site ? [] : [() => fromKernel(name, model)]);

/** The engine's wasm, gzipped. */
export function wasmBytes(model) {
  const name = "engine-wasm";
  return firstOf([
    ...folders().map((folder) => () => fromFile(`${folder}${name}.js?${ENGINE_VERSION}`, name)),
    ...kernel(name, model),
  ]);
}

/** Run the engine's script. -> onnxruntime-web */
export async function runEngine(model) {
  const started = () => {
    if (!globalThis.companionEngine) throw new Error("the inference engine did not start");
    return globalThis.companionEngine;
  };
  const fromFolder = (folder) => async () => {
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

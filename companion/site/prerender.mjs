// Renders widgets while the book is built: one request a line in, one answer a line out (JSON).
//
// A request is {module, state, stills, mark}: the file URL of a widget's module, its traits, pictures
// for canvases that Python has drawn (slot -> data URL), a prefix for ids. An answer is {html} or {error}.
// The widget's own render() runs in happy-dom, once as wide as a column of the book and once as on a
// phone, both on light paper and, if it asks for colours, on dark. What comes out different stands in
// the HTML more than once, and still.css shows one.

import { createInterface } from "node:readline";
import { setImmediate } from "node:timers/promises";
import canvases from "@napi-rs/canvas";
import { Window } from "happy-dom";

// What a ResizeObserver says, in CSS pixels: of the left column of a .companion-split, and of all else.
const LAYOUTS = { wide: { split: 355, full: 652 }, narrow: { split: 328, full: 328 } };
const PAPERS = { light: "rgb(255, 255, 255)", dark: "rgb(24, 26, 30)" };
const CONTROLS = "input, select, textarea, button, summary";
const PATIENCE = 20_000; // milliseconds for a widget that has to load its own pictures

const window = new Window();
const { document } = window;
let layout = LAYOUTS.wide;
let paper = PAPERS.light;
let asked = false; // whether a widget has looked at colours
let frames = [];
let seed = 0;
let failed = () => {};

const widthOf = (el) => (el.closest(".companion-split > *") ? layout.split : layout.full);

// ---------------------------------------------------------------- a browser, as far as widgets use one

class ResizeObserver {
  constructor(callback) {
    this.callback = callback;
  }

  observe(target) {
    queueMicrotask(() => this.callback([{ target, contentRect: { width: widthOf(target) } }], this));
  }

  disconnect() {}
}

/** Let a canvas of the document be drawn on. */
function getContext(kind, options) {
  if (!this.drawing) {
    this.drawing = canvases.createCanvas(this.width, this.height);
    for (const side of ["width", "height"]) {
      Object.defineProperty(this, side, {
        get: () => this.drawing[side],
        set: (value) => {
          this.drawing[side] = value;
          this.setAttribute(side, value);
        },
      });
    }
  }
  return this.drawing.getContext(kind, options);
}

/** No style sheet is read: all colours are the paper's, which is what a canvas has to know. */
function getComputedStyle() {
  asked = true;
  return { color: paper, getPropertyValue: () => "" };
}

for (const name of Object.getOwnPropertyNames(window)) if (!(name in globalThis)) globalThis[name] = window[name];
Object.assign(globalThis, {
  Event: window.Event,
  CustomEvent: window.CustomEvent,
  Image: canvases.Image,
  ImageData: canvases.ImageData,
  OffscreenCanvas: function OffscreenCanvas(width, height) {
    return canvases.createCanvas(width, height);
  },
  ResizeObserver,
  getComputedStyle,
  requestAnimationFrame: (draw) => frames.push(draw),
  cancelAnimationFrame: (id) => delete frames[id - 1],
});
window.HTMLCanvasElement.prototype.getContext = getContext;
// The same state gives the same HTML: names that a widget makes up are numbered.
Math.random = () => {
  seed += 1;
  return (seed * 0.618034) % 1;
};
for (const event of ["uncaughtException", "unhandledRejection"]) process.on(event, (error) => failed(error));

// ---------------------------------------------------------------- one widget at rest

/** Wait until nothing is to be drawn any more. */
async function settle() {
  for (let quiet = 0; quiet < 2; quiet += 1) {
    await setImmediate();
    if (!frames.length) continue;
    quiet = -1;
    const due = frames;
    frames = [];
    for (const draw of due) draw?.(0);
  }
}

async function rest({ module, state, stills }) {
  seed = 0;
  frames = [];
  const values = structuredClone(state);
  const model = {
    get: (name) => values[name],
    set: (name, value) => {
      values[name] = value;
    },
    save_changes() {},
    send() {},
    on() {},
    off() {},
  };
  const el = document.createElement("div");
  document.body.replaceChildren(el);
  const trouble = new Promise((_, reject) => {
    failed = reject;
  });
  const ready = new Promise((resolve, reject) => {
    el.addEventListener("companion-ready", resolve);
    el.addEventListener("companion-failed", (event) => reject(event.detail));
    setTimeout(() => reject(new Error("the widget's pictures did not load")), PATIENCE).unref();
  });
  ready.catch(() => {});
  const { default: widget } = await import(module);
  const stop = await widget.render({ model, el });
  const loads = el.querySelector('[data-state="waiting"]') && !Object.keys(stills).length;
  await Promise.race([trouble, Promise.all([loads ? ready : null, settle()])]);
  if (loads) await Promise.race([trouble, settle()]);
  stop?.();
  return el;
}

// ---------------------------------------------------------------- from a live widget to a still one

/** The picture of a canvas: the one that Python drew for it, else what the widget did; null if neither. */
function pictureOf(canvas, stills) {
  const given = stills[canvas.dataset.still];
  if (given || !canvas.drawing) return given ?? null;
  const { data } = canvas.drawing.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  if (!data.some((value, i) => i % 4 === 3 && value)) return null;
  const png = canvas.drawing.toDataURL("image/png");
  if (canvas.style.imageRendering === "pixelated") return png;
  const webp = canvas.drawing.toDataURL("image/webp", 0.9);
  return webp.length < png.length ? webp : png;
}

function still(canvas, src) {
  const img = document.createElement("img");
  img.setAttribute("src", src);
  img.setAttribute("alt", canvas.getAttribute("aria-label") ?? "");
  for (const { name, value } of canvas.attributes) {
    if (!["role", "aria-label", "aria-hidden", "data-still"].includes(name)) img.setAttribute(name, value);
  }
  canvas.replaceWith(img);
}

/** A control shows what it holds, and does nothing. */
function disarm(control) {
  if (["checkbox", "radio"].includes(control.type)) control.toggleAttribute("checked", control.checked);
  else if (control.tagName === "INPUT" && control.type !== "file") control.setAttribute("value", control.value);
  for (const [i, option] of [...(control.options ?? [])].entries()) {
    option.removeAttribute("value");
    option.toggleAttribute("selected", i === control.selectedIndex);
  }
  if (control.type === "radio" || control.type === "checkbox") control.removeAttribute("value");
  for (const { name } of [...control.attributes]) {
    if (name === "name" || name === "tabindex" || name === "autocomplete" || name.startsWith("aria-")) {
      control.removeAttribute(name);
    }
  }
  control.toggleAttribute("inert", true);
}

/** The ids that the pictures inside of `root` refer to, each replaced by what `next` gives for it. */
function renumber(root, next) {
  for (const svg of root.querySelectorAll("svg")) {
    if (svg.parentElement.closest("svg")) continue;
    const names = new Map();
    for (const el of svg.querySelectorAll("*")) {
      for (const { name, value } of [...el.attributes]) {
        const reference = value.match(/^url\(#(.+)\)$/)?.[1];
        if (!reference) continue;
        if (!names.has(reference)) names.set(reference, next());
        el.setAttribute(name, `url(#${names.get(reference)})`);
      }
    }
    for (const el of svg.querySelectorAll("[id]")) if (names.has(el.id)) el.id = names.get(el.id);
  }
}

function tidy(root, stills) {
  for (const el of root.querySelectorAll('[hidden], [data-kind="waiting"], .companion-spoken[role=status]')) {
    el.remove();
  }
  for (const canvas of root.querySelectorAll("canvas")) {
    const src = pictureOf(canvas, stills);
    if (src) still(canvas, src);
  }
  for (const control of root.querySelectorAll(CONTROLS)) disarm(control);
  for (const el of root.querySelectorAll("[aria-labelledby]")) {
    el.setAttribute("aria-label", root.querySelector(`#${el.getAttribute("aria-labelledby")}`).textContent);
    el.removeAttribute("aria-labelledby");
  }
  for (const el of root.querySelectorAll("*")) {
    if (el.tagName === "svg" && el.hasAttribute("height") && !el.hasAttribute("width")) {
      el.setAttribute("viewBox", `0 0 ${widthOf(el)} ${el.getAttribute("height")}`);
      el.setAttribute("preserveAspectRatio", "xMinYMid");
    }
    if (el.id && !el.closest("svg")) el.removeAttribute("id");
    for (const name of ["for", "tabindex", "aria-live", "data-value", "data-state"]) el.removeAttribute(name);
    if (el.getAttribute("role") === "status") el.removeAttribute("role");
  }
  let ids = 0;
  renumber(root, () => `${(ids += 1)}`);
  return root;
}

/** Let `a` hold both: where `b` differs each has an element of its own, a whole picture if it is one. */
function merge(a, b, [onlyA, onlyB]) {
  if (a.isEqualNode(b)) return;
  const [mine, others] = [[...a.childNodes], [...b.childNodes]];
  const inside =
    a.tagName !== "svg" &&
    a.cloneNode(false).isEqualNode(b.cloneNode(false)) &&
    mine.length === others.length &&
    mine.every((node, i) => (node.nodeType === 1 && others[i].nodeType === 1) || node.isEqualNode(others[i]));
  if (inside) {
    mine.forEach((node, i) => {
      if (node.nodeType === 1) merge(node, others[i], [onlyA, onlyB]);
    });
    return;
  }
  a.classList.add(onlyA);
  b.classList.add(onlyB);
  a.after(b);
}

async function answer(request) {
  const [wide, narrow] = [[], []];
  for (const [name, roots] of Object.entries({ wide, narrow })) {
    layout = LAYOUTS[name];
    asked = false;
    for (paper of Object.values(PAPERS)) {
      if (!roots.length || asked) roots.push(tidy(await rest(request), request.stills));
    }
    if (roots.length > 1) merge(...roots, ["companion-on-light", "companion-on-dark"]);
  }
  merge(wide[0], narrow[0], ["companion-wide", "companion-narrow"]);
  let ids = 0;
  renumber(wide[0], () => `${request.mark}-${(ids += 1)}`);
  return { html: wide[0].innerHTML };
}

for await (const line of createInterface({ input: process.stdin })) {
  let result;
  try {
    result = await answer(JSON.parse(line));
  } catch (error) {
    result = { error: String(error?.stack ?? error) };
  }
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
process.exit();

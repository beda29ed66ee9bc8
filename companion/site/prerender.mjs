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

// What a ResizeObserver says, in CSS pixels: of the left column of a .companion-split, of the columns of
// .companion-halves, and of all else.
const LAYOUTS = {
  wide: { split: 355, half: 314, full: 652 },
  narrow: { split: 328, half: 328, full: 328 },
};
const PAPERS = { light: "rgb(255, 255, 255)", dark: "rgb(24, 26, 30)" };
const CONTROLS = "input, select, textarea, button, summary";
const CLOSE = 0.1; // CSS pixels by which a line may be off
const PATIENCE = 20_000; // milliseconds for a widget that has to load its own pictures

const window = new Window();
const { document } = window;
let layout = LAYOUTS.wide;
let paper = PAPERS.light;
let asked = false; // whether a widget has looked at colours
const frames = new Map();
const loading = new Set();
let turn = 0;
let seed = 0;
let failed = () => {};

function widthOf(el) {
  if (el.closest(".companion-split > *")) return layout.split;
  return el.closest(".companion-halves > *") ? layout.half : layout.full;
}

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

/** A picture that a widget loads: nothing is at rest before it is there. */
class Picture extends canvases.Image {
  get src() {
    return super.src;
  }

  set src(address) {
    super.src = address;
    const done = this.decode()
      .catch(() => {}) // the widget hears of it, too
      .then(() => loading.delete(done));
    loading.add(done);
  }
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

for (const name of Object.getOwnPropertyNames(window))
  if (!(name in globalThis)) globalThis[name] = window[name];
Object.assign(globalThis, {
  Event: window.Event,
  CustomEvent: window.CustomEvent,
  Image: Picture,
  ImageData: canvases.ImageData,
  OffscreenCanvas: function OffscreenCanvas(width, height) {
    return canvases.createCanvas(width, height);
  },
  ResizeObserver,
  getComputedStyle,
  requestAnimationFrame(draw) {
    turn += 1;
    frames.set(turn, draw);
    return turn;
  },
  cancelAnimationFrame: (id) => frames.delete(id),
});
window.HTMLCanvasElement.prototype.getContext = getContext;
// The same state gives the same HTML: names that a widget makes up are numbered.
Math.random = () => {
  seed += 1;
  return (seed * 0.618034) % 1;
};
for (const event of ["uncaughtException", "unhandledRejection"]) process.on(event, (error) => failed(error));

// ---------------------------------------------------------------- one widget at rest

/** Wait until nothing is to be loaded or drawn any more. */
async function settle() {
  for (let quiet = 0; quiet < 2; quiet += 1) {
    await Promise.all(loading);
    await setImmediate();
    if (!frames.size && !loading.size) continue;
    quiet = -1;
    const due = [...frames.values()];
    frames.clear();
    for (const draw of due) draw(0);
  }
}

async function rest({ module, state, stills }) {
  seed = 0;
  frames.clear();
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
  // With a quality of 1 nothing is lost.
  const quality = canvas.style.imageRendering === "pixelated" ? 1 : 0.9;
  const webp = canvas.drawing.toDataURL("image/webp", quality);
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
  else if (control.tagName === "INPUT" && control.type !== "file")
    control.setAttribute("value", control.value);
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
  // What wakes a widget that loads when it is touched has to be reached.
  if (!control.hasAttribute("data-wakes")) control.toggleAttribute("inert", true);
}

/** Number the ids that the pictures inside of `root` refer to, with `mark` before each number. */
function renumber(root, mark) {
  let count = 0;
  for (const svg of root.querySelectorAll("svg")) {
    if (svg.parentElement.closest("svg")) continue;
    const names = new Map();
    for (const el of svg.querySelectorAll("*")) {
      for (const { name, value } of [...el.attributes]) {
        const reference = value.match(/^url\(#(.+)\)$/)?.[1];
        if (!reference) continue;
        if (!names.has(reference)) {
          count += 1;
          names.set(reference, `${mark}${count}`);
        }
        el.setAttribute(name, `url(#${names.get(reference)})`);
      }
    }
    for (const el of svg.querySelectorAll("[id]")) {
      if (names.has(el.id)) el.id = names.get(el.id);
      else el.removeAttribute("id");
    }
  }
}

/** The points of a line without those that lie within CLOSE of what is left. */
function thinned(points) {
  const [[ax, ay], [bx, by]] = [points[0], points.at(-1)];
  const length = Math.hypot(bx - ax, by - ay);
  const far = ([x, y]) =>
    length ? Math.abs((x - ax) * (by - ay) - (y - ay) * (bx - ax)) / length : Math.hypot(x - ax, y - ay);
  const distances = points.map(far);
  const most = Math.max(...distances);
  if (most <= CLOSE) return [points[0], points.at(-1)];
  const at = distances.indexOf(most);
  return [...thinned(points.slice(0, at + 1)).slice(0, -1), ...thinned(points.slice(at))];
}

/** The `d` of a path with fewer points in its long lines. */
const lighter = (d) =>
  d.replace(/(-?[\d.]+ -?[\d.]+)(L-?[\d.]+ -?[\d.]+){8,}/g, (line) =>
    thinned(line.split("L").map((point) => point.split(" ").map(Number)))
      .map((point) => point.join(" "))
      .join("L"),
  );

/** A picture keeps what it was drawn for where its place is wider, and becomes smaller where it is narrower. */
function fit(svg) {
  if (svg.hasAttribute("width")) {
    const chart = svg.parentElement;
    if (chart.classList.contains("companion-chart"))
      chart.style.maxInlineSize = `${svg.getAttribute("width")}px`;
  } else if (svg.hasAttribute("height")) {
    svg.setAttribute("viewBox", `0 0 ${widthOf(svg)} ${svg.getAttribute("height")}`);
    svg.setAttribute("preserveAspectRatio", "xMinYMid");
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
    if (el.tagName === "svg") fit(el);
    if (el.tagName === "path") el.setAttribute("d", lighter(el.getAttribute("d") ?? ""));
    if (el.id && !el.closest("svg")) el.removeAttribute("id");
    for (const name of ["for", "tabindex", "aria-live", "data-value", "data-state"]) el.removeAttribute(name);
    if (el.getAttribute("role") === "status") el.removeAttribute("role");
  }
  renumber(root, "");
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
  renumber(wide[0], `${request.mark}-`);
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

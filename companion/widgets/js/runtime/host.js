// Brings the widgets of a static page to life: a host for the anywidget interface, without a kernel.
import { page, runScript } from "./assets.js";
import { follow, linkable, settable } from "./links.js";

/** @typedef {() => void} Listener */

/** What render() expects of a model, over the state that the page holds. No kernel is connected to it. */
class PageModel {
  /** @type {{ [name: string]: unknown }} */
  #state;
  /** @type {Map<string, Set<Listener>>} */
  #listeners = new Map();
  /** How often a trait was set. */
  sets = 0;

  /** @param {{ [name: string]: unknown }} state */
  constructor(state) {
    this.#state = state;
  }

  /** @param {string} name */
  get(name) {
    return this.#state[name];
  }

  /** @param {string} name @param {unknown} value */
  set(name, value) {
    this.sets += 1;
    this.update({ [name]: value });
  }

  /** Set several at once: each listener finds all of them set. @param {{ [name: string]: unknown }} values */
  update(values) {
    const changed = Object.keys(values).filter((name) => !Object.is(this.#state[name], values[name]));
    Object.assign(this.#state, values);
    for (const event of changed.flatMap((name) => [`change:${name}`, "change"])) {
      for (const listener of [...(this.#listeners.get(event) ?? [])]) listener();
    }
  }

  save_changes() {}

  send() {}

  /** @param {string} event @param {Listener} listener */
  on(event, listener) {
    const known = this.#listeners.get(event) ?? new Set();
    this.#listeners.set(event, known.add(listener));
  }

  /** @param {string} [event] @param {Listener} [listener] */
  off(event, listener) {
    if (event && listener) this.#listeners.get(event)?.delete(listener);
    else if (event) this.#listeners.delete(event);
    else this.#listeners.clear();
  }
}

/** @param {string} className @param {string} [role] */
const element = (className, role) => {
  const el = document.createElement("div");
  el.className = className;
  if (role) el.setAttribute("role", role);
  return el;
};

/**
 * The widget's state; pictures that the preview shows too stand there alone (companion/site/prerender.py).
 * @param {HTMLElement} box @param {Element | null} preview
 */
function stateOf(box, preview) {
  const pictures = preview?.querySelectorAll("img") ?? [];
  const script = box.querySelector(':scope > script[type="application/json"]');
  return JSON.parse(script?.textContent ?? "", (_, value) =>
    value?.$img === undefined ? value : pictures[value.$img].getAttribute("src"),
  );
}

/** A widget's module; one that loads when it is touched comes by a script of its own. @param {HTMLElement} box */
async function moduleOf({ dataset: { widget: name = "", lazy } }) {
  if (lazy !== undefined && !page.widgets.has(name)) await runScript(`${page.site}page-${name}.js?${lazy}`);
  const widget = page.widgets.get(name);
  if (!widget) throw new Error(`this page has no widget called ${name}`);
  return widget;
}

/**
 * Whether the reader presses the preview's button that wakes the widget, until it lives. A finger or mouse that
 * is down is waited for.
 * @param {Element | null} preview @param {Event | undefined} touch what woke it
 */
function watchPress(preview, touch) {
  let pressed = false;
  preview?.addEventListener("click", ({ target }) => {
    pressed ||= /** @type {Element} */ (target).closest("[data-wakes]") !== null;
  });
  const up = new Promise((resolve) => {
    if (touch?.type !== "pointerdown") return resolve(null);
    // The click comes right after.
    for (const end of ["pointerup", "pointercancel"])
      addEventListener(end, () => setTimeout(resolve), { once: true });
  });
  return {
    up,
    /** The preview goes: whether its focus and a press are to follow. */
    end() {
      const isFocused = document.activeElement?.closest(".companion-preview") === preview;
      preview?.remove();
      return { isFocused, pressed };
    },
  };
}

/**
 * Render one widget beneath its preview, and change them over once it has something to show.
 * @param {HTMLElement} box
 * @param {Event} [touch] what woke it
 */
async function mount(box, touch) {
  const preview = box.querySelector(":scope > .companion-preview");
  const status = element("companion-status", "status");
  const live = element("companion-live");
  const press = watchPress(preview, touch);
  live.inert = true; // laid out in the preview's place, but neither seen nor focused yet
  box.append(live, status);
  box.dataset.state = "waiting";
  const slow = setTimeout(() => {
    status.textContent = "Loading the model …";
  }, 700);
  const settle = (/** @type {string} */ state, text = "") => {
    clearTimeout(slow);
    box.dataset.state = state;
    status.textContent = text;
  };
  try {
    const widget = await moduleOf(box);
    const model = new PageModel(stateOf(box, preview));
    const made = settable(box, live, model);
    const ready = new Promise((resolve, reject) => {
      live.addEventListener("companion-ready", resolve, { once: true });
      const fail = (/** @type {Event} */ event) => reject(/** @type {CustomEvent} */ (event).detail);
      live.addEventListener("companion-failed", fail, { once: true });
    });
    ready.catch(() => {}); // a widget may fail before anybody waits for it
    await widget.render({ model, el: live });
    // A widget that has to load something says so; the others have drawn by now.
    if (live.querySelector('[data-state="waiting"]')) await ready;
    await press.up;
    live.inert = false;
    const { isFocused, pressed } = press.end();
    settle("live");
    /** @type {HTMLElement | null} */
    const button = live.querySelector("[data-wakes]");
    if (isFocused) button?.focus({ preventScroll: true });
    if (pressed) button?.click();
    return made;
  } catch (error) {
    live.remove();
    settle("failed", `This figure stays as it is: ${error instanceof Error ? error.message : error}`);
    console.error(error);
    return undefined;
  }
}

/** Find the page's widgets; each one starts when it nears the window or is touched, a lazy one when it is touched. */
export function start() {
  const script = /** @type {HTMLScriptElement} */ (document.currentScript);
  page.site = new URL(".", script.src).href;
  const wake = (/** @type {HTMLElement} */ box, /** @type {Event | undefined} */ touch = undefined) => {
    if (box.dataset.state) return;
    near.unobserve(box);
    linkable.alive(box, mount(box, touch));
  };
  const near = new IntersectionObserver(
    (entries) => {
      for (const { isIntersecting, target } of entries)
        if (isIntersecting) wake(/** @type {HTMLElement} */ (target));
    },
    { rootMargin: "400px 0px" },
  );
  const watch = () => {
    /** @type {NodeListOf<HTMLElement>} */
    const boxes = document.querySelectorAll(".companion-widget:not([data-state])");
    for (const box of boxes) {
      linkable.mark(box);
      if (box.dataset.lazy === undefined) near.observe(box);
      for (const touch of ["pointerdown", "focusin"]) {
        box.addEventListener(touch, (event) => wake(box, event), { once: true, passive: true });
      }
    }
    follow(wake);
    addEventListener("hashchange", () => follow(wake));
  };
  if (document.readyState === "loading") addEventListener("DOMContentLoaded", watch);
  else watch();
}

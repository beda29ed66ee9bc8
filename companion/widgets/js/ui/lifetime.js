// When a widget draws, what it listens to, and how all of that ends.

import { slider } from "./controls.js";

/** @import { AnyModel } from "@anywidget/types" */
/** @import { SliderOptions } from "./controls.js" */
/** @template {Record<string, any>} T @typedef {ReturnType<typeof bindTraits<T>>} Traits */

/**
 * A function that calls `draw` once in the next animation frame, however often it is called.
 * @param {() => void} draw
 */
export function perFrame(draw) {
  let pending = 0;
  return () => {
    if (pending) return;
    pending = requestAnimationFrame(() => {
      pending = 0;
      draw();
    });
  };
}

/**
 * The width of an element in CSS pixels, 0 until it is laid out. `draw` follows each change, until `stop`.
 * @param {Element} el
 * @param {() => void} draw
 */
export function observeWidth(el, draw) {
  const observer = new ResizeObserver((entries) => {
    const next = Math.floor(entries[0].contentRect.width);
    if (next === observed.width || next === 0) return;
    observed.width = next;
    draw();
  });
  const observed = { width: 0, stop: () => observer.disconnect() };
  observer.observe(el);
  return observed;
}

/**
 * The traits that a widget shows: `draw` follows whoever sets one, until `stop`. `put` sets some as the
 * reader asks and tells Python; `touched` counts how often, for a widget that nobody has touched has nothing
 * to announce.
 * @template {Record<string, any>} T
 * @param {AnyModel<T>} model
 * @param {(keyof T & string)[]} names
 * @param {() => void} draw
 */
export function bindTraits(model, names, draw) {
  for (const name of names) model.on(`change:${name}`, draw);
  const traits = {
    model,
    draw,
    touched: 0,
    /** @param {Partial<T>} changes */
    put(changes) {
      for (const [name, value] of Object.entries(changes)) model.set(name, value);
      model.save_changes();
      traits.touched += 1;
      draw();
    },
    stop() {
      for (const name of names) model.off(`change:${name}`, draw);
    },
  };
  return traits;
}

/**
 * A slider that shows a trait, which needs no other binding, and puts what the reader asks.
 * @template {Record<string, any>} T
 * @param {Traits<T>} traits
 * @param {keyof T & string} name
 * @param {Omit<SliderOptions, "value">} options
 */
export function traitSlider(traits, name, options) {
  const { model, stop } = traits;
  const onInput = (/** @type {number} */ value) => traits.put(/** @type {Partial<T>} */ ({ [name]: value }));
  const made = slider({ quantity: name, onInput, ...options, value: model.get(name) });
  const follow = () => {
    made.set(model.get(name));
    traits.draw();
  };
  model.on(`change:${name}`, follow);
  traits.stop = () => {
    model.off(`change:${name}`, follow);
    stop();
  };
  return made;
}

/**
 * What render() returns: a function that ends all that goes on.
 * @param {...() => void} stops
 */
export const lifetime =
  (...stops) =>
  () => {
    for (const stop of stops) stop();
  };

/**
 * Tell the page (and tests) that a widget is "ready", has "failed" or has "painted": the event
 * `companion-…` bubbles up from `el`.
 * @param {Element} el
 * @param {string} what
 * @param {unknown} [detail]
 */
export const emit = (el, what, detail) =>
  el.dispatchEvent(new CustomEvent(`companion-${what}`, { bubbles: true, detail }));

/**
 * What to do when a widget cannot go on: its frame is marked as failed, and a page that still shows the
 * preview keeps it.
 * @param {HTMLElement} root the frame
 * @param {(error: Error) => void} [say] tell the reader
 */
export const failing = (root, say) => (/** @type {Error} */ error) => {
  root.dataset.state = "failed";
  say?.(error);
  emit(root, "failed", error);
};

/**
 * For a widget that has to load something before it can draw: its frame is marked as waiting, and as ready
 * when `loading` has ended. A page shows the widget's preview until then.
 * @param {HTMLElement} root the frame
 * @param {Promise<unknown>} loading
 * @param {(error: Error) => void} [fail] see `failing`
 */
export function whenLoaded(root, loading, fail = failing(root)) {
  root.dataset.state = "waiting";
  loading
    .then(() => {
      root.dataset.state = "ready";
      emit(root, "ready");
    })
    .catch(fail);
}

/**
 * Call `onChange` when an element comes into view of a reader or leaves it.
 * @param {Element} el @param {(inView: boolean) => void} onChange
 */
export function watchView(el, onChange) {
  let near = false;
  let last = false;
  const check = () => {
    const now = near && !document.hidden;
    if (now === last) return;
    last = now;
    onChange(now);
  };
  const observer = new IntersectionObserver((entries) => {
    near = entries[entries.length - 1].isIntersecting;
    check();
  });
  observer.observe(el);
  document.addEventListener("visibilitychange", check);
  return () => {
    observer.disconnect();
    document.removeEventListener("visibilitychange", check);
  };
}

/** Whether the reader's system asks for less motion. */
export const reducedMotion = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

/**
 * Takes steps one after the other, `pause` milliseconds apart, or all at once for a reader who wants less
 * motion. `take` begins anew.
 * @param {() => void} step
 */
export function stepper(step, pause = 60) {
  /** @type {ReturnType<typeof setTimeout>} */
  let timer;
  const walk = (/** @type {number} */ left) => {
    step();
    if (left > 1) timer = setTimeout(walk, pause, left - 1);
  };
  const stop = () => clearTimeout(timer);
  return {
    stop,
    /** @param {number} count */
    take(count) {
      stop();
      if (reducedMotion()) for (let i = 0; i < count; i += 1) step();
      else walk(count);
    },
  };
}

/**
 * Go on with some work until `end`, but some steps at least; null if more is to do.
 * @template T @param {Generator<undefined, T>} work @param {number} end @param {number} least steps
 * @returns {{ value: T } | null}
 */
export function slice(work, end, least) {
  for (let steps = 0; ; steps += 1) {
    const next = work.next();
    if (next.done) return next;
    if (steps >= least && performance.now() > end) return null;
  }
}

/**
 * `send`, called at most once in `pause` milliseconds, the last time always.
 * @param {() => void} send
 * @param {number} pause
 */
export function throttle(send, pause) {
  let timer = 0;
  let waiting = false;
  const call = () => {
    waiting = timer !== 0;
    if (waiting) return;
    timer = window.setTimeout(() => {
      timer = 0;
      if (waiting) call();
    }, pause);
    send();
  };
  return call;
}

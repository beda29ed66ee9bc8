// The controls and small text parts that every widget is made of. Their look is widgets.css.
// A string given to anything here becomes text, never markup; a Node is put in as it is.

/** @typedef {string | Node} Content text, or an element as it is */
/** @typedef {Content | null | undefined} Child null and undefined are left out */
/** @typedef {{ [name: string]: any }} Attributes on… is a listener; null, undefined and false are left out */
// Bundles each carry a copy of this module, so ids need more than a counter to be unique in a page.
const family = Math.random().toString(36).slice(2, 8);
let made = 0;

/** An id, or the name of a radio group, that nothing else in the page has. */
export function newId() {
  made += 1;
  return `companion-${family}-${made}`;
}

/**
 * An element: h("p", {class: "x", "aria-label": "…", onclick: f, data: {quantity: "kl"}}, …children).
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Attributes} [attributes]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(tag, attributes = {}, ...children) {
  const el = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "data")
      for (const key in value) {
        if (value[key] !== undefined) el.dataset[key] = value[key];
      }
    else if (typeof value === "function") el.addEventListener(name.slice(2), value);
    else el.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children) if (child !== undefined && child !== null) el.append(child);
  return el;
}

/** @param {number} value @param {number} low @param {number} high */
export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

// ---------------------------------------------------------------- numbers

/** "−1.50": fixed decimals with a true minus sign and no negative zero. @param {number} value */
export function fixed(value, digits = 2) {
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
}

/** "+1.50" or "−1.50"; zero has no sign. @param {number} value */
export function signed(value, digits = 2) {
  const text = fixed(value, digits);
  return Number(value.toFixed(digits)) > 0 ? `+${text}` : text;
}

/** "minus 1.50": for screen readers, many of which pass over a minus sign. @param {number} value */
export function spoken(value, digits = 2) {
  return fixed(value, digits).replace("−", "minus ");
}

/** 10000 → "10 000", with a narrow space that does not break. @param {number} value */
export function grouped(value) {
  return String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/**
 * A shown number: <span data-quantity="kl" data-value="0.123456…">0.123</span>.
 * `data-value` carries it at full precision. A `format` that can write null may be given null.
 * @param {{ quantity?: string, value: number | null, format?: (value: any) => string }} options
 */
export function number({ quantity, value, format = fixed }) {
  const el = h("span", { class: "companion-number", data: { quantity } });
  /** @type {number | null | undefined} */
  let current;
  const set = (/** @type {number | null} */ next) => {
    if (next === current) return;
    current = next;
    el.dataset.value = String(next);
    el.textContent = format(next);
  };
  set(value);
  return { el, set };
}

/**
 * Numbers in sentences and formulas; the same quantity may stand in several places.
 * @param {(value: any) => string} [format] of those that name none of their own
 */
export function readouts(format = fixed) {
  /** @type {Map<string, { set(value: number | null): void }[]>} */
  const all = new Map();
  return {
    /** An element that shows `quantity` from now on. @param {string} quantity */
    make(quantity, own = format) {
      const shown = number({ quantity, value: 0, format: own });
      all.set(quantity, [...(all.get(quantity) ?? []), shown]);
      return shown.el;
    },
    /** @param {{ [quantity: string]: number | null }} values */
    set(values) {
      for (const [quantity, value] of Object.entries(values)) {
        for (const shown of all.get(quantity) ?? []) shown.set(value);
      }
    },
  };
}

// ---------------------------------------------------------------- mathematics

/**
 * Mathematics in plain HTML: maths("½(μ^2 + σ_x^2)"). Single letters are set italic, words (log, KL)
 * and N (0, 1) upright; _ and ^ take one character or {a group}.
 * @param {string} source
 */
export function maths(source) {
  const el = h("span", { class: "companion-maths" });
  let last = 0;
  const letters = (/** @type {string} */ text, /** @type {Element} */ into) => {
    for (const part of text.match(/\p{L}+|[^\p{L}]+/gu) ?? []) {
      const variable = /^\p{L}$/u.test(part) && part !== "N";
      into.append(variable ? h("i", {}, part) : part);
    }
  };
  for (const match of source.matchAll(/([_^])(?:\{([^}]*)\}|(.))/gu)) {
    letters(source.slice(last, match.index), el);
    const script = h(match[1] === "_" ? "sub" : "sup");
    letters(match[2] ?? match[3], script);
    el.append(script);
    last = match.index + match[0].length;
  }
  letters(source.slice(last), el);
  return el;
}

// ---------------------------------------------------------------- controls

/**
 * @typedef {object} SliderOptions
 * @property {Content} label
 * @property {string} [name] what a screen reader says when the label is a symbol
 * @property {number} min
 * @property {number} max
 * @property {number | "any"} [step]
 * @property {number} value
 * @property {number} [neutral] where the filled part of the track begins and where a double click or
 *   Backspace leads back to (left end if not given)
 * @property {"linear" | "log"} [scale] "log": equal ways along the track are equal ratios; `step` is then a
 *   ratio such as 1.02
 * @property {(value: number) => string} [format] the readout
 * @property {(value: number) => string} [describe] what is spoken (the readout if not given)
 * @property {Content} [annotation] stands under the track (a bar, an arrow, a note)
 * @property {string} [quantity] the readout's data-quantity
 * @property {(value: number) => void} [onInput] on each move by the reader
 */

/**
 * A labelled slider: a native range input with its readout.
 *
 * `set` keeps values between steps; `limit` moves the right end of a linear slider, and the value with it
 * where it must.
 * @param {SliderOptions} options
 */
export function slider({
  label,
  name,
  min,
  max,
  step = "any",
  value,
  neutral,
  scale = "linear",
  format = fixed,
  describe,
  annotation,
  quantity,
  onInput,
}) {
  const id = newId();
  const origin = neutral ?? min;
  const ratio = scale === "log" && typeof step === "number" ? step : null;
  /** @param {number} v */
  const toTrack = (v) => (ratio ? Math.log(v / origin) / Math.log(ratio) : v);
  /** @param {number} t */
  const fromTrack = (t) => {
    if (!ratio) return t;
    // The ends are what they are called, whether or not a whole number of steps leads there.
    if (t <= Number(input.min)) return min;
    if (t >= Number(input.max)) return max;
    return Number((origin * ratio ** t).toPrecision(3));
  };

  const input = h("input", {
    id,
    type: "range",
    class: "companion-range",
    "aria-label": name,
    min: ratio ? Math.round(toTrack(min)) : min,
    max: ratio ? Math.round(toTrack(max)) : max,
    step: ratio ? 1 : step,
  });
  const output = h("output", { class: "companion-readout", for: id, "aria-live": "off", data: { quantity } });
  const el = h(
    "div",
    { class: "companion-slider" },
    h("label", { class: "companion-label", for: id }, label),
    input,
    output,
    annotation ? h("div", { class: "companion-annotation" }, annotation) : null,
  );
  if (neutral !== undefined) el.dataset.neutral = "";

  /** @param {number} v */
  const share = (v) =>
    String((toTrack(v) - Number(input.min)) / (Number(input.max) - Number(input.min) || 1));
  input.style.setProperty("--origin", share(origin));
  /** @type {number} */
  let current;
  const show = () => {
    input.style.setProperty("--share", share(current));
    output.dataset.value = String(current);
    output.textContent = format(current);
    input.setAttribute("aria-valuetext", describe ? describe(current) : output.textContent);
  };
  /** @param {number} next */
  const set = (next) => {
    if (next !== current) {
      current = next;
      input.value = String(toTrack(clamp(next, min, max)));
    } else if (!describe) return; // what it describes may have changed
    show();
  };
  /** @param {number} next */
  const move = (next) => {
    if (next === current) return;
    current = next;
    show();
    onInput?.(current);
  };
  input.addEventListener("input", () => move(clamp(fromTrack(Number(input.value)), min, max)));
  const reset = () => {
    input.value = String(toTrack(origin));
    move(origin);
  };
  /** @param {number} next */
  const limit = (next) => {
    if (next === max) return;
    max = next;
    input.max = String(next);
    current = clamp(current, min, max);
    input.value = String(toTrack(current));
    input.style.setProperty("--origin", share(origin));
    show();
  };
  if (neutral !== undefined) {
    input.addEventListener("dblclick", reset);
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Backspace" && event.key !== "Delete") return;
      event.preventDefault();
      reset();
    });
  }
  set(value);
  return { el, input, output, get: () => current, set, limit };
}

/**
 * @typedef {object} ButtonOptions
 * @property {Content} label
 * @property {() => void} onClick
 * @property {string} [title]
 * @property {"plain" | "primary" | "quiet"} [kind]
 */

/** A button. @param {ButtonOptions} options */
export function button({ label, onClick, title, kind = "plain" }) {
  const el = h(
    "button",
    { type: "button", class: `companion-button companion-${kind}`, title, onclick: () => onClick() },
    label,
  );
  return {
    el,
    /** @param {boolean} on */
    enable(on) {
      el.disabled = !on;
    },
  };
}

/**
 * One of several choices: its value, or the value and what is shown for it.
 * @typedef {any} Option
 */

/** @param {Option} option @returns {{ value: any, label: Content }} */
const asOption = (option) => (typeof option === "object" ? option : { value: option, label: String(option) });

/**
 * A labelled native select; `options` are strings or {value, label}.
 * @param {{ label: Content, options: Option[], value?: any, onChange?: (value: any) => void }} options
 */
export function select({ label, options, value, onChange }) {
  const id = newId();
  const known = options.map(asOption);
  const input = h(
    "select",
    { id, class: "companion-select" },
    ...known.map((option, i) => h("option", { value: i }, option.label)),
  );
  const get = () => known[input.selectedIndex]?.value;
  /** @param {any} next */
  const set = (next) => {
    input.selectedIndex = known.findIndex((option) => option.value === next);
  };
  input.addEventListener("change", () => onChange?.(get()));
  set(value ?? known[0]?.value);
  const el = h(
    "div",
    { class: "companion-field" },
    h("label", { class: "companion-label", for: id }, label),
    input,
  );
  return { el, input, get, set };
}

/**
 * An on/off switch.
 * @param {{ label: Content, checked?: boolean, onChange?: (checked: boolean) => void }} options
 */
export function toggle({ label, checked = false, onChange }) {
  const id = newId();
  const input = h("input", { id, type: "checkbox", role: "switch", class: "companion-switch" });
  input.checked = checked;
  input.addEventListener("change", () => onChange?.(input.checked));
  const el = h(
    "div",
    { class: "companion-toggle" },
    input,
    h("label", { class: "companion-label", for: id }, label),
  );
  return {
    el,
    input,
    get: () => input.checked,
    /** @param {boolean} next */
    set(next) {
      input.checked = next;
    },
  };
}

/**
 * A few exclusive choices side by side (a radio group); `options` are values or {value, label}.
 * @param {{ label: Content, options: Option[], value?: any, onChange?: (value: any) => void }} options
 */
export function segmented({ label, options, value, onChange }) {
  const group = newId();
  const known = options.map(asOption);
  const inputs = known.map((_, i) =>
    h("input", { type: "radio", class: "companion-cover", name: group, value: i }),
  );
  const get = () => known[inputs.findIndex((input) => input.checked)]?.value;
  /** @param {any} next */
  const set = (next) =>
    inputs.forEach((input, i) => {
      input.checked = known[i].value === next;
    });
  for (const input of inputs) input.addEventListener("change", () => onChange?.(get()));
  set(value ?? known[0]?.value);
  const el = h(
    "fieldset",
    { class: "companion-segmented" },
    h("legend", { class: "companion-label" }, label),
    h(
      "div",
      { class: "companion-segments" },
      ...known.map((option, i) => h("label", {}, inputs[i], h("span", {}, option.label))),
    ),
  );
  return { el, get, set };
}

// ---------------------------------------------------------------- parts of a widget

/**
 * The frame of a widget: a titled group. Put it into the `el` that render() is given.
 * `describe` is a sentence for everybody under the title.
 * @param {{ title?: string, describe?: string }} options
 * @param {...Child} parts
 */
export function frame({ title, describe }, ...parts) {
  const id = newId();
  // Colab cuts an output at 1000 pixels unless it is asked for more; nobody else has this function.
  const { google } = /** @type {any} */ (globalThis);
  google?.colab?.output?.setIframeHeight?.(0, true, { maxHeight: 5000 });
  return h(
    "section",
    {
      class: "companion",
      "aria-labelledby": title ? id : undefined,
      // JupyterLab would take arrow keys and Enter for its own shortcuts; it leaves marked elements alone.
      onfocusin: (/** @type {FocusEvent} */ event) => {
        if (event.target instanceof HTMLElement) event.target.dataset.lmSuppressShortcuts = "true";
      },
    },
    h(
      "div",
      { class: "companion-body" },
      title ? h("p", { class: "companion-title", id }, title) : null,
      describe ? h("p", { class: "companion-lead" }, describe) : null,
      ...parts,
    ),
  );
}

/** A sub-area with a small heading. @param {{ title?: string }} options @param {...Child} parts */
export function panel({ title }, ...parts) {
  return h(
    "div",
    { class: "companion-panel", role: title ? "group" : undefined, "aria-label": title },
    title ? h("p", { class: "companion-heading", "aria-hidden": "true" }, title) : null,
    ...parts,
  );
}

/** Parts under each other. @param {...Child} parts */
export const stack = (...parts) => h("div", { class: "companion-stack" }, ...parts);

/** Side by side when there is room, else under each other. @param {Child[]} left @param {Child[]} right */
export const split = (left, right) => h("div", { class: "companion-split" }, stack(...left), stack(...right));

/**
 * A titled part with a rule above it. `name` is what a screen reader says if it is not the title.
 * @param {{ title: Content, name?: string }} options
 * @param {...Child} parts
 */
export function plate({ title, name }, ...parts) {
  const label = name ?? (typeof title === "string" ? title : title.textContent);
  return h(
    "div",
    { class: "companion-plate", role: "group", "aria-label": label },
    h("p", { class: "companion-heading", "aria-hidden": "true" }, title),
    ...parts,
  );
}

/** Sliders under each other, labels and readouts in line. @param {...Child} items */
export const sliders = (...items) => h("div", { class: "companion-sliders" }, ...items);

/** Buttons and fields beside each other, wrapping. @param {...Child} items */
export const row = (...items) => h("div", { class: "companion-row" }, ...items);

/** A remark in small print. @param {...Child} parts */
export const note = (...parts) => h("p", { class: "companion-note" }, ...parts);

/** A picture with its caption. @param {Node} picture @param {Content} [caption] */
export const figure = (picture, caption) =>
  h(
    "figure",
    { class: "companion-figure" },
    picture,
    caption ? h("figcaption", { class: "companion-caption" }, caption) : null,
  );

/**
 * @typedef {object} LegendItem
 * @property {string} token a colour of widgets.css ("data-1", "plus", …)
 * @property {Content} label
 * @property {"area" | "line" | "dashed" | "dotted" | "dot"} [mark]
 */

/** A legend. @param {LegendItem[]} items */
export function legend(items) {
  return h(
    "ul",
    { class: "companion-legend" },
    ...items.map(({ token, label, mark = "area" }) => {
      const key = h("span", {
        class: `companion-key companion-key-${mark}`,
        data: { tint: token },
        "aria-hidden": "true",
      });
      return h("li", {}, key, label);
    }),
  );
}

/**
 * A thin bar for a share of 0…1, to stand beside a number or as a slider's annotation.
 * @param {{ share?: number, token?: string, title?: string }} [options]
 */
export function bar({ share = 0, token = "accent", title } = {}) {
  const el = h("span", { class: "companion-bar", title, data: { tint: token }, "aria-hidden": "true" });
  /** @param {number} next */
  const set = (next) => el.style.setProperty("--share", String(clamp(next, 0, 1)));
  set(share);
  return { el, set };
}

/**
 * A line that says what goes on: set("…"), set("…", "error"), set("") hides it. One that only asks the reader
 * to wait is of kind "waiting" and does not stand in a page before the widget lives.
 */
export function notice(text = "", /** @type {"info" | "waiting" | "error"} */ kind = "info") {
  const el = h("p", { class: "companion-notice", role: "status" });
  /** @param {string} next @param {"info" | "waiting" | "error"} [nextKind] */
  const set = (next, nextKind = "info") => {
    el.textContent = next;
    el.dataset.kind = nextKind;
    el.hidden = !next;
  };
  set(text, kind);
  return { el, set };
}

/** Says what changed to screen readers once the reader pauses for 0.6 s. */
export function announcer() {
  const el = h("div", { class: "companion-spoken", role: "status", "aria-live": "polite" });
  /** @type {ReturnType<typeof setTimeout>} */
  let timer;
  return {
    el,
    /** @param {string} text */
    say(text) {
      clearTimeout(timer);
      timer = setTimeout(() => {
        el.textContent = text;
      }, 600);
    },
  };
}

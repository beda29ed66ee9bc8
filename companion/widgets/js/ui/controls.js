// The controls and small text parts that every widget is made of. Their look is widgets.css.
// A string given to anything here becomes text, never markup; a Node is put in as it is.

// Bundles each carry a copy of this module, so ids need more than a counter to be unique in a page.
const family = Math.random().toString(36).slice(2, 8);
let born = 0;
const newId = () => `companion-${family}-${(born += 1)}`;

/** An element: h("p", {class: "x", "aria-label": "…", onclick: f, data: {quantity: "kl"}}, …children). */
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
  el.append(...children.filter((child) => child !== undefined && child !== null));
  return el;
}

// ---------------------------------------------------------------- numbers

/** "−1.50": fixed decimals with a true minus sign and no negative zero. */
export function fixed(value, digits = 2) {
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
}

/** "+1.50" or "−1.50"; zero has no sign. */
export function signed(value, digits = 2) {
  const text = fixed(value, digits);
  return Number(value.toFixed(digits)) > 0 ? `+${text}` : text;
}

/** "minus 1.50": for screen readers, many of which pass over a minus sign. */
export function spoken(value, digits = 2) {
  return fixed(value, digits).replace("−", "minus ");
}

/** 10000 → "10 000", with a narrow space that does not break. */
export function grouped(value) {
  return String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/**
 * A shown number: <span data-quantity="kl" data-value="0.123456…">0.123</span>.
 * `data-value` carries it at full precision. -> {el, get(), set(value)}
 */
export function number({ quantity, value, format = fixed }) {
  const el = h("span", { class: "companion-number", data: { quantity } });
  let current;
  const set = (next) => {
    if (next === current) return;
    current = next;
    el.dataset.value = String(next);
    el.textContent = format(next);
  };
  set(value);
  return { el, get: () => current, set };
}

// ---------------------------------------------------------------- mathematics

/**
 * Mathematics in plain HTML: maths("½(μ^2 + σ_x^2)"). Single letters are set italic, words (log, KL)
 * and N (0, 1) upright; _ and ^ take one character or {a group}.
 */
export function maths(source) {
  const el = h("span", { class: "companion-maths" });
  let last = 0;
  const letters = (text, into) => {
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
 * A labelled slider: a native range input with its readout.
 *
 * - `label`: string or Node; `name`: what a screen reader says when the label is a symbol
 * - `min`, `max`, `step`, `value`; `neutral`: where the filled part of the track begins and where a
 *   double click or Backspace leads back to (left end if not given)
 * - `scale: "log"`: equal ways along the track are equal ratios; `step` is then a ratio such as 1.02
 * - `format(value)`: the readout; `describe(value)`: what is spoken (the readout if not given)
 * - `annotation`: a Node under the track (a bar, an arrow, a note)
 * - `quantity`: the readout's data-quantity
 * - `onInput(value)`: on each move by the reader; `onChange(value)`: when the reader lets go
 *
 * -> {el, input, output, get(), set(value), limit(max)}; `set` calls nobody back and keeps values between
 * steps; `limit` moves the right end of a linear slider, and the value with it where it must.
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
  onChange,
}) {
  const id = newId();
  const origin = neutral ?? min;
  const log = scale === "log";
  const clamp = (v) => Math.min(max, Math.max(min, v));
  const toTrack = log ? (v) => Math.log(v / origin) / Math.log(step) : (v) => v;
  const fromTrack = log ? (t) => Number((origin * step ** t).toPrecision(3)) : (t) => t;

  const input = h("input", {
    id,
    type: "range",
    class: "companion-range",
    "aria-label": name,
    min: log ? Math.round(toTrack(min)) : min,
    max: log ? Math.round(toTrack(max)) : max,
    step: log ? 1 : step,
  });
  const output = h("output", { class: "companion-readout", for: id, "aria-live": "off", data: { quantity } });
  const el = h(
    "div",
    { class: "companion-slider" },
    h("label", { class: "companion-label", for: id }, label),
    input,
    output,
  );
  if (annotation) el.append(h("div", { class: "companion-annotation" }, annotation));
  if (neutral !== undefined) el.dataset.neutral = "";

  const share = (v) => (toTrack(v) - Number(input.min)) / (Number(input.max) - Number(input.min) || 1);
  input.style.setProperty("--origin", share(origin));
  let current;
  const show = () => {
    input.style.setProperty("--share", share(current));
    output.dataset.value = String(current);
    output.textContent = format(current);
    input.setAttribute("aria-valuetext", describe ? describe(current) : output.textContent);
  };
  const set = (next) => {
    if (next === current) return;
    current = next;
    input.value = toTrack(clamp(next));
    show();
  };
  const move = (next) => {
    if (next === current) return;
    current = next;
    show();
    onInput?.(current);
  };
  input.addEventListener("input", () => move(clamp(fromTrack(Number(input.value)))));
  input.addEventListener("change", () => onChange?.(current));
  const reset = () => {
    input.value = toTrack(origin);
    move(origin);
    onChange?.(current);
  };
  const limit = (next) => {
    if (next === max) return;
    max = next;
    input.max = next;
    current = clamp(current);
    input.value = toTrack(current);
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

/** A button; `kind` "plain" (default), "primary" or "quiet". -> {el, enable(on)} */
export function button({ label, onClick, title, kind = "plain" }) {
  const el = h(
    "button",
    { type: "button", class: `companion-button companion-${kind}`, title, onclick: onClick },
    label,
  );
  return {
    el,
    enable: (on) => {
      el.disabled = !on;
    },
  };
}

const asOption = (option) => (typeof option === "object" ? option : { value: option, label: String(option) });

/** A labelled native select; `options` are strings or {value, label}. -> {el, input, get(), set(value)} */
export function select({ label, options, value, onChange }) {
  const id = newId();
  const known = options.map(asOption);
  const input = h(
    "select",
    { id, class: "companion-select" },
    ...known.map((option, i) => h("option", { value: i }, option.label)),
  );
  const get = () => known[input.selectedIndex]?.value;
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

/** An on/off switch. -> {el, input, get(), set(checked)} */
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
    set: (next) => {
      input.checked = next;
    },
  };
}

/** A few exclusive choices side by side (a radio group). -> {el, get(), set(value)} */
export function segmented({ label, options, value, onChange }) {
  const group = newId();
  const known = options.map(asOption);
  const inputs = known.map((_, i) =>
    h("input", { type: "radio", class: "companion-cover", name: group, value: i }),
  );
  const get = () => known[inputs.findIndex((input) => input.checked)]?.value;
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
 * `describe` is a sentence for everybody under the title. -> the element to append parts to
 */
export function frame({ title, describe }, ...parts) {
  const id = newId();
  // JupyterLab would take arrow keys and Enter for its own shortcuts; it leaves marked elements alone.
  const onfocusin = (event) => {
    event.target.dataset.lmSuppressShortcuts = "true";
  };
  return h(
    "section",
    { class: "companion", "aria-labelledby": title ? id : undefined, onfocusin },
    h(
      "div",
      { class: "companion-body" },
      title ? h("p", { class: "companion-title", id }, title) : null,
      describe ? h("p", { class: "companion-lead" }, describe) : null,
      ...parts,
    ),
  );
}

/** A sub-area with a small heading. */
export function panel({ title }, ...parts) {
  return h(
    "div",
    { class: "companion-panel", role: title ? "group" : undefined, "aria-label": title },
    title ? h("p", { class: "companion-heading", "aria-hidden": "true" }, title) : null,
    ...parts,
  );
}

/** Sliders under each other, labels and readouts in line. */
export const sliders = (...items) => h("div", { class: "companion-sliders" }, ...items);

/** Buttons and fields beside each other, wrapping. */
export const row = (...items) => h("div", { class: "companion-row" }, ...items);

/** A picture with its caption. */
export const figure = (picture, caption) =>
  h(
    "figure",
    { class: "companion-figure" },
    picture,
    caption ? h("figcaption", { class: "companion-caption" }, caption) : null,
  );

/** A legend: items {token, label, mark} with `token` a colour of widgets.css ("data-1", "plus", …) and
 * `mark` "area" (default), "line", "dashed", "dotted" or "dot". */
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

/** A thin bar for a share of 0…1, to stand beside a number or as a slider's annotation. -> {el, set(share)} */
export function bar({ share = 0, token = "accent", title } = {}) {
  const el = h("span", { class: "companion-bar", title, data: { tint: token }, "aria-hidden": "true" });
  const set = (next) => el.style.setProperty("--share", Math.min(1, Math.max(0, next)));
  set(share);
  return { el, set };
}

/** A line that says what goes on: set("Loading the model …"), set("…", "error"), set("") hides it. */
export function notice(text = "", kind = "info") {
  const el = h("p", { class: "companion-notice", role: "status" });
  const set = (next, nextKind = "info") => {
    el.textContent = next;
    el.dataset.kind = nextKind;
    el.hidden = !next;
  };
  set(text, kind);
  return { el, set };
}

/** Says what changed to screen readers once the reader pauses for 0.6 s. -> {el, say(text)} */
export function announcer() {
  const el = h("div", { class: "companion-spoken", role: "status", "aria-live": "polite" });
  let timer;
  return {
    el,
    say(text) {
      clearTimeout(timer);
      timer = setTimeout(() => {
        el.textContent = text;
      }, 600);
    },
  };
}

// ---------------------------------------------------------------- when to draw

/** A function that calls `draw` once in the next animation frame, however often it is called. */
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
 * The traits that a widget shows: `draw` follows whoever sets one, until `stop`. `put` sets some as the reader asks and
 * tells Python; `touched` counts how often, for a widget that nobody has touched has nothing to announce.
 */
export function traits(model, names, draw) {
  for (const name of names) model.on(`change:${name}`, draw);
  const state = {
    touched: 0,
    put(changes) {
      for (const [name, value] of Object.entries(changes)) model.set(name, value);
      model.save_changes();
      state.touched += 1;
      draw();
    },
    stop() {
      for (const name of names) model.off(`change:${name}`, draw);
    },
  };
  return state;
}

/** Call `draw(width)` with el's width in CSS pixels, now and on every change. Returns a function that stops it. */
export function onResize(el, draw) {
  let width = 0;
  const observer = new ResizeObserver((entries) => {
    const next = Math.floor(entries[0].contentRect.width);
    if (next === width || next === 0) return;
    width = next;
    draw(width);
  });
  observer.observe(el);
  return () => observer.disconnect();
}

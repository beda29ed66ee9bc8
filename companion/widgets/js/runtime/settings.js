// What a reader has set in a widget, as a part of the page's address: #live-softmax?temperature=2&label=1.
// The address comes from anybody: a value counts only if the widget says that it may be (companion/widgets/
// settings.py); whatever else stands there does nothing.

/**
 * What a setting may be.
 * @typedef {{ number?: [number, number], whole?: [number, number], below?: string, words?: string[],
 *   needs?: { [word: string]: string }, flag?: true, list?: Spec, length?: [number, number], even?: true, fields?: { [name: string]: Spec } }} Spec
 * @typedef {{ [name: string]: Spec }} Specs
 * @typedef {{ [name: string]: unknown }} Values
 */

const LONGEST = 12_000;
const NUMBER = /^-?\d+(\.\d+)?(e[-+]?\d+)?$/;

/** Rows of a matrix are apart by ";", other entries by ",". @param {Spec} each */
const mark = (each) => (each.list ? ";" : ",");

/** @param {any} value @param {Spec} spec @returns {string} */
function write(value, spec) {
  const { number, list, fields, flag } = spec;
  if (number) return String(Number(value.toPrecision(7)));
  if (list) return value.map((/** @type {unknown} */ each) => write(each, list)).join(mark(list));
  if (fields)
    return Object.entries(fields)
      .map(([name, each]) => write(value[name], each))
      .join(",");
  return flag ? (value ? "yes" : "no") : encodeURIComponent(String(value));
}

/** @param {string} text @param {number} low @param {number} high */
function readNumber(text, low, high) {
  const value = NUMBER.test(text) ? Number(text) : Number.NaN;
  return value >= low && value <= high ? value : undefined;
}

/** @param {string} text @param {Spec} each @param {number} fewest @param {number} most */
function readList(text, each, fewest, most) {
  const parts = text === "" && fewest === 0 ? [] : text.split(mark(each));
  if (parts.length < fewest || parts.length > most) return undefined;
  const values = parts.map((part) => read(part, each));
  return values.includes(undefined) ? undefined : values;
}

/** The value that a text stands for, undefined if the setting may not be that. @param {string} text @param {Spec} spec @returns {any} */
function read(text, spec) {
  const { number, whole, words, flag, list, length = [0, 0], even, fields } = spec;
  if (number) return readNumber(text, ...number);
  if (whole) {
    const value = readNumber(text, ...whole);
    return Number.isInteger(value) ? value : undefined;
  }
  if (words) {
    const word = decodeURIComponent(text);
    return words.includes(word) ? word : undefined;
  }
  if (flag) return { yes: true, no: false }[text];
  if (list) {
    const values = readList(text, list, ...length);
    return even && new Set(values?.map((row) => row.length)).size !== 1 ? undefined : values;
  }
  if (!fields) return undefined;
  const [names, parts] = [Object.keys(fields), text.split(",")];
  if (parts.length !== names.length) return undefined;
  const values = names.map((name, i) => read(parts[i], fields[name]));
  return values.includes(undefined)
    ? undefined
    : Object.fromEntries(names.map((name, i) => [name, values[i]]));
}

/**
 * The settings of `now` that are not as they were `first`, as the part of an address behind the "?".
 * @param {Specs} specs @param {Values} first @param {Values} now
 */
export function writeSettings(specs, first, now) {
  const texts = (/** @type {Values} */ values, /** @type {string} */ name) =>
    write(values[name], specs[name]);
  return Object.keys(specs)
    .filter((name) => texts(now, name) !== texts(first, name))
    .map((name) => `${name}=${texts(now, name)}`)
    .join("&");
}

/**
 * All settings, as an address has them, and as they were `first` where it has none that may be.
 * @param {string} query @param {Specs} specs @param {Values} first
 */
export function readSettings(query, specs, first) {
  const values = Object.fromEntries(Object.keys(specs).map((name) => [name, first[name]]));
  for (const part of query.length > LONGEST ? [] : query.split("&")) {
    const [name, text = ""] = part.split(/=(.*)/s);
    if (!Object.hasOwn(specs, name)) continue;
    try {
      values[name] = read(text, specs[name]) ?? values[name];
    } catch {
      // a % that stands for no character
    }
  }
  const count = (/** @type {string} */ list) => /** @type {unknown[]} */ (values[list]).length;
  for (const [name, { below, needs = {} }] of Object.entries(specs)) {
    const word = String(values[name]);
    const isLost = below !== undefined && Number(word) >= count(below);
    if (isLost || (Object.hasOwn(needs, word) && !count(needs[word]))) values[name] = first[name];
  }
  return values;
}

// ---------------------------------------------------------------- controls that show no trait

const local = (/** @type {Element} */ live) =>
  /** @type {NodeListOf<HTMLInputElement | HTMLSelectElement>} */ (
    live.querySelectorAll("select, input:is([type=range], [type=checkbox], [type=radio])")
  );

/**
 * Controls of a widget that set no trait (what to highlight, how far to zoom), by their place: ~3=40.
 * @param {HTMLElement} live @param {() => number} sets how often a trait was set
 */
export function localControls(live, sets) {
  const moved = new Set();
  const bound = new Set();
  for (const kind of ["input", "change"]) {
    let before = 0;
    live.addEventListener(
      kind,
      () => {
        before = sets();
      },
      true,
    );
    live.addEventListener(kind, ({ target }) => (sets() === before ? moved : bound).add(target));
  }
  return {
    write: () =>
      [...local(live)]
        .map((el, i) => {
          if (!moved.has(el) || bound.has(el)) return "";
          if (el.type === "radio") return /** @type {HTMLInputElement} */ (el).checked ? `~${i}=on` : "";
          if (el.type === "checkbox")
            return `~${i}=${/** @type {HTMLInputElement} */ (el).checked ? "on" : "off"}`;
          return `~${i}=${el instanceof HTMLSelectElement ? el.selectedIndex : el.value}`;
        })
        .filter(Boolean),
    /** A control refuses by itself what it cannot be. @param {string} query */
    read(query) {
      for (const [, place, text] of query.matchAll(/(?:^|&)~(\d{1,3})=(on|off|-?\d+(?:\.\d+)?)(?=&|$)/g)) {
        const el = local(live)[Number(place)];
        if (!el || el.disabled) continue;
        if (el.type === "checkbox" || el.type === "radio") {
          if (/** @type {HTMLInputElement} */ (el).checked !== (text === "on")) el.click();
          continue;
        }
        if (el instanceof HTMLSelectElement) {
          if (!(Number(text) in el.options)) continue;
          el.selectedIndex = Number(text);
        } else el.value = text;
        for (const kind of ["input", "change"]) el.dispatchEvent(new Event(kind, { bubbles: true }));
      }
    },
  };
}

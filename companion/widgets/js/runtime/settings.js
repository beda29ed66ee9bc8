// What a reader has set in a widget, as a part of the page's address: #live-softmax?temperature=2&label=1.
// The address comes from anybody: a value counts only if the widget says that it may be (companion/widgets/
// settings.py); whatever else stands there does nothing.

/**
 * What a setting may be.
 * @typedef {{ number?: [number, number], whole?: [number, number], below?: string, words?: string[],
 *   needs?: { [word: string]: string }, flag?: true, list?: Spec, length?: [number, number], none?: true, even?: true,
 *   squares?: number[], each?: Spec[], fields?: { [name: string]: Spec }, tensor?: number[], entry?: Spec }} Spec
 * @typedef {{ [name: string]: Spec }} Specs
 * @typedef {{ [name: string]: unknown }} Values
 */

const LONGEST = 12_000;
const NUMBER = /^-?\d+(\.\d+)?(e[-+]?\d+)?$/;

/** Rows of a matrix are apart by ";", other entries by ",". @param {Spec} entry */
const mark = (entry) => (entry.list || entry.each ? ";" : ",");

/** @param {any} value @param {Spec} spec @returns {string} */
function write(value, spec) {
  const { number, list, each, fields, flag, tensor, entry } = spec;
  if (number) return String(Number(value.toPrecision(7)));
  if (tensor && entry)
    return value
      .flat(tensor.length)
      .map((/** @type {number} */ v) => write(v, entry))
      .join(",");
  if (list) return value.map((/** @type {unknown} */ entry) => write(entry, list)).join(mark(list));
  if (each) return each.map((entry, i) => write(value[i], entry)).join(",");
  if (fields)
    return write(
      Object.keys(fields).map((name) => value[name]),
      { each: Object.values(fields) },
    );
  return flag ? (value ? "yes" : "no") : encodeURIComponent(String(value));
}

/** @param {string} text @param {number} low @param {number} high */
function readNumber(text, low, high) {
  const value = NUMBER.test(text) ? Number(text) : Number.NaN;
  return value >= low && value <= high ? value : undefined;
}

/** One entry for each spec, or undefined. @param {string[]} parts @param {Spec[]} specs */
function readAll(parts, specs) {
  if (parts.length !== specs.length) return undefined;
  const values = parts.map((part, i) => read(part, specs[i]));
  return values.includes(undefined) ? undefined : values;
}

/** @param {string} text @param {Spec} entry @param {Spec} spec its list's */
function readList(text, entry, { length: [fewest, most] = [0, 0], none, even, squares }) {
  if (text === "" && (none || fewest === 0)) return [];
  const parts = text.split(mark(entry));
  if (parts.length < fewest || parts.length > most) return undefined;
  const values = readAll(
    parts,
    parts.map(() => entry),
  );
  const sides = new Set(even ? values?.map((row) => row.length) : []);
  if (sides.size > 1 || (squares && !(sides.has(parts.length) && squares.includes(parts.length))))
    return undefined;
  return values;
}

/** Lists in lists of a shape, or undefined. @param {string[]} parts @param {number[]} shape @param {Spec} entry */
function readTensor(parts, shape, entry) {
  if (parts.length !== shape.reduce((a, b) => a * b)) return undefined;
  let values = readAll(
    parts,
    parts.map(() => entry),
  );
  for (const n of shape.slice(1).reverse()) {
    const inner = values ?? [];
    values &&= Array.from({ length: inner.length / n }, (_, i) => inner.slice(n * i, n * (i + 1)));
  }
  return values;
}

/** The value that a text stands for, undefined if the setting may not be that. @param {string} text @param {Spec} spec @returns {any} */
function read(text, spec) {
  const { number, whole, words, flag, list, each, fields, tensor, entry } = spec;
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
  if (list) return readList(text, list, spec);
  if (tensor && entry) return readTensor(text.split(","), tensor, entry);
  if (each) return readAll(text.split(","), each);
  const values = readAll(text.split(","), Object.values(fields ?? {}));
  return values && Object.fromEntries(Object.keys(fields ?? {}).map((name, i) => [name, values[i]]));
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
  const isWhole = Object.entries(specs).every(([name, { below, needs = {} }]) => {
    const word = String(values[name]);
    if (below) return Number(word) < count(below);
    return !Object.hasOwn(needs, word) || count(needs[word]) > 0;
  });
  return isWhole ? values : first; // settings that contradict each other are none
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

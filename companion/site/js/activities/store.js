// What the browser keeps of a reader's answers. Where it keeps nothing (storage refused, as some do for
// pages from a folder), this page remembers until it is left.

const PREFIX = "companion/";
/** @type {Map<string, string>} */
const memory = new Map();

/**
 * What was kept under a name, null if nothing was, or nothing that this page understands.
 * @param {string} name
 * @returns {any}
 */
export function load(name) {
  let text = memory.get(name) ?? null;
  try {
    text ??= localStorage.getItem(PREFIX + name);
    return JSON.parse(text ?? "null");
  } catch {
    return null;
  }
}

/** @param {string} name @param {unknown} value null forgets it */
export function save(name, value) {
  const text = JSON.stringify(value);
  memory.set(name, text);
  try {
    if (value === null) localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, text);
  } catch {
    // The page goes on with its memory.
  }
}

// "Copy as PyTorch": what the controls say as code, on the clipboard and to be read.

import { button, h, row, stack } from "./controls.js";

/** @typedef {number | Numbers[]} Numbers */

/** Numbers as Python writes floats (1 would be another kind of number), lists of them too. @param {Numbers} value @returns {string} */
export function python(value) {
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  return Number.isInteger(value) ? value.toFixed(1) : String(value);
}

/** A list of Python, over several lines of at most 72 characters. @param {string} list */
export function wrapped(list) {
  const lines = [""];
  for (const part of list.slice(1, -1).split(/(?<=,) /)) {
    const longer = `${lines[lines.length - 1]} ${part}`.trimStart();
    if (longer.length > 68) lines.push(part);
    else lines[lines.length - 1] = longer;
  }
  return `[\n    ${lines.join("\n    ")},\n]`;
}

/** The uniform numbers of maths/noise.js in NumPy, for code that is to give what is on show. */
export const UNIFORM = `import numpy as np

def scatter(x):  # the finaliser of MurmurHash3
    x = np.array(x, dtype=np.uint32, ndmin=1)
    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    x = (x ^ (x >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return x ^ (x >> np.uint32(16))

def uniform(seed, count):
    key = scatter(seed ^ 0x9E3779B9)
    return (scatter(scatter(np.arange(count)) ^ key) + 0.5) / 2**32
`;

/** A seed from a seed and a number, after UNIFORM. */
export const BRANCH = `def branch(seed, number):
    return int(scatter(scatter(number % 2**32) ^ scatter(seed ^ 0x9E3779B9))[0])
`;

/** UNIFORM, and normal numbers. */
export const NOISE = `${UNIFORM}
def noise(seed, count):  # Box and Muller; count is even
    u, v = uniform(seed, count).reshape(-1, 2).T
    radius, angle = np.sqrt(-2 * np.log(u)), 2 * np.pi * v
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).ravel()
`;

/**
 * `draw` when the code has changed: it is written only where it is open to be read.
 * @param {{ what: string, code: () => string, say: (text: string) => void, library?: string }} options what: "the
 *   training", as the sentences name it; say: for screen readers; library: that the code is written with
 */
export function copyCode({ what, code, say, library = "PyTorch" }) {
  const pre = h("pre", { class: "companion-code", tabindex: 0, "aria-label": `In ${library}: ${what}` });
  const shown = h("details", {}, h("summary", {}, "Read it"), pre);
  const draw = () => {
    if (shown.open) pre.textContent = code();
  };
  shown.addEventListener("toggle", draw);
  const done = h("span", { class: "companion-note" });
  const copied = (/** @type {string} */ text) => {
    done.textContent = text;
    say(text);
  };
  const copy = button({
    label: `Copy as ${library}`,
    title: `Code for ${what}, with what the controls say`,
    async onClick() {
      try {
        await navigator.clipboard.writeText(code());
        copied("Copied.");
      } catch {
        shown.open = true;
        draw();
        getSelection()?.selectAllChildren(pre);
        const isDone = document.execCommand("copy");
        copied(isDone ? "Copied." : "This page may not use the clipboard: the code is selected below.");
      }
    },
  });
  return { el: stack(row(copy.el, done), shown), draw };
}

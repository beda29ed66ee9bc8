// "Copy as PyTorch": what the controls say as code, on the clipboard and to be read.

import { button, h, row, stack } from "./controls.js";

/** @typedef {number | Numbers[]} Numbers */

/** Numbers as Python writes floats (1 would be another kind of number), lists of them too. @param {Numbers} value @returns {string} */
export function python(value) {
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  return Number.isInteger(value) ? value.toFixed(1) : String(value);
}

/**
 * `draw` when the code has changed: it is written only where it is open to be read.
 * @param {{ what: string, code: () => string, say: (text: string) => void }} options what: "the training", as
 *   the sentences name it; say: for screen readers
 */
export function copyCode({ what, code, say }) {
  const pre = h("pre", { class: "companion-code", tabindex: 0, "aria-label": `In PyTorch: ${what}` });
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
    label: "Copy as PyTorch",
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

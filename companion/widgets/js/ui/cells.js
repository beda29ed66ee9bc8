// Grids of numbers, read or edited, each number on the colour of its value. Their look is cells.css.

import { h } from "./controls.js";

const plain = (/** @type {number} */ value) => String(value).replace("-", "−");

/**
 * A number as it is, with a true minus sign; with three digits behind a ≈ if it takes more than `room` characters.
 * (Twelve digits count: 0.1 + 0.2 is 0.3.)
 * @param {number} value
 */
export function exact(value, room = 7) {
  const whole = Number(value.toPrecision(12));
  return plain(whole).length <= room ? plain(whole) : `≈${plain(Number(whole.toPrecision(3)))}`;
}

/** The same with brackets around what is negative, as a factor needs. @param {number} value */
export const factor = (value) => (value < 0 ? `(${exact(value)})` : exact(value));

/**
 * Colour an element by value: blue below 0, the paper at 0, orange above, full at ±limit.
 * @param {HTMLElement} el @param {number} value @param {number} limit
 */
export function tint(el, value, limit) {
  const share = limit ? Math.min(1, Math.abs(value) / limit) : 0;
  const sign = value < 0 ? "minus" : "plus";
  if (el.dataset.sign !== sign) el.dataset.sign = sign;
  const next = share.toFixed(3);
  if (el.style.getPropertyValue("--t") !== next) el.style.setProperty("--t", next);
}

/** The largest magnitude in a matrix, or 1 where all is 0. @param {number[][]} matrix */
export const magnitude = (matrix) => Math.max(...matrix.flat().map(Math.abs)) || 1;

/**
 * @typedef {object} Cell
 * @property {HTMLElement} el
 * @property {HTMLInputElement | null} input where the number can be edited
 * @property {HTMLElement} number
 * @property {number} [value]
 * @property {number} [limit]
 */

/** @typedef {{ largest: number, decimals: number }} Limits of what a cell takes: so much as it can show in full */

/** A number as people type it: −2.5, 2,5; NaN if it is none within the limits. @param {string} text @param {Limits} limits */
function typed(text, { largest, decimals }) {
  const value = /^[-+−]?(\d+[.,]?\d*|[.,]\d+)$/.test(text.trim())
    ? Number(text.trim().replace(",", ".").replace("−", "-"))
    : NaN;
  return Math.abs(value) <= largest && Number(value.toFixed(decimals)) === value ? value : NaN;
}

/**
 * A field for one number. What is none is marked and explained, and gives way to the last good one on leaving.
 * @param {string} name what a screen reader says
 * @param {(value: number) => void} onEdit
 * @param {Limits} limits
 * @param {(sentence: string) => void} [onTrouble] what is wrong, "" if nothing is
 */
function numberField(name, onEdit, limits, onTrouble) {
  const input = h("input", {
    class: "cell-number",
    type: "text",
    inputmode: "decimal",
    "aria-label": name,
    autocomplete: "off",
  });
  input.addEventListener("input", () => {
    const value = typed(input.value, limits);
    const isFine = Number.isFinite(value);
    input.ariaInvalid = isFine ? null : "true";
    onTrouble?.(
      isFine || /^[-+−.,]?$/.test(input.value.trim())
        ? ""
        : `A number from −${limits.largest} to ${limits.largest} with no more decimals is expected; ` +
            "the last good one stays.",
    );
    if (isFine) onEdit(value);
  });
  input.addEventListener("blur", () => {
    input.ariaInvalid = null;
    input.value = input.dataset.shown ?? "";
  });
  input.addEventListener("focus", () => input.select());
  return input;
}

/** @param {Cell} cell @param {string} text */
function write({ number, input }, text) {
  number.classList.toggle("cell-long", text.length > 5);
  if (!input) {
    if (number.textContent !== text) number.textContent = text;
    return;
  }
  const typed = text.replace("−", "-");
  input.dataset.shown = typed;
  if (document.activeElement !== input && input.value !== typed) input.value = typed;
}

/**
 * @typedef {object} CellsOptions
 * @property {number} rows
 * @property {number} columns
 * @property {string} label what it shows; a grid without editable cells is read as one picture, see
 *   `describe`
 * @property {(value: number) => string} [format] how a number is written
 * @property {(row: number, column: number) => string | null} [edit] the accessible name of a cell that can
 *   be edited, null for one that can't
 * @property {(row: number, column: number, value: number) => void} [onEdit] a finite number was typed
 * @property {(sentence: string) => void} [onTrouble] what was typed is no number for a cell; "" when it is
 * @property {Limits} [limits] of what is typed: ±999.99 with two decimals if not given
 * @property {(row: number, column: number, event: PointerEvent) => void} [onPoint] the pointer came to a
 *   cell, or pressed on one
 */

/** A grid of rows×columns cells. @param {CellsOptions} options */
export function cells({
  rows,
  columns,
  label,
  format = exact,
  edit = () => null,
  onEdit,
  onTrouble,
  limits = { largest: 999.99, decimals: 2 },
  onPoint,
}) {
  const grid = Array.from({ length: rows }, (_, r) =>
    Array.from({ length: columns }, (_, c) => {
      const name = edit(r, c);
      const input = name ? numberField(name, (value) => onEdit?.(r, c, value), limits, onTrouble) : null;
      const number = input ?? h("span", { class: "cell-number" });
      const el = h("div", { class: "cell", style: `grid-area: ${r + 1} / ${c + 1}` }, number);
      return /** @type {Cell} */ ({ el, number, input });
    }),
  );
  const window = h("div", { class: "cell-window", hidden: true });
  const all = grid.flat();
  const el = h(
    "div",
    {
      class: "cells",
      role: all.some((cell) => cell.input) ? "group" : "img",
      "aria-label": label,
      style: `--columns: ${columns}`,
    },
    ...all.map((cell) => cell.el),
    window,
  );
  if (onPoint) {
    let last = "";
    const point = (/** @type {PointerEvent} */ event) => {
      const box = el.getBoundingClientRect();
      const r = Math.floor(((event.clientY - box.top) / box.height) * rows);
      const c = Math.floor(((event.clientX - box.left) / box.width) * columns);
      if (r < 0 || c < 0 || r >= rows || c >= columns) return;
      if (event.type === "pointermove" && last === `${r},${c}`) return;
      last = `${r},${c}`;
      onPoint(r, c, event);
    };
    el.addEventListener("pointerdown", point);
    el.addEventListener("pointermove", point);
    el.addEventListener("pointerleave", () => {
      last = "";
    });
  }
  return {
    el,
    /** @param {number} r @param {number} c */
    cell: (r, c) => grid[r][c],
    /** @param {number} r @param {number} c @param {number} value @param {number} limit */
    set(r, c, value, limit) {
      const cell = grid[r][c];
      if (cell.value === value && cell.limit === limit) return;
      [cell.value, cell.limit] = [value, limit];
      cell.el.dataset.value = String(value);
      write(cell, format(value));
      tint(cell.el, value, limit);
    },
    /** Words where there is no number. @param {number} r @param {number} c @param {string} text */
    text(r, c, text) {
      const cell = grid[r][c];
      cell.value = undefined;
      delete cell.el.dataset.value;
      write(cell, text);
      tint(cell.el, 0, 1);
    },
    /** @param {string} text */
    describe(text) {
      el.setAttribute("aria-label", text);
    },
    /** Draw the frame of a window around some cells. @param {number} r @param {number} c */
    frame(r, c, spanRows = 1, spanColumns = 1) {
      window.hidden = false;
      window.style.gridArea = `${r + 1} / ${c + 1} / span ${spanRows} / span ${spanColumns}`;
    },
  };
}

/** The colour scale of cells, or of another picture: a bar with what its two ends mean. */
export function colourScale(words = "") {
  const ends = [h("span", {}), h("span", {})];
  const bar = h("span", { class: "cell-scale-bar", "aria-hidden": "true" });
  const el = h(
    "div",
    { class: "cell-scale" },
    ends[0],
    bar,
    ends[1],
    words ? h("span", { class: "cell-scale-words" }, words) : null,
  );
  return {
    el,
    /** @param {string} low @param {string} high @param {string} [gradient] a CSS background of its own */
    set(low, high, gradient) {
      ends[0].textContent = low;
      ends[1].textContent = high;
      if (gradient) bar.style.background = gradient;
    },
  };
}

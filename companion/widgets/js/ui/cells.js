// Grids of numbers, read or edited, each number on the colour of its value. Their look is cells.css.

import { h } from "./controls.js";

/** A number in few characters: whole ones in full, others with three digits that count; a true minus sign. */
export function short(value) {
  if (Number.isInteger(value)) return String(value).replace("-", "−");
  const rounded = Number(value.toPrecision(3));
  return String(Math.abs(rounded) < 5e-4 ? 0 : Number(rounded.toFixed(3))).replace("-", "−");
}

/** The same with brackets around what is negative, as a factor needs. */
export const factor = (value) => (value < 0 ? `(${short(value)})` : short(value));

/** Colour an element by value: blue below 0, the paper at 0, orange above, full at ±limit. */
export function tint(el, value, limit) {
  const share = limit ? Math.min(1, Math.abs(value) / limit) : 0;
  const sign = value < 0 ? "minus" : "plus";
  if (el.dataset.sign !== sign) el.dataset.sign = sign;
  const next = share.toFixed(3);
  if (el.style.getPropertyValue("--t") !== next) el.style.setProperty("--t", next);
}

/** The largest magnitude in a matrix, or 1 where all is 0. */
export const magnitude = (matrix) => Math.max(...matrix.flat().map(Math.abs)) || 1;

/**
 * A grid of rows×columns cells.
 *
 * - `label`: what it shows; a grid without editable cells is read as one picture, see `describe(text)`
 * - `format(value)`: how a number is written
 * - `edit(row, column)`: the accessible name of a cell that can be edited, null for one that can't
 * - `onEdit(row, column, value)`: a finite number was typed
 * - `onPoint(row, column, event)`: the pointer came to a cell, or pressed on one
 *
 * -> {el, cell(r, c), set(r, c, value, limit), text(r, c, text), describe(text), frame(r, c, rows, columns)}
 */
export function cells({ rows, columns, label, format = short, edit = () => null, onEdit, onPoint }) {
  const editable = [];
  const grid = Array.from({ length: rows }, (_, r) =>
    Array.from({ length: columns }, (_, c) => {
      const name = edit(r, c);
      const number = name
        ? h("input", {
            class: "cell-number",
            type: "number",
            step: "any",
            "aria-label": name,
            autocomplete: "off",
          })
        : h("span", { class: "cell-number" });
      if (name) {
        editable.push(number);
        number.addEventListener("input", () => {
          const value = number.value === "" ? NaN : Number(number.value);
          const fine = Number.isFinite(value) && Math.abs(value) < 1e6;
          if (fine) number.removeAttribute("aria-invalid");
          else number.setAttribute("aria-invalid", "true");
          if (fine) onEdit(r, c, value);
        });
        number.addEventListener("blur", () => {
          number.removeAttribute("aria-invalid");
          number.value = number.dataset.shown;
        });
        number.addEventListener("focus", () => number.select());
      }
      const el = h("div", { class: "cell", style: `grid-area: ${r + 1} / ${c + 1}` }, number);
      return { el, number, input: Boolean(name) };
    }),
  );
  const window = h("div", { class: "cell-window", hidden: true });
  const el = h(
    "div",
    {
      class: "cells",
      role: editable.length ? "group" : "img",
      "aria-label": label,
      style: `--columns: ${columns}`,
    },
    ...grid.flat().map((cell) => cell.el),
    window,
  );
  const cell = (r, c) => grid[r][c];
  const write = ({ number, input }, text) => {
    if (!input) {
      if (number.textContent !== text) number.textContent = text;
      return;
    }
    const typed = text.replace("−", "-");
    number.dataset.shown = typed;
    if (document.activeElement !== number && number.value !== typed) number.value = typed;
  };
  if (onPoint) {
    let last = "";
    const point = (event) => {
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
    cell,
    set(r, c, value, limit) {
      const it = cell(r, c);
      if (it.value === value && it.limit === limit) return;
      [it.value, it.limit] = [value, limit];
      it.el.dataset.value = String(value);
      write(it, format(value));
      tint(it.el, value, limit);
    },
    text(r, c, text) {
      const it = cell(r, c);
      it.value = undefined;
      delete it.el.dataset.value;
      write(it, text);
      tint(it.el, 0, 1);
    },
    describe(text) {
      el.setAttribute("aria-label", text);
    },
    /** Draw the frame of a window around some cells. */
    frame(r, c, spanRows = 1, spanColumns = 1) {
      window.hidden = false;
      window.style.gridArea = `${r + 1} / ${c + 1} / span ${spanRows} / span ${spanColumns}`;
    },
  };
}

/** The colour scale of cells: a bar from −limit over 0 to +limit. -> {el, set(limit)} */
export function colourScale(words = "") {
  const ends = [h("span", {}), h("span", {})];
  const el = h(
    "div",
    { class: "cell-scale" },
    ends[0],
    h("span", { class: "cell-scale-bar", "aria-hidden": "true" }),
    ends[1],
    words ? h("span", { class: "cell-scale-words" }, words) : null,
  );
  return {
    el,
    set(low, high) {
      ends[0].textContent = low;
      ends[1].textContent = high;
    },
  };
}

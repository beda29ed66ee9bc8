// Small maps of numbers on canvases, with frames around some of their cells; pointers and keys choose a cell.

import { clamp, h } from "../ui/controls.js";
import { colourOf, paintMap } from "../ui/pixel_map.js";

/** @import { Maps } from "../maths/convolution.js" */
/** @import { Rgb } from "../ui/colours.js" */

/** @typedef {{ row: number, column: number, rows: number, columns: number }} Box cells, from a corner on */

/**
 * The colour of a value: blue below 0, the paper at 0, orange above, full at ±limit.
 * @param {number} limit @param {boolean} dark
 */
export const signedColour = (limit, dark) => colourOf("diverging", -limit, limit, dark);

/** One map of several, copied. @param {Maps} maps @param {number} k */
export function mapOf({ values, shape: [, height, width] }, k) {
  return Float64Array.from({ length: height * width }, (_, i) => values[k * height * width + i]);
}

/** The largest magnitude among some numbers, or 1 where all are 0. @param {ArrayLike<number>} values */
export function limitOf(values) {
  let most = 0;
  for (let i = 0; i < values.length; i += 1) most = Math.max(most, Math.abs(values[i]));
  return most || 1;
}

/** A canvas that shows a few numbers as squares. */
export function tinyMap() {
  const canvas = h("canvas", { class: "stack-canvas", "aria-hidden": "true" });
  return {
    el: canvas,
    /** @param {ArrayLike<number>} values @param {number} height @param {number} width @param {(v: number) => Rgb} colour */
    draw(values, height, width, colour) {
      if (canvas.width !== width) canvas.width = width;
      if (canvas.height !== height) canvas.height = height;
      const context = canvas.getContext("2d");
      const buffer = context?.createImageData(width, height);
      if (!context || !buffer) return;
      paintMap(buffer, values, colour);
      context.putImageData(buffer, 0, 0);
    },
  };
}

/**
 * A map with two frames: a solid one (what is meant now) and a dashed one. `onPick` hears of the cell under the
 * pointer; with `name`, a range input lies over the map, so that keys move over its cells, too.
 * @param {{ onPick: (row: number, column: number, event: Event) => void, name?: string }} options
 */
export function mapField({ onPick, name }) {
  const map = tinyMap();
  const [solid, dashed] = ["solid", "dashed"].map((kind) =>
    h("span", { class: `stack-frame stack-${kind}`, hidden: true, "aria-hidden": "true" }),
  );
  const input = name
    ? h("input", { type: "range", class: "companion-cover", min: 0, step: 1, "aria-label": name })
    : null;
  const el = h("div", { class: "stack-map" }, map.el, dashed, solid, input);
  if (!name) map.el.setAttribute("role", "img");
  let [height, width] = [1, 1];
  let last = "";
  const pick = (/** @type {number} */ cell, /** @type {Event} */ event) => {
    if (cell >= 0 && cell < height * width) onPick(Math.floor(cell / width), cell % width, event);
  };
  const point = (/** @type {PointerEvent} */ event) => {
    const box = map.el.getBoundingClientRect();
    const r = clamp(Math.floor(((event.clientY - box.top) / box.height) * height), 0, height - 1);
    const c = clamp(Math.floor(((event.clientX - box.left) / box.width) * width), 0, width - 1);
    // The page may have moved under a pointer at rest.
    const isMove = event.type === "pointermove";
    if (isMove && (last === `${r},${c}` || !(event.movementX || event.movementY))) return;
    last = `${r},${c}`;
    onPick(r, c, event);
  };
  el.addEventListener("pointerdown", (event) => {
    event.preventDefault(); // else the range input jumps to the place along its own track
    point(event);
    input?.focus({ preventScroll: true, focusVisible: false });
  });
  el.addEventListener("pointermove", point);
  el.addEventListener("pointerleave", () => {
    last = "";
  });
  input?.addEventListener("input", (event) => pick(Number(input.value), event));
  input?.addEventListener("keydown", (event) => {
    const step = /** @type {{ [key: string]: number }} */ ({ ArrowUp: -width, ArrowDown: width })[event.key];
    if (!step) return;
    event.preventDefault();
    pick(Number(input.value) + step, event);
  });
  /** @param {HTMLElement} mark @param {Box | null} box */
  const frame = (mark, box) => {
    mark.hidden = !box;
    if (!box) return;
    mark.style.insetBlockStart = `${(100 * box.row) / height}%`;
    mark.style.insetInlineStart = `${(100 * box.column) / width}%`;
    mark.style.blockSize = `${(100 * box.rows) / height}%`;
    mark.style.inlineSize = `${(100 * box.columns) / width}%`;
  };
  return {
    el,
    /** @param {ArrayLike<number>} values @param {number} rows @param {number} columns @param {(v: number) => Rgb} colour */
    draw(values, rows, columns, colour) {
      [height, width] = [rows, columns];
      map.draw(values, rows, columns, colour);
      if (input) input.max = String(rows * columns - 1);
    },
    /**
     * Frame some cells, and say what they are.
     * @param {Box | null} box @param {Box | null} around @param {string} words
     */
    frame(box, around, words) {
      frame(solid, box);
      frame(dashed, around);
      if (input) {
        if (box) input.value = String(box.row * width + box.column);
        input.setAttribute("aria-valuetext", words);
      } else map.el.setAttribute("aria-label", words);
    },
  };
}

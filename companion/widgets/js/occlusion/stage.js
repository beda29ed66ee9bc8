// The picture as the network sees it, the map over it, and the patch that the reader moves.

import { imageGrid } from "../ui/canvas.js";
import { h } from "../ui/controls.js";

/** @import { Place, Shape } from "../maths/occlusion.js" */
/** @import { Rgb } from "../ui/colours.js" */

/** @type {{ [key: string]: [axis: number, sign: number] }} */
const ARROWS = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [1, -1], ArrowRight: [1, 1] };
const AXES = ["up and down", "left and right"];

/**
 * @typedef {object} Shown
 * @property {Float32Array} numbers of the picture with the patch, C×H×W
 * @property {Place} place of the patch
 * @property {number} patch
 * @property {number} stride
 * @property {string} name of the picture
 */

/**
 * The two native inputs, one an axis, that keys and assistive technology move; arrow keys reach both axes from
 * either, and go a stride, with Shift a pixel.
 * @param {(place: number[]) => void} onMove
 */
function handles(onMove) {
  let [place, step] = [[0, 0], 1];
  const inputs = AXES.map((way, axis) =>
    h("input", {
      type: "range",
      class: "companion-cover",
      min: 0,
      step: 1,
      tabindex: axis ? -1 : 0,
      "aria-roledescription": "two-dimensional slider",
      "aria-label": `Patch, ${way}`,
    }),
  );
  inputs.forEach((input, axis) => {
    input.addEventListener("input", () =>
      onMove(place.map((v, k) => (k === axis ? Number(input.value) : v))),
    );
    input.addEventListener("keydown", (event) => {
      if (!(event.key in ARROWS)) return;
      event.preventDefault();
      const [target, sign] = ARROWS[event.key];
      onMove(place.map((v, k) => (k === target ? v + sign * (event.shiftKey ? 1 : step) : v)));
      inputs[target].focus();
    });
  });
  return {
    inputs,
    /** @param {Place} at @param {number[]} ends @param {number} stride */
    set({ top, left }, ends, stride) {
      [place, step] = [[top, left], stride];
      inputs.forEach((input, axis) => {
        input.max = String(ends[axis]);
        input.value = String(place[axis]);
        const words = [`row ${top}`, `column ${left}`];
        input.setAttribute("aria-valuetext", (axis ? words.reverse() : words).join(", "));
      });
    },
  };
}

/**
 * @param {Shape} shape of the picture
 * @param {{ onMove: (place: Place) => void }} options
 */
export function stage(shape, { onMove }) {
  const [, height, width] = shape;
  const smooth = Math.min(height, width) > 40;
  const image = imageGrid(shape, { smooth, label: "The picture" });
  const over = h("canvas", { class: "occlusion-over", width, height, "aria-hidden": "true" });
  over.style.imageRendering = smooth ? "auto" : "pixelated";
  const context = over.getContext("2d");
  const buffer = context?.createImageData(width, height);
  const box = h("div", { class: "occlusion-patch", "aria-hidden": "true" });
  const move = (/** @type {number[]} */ [top, left]) => onMove({ top, left });
  const handle = handles(move);
  const field = h("div", { class: "occlusion-field" }, image.el, over, box, ...handle.inputs);
  let patch = 1;
  const drag = (/** @type {PointerEvent} */ event) => {
    const area = image.el.getBoundingClientRect();
    const first = (/** @type {number} */ offset, /** @type {number} */ size, /** @type {number} */ side) =>
      Math.round((offset / size) * side - patch / 2);
    move([
      first(event.clientY - area.top, area.height, height),
      first(event.clientX - area.left, area.width, width),
    ]);
  };
  field.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    event.preventDefault();
    field.setPointerCapture(event.pointerId);
    handle.inputs[0].focus({ preventScroll: true, focusVisible: false });
    drag(event);
  });
  field.addEventListener("pointermove", (event) => {
    if (field.hasPointerCapture(event.pointerId)) drag(event);
  });
  const share = (/** @type {number} */ part, /** @type {number} */ whole) => `${(100 * part) / whole}%`;
  return {
    el: field,
    /** @param {Shown} shown */
    draw({ numbers, place, patch: side, stride, name }) {
      patch = side;
      image.draw(numbers);
      image.el.setAttribute("aria-label", `The picture, ${name}, with the patch over a part of it.`);
      box.style.insetBlockStart = share(place.top, height);
      box.style.insetInlineStart = share(place.left, width);
      box.style.blockSize = share(patch, height);
      box.style.inlineSize = share(patch, width);
      handle.set(place, [height - patch, width - patch], stride);
    },
    /**
     * Lay a map over the picture: a colour for each pixel and how much it covers; null takes it away.
     * @param {Float64Array | null} values @param {(value: number) => Rgb} colour
     * @param {(value: number) => number} cover from 0 to 1
     */
    overlay(values, colour, cover) {
      over.hidden = !values;
      image.el.toggleAttribute("data-grey", Boolean(values) && cover(0) > 0);
      if (!values || !context || !buffer) return;
      for (let i = 0, o = 0; i < values.length; i += 1, o += 4) {
        const isThere = !Number.isNaN(values[i]);
        const rgb = isThere ? colour(values[i]) : [0, 0, 0];
        for (let c = 0; c < 3; c += 1) buffer.data[o + c] = rgb[c];
        buffer.data[o + 3] = isThere ? 255 * cover(values[i]) : 0;
      }
      context.putImageData(buffer, 0, 0);
    },
  };
}

// A pad to draw on, with pointer, touch or keys, that gives an image. Its look is drawing_pad.css.

import { centred, drawing, rasterise } from "../maths/strokes.js";
import { imageGrid } from "./canvas.js";
import { button, clamp, h, newId, row, toggle } from "./controls.js";

/** @import { Stroke } from "../maths/strokes.js" */

/**
 * @typedef {{ height: number, width: number, radius: number }} Size of the image, and of the pen, in pixels
 */

/** @type {{ [key: string]: [dx: number, dy: number] }} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * The pen by keys: two native range inputs, one an axis, that assistive technology and arrow keys can move.
 * @param {Size} size
 * @param {{ label: string, describedBy: string, onMove: (x: number, y: number) => void, onToggle: () => void,
 *   onUndo: () => void }} options
 */
function penInputs({ width, height }, { label, describedBy, onMove, onToggle, onUndo }) {
  const [names, sides] = [
    ["column", "row"],
    [width, height],
  ];
  let pen = [0, 0];
  const inputs = names.map((name, axis) => {
    const input = h("input", {
      type: "range",
      class: "companion-cover",
      min: 0,
      max: sides[axis] - 1,
      step: 1,
      tabindex: axis ? -1 : 0,
      "aria-label": `${label}: ${name} of the pen`,
      "aria-describedby": describedBy,
    });
    input.addEventListener("input", () => {
      const next = Number(input.value) + 0.5;
      onMove(axis ? pen[0] : next, axis ? next : pen[1]);
    });
    input.addEventListener("keydown", (event) => {
      if (event.key in ARROWS) {
        const step = (event.shiftKey ? 4 : 1) * (Math.max(width, height) / 28);
        const [dx, dy] = ARROWS[event.key];
        onMove(pen[0] + step * dx, pen[1] + step * dy);
      } else if (event.key === " ") onToggle();
      else if (event.key === "z" && (event.ctrlKey || event.metaKey)) onUndo();
      else return;
      event.preventDefault();
    });
    return input;
  });
  return {
    inputs,
    /** @param {number[]} at [x, y] @param {boolean} isDown */
    set(at, isDown) {
      pen = at;
      inputs.forEach((input, axis) => {
        const i = Math.min(sides[axis] - 1, Math.floor(pen[axis]));
        const state = isDown ? "pen down" : "pen up";
        input.value = String(i);
        input.setAttribute("aria-valuetext", `${names[axis]} ${i + 1} of ${sides[axis]}, ${state}`);
      });
    },
  };
}

/**
 * Follow one pointer or finger over a field; where it is, in pixels of the image.
 * @param {HTMLElement} field
 * @param {HTMLElement} picture
 * @param {Size} size
 * @param {{ onDown: (x: number, y: number) => void, onMove: (places: [number, number][]) => void }} options
 */
function followPointer(field, picture, { width, height, radius }, { onDown, onMove }) {
  /** @type {number | null} */
  let pointer = null;
  const out = radius + 1; // so far beyond the edge that nothing shows
  /** @param {PointerEvent} event @returns {[number, number]} */
  const place = (event) => {
    const box = picture.getBoundingClientRect();
    return [
      clamp(((event.clientX - box.left) / box.width) * width, -out, width + out),
      clamp(((event.clientY - box.top) / box.height) * height, -out, height + out),
    ];
  };
  field.addEventListener("pointerdown", (event) => {
    if (event.button || pointer !== null) return;
    event.preventDefault();
    pointer = event.pointerId;
    field.setPointerCapture(pointer);
    onDown(...place(event));
  });
  field.addEventListener("pointermove", (event) => {
    if (event.pointerId !== pointer) return;
    // A fast hand is asked where it was between two frames.
    const between = event.getCoalescedEvents?.() ?? [];
    onMove((between.length ? between : [event]).map(place));
  });
  for (const end of /** @type {const} */ (["pointerup", "pointercancel"])) {
    field.addEventListener(end, (event) => {
      if (event.pointerId === pointer) pointer = null;
    });
  }
}

/**
 * @typedef {object} DrawingOptions
 * @property {string} [label]
 * @property {number} [height] of the image, in pixels
 * @property {number} [width]
 * @property {number} [radius] of the pen, in pixels of the image
 * @property {boolean} [centre] give the image as MNIST has its digits: scaled to 20/28 of the side, its
 *   centre
 *   of mass in the middle. What the reader sees stays where it was drawn.
 * @property {(ink: Float32Array) => ArrayLike<number>} [look] what the pad shows of its ink: an image as large;
 *   the ink itself if not given
 * @property {(image: Float32Array) => void} [onChange] after each line; see `read`
 */

/**
 * A drawing pad. `read()` gives height·width numbers in [0, 1], 0 the paper, row by row.
 *
 * Drag to draw. Without dragging: arrow keys move the pen (with Shift further), space puts it down and lifts
 * it; while "Pen down" is on, a tap draws a straight line from where the pen is. Ctrl+Z takes a stroke back.
 * @param {DrawingOptions} [options]
 */
export function drawingPad({
  label = "Drawing pad",
  height = 28,
  width = 28,
  radius = 1.1,
  centre = false,
  look = (ink) => ink,
  onChange,
} = {}) {
  const size = { height, width, radius };
  const work = drawing(size);
  const picture = imageGrid([1, height, width], { smooth: true });
  const marker = h("span", { class: "drawing-pen" });
  const helpId = newId();
  let pen = [width / 2, height / 2];

  const read = () => (centre ? rasterise(centred(work.strokes(), size), size) : work.image().slice());
  const show = () => {
    picture.draw(look(work.image()));
    const isEmpty = work.strokes().length === 0;
    undo.enable(!isEmpty);
    clear.enable(!isEmpty);
  };
  const changed = () => {
    show();
    onChange?.(read());
  };
  /** Put the pen somewhere; `draws` says whether it leaves a line. */
  const moveTo = (/** @type {number} */ x, /** @type {number} */ y, draws = down.get()) => {
    pen = [clamp(x, 0, width), clamp(y, 0, height)];
    marker.style.insetInlineStart = `${(100 * pen[0]) / width}%`;
    marker.style.insetBlockStart = `${(100 * pen[1]) / height}%`;
    keys.set(pen, down.get());
    if (!draws) return;
    work.lineTo(pen[0], pen[1]);
    changed();
  };
  const setDown = (/** @type {boolean} */ on) => {
    down.set(on);
    field.classList.toggle("drawing-down", on);
    if (on) {
      work.begin(pen[0], pen[1]);
      changed();
    }
    keys.set(pen, on);
  };
  const takeBack = () => {
    work.set(work.strokes().slice(0, -1));
    setDown(false);
    changed();
  };

  const keys = penInputs(size, {
    label,
    describedBy: helpId,
    onMove: (x, y) => moveTo(x, y),
    onToggle: () => setDown(!down.get()),
    onUndo: takeBack,
  });
  const field = h("div", { class: "drawing-field" }, picture.el, marker, ...keys.inputs);
  field.style.aspectRatio = `${width} / ${height}`;
  followPointer(field, picture.el, size, {
    onDown(x, y) {
      keys.inputs[0].focus({ preventScroll: true, focusVisible: false });
      if (down.get()) work.lineTo(x, y);
      else work.begin(x, y);
      moveTo(x, y, false);
      changed();
    },
    onMove(places) {
      for (const [x, y] of places) work.lineTo(x, y);
      moveTo(...places[places.length - 1], false);
      changed();
    },
  });
  const undo = button({ label: "Undo", title: "Take the last stroke back", onClick: takeBack });
  const clear = button({
    label: "Clear",
    title: "An empty pad",
    onClick: () => {
      work.set([]);
      setDown(false);
      changed();
    },
  });
  const down = toggle({ label: "Pen down", onChange: setDown });
  const help = h(
    "p",
    { class: "companion-note", id: helpId },
    "Drag to draw. Or move the pen with the arrow keys; space puts it down and lifts it. " +
      "With the pen down, a tap draws a line to where you tap.",
  );

  moveTo(pen[0], pen[1], false);
  show();
  return {
    el: h(
      "div",
      { class: "drawing-pad", role: "group", "aria-label": label },
      field,
      row(undo.el, clear.el, down.el),
      help,
    ),
    read,
    /** Show anew what `look` makes of the ink. */
    show,
    strokes: work.strokes,
    /** Show other strokes, in pixels of the image; calls nobody back. @param {Stroke[]} strokes */
    set(strokes) {
      work.set(strokes);
      setDown(false);
      show();
    },
  };
}

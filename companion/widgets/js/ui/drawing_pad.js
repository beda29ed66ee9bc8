// A pad to draw on, with pointer, touch or keys, that gives an image. Its look is drawing_pad.css.

import { centred, drawing, rasterise } from "../maths/strokes.js";
import { imageGrid } from "./canvas.js";
import { button, clamp, h, newId, row, toggle } from "./controls.js";

/** @import { Stroke } from "../maths/strokes.js" */

/** @type {{ [key: string]: [dx: number, dy: number] }} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * @typedef {object} DrawingOptions
 * @property {string} [label]
 * @property {number} [height] of the image, in pixels
 * @property {number} [width]
 * @property {number} [radius] of the pen, in pixels of the image
 * @property {boolean} [centre] give the image as MNIST has its digits: scaled to 20/28 of the side, its
 *   centre
 *   of mass in the middle. What the reader sees stays where it was drawn.
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
    picture.draw(work.image());
    const empty = work.strokes().length === 0;
    undo.enable(!empty);
    clear.enable(!empty);
  };
  const changed = () => {
    show();
    onChange?.(read());
  };
  /** Move the pen, drawing if it is down. @param {number} x @param {number} y @param {boolean} draws */
  const moveTo = (x, y, draws) => {
    pen = [clamp(x, 0, width), clamp(y, 0, height)];
    marker.style.insetInlineStart = `${(100 * pen[0]) / width}%`;
    marker.style.insetBlockStart = `${(100 * pen[1]) / height}%`;
    inputs.forEach((input, axis) => {
      const [i, n] = [Math.min([width, height][axis] - 1, Math.floor(pen[axis])), [width, height][axis]];
      input.value = String(i);
      const state = down.get() ? "pen down" : "pen up";
      input.setAttribute("aria-valuetext", `${["column", "row"][axis]} ${i + 1} of ${n}, ${state}`);
    });
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
    moveTo(pen[0], pen[1], false);
  };

  // -------- keys: two native range inputs, one an axis, as on the latent pad
  const inputs = ["column", "row"].map((name, axis) => {
    const input = h("input", {
      type: "range",
      class: "companion-cover",
      min: 0,
      max: [width, height][axis] - 1,
      step: 1,
      tabindex: axis ? -1 : 0,
      "aria-label": `${label}: ${name} of the pen`,
      "aria-describedby": helpId,
    });
    input.addEventListener("input", () => {
      const next = Number(input.value) + 0.5;
      moveTo(axis ? pen[0] : next, axis ? next : pen[1], down.get());
    });
    input.addEventListener("keydown", (event) => {
      if (event.key in ARROWS) {
        const step = (event.shiftKey ? 4 : 1) * (Math.max(width, height) / 28);
        const [dx, dy] = ARROWS[event.key];
        moveTo(pen[0] + step * dx, pen[1] + step * dy, down.get());
      } else if (event.key === " ") setDown(!down.get());
      else if (event.key === "z" && (event.ctrlKey || event.metaKey)) takeBack();
      else return;
      event.preventDefault();
    });
    return input;
  });

  // -------- pointer and touch
  const field = h("div", { class: "drawing-field" }, picture.el, marker, ...inputs);
  field.style.aspectRatio = `${width} / ${height}`;
  /** @type {number | null} */
  let pointer = null;
  /** @param {PointerEvent} event @returns {[number, number]} */
  const position = (event) => {
    const box = field.getBoundingClientRect();
    return [
      ((event.clientX - box.left) / box.width) * width,
      ((event.clientY - box.top) / box.height) * height,
    ];
  };
  field.addEventListener("pointerdown", (event) => {
    if (event.button || pointer !== null) return;
    event.preventDefault();
    pointer = event.pointerId;
    field.setPointerCapture(pointer);
    inputs[0].focus({ preventScroll: true, focusVisible: false });
    const at = position(event);
    const joins = down.get();
    moveTo(...at, joins);
    if (joins) return;
    work.begin(...at);
    changed();
  });
  field.addEventListener("pointermove", (event) => {
    if (event.pointerId !== pointer) return;
    // A fast hand is asked where it was between two frames.
    const between = event.getCoalescedEvents?.() ?? [];
    for (const step of between.length ? between : [event]) {
      const at = position(step);
      work.lineTo(...at);
      moveTo(...at, false);
    }
    changed();
  });
  for (const end of /** @type {const} */ (["pointerup", "pointercancel"])) {
    field.addEventListener(end, (event) => {
      if (event.pointerId === pointer) pointer = null;
    });
  }

  // -------- buttons
  const takeBack = () => {
    work.set(work.strokes().slice(0, -1));
    setDown(false);
    changed();
  };
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
    "Drag to draw. Or move the pen with the arrow keys; space puts it down and lifts it. ",
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
    strokes: work.strokes,
    /** Show other strokes, in pixels of the image; calls nobody back. @param {Stroke[]} strokes */
    set(strokes) {
      work.set(strokes);
      setDown(false);
      show();
    },
  };
}

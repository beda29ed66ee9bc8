// The large panel as a field in which points are put in, moved and taken out: by mouse, by touch, by keys.

import { clamp, h, newId, segmented } from "../ui/controls.js";

const NEAR = 14; // CSS pixels within which a pointer means a point
const STEP = 0.02; // of the field: a cursor's step

/** @type {Record<string, [number, number]>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * @typedef {object} PadOptions
 * @property {HTMLElement} picture
 * @property {() => number[][]} places of the points: shares from the left and from the top
 * @property {(at: number[]) => void} onPut
 * @property {(i: number) => void} onTake
 * @property {(i: number, at: number[]) => void} onMove while it goes on
 * @property {() => void} onGrab before a point moves
 * @property {() => void} onRelease after it has moved
 * @property {(i: number) => void} onLook −1 for none
 * @property {() => void} onUndo
 */

/** @param {PadOptions} options */
export function pointPad({ picture, places, onPut, onTake, onMove, onGrab, onRelease, onLook, onUndo }) {
  let cursor = [0.5, 0.5];
  let held = -1; // a point that goes where the cursor goes
  const mode = segmented({
    label: "A tap",
    options: [
      { value: "put", label: "puts in" },
      { value: "take", label: "takes out" },
      { value: "look", label: "looks" },
    ],
  });
  const helpId = newId();
  const pointer = h("span", { class: "anomaly-cursor" });
  const names = ["left to right", "top to bottom"];
  const inputs = names.map((name, axis) =>
    h("input", {
      ...{ type: "range", class: "companion-cover", min: 0, max: 50, step: 1, tabindex: axis ? -1 : 0 },
      ...{ "aria-label": `Cursor, ${name}`, "aria-describedby": helpId },
    }),
  );
  const field = h("div", { class: "anomaly-field" }, picture, pointer, ...inputs);

  /** The point nearest to a place, within a reach in shares. @param {number[]} at */
  const nearest = ([x, y], reach = Infinity) => {
    let [best, least] = [-1, reach];
    for (const [i, [px, py]] of places().entries()) {
      const far = Math.hypot(px - x, py - y);
      if (far < least) [best, least] = [i, far];
    }
    return best;
  };
  const show = () => {
    pointer.style.insetInlineStart = `${100 * cursor[0]}%`;
    pointer.style.insetBlockStart = `${100 * cursor[1]}%`;
    inputs.forEach((input, axis) => {
      input.value = String(Math.round(cursor[axis] / STEP));
      const place = `${Math.round(100 * cursor[0])} % from the left, ${Math.round(100 * cursor[1])} % from the top`;
      input.setAttribute("aria-valuetext", held < 0 ? place : `${place}, holding a point`);
    });
    field.classList.toggle("anomaly-holding", held >= 0);
  };
  const go = (/** @type {number[]} */ at) => {
    cursor = at.map((share) => clamp(share, 0, 1));
    if (held >= 0) onMove(held, cursor);
    else onLook(nearest(cursor));
    show();
  };
  const release = () => {
    if (held >= 0) onRelease();
    held = -1;
    show();
  };
  const take = () => {
    const i = held >= 0 ? held : nearest(cursor);
    held = -1;
    if (i >= 0) onTake(i);
  };
  const act = (/** @type {number} */ reach) => {
    if (mode.get() === "put") onPut(cursor);
    else if (mode.get() === "take") {
      const i = nearest(cursor, reach);
      if (i >= 0) onTake(i);
    } else onLook(nearest(cursor));
  };

  inputs.forEach((input, axis) => {
    input.addEventListener("input", () => {
      const next = [...cursor];
      next[axis] = Number(input.value) * STEP;
      go(next);
    });
    input.addEventListener("keydown", (event) => {
      if (event.key in ARROWS) {
        const step = event.shiftKey ? 5 * STEP : STEP;
        go(cursor.map((share, a) => share + step * ARROWS[event.key][a]));
      } else if (event.key === "Enter") {
        if (held >= 0) release();
        else act(Infinity);
      } else if (event.key === " ") {
        if (held >= 0) release();
        else {
          const i = nearest(cursor);
          if (i < 0) return;
          onGrab();
          cursor = places()[i];
          held = i;
          onLook(i);
          show();
        }
      } else if (event.key === "Delete" || event.key === "Backspace") take();
      else if (event.key === "z" && (event.ctrlKey || event.metaKey)) {
        release();
        onUndo();
      } else return;
      event.preventDefault();
    });
    input.addEventListener("blur", release);
  });

  /** @type {{ id: number, x: number, y: number, i: number, moved: boolean } | null} */
  let gesture = null;
  /** @param {PointerEvent} event */
  const at = ({ clientX, clientY }) => {
    const box = picture.getBoundingClientRect();
    return [(clientX - box.left) / box.width, (clientY - box.top) / box.height];
  };
  const reach = () => NEAR / (picture.getBoundingClientRect().width || 1);
  field.addEventListener("pointerdown", (event) => {
    if (event.button || gesture) return;
    event.preventDefault();
    inputs[0].focus({ preventScroll: true, focusVisible: false });
    release();
    gesture = {
      ...{ id: event.pointerId, x: event.clientX, y: event.clientY },
      ...{ i: nearest(at(event), reach()), moved: false },
    };
    field.setPointerCapture(event.pointerId);
  });
  field.addEventListener("pointermove", (event) => {
    if (!gesture) {
      const i = event.pointerType === "mouse" ? nearest(at(event), reach()) : -1;
      if (i >= 0) onLook(i);
      return;
    }
    if (event.pointerId !== gesture.id || gesture.i < 0) return;
    if (!gesture.moved) {
      if (Math.hypot(event.clientX - gesture.x, event.clientY - gesture.y) < 4) return;
      gesture.moved = true;
      onGrab();
    }
    cursor = at(event).map((share) => clamp(share, 0, 1));
    onMove(gesture.i, cursor);
    show();
  });
  field.addEventListener("pointerup", (event) => {
    if (!gesture || event.pointerId !== gesture.id) return;
    const { moved } = gesture;
    gesture = null;
    if (moved) {
      onRelease();
      return;
    }
    cursor = at(event).map((share) => clamp(share, 0, 1));
    act(reach());
    show();
  });
  field.addEventListener("pointercancel", (event) => {
    if (event.pointerId === gesture?.id) gesture = null;
  });

  show();
  return {
    el: field,
    mode: mode.el,
    help: h(
      "p",
      { class: "companion-note", id: helpId },
      "Drag a point to move it. By keys: arrows move the cursor (with Shift further), Enter does what a tap does, " +
        "space takes hold of the nearest point and lets go, Delete takes it out, Ctrl+Z undoes.",
    ),
  };
}

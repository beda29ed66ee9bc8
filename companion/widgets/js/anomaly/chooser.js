// Points of a picture to choose from: by mouse, by touch, or with arrow keys to the next in their direction.

import { h } from "../ui/controls.js";

/** @type {Record<string, [number, number]>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * Places of points in a picture, both axes with one scale, in its middle.
 * @param {number[][]} points @param {number} width @param {number} height @param {number} margin
 * @returns {{ places: number[][], unit: number }} pixels; `unit`: pixels in 1
 */
export function scaled(points, width, height, margin) {
  const ends = [0, 1].map((axis) => {
    const values = points.map((point) => point[axis]);
    return [Math.min(...values), Math.max(...values)];
  });
  const room = [width - 2 * margin, height - 2 * margin];
  const unit = Math.min(...ends.map(([low, high], axis) => room[axis] / (high - low || 1)));
  const [mx, my] = ends.map(([low, high]) => (low + high) / 2);
  const places = points.map(([x, y]) => [width / 2 + unit * (x - mx), height / 2 - unit * (y - my)]);
  return { places, unit };
}

/**
 * @param {{ picture: HTMLElement, label: string, onSelect: (i: number) => void }} options
 */
export function pointChooser({ picture, label, onSelect }) {
  /** @type {number[][]} */
  let places = [];
  let selected = -1;
  const input = h("input", {
    ...{ type: "range", class: "companion-cover", min: 0, step: 1 },
    "aria-label": `${label}; arrows go to the next in their direction`,
  });
  input.addEventListener("input", () => onSelect(Number(input.value)));
  input.addEventListener("keydown", (event) => {
    if (!(event.key in ARROWS)) return;
    event.preventDefault();
    const [dx, dy] = ARROWS[event.key];
    const [fx, fy] = places[selected] ?? [0, 0];
    let [best, cost] = [-1, Infinity];
    for (const [j, [px, py]] of places.entries()) {
      const [x, y] = [px - fx, py - fy];
      const [along, aside] = [x * dx + y * dy, Math.abs(x * dy - y * dx)];
      if (j === selected || along <= 0 || aside > along || along + 2 * aside >= cost) continue;
      [best, cost] = [j, along + 2 * aside];
    }
    if (best >= 0) onSelect(best);
  });
  const el = h("div", { class: "anomaly-chooser" }, picture, input);
  el.addEventListener("click", (event) => {
    const box = picture.getBoundingClientRect();
    let [best, least] = [-1, 24];
    for (const [j, [x, y]] of places.entries()) {
      const far = Math.hypot(event.clientX - box.left - x, event.clientY - box.top - y);
      if (far < least) [best, least] = [j, far];
    }
    if (best < 0) return;
    input.focus({ preventScroll: true, focusVisible: false });
    onSelect(best);
  });
  return {
    el,
    /** @param {number[][]} next places in pixels @param {number} now −1 for none @param {string} words of that */
    follow(next, now, words) {
      [places, selected] = [next, now];
      input.max = String(next.length - 1);
      input.value = String(Math.max(0, now));
      input.setAttribute("aria-valuetext", words);
    },
  };
}

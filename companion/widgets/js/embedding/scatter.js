// The points in the plane: hover, tap or arrow keys choose one, whose neighbours are joined to it.

import { clamp, h } from "../ui/controls.js";
import { inksOn, PIXELS } from "./sprites.js";

/** @import { Neighbours } from "./explorer.js" */
/** @typedef {ReturnType<typeof import("./sprites.js").sprites>} Sprites */

const SIZE = 480; // CSS pixels along a side
const REACH = 22; // how near a pointer must come

/** @type {Record<string, [number, number]>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * Places in the picture: the plane's middle in its middle, as large as fits, both axes with one scale; or so many
 * times as large about one of the points.
 * @param {Float64Array} plane @param {number} margin @param {number} zoom @param {number} focus
 */
function placed(plane, margin, zoom, focus) {
  const ends = [0, 1].map((axis) => {
    let [low, high] = [Infinity, -Infinity];
    for (let c = axis; c < plane.length; c += 2) {
      if (plane[c] < low) low = plane[c];
      if (plane[c] > high) high = plane[c];
    }
    return [low, high];
  });
  const span = Math.max(...ends.map(([low, high]) => high - low)) || 1;
  const unit = (zoom * (SIZE - 2 * margin)) / span;
  const places = new Float64Array(plane.length);
  for (let c = 0; c < plane.length; c += 1) {
    const [low, high] = ends[c % 2];
    const away = unit * (plane[c] - (zoom > 1 ? plane[2 * focus + (c % 2)] : (low + high) / 2));
    places[c] = SIZE / 2 + (c % 2 ? -away : away);
  }
  return places;
}

/**
 * @param {{ tiles: Sprites, labels: number[], names: string[], onSelect: (place: number) => void }} options
 */
export function scatter({ tiles, labels, names, onSelect }) {
  const n = labels.length;
  const least = tiles.hasImages ? clamp(420 / Math.sqrt(n), 13, 26) : 11;
  let side = least;
  const canvas = h("canvas", { role: "img" });
  canvas.width = canvas.height = SIZE * PIXELS;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  let places = new Float64Array(2 * n);
  let [selected, zoomed, focus] = [0, 1, 0];
  let colours = inksOn({ surface: "rgb(255, 255, 255)" });

  const input = h("input", {
    type: "range",
    class: "companion-cover",
    ...{
      min: 0,
      max: n - 1,
      step: 1,
      "aria-label": "Point that is looked at; arrows go to the next in their direction",
    },
  });
  input.addEventListener("input", () => onSelect(Number(input.value)));
  input.addEventListener("keydown", (event) => {
    if (!(event.key in ARROWS)) return;
    event.preventDefault();
    const [dx, dy] = ARROWS[event.key];
    let [best, cost] = [-1, Infinity];
    for (let j = 0; j < n; j += 1) {
      const x = places[2 * j] - places[2 * selected];
      const y = places[2 * j + 1] - places[2 * selected + 1];
      const [along, aside] = [x * dx + y * dy, Math.abs(x * dy - y * dx)];
      // Of those within 45° the one that is nearest, a little less so to the side.
      if (j === selected || along <= 0 || aside > along || along + 2 * aside >= cost) continue;
      [best, cost] = [j, along + 2 * aside];
    }
    if (best < 0) return;
    const isOut = [0, 1].some((axis) => Math.abs(places[2 * best + axis] - SIZE / 2) > SIZE / 2 - side);
    if (isOut) focus = best;
    onSelect(best);
  });

  const el = h("div", { class: "embedding-picture" }, canvas, input);
  const nearest = (/** @type {PointerEvent} */ event) => {
    const box = canvas.getBoundingClientRect();
    const unit = SIZE / box.width;
    const [x, y] = [(event.clientX - box.left) * unit, (event.clientY - box.top) * unit];
    let [best, cost] = [-1, REACH * unit];
    for (let j = 0; j < n; j += 1) {
      const far = Math.hypot(places[2 * j] - x, places[2 * j + 1] - y);
      if (far < cost) [best, cost] = [j, far];
    }
    return best;
  };
  const choose = (/** @type {PointerEvent} */ event) => {
    const place = nearest(event);
    if (place >= 0) onSelect(place);
  };
  el.addEventListener("pointermove", (event) => event.pointerType === "mouse" && choose(event));
  el.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    input.focus({ preventScroll: true, focusVisible: false });
    choose(event);
  });

  /** @param {number} i */
  const mark = (i) => tiles.draw(context, i, places[2 * i] - side / 2, places[2 * i + 1] - side / 2, side);
  /** @param {number} i @param {string} colour @param {number[]} [dash] */
  const ring = (i, colour, dash = []) => {
    context.setLineDash(dash);
    context.strokeStyle = colour;
    context.lineWidth = 2;
    context.beginPath();
    context.arc(places[2 * i], places[2 * i + 1], 0.72 * side + 1, 0, 2 * Math.PI);
    context.stroke();
    context.setLineDash([]);
  };

  return {
    el,
    /**
     * @param {{ plane: Float64Array, selected: number, neighbours: Neighbours, highlighted: number, zoom: number,
     *   view: string }} now
     */
    draw({ plane, selected: chosen, neighbours, highlighted, zoom, view }) {
      selected = chosen;
      if (zoom !== zoomed) [zoomed, focus] = [zoom, chosen];
      side = least * zoom ** 0.45;
      places = placed(plane, least, zoom, focus);
      context.setTransform(PIXELS, 0, 0, PIXELS, 0, 0);
      context.clearRect(0, 0, SIZE, SIZE);
      for (const away of [true, false]) {
        context.globalAlpha = away ? 0.13 : 1;
        for (let i = 0; i < n; i += 1) if ((highlighted >= 0 && labels[i] !== highlighted) === away) mark(i);
      }
      context.globalAlpha = 1;
      const [x, y] = [places[2 * chosen], places[2 * chosen + 1]];
      context.strokeStyle = colours.ink;
      context.lineWidth = 1.5;
      context.beginPath();
      for (const j of neighbours.true_) {
        context.moveTo(x, y);
        context.lineTo(places[2 * j], places[2 * j + 1]);
      }
      context.stroke();
      for (const j of neighbours.plane) if (!neighbours.true_.includes(j)) ring(j, colours.soft, [3, 3]);
      for (const j of neighbours.true_) ring(j, colours.ink);
      context.fillStyle = colours.surface;
      context.beginPath();
      context.arc(x, y, 0.85 * side + 2, 0, 2 * Math.PI);
      context.fill();
      mark(chosen);
      context.lineWidth = 3.5;
      context.strokeStyle = colours.accent;
      context.stroke();
      const name = names.length ? `, ${names[labels[chosen]]}` : "";
      input.value = String(chosen);
      input.setAttribute("aria-valuetext", `point ${chosen + 1} of ${n}${name}`);
      canvas.setAttribute(
        "aria-label",
        `${n} points as ${view} places them; point ${chosen + 1}${name} is joined to its ` +
          `${neighbours.true_.length} true nearest neighbours.`,
      );
    },
    /** @param {{ [token: string]: string }} tokens */
    onTheme(tokens) {
      colours = inksOn(tokens);
    },
  };
}

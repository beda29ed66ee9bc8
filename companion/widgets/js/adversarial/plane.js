// The plane with a discriminator's field, real and generated points, and the pull on them.

import { arrow, dots, mark, s, setAll } from "../ui/axes.js";
import { h } from "../ui/controls.js";
import { colourOf, paintMap } from "../ui/pixel_map.js";
import { PLANE } from "./look.js";

/** @import { Point } from "../ui/axes.js" */

const UNITS = 300; // along a side of the drawing
const SHOWN = 192; // points of each kind
const LONGER = 0.1; // of the pull −∂L/∂x
const LONGEST = 0.3; // arrow

/** Where a point is in the drawing. @param {number} x @param {number} y @returns {Point} */
const at = (x, y) => [
  ((x + PLANE.reach) / (2 * PLANE.reach)) * UNITS,
  ((PLANE.reach - y) / (2 * PLANE.reach)) * UNITS,
];

/** @param {Float64Array} flat */
const dotted = (flat) =>
  dots(Array.from({ length: Math.min(SHOWN, flat.length / 2) }, (_, k) => at(flat[2 * k], flat[2 * k + 1])));

/** @param {Float64Array} points @param {Float64Array} pulls */
const arrows = (points, pulls) =>
  Array.from({ length: pulls.length / 2 }, (_, k) => {
    const [dx, dy] = [LONGER * pulls[2 * k], LONGER * pulls[2 * k + 1]];
    const part = Math.min(1, LONGEST / Math.hypot(dx, dy)) || 0;
    const [x, y] = [points[2 * k], points[2 * k + 1]];
    return arrow(...at(x, y), ...at(x + part * dx, y + part * dy), 4);
  }).join("");

/** @param {string} name what a screen reader calls its field */
export function plane(name) {
  const { side } = PLANE;
  const canvas = h("canvas", { class: "gan-field", width: side, height: side, "aria-hidden": "true" });
  const context = canvas.getContext("2d");
  const buffer = context?.createImageData(side, side);
  const real = mark("path", "gan-real", "soft");
  const [halo, fake] = [mark("path", "gan-halo"), mark("path", "gan-fake", "data-5")];
  const pull = mark("path", "companion-arrow gan-pull");
  const svg = s(
    "svg",
    { role: "img", viewBox: `0 0 ${UNITS} ${UNITS}`, class: "gan-points" },
    ...[real, halo, fake, pull],
  );
  return {
    el: h("div", { class: "gan-plane" }, canvas, svg),
    /**
     * @param {Float64Array | null} field @param {{ real: Float64Array, points?: Float64Array, pulls?: Float64Array }} now
     * @param {boolean} dark @param {string} words
     */
    draw(field, { real: data, points, pulls }, dark, words) {
      if (context && buffer) {
        const colour = colourOf("diverging", -1, 1, dark);
        paintMap(buffer, field ?? new Float64Array(side * side).fill(0.5), (D) => colour(2 * D - 1));
        context.putImageData(buffer, 0, 0);
      }
      setAll(real, { d: dotted(data) });
      const d = points ? dotted(points) : "";
      setAll(halo, { d });
      setAll(fake, { d });
      setAll(pull, { d: points && pulls ? arrows(points, pulls) : "" });
      setAll(svg, { "aria-label": `${name}. ${words}` });
    },
  };
}

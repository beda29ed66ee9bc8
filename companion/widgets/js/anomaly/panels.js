// A panel: the ranks of a method's scores as colours, the line of its threshold, the points.

import { contour } from "../maths/anomaly.js";
import { sequential } from "../ui/colours.js";
import { h } from "../ui/controls.js";
import { SIDE } from "./work.js";

/** @import { Found, Points, Window } from "./work.js" */

const PIXELS = Math.max(1, Math.min(2, globalThis.devicePixelRatio || 1));
// On the colours of the field, which are the same on light and dark paper.
const [EDGE, NORMAL, FLAGGED] = ["#10151c", "#ffffff", "#e5341d"];

/** Where a point lies in a panel, as shares from the left and from the top. @param {Window} view @param {number[]} point */
export const placeOf = ({ x0, x1, y0, y1 }, [x, y]) => [(x - x0) / (x1 - x0), (y1 - y) / (y1 - y0)];

/**
 * A panel of so many CSS pixels.
 * @param {number} size @param {number} radius of a point's mark
 */
export function panel(size, radius) {
  const canvas = h("canvas", { role: "img", class: "anomaly-canvas" });
  canvas.width = canvas.height = size * PIXELS;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const small = new OffscreenCanvas(SIDE, SIDE);
  const pen = /** @type {OffscreenCanvasRenderingContext2D} */ (small.getContext("2d"));
  const image = pen.createImageData(SIDE, SIDE);

  /** @type {Found | null} */
  let painted = null;
  /** @param {Found} found */
  const paint = (found) => {
    if (found !== painted) colour(found);
    painted = found;
    context.imageSmoothingEnabled = true;
    context.drawImage(small, 0, 0, size, size);
  };
  /** @param {Found} found */
  const colour = ({ shares }) => {
    for (let r = 0; r < SIDE; r += 1) {
      const row = (SIDE - 1 - r) * SIDE; // the first row of places is the lowest
      for (let c = 0; c < SIDE; c += 1) {
        const [red, green, blue] = sequential(shares[row + c]);
        const o = 4 * (r * SIDE + c);
        image.data[o] = red;
        image.data[o + 1] = green;
        image.data[o + 2] = blue;
        image.data[o + 3] = 255;
      }
    }
    pen.putImageData(image, 0, 0);
  };
  /** @param {Float64Array} field @param {number} level */
  const outline = (field, level) => {
    const lines = contour(field, SIDE, level);
    const unit = size / SIDE;
    context.beginPath();
    for (let e = 0; e < lines.length; e += 4) {
      context.moveTo((lines[e] + 0.5) * unit, size - (lines[e + 1] + 0.5) * unit);
      context.lineTo((lines[e + 2] + 0.5) * unit, size - (lines[e + 3] + 0.5) * unit);
    }
    for (const [width, colour] of /** @type {const} */ ([
      [radius, EDGE],
      [radius / 2, NORMAL],
    ])) {
      context.lineWidth = width;
      context.strokeStyle = colour;
      context.stroke();
    }
  };
  /** @param {Window} view @param {Points} points @param {(i: number) => boolean} isFlagged */
  const mark = (view, points, isFlagged) => {
    for (const flagged of [false, true]) {
      context.beginPath();
      const r = flagged ? 1.5 * radius : radius;
      points.forEach((point, i) => {
        if (isFlagged(i) !== flagged) return;
        const [x, y] = placeOf(view, point).map((share) => share * size);
        if (flagged) {
          context.moveTo(x, y - r);
          for (const [dx, dy] of [
            [r, 0],
            [0, r],
            [-r, 0],
          ])
            context.lineTo(x + dx, y + dy);
          context.closePath();
        } else {
          context.moveTo(x + r, y);
          context.arc(x, y, r, 0, 2 * Math.PI);
        }
      });
      context.lineWidth = radius / 2;
      context.fillStyle = flagged ? FLAGGED : NORMAL;
      context.strokeStyle = flagged ? NORMAL : EDGE;
      context.fill();
      context.stroke();
    }
  };
  return {
    canvas,
    /**
     * @param {{ view: Window, points: Points, found?: Found, level?: number, words: string }} now without `found`
     *   the points alone
     */
    draw({ view, points, found, level, words }) {
      context.setTransform(PIXELS, 0, 0, PIXELS, 0, 0);
      if (found) paint(found);
      else {
        context.fillStyle = `rgb(${sequential(0).join()})`;
        context.fillRect(0, 0, size, size);
      }
      if (found && level !== undefined) outline(found.field, level);
      mark(view, points, (i) => found !== undefined && level !== undefined && found.scores[i] > level);
      canvas.setAttribute("aria-label", words);
    },
  };
}

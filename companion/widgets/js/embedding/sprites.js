// The marks of points: their thumbnails in the colour of their class, or a shape for each class.

import { classColours, isDark } from "../ui/colours.js";

/** @import { State } from "./explorer.js" */

/** The corners of a star or polygon about (0, 0). @param {number} corners @param {number} turn @param {number} [inner] */
function polygon(corners, turn, inner) {
  const count = inner ? 2 * corners : corners;
  return Array.from({ length: count }, (_, k) => {
    const radius = inner && k % 2 ? inner : 1;
    const angle = 2 * Math.PI * (k / count + turn);
    return [radius * Math.sin(angle), -radius * Math.cos(angle)];
  });
}

const SHAPES = [
  polygon(24, 0).map(([x, y]) => [0.85 * x, 0.85 * y]),
  polygon(4, 1 / 8),
  polygon(3, 0),
  polygon(4, 0),
  polygon(4, 0, 0.35),
  polygon(3, 1 / 2),
  polygon(4, 1 / 8, 0.35),
  polygon(5, 0, 0.45),
  polygon(6, 0),
  polygon(5, 0),
];

/** The shape of a class, as the `d` of a path about (0, 0). @param {number} label @param {number} radius */
export const shapeOf = (label, radius) =>
  `M${SHAPES[label % SHAPES.length].map((at) => at.map((v) => (radius * v).toFixed(2)).join(" ")).join("L")}Z`;

/**
 * @param {CanvasRenderingContext2D | OffscreenCanvasRenderingContext2D} context
 * @param {number} label @param {number} x @param {number} y @param {number} radius
 */
function trace(context, label, x, y, radius) {
  context.beginPath();
  for (const [dx, dy] of SHAPES[label % SHAPES.length]) context.lineTo(x + radius * dx, y + radius * dy);
  context.closePath();
}

/**
 * What is drawn over the marks, on light and on dark paper; those of widgets.css. The build knows the paper alone.
 * @param {{ [token: string]: string }} tokens
 */
export const inksOn = (tokens) =>
  isDark(tokens)
    ? { ink: "#e9ecf0", soft: "#aab3bf", accent: "#4f9ffb", surface: "#181a1e" }
    : { ink: "#1c2026", soft: "#525a66", accent: "#175fd1", surface: "#ffffff" };

/** Pixels of a canvas in a CSS pixel. */
export const PIXELS = Math.max(1, Math.min(2, globalThis.devicePixelRatio || 1));

/**
 * All marks on one canvas, from which they are drawn. Grey images on black become ink in the colour of their class;
 * others get a frame of that colour, and the shape of the class in a corner.
 * @param {State["tiles"]} tiles @param {number[]} labels @param {number} classes
 */
export function sprites({ shape, data }, labels, classes) {
  const bytes = data ? Uint8Array.from(atob(data), (c) => c.charCodeAt(0)) : null;
  const [channels, height, width] = shape ?? [1, 1, 1];
  const isInk = bytes && channels === 1 && bytes.reduce((sum, v) => sum + v, 0) / bytes.length < 128;
  const count = bytes ? labels.length : classes;
  const across = Math.ceil(Math.sqrt(count));
  const inside = Math.max(height, width);
  const cell = bytes ? inside * Math.max(1, Math.round(40 / inside)) : 40;
  const sheet = new OffscreenCanvas(across * cell, Math.ceil(count / across) * cell);
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (sheet.getContext("2d"));
  const small = new OffscreenCanvas(width, height);
  const pen = /** @type {OffscreenCanvasRenderingContext2D} */ (small.getContext("2d"));
  /** @type {string[]} */
  let colours = [];
  /** @type {Map<number, OffscreenCanvas>} */
  const scaled = new Map(); // by the side of a mark, in pixels of the canvas: copies cost less than scaling each time
  const sheetOf = (/** @type {number} */ side) => {
    const known = scaled.get(side);
    if (known) return known;
    const made = new OffscreenCanvas(across * side, Math.ceil(count / across) * side);
    const on = /** @type {OffscreenCanvasRenderingContext2D} */ (made.getContext("2d"));
    on.imageSmoothingQuality = "high";
    on.drawImage(sheet, 0, 0, made.width, made.height);
    if (scaled.size > 5) scaled.clear();
    scaled.set(side, made);
    return made;
  };

  /** @param {number} i */
  const thumbnail = (i) => {
    if (!bytes) return;
    const image = new ImageData(width, height);
    const plane = height * width;
    const ink = colours[labels[i]].match(/\d+/g)?.map(Number) ?? [0, 0, 0];
    for (let at = 0; at < plane; at += 1) {
      const value = (/** @type {number} */ c) =>
        bytes[(i * channels + Math.min(c, channels - 1)) * plane + at];
      image.data.set(isInk ? [...ink, value(0)] : [value(0), value(1), value(2), 255], 4 * at);
    }
    pen.putImageData(image, 0, 0);
  };
  /** @param {number} i */
  const paint = (i) => {
    const [x, y] = [(i % across) * cell, Math.floor(i / across) * cell];
    const label = bytes ? labels[i] : i;
    context.fillStyle = colours[label];
    if (!bytes) {
      trace(context, i, x + cell / 2, y + cell / 2, 0.42 * cell);
      context.fill();
      return;
    }
    thumbnail(i);
    const scale = cell / inside;
    const [w, hgt] = [width * scale, height * scale];
    context.imageSmoothingEnabled = false;
    if (!isInk) context.fillRect(x, y, cell, cell);
    const edge = isInk ? 0 : 3;
    const [left, top] = [x + (cell - w) / 2, y + (cell - hgt) / 2];
    context.drawImage(small, left + edge, top + edge, w - 2 * edge, hgt - 2 * edge);
    if (isInk || classes < 2) return;
    trace(context, label, x + 10, y + 10, 9);
    context.fill();
    context.lineWidth = 2;
    context.strokeStyle = "white";
    context.stroke();
  };

  return {
    isInk,
    hasImages: bytes !== null,
    aspect: [width, height],
    /** The colour of a class. @param {number} label */
    colour: (label) => colours[label],
    /** @param {{ [token: string]: string }} tokens */
    onTheme(tokens) {
      colours = classColours(classes, isDark(tokens));
      context.clearRect(0, 0, sheet.width, sheet.height);
      scaled.clear();
      for (let i = 0; i < count; i += 1) paint(i);
    },
    /**
     * Draw the mark of point i into a square, on a canvas with PIXELS for a CSS pixel.
     * @param {CanvasRenderingContext2D} on @param {number} i @param {number} x its left @param {number} y its top
     * @param {number} side
     */
    draw(on, i, x, y, side) {
      const k = bytes ? i : labels[i];
      const size = Math.round(side * PIXELS);
      const [left, top] = [Math.round(x * PIXELS) / PIXELS, Math.round(y * PIXELS) / PIXELS];
      const [column, row] = [k % across, Math.floor(k / across)];
      on.drawImage(
        sheetOf(size),
        column * size,
        row * size,
        size,
        size,
        left,
        top,
        size / PIXELS,
        size / PIXELS,
      );
    },
  };
}

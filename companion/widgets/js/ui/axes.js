// A small SVG plotting layer: scales, ticks, paths, axes. Colours come from classes in widgets.css.

import { h } from "./controls.js";

/** @typedef {[x: number, y: number]} Point in pixels */
/** @typedef {{ [name: string]: string | number }} SvgAttributes */
/**
 * @typedef {((v: number) => number) & { invert(p: number): number, domain: [number, number],
 *   ticks?: () => number[] }} Scale `ticks` are its own, if round values are not what it needs
 */

/**
 * An SVG element: s("path", {class: "…", d: "…"}, …children).
 * @template {keyof SVGElementTagNameMap} T
 * @param {T} tag
 * @param {SvgAttributes} [attributes]
 * @param {...(string | Node)} children
 * @returns {SVGElementTagNameMap[T]}
 */
export function s(tag, attributes = {}, ...children) {
  const el = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) el.setAttribute(name, String(value));
  el.append(...children);
  return el;
}

/**
 * A mark of a picture: its classes, and its colour among the tokens of widgets.css.
 * @template {keyof SVGElementTagNameMap} T
 * @param {T} tag
 * @param {string} cls
 * @param {string | null} [tint]
 * @param {SvgAttributes} [attributes]
 */
export const mark = (tag, cls, tint, attributes = {}) =>
  s(tag, { class: cls, ...(tint && { "data-tint": tint }), ...attributes });

/** A text in a picture. @param {string} content @param {SvgAttributes} [attributes] */
export const text = (content, attributes) => s("text", attributes, content);

/**
 * A picture as wide as its column, in which one unit is one CSS pixel.
 * @param {SvgAttributes} attributes its height at least
 * @param {...Node} parts
 */
export function chart(attributes, ...parts) {
  const svg = s("svg", { role: "img", ...attributes }, ...parts);
  return { el: h("div", { class: "companion-chart" }, svg), svg };
}

/**
 * Tell when a mark is pointed at, by mouse or touch, and when a mouse leaves it.
 * @param {HTMLElement | SVGElement} el @param {(on: boolean) => void} onPoint
 */
export function pointable(el, onPoint) {
  el.addEventListener("pointerenter", () => onPoint(true));
  el.addEventListener("pointerdown", () => onPoint(true));
  el.addEventListener("pointerleave", (event) => {
    if (/** @type {PointerEvent} */ (event).pointerType === "mouse") onPoint(false);
  });
}

/**
 * A linear map of [a, b] to [c, d], with `invert` and its `domain`.
 * @param {[number, number]} domain
 * @param {[number, number]} range
 * @returns {Scale}
 */
export function linear([a, b], [c, d]) {
  const scale = (/** @type {number} */ v) => c + ((v - a) / (b - a)) * (d - c);
  scale.invert = (/** @type {number} */ p) => a + ((p - c) / (d - c)) * (b - a);
  scale.domain = /** @type {[number, number]} */ ([a, b]);
  return scale;
}

/**
 * A logarithmic map of [a, b], both positive, to [c, d]: equal ways are equal ratios.
 * @param {[number, number]} domain
 * @param {[number, number]} range
 * @returns {Scale}
 */
export function logarithmic([a, b], range) {
  const exponent = linear([Math.log(a), Math.log(b)], range);
  const scale = (/** @type {number} */ v) => exponent(Math.log(v));
  scale.invert = (/** @type {number} */ p) => Math.exp(exponent.invert(p));
  scale.domain = /** @type {[number, number]} */ ([a, b]);
  scale.ticks = () => powers(a, b);
  return scale;
}

/** Powers of ten in [a, b]; over less than two decades 2 and 5 times them, too. @param {number} a @param {number} b */
function powers(a, b) {
  const [low, high] = [Math.log10(a), Math.log10(b)];
  const every = Math.ceil((high - low) / 6);
  const values = [];
  for (let k = Math.floor(low); k <= high + 1e-9; k += 1) {
    for (const m of high - low < 2 ? [1, 2, 5] : [1]) {
      const value = Number(`${m}e${k}`);
      if (value >= a * (1 - 1e-9) && value <= b * (1 + 1e-9) && (every < 2 || k % every === 0))
        values.push(value);
    }
  }
  return values;
}

/**
 * Round values in [a, b], about `count` of them, with the decimals that they need.
 * @param {number} a @param {number} b @param {number} count
 */
export function ticks(a, b, count) {
  const rough = (b - a) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((m) => m * power >= rough * 0.999) ?? 10);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const values = [];
  for (let k = Math.ceil(a / step - 1e-9); k * step <= b + step * 1e-9; k += 1) values.push(k * step || 0);
  return { values, digits };
}

/** 0.001, 1000, 1e6: as short as a number can be written. @param {number} value */
export const shortest = (value) =>
  value === 0 || (Math.abs(value) >= 1e-3 && Math.abs(value) < 1e5)
    ? String(value)
    : value.toExponential().replace("e+", "e");

/** The `d` of a line through points. @param {Point[]} points */
export const path = (points) =>
  points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

/** The `d` of dots, which a round line cap makes of lines without length. @param {Point[]} points */
export const dots = (points) => points.map(([x, y]) => `M${x.toFixed(1)} ${y.toFixed(1)}h0`).join("");

/**
 * The `d` of the area between a line of points and the height `base`.
 * @param {Point[]} points @param {number} base
 */
export function area(points, base) {
  if (!points.length) return "";
  const [from, to] = [points[0][0], points[points.length - 1][0]];
  const y = base.toFixed(1);
  return `M${from.toFixed(1)} ${y}${path(points).replace("M", "L")}L${to.toFixed(1)} ${y}Z`;
}

/**
 * The `d` of an arrow from (x0, y0) to (x1, y1) with an open head; "" if it is shorter than 3 px.
 * @param {number} x0 @param {number} y0 @param {number} x1 @param {number} y1
 */
export function arrow(x0, y0, x1, y1, head = 6) {
  const length = Math.hypot(x1 - x0, y1 - y0);
  if (length < 3) return "";
  const size = Math.min(head, length * 0.7) / length;
  const [ux, uy] = [(x1 - x0) * size, (y1 - y0) * size];
  const wing = (/** @type {number} */ side) =>
    `${(x1 - ux - side * 0.62 * uy).toFixed(1)} ${(y1 - uy + side * 0.62 * ux).toFixed(1)}`;
  const tip = `${x1.toFixed(1)} ${y1.toFixed(1)}`;
  return `M${x0.toFixed(1)} ${y0.toFixed(1)}L${tip}M${wing(1)}L${tip}L${wing(-1)}`;
}

/**
 * Set the attributes that changed, so that a picture keeps its nodes.
 * @param {Element} el @param {SvgAttributes} attributes
 */
export function setAll(el, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    const next = String(value);
    if (el.getAttribute(name) !== next) el.setAttribute(name, next);
  }
}

/**
 * @typedef {object} AxisOptions
 * @property {Scale} scale
 * @property {number} at the height of its line (its x for "left")
 * @property {number} from where the line, or the grid, begins
 * @property {number} to where it ends
 * @property {number} [count] about how many ticks
 * @property {(value: number) => string} [format]
 * @property {string} [name] stands under the right end of a bottom axis
 */

/**
 * An axis in a group of its own; draw({…}) redraws it when something about it changed.
 * @param {"bottom" | "top" | "left"} side
 */
export function axis(side) {
  const el = s("g", { class: `companion-axis companion-axis-${side}`, "aria-hidden": "true" });
  let seen = "";
  /** @param {AxisOptions} options */
  const draw = ({ scale, at, from, to, count = 7, format, name = "" }) => {
    const own = scale.ticks?.();
    const { values, digits } = own ? { values: own, digits: 0 } : ticks(...scale.domain, count);
    const key = [at, from, to, name, ...values, ...values.map(scale)].join();
    if (key === seen) return;
    seen = key;
    const plain = (/** @type {number} */ v) => (own ? shortest(v) : v.toFixed(digits)).replace("-", "−");
    const words = format ?? plain;
    const parts = [];
    if (side === "left") {
      for (const value of values) {
        const y = scale(value);
        parts.push(
          s("line", { class: "companion-grid", x1: from, x2: to, y1: y, y2: y }),
          s("text", { x: at - 6, y: y + 4, "text-anchor": "end" }, words(value)),
        );
      }
    } else {
      const down = side === "bottom" ? 1 : -1;
      parts.push(s("line", { class: "companion-baseline", x1: from, x2: to, y1: at, y2: at }));
      for (const value of values) {
        const x = scale(value);
        parts.push(
          s("line", { class: "companion-tick", x1: x, x2: x, y1: at, y2: at + 5 * down }),
          s("text", { x, y: at + (down > 0 ? 19 : -9), "text-anchor": "middle" }, words(value)),
        );
      }
      if (name)
        parts.push(s("text", { class: "companion-ink", x: to, y: at + 38, "text-anchor": "end" }, name));
    }
    el.replaceChildren(...parts);
  };
  return { el, draw };
}

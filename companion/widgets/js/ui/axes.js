// A small SVG plotting layer: scales, ticks, paths, axes. Colours come from classes in widgets.css.

/** An SVG element: s("path", {class: "…", d: "…"}, …children). */
export function s(tag, attributes = {}, ...children) {
  const el = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) el.setAttribute(name, value);
  el.append(...children);
  return el;
}

/** A linear map of [a, b] to [c, d], with `invert` and its `domain`. */
export function linear([a, b], [c, d]) {
  const scale = (v) => c + ((v - a) / (b - a)) * (d - c);
  scale.invert = (p) => a + ((p - c) / (d - c)) * (b - a);
  scale.domain = [a, b];
  return scale;
}

/** Round values in [a, b], about `count` of them, with the decimals that they need. */
export function ticks(a, b, count) {
  const rough = (b - a) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((m) => m * power >= rough * 0.999);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const values = [];
  for (let k = Math.ceil(a / step - 1e-9); k * step <= b + step * 1e-9; k += 1) values.push(k * step || 0);
  return { values, digits };
}

/** The `d` of a line through points in pixels: [[x, y], …]. */
export const path = (points) =>
  points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");

/** The `d` of the area between a line of points and the height `base`. */
export const area = (points, base) =>
  points.length
    ? `M${points[0][0].toFixed(1)} ${base.toFixed(1)}${path(points).replace("M", "L")}L${points.at(-1)[0].toFixed(1)} ${base.toFixed(1)}Z`
    : "";

/** The `d` of an arrow from (x0, y0) to (x1, y1) with an open head; "" if it is shorter than 3 px. */
export function arrow(x0, y0, x1, y1, head = 6) {
  const length = Math.hypot(x1 - x0, y1 - y0);
  if (length < 3) return "";
  const size = Math.min(head, length * 0.7) / length;
  const [ux, uy] = [(x1 - x0) * size, (y1 - y0) * size];
  const wing = (side) =>
    `${(x1 - ux - side * 0.62 * uy).toFixed(1)} ${(y1 - uy + side * 0.62 * ux).toFixed(1)}`;
  return `M${x0.toFixed(1)} ${y0.toFixed(1)}L${x1.toFixed(1)} ${y1.toFixed(1)}M${wing(1)}L${x1.toFixed(1)} ${y1.toFixed(1)}L${wing(-1)}`;
}

/** Show and hide by attribute, so that a picture keeps its nodes. */
export function setAll(el, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (el.getAttribute(name) !== String(value)) el.setAttribute(name, value);
  }
}

/**
 * An axis in a group of its own; draw({…}) redraws it when something about it changed.
 * `side` is "bottom", "top" or "left"; `at` the height (or x for "left") of its line. A bottom axis may
 * have a `name`, which stands under its right end.
 */
export function axis(side) {
  const el = s("g", { class: `companion-axis companion-axis-${side}`, "aria-hidden": "true" });
  let seen = "";
  const draw = ({ scale, at, from, to, count = 7, format, name = "" }) => {
    const { values, digits } = ticks(...scale.domain, count);
    const key = [at, from, to, name, ...values, ...values.map(scale)].join();
    if (key === seen) return;
    seen = key;
    const text = format ?? ((v) => v.toFixed(digits).replace("-", "−"));
    const parts = [];
    if (side === "left") {
      for (const value of values) {
        const y = scale(value);
        parts.push(
          s("line", { class: "companion-grid", x1: from, x2: to, y1: y, y2: y }),
          s("text", { x: at - 6, y: y + 4, "text-anchor": "end" }, text(value)),
        );
      }
    } else {
      const down = side === "bottom" ? 1 : -1;
      parts.push(s("line", { class: "companion-baseline", x1: from, x2: to, y1: at, y2: at }));
      for (const value of values) {
        const x = scale(value);
        parts.push(
          s("line", { class: "companion-tick", x1: x, x2: x, y1: at, y2: at + 5 * down }),
          s("text", { x, y: at + (down > 0 ? 19 : -9), "text-anchor": "middle" }, text(value)),
        );
      }
      if (name)
        parts.push(s("text", { class: "companion-ink", x: to, y: at + 38, "text-anchor": "end" }, name));
    }
    el.replaceChildren(...parts);
  };
  return { el, draw };
}

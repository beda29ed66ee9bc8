// Lines over steps, such as loss curves, that grow while a training runs. Colours are those of widgets.css.

import { axis, chart, linear, logarithmic, mark, s, setAll, text, ticks } from "./axes.js";
import { fixed, legend, number, h } from "./controls.js";
import { observeWidth } from "./lifetime.js";

/** @import { Point, Scale } from "./axes.js" */

/**
 * @typedef {object} Series
 * @property {string} name what the legend calls it
 * @property {string} [token] its colour among those of widgets.css: "data-1" …
 * @property {"line" | "dashed"} [mark]
 * @property {string} [quantity] of its last value, which stands in the legend
 */

/**
 * @typedef {object} LineChartOptions
 * @property {Series[]} series at most six, or two of them look alike
 * @property {string} x what is along the horizontal axis
 * @property {string} y what is upwards
 * @property {number} [height] in pixels
 * @property {[number | null, number | null]} [range] of y, where it is known beforehand: [0, null], [0, 1]
 * @property {(value: number) => string} [format] of the values in the legend
 * @property {string} [waiting] stands in the chart's place as long as there is no value
 */

const UNTIL = 100; // the end of an axis that waits for its first step
const MARGIN = { left: 46, right: 12, top: 26, bottom: 44 };

/**
 * The `d` of a line. Of the values that fall into one pixel column it keeps the first, the least, the largest
 * and the last, so that no spike is lost and a long training costs no more to show than a short one. What is
 * not finite leaves a gap.
 * @param {Point[]} line in the order of x
 * @param {Scale} x
 * @param {Scale} y
 */
export function curve(line, x, y) {
  let d = "";
  let command = "M";
  let column = NaN;
  let [first, low, high, last] = [0, 0, 0, -1]; // of the present column, as indices
  const flush = () => {
    if (last < 0) return;
    let done = -1;
    for (const k of [first, Math.min(low, high), Math.max(low, high), last]) {
      if (k === done) continue;
      done = k;
      d += `${command}${x(line[k][0]).toFixed(1)} ${y(line[k][1]).toFixed(1)}`;
      command = "L";
    }
    last = -1;
  };
  for (let i = 0; i < line.length; i += 1) {
    const [at, value] = line[i];
    if (!Number.isFinite(value)) {
      flush();
      [command, column] = ["M", NaN];
      continue;
    }
    const place = Math.floor(x(at));
    if (place !== column) {
      flush();
      [column, first, low, high] = [place, i, i, i];
    } else if (value < line[low][1]) low = i;
    else if (value > line[high][1]) high = i;
    last = i;
  }
  flush();
  return d;
}

/** @typedef {[x: number, low: number, high: number][]} Band */
/** @typedef {{ x: number, label: string }} Mark */
/** @typedef {{ bands?: (Band | undefined)[], marks?: Mark[], log?: boolean }} Extras */

/** The least and the largest of the finite values on an axis; [0, 1] if there is none. */
function extent(/** @type {Point[][]} */ lines, /** @type {0 | 1} */ axis_, above = -Infinity) {
  let [low, high] = [Infinity, -Infinity];
  for (const line of lines) {
    for (const point of line) {
      if (!Number.isFinite(point[1]) || point[1] <= above) continue;
      if (point[axis_] < low) low = point[axis_];
      if (point[axis_] > high) high = point[axis_];
    }
  }
  return low <= high ? [low, high] : [0, 1];
}

/**
 * The ends of an axis that hold all values, at ticks, so that they move rarely as values come.
 * @param {number} low @param {number} high @returns {[number, number]}
 */
function roundEnds(low, high) {
  if (!(high > low)) return [low - 0.5, low + 0.5];
  const { values } = ticks(low, high, 5);
  const step = values.length > 1 ? values[1] - values[0] : high - low;
  return [Math.floor(low / step + 1e-9) * step, Math.ceil(high / step - 1e-9) * step];
}

/** The ends of a band at one place. @param {Band[number]} place @returns {Point[]} */
const both = ([x, low, high]) => [
  [x, low],
  [x, high],
];

/** The `d` of the area between the low and the high line of a band. @param {Band} band @param {Scale} x @param {Scale} y */
function between(band, x, y) {
  if (!band.length) return "";
  const there = band.map(([at, , high]) => `${x(at).toFixed(1)} ${y(high).toFixed(1)}`);
  const back = band.map(([at, low]) => `${x(at).toFixed(1)} ${y(low).toFixed(1)}`).reverse();
  return `M${[...there, ...back].join("L")}Z`;
}

/**
 * Vertical lines with words, of which only those are written that have room.
 * @param {Mark[]} marks @param {Scale} x @param {number} top @param {number} base
 */
function rules(marks, x, top, base) {
  let free = -Infinity;
  return marks.flatMap(({ x: at, label }) => {
    const place = x(at);
    const line = mark("line", "companion-guide", null, { x1: place, x2: place, y1: top, y2: base });
    if (place < free) return [line];
    free = place + 8 + 7 * label.length;
    return [line, text(label, { x: place + 4, y: top + 10 })];
  });
}

/**
 * A line chart. `draw(lines)` shows one list of [x, y] a series; x rises, and what is not finite leaves a
 * gap. Beside them it may show a band of [x, low, high] behind a series, vertical lines where something
 * happened, and a logarithmic axis, on which what is not positive leaves a gap.
 * It follows its column's width by itself, until `stop`.
 * @param {LineChartOptions} options
 */
export function lineChart({
  series,
  x: xName,
  y: yName,
  height = 230,
  range = [null, null],
  format = fixed,
  waiting = "No values yet",
}) {
  const [left, bottom] = [axis("left"), axis("bottom")];
  const areas = series.map(({ token }, k) => mark("path", "companion-fill", token ?? `data-${k + 1}`));
  const events = s("g", { "aria-hidden": "true" });
  const curves = series.map(({ token, mark: style }, k) =>
    mark("path", `companion-curve${style === "dashed" ? " companion-dashed" : ""}`, token ?? `data-${k + 1}`),
  );
  const title = mark("text", "companion-ink", null, { x: 0, y: 14 });
  title.textContent = yName;
  const empty = mark("text", "companion-ink companion-halo", null, { "text-anchor": "middle" });
  empty.textContent = waiting;
  const all = [left.el, bottom.el, events, ...areas, ...curves, title, empty];
  const { el: picture, svg } = chart({ height }, ...all);
  const latest = series.map(({ quantity }) =>
    number({ quantity, value: NaN, format: (v) => (Number.isFinite(v) ? format(v) : "–") }),
  );
  const key = legend(
    series.map(({ name, token, mark: style = "line" }, k) => ({
      token: token ?? `data-${k + 1}`,
      mark: style,
      label: h("span", {}, `${name} `, latest[k].el),
    })),
  );
  /** @type {Point[][]} */
  let lines = series.map(() => []);
  /** @type {Extras} */
  let extras = {};

  const show = () => {
    const { width } = column;
    const ends = lines.map((line) => {
      const isGood = (/** @type {Point} */ [, value]) => Number.isFinite(value);
      return [line.find(isGood)?.[1] ?? NaN, line.findLast(isGood)?.[1] ?? NaN];
    });
    ends.forEach(([, last], k) => latest[k].set(last));
    if (!width) return;
    const isEmpty = ends.every(([, last]) => Number.isNaN(last));
    const { bands = [], marks = [], log = false } = extras;
    const all = [...lines, ...bands.map((band) => (band ?? []).flatMap(both))];
    const [xs, ys] = [isEmpty ? [0, UNTIL] : extent(lines, 0), extent(all, 1, log ? 0 : undefined)];
    const [from, to, base] = [MARGIN.left, width - MARGIN.right, height - MARGIN.bottom];
    const x = linear([xs[0], xs[1] > xs[0] ? xs[1] : xs[0] + 1], [from, to]);
    const [low, high] = roundEnds(range[0] ?? ys[0], range[1] ?? ys[1]);
    const y = log
      ? logarithmic([ys[0] / 1.1, ys[1] * 1.1], [base, MARGIN.top])
      : linear([range[0] ?? low, range[1] ?? high], [base, MARGIN.top]);
    const shown = (/** @type {number} */ v) => (log && !(v > 0) ? NaN : v);
    lines.forEach((line, k) =>
      setAll(curves[k], { d: curve(log ? line.map(([at, v]) => [at, shown(v)]) : line, x, y) }),
    );
    areas.forEach((el, k) =>
      setAll(el, {
        d: between(
          (bands[k] ?? []).filter(([, v]) => !log || v > 0),
          x,
          y,
        ),
      }),
    );
    setAll(empty, {
      ...{ x: (from + to) / 2, y: (base + MARGIN.top) / 2 },
      display: isEmpty ? "inline" : "none",
    });
    events.replaceChildren(...rules(marks, x, MARGIN.top, base));
    left.draw({ scale: y, at: from, from, to, count: 5 });
    bottom.draw({ scale: x, at: base, from, to, count: width < 420 ? 4 : 7, name: xName });
    const words = series.map(({ name }, k) => {
      const [first, last] = ends[k];
      if (!Number.isFinite(last)) return `${name}: no values yet`;
      return `${name}: from ${format(first)} to ${format(last)}`;
    });
    setAll(svg, { "aria-label": `${yName} over ${xName}. ${words.join("; ")}.` });
  };
  const column = observeWidth(picture, show);
  show();
  return {
    el: h("div", { class: "companion-stack" }, picture, key),
    /**
     * @param {Point[][]} next one list of [x, y] a series, in their order
     * @param {Extras} [more] bands, one a series; vertical lines; the kind of the vertical axis
     */
    draw(next, more = {}) {
      [lines, extras] = [next, more];
      show();
    },
    stop: column.stop,
  };
}

// Lines over steps, such as loss curves, that grow while a training runs. Colours are those of widgets.css.

import { axis, chart, linear, mark, path, setAll, ticks } from "./axes.js";
import { fixed, legend, number, h } from "./controls.js";
import { observeWidth } from "./lifetime.js";

/** @import { Point } from "./axes.js" */

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
 */

const MARGIN = { left: 46, right: 12, top: 26, bottom: 44 };

/**
 * At most four points a pixel column: the first, the least, the largest and the last of those that fall into
 * it, so that no spike is lost and a long training costs no more than a short one.
 * @param {Point[]} points in the order of x
 */
export function thinned(points) {
  if (points.length < 4) return points;
  /** @type {Point[]} */
  const kept = [];
  for (let i = 0; i < points.length; ) {
    const column = Math.floor(points[i][0]);
    let [low, high, end] = [i, i, i];
    for (; end < points.length && Math.floor(points[end][0]) === column; end += 1) {
      if (points[end][1] < points[low][1]) low = end;
      if (points[end][1] > points[high][1]) high = end;
    }
    for (const k of [...new Set([i, low, high, end - 1])].sort((a, b) => a - b)) kept.push(points[k]);
    i = end;
  }
  return kept;
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

/**
 * A line chart. `draw(lines)` shows one list of [x, y] a series; x rises, and what is not finite leaves a
 * gap.
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
}) {
  const [left, bottom] = [axis("left"), axis("bottom")];
  const curves = series.map(({ token, mark: style }, k) =>
    mark("path", `companion-curve${style === "dashed" ? " companion-dashed" : ""}`, token ?? `data-${k + 1}`),
  );
  const title = mark("text", "companion-ink", null, { x: 0, y: 14 });
  title.textContent = yName;
  const { el: picture, svg } = chart({ height }, left.el, bottom.el, ...curves, title);
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

  const show = () => {
    const good = lines.map((line) => line.filter(([, y]) => Number.isFinite(y)));
    const all = good.flat();
    good.forEach((line, k) => {
      if (line.length) latest[k].set(line[line.length - 1][1]);
      else latest[k].set(NaN);
    });
    const { width } = column;
    if (!width) return;
    const [xs, ys] = [0, 1].map((axis_) => {
      let [low, high] = [Infinity, -Infinity];
      for (const point of all) {
        if (point[axis_] < low) low = point[axis_];
        if (point[axis_] > high) high = point[axis_];
      }
      return all.length ? [low, high] : [0, 1];
    });
    const [low, high] = roundEnds(range[0] ?? ys[0], range[1] ?? ys[1]);
    const [from, to, base] = [MARGIN.left, width - MARGIN.right, height - MARGIN.bottom];
    const x = linear([xs[0], xs[1] > xs[0] ? xs[1] : xs[0] + 1], [from, to]);
    const y = linear([range[0] ?? low, range[1] ?? high], [base, MARGIN.top]);
    lines.forEach((line, k) => {
      /** @type {Point[][]} */
      const pieces = [[]];
      for (const [px, py] of line) {
        if (Number.isFinite(py)) pieces[pieces.length - 1].push([x(px), y(py)]);
        else pieces.push([]);
      }
      setAll(curves[k], { d: pieces.map((piece) => path(thinned(piece))).join("") });
    });
    left.draw({ scale: y, at: from, from, to, count: 5 });
    bottom.draw({ scale: x, at: base, from, to, count: width < 420 ? 4 : 7, name: xName });
    setAll(svg, {
      "aria-label": `${yName} over ${xName}. ${series
        .map(({ name }, k) => {
          const line = good[k];
          if (!line.length) return `${name}: no values yet`;
          return `${name}: from ${format(line[0][1])} to ${format(line[line.length - 1][1])}`;
        })
        .join("; ")}.`,
    });
  };
  const column = observeWidth(picture, show);
  show();
  return {
    el: h("div", { class: "companion-stack" }, picture, key),
    /** @param {Point[][]} next one list of [x, y] a series, in their order */
    draw(next) {
      lines = next;
      show();
    },
    stop: column.stop,
  };
}

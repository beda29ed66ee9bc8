// What a training leaves behind, in memory that does not grow with it.

/** @import { Band } from "../ui/line_chart.js" */
/** @import { Point } from "../ui/axes.js" */

const SMOOTH = 40; // a moving average covers a fortieth of what is there

/** @typedef {{ sum: number, count: number, low: number, high: number }} Stretch of steps */

/** @returns {Stretch} */
const nothing = () => ({ sum: 0, count: 0, low: Infinity, high: -Infinity });

/** Put one stretch into another. @param {Stretch} into @param {Stretch} more */
function join(into, { sum, count, low, high }) {
  into.sum += sum;
  into.count += count;
  into.low = Math.min(into.low, low);
  into.high = Math.max(into.high, high);
  return into;
}

/**
 * One number a step. However many come, at most `limit` stretches of equal length are kept: mean, least and
 * largest of each.
 */
export function record(limit = 1024) {
  /** @type {Stretch[]} */
  let stretches = [];
  let width = 1; // steps in a stretch
  let steps = 0;
  const end = (/** @type {number} */ k) => Math.min(steps, (k + 1) * width);
  const windows = () => {
    const size = Math.max(1, Math.round(stretches.length / SMOOTH));
    return stretches.map((_, k) => stretches.slice(Math.max(0, k + 1 - size), k + 1).reduce(join, nothing()));
  };
  return {
    /** @param {number} value what is not finite is passed over */
    add(value) {
      const k = Math.floor(steps / width);
      steps += 1;
      stretches[k] ??= nothing();
      if (Number.isFinite(value)) join(stretches[k], { sum: value, count: 1, low: value, high: value });
      if (stretches.length <= limit) return;
      const half = Array.from({ length: Math.ceil(stretches.length / 2) }, nothing);
      stretches.forEach((stretch, i) => join(half[i >> 1], stretch));
      [stretches, width] = [half, 2 * width];
    },
    /** The moving average, at the end of each stretch. @returns {Point[]} */
    line: () => windows().map(({ sum, count }, k) => [end(k), count ? sum / count : NaN]),
    /** From the least to the largest of what the moving average covers. @returns {Band} */
    band: () => windows().flatMap(({ count, low, high }, k) => (count ? [[end(k), low, high]] : [])),
  };
}

/** Points that come now and then: of too many every second one goes. */
export function samples(limit = 512) {
  /** @type {Point[]} */
  let points = [];
  return {
    /** @param {number} x @param {number} value one that comes again at the same place replaces the last */
    add(x, value) {
      if (points.at(-1)?.[0] === x) points.pop();
      points.push([x, value]);
      if (points.length > limit) points = points.filter((_, k) => k % 2 === 0 || k === points.length - 1);
    },
    /** @returns {Point[]} */
    line: () => points,
  };
}

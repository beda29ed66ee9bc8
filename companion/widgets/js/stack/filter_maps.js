// What one filter makes of its input: the map of its sums, after ReLU, and after pooling, side by side.

import * as ui from "../ui/controls.js";
import { h } from "../ui/controls.js";
import { mapField, mapOf, signedColour } from "./maps.js";

/** @import { Stage } from "../maths/convolution.js" */

const TITLES = ["sums + bias", "after ReLU", "after pooling"];

/**
 * @param {{ name: string, pool: number, onPick: (row: number, column: number, event: Event) => void,
 *   format: (value: number) => string }} options `onPick` hears of a unit of the convolution
 */
export function filterMaps({ name, pool, onPick, format }) {
  /** @type {[Stage, number] | null} */
  let drawn = null;
  /** The strongest unit of a pooled cell. @param {number} r @param {number} c @param {Event} event */
  const fromPooled = (r, c, event) => {
    if (!drawn) return;
    const [{ activations: all }, k] = drawn;
    const [, height, width] = all.shape;
    let best = [pool * r, pool * c];
    const at = (/** @type {number[]} */ [y, x]) => all.values[(k * height + y) * width + x];
    for (let i = 0; i < pool * pool; i += 1) {
      const here = [pool * r + Math.floor(i / pool), pool * c + (i % pool)];
      if (at(here) > at(best)) best = here;
    }
    onPick(best[0], best[1], event);
  };
  const fields = TITLES.map((title, i) =>
    mapField({ name: `${name}, ${title}`, onPick: i === 2 ? fromPooled : onPick }),
  );
  const sizes = TITLES.map(() => h("span", { class: "companion-note" }));
  const heading = h("p", { class: "companion-heading" }, name);
  const el = h(
    "div",
    { class: "stack-maps" },
    heading,
    ...fields.map((field, i) =>
      h(
        "figure",
        { class: "stack-figure" },
        field.el,
        h("figcaption", { class: "companion-caption" }, TITLES[i], " ", sizes[i]),
      ),
    ),
  );
  return {
    el,
    /** @param {string} text */
    title(text) {
      heading.textContent = text;
    },
    /** @param {Stage} stage @param {number} k the filter @param {number} limit of the colours @param {boolean} dark */
    draw(stage, k, limit, dark) {
      drawn = [stage, k];
      const colour = signedColour(limit, dark);
      [stage.sums, stage.activations, stage.pooled].forEach((maps, i) => {
        const [, height, width] = maps.shape;
        fields[i].draw(mapOf(maps, k), height, width, colour);
        sizes[i].textContent = `${height}×${width}`;
      });
    },
    /**
     * Frame the unit, what it is pooled with, and where that goes; frames are seen if this filter is the one meant.
     * @param {number} row @param {number} column @param {boolean} isMeant
     */
    frame(row, column, isMeant) {
      if (!drawn) return;
      const [{ sums, activations, pooled }, k] = drawn;
      const [, height, width] = sums.shape;
      const [, rows, columns] = pooled.shape;
      const unit = { row, column, rows: 1, columns: 1 };
      const [top, left] = [row, column].map((n) => Math.floor(n / pool));
      const isPooled = top < rows && left < columns;
      const block = { row: pool * top, column: pool * left, rows: pool, columns: pool };
      const words = (/** @type {number} */ r, /** @type {number} */ c, /** @type {number} */ value) =>
        `row ${r}, column ${c}: ${format(value).replace("−", "minus ")}`;
      const i = (k * height + row) * width + column;
      fields[0].frame(unit, null, words(row, column, sums.values[i]));
      fields[1].frame(unit, isPooled ? block : null, words(row, column, activations.values[i]));
      fields[2].frame(
        isPooled ? { row: top, column: left, rows: 1, columns: 1 } : null,
        null,
        isPooled
          ? words(top, left, pooled.values[(k * rows + top) * columns + left])
          : "dropped by the pooling",
      );
      el.classList.toggle("stack-meant", isMeant);
    },
  };
}

/**
 * Buttons that move a window over all units of a map, one after the other.
 * @param {{ at: () => number, count: () => number, onStand: (unit: number) => void }} options
 */
export function player({ at, count, onStand }) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let playing;
  const stop = () => {
    clearTimeout(playing);
    playing = undefined;
    play.el.textContent = "Play";
  };
  const tick = () => {
    onStand(at() + 1);
    if (at() < count() - 1) playing = setTimeout(tick, PAUSE);
    else stop();
  };
  const step = (/** @type {number} */ by) => () => {
    stop();
    onStand(at() + by);
  };
  const next = ui.button({ label: "Next window", kind: "primary", onClick: step(1) });
  const back = ui.button({ label: "Back", title: "One window back", onClick: step(-1) });
  const play = ui.button({
    label: "Play",
    title: "Slide over the whole input",
    onClick() {
      if (playing) return stop();
      if (at() >= count() - 1) onStand(0);
      play.el.textContent = "Pause";
      playing = setTimeout(tick, PAUSE);
      return undefined;
    },
  });
  return {
    el: ui.row(next.el, back.el, play.el),
    stop,
    isPlaying: () => playing !== undefined,
    draw() {
      back.enable(at() > 0);
      next.enable(at() < count() - 1);
    },
  };
}

const PAUSE = 500; // milliseconds from window to window; it plays only when it is asked to

// The point that is looked at: its image, its true nearest neighbours, and those in the picture.

import * as ui from "../ui/controls.js";
import { h } from "../ui/controls.js";
import { inksOn, PIXELS } from "./sprites.js";

/** @import { Neighbours } from "./explorer.js" */
/** @import { Sprites } from "./scatter.js" */

const COLUMNS = 5;
const TILE = 40; // CSS pixels

/** A canvas so many CSS pixels wide and high. @param {number} width @param {number} height */
function paper(width, height) {
  const el = h("canvas", { role: "img", style: `inline-size: ${width}px` });
  const context = /** @type {CanvasRenderingContext2D} */ (el.getContext("2d"));
  const size = (/** @type {number} */ high) => {
    const wanted = Math.round(high * PIXELS);
    if (el.height !== wanted) el.height = wanted;
    context.setTransform(PIXELS, 0, 0, PIXELS, 0, 0);
    context.clearRect(0, 0, width, high);
    context.imageSmoothingEnabled = false;
  };
  el.width = width * PIXELS;
  size(height);
  return { el, context, size };
}

/** @param {{ tiles: Sprites, labels: number[], names: string[] }} options */
export function detail({ tiles, labels, names }) {
  const large = paper(96, 96);
  const title = h("p", { class: "companion-heading" });
  const count = ui.number({ quantity: "shared", value: 0, format: String });
  const story = h("p", {});
  const rows = ["True neighbours", "Neighbours in the picture"].map((name) => {
    const strip = paper(COLUMNS * TILE, TILE);
    return { name, strip, el: ui.stack(h("p", { class: "companion-label" }, name), strip.el) };
  });
  let [shown, ink] = ["", ""];
  const nameOf = (/** @type {number} */ i) => (names.length ? names[labels[i]] : `point ${i + 1}`);

  /** @param {typeof rows[number]} row @param {number[]} places @param {number[]} others */
  const fill = ({ name, strip }, places, others) => {
    strip.size(Math.ceil(places.length / COLUMNS) * TILE);
    const { context } = strip;
    places.forEach((i, k) => {
      const [x, y] = [(k % COLUMNS) * TILE, Math.floor(k / COLUMNS) * TILE];
      const inset = tiles.hasImages ? 3 : 10;
      const isShared = others.includes(i);
      context.globalAlpha = isShared ? 1 : 0.5;
      tiles.draw(context, i, x + inset, y + inset, TILE - 2 * inset);
      context.globalAlpha = 1;
      context.strokeStyle = ink;
      context.lineWidth = isShared ? 2 : 1.5;
      context.setLineDash(isShared ? [] : [3, 3]);
      context.strokeRect(x + 1, y + 1, TILE - 2, TILE - 2);
      context.setLineDash([]);
    });
    const words = places.map((i) => `${nameOf(i)}${others.includes(i) ? "" : " (only here)"}`);
    strip.el.setAttribute("aria-label", `${name}: ${words.join(", ")}.`);
  };

  return {
    el: ui.stack(
      title,
      h("div", { class: "embedding-point" }, large.el, story),
      ...rows.map((row) => row.el),
      ui.note("A solid frame: in both rows. Dashed: in this one only."),
    ),
    /** @param {number} i @param {Neighbours} neighbours */
    draw(i, { true_, plane }) {
      const key = [i, "", ...true_, "", ...plane].join();
      if (key === shown) return;
      shown = key;
      const shared = true_.filter((j) => plane.includes(j)).length;
      title.textContent = names.length ? `Point ${i + 1}: ${names[labels[i]]}` : `Point ${i + 1}`;
      count.set(shared);
      story.replaceChildren(
        "Of its ",
        `${true_.length} true neighbour${true_.length > 1 ? "s" : ""}, `,
        count.el,
        shared === 1 ? " is among the nearest here." : " are among the nearest here.",
      );
      large.size(96);
      const inset = tiles.hasImages ? 0 : 32;
      tiles.draw(large.context, i, inset, inset, 96 - 2 * inset);
      large.el.setAttribute("aria-label", `${title.textContent}, enlarged.`);
      fill(rows[0], true_, plane);
      fill(rows[1], plane, true_);
    },
    /** @param {{ [token: string]: string }} tokens */
    onTheme(tokens) {
      shown = "";
      ink = inksOn(tokens).ink;
    },
    words: () => `${title.textContent}. ${story.textContent}`,
  };
}

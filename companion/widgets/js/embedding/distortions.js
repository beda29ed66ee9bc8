// How far the picture can be trusted: neighbourhoods, distances, and the sizes of the classes.

import { s, setAll } from "../ui/axes.js";
import * as ui from "../ui/controls.js";
import { h } from "../ui/controls.js";
import { shapeOf } from "./sprites.js";

/** @import { Found } from "./explorer.js" */
/** @import { Sprites } from "./scatter.js" */

const FOLD = 4; // the scale of sizes goes from a fourth to four times the mean

/** Where a relative size stands on the track, 0…1. @param {number} size */
const place = (size) => ui.clamp(0.5 + Math.log(size) / Math.log(FOLD) / 2, 0, 1);

/** @type {[quantity: keyof Found, label: string, best: string][]} */
const QUANTITIES = [
  ["trustworthiness", "Trustworthiness", "near here → near in truth; 1 is best"],
  ["continuity", "Continuity", "near in truth → near here; 1 is best"],
  ["kept", "Neighbours kept", "share of the nearest that stay the nearest"],
  ["rank_correlation", "Distances", "rank correlation of 2,000 pairs; 1 is best"],
  ["kl", "KL(P ‖ Q)", "what t-SNE makes small, in nats"],
];

/** The mark of a class beside its name. @param {number} label */
function key(label) {
  const shape = s("path", { d: shapeOf(label, 6) });
  const svg = s("svg", { width: 14, height: 14, viewBox: "-7 -7 14 14", "aria-hidden": "true" }, shape);
  return { el: svg, tint: (/** @type {string} */ colour) => setAll(shape, { fill: colour }) };
}

/** One class: a ring where its true size is, a dot where the picture's is. @param {string} name @param {number} label */
function sizeRow(name, label) {
  const own = key(label);
  const track = h("span", { class: "embedding-track" });
  const ratio = ui.number({
    quantity: `size-${label}`,
    value: null,
    format: (v) => (v === null ? "–" : `×${ui.fixed(v)}`),
  });
  return {
    el: h("li", {}, own.el, h("span", {}, name), track, ratio.el),
    tint: own.tint,
    /** @param {number} true_ @param {number} seen */
    draw(true_, seen) {
      const known = Number.isFinite(true_) && Number.isFinite(seen);
      ratio.set(known && true_ > 0 ? seen / true_ : null);
      track.hidden = !known;
      track.style.setProperty("--true", String(place(true_)));
      track.style.setProperty("--seen", String(place(seen)));
    },
  };
}

/** @param {string[]} names @param {Sprites} tiles */
export function distortions(names, tiles) {
  const numbers = ui.readouts((/** @type {number | null} */ v) => (v === null ? "–" : ui.fixed(v, 3)));
  const table = h(
    "dl",
    { class: "embedding-numbers" },
    ...QUANTITIES.map(([quantity, label, best]) =>
      h(
        "div",
        {},
        h("dt", {}, label),
        h("dd", {}, numbers.make(quantity)),
        h("dd", { class: "companion-note" }, best),
      ),
    ),
  );
  const rows = names.length > 1 ? names.map(sizeRow) : [];
  const ends = ["least", "most"].map((which) =>
    ui.number({
      quantity: `distance-${which}`,
      value: null,
      format: (v) => (v === null ? "–" : ui.fixed(v)),
    }),
  );
  const distances = ui.note(
    "Distances between the classes’ centres, over what the others let expect: from ×",
    ends[0].el,
    " to ×",
    ends[1].el,
    ".",
  );
  const sizes = ui.plate(
    { title: "Sizes of the classes" },
    h(
      "p",
      { class: "embedding-legend" },
      h("span", { class: "embedding-ring" }),
      "in truth ",
      h("span", { class: "embedding-dot" }),
      "in the picture, both over the classes’ mean",
    ),
    h("ul", { class: "embedding-sizes" }, ...rows.map((row) => row.el)),
    names.length > 2 ? distances : null,
  );
  return {
    el: h(
      "div",
      { class: rows.length ? "companion-halves" : "" },
      ui.plate({ title: "What the picture keeps" }, table),
      rows.length ? sizes : null,
    ),
    /**
     * @param {Found | null} found
     * @param {{ spreads: Float64Array, seen: Float64Array, ratios: Float64Array }} classes
     */
    draw(found, { spreads, seen, ratios }) {
      for (const [quantity] of QUANTITIES) numbers.set({ [quantity]: found?.[quantity] ?? null });
      rows.forEach((row, k) => row.draw(spreads[k], seen[k]));
      const good = [...ratios].filter(Number.isFinite);
      ends[0].set(good.length ? Math.min(...good) : null);
      ends[1].set(good.length ? Math.max(...good) : null);
    },
    onTheme() {
      rows.forEach((row, k) => row.tint(tiles.colour(k)));
    },
  };
}

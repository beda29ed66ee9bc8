// What the network says of the whole picture and under the patch: the first classes, with both probabilities.

import * as ui from "../ui/controls.js";
import { h } from "../ui/controls.js";

/**
 * @typedef {object} Answer
 * @property {(k: number) => number | null} of the probability of a class, null if it is not known
 * @property {number[]} top the most probable classes
 */

const ROWS = 7; // five first guesses, one more under the patch, and the class that was chosen
const share = (/** @type {number | null} */ p) => (p === null ? "–" : ui.fixed(p, 3));

/** One class. */
function row() {
  const name = h("span", { class: "occlusion-name" });
  const bars = ["whole", "under"].map((kind) => h("span", { class: `occlusion-bar occlusion-${kind}` }));
  const [before, after] = [h("span", {}), h("span", {})];
  const el = h(
    "li",
    { class: "occlusion-class", hidden: true },
    name,
    h("span", { class: "occlusion-values companion-number" }, before, " → ", after),
    h("span", { class: "occlusion-bars", "aria-hidden": "true" }, ...bars),
  );
  return {
    el,
    /** @param {string} text @param {boolean} isTarget @param {(number | null)[]} values */
    set(text, isTarget, values) {
      el.hidden = false;
      name.textContent = text;
      name.title = text;
      el.toggleAttribute("data-target", isTarget);
      [before, after].forEach((shown, k) => {
        shown.textContent = share(values[k]);
        shown.dataset.value = String(values[k]);
        bars[k].style.setProperty("--share", String(values[k] ?? 0));
      });
    },
  };
}

/** @param {string[]} names of the classes */
export function scores(names) {
  const numbers = ui.readouts(share);
  const target = h("strong", {});
  const rows = Array.from({ length: ROWS }, row);
  const list = h("ol", { class: "occlusion-classes" }, ...rows.map(({ el }) => el));
  const verdict = h("p", { class: "companion-note" });
  const summary = h(
    "p",
    { class: "occlusion-summary" },
    target,
    h(
      "span",
      { class: "occlusion-pair" },
      numbers.make("probability_whole"),
      " → ",
      numbers.make("probability"),
    ),
  );
  const key = ui.legend([
    { token: "data-6", label: "whole picture" },
    { token: "accent", label: "under the patch" },
  ]);
  return {
    el: ui.stack(summary, key, list, verdict),
    /** @param {Answer | null} whole @param {Answer | null} under @param {number} chosen class */
    draw(whole, under, chosen) {
      target.textContent = names[chosen];
      numbers.set({ probability_whole: whole?.of(chosen) ?? null, probability: under?.of(chosen) ?? null });
      const listed = whole ? [...new Set([...whole.top, ...(under ? [under.top[0]] : []), chosen])] : [];
      rows.forEach(({ el, set }, i) => {
        const k = listed[i];
        if (k === undefined) el.hidden = true;
        else set(names[k], k === chosen, [whole?.of(k) ?? null, under?.of(k) ?? null]);
      });
      if (!whole || !under) verdict.textContent = "";
      else if (under.top[0] === whole.top[0])
        verdict.textContent = `The first guess stays ${names[whole.top[0]]}.`;
      else
        verdict.textContent = `The first guess was ${names[whole.top[0]]}; under the patch it is ${names[under.top[0]]}.`;
    },
  };
}

// What widgets with a network that reads digits share: the pad to draw on, and what the network says. Its look is
// look_inside.css.

import * as ui from "./controls.js";
import { h } from "./controls.js";
import { drawingPad } from "./drawing_pad.js";

const PLACES = 5; // classes listed

/** The most probable classes, on request with their logits. @param {string[]} names */
export function verdict(names, { logits = false } = {}) {
  const rows = Array.from({ length: Math.min(PLACES, names.length) }, (_, k) => {
    const name = h("span", { class: "look-class" });
    const bar = ui.bar({ token: k ? "edge" : "data-1" });
    const shown = ui.number({
      quantity: `place-${k + 1}`,
      value: 0,
      format: (v) => `${ui.fixed(100 * v, 1)} %`,
    });
    const logit = ui.number({ quantity: `logit-${k + 1}`, value: 0 });
    const words = logits ? h("span", { class: "companion-note" }, " logit ", logit.el) : null;
    const el = h("li", { class: "look-place" }, h("span", {}, name, words), shown.el, bar.el);
    return { el, name, bar, shown, logit };
  });
  return {
    el: h("ol", { class: "look-places", "aria-label": "Most probable classes" }, ...rows.map(({ el }) => el)),
    /** @param {number[]} p @param {number[]} [z] logits */
    draw(p, z) {
      const order = p.map((_, k) => k).sort((a, b) => p[b] - p[a]);
      rows.forEach(({ name, bar, shown, logit }, k) => {
        name.textContent = names[order[k]];
        name.title = names[order[k]];
        bar.set(p[order[k]]);
        shown.set(p[order[k]]);
        if (z) logit.set(z[order[k]]);
      });
    },
  };
}

/**
 * The pad to draw on, under the button that wakes it.
 * @param {[channels: number, height: number, width: number]} shape @param {HTMLElement} wake @param {(image: Float32Array) => void} onDrawn
 */
export function digitPad([, height, width], wake, onDrawn) {
  const pad = drawingPad({ label: "Draw a digit", height, width, centre: true, onChange: onDrawn });
  const cover = h("div", { class: "look-wake" }, wake);
  // A tap anywhere on what covers the pad is one on the button.
  cover.addEventListener("click", ({ target }) => {
    if (target === cover) wake.click();
  });
  return {
    el: h("div", { class: "look-pad" }, pad.el, cover),
    clear: () => pad.set([]),
    draw() {},
    stop() {},
  };
}

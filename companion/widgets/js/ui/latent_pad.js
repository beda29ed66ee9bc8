// A square over two coordinates of a latent vector, with the images that they decode to behind it. It is
// dragged, or moved by the arrow keys. Its look is latent_pad.css.

import { imageGrid, inBackground } from "./canvas.js";
import { setAll, s } from "./axes.js";
import { clamp, h, select, spoken } from "./controls.js";

/** @import { BackgroundOptions, ImageShape } from "./canvas.js" */

/** @typedef {[latent: number, value: number][]} Changes */

/** @type {{ [key: string]: [axis: number, sign: number] }} */
const ARROWS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowDown: [1, -1], ArrowUp: [1, 1] };

/**
 * @typedef {object} PadOptions
 * @property {ArrayLike<number>} z the latent vector; the pad reads it whenever it draws
 * @property {string[]} labels one a latent
 * @property {number[]} choices the latents that an axis may show, in the order of the lists
 * @property {[number, number]} range of every latent
 * @property {ImageShape} shape of one image
 * @property {number} [count] images along a side
 * @property {boolean} [smooth] see imageGrid
 * @property {BackgroundOptions["decode"]} decode
 * @property {(changes: Changes) => void} onMove the reader moves; whoever holds z sets it and calls `follow`
 * @property {(axes: number[]) => void} [onAxes] the reader chose another latent for an axis
 */

/**
 * An ellipse of two standard deviations around a Gaussian's mean, over the images of a pad.
 * @param {number[]} axes the two latents; read whenever it is drawn
 * @param {[number, number]} range
 * @param {number} count images along a side
 */
function gaussianOutline(axes, [low, high], count) {
  // In units of the latents; the outermost images reach half a step beyond the range.
  const half = ((high - low) * count) / (2 * (count - 1));
  const middle = (low + high) / 2;
  const ellipse = s("ellipse", { class: "latent-pad-ellipse" });
  const viewBox = `${-half} ${-half} ${2 * half} ${2 * half}`;
  const el = s("svg", { class: "latent-pad-overlay", viewBox, "aria-hidden": "true" }, ellipse);
  /** @type {{ mean: number[], sigma: number[] } | null} */
  let marked = null;
  const draw = () => {
    el.style.display = marked ? "" : "none";
    if (!marked) return;
    const { mean, sigma } = marked;
    const [across, up] = axes;
    const place = { cx: mean[across] - middle, cy: middle - mean[up] };
    setAll(ellipse, { ...place, rx: 2 * sigma[across], ry: 2 * sigma[up] });
  };
  draw();
  return {
    el,
    draw,
    /** @param {{ mean: number[], sigma: number[] } | null} gaussian */
    mark(gaussian) {
      marked = gaussian;
      draw();
    },
  };
}

/**
 * A pad over the first two of `choices`. `follow` shows where z is. The images behind it depend on the other
 * latents: `refreshIf(changed)` makes them anew if one of those changed, as soon as the pad is open. `mark`
 * draws an ellipse of two standard deviations.
 * @param {PadOptions} options
 */
export function latentPad({
  z,
  labels,
  choices,
  range: [low, high],
  shape,
  count = 7,
  smooth,
  decode,
  onMove,
  onAxes,
}) {
  const axes = [choices[0], choices[1]];
  const last = count - 1;
  const grid = imageGrid(shape, { columns: count, rows: count, smooth, still: "map" });
  const handle = h("span", { class: "latent-pad-handle" });
  const outline = gaussianOutline(axes, [low, high], count);
  const at = (/** @type {number} */ k) => low + ((high - low) * k) / last;
  const refresh = inBackground({
    count: count * count,
    point: (k) => {
      const point = Array.from(z);
      point[axes[0]] = at(k % count);
      point[axes[1]] = at(last - Math.floor(k / count));
      return point;
    },
    decode,
    draw: (image, k) => grid.draw(image, 0, k % count, Math.floor(k / count)),
  });

  // Two native range inputs, one an axis, that assistive technology and keys can move. Arrow keys
  // reach both axes from either.
  const inputs = [0, 1].map((axis) =>
    h("input", {
      type: "range",
      class: "companion-cover",
      min: low,
      max: high,
      step: (high - low) / 60,
      tabindex: axis ? -1 : 0,
      "aria-roledescription": "two-dimensional slider",
    }),
  );
  inputs.forEach((input, axis) => {
    input.addEventListener("input", () => onMove([[axes[axis], Number(input.value)]]));
    input.addEventListener("keydown", (event) => {
      if (!(event.key in ARROWS)) return;
      event.preventDefault();
      const [target, sign] = ARROWS[event.key];
      const latent = axes[target];
      const step = (event.shiftKey ? 5 : 1) * ((high - low) / 60);
      onMove([[latent, clamp(z[latent] + sign * step, low, high)]]);
      if (target !== axis) inputs[target].focus();
    });
  });

  // The middle of an image of the map is the point that it is decoded from.
  const place = (/** @type {number} */ value) =>
    `${(100 * (0.5 + (last * (clamp(value, low, high) - low)) / (high - low))) / count}%`;
  const follow = () => {
    handle.style.insetInlineStart = place(z[axes[0]]);
    handle.style.insetBlockEnd = place(z[axes[1]]);
    inputs.forEach((input, axis) => {
      input.value = String(z[axes[axis]]);
      const both = axes.map((i) => `${labels[i]} ${spoken(z[i], 1)}`);
      input.setAttribute("aria-valuetext", (axis ? both.reverse() : both).join(", "));
    });
  };
  const nameAxes = () =>
    inputs.forEach((input, axis) => {
      const way = axis ? "up and down" : "left and right";
      input.setAttribute("aria-label", `${labels[axes[axis]]} (${way})`);
    });

  const style = `--count: ${count}`;
  const field = h("div", { class: "companion-pad", style }, grid.el, outline.el, handle, ...inputs);
  const drag = (/** @type {PointerEvent} */ event) => {
    const box = grid.el.getBoundingClientRect();
    const value = (/** @type {number} */ offset, /** @type {number} */ size) =>
      low + (high - low) * (clamp((offset / size) * count - 0.5, 0, last) / last);
    onMove([
      [axes[0], value(event.clientX - box.left, box.width)],
      [axes[1], value(box.bottom - event.clientY, box.height)],
    ]);
  };
  field.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    event.preventDefault();
    field.setPointerCapture(event.pointerId);
    inputs[0].focus({ preventScroll: true, focusVisible: false });
    drag(event);
  });
  field.addEventListener("pointermove", (event) => {
    if (field.hasPointerCapture(event.pointerId)) drag(event);
  });

  const options = choices.map((i) => ({ value: i, label: labels[i] }));
  const choose = (/** @type {number} */ axis, /** @type {number} */ latent) => {
    if (axes[1 - axis] === latent) {
      axes[1 - axis] = axes[axis]; // the two change places
      lists[1 - axis].set(axes[1 - axis]);
    }
    axes[axis] = latent;
    nameAxes();
    follow();
    outline.draw();
    refresh();
    onAxes?.(axes);
  };
  const lists = ["across", "up"].map((label, axis) =>
    select({ label, options, value: axes[axis], onChange: (latent) => choose(axis, latent) }),
  );
  let stale = true;
  let isOpen = false;
  nameAxes();
  follow();
  return {
    el: h(
      "div",
      { class: "latent-pad", role: "group", "aria-label": "Two latents at once" },
      field,
      h("div", { class: "latent-pad-axes" }, ...lists.map((list) => list.el)),
    ),
    /** The two latents that it moves. */
    axes,
    follow,
    mark: outline.mark,
    /** The pad is in sight, and there is a decoder: images that are out of date are made. */
    open() {
      isOpen = true;
      if (stale) refresh(0);
      stale = false;
    },
    /** It is out of sight: images can wait until `open`. */
    close() {
      isOpen = false;
    },
    /** @param {Set<number>} changed latents */
    refreshIf(changed) {
      if (![...changed].some((i) => !axes.includes(i))) return;
      stale = !isOpen;
      if (isOpen) refresh();
    },
  };
}

// A strip of images along one way through a latent space, which can be scrubbed. Its look is film_strip.css.

import { imageGrid, inBackground } from "./canvas.js";
import { clamp, h } from "./controls.js";

/** @import { BackgroundOptions, ImageShape } from "./canvas.js" */

/**
 * @typedef {object} Scene what the strip shows
 * @property {string} key scenes of one key are the same
 * @property {string} caption
 * @property {[left: string, right: string]} ends what the first and the last image are
 * @property {(t: number) => ArrayLike<number>} point the latent vector of the image at t = 0…1
 * @property {() => number} place where the marker stands, 0…1
 * @property {(t: number) => void} onScrub the reader drags to t
 */

/**
 * @typedef {object} FilmOptions
 * @property {ImageShape} shape of one image
 * @property {number} [frames] how many images
 * @property {boolean} [smooth] see imageGrid
 * @property {BackgroundOptions["decode"]} decode
 * @property {Scene} scene what it shows first
 */

/**
 * A film strip. What it shows can be reached by keyboard elsewhere (a slider), so it is hidden from
 * assistive technology. `follow` moves the marker, `refresh` makes the images anew, `show` changes the scene.
 * @param {FilmOptions} options
 */
export function filmStrip({ shape, frames = 9, smooth, decode, scene }) {
  const grid = imageGrid(shape, { columns: frames, smooth, still: "film" });
  const [caption, left, right] = [h("span"), h("span"), h("span")];
  const marker = h("span", { class: "film-marker" });
  const film = h(
    "div",
    { class: "film", style: `--frames: ${frames}`, "aria-hidden": "true" },
    grid.el,
    marker,
  );
  const last = frames - 1;
  const refresh = inBackground({
    count: frames,
    point: (k) => scene.point(k / last),
    decode,
    draw: (image, k) => grid.draw(image, 0, k),
  });
  const follow = () => {
    marker.style.insetInlineStart = `${(100 * (0.5 + last * clamp(scene.place(), 0, 1))) / frames}%`;
  };
  const describe = () => {
    caption.textContent = scene.caption;
    [left.textContent, right.textContent] = scene.ends;
    follow();
  };
  const scrub = (/** @type {PointerEvent} */ event) => {
    const box = grid.el.getBoundingClientRect();
    scene.onScrub(clamp(((event.clientX - box.left) / box.width) * frames - 0.5, 0, last) / last);
  };
  film.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    film.setPointerCapture(event.pointerId);
    scrub(event);
  });
  film.addEventListener("pointermove", (event) => {
    if (film.hasPointerCapture(event.pointerId)) scrub(event);
  });
  describe();
  return {
    el: h(
      "figure",
      { class: "film-strip" },
      film,
      h("figcaption", { class: "companion-caption" }, left, caption, right),
    ),
    follow,
    refresh,
    scene: () => scene,
    /** @param {Scene} next */
    show(next) {
      if (next.key === scene.key) return;
      scene = next;
      describe();
      refresh(60);
    },
  };
}

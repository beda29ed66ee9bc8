// A choice among small pictures: a radio group of tiles. Its look is in widgets.css (companion-tile).

import { h, newId } from "./controls.js";

/** @import { Content } from "./controls.js" */

/**
 * @template V
 * @typedef {object} Tile
 * @property {V} value
 * @property {string} caption what a screen reader says, and a pointer reads
 * @property {string} [picture] an address, mostly data:
 * @property {Content} [content] stands in the tile instead of a picture
 */

/**
 * @template V
 * @typedef {object} PickerOptions
 * @property {string} label what is chosen
 * @property {Tile<V>[]} tiles
 * @property {V} [value]
 * @property {(caption: string) => string} [name] how a tile is called by a screen reader
 * @property {string} [tileClass]
 * @property {boolean} [crisp] show pixels as squares
 * @property {(value: V) => void} onChange
 */

/**
 * A picker; `set` calls nobody back, and leaves no tile chosen for a value that none has.
 * @template V
 * @param {PickerOptions<V>} options
 */
export function imagePicker({
  label,
  tiles,
  value,
  name = (caption) => caption,
  tileClass = "",
  crisp,
  onChange,
}) {
  const group = newId();
  const inputs = tiles.map((tile) =>
    h("input", {
      type: "radio",
      class: "companion-cover",
      name: group,
      "aria-label": name(tile.caption),
      onchange: () => onChange(tile.value),
    }),
  );
  const style = crisp ? "image-rendering: pixelated" : undefined;
  const el = h(
    "div",
    { class: "companion-picker", role: "radiogroup", "aria-label": label },
    ...tiles.map(({ picture, content, caption }, k) =>
      h(
        "label",
        { class: `companion-tile ${tileClass}`.trim(), title: caption },
        inputs[k],
        content ?? h("img", { src: picture, alt: "", style }),
      ),
    ),
  );
  /** @param {V | undefined} next */
  const set = (next) =>
    inputs.forEach((input, k) => {
      input.checked = tiles[k].value === next;
    });
  set(value);
  return {
    el,
    /** @returns {V | undefined} */
    get: () => tiles[inputs.findIndex((input) => input.checked)]?.value,
    set,
  };
}

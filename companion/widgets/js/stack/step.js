// One unit of a convolutional layer, written out: window times kernel in each channel, the sums and the bias, ReLU
// and pooling. Its numbers are those of maths/convolution.js.

import { matrixOf } from "../maths/convolution.js";
import { cells, exact, magnitude } from "../ui/cells.js";
import * as ui from "../ui/controls.js";
import { h } from "../ui/controls.js";
import { mapField } from "./maps.js";

/** @import { unitOf } from "../maths/convolution.js" */
/** @typedef {ReturnType<typeof unitOf>} Unit */

/**
 * How numbers are written: as they are (`exactly`), or rounded so that what is written adds up.
 * @typedef {object} Writing
 * @property {(value: number) => string} format
 * @property {(parts: number[], total?: number) => number[]} parts what is written of some parts of a sum
 * @property {string} equals
 */
/** @type {Writing} */
export const exactly = {
  format: (value) => exact(Math.round(value * 1e6) / 1e6),
  parts: (parts) => parts,
  equals: "=",
};

/** With brackets around what is negative, as a summand needs. @param {string} text */
const summand = (text) => (text.startsWith("−") ? `(${text})` : text);

/**
 * One channel: its map, the window, the kernel, the products and their sum.
 * @param {{ kernel: number, writing: Writing, onPick: (row: number, column: number, event: Event) => void,
 *   edit?: { name: string, onEdit: (a: number, b: number, value: number) => void, onTrouble: (sentence: string) => void } }} options
 */
export function channelRow({ kernel: k, writing, onPick, edit }) {
  const { format } = writing;
  const name = h("span", {});
  const map = mapField({ onPick });
  const grid = (/** @type {string} */ label, more = {}) =>
    cells({ rows: k, columns: k, label, format, ...more });
  const [window, products] = [grid("Window"), grid("Products")];
  const weights = edit
    ? grid(`Kernel of ${edit.name}`, {
        ...edit,
        edit: (/** @type {number} */ a, /** @type {number} */ b) =>
          `${edit.name}: weight in row ${a}, column ${b}`,
        limits: WEIGHTS,
      })
    : grid("Kernel");
  const total = h("strong", { class: "companion-number" });
  const sign = (/** @type {string} */ text) =>
    h("span", { class: "stack-sign", "aria-hidden": "true" }, text);
  return {
    el: h(
      "div",
      { class: "stack-row", data: { kernel: k } },
      h("figure", { class: "stack-channel" }, h("figcaption", {}, name), map.el),
      window.el,
      sign("×"),
      weights.el,
      sign(writing.equals),
      products.el,
      h("p", { class: "stack-total" }, h("span", { class: "companion-note" }, "sum "), total),
    ),
    map,
    /**
     * @param {Unit["perChannel"][number]} channel @param {string} title of the channel
     * @param {{ values: number, weights: number, products: number, shown: number, height: number, width: number,
     *   padding: number }} scale largest magnitudes; the sum as it is written; size of the map without its frame
     */
    draw({ terms }, title, { values, weights: heaviest, products: most, shown, height, width, padding: p }) {
      name.textContent = title;
      const written = writing.parts(
        terms.map(({ product }) => product),
        shown,
      );
      matrixOf(k, k, (a, b) => {
        const term = terms[a * k + b];
        const { row, column } = term;
        const inside = row >= p && column >= p && row < height + p && column < width + p;
        window.set(a, b, term.value, values);
        window.cell(a, b).el.classList.toggle("stack-outside", !inside);
        weights.set(a, b, term.weight, heaviest);
        products.set(a, b, written[a * k + b], most);
      });
      window.describe(`Window in ${title}: ${said(terms.map(({ value }) => format(value)))}`);
      if (!edit) weights.describe(`Kernel of ${title}: ${said(terms.map(({ weight }) => format(weight)))}`);
      products.describe(`Products in ${title}: ${said(written.map(format))}`);
      total.textContent = format(shown);
      total.dataset.value = String(shown);
    },
  };
}

// What a weight or a bias may be: short enough for its cell, and so are all sums.
/** @type {import("../ui/cells.js").Limits} */
export const WEIGHTS = { largest: 9.9, decimals: 1 };

const said = (/** @type {string[]} */ numbers) => numbers.join(", ").replaceAll("−", "minus ");

/**
 * What becomes of the sums: the bias, ReLU and pooling.
 * @param {{ writing: Writing, pool: number, bias?: { onEdit: (value: number) => void, onTrouble: (sentence: string) => void } }} options
 */
export function outcome({ writing, pool, bias: edit }) {
  const { format, equals } = writing;
  const numbers = ui.readouts(format);
  const [parts, where, poolWords] = [h("span", {}), h("span", {}), h("span", {})];
  const bias = edit
    ? cells({
        ...edit,
        rows: 1,
        columns: 1,
        label: "Bias",
        format,
        edit: () => "bias",
        onEdit: (_, __, value) => edit.onEdit(value),
        limits: WEIGHTS,
      })
    : null;
  const biasText = h("span", { class: "companion-number" });
  const block = cells({ rows: pool, columns: pool, label: "What is pooled", format });
  const line = (/** @type {string} */ name, /** @type {(string | Node | null)[]} */ ...rest) =>
    h(
      "li",
      { class: "stack-line" },
      h("span", { class: "stack-name" }, name),
      h("span", { class: "stack-work" }, ...rest),
    );
  const pooledLine = line(
    `Max-pooling ${pool}×${pool}`,
    block.el,
    h(
      "span",
      {},
      "largest: ",
      h(
        "strong",
        {},
        numbers.make("pooled", (v) => (v === null ? "–" : format(v))),
      ),
    ),
    poolWords,
  );
  return {
    el: h(
      "ol",
      { class: "stack-outcome" },
      line(
        "Sums and bias",
        parts,
        " + bias ",
        bias ? bias.el : biasText,
        h("span", {}, ` ${equals} `, h("strong", {}, numbers.make("sum"))),
        where,
      ),
      line(
        "ReLU",
        h("span", {}, "max(0, ", numbers.make("sum"), ") = ", h("strong", {}, numbers.make("relu"))),
      ),
      pooledLine,
    ),
    /**
     * Gives the sums of the channels and the bias as they are written.
     * @param {Unit} unit
     */
    written: ({ perChannel, bias: b, sum: total }) =>
      writing.parts([...perChannel.map(({ sum: part }) => part), b], total),
    /**
     * @param {Unit} unit @param {number[]} written @param {string[] | null} names of the channels; null: only their sum
     * @param {[row: number, column: number]} at @param {number} limit of the colours
     */
    draw({ sum: total, relu, block: pooled, bias: b }, written, names, [row, column], limit) {
      const sums = written.slice(0, -1);
      const all = names
        ? sums.map((part, c) => `${c ? " + " : ""}${names[c]} ${summand(format(part))}`)
        : [`${sums.length} channels together ${format(sums.reduce((x, y) => x + y, 0))}`];
      parts.replaceChildren(...all.map((text) => h("span", { class: "stack-part" }, text)));
      bias?.set(0, 0, b, limit);
      biasText.textContent = summand(format(written[sums.length]));
      where.textContent = `in row ${row}, column ${column} of the map`;
      numbers.set({ sum: total, relu, pooled: pooled ? pooled.largest : null });
      matrixOf(pool, pool, (a, c) =>
        pooled ? block.set(a, c, pooled.values[a][c], limit) : block.text(a, c, "–"),
      );
      if (pooled) {
        block.frame(row - pool * pooled.row, column - pool * pooled.column);
        block.describe(`What is pooled: ${said(pooled.values.flat().map(format))}`);
      }
      block.el.classList.toggle("stack-dropped", !pooled);
      poolWords.textContent = pooled
        ? `goes to row ${pooled.row}, column ${pooled.column} of the pooled map`
        : "This unit lies in no whole window: it is dropped.";
    },
  };
}

/** The largest magnitudes of a unit's windows, weights and products, over all channels. @param {Unit} unit */
export const scalesOf = ({ perChannel }) => ({
  values: magnitude(perChannel.map(({ terms }) => terms.map(({ value }) => value))),
  weights: magnitude(perChannel.map(({ terms }) => terms.map(({ weight }) => weight))),
  products: magnitude(perChannel.map(({ terms }) => terms.map(({ product }) => product))),
});

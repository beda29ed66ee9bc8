// What the widgets about disentanglement show alike: the table of information, and the metrics as bars.

import { tint } from "../ui/cells.js";
import * as ui from "../ui/controls.js";
import { h } from "../ui/controls.js";

/** @typedef {{ quantity: string, label: string, title: string, token: string }} Metric */

/** @type {Metric[]} */
export const METRICS = [
  { quantity: "mig", label: "MIG", title: "mutual information gap", token: "data-1" },
  { quantity: "sap", label: "SAP", title: "separated attribute predictability", token: "data-1" },
  { quantity: "dci-disentanglement", label: "D", title: "disentanglement, of DCI", token: "data-4" },
  { quantity: "dci-completeness", label: "C", title: "completeness, of DCI", token: "data-4" },
  { quantity: "dci-informativeness", label: "I", title: "informativeness, of DCI", token: "data-4" },
  { quantity: "factor-vae", label: "FactorVAE", title: "the FactorVAE score", token: "data-3" },
];

/** The metrics' names as quantities. @param {import("../maths/disentanglement.js").Scores} scores @param {number} vae */
export const metricsOf = (scores, vae) => ({
  mig: scores.mig,
  sap: scores.sap,
  "dci-disentanglement": scores.disentanglement,
  "dci-completeness": scores.completeness,
  "dci-informativeness": scores.informativeness,
  "factor-vae": vae,
});

/** Metrics as bars with their numbers. @param {{ chance?: string }} [options] what to say of the last one */
export function metricBars({ chance } = {}) {
  const rows = METRICS.map(({ quantity, label, title, token }) => {
    const bar = ui.bar({ token });
    const number = ui.number({ quantity, value: 0 });
    const el = h(
      "li",
      { class: "metric-row" },
      h("span", { class: "metric-name" }, label, h("span", { class: "companion-note" }, ` ${title}`)),
      bar.el,
      number.el,
    );
    return { el, quantity, bar, number };
  });
  return {
    el: h(
      "div",
      {},
      h("ul", { class: "metric-rows" }, ...rows.map((row) => row.el)),
      chance ? ui.note(chance) : null,
    ),
    /** @param {{ [quantity: string]: number }} values */
    set(values) {
      for (const { quantity, bar, number } of rows) {
        bar.set(values[quantity]);
        number.set(values[quantity]);
      }
    },
  };
}

/**
 * The table of information, factors in rows, latents in columns: per cent of the factor's entropy.
 * @param {{ rows: string[], columns: string[], caption: string }} options
 */
export function informationTable({ rows, columns, caption }) {
  const percent = (/** @type {number} */ v) => ui.fixed(100 * v, 0);
  const heads = columns.map((name) => h("th", { scope: "col" }, name));
  const grid = rows.map((_, j) =>
    columns.map((__, i) => {
      const number = ui.number({ quantity: `information-${j}-${i}`, value: 0, format: percent });
      const empty = { class: "information-cell", data: { sign: "plus" }, style: "--t: 0.000;" };
      return { el: h("td", empty, number.el), number };
    }),
  );
  const body = rows.map((name, j) =>
    h("tr", {}, h("th", { scope: "row" }, name), ...grid[j].map((cell) => cell.el)),
  );
  return {
    el: h(
      "div",
      { class: "information" },
      h(
        "table",
        { class: "information-table", style: `--columns: ${columns.length}` },
        h("caption", { class: "companion-note" }, caption),
        h("thead", {}, h("tr", {}, h("td"), ...heads)),
        h("tbody", {}, ...body),
      ),
    ),
    /** @param {number[][]} shares 0 to 1, rows by columns; columns that are not given are empty */
    set(shares) {
      shares.forEach((row, j) => {
        const best = Math.max(...row);
        grid[j].forEach(({ el, number }, i) => {
          el.hidden = i >= row.length;
          number.set(row[i] ?? 0);
          tint(el, row[i] ?? 0, 0.75); // so much is rare
          el.toggleAttribute("data-best", row[i] === best);
        });
      });
      heads.forEach((head, i) => {
        head.hidden = i >= shares[0].length;
      });
    },
    /** Mark some columns. @param {number[]} chosen */
    mark(chosen) {
      heads.forEach((head, i) => {
        head.toggleAttribute("data-chosen", chosen.includes(i));
      });
    },
  };
}

// A few images with their most probable classes: which of them count for a given k, and the errors.

import { chart, mark, setAll, text } from "./ui/axes.js";
import * as ui from "./ui/controls.js";
import { h, maths } from "./ui/controls.js";
import { bindTraits, lifetime, observeWidth, perFrame, traitSlider } from "./ui/lifetime.js";

/** @import { RenderProps } from "@anywidget/types" */

/**
 * @typedef {object} Example
 * @property {string} picture
 * @property {string} label the right class
 * @property {number} rank its place among the predictions, 1 the first
 * @property {string[]} names of the most probable classes
 * @property {number[]} p their probabilities
 */

/**
 * @typedef {object} State
 * @property {number} k how many predictions count
 * @property {number} places the largest k
 * @property {Example[]} examples
 * @property {number[]} rank_counts how many images have their right class at each place
 * @property {number} count of all images
 * @property {boolean} crisp
 * @property {string} model_name
 * @property {string} title
 */

const percent = (/** @type {number} */ v) => `${ui.fixed(100 * v, 1)} %`;

/**
 * Errors for k = 1 … places, from how many images have their right class at each place.
 * @param {number[]} counts @param {number} total
 */
export function errors(counts, total) {
  let right = 0;
  return counts.map((count) => {
    right += count;
    return 1 - right / total;
  });
}

/** An image with its predictions. @param {Example} example @param {boolean} crisp @param {number} index */
function card({ picture, label, rank, names, p }, crisp, index) {
  const image = h("img", {
    src: picture,
    alt: `An image of the class ${label}.`,
    class: "topk-image",
    style: `image-rendering: ${crisp ? "pixelated" : "auto"}`,
  });
  const rows = names.map((name, i) => {
    const bar = h("span", { class: "topk-bar", "aria-hidden": "true" });
    bar.style.setProperty("--share", String(p[i]));
    const tick = i + 1 === rank ? h("span", { class: "companion-spoken" }, " (the right class)") : null;
    return h(
      "li",
      { class: "topk-place", "data-right": i + 1 === rank },
      h("span", { class: "topk-number", "aria-hidden": "true" }, String(i + 1)),
      h("span", { class: "topk-name", title: name }, name, tick),
      h("span", { class: "topk-p" }, ui.fixed(p[i], 3)),
      bar,
    );
  });
  const verdict = h("p", { class: "topk-verdict", data: { quantity: `verdict-${index}` } });
  const el = h(
    "div",
    { class: "topk-card", role: "group", "aria-label": `Image ${index + 1}, right class ${label}` },
    image,
    h("p", { class: "topk-label" }, label),
    h("ol", { class: "topk-list" }, ...rows),
    verdict,
  );
  return {
    el,
    /** @param {number} k */
    draw(k) {
      rows.forEach((row, i) => row.toggleAttribute("data-counts", i < k));
      const right = rank <= k;
      el.dataset.verdict = right ? "right" : "wrong";
      verdict.dataset.value = right ? "1" : "0";
      verdict.textContent = right
        ? `✓ right: at place ${rank}`
        : `✗ an error: at place ${rank}${rank > names.length ? ", not listed" : ""}`;
    },
  };
}

/**
 * One column for each k: the error over all images; a press chooses that k.
 * @param {number[]} all @param {(k: number) => void} onPick
 */
function errorChart(all, onPick) {
  const height = 170;
  const base = height - 24;
  const top = 26;
  const bars = all.map(() => mark("rect", "topk-column"));
  const values = all.map((v) => text(percent(v), { class: "companion-ink", "text-anchor": "middle" }));
  const names = all.map((_, i) => text(`k = ${i + 1}`, { "text-anchor": "middle" }));
  const line = mark("line", "companion-baseline");
  const { el, svg } = chart({ height }, ...bars, line, ...values, ...names);
  svg.classList.add("topk-pickable");
  svg.addEventListener("click", (event) => {
    const box = svg.getBoundingClientRect();
    const column = Math.floor(((event.clientX - box.left) / box.width) * all.length);
    onPick(1 + ui.clamp(column, 0, all.length - 1));
  });
  const largest = Math.max(...all, 0.01);
  return {
    el,
    /** @param {number} k @param {number} width */
    draw(k, width) {
      const step = width / all.length;
      all.forEach((error, i) => {
        const y = base - (error / largest) * (base - top);
        setAll(bars[i], {
          x: (i + 0.18) * step,
          width: 0.64 * step,
          y,
          height: base - y,
          "data-tint": i + 1 === k ? "data-1" : "edge",
        });
        setAll(values[i], { x: (i + 0.5) * step, y: y - 7 });
        setAll(names[i], { x: (i + 0.5) * step, y: base + 18 });
      });
      setAll(line, { x1: 0, x2: width, y1: base, y2: base });
      setAll(svg, {
        "aria-label": `Error over all images: ${all.map((v, i) => `top-${i + 1} ${percent(v)}`).join(", ")}.`,
      });
    },
  };
}

/**
 * The errors for k = 1 and for the k that is chosen, of the images on show and of all.
 * @param {{ few: number[], all: number[], shown: number, total: number }} options errors for each k, and of
 *   how many images
 */
function errorTable({ few, all, shown, total }) {
  const numbers = ui.readouts(percent);
  const names = [0, 1].map(() => h("span", { class: "topk-k" }));
  const row = (/** @type {string} */ label, /** @type {string} */ name) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, label),
      ...["1", "k"].map((k) => h("td", {}, numbers.make(`${name}-${k}`))),
    );
  const heads = [["top-1 error"], ["top-", names[0], " error"]];
  const el = h(
    "table",
    { class: "topk-errors" },
    h("thead", {}, h("tr", {}, h("td"), ...heads.map((parts) => h("th", { scope: "col" }, ...parts)))),
    h("tbody", {}, row(`these ${shown}`, "shown"), row(`all ${ui.grouped(total)}`, "all")),
  );
  return {
    el,
    /** @param {number} k */
    draw(k) {
      for (const name of names) name.textContent = String(k);
      el.toggleAttribute("data-first", k === 1); // both columns would say the same
      numbers.set({ "shown-1": few[0], "shown-k": few[k - 1], "all-1": all[0], "all-k": all[k - 1] });
    },
  };
}

/** @param {RenderProps<State>} props */
function render({ model, el }) {
  const [examples, total, counts] = [model.get("examples"), model.get("count"), model.get("rank_counts")];
  const shown = examples.length;
  const all = errors(counts, total);
  const few = errors(
    counts.map((_, i) => examples.filter(({ rank }) => rank === i + 1).length),
    shown,
  );
  const voice = ui.announcer();

  const draw = () => {
    const now = model.get("k");
    for (const c of cards) c.draw(now);
    table.draw(now);
    const wrong = Math.round(total * all[0]);
    const saved = ui.grouped(Math.round(total * (all[0] - all[now - 1])));
    story.textContent =
      now === 1
        ? "With k = 1 only the most probable class counts."
        : `${saved} of the ${ui.grouped(wrong)} images whose first guess is wrong ` +
          `have the right class among the first ${now}.`;
    if (column.width) picture.draw(now, column.width);
    if (!traits.touched) return;
    const [ofAll, ofFew] = [all[now - 1], few[now - 1]].map(percent);
    voice.say(`Top-${now} error ${ofAll} over all images, ${ofFew} over these ${shown}.`);
  };
  const traits = bindTraits(model, [], perFrame(draw));
  const choose = (/** @type {number} */ next) => traits.put({ k: next });

  const k = traitSlider(traits, "k", {
    label: h("span", {}, "top ", maths("k")),
    name: "k, predictions that count",
    min: 1,
    max: model.get("places"),
    step: 1,
    format: String,
    describe: (v) => `the ${v} most probable`,
  });
  const cards = examples.map((example, i) => card(example, model.get("crisp"), i));
  const picture = errorChart(all, choose);
  const table = errorTable({ few, all, shown, total });
  const story = ui.note();
  const overAll = ` error over all ${ui.grouped(total)} images`;

  el.append(
    ui.frame(
      {
        title: model.get("title"),
        describe:
          `The most probable classes of ${model.get("model_name")} ` +
          `for ${shown} of ${ui.grouped(total)} images. ` +
          "The right class stands under each image.",
      },
      h("div", { class: "companion-panel companion-sticky" }, k.el),
      h("div", { class: "topk-cards" }, ...cards.map((c) => c.el)),
      ui.legend([
        { token: "data-1", label: "counts for this k" },
        { token: "data-3", label: "the right class" },
        { token: "edge", label: "does not count" },
      ]),
      h(
        "div",
        { class: "companion-plate", role: "group", "aria-label": "Errors" },
        h("p", { class: "companion-heading" }, "Top-", maths("k"), overAll),
        ui.split([picture.el], [table.el, story]),
      ),
      voice.el,
    ),
  );
  const column = observeWidth(picture.el, draw);
  draw();
  return lifetime(column.stop, traits.stop);
}

export default { render };

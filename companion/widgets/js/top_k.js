// A few images with their most probable classes: which of them count for a given k, and the errors.

import { s, setAll } from "./ui/axes.js";
import * as ui from "./ui/controls.js";

const { h, maths } = ui;
const percent = (v) => `${ui.fixed(100 * v, 1)} %`;

/** Errors for k = 1 … places, from how many images have their right class at each place. */
export function errors(counts, total) {
  let right = 0;
  return counts.map((count) => {
    right += count;
    return 1 - right / total;
  });
}

function card({ picture, label, rank, names, p }, crisp, index) {
  const image = h("img", {
    src: picture,
    alt: `An image of the class ${label}.`,
    class: "topk-image",
    style: `image-rendering: ${crisp ? "pixelated" : "auto"}`,
  });
  const rows = names.map((name, i) => {
    const bar = h("span", { class: "topk-bar", "aria-hidden": "true" });
    bar.style.setProperty("--share", p[i]);
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

/** One column for each k: the error over all images; a press chooses that k. */
function errorChart(all, onPick) {
  const height = 170;
  const base = height - 24;
  const top = 26;
  const bars = all.map(() => s("rect", { class: "topk-column" }));
  const values = all.map((v) => s("text", { class: "companion-ink", "text-anchor": "middle" }, percent(v)));
  const names = all.map((_, i) => s("text", { "text-anchor": "middle" }, `k = ${i + 1}`));
  const line = s("line", { class: "companion-baseline" });
  const svg = s("svg", { height, role: "img" }, ...bars, line, ...values, ...names);
  let width = 0;
  svg.classList.add("topk-pickable");
  svg.addEventListener("click", (event) => {
    const box = svg.getBoundingClientRect();
    onPick(
      1 +
        Math.min(
          all.length - 1,
          Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * all.length)),
        ),
    );
  });
  const largest = Math.max(...all, 0.01);
  return {
    el: h("div", { class: "companion-chart" }, svg),
    draw(k, newWidth = width) {
      width = newWidth;
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

function render({ model, el }) {
  const [examples, places, total] = [model.get("examples"), model.get("places"), model.get("count")];
  const counts = model.get("rank_counts");
  const crisp = model.get("crisp");
  const all = errors(counts, total);
  const shown = errors(
    counts.map((_, i) => examples.filter(({ rank }) => rank === i + 1).length),
    examples.length,
  );
  const voice = ui.announcer();
  const schedule = ui.perFrame(() => draw());
  let width = 0;
  const traits = ui.traits(model, ["k"], schedule);
  const choose = (k) => traits.put({ k });

  const k = ui.slider({
    label: h("span", {}, "top ", maths("k")),
    name: "k, predictions that count",
    min: 1,
    max: places,
    step: 1,
    value: model.get("k"),
    quantity: "k",
    format: String,
    describe: (v) => `the ${v} most probable`,
    onInput: choose,
  });
  const cards = examples.map((example, i) => card(example, crisp, i));
  const chart = errorChart(all, choose);
  const number = (quantity) => ui.number({ quantity, value: 0, format: percent });
  const numbers = {
    "shown-1": number("shown-1"),
    "shown-k": number("shown-k"),
    "all-1": number("all-1"),
    "all-k": number("all-k"),
  };
  const kName = () => h("span", { class: "topk-k" });
  const kNames = [kName(), kName()];
  const table = h(
    "table",
    { class: "topk-errors" },
    h(
      "thead",
      {},
      h(
        "tr",
        {},
        h("td"),
        h("th", { scope: "col" }, "top-1 error"),
        h("th", { scope: "col" }, "top-", kNames[0], " error"),
      ),
    ),
    h(
      "tbody",
      {},
      h(
        "tr",
        {},
        h("th", { scope: "row" }, `these ${examples.length}`),
        h("td", {}, numbers["shown-1"].el),
        h("td", {}, numbers["shown-k"].el),
      ),
      h(
        "tr",
        {},
        h("th", { scope: "row" }, `all ${ui.grouped(total)}`),
        h("td", {}, numbers["all-1"].el),
        h("td", {}, numbers["all-k"].el),
      ),
    ),
  );
  const story = h("p", { class: "companion-note" });

  el.append(
    ui.frame(
      {
        title: model.get("title"),
        describe: `The most probable classes of ${model.get("model_name")} for ${examples.length} of ${ui.grouped(total)} images. The right class stands under each image.`,
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
        h(
          "p",
          { class: "companion-heading" },
          `Top-`,
          maths("k"),
          ` error over all ${ui.grouped(total)} images`,
        ),
        h(
          "div",
          { class: "companion-split" },
          h("div", { class: "companion-stack" }, chart.el),
          h("div", { class: "companion-stack" }, table, story),
        ),
      ),
      voice.el,
    ),
  );

  function draw() {
    const now = model.get("k");
    k.set(now);
    for (const c of cards) c.draw(now);
    for (const name of kNames) name.textContent = String(now);
    table.toggleAttribute("data-first", now === 1); // both columns would say the same
    numbers["shown-1"].set(shown[0]);
    numbers["shown-k"].set(shown[now - 1]);
    numbers["all-1"].set(all[0]);
    numbers["all-k"].set(all[now - 1]);
    const saved = Math.round(total * (all[0] - all[now - 1]));
    story.textContent =
      now === 1
        ? "With k = 1 only the most probable class counts."
        : `${ui.grouped(saved)} of the ${ui.grouped(Math.round(total * all[0]))} images whose first guess is wrong have the right class among the first ${now}.`;
    if (width) chart.draw(now, width);
    if (traits.touched)
      voice.say(
        `Top-${now} error ${percent(all[now - 1])} over all images, ${percent(shown[now - 1])} over these ${examples.length}.`,
      );
  }
  draw();

  const stopResize = ui.onResize(chart.el, (next) => {
    width = next;
    draw();
  });
  return () => {
    stopResize();
    traits.stop();
  };
}

export default { render };

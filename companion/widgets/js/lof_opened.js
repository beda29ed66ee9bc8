// The local outlier factor of one point, opened: neighbours, distances, densities and their ratio as numbers that
// add up. Computing is maths/anomaly.js.

import { localOutlierFactors, neighbours } from "./maths/anomaly.js";
import { chart, mark, s, setAll, text } from "./ui/axes.js";
import * as ui from "./ui/controls.js";
import { h, maths } from "./ui/controls.js";
import { copyCode, python, wrapped } from "./ui/copy_code.js";
import { bindTraits, lifetime, observeWidth, perFrame, traitSlider } from "./ui/lifetime.js";
import { pointChooser, scaled } from "./anomaly/chooser.js";

/** @import { AnyModel, RenderProps } from "@anywidget/types" */

/**
 * @typedef {object} State
 * @property {number[][]} points
 * @property {number} k
 * @property {number} selected
 * @property {string} title
 */

const HEIGHT = 320;
const MOST = 10; // neighbours

/** What a point is called: A … Z, then A′, B′, …. @param {number} place */
const letter = (place) => String.fromCharCode(65 + (place % 26)) + "′".repeat(Math.floor(place / 26));
/** Three decimals, fewer for large numbers. @param {number} v */
const short = (v) =>
  v >= 1e5 ? v.toExponential(1).replace("e+", "e") : ui.fixed(v, v < 10 ? 3 : v < 100 ? 2 : 1);

/** All numbers of the widget. @param {State} state */
function opened({ points, k, selected: p }) {
  const known = neighbours(Float64Array.from(points.flat()), k);
  const { scores, reach, density } = localOutlierFactors(known);
  const rows = Array.from({ length: k }, (_, e) => {
    const [o, distance] = [known.near[p * k + e], known.far[p * k + e]];
    return { o, distance, kDistance: reach[o], reach: Math.max(distance, reach[o]), density: density[o] };
  });
  const mean = rows.reduce((sum, row) => sum + row.reach, 0) / k;
  return { rows, mean, scores, kDistances: reach, density: density[p], lof: scores[p] };
}

/** The points, the neighbours of one, and the circles that hold k of them. @param {(p: number) => void} onSelect */
function picture(onSelect) {
  const circles = s("g", { "aria-hidden": "true" });
  const marks = s("g", { "aria-hidden": "true" });
  const { el, svg } = chart({ height: HEIGHT }, circles, marks);
  const chooser = pointChooser({ picture: el, label: "Point that is opened", onSelect });
  return {
    el: chooser.el,
    /** @param {State} state @param {ReturnType<typeof opened>} found @param {number} width */
    draw(state, { rows, scores, kDistances, lof }, width) {
      const { points, selected: p, k } = state;
      const { places, unit } = scaled(points, width, HEIGHT, 30);
      const near = new Set(rows.map(({ o }) => o));
      const circle = (/** @type {number} */ i, /** @type {string} */ cls, /** @type {string} */ tint) =>
        mark("circle", cls, tint, {
          cx: places[i][0].toFixed(1),
          cy: places[i][1].toFixed(1),
          r: (kDistances[i] * unit).toFixed(1),
        });
      circles.replaceChildren(
        ...rows.map(({ o }) => circle(o, "lof-circle companion-dashed", "data-6")),
        circle(p, "lof-circle lof-own", "data-1"),
        ...rows.map(({ o }) =>
          mark("line", "lof-line", "data-1", {
            ...{ x1: places[p][0].toFixed(1), y1: places[p][1].toFixed(1) },
            ...{ x2: places[o][0].toFixed(1), y2: places[o][1].toFixed(1) },
          }),
        ),
      );
      marks.replaceChildren(
        ...points.flatMap((_, i) => {
          const [x, y] = places[i];
          const tint = i === p ? "data-2" : near.has(i) ? "data-1" : "soft";
          const r = (4 + 3 * Math.min(2, Math.max(0, scores[i] - 1))).toFixed(1);
          const name = text(letter(i), {
            x: (x + 8).toFixed(1),
            y: (y - 8).toFixed(1),
            class: "companion-halo companion-ink",
          });
          return [mark("circle", "companion-dot", tint, { cx: x.toFixed(1), cy: y.toFixed(1), r }), name];
        }),
      );
      setAll(svg, {
        "aria-label":
          `${points.length} points. ${letter(p)} is joined to its ${k} nearest neighbours, ` +
          `${rows.map(({ o }) => letter(o)).join(", ")}; circles hold the ${k} nearest of each. LOF of ${letter(p)}: ${short(lof)}.`,
      });
      chooser.follow(places, p, `${letter(p)}, LOF ${short(lof)}`);
    },
  };
}

/** The table of the neighbours, and below it what their columns come to. */
function table() {
  const lines = Array.from({ length: MOST }, (_, e) => {
    const quantities = ["distance", "k-distance", "reach", "density", "ratio"];
    const shown = quantities.map((name) => ui.number({ quantity: `${name}-${e}`, value: 0, format: short }));
    const name = h("th", { scope: "row" });
    return { shown, name, el: h("tr", {}, name, ...shown.map(({ el }) => h("td", {}, el))) };
  });
  const body = h("tbody");
  const numbers = ui.readouts(short);
  const heads = ["o", "d(p, o)", "k-distance(o)", "reach-dist", "lrd(o)", "lrd(o) / lrd(p)"];
  const own = h("strong");
  const names = Array.from({ length: 2 }, () => h("span"));
  const count = h("span");
  return {
    el: ui.stack(
      h(
        "div",
        { class: "lof-scroll" },
        h(
          "table",
          { class: "lof-table" },
          h("caption", {}, "The neighbours o of p = ", own),
          h("thead", {}, h("tr", {}, ...heads.map((head) => h("th", { scope: "col" }, maths(head))))),
          body,
          h(
            "tfoot",
            {},
            h(
              "tr",
              {},
              h("th", { scope: "row" }, "mean"),
              ...[null, null, numbers.make("mean-reach"), null, numbers.make("lof")].map((el) =>
                h("td", {}, el),
              ),
            ),
          ),
        ),
      ),
      h("p", {}, "reach-dist is the larger of the two numbers before it (set bold)."),
      h(
        "p",
        { class: "companion-maths" },
        "lrd(",
        names[0],
        ") = 1 / ",
        numbers.make("mean-reach"),
        " = ",
        numbers.make("density"),
      ),
      h(
        "p",
        { class: "companion-maths" },
        ...["LOF(", names[1], ") = (", count, ") / ", numbers.make("k", String), " = "],
        h("span", { class: "companion-result" }, numbers.make("lof")),
      ),
    ),
    /** @param {State} state @param {ReturnType<typeof opened>} found */
    draw({ k, selected }, { rows, mean, density, lof }) {
      own.textContent = letter(selected);
      for (const name of names) name.textContent = letter(selected);
      body.replaceChildren(...lines.slice(0, k).map(({ el }) => el));
      lines.slice(0, k).forEach(({ shown, name }, e) => {
        const row = rows[e];
        name.textContent = letter(row.o);
        [row.distance, row.kDistance, row.reach, row.density, row.density / density].forEach((v, c) =>
          shown[c].set(v),
        );
        shown[0].el.classList.toggle("lof-larger", row.distance >= row.kDistance);
        shown[1].el.classList.toggle("lof-larger", row.kDistance > row.distance);
      });
      numbers.set({ "mean-reach": mean, density, lof, k });
      count.textContent = rows.map((row) => short(row.density / density)).join(" + ");
    },
  };
}

/** What the factor says. @param {number} lof @param {string} name */
function verdict(lof, name) {
  if (lof > 1.5)
    return `${name}’s neighbours lie ${short(lof)} times as dense as ${name} itself: an outlier among them.`;
  if (lof < 0.95) return `${name} lies denser than its neighbours: LOF below 1.`;
  return `${name} lies about as dense as its neighbours: LOF near 1.`;
}

/** The same in scikit-learn. @param {AnyModel<State>} model */
const codeOf = (model) => `import numpy as np
from sklearn.neighbors import LocalOutlierFactor

points = np.array(${wrapped(python(model.get("points")))})
k, p = ${model.get("k")}, ${model.get("selected")}

model = LocalOutlierFactor(n_neighbors=k).fit(points)
lof = -model.negative_outlier_factor_
distances, neighbours = model.kneighbors()
k_distance = distances[:, -1]
reach = np.maximum(distances, k_distance[neighbours])
density = 1 / reach.mean(axis=1)
print(neighbours[p], density[p], lof[p])
`;

/** @param {RenderProps<State>} props */
function render({ model, el }) {
  const voice = ui.announcer();
  const draw = () => {
    if (!column.width) return;
    const state = {
      points: model.get("points"),
      k: model.get("k"),
      selected: model.get("selected"),
      title: "",
    };
    const found = opened(state);
    view.draw(state, found, column.width);
    worked.draw(state, found);
    code.draw();
    says.textContent = verdict(found.lof, letter(state.selected));
    if (traits.touched) voice.say(`${letter(state.selected)}: LOF ${short(found.lof)}. ${says.textContent}`);
  };
  const traits = bindTraits(model, ["points", "selected"], perFrame(draw));
  const k = traitSlider(traits, "k", {
    ...{ label: maths("k"), name: "k, neighbours that are asked" },
    ...{ min: 1, max: Math.min(MOST, model.get("points").length - 1), step: 1, format: String },
  });
  const view = picture((p) => p !== model.get("selected") && traits.put({ selected: p }));
  const worked = table();
  const says = h("p", { class: "companion-heading" });
  const code = copyCode({
    what: "the local outlier factor",
    library: "scikit-learn",
    code: () => codeOf(model),
    say: voice.say,
  });
  el.append(
    ui.frame(
      { title: model.get("title"), describe: "Choose a point: click, tap, or arrow keys." },
      ui.sliders(k.el),
      view.el,
      ui.note(
        "The filled circle holds the k nearest of p, the dashed ones those of its neighbours. Larger dots have a higher LOF.",
      ),
      worked.el,
      says,
      code.el,
      voice.el,
    ),
  );
  const column = observeWidth(view.el, draw);
  return lifetime(column.stop, () => traits.stop());
}

export default { render };

// Codes that the reader spoils, and what four metrics say of them. See ToyCodes in toy_codes.py for the state.

import { informationTable, metricBars, metricsOf } from "./disentanglement/panels.js";
import { factorVaeScorer, scorer, turned } from "./maths/disentanglement.js";
import { branch, noise, permutation, uniform } from "./maths/noise.js";
import { axis, chart, dots, linear, mark, setAll, text } from "./ui/axes.js";
import * as ui from "./ui/controls.js";
import { h } from "./ui/controls.js";
import { BRANCH, NOISE, copyCode, python } from "./ui/copy_code.js";
import { bindTraits, lifetime, observeWidth, perFrame, traitSlider } from "./ui/lifetime.js";

/** @import { RenderProps } from "@anywidget/types" */
/** @import { Factor } from "./maths/disentanglement.js" */
/** @import { Point } from "./ui/axes.js" */

/**
 * @typedef {object} State
 * @property {number} angle degrees
 * @property {number} noise standard deviation
 * @property {number} copies
 * @property {number} shuffled share of the rows
 * @property {number} rows
 * @property {number} bins
 * @property {number} seed
 * @property {string} title
 */

const VOTES = 800;
const DOTS = 400;
const SIDE = 250;
const NAMES = ["v₁", "v₂", "v₃"];
const LATENTS = ["z₁", "z₂", "z₃", "z₄", "z₅", "z₆"];

/** @type {{ label: string, title: string, state: Partial<State> }[]} */
const CODES = [
  { label: "Perfect", title: "Each latent is one factor", state: {} },
  { label: "Twice", title: "Each latent is there twice", state: { copies: 2 } },
  { label: "Noisy", title: "Noise as large as the signal", state: { noise: 1 } },
  { label: "Rotated", title: "The first two latents turned by 45°", state: { angle: 45 } },
  { label: "Shuffled", title: "The codes of other rows", state: { shuffled: 1 } },
];
const PERFECT = { angle: 0, noise: 0, copies: 1, shuffled: 0 };

/** Columns of numbers that stand row by row. @param {Float64Array} flat @returns {Float64Array[]} */
const columnsOf = (flat) => [0, 1, 2].map((k) => flat.filter((_, i) => i % 3 === k));

/** What stays the same while the reader spoils codes. @param {number} rows @param {number} seed */
function world(rows, seed) {
  const draws = uniform(branch(seed, 0), 3 * rows).map((u) => Math.sqrt(3) * (2 * u - 1));
  const values = columnsOf(draws);
  const added = columnsOf(noise(branch(seed, 1), 3 * rows));
  const factors = values.map((column) => /** @type {Factor} */ ({ values: column, classes: 0 }));
  let bins = 0;
  /** @type {ReturnType<typeof scorer>} */
  let score;
  const vae = factorVaeScorer(factors, uniform(branch(seed, 3), 2 * VOTES));
  /** @param {State} state @returns {Float64Array[]} */
  const codes = (state) => {
    let columns = [...turned(values[0], values[1], state.angle), values[2]];
    if (state.noise) columns = columns.map((z, k) => z.map((v, i) => v + state.noise * added[k][i]));
    const mixed = Math.round(state.shuffled * rows);
    if (mixed) {
      const order = permutation(branch(seed, 2), mixed);
      columns = columns.map((z) => z.map((v, i) => (i < mixed ? z[order[i]] : v)));
    }
    return state.copies === 2 ? [...columns, ...columns] : columns;
  };
  return {
    values,
    /** @param {State} state */
    spoil(state) {
      const columns = codes(state);
      if (state.bins !== bins) score = scorer(factors, state.bins);
      bins = state.bins;
      return { columns, scores: score(columns), vae: vae(columns) };
    },
  };
}

/** The first two latents, dots in three colours by the first factor. */
function plane() {
  const [left, bottom] = [axis("left"), axis("bottom")];
  const thirds = ["data-1", "data-2", "data-3"].map((token) => mark("path", "toy-dots", token));
  const name = text("z₂", { class: "companion-ink", x: 4, y: 14 });
  const { el, svg } = chart({ height: SIDE }, left.el, bottom.el, ...thirds, name);
  return {
    el: h("div", { class: "toy-plane" }, el),
    /** @param {number} width @param {Float64Array[]} columns @param {Float64Array} first factor @param {string} words */
    draw(width, columns, first, words) {
      const [from, to, base] = [40, width - 8, SIDE - 38];
      const reach = 4;
      const x = linear([-reach, reach], [from, to]);
      const y = linear([-reach, reach], [base, 16]);
      /** @type {Point[][]} */
      const groups = [[], [], []];
      for (let i = 0; i < Math.min(DOTS, first.length); i += 1) {
        const third = ui.clamp(Math.floor((first[i] / Math.sqrt(3) + 1) * 1.5), 0, 2);
        const [a, b] = [columns[0][i], columns[1][i]];
        if (Math.abs(a) < reach && Math.abs(b) < reach) groups[third].push([x(a), y(b)]);
      }
      thirds.forEach((path, k) => {
        setAll(path, { d: dots(groups[k]) });
      });
      left.draw({ scale: y, at: from, from, to, count: 4 });
      bottom.draw({ scale: x, at: base, from, to, count: 4, name: "z₁" });
      setAll(svg, { "aria-label": words });
    },
  };
}

/** The codes, and two of their metrics, with scikit-learn. @param {State} state */
const codeOf = (state) => `from sklearn.metrics import mutual_info_score
${NOISE}
${BRANCH}
seed, rows, bins = ${state.seed}, ${state.rows}, ${state.bins}
angle, copies = np.radians(${python(state.angle)}), ${state.copies}
v = 3**0.5 * (2 * uniform(branch(seed, 0), 3 * rows).reshape(rows, 3) - 1)
z = v.copy()
z[:, 0] = np.cos(angle) * v[:, 0] + np.sin(angle) * v[:, 1]
z[:, 1] = np.cos(angle) * v[:, 1] - np.sin(angle) * v[:, 0]
z += ${python(state.noise)} * noise(branch(seed, 1), 3 * rows).reshape(rows, 3)
mixed = ${Math.round(state.shuffled * state.rows)}
z[:mixed] = z[uniform(branch(seed, 2), mixed).argsort(kind="stable")]
z = np.tile(z, copies)

def binned(values):  # as many in each bin
    return values.argsort().argsort() * bins // rows

table = np.array([
    [mutual_info_score(binned(a), binned(b)) for b in z.T] for a in v.T
])
entropy = np.array([mutual_info_score(binned(a), binned(a)) for a in v.T])
linear = np.corrcoef(v.T, z.T)[:3, 3:] ** 2  # R² of a line

def gap(of):
    ordered = np.sort(of, axis=1)
    return ordered[:, -1] - ordered[:, -2]

mig, sap = (gap(table) / entropy).mean(), gap(linear).mean()
print(mig, sap)
`;

/** @param {RenderProps<State>} props */
function render({ model, el }) {
  const state = () =>
    /** @type {State} */ (
      Object.fromEntries(
        ["angle", "noise", "copies", "shuffled", "rows", "bins", "seed"].map((name) => [
          name,
          model.get(/** @type {keyof State} */ (name)),
        ]),
      )
    );
  const voice = ui.announcer();
  let known = "";
  /** @type {ReturnType<typeof world>} */
  let current;
  const draw = () => {
    const now = state();
    const key = `${now.rows} ${now.seed}`;
    if (key !== known) current = world(now.rows, now.seed);
    known = key;
    const { columns, scores, vae } = current.spoil(now);
    const metrics = metricsOf(scores, vae);
    bars.set(metrics);
    table.set(scores.shares);
    copies.set(now.copies);
    code.draw();
    rows.set(now.rows);
    const words = `MIG ${ui.fixed(metrics.mig)}, SAP ${ui.fixed(metrics.sap)}, D ${ui.fixed(scores.disentanglement)}, C ${ui.fixed(scores.completeness)}, I ${ui.fixed(scores.informativeness)}, FactorVAE ${ui.fixed(vae)}.`;
    if (column.width)
      picture.draw(
        column.width,
        columns,
        current.values[0],
        `The first two latents of ${Math.min(DOTS, now.rows)} rows, rotated by ${ui.fixed(now.angle, 0)} degrees, noise ${ui.fixed(now.noise)}. ${words}`,
      );
    if (traits.touched) voice.say(words);
  };
  const traits = bindTraits(model, ["copies", "rows", "seed"], perFrame(draw));
  const sliders = [
    traitSlider(traits, "angle", {
      ...{ label: "Rotation of z₁ and z₂", min: 0, max: 45, step: 1 },
      format: (v) => `${ui.fixed(v, 0)}°`,
    }),
    traitSlider(traits, "noise", { label: "Noise", min: 0, max: 2, step: 0.05 }),
    traitSlider(traits, "shuffled", {
      ...{ label: "Rows shuffled", min: 0, max: 1, step: 0.05 },
      format: (v) => `${ui.fixed(100 * v, 0)} %`,
    }),
    traitSlider(traits, "bins", {
      ...{ label: "Bins", min: 5, max: 40, step: 1, neutral: 20 },
      format: (v) => ui.fixed(v, 0),
    }),
  ];
  const copies = ui.segmented({
    label: "Each latent",
    options: [
      { value: 1, label: "once" },
      { value: 2, label: "twice" },
    ],
    value: model.get("copies"),
    onChange: (value) => traits.put({ copies: value }),
  });
  const rows = ui.segmented({
    label: "Rows",
    options: [250, 1000, 4000],
    value: model.get("rows"),
    onChange: (value) => traits.put({ rows: value }),
  });
  const presets = CODES.map(({ label, title, state: wanted }) =>
    ui.button({ label, title, onClick: () => traits.put({ ...PERFECT, ...wanted }) }),
  );
  const bars = metricBars({
    chance: "By chance, the FactorVAE score is about 1/3, the others about 0, D and C more.",
  });
  const table = informationTable({
    rows: NAMES,
    columns: LATENTS,
    caption: "Information that a latent has about a factor, in % of the factor’s entropy.",
  });
  const picture = plane();
  const code = copyCode({
    what: "the codes, MIG and SAP",
    library: "NumPy and scikit-learn",
    code: () => codeOf(state()),
    say: voice.say,
  });
  el.append(
    ui.frame(
      {
        title: model.get("title"),
        describe:
          "Three independent factors, and codes made of them. A perfect code is the factors themselves.",
      },
      h(
        "div",
        { class: "companion-panel" },
        ui.row(...presets.map((preset) => preset.el)),
        ui.sliders(...sliders.map((slider) => slider.el)),
        ui.row(copies.el, rows.el),
      ),
      ui.split(
        [table.el, bars.el],
        [ui.figure(picture.el, "The first two latents of 400 rows; colours: low, middle and high v₁.")],
      ),
      code.el,
      voice.el,
    ),
  );
  const column = observeWidth(picture.el, draw);
  draw();
  return lifetime(column.stop, () => traits.stop());
}

export default { render };

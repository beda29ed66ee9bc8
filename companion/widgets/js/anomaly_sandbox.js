// Six methods of anomaly detection on points that the reader puts in: what each makes of every place, and where
// they disagree. The scores are maths/anomaly.js and its neighbours; anomaly/work.js computes them in slices.

import { ownTable } from "./anomaly/own_table.js";
import { pointPad } from "./anomaly/pad.js";
import { panel, placeOf } from "./anomaly/panels.js";
import { FEWEST, METHODS, scorer } from "./anomaly/work.js";
import { firstCentres, rank as rankOf } from "./maths/anomaly.js";
import { colourScale } from "./ui/cells.js";
import * as ui from "./ui/controls.js";
import { h } from "./ui/controls.js";
import { copyCode, python, wrapped } from "./ui/copy_code.js";
import { bindTraits, emit, lifetime, perFrame, traitSlider, whenLoaded } from "./ui/lifetime.js";
import { gradientOf } from "./ui/pixel_map.js";

/** @import { AnyModel, RenderProps } from "@anywidget/types" */
/** @import { Points, State, Window } from "./anomaly/work.js" */
/** @import { Traits } from "./ui/lifetime.js" */
/** @typedef {ReturnType<typeof scorer>} Work */

const MOST = 400; // points
const [LARGE, SMALL] = [420, 150]; // CSS pixels of panels
const PANELS = [...METHODS, "spread"];

/** @type {Record<string, string>} */
const NAMES = {
  ...{ lof: "LOF", knn: "kNN", dbscan: "DBSCAN", cblof: "CBLOF", iforest: "Isolation Forest" },
  ...{ autoencoder: "Autoencoder", spread: "Disagreement" },
};
/** @type {Record<string, string>} */
const STORIES = {
  lof: "LOF: how much denser the k nearest neighbours have it than the place itself. About 1 is as dense as around.",
  knn: "kNN: the distance to the k-th nearest point.",
  dbscan:
    "DBSCAN gives labels, not scores. Here: the distance to the nearest core point (5 points within ε, itself one). " +
    "Beyond ε, outside of the line, DBSCAN says noise. It knows no contamination.",
  cblof: "CBLOF: the distance to the centre of the nearest large cluster of k-means.",
  iforest:
    "Isolation Forest: 2^(−E[h]/c), where h counts the random cuts until the place is alone, in 100 trees.",
  autoencoder:
    "Autoencoder, 2–8–code–8–2 with tanh, trained here: its mean squared error, on axes that are standardised first. " +
    "When you change a point it goes on learning from where it is.",
  spread: "Disagreement: the mean difference between the ranks that two of the six methods give a place.",
};

const KEY =
  "Each panel has its own scale: its colours are ranks, so that all panels show as much of each colour. " +
  "Diamonds are flagged: their scores lie above the threshold, which is the line.";

/** A number as short as three digits allow. @param {number | null} v */
const short = (v) => {
  if (v === null) return "–";
  if (!Number.isFinite(v)) return "∞";
  const size = Math.abs(v);
  if (size !== 0 && (size >= 1e5 || size < 1e-3))
    return v.toExponential(1).replace("e+", "e").replaceAll("-", "−");
  return String(Number(v.toPrecision(3))).replace("-", "−");
};

/**
 * The part of the plane that shows all points: with a margin, and with one scale for both axes unless one of them is
 * more than three times as long.
 * @param {Points} points
 * @returns {Window}
 */
function windowOf(points) {
  const [across, up] = [0, 1].map((axis) => {
    const values = points.map((point) => point[axis]);
    const [low, high] = values.length ? [Math.min(...values), Math.max(...values)] : [-4, 4];
    return { middle: (low + high) / 2, span: high - low };
  });
  const most = Math.max(across.span, up.span) || 2;
  const half = [across, up].map(({ span }) => 0.6 * (span * 3 < most && span > 0 ? span : most));
  return {
    ...{ x0: across.middle - half[0], x1: across.middle + half[0] },
    ...{ y0: up.middle - half[1], y1: up.middle + half[1] },
  };
}

/**
 * The choices and sliders of the methods.
 * @param {Traits<State>} traits
 */
function settings(traits) {
  const { model } = traits;
  const whole = { step: 1, format: String };
  const k = traitSlider(traits, "k", {
    ...{ label: "k of LOF and kNN", min: 1, max: 50, neutral: 20, ...whole },
  });
  const contamination = traitSlider(traits, "contamination", {
    ...{ label: "Contamination", min: 0.01, max: 0.5, step: 0.01, neutral: 0.1 },
    format: (v) => `${ui.fixed(100 * v, 0)}\u00a0%`,
    annotation: "moves the thresholds, not the scores",
  });
  const clusters = traitSlider(traits, "clusters", {
    ...{ label: "Clusters of CBLOF", min: 2, max: 12, neutral: 8, ...whole },
  });
  const code = ui.segmented({
    label: "Autoencoder’s code",
    options: [1, 2].map((value) => ({ value, label: value === 1 ? "1 number" : "2 numbers" })),
    onChange: (value) => traits.put({ code: value }),
  });
  let epsilon = ui.slider({ label: "", min: 1, max: 2, value: 1 });
  let span = 0;
  return {
    el: ui.stack(ui.sliders(k.el, epsilon.el, clusters.el, contamination.el), code.el),
    /** @param {Window} view */
    draw({ x0, x1, y0, y1 }) {
      code.set(model.get("code"));
      const next = Math.max(x1 - x0, y1 - y0);
      if (next !== span) {
        span = next; // another window asks for other distances
        const made = ui.slider({
          ...{
            label: "ε of DBSCAN",
            min: span / 200,
            max: span / 2,
            scale: "log",
            step: 1.04,
            neutral: span / 20,
          },
          ...{ value: model.get("epsilon"), format: short, quantity: "epsilon" },
          onInput: (value) => traits.put({ epsilon: value }),
        });
        epsilon.el.replaceWith(made.el);
        epsilon = made;
      }
      epsilon.set(model.get("epsilon"));
    },
  };
}

/** What the six say of the point that is looked at. */
function verdicts() {
  const rows = METHODS.map((method) => {
    const score = ui.number({ quantity: `score-${method}`, value: 0, format: short });
    const rank = ui.number({
      quantity: `rank-${method}`,
      value: 0,
      format: (v) => (v === null ? "–" : String(v)),
    });
    const flag = h("td", {});
    const el = h(
      "tr",
      {},
      h("th", { scope: "row" }, NAMES[method]),
      h("td", {}, score.el),
      h("td", {}, rank.el),
      flag,
    );
    return { method, score, rank, flag, el };
  });
  const heading = h("p", { class: "companion-heading" });
  const flagged = ui.number({ quantity: "flags", value: 0, format: String });
  return {
    el: ui.stack(
      heading,
      h(
        "table",
        { class: "anomaly-table" },
        h(
          "thead",
          {},
          h("tr", {}, ...["method", "score", "rank", "flag"].map((word) => h("th", { scope: "col" }, word))),
        ),
        h("tbody", {}, ...rows.map((row) => row.el)),
      ),
      h("p", {}, "Flagged by ", flagged.el, " of 6."),
    ),
    /** @param {Work} work @param {Points} points @param {number} looked */
    draw(work, points, looked) {
      const point = points[looked];
      let count = 0;
      heading.textContent = point
        ? `Point ${looked + 1} of ${points.length}, at ${short(point[0])}, ${short(point[1])}`
        : "No point is looked at";
      for (const { method, score, rank, flag } of rows) {
        const scores = work.found[method]?.scores;
        const own = scores?.[looked];
        const is = point && own !== undefined;
        score.set(is ? own : null);
        rank.set(is ? rankOf(scores, looked) : null);
        const isFlagged = is && own > work.level(method);
        count += Number(isFlagged);
        if (isFlagged === flag.hasChildNodes()) continue;
        flag.replaceChildren(
          ...(isFlagged
            ? [h("span", { "aria-hidden": "true" }, "◆"), h("span", { class: "companion-spoken" }, "flagged")]
            : []),
        );
      }
      flagged.set(count);
    },
    words: () =>
      `${heading.textContent}: ${rows.map(({ method, score, rank }) => `${NAMES[method]} ${score.el.textContent}, rank ${rank.el.textContent}`).join("; ")}`,
  };
}

/**
 * The seven small panels; a press shows one large.
 * @param {(what: string) => void} onChoose
 */
function tiles(onChoose) {
  const group = ui.newId();
  const made = PANELS.map((what) => {
    const picture = panel(SMALL, 1.6);
    const ring = h("span", { class: "anomaly-ring" });
    const count =
      what === "spread" ? null : ui.number({ quantity: `flagged-${what}`, value: 0, format: String });
    const input = h("input", {
      ...{ type: "radio", class: "companion-cover", name: group, "aria-label": `${NAMES[what]}, large` },
      onchange: () => onChoose(what),
    });
    const el = h(
      "label",
      { class: "anomaly-tile" },
      h("span", { class: "companion-tile" }, input, picture.canvas, ring),
      h("span", {}, NAMES[what], count ? h("span", { class: "anomaly-count" }, " ◆ ", count.el) : null),
    );
    return { what, picture, ring, count, input, el };
  });
  return {
    el: h(
      "div",
      { class: "anomaly-tiles", role: "group", "aria-label": "Six methods, and where they disagree" },
      ...made.map((tile) => tile.el),
    ),
    of: (/** @type {string} */ what) => made[PANELS.indexOf(what)],
    /** @param {string} what */
    choose(what) {
      for (const tile of made) tile.input.checked = tile.what === what;
    },
    /** @param {number[] | null} place */
    look(place) {
      for (const { ring } of made) setRing(ring, place);
    },
  };
}

/** @param {HTMLElement} ring @param {number[] | null} place */
function setRing(ring, place) {
  ring.style.visibility = place ? "visible" : "hidden";
  if (!place) return;
  ring.style.insetInlineStart = `${(100 * place[0]).toFixed(2)}%`;
  ring.style.insetBlockStart = `${(100 * place[1]).toFixed(2)}%`;
}

/**
 * The reader's points: changed here, with a way back.
 * @param {Traits<State>} traits @param {Work} work @param {(sentence: string) => void} say
 */
function editing(traits, work, say) {
  const { model } = traits;
  /** @type {Points[]} */
  const past = [];
  const points = () => model.get("points");
  let own = points(); // what the reader made; another value comes from outside
  const set = (/** @type {Points} */ next, /** @type {boolean} */ isFresh) => {
    own = next;
    model.set("points", next);
    if (isFresh) work.open(windowOf(next));
    else work.points();
  };
  const keep = () => past.push(points());
  /** @param {Points} next @param {boolean} [isFresh] */
  const change = (next, isFresh = false) => {
    keep();
    say("");
    set(next, isFresh);
    traits.put({});
  };
  /** @param {number[]} at @returns {number[]} */
  const valueAt = ([u, v]) => {
    const { x0, x1, y0, y1 } = work.view;
    return [x0 + u * (x1 - x0), y1 - v * (y1 - y0)];
  };
  return {
    points,
    keep,
    change,
    save: () => traits.put({}),
    /** Whether the present points were set by Python. */
    isForeign: () => points() !== own,
    /** They were: all begins anew. */
    adopt() {
      own = points();
      past.length = 0;
      work.open(windowOf(own));
    },
    canUndo: () => past.length > 0,
    undo() {
      const last = past.pop();
      if (!last) return;
      say("");
      set(last, false);
      traits.put({});
    },
    /** @param {number[]} at */
    put(at) {
      if (points().length >= MOST) say(`At most ${MOST} points are scored here: take one out first.`);
      else change([...points(), valueAt(at)]);
    },
    /** @param {number} i */
    take: (i) => change(points().filter((_, j) => j !== i)),
    /** @param {number} i @param {number[]} at */
    move: (i, at) =>
      set(
        points().map((point, j) => (j === i ? valueAt(at) : point)),
        false,
      ),
  };
}

/** The name of the data set that these points are, or "". @param {AnyModel<State>} model */
function nameOf(model) {
  const flat = model.get("points").flat();
  const same = (/** @type {number[]} */ set) =>
    set.length === flat.length && set.every((v, i) => v === flat[i]);
  return Object.entries(model.get("datasets")).find(([, set]) => same(set))?.[0] ?? "";
}

/** Numbers by twos. @param {number[]} flat @returns {Points} */
const pairs = (flat) => Array.from({ length: flat.length / 2 }, (_, i) => flat.slice(2 * i, 2 * i + 2));

/**
 * Where points come from: data sets, a reader's own, back, none.
 * @param {AnyModel<State>} model @param {ReturnType<typeof editing>} edits @param {() => void} onLoad
 */
function sources(model, edits, onLoad) {
  const load = (/** @type {number[]} */ flat) => {
    edits.change(pairs(flat), true);
    onLoad();
  };
  const names = Object.keys(model.get("datasets"));
  const choice = ui.select({
    label: "Points",
    options: [...names.map((name) => ({ value: name, label: name })), { value: "", label: "own" }],
    onChange: (name) => (name ? load(model.get("datasets")[name]) : choice.set(nameOf(model))),
  });
  const table = ownTable({ fewest: FEWEST, most: MOST, onPoints: load });
  table.button.dataset.wakes = "";
  const undo = ui.button({ label: "Undo", onClick: edits.undo });
  const clear = ui.button({ label: "Clear", title: "No points at all", onClick: () => edits.change([]) });
  return {
    els: [ui.row(choice.el, table.button, undo.el, clear.el), table.el],
    draw() {
      choice.set(nameOf(model));
      undo.enable(edits.canUndo());
      clear.enable(model.get("points").length > 0);
    },
  };
}

/**
 * The traps, each a switch.
 * @param {Traits<State>} traits
 */
function traps(traits) {
  const { model } = traits;
  const copies = ui.toggle({
    label: "20 copies of point 1",
    onChange: (on) => traits.put({ copies: on }),
  });
  const scaled = ui.toggle({ label: "First axis ×100", onChange: (on) => traits.put({ scaled: on }) });
  return {
    el: ui.stack(h("p", { class: "companion-heading" }, "Traps"), copies.el, scaled.el),
    draw() {
      copies.set(model.get("copies"));
      scaled.set(model.get("scaled"));
    },
  };
}

/** Draws panels as they are found. @param {AnyModel<State>} model @param {Work} work @param {ReturnType<typeof tiles>} small @param {ReturnType<typeof panel>} large */
function painter(model, work, small, large) {
  let seen = "";
  /** @param {string} what @param {boolean} isLarge that panel alone */
  const draw = (what, isLarge) => {
    const found = work.found[what];
    const points = model.get("points");
    const level = found && what !== "spread" ? work.level(what) : undefined;
    const { picture, count } = small.of(what);
    const flags = level === undefined ? 0 : points.filter((_, i) => found.scores[i] > level).length;
    count?.set(flags);
    const words =
      what === "spread"
        ? `Where the six methods disagree, around ${points.length} points.`
        : `${NAMES[what]}: ${flags} of ${points.length} points lie outside of the line of its threshold.`;
    const now = { view: work.view, points, found, level, words };
    if (!isLarge) picture.draw(now);
    if (model.get("shown") === what) large.draw(now);
  };
  return {
    draw: (/** @type {string} */ what) => draw(what, false),
    /** The large panel at once; all if no scores will come that draw them. */
    follow() {
      const key = `${model.get("contamination")} ${PANELS.some((what) => work.found[what])}`;
      if (key === seen) draw(model.get("shown"), true);
      else for (const what of PANELS) draw(what, false);
      seen = key;
    },
  };
}

const OWN_DRAWS =
  "# Once you change points the page goes on with draws of its own:\n# then its numbers are near these, not equal.\n";

/**
 * The method that is shown large, in scikit-learn or PyOD.
 * @param {AnyModel<State>} model @param {Float64Array} rows with copies, stretched
 */
function codeOf(model, rows) {
  const [shown, clusters] = [model.get("shown"), firstCentres(rows, model.get("clusters"), 0)];
  const k = Math.min(model.get("k"), rows.length / 2 - 1);
  const epsilon = python(model.get("epsilon"));
  /** @type {Record<string, [imports: string, scores: string]>} */
  const methods = {
    lof: ["from pyod.models.lof import LOF", `scores = LOF(n_neighbors=${k}).fit(rows).decision_scores_`],
    knn: ["from pyod.models.knn import KNN", `scores = KNN(n_neighbors=${k}).fit(rows).decision_scores_`],
    dbscan: [
      "from scipy.spatial.distance import cdist\nfrom sklearn.cluster import DBSCAN",
      `core = DBSCAN(eps=${epsilon}, min_samples=5).fit(rows).core_sample_indices_
scores = cdist(rows, rows[core]).min(1, initial=np.inf)`,
    ],
    cblof: [
      `from pyod.models.cblof import CBLOF
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans`,
      `start = np.array(${wrapped(python(pairs(Array.from(clusters))))})
means = KMeans(len(start), init=start, n_init=1, tol=0)
try:
    cblof = CBLOF(len(start), clustering_estimator=means)
    scores = cblof.fit(rows).decision_scores_
except ValueError:  # no clusters are large enough: all of them count
    scores = cdist(rows, means.fit(rows).cluster_centers_).min(1)`,
    ],
    iforest: [
      "from sklearn.ensemble import IsolationForest",
      `${OWN_DRAWS}scores = -IsolationForest(random_state=0).fit(rows).score_samples(rows)`,
    ],
    autoencoder: [
      "from sklearn.neural_network import MLPRegressor",
      `${OWN_DRAWS}x = (rows - rows.mean(0)) / np.maximum(rows.std(0), 1e-12)
model = MLPRegressor(
    hidden_layer_sizes=(8, ${model.get("code")}, 8), activation="tanh",
    solver="lbfgs", alpha=0, max_iter=1000, tol=1e-7, random_state=0,
)
scores = ((model.fit(x, x).predict(x) - x) ** 2).mean(1)`,
    ],
  };
  const [imports, scores] = methods[shown];
  const traps = [
    model.get("copies") ? "rows = np.concatenate([rows, np.repeat(rows[:1], 20, axis=0)])\n" : "",
    model.get("scaled") ? "rows = rows * [100, 1]\n" : "",
  ];
  const level =
    shown === "dbscan" ? epsilon : `np.percentile(scores, 100 * (1 - ${python(model.get("contamination"))}))`;
  return `import numpy as np
${imports}

rows = np.array(${wrapped(python(model.get("points")))})
${traps.join("")}
${scores}
threshold = ${level}
flagged = scores > threshold
print(scores[:5], threshold, flagged.sum())
`;
}

/** The code, where there is something to score. @param {AnyModel<State>} model @param {Work} work @param {(text: string) => void} say */
function copied(model, work, say) {
  const { el, draw } = copyCode({
    what: "the method that is shown large",
    library: "scikit-learn or PyOD",
    code: () => codeOf(model, work.rows),
    say,
  });
  return {
    el,
    draw() {
      el.hidden = model.get("shown") === "spread" || model.get("points").length < FEWEST;
      if (!el.hidden) draw();
    },
  };
}

/** @param {RenderProps<State>} props */
function render({ model, el }) {
  const voice = ui.announcer();
  const trouble = ui.notice();
  let [looked, isToSay] = [0, false];
  /** @type {() => void} */
  let rested = () => {};
  const resting = new Promise((resolve) => {
    rested = () => resolve(undefined);
  });

  const work = scorer(model, {
    onFound(what) {
      paint.draw(what);
      if (what !== "spread") return;
      tell();
      if (isToSay && looked < work.found.lof.scores.length) {
        isToSay = false;
        voice.say(table.words());
      }
      emit(root, "painted");
    },
    onRest() {
      root.dataset.settled = "true";
      tell();
      rested();
    },
  });
  const draw = () => {
    if (edits.isForeign()) edits.adopt();
    const shape = `${model.get("copies")} ${model.get("scaled")}`;
    if (shape !== formed) {
      formed = shape;
      work.open(work.view);
    }
    work.follow();
    root.dataset.settled = String(work.rests);
    show();
  };
  let formed = `${model.get("copies")} ${model.get("scaled")}`;
  const traits = bindTraits(
    model,
    ["points", "fitted", "code", "copies", "scaled", "shown", "epsilon"],
    perFrame(draw),
  );
  const edits = editing(traits, work, (sentence) => trouble.set(sentence, "error"));
  const large = panel(LARGE, 3);
  const small = tiles((what) => traits.put({ shown: what }));
  const paint = painter(model, work, small, large);
  const ring = h("span", { class: "anomaly-ring" });

  const look = (/** @type {number} */ i) => {
    if (i === looked) return;
    looked = i;
    tell();
    isToSay = !work.rests; // scores are on their way
    if (!isToSay) voice.say(table.words());
  };
  const tell = () => {
    const points = model.get("points");
    if (looked >= points.length) looked = points.length - 1;
    if (looked < 0 && points.length) looked = 0;
    table.draw(work, points, looked);
    const place = points[looked] ? placeOf(work.view, points[looked]) : null;
    setRing(ring, place);
    small.look(place);
  };
  const pad = pointPad({
    picture: large.canvas,
    places: () => model.get("points").map((point) => placeOf(work.view, point)),
    onPut(at) {
      edits.put(at);
      look(model.get("points").length - 1);
    },
    onTake: edits.take,
    onGrab: edits.keep,
    onMove(i, at) {
      edits.move(i, at);
      look(i);
    },
    onRelease: edits.save,
    onLook: look,
    onUndo: edits.undo,
  });
  pad.el.append(ring);
  const table = verdicts();
  const tools = settings(traits);
  const from = sources(model, edits, () => {
    looked = 0;
  });
  const switches = traps(traits);
  const story = ui.note();
  const few = ui.notice();
  const code = copied(model, work, voice.say);
  const scale = colourScale("share of the places that score lower");
  scale.set("0", "1", gradientOf("sequential"));

  const show = () => {
    const [points, shown] = [model.get("points"), model.get("shown")];
    paint.follow();
    tell();
    tools.draw(work.view);
    from.draw();
    switches.draw();
    small.choose(shown);
    story.textContent = STORIES[shown];
    code.draw();
    few.set(
      points.length < FEWEST
        ? `Put in at least ${FEWEST} points: a score compares.`
        : model.get("k") >= work.count
          ? `k is ${model.get("k")}, but a point has ${work.count - 1} others: all of them are asked.`
          : "",
    );
  };
  const root = ui.frame(
    {
      title: model.get("title"),
      describe: "Put points in, move them, take them out: six methods score every place at once.",
    },
    ...from.els,
    trouble.el,
    few.el,
    h(
      "div",
      { class: "anomaly-split" },
      ui.stack(pad.el, pad.mode, story, scale.el),
      ui.stack(table.el, switches.el),
    ),
    small.el,
    h("div", { class: "companion-panel" }, tools.el),
    ui.note(KEY),
    pad.help,
    code.el,
    voice.el,
  );
  el.append(root);
  edits.adopt();
  show();
  root.dataset.settled = String(work.rests);
  whenLoaded(root, work.rests ? Promise.resolve() : resting);
  return lifetime(work.stop, () => traits.stop());
}

export default { render };

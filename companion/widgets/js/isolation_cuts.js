// Isolation by random cuts: one tree cut by cut, then many, and a guess that they are compared with. Trees are
// maths/isolation.js.

import { pointChooser, scaled } from "./anomaly/chooser.js";
import { averagePath, growTree, isolationScore, pathLength } from "./maths/isolation.js";
import { branch } from "./maths/noise.js";
import { chart, mark, s, setAll, text } from "./ui/axes.js";
import * as ui from "./ui/controls.js";
import { h, maths } from "./ui/controls.js";
import { BRANCH, UNIFORM, copyCode, python, wrapped } from "./ui/copy_code.js";
import { bindTraits, lifetime, observeWidth, perFrame, stepper } from "./ui/lifetime.js";
import { lineChart } from "./ui/line_chart.js";

/** @import { AnyModel, RenderProps } from "@anywidget/types" */
/** @import { Point } from "./ui/axes.js" */
/** @import { Traits } from "./ui/lifetime.js" */
/**
 * @typedef {object} State
 * @property {number[][]} points
 * @property {number} seed
 * @property {number} selected
 * @property {number} guess
 * @property {number} cuts
 * @property {number} trees
 * @property {string} title
 */
/** @typedef {{ x0: number, x1: number, y0: number, y1: number }} Cell */
/** @typedef {{ cell: Cell, axis: number, at: number, depth: number, node: number }} Cut */

const HEIGHT = 320;
const TREES = 200;
const MARGIN = 26;

/** What a point is called: A … Z, then A′, B′, …. @param {number} place */
const letter = (place) => String.fromCharCode(65 + (place % 26)) + "′".repeat(Math.floor(place / 26));

/**
 * A tree as its cuts in the order in which they are shown, level by level, and where each point ends.
 * @param {number[][]} points @param {number} seed
 */
function treeOf(points, seed) {
  const rows = Float64Array.from(points.flat());
  const tree = growTree(rows, [...points.keys()], seed, Infinity);
  /** @type {Cut[]} */
  const cuts = [];
  let level = [{ node: 0, depth: 0, cell: { x0: -Infinity, x1: Infinity, y0: -Infinity, y1: Infinity } }];
  while (level.length) {
    /** @type {typeof level} */
    const next = [];
    for (const { node, depth, cell } of level) {
      const axis = tree.axis[node];
      if (axis < 0) continue;
      const at = tree.cut[node];
      cuts.push({ cell, axis, at, depth, node });
      const [low, high] = axis ? [{ y1: at }, { y0: at }] : [{ x1: at }, { x0: at }];
      next.push(
        { node: tree.left[node], depth: depth + 1, cell: { ...cell, ...low } },
        { node: tree.right[node], depth: depth + 1, cell: { ...cell, ...high } },
      );
    }
    level = next;
  }
  return { tree, cuts, rows };
}

/**
 * Where every point is after some cuts: its depth, its cell, who shares it.
 * @param {ReturnType<typeof treeOf>} grown @param {number} made @param {number[][]} points
 */
function stateOf({ tree, cuts }, made, points) {
  const done = new Map(cuts.slice(0, made).map((cut) => [cut.node, cut]));
  const walk = points.map(([x, y]) => {
    let [node, depth] = [0, 0];
    /** @type {Cell} */
    let cell = { x0: -Infinity, x1: Infinity, y0: -Infinity, y1: Infinity };
    for (let cut = done.get(node); cut; cut = done.get(node)) {
      const isLow = (cut.axis ? y : x) <= cut.at;
      const side = isLow ? "1" : "0";
      cell = { ...cell, [`${cut.axis ? "y" : "x"}${side}`]: cut.at };
      node = isLow ? tree.left[node] : tree.right[node];
      depth += 1;
    }
    return { node, depth, cell };
  });
  return walk.map((each) => ({ ...each, size: tree.size[each.node] }));
}

/**
 * Many trees: for each point the running means of its path, and in how many trees it was alone first.
 * @param {AnyModel<State>} model
 */
function forestOf(model) {
  let key = "";
  let n = 0;
  let sums = new Float64Array();
  let firsts = new Float64Array();
  /** @type {Float64Array[]} */
  let means = [];
  return () => {
    const [points, seed, wanted] = [model.get("points"), model.get("seed"), model.get("trees")];
    const next = `${seed} ${points}`;
    if (next !== key || wanted < means.length) {
      [key, n, means] = [next, points.length, []];
      [sums, firsts] = [new Float64Array(n), new Float64Array(n)];
    }
    const rows = Float64Array.from(points.flat());
    const all = [...points.keys()];
    while (means.length < wanted) {
      const tree = growTree(rows, all, branch(seed, means.length), Infinity);
      const paths = points.map(([x, y]) => pathLength(tree, x, y));
      const least = Math.min(...paths);
      paths.forEach((path, i) => {
        sums[i] += path;
        firsts[i] += Number(path === least);
      });
      means.push(sums.map((sum) => sum / (means.length + 1)));
    }
    return { means, firsts };
  };
}

/** The points, the cuts, and the cell of the one that is looked at. @param {(i: number) => void} onSelect */
function picture(onSelect) {
  const shade = mark("rect", "cuts-cell", "data-1");
  const lines = s("g", { "aria-hidden": "true" });
  const marks = s("g", { "aria-hidden": "true" });
  const { el, svg } = chart({ height: HEIGHT }, shade, lines, marks);
  const chooser = pointChooser({ picture: el, label: "Point that is looked at", onSelect });
  return {
    el: chooser.el,
    /**
     * @param {{ points: number[][], selected: number, guess: number, made: number }} now
     * @param {ReturnType<typeof treeOf>} grown @param {ReturnType<typeof stateOf>} states @param {number} width
     */
    draw({ points, selected, guess, made }, { cuts }, states, width) {
      const { places, unit } = scaled(points, width, HEIGHT, MARGIN);
      const [px, py] = [
        (/** @type {number} */ x) => places[0][0] + unit * (x - points[0][0]),
        (/** @type {number} */ y) => places[0][1] - unit * (y - points[0][1]),
      ];
      const box = (/** @type {Cell} */ { x0, x1, y0, y1 }) => {
        const [left, right] = [Math.max(0, px(x0)), Math.min(width, px(x1))];
        const [top, bottom] = [Math.max(0, py(y1)), Math.min(HEIGHT, py(y0))];
        return { left, right, top, bottom };
      };
      const own = box(states[selected].cell);
      setAll(shade, {
        ...{ x: own.left.toFixed(1), y: own.top.toFixed(1) },
        ...{ width: (own.right - own.left).toFixed(1), height: (own.bottom - own.top).toFixed(1) },
      });
      lines.replaceChildren(
        ...cuts.slice(0, made).map(({ cell, axis, at }, i) => {
          const { left, right, top, bottom } = box(cell);
          const ends = axis
            ? { x1: left, x2: right, y1: py(at), y2: py(at) }
            : { x1: px(at), x2: px(at), y1: top, y2: bottom };
          return mark(
            "line",
            i === made - 1 ? "cuts-line cuts-newest" : "cuts-line",
            i === made - 1 ? "data-2" : "soft",
            ends,
          );
        }),
      );
      /** @type {{ x: number, y: number, name: Node | null }[]} */
      const names = [{ x: places[selected][0], y: places[selected][1], name: null }];
      marks.replaceChildren(
        ...points.flatMap((_, i) => {
          const [x, y] = places[i];
          const isAlone = made > 0 && states[i].size === 1;
          const r = i === selected ? 7 : 5;
          const dot = mark("circle", "companion-dot", isAlone ? "data-2" : "data-1", {
            cx: x.toFixed(1),
            cy: y.toFixed(1),
            r,
          });
          const words = isAlone ? `${letter(i)} ${states[i].depth}` : letter(i);
          const name = text(words, {
            x: (x + 8).toFixed(1),
            y: (y - 7).toFixed(1),
            class: "companion-halo companion-ink",
          });
          // In a crowd, names on names are none: the chosen point has its own, then who comes first.
          const isHidden = names.some((other) => Math.abs(other.x - x) < 14 && Math.abs(other.y - y) < 14);
          if (i === selected || !isHidden) names.push({ x, y, name });
          if (i !== guess) return [dot];
          return [dot, mark("circle", "cuts-guess", null, { cx: x.toFixed(1), cy: y.toFixed(1), r: 11 })];
        }),
      );
      marks.prepend(...names.flatMap(({ name }) => name ?? [])); // no name hides a point
      const alone = states.flatMap(({ size }, i) => (size === 1 ? [letter(i)] : []));
      setAll(svg, {
        "aria-label":
          `${points.length} points after ${made} cuts. Alone: ${alone.join(", ") || "nobody"}. ` +
          `${letter(selected)} is looked at, in a cell of ${states[selected].size}.`,
      });
      const { depth, size } = states[selected];
      chooser.follow(places, selected, `${letter(selected)}, ${depth} cuts, in a cell of ${size}`);
    },
  };
}

/** The guess and the presses. @param {Traits<State>} traits @param {() => number} most cuts of the tree on show */
function presses(traits, most) {
  const { model } = traits;
  const grow = stepper(() => traits.put({ trees: Math.min(TREES, model.get("trees") + 5) }), 40);
  const guess = ui.button({
    label: "",
    kind: "primary",
    onClick: () => traits.put({ guess: model.get("selected") }),
  });
  const cut = ui.button({
    label: "Cut",
    kind: "primary",
    onClick: () => traits.put({ cuts: model.get("cuts") + 1 }),
  });
  const finish = ui.button({
    label: "All cuts",
    title: "Until every point is alone",
    onClick: () => traits.put({ cuts: most() }),
  });
  const forest = ui.button({
    label: `${TREES} trees`,
    onClick: () => grow.take(Math.ceil((TREES - model.get("trees")) / 5)),
  });
  const again = ui.button({
    label: "Another tree",
    title: "Other random cuts, and a new guess",
    onClick: () => {
      grow.stop();
      traits.put({ seed: branch(model.get("seed"), 1) >>> 0, guess: -1, cuts: 0, trees: 0 });
    },
  });
  return {
    el: ui.row(guess.el, cut.el, finish.el, forest.el, again.el),
    stop: grow.stop,
    draw() {
      const [own, cuts] = [model.get("guess"), model.get("cuts")];
      const focused = document.activeElement === guess.el;
      guess.el.replaceChildren(`I say ${letter(model.get("selected"))}`);
      guess.el.hidden = own >= 0;
      cut.el.hidden = own < 0;
      cut.enable(own >= 0 && cuts < most());
      finish.enable(own >= 0 && cuts < most());
      forest.enable(own >= 0 && model.get("trees") < TREES);
      if (focused && own >= 0) cut.el.focus();
    },
  };
}

/** What has come of the guess, in words. @param {{ guess: number, cuts: number, trees: number }} now @param {Cut[]} all @param {number[]} first @param {ReturnType<ReturnType<typeof forestOf>>} forest */
function story({ guess, cuts, trees }, all, first, { means, firsts }) {
  if (guess < 0) return "Which point will be alone first? Choose it, then say so.";
  const parts = [];
  const names = first.map(letter).join(" and ");
  if (first.length) {
    parts.push(
      first.includes(guess)
        ? `${names} ${first.length > 1 ? "were" : "was"} alone first in this tree, as you said.`
        : `${names} ${first.length > 1 ? "were" : "was"} alone first in this tree; you said ${letter(guess)}.`,
    );
  } else if (!trees) parts.push(`You say ${letter(guess)}. Cut: a random axis, a random place in each cell.`);
  if (cuts && cuts === all.length) parts.push(`After ${cuts} cuts every point is alone.`);
  if (trees) {
    const last = means[trees - 1];
    const place = last.filter((v) => v < last[guess]).length + 1;
    const best = last.indexOf(Math.min(...last));
    parts.push(
      `In ${firsts[guess]} of ${trees} trees ${letter(guess)} was alone first, or as soon as any. By its mean path it is ` +
        `number ${place} of ${last.length}${place === 1 ? "." : `; number 1 is ${letter(best)}, first in ${firsts[best]}.`}`,
    );
  }
  return parts.join(" ");
}

/** The numbers of the point that is looked at. */
function account() {
  const numbers = ui.readouts();
  const names = Array.from({ length: 3 }, () => h("span"));
  const depth = numbers.make("depth", String);
  const whole = (/** @type {number | null} */ v) => (v === null ? "–" : String(v));
  const real = (/** @type {number | null} */ v) => (v === null ? "–" : ui.fixed(v, 3));
  return {
    el: ui.stack(
      h("p", {}, names[0], ": ", depth, " cuts so far; in its cell: ", numbers.make("size", String), "."),
      h(
        "p",
        { class: "companion-maths" },
        "E[h(",
        names[1],
        ")] over ",
        numbers.make("trees", whole),
        " trees = ",
        numbers.make("mean", real),
      ),
      h(
        "p",
        { class: "companion-maths" },
        "c(",
        numbers.make("n", String),
        ") = ",
        numbers.make("average", real),
      ),
      h(
        "p",
        { class: "companion-maths" },
        ...["s(", names[2], ") = ", maths("2^{−E[h]/c(n)}"), " = "],
        h("span", { class: "companion-result" }, numbers.make("score", real)),
      ),
    ),
    /** @param {number} selected @param {{ depth: number, size: number }} at @param {ReturnType<ReturnType<typeof forestOf>>} forest @param {number} n */
    draw(selected, at, { means }, n) {
      for (const name of names) name.textContent = letter(selected);
      const mean = means.length ? means[means.length - 1][selected] : null;
      numbers.set({
        ...{ depth: at.depth, size: at.size, trees: means.length, n, average: averagePath(n), mean },
        score: mean === null ? null : isolationScore(mean, n),
      });
    },
  };
}

/** The trees in NumPy, with the page's draws; one where none is counted yet. @param {AnyModel<State>} model */
const codeOf = (model) => `${UNIFORM}
${BRANCH}
points = np.array(${wrapped(python(model.get("points")))})
seed, trees, chosen = ${model.get("seed")}, ${Math.max(1, model.get("trees"))}, ${model.get("selected")}

def average_path(n):
    if n < 3:
        return float(n == 2)
    return 2 * (np.log(n - 1) + np.euler_gamma) - 2 * (n - 1) / n

def paths(rows, key, place=1, depth=0):
    """Path lengths by point, in a tree that depends on its key alone."""
    low, high = points[rows].min(0), points[rows].max(0)
    if (low == high).all():
        return {row: depth + average_path(len(rows)) for row in rows.tolist()}
    drawn = branch(key, place)
    second = (drawn + 0.5) / 2**32 >= 0.5
    axis = int(low[0] == high[0] or (low[1] < high[1] and second))
    share = (branch(drawn, 1) + 0.5) / 2**32
    cut = low[axis] + share * (high[axis] - low[axis])
    left = points[rows, axis] <= (cut if cut < high[axis] else low[axis])
    return paths(rows[left], key, 2 * place, depth + 1) | paths(
        rows[~left], key, 2 * place + 1, depth + 1
    )

everyone = np.arange(len(points))
grown = [paths(everyone, branch(seed, t)) for t in range(trees)]
mean = np.mean([lengths[chosen] for lengths in grown])
score = 2 ** (-mean / average_path(len(points)))
print(mean, score)
`;

/** @param {RenderProps<State>} props */
function render({ model, el }) {
  const voice = ui.announcer();
  const grown = forestOf(model);
  let [key, one] = ["", treeOf(model.get("points"), 0)];
  /** The tree on show is the first of the forest. */
  const tree = () => {
    const next = `${model.get("seed")} ${model.get("points")}`;
    if (next !== key) [key, one] = [next, treeOf(model.get("points"), branch(model.get("seed"), 0))];
    return one;
  };
  const draw = () => {
    if (!column.width) return;
    const [points, selected, guess, trees] = [
      model.get("points"),
      model.get("selected"),
      model.get("guess"),
      model.get("trees"),
    ];
    const shown = tree();
    const made = Math.min(model.get("cuts"), shown.cuts.length);
    const states = stateOf(shown, made, points);
    const forest = grown();
    view.draw({ points, selected, guess, made }, shown, states, column.width);
    buttons.draw();
    code.draw();
    numbers.draw(selected, states[selected], forest, points.length);
    const alone = states.filter(({ size }) => size === 1).map(({ depth }) => depth);
    const first = made
      ? states.flatMap(({ size, depth }, i) => (size === 1 && depth === Math.min(...alone) ? [i] : []))
      : [];
    says.textContent = story({ guess, cuts: made, trees }, shown.cuts, first, forest);
    const line = (/** @type {number} */ i) =>
      forest.means.map((mean, t) => /** @type {Point} */ ([t + 1, mean[i]]));
    const c = averagePath(points.length);
    paths.draw([
      line(selected),
      [
        [1, c],
        [TREES, c],
      ],
    ]);
    if (traits.touched) voice.say(says.textContent);
  };
  const traits = bindTraits(model, ["points", "seed", "selected", "guess", "cuts", "trees"], perFrame(draw));
  const view = picture((i) => i !== model.get("selected") && traits.put({ selected: i }));
  const buttons = presses(traits, () => tree().cuts.length);
  const numbers = account();
  const code = copyCode({ what: "the trees", library: "NumPy", code: () => codeOf(model), say: voice.say });
  const says = h("p", { class: "companion-heading cuts-story" });
  const paths = lineChart({
    ...{ x: "trees", y: "mean path length", height: 190, range: [0, null] },
    series: [{ name: "E[h] of the chosen point" }, { name: "c(n)", token: "soft", mark: "dashed" }],
  });
  el.append(
    ui.frame(
      {
        title: model.get("title"),
        describe: "Random cuts part the points until each is alone. Who is alone soon is odd.",
      },
      says,
      buttons.el,
      h("div", { class: "companion-halves" }, ui.stack(view.el), ui.stack(numbers.el, paths.el)),
      ui.note(
        "Numbers beside letters: cuts until that point was alone. The shaded cell is that of the chosen point; a ring marks your guess.",
      ),
      code.el,
      voice.el,
    ),
  );
  const column = observeWidth(view.el, draw);
  return lifetime(column.stop, paths.stop, buttons.stop, () => traits.stop());
}

export default { render };

// A GAN in the plane, trained in the page's own thread: what the discriminator says of every place, and what the best
// of all discriminators would. The networks are maths/plane_gan.js, the densities maths/densities.js.

import { HIDDEN, looker, SIGMA } from "./adversarial/look.js";
import { plane } from "./adversarial/plane.js";
import { rounds } from "./adversarial/rounds.js";
import { game } from "./maths/plane_gan.js";
import { pointsOn } from "./maths/strokes.js";
import { changes, three } from "./training/charts.js";
import { samples } from "./training/curves.js";
import { bytesOf } from "./training/views.js";
import { colourScale } from "./ui/cells.js";
import { followTheme, isDark } from "./ui/colours.js";
import * as ui from "./ui/controls.js";
import { h, maths } from "./ui/controls.js";
import { drawingPad } from "./ui/drawing_pad.js";
import { bindTraits, lifetime, perFrame, traitSlider } from "./ui/lifetime.js";
import { lineChart } from "./ui/line_chart.js";
import { gradientOf } from "./ui/pixel_map.js";

/** @import { AnyModel, RenderProps } from "@anywidget/types" */
/** @import { Seen, Weights } from "./adversarial/look.js" */
/** @import { GeneratorLoss } from "./maths/plane_gan.js" */
/** @import { Point } from "./ui/axes.js" */
/** @import { Traits } from "./ui/lifetime.js" */

/**
 * @typedef {object} State
 * @property {Record<string, number[]>} shapes middles of the data's Gaussians, in thousandths
 * @property {string} shape one of these, or "own"
 * @property {Point[]} own
 * @property {GeneratorLoss} loss
 * @property {"both" | "D alone" | "G alone"} players who learns
 * @property {number} rate_d
 * @property {number} rate_g
 * @property {number} d_steps
 * @property {number} seed
 * @property {Rest} rest what PyTorch reached
 * @property {string} title
 */
/**
 * @typedef {object} Rest
 * @property {number} rounds
 * @property {{ g: string, d: string }} weights float32
 * @property {number[][]} curves round, JS, loss of D, loss of G
 */
/** @typedef {"js" | "bound" | "loss_d" | "loss_g"} Curve */

const BATCH = 64;
const PIXELS = 64; // of the pad, along a side
const DRAWN = 64; // Gaussians on a drawing
const WIDER = 1.2; // the pad's edge is as far from the middle
const WAIT = 350; // milliseconds after a stroke
const CURVES = /** @type {Curve[]} */ (["js", "bound", "loss_d", "loss_g"]);
const NAMES = /** @type {Record<string, string>} */ ({
  ring: "ring of 8",
  grid: "grid of 25",
  moons: "two moons",
  own: "yours",
});
const nameOf = (/** @type {string} */ shape) => NAMES[shape] ?? shape;
const decimals = (/** @type {number | null} */ v) => (v === null ? "–" : ui.fixed(v, 3));
const short = (/** @type {number} */ v) => three(v);

/** The middles of the data's Gaussians now. @param {AnyModel<State>} model */
function centresOf(model) {
  const shape = model.get("shape");
  if (shape === "own") return Float64Array.from(model.get("own").flat());
  return Float64Array.from(model.get("shapes")[shape], (v) => v / 1000);
}

/** What PyTorch reached, as long as it is what the widget is set to. @param {AnyModel<State>} model */
function restOf(model) {
  const rest = /** @type {any} */ (model.get("rest"));
  const names = /** @type {const} */ ([
    ...["shape", "players", "loss", "rate_d", "rate_g", "d_steps", "seed"],
  ]);
  return names.every((name) => rest[name] === model.get(/** @type {keyof State} */ (name)))
    ? /** @type {Rest} */ (rest)
    : null;
}

/** @param {Rest} rest @returns {Weights} */
const weightsAt = ({ weights }) => {
  const numbers = (/** @type {string} */ text) => Float64Array.from(new Float32Array(bytesOf(text).buffer));
  return { g: numbers(weights.g), d: numbers(weights.d) };
};

/** Both planes beside each other. */
function planes() {
  const [learned, best] = [plane("The learned discriminator"), plane("The best discriminator")];
  const scale = colourScale("D");
  const titled = (/** @type {ReturnType<typeof plane>} */ { el }, /** @type {ui.Content[]} */ ...title) =>
    ui.stack(h("p", { class: "companion-heading" }, ...title), el);
  return {
    el: h("div", { class: "gan-planes" }, titled(learned, "D, as learned"), titled(best, "D*, the best")),
    key: ui.row(
      scale.el,
      ui.legend([
        { token: "soft", label: "real points", mark: "dot" },
        { token: "data-5", label: "generated points", mark: "dot" },
      ]),
    ),
    /** @param {Seen} seen @param {boolean} dark */
    draw({ numbers, field, best: optimum, ...points }, dark) {
      scale.set("0: “generated”", "1: “real”", gradientOf("diverging", dark));
      const words =
        `${numbers.covered} of ${numbers.modes} modes are covered; ` +
        `${Math.round(100 * numbers.near)} % of the generated points lie near one.`;
      learned.draw(field, points, dark, words);
      best.draw(optimum, { real: points.real, points: points.points }, dark, words);
    },
  };
}

/** What it amounts to. */
function account() {
  const numbers = ui.readouts(decimals);
  const percent = (/** @type {number} */ v) => `${ui.fixed(100 * v, 0)} %`;
  const row = (/** @type {ui.Content} */ label, /** @type {...ui.Child} */ ...shown) => [
    h("span", {}, label),
    h("span", {}, ...shown),
  ];
  return {
    el: h(
      "div",
      { class: "gan-numbers" },
      ...row("Modes covered", numbers.make("covered", String), " of ", numbers.make("modes", String)),
      ...row("Generated points near a mode", numbers.make("near", percent)),
      ...row("Jensen–Shannon divergence, of at most 0.693", numbers.make("js")),
      ...row("What D makes of it, log 2 − (its loss)/2", numbers.make("bound")),
    ),
    /** @param {Seen} seen */
    draw: (seen) => numbers.set(seen.numbers),
  };
}

/** What came of it, round by round. */
function history() {
  const pair = (/** @type {string} */ y, /** @type {[Curve, string, string][]} */ lines) =>
    lineChart({
      ...{ x: "round", y, height: 210, range: [0, null], format: short },
      series: lines.map(([, name, token], k) => ({ name, token, mark: k ? "dashed" : "line" })),
    });
  const divergence = pair("Jensen–Shannon divergence in nats", [
    ["js", "between the densities", "data-4"],
    ["bound", "what D makes of it, 0 if less", "data-2"],
  ]);
  const losses = pair("Losses", [
    ["loss_d", "discriminator", "data-2"],
    ["loss_g", "generator, −log D", "data-5"],
  ]);
  let kept = CURVES.map(() => samples());
  const marks = changes();
  return {
    els: [divergence.el, losses.el],
    clear() {
      kept = CURVES.map(() => samples());
      marks.clear();
    },
    mark: marks.add,
    /** @param {number} round @param {Seen["numbers"]} numbers */
    add: (round, numbers) => CURVES.forEach((name, k) => kept[k].add(round, numbers[name])),
    /** @param {Rest | null} rest instead of what was played here */
    draw(rest) {
      const rows = rest?.curves.map(([round, js, loss_d, loss_g]) => ({
        ...{ round, js, bound: Math.LN2 - loss_d / 2, loss_d, loss_g },
      }));
      const lines = CURVES.map((name, k) =>
        rows ? rows.map((row) => /** @type {Point} */ ([row.round, row[name]])) : kept[k].line(),
      );
      divergence.draw(
        lines.slice(0, 2).map((line) => line.map(([x, y]) => [x, Math.max(0, y)])),
        { marks: marks.all },
      );
      losses.draw(lines.slice(2), { marks: marks.all });
    },
    stop: lifetime(divergence.stop, losses.stop),
  };
}

/** What the data are: to choose, or to draw. @param {Traits<State>} traits */
function choice({ model, put }) {
  const trouble = ui.notice();
  const shapes = ui.segmented({
    label: "Data",
    options: [...Object.keys(model.get("shapes")), "own"].map((value) => ({ value, label: nameOf(value) })),
    value: model.get("shape"),
    onChange(shape) {
      const isEmpty = shape === "own" && !model.get("own").length;
      trouble.set(isEmpty ? "Draw something below first: there is nothing yet." : "", "error");
      if (isEmpty) {
        shapes.set(model.get("shape"));
        pad.open = true;
      } else put({ shape });
    },
  });
  shapes.el.classList.add("gan-shapes");
  /** @type {ReturnType<typeof setTimeout>} */
  let timer;
  const drawing = drawingPad({
    ...{ label: "Draw where the data are", height: PIXELS, width: PIXELS, radius: 0.8 },
    onChange(image) {
      clearTimeout(timer);
      timer = setTimeout(() => {
        const points = pointsOn(image, PIXELS, DRAWN);
        trouble.set(points ? "" : "The pad is empty: the data stay as they are.");
        if (!points) return;
        const own = points.map((point) => /** @type {Point} */ (point.map((v) => WIDER * v)));
        put({ own, shape: "own" });
      }, WAIT);
    },
  });
  const pad = h("details", {}, h("summary", {}, "Draw data of your own"), drawing.el);
  return { els: [shapes.el, trouble.el], pad, set: shapes.set, stop: () => clearTimeout(timer) };
}

/**
 * The buttons.
 * @param {{ play: () => void, step: (player: "d" | "g") => void, reset: () => void, reseed: () => void }} on
 */
function presses(on) {
  const play = ui.button({ label: "Play", kind: "primary", onClick: on.play });
  play.el.dataset.wakes = "";
  const [d, g] = /** @type {const} */ (["d", "g"]).map((player) => {
    const label = `One step of ${player.toUpperCase()}`;
    return ui.button({ label, title: `${label}, and pause`, onClick: () => on.step(player) });
  });
  const reset = ui.button({ label: "Reset", title: "Back to the first weights", onClick: on.reset });
  const reseed = ui.button({
    ...{ label: "New weights", title: "Another seed: other first weights, other batches" },
    onClick: on.reseed,
  });
  const numbers = ui.readouts(ui.grouped);
  const progress = h(
    "p",
    {},
    ...["round ", numbers.make("rounds"), " · steps of D ", numbers.make("moves_d")],
    ...[", of G ", numbers.make("moves_g"), " · seed ", numbers.make("seed", String)],
  );
  return {
    el: ui.row(play.el, d.el, g.el, reset.el, reseed.el, progress),
    /** @param {boolean} plays @param {boolean} diverged @param {{ rounds: number, seed: number, d: number, g: number }} now */
    draw(plays, diverged, now) {
      play.el.replaceChildren(plays ? "Pause" : now.rounds ? "Go on" : "Play");
      for (const each of [play, d, g]) each.enable(!diverged);
      numbers.set({ rounds: now.rounds, seed: now.seed, moves_d: now.d, moves_g: now.g });
    },
  };
}

/** How both learn. @param {Traits<State>} traits */
function settings(traits) {
  const { model, put } = traits;
  const loss = ui.segmented({
    ...{ label: "Generator’s loss", options: ["non-saturating", "minimax"], value: model.get("loss") },
    onChange: (next) => put({ loss: next }),
  });
  const players = ui.segmented({
    ...{ label: "Who learns", options: ["both", "D alone", "G alone"], value: model.get("players") },
    onChange: (next) => put({ players: next }),
  });
  const rate = { min: 1e-5, max: 0.1, step: 1.05, scale: /** @type {const} */ ("log"), format: short };
  const sliders = [
    traitSlider(traits, "rate_d", { ...rate, label: "learning rate of D", neutral: 2e-3 }),
    traitSlider(traits, "rate_g", { ...rate, label: "of G", name: "learning rate of G", neutral: 1e-3 }),
    traitSlider(traits, "d_steps", {
      ...{ label: "steps of D in a round", min: 1, max: 10, step: 1, neutral: 1, format: String },
    }),
  ];
  return {
    els: [ui.row(loss.el, players.el), ui.sliders(...sliders.map((each) => each.el))],
    draw() {
      loss.set(model.get("loss"));
      players.set(model.get("players"));
    },
  };
}

/** The game as it is now, and what is seen of it. @param {AnyModel<State>} model */
function table(model) {
  const begin = () => {
    const centres = centresOf(model);
    const options = { hidden: HIDDEN, batch: BATCH, seed: model.get("seed"), centres, sigma: SIGMA };
    return { played: game(options), look: looker(centres), rounds: 0 };
  };
  let now = begin();
  return {
    get rounds() {
      return now.rounds;
    },
    get moves() {
      return now.played.moves;
    },
    reset() {
      now = begin();
    },
    /** @param {"d" | "g"} player the loss before it */
    step: (player) =>
      player === "d"
        ? now.played.stepDiscriminator(model.get("rate_d"))
        : now.played.stepGenerator(model.get("rate_g"), model.get("loss")),
    /** One round; whether all numbers are finite. */
    round() {
      const players = model.get("players");
      let sum = 0;
      for (let k = 0; k < model.get("d_steps") && players !== "G alone"; k += 1) sum += this.step("d");
      if (players !== "D alone") sum += this.step("g");
      now.rounds += 1;
      return Number.isFinite(sum);
    },
    /** @param {Rest | null} rest instead of what was played here */
    look: (rest) => now.look(rest ? weightsAt(rest) : now.played.weights, model.get("loss")),
  };
}

/** What goes on, in words. @param {{ plays: boolean, diverged: boolean, moves: number, rest: Rest | null }} now */
function story({ plays, diverged, moves, rest }) {
  if (diverged) return "Diverged: a loss is no finite number any more. Reset goes back to the first weights.";
  if (plays) return "Playing. Sliders and choices act on the next step.";
  if (moves) return "Paused.";
  if (rest)
    return (
      `Press Play: all is computed in this page, from the first weights on. Shown until then: what ${ui.grouped(rest.rounds)} rounds ` +
      "in PyTorch reached from the same weights, while this page was made."
    );
  return "At the first weights. Press Play, or let one of them take a step.";
}

/** @param {RenderProps<State>} props */
function render({ model, el }) {
  const voice = ui.announcer();
  const status = ui.notice();
  const at = table(model);
  let [dark, touched, diverged] = [false, false, false];
  /** @type {Seen | undefined} */
  let seen;
  const rest = () => (touched ? null : restOf(model));
  const tell = () => {
    const { plays } = player;
    const [{ d, g }, played] = [at.moves, at.rounds];
    buttons.draw(plays, diverged, { rounds: played, seed: model.get("seed"), d, g });
    status.set(story({ plays, diverged, moves: d + g, rest: rest() }), diverged ? "error" : "info");
    root.dataset.training = diverged ? "diverged" : plays ? "playing" : touched ? "paused" : "idle";
    root.dataset.steps = String(played);
  };
  const look = () => {
    seen = at.look(rest());
    if (touched) past.add(at.rounds, seen.numbers);
  };
  const show = () => {
    if (seen) view.draw(seen, dark);
  };
  const readings = () => {
    if (!seen) return;
    numbers.draw(seen);
    past.draw(rest());
    tell();
    root.dataset.pictured = String(at.rounds);
  };
  const player = rounds({
    el,
    round() {
      const goesOn = at.round();
      diverged = !goesOn;
      return goesOn;
    },
    pictures: [look, show, readings],
    onState(plays) {
      tell();
      if (!plays && seen) {
        const { covered, modes, js } = seen.numbers;
        voice.say(`Paused at round ${at.rounds}: ${covered} of ${modes} modes, divergence ${decimals(js)}.`);
      }
    },
  });
  const drawAll = () => {
    look();
    show();
    readings();
  };
  const reset = () => {
    at.reset();
    diverged = false;
    past.clear();
    drawAll();
  };
  const buttons = presses({
    play() {
      touched = true;
      player.set(!player.plays);
    },
    step(who) {
      player.set(false);
      touched = true;
      diverged = !Number.isFinite(at.step(who));
      drawAll();
    },
    reset() {
      player.set(false);
      touched = true;
      reset();
    },
    reseed: () => traits.put({ seed: (model.get("seed") + 1) % 2 ** 32 }),
  });

  const game_ = () => [
    model.get("seed"),
    model.get("shape"),
    model.get("shape") === "own" && model.get("own"),
  ];
  const rules = () =>
    /** @type {const} */ (["players", "loss", "rate_d", "rate_g", "d_steps"]).map(
      (name) => /** @type {[string, string | number]} */ ([name, model.get(name)]),
    );
  let [before, ruled] = [game_(), rules()];
  const draw = () => {
    const [now, next] = [game_(), rules()];
    shapes.set(model.get("shape"));
    how.draw();
    if (now.some((value, k) => value !== before[k])) reset();
    else {
      for (const [k, [name, value]] of next.entries())
        if (at.rounds && value !== ruled[k][1]) past.mark(at.rounds, name, value);
      drawAll();
    }
    [before, ruled] = [now, next];
  };
  const traits = bindTraits(model, ["seed", "shape", "own", "loss", "players"], perFrame(draw));
  const [view, numbers, past, how, shapes] = [
    planes(),
    account(),
    history(),
    settings(traits),
    choice(traits),
  ];
  const root = ui.frame(
    { title: model.get("title") },
    h("div", { class: "companion-panel" }, buttons.el, ...shapes.els, ...how.els),
    status.el,
    view.el,
    view.key,
    ui.note(
      ...[
        "Arrows: the pull ",
        maths("−∂L/∂x"),
        " on generated points, at a tenth of its length, no longer than 0.3. D* is ",
      ],
      ...[maths("p_{data}/(p_{data} + p_{model})"), " of both densities blurred with noise of 0.1; "],
      ...[
        maths("p_{data}"),
        " is exact, ",
        maths("p_{model}"),
        " comes from 512 generated points. Where hardly a point is, D* loses its colour.",
      ],
    ),
    numbers.el,
    h("div", { class: "companion-halves" }, ...past.els),
    shapes.pad,
    voice.el,
  );
  el.append(root);
  const unfollow = followTheme(el, (colours) => {
    dark = isDark(colours);
    show();
  });
  drawAll();
  return lifetime(player.stop, unfollow, past.stop, shapes.stop, () => traits.stop());
}

export default { render };

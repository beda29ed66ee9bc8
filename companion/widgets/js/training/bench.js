// What a training in the page is driven by: its buttons, how far it is, what goes on in words, and pictures of
// the present weights one after the other.

import { branch, noise } from "../maths/noise.js";
import { trainer } from "../runtime/trainer.js";
import * as ui from "../ui/controls.js";
import { h } from "../ui/controls.js";
import { lifetime, reducedMotion } from "../ui/lifetime.js";

/** @import { AnyModel } from "@anywidget/types" */
/** @import { Tensors } from "../runtime/engine.js" */
/** @import { Spec, State } from "../runtime/trainer.js" */
/** @import { Look, Seen, Taken } from "../runtime/training.js" */

const PAUSE = 100; // milliseconds between pictures, at least
const CALM = 1000; // for a reader who wants less motion
const LONGEST = 600; // however long a picture takes

/**
 * What goes on, in words.
 * @param {State} state
 * @param {{ steps: number, why?: Error, cause: string, rest?: string, acting?: string }} more `cause`: what a
 *   divergence may come from; `rest`: what is shown before the first step; `acting`: what the sliders do
 */
export function story(state, { steps, why, cause, rest = "", acting = "The sliders act on the next step." }) {
  if (state === "idle")
    return `Press Train: the steps are computed in this page, with the gradient that PyTorch wrote.${rest}`;
  if (state === "loading") return "Loading the engine, the training step and the images …";
  if (state === "playing") return `Training. ${acting}`;
  if (state === "paused") return steps ? "Paused." : "Back at the first weights.";
  if (state === "failed") return `The training can't go on: ${why?.message}`;
  return (
    `Diverged: after step ${ui.grouped(steps)} the loss is no finite number any more; ${cause}. ` +
    "Reset goes back to the first weights."
  );
}

/**
 * @typedef {object} ToolbarOptions
 * @property {() => number} seed
 * @property {(steps: number) => number} epoch how many these are
 * @property {[label: string, title: string]} reseeding the button for another seed
 * @property {() => void} play
 * @property {() => void} step
 * @property {() => void} reset
 * @property {() => void} reseed
 */

/** The buttons, and how far the training is. @param {ToolbarOptions} options */
export function toolbar({ seed, epoch, reseeding: [label, title], ...on }) {
  const play = ui.button({ label: "Train", kind: "primary", onClick: on.play });
  play.el.dataset.wakes = "";
  const step = ui.button({ label: "One step", title: "Take one step and pause", onClick: on.step });
  const reset = ui.button({ label: "Reset", title: "Back to the first weights", onClick: on.reset });
  const reseed = ui.button({ label, title, onClick: on.reseed });
  const numbers = ui.readouts();
  const whole = (/** @type {number} */ v) => ui.grouped(Math.round(v));
  const progress = h(
    "p",
    { class: "training-progress" },
    ...["step ", numbers.make("steps", whole), " · epoch ", numbers.make("epoch", (v) => ui.fixed(v, 1))],
    ...[" · seed ", numbers.make("seed", String), " · ", numbers.make("speed", whole), " steps/s"],
  );
  let [last, since] = [0, 0];
  return {
    el: ui.row(play.el, step.el, reset.el, reseed.el, progress),
    /** @param {State} state @param {number} steps */
    draw(state, steps) {
      const runs = state === "playing" || state === "loading";
      play.el.replaceChildren(runs ? "Pause" : steps ? "Go on" : "Train");
      for (const button of [play, step]) button.enable(state !== "diverged");
      since = 0;
    },
    /** @param {number} steps */
    count(steps) {
      numbers.set({ steps, epoch: epoch(steps), seed: seed() });
      const now = performance.now();
      if (since && now - since < 500) return;
      if (since) numbers.set({ speed: Math.max(0, (1000 * (steps - last)) / (now - since)) });
      [last, since] = [steps, now];
    },
  };
}

/**
 * Pictures of the present weights, one after the other; most of the time stays for steps.
 * @param {() => Promise<void>} take one
 */
export function pictures(take) {
  let [busy, again, due] = [false, false, 0];
  const now = async () => {
    again = busy; // of many that are asked for meanwhile the last one counts
    if (busy) return;
    busy = true;
    const start = performance.now();
    await take();
    const took = performance.now() - start;
    due = start + took + Math.max(reducedMotion() ? CALM : PAUSE, Math.min(LONGEST, 2 * took));
    busy = false;
    if (again) await now();
  };
  return { now, whenDue: () => performance.now() > due && now() };
}

/** The size of a training's batches, as a share of its data. @param {Spec} spec */
const epochShare = ({ steps, data }) => {
  const rows = Object.values(data.tensors)[0].shape[0];
  return (steps[0].inputs.images?.shape[0] ?? rows) / rows;
};

/** @typedef {Spec & { numbers: Record<string, number>, drawn: Drawn[] }} Plan a training, and which weights are drawn */

/**
 * @typedef {object} BenchOptions
 * @property {AnyModel<any>} model the widget's, with a trait "seed"
 * @property {Element} el out of view nothing is computed
 * @property {Record<string, Plan>} plans one or more trainings by name
 * @property {() => string} [active] the one that the buttons act on now
 * @property {() => HTMLElement} root its dataset says how far it is: training, steps, pictured
 * @property {() => Record<string, number>} numbers of the next steps and pictures
 * @property {() => Tensors} [data] what they train on from the next reset on, if it is not their own
 * @property {() => Look} look what a picture needs
 * @property {(seen: Seen) => void | Promise<void>} onSeen draw it
 * @property {(taken: Taken) => void} [onSteps]
 * @property {() => void} onReset nothing is trained yet
 * @property {(seed: number) => void} onSeed another seed is asked for; a reset follows
 * @property {string} cause what a divergence may come from
 * @property {() => { steps: number } | null} rest what Python reached, as long as it is on show
 * @property {string} [acting] what the sliders do while it trains
 */

/**
 * Trainings of which one runs at a time, with their buttons.
 * @param {BenchOptions} options
 */
export function bench(options) {
  const { model, el, plans, root, numbers, look, onSeen, onSteps, onReset, onSeed, cause, rest } = options;
  const [first] = Object.keys(plans);
  const active = options.active ?? (() => first);
  const status = ui.notice();
  /** @type {Record<string, { player: ReturnType<typeof trainer>, steps: number }>} */
  const all = {};
  const now = () => all[active()];

  const onState = (/** @type {string} */ name, /** @type {State} */ state, /** @type {Error} */ why) => {
    if (name !== active()) return;
    const { steps } = all[name];
    const reached = rest();
    const shown = ` Shown until then: what the same ${reached?.steps} steps reached while this page was made.`;
    root().dataset.training = state;
    tools.draw(state, steps);
    const isBad = state === "diverged" || state === "failed";
    status.set(
      story(state, { steps, why, cause, rest: reached ? shown : "", acting: options.acting }),
      isBad ? "error" : "info",
    );
    if (state === "paused" || state === "diverged") picture.now();
  };
  let resets = 0;
  let goesOnAfter = false; // the reset that is under way
  const picture = pictures(async () => {
    const name = active();
    const before = resets;
    try {
      const seen = await now().player.look(look());
      if (!seen || name !== active() || before !== resets) return;
      await onSeen(seen);
      root().dataset.pictured = String(seen.steps);
      await new Promise(requestAnimationFrame); // so that the time to paint counts, too
    } catch (error) {
      onState(name, "failed", /** @type {Error} */ (error));
    }
  });
  const follow = () => {
    const { steps } = now();
    root().dataset.steps = String(steps);
    tools.count(steps);
  };
  for (const [name, spec] of Object.entries(plans)) {
    const player = trainer({
      ...{ spec, model, el, onOpen: picture.now, resumes: !reducedMotion() },
      start: (weights) => ({
        weights: drawWeights(weights, spec.drawn, model.get("seed")),
        data: options.data?.(),
      }),
      settings: () => ({ step: 0, seed: model.get("seed"), numbers: { ...spec.numbers, ...numbers() } }),
      onState: (state, why) => onState(name, state, /** @type {Error} */ (why)),
      onSteps(taken) {
        all[name].steps = taken.steps;
        if (name !== active()) return;
        follow();
        onSteps?.(taken);
        picture.whenDue();
      },
    });
    all[name] = { player, steps: 0 };
  }
  const runs = () => ["playing", "loading"].includes(now().player.state);
  /** All back to the first weights; `goesOn` if one was running. */
  const reset = async (goesOn = false) => {
    goesOnAfter = goesOn && (runs() || goesOnAfter);
    resets += 1;
    delete root().dataset.pictured;
    await Promise.all(Object.values(all).map((each) => each.player.reset()));
    for (const each of Object.values(all)) each.steps = 0;
    onReset();
    follow();
    const { state } = now().player;
    onState(active(), state, /** @type {any} */ (undefined));
    if (goesOnAfter) now().player.play();
    goesOnAfter = false;
  };
  const tools = toolbar({
    seed: () => model.get("seed"),
    epoch: (taken) => taken * epochShare(plans[active()]),
    reseeding: ["New weights", "Other first weights, and another order of the batches"],
    play() {
      goesOnAfter = false;
      if (runs()) now().player.pause();
      else now().player.play();
    },
    step: () => now().player.play(1),
    reset: () => reset(),
    reseed() {
      onSeed((model.get("seed") + 1) % 2 ** 32);
      reset();
    },
  });
  return {
    tools: tools.el,
    status: status.el,
    reset,
    /** Pictures of what is there, for sliders that act on them. */
    picture: picture.now,
    get state() {
      return now().player.state;
    },
    get steps() {
      return now().steps;
    },
    /** Before the first step: something is set otherwise, so that what Python reached may not fit any more. */
    tell() {
      const { state } = now().player;
      if (state === "idle") onState(active(), state, /** @type {any} */ (undefined));
    },
    /** Another one is active: the others pause. */
    change() {
      delete root().dataset.pictured;
      for (const [name, each] of Object.entries(all)) if (name !== active()) each.player.pause();
      follow();
      onState(active(), now().player.state, /** @type {any} */ (undefined));
    },
    stop: lifetime(...Object.values(all).map((each) => each.player.stop)),
  };
}

/**
 * @typedef {{ offset: number, size: number, std: number }} Drawn where weights of mean 0 lie, and their standard
 *   deviation
 */

/**
 * The weights that a seed starts from: `companion.widgets.page_training.draw_weights`.
 * @param {Float32Array} weights what stays as it is, and what is drawn @param {Drawn[]} drawn @param {number} seed
 */
export function drawWeights(weights, drawn, seed) {
  const all = weights.slice();
  drawn.forEach(({ offset, size, std }, k) => {
    all.set(
      Float32Array.from(noise(branch(seed, 2, k), size), (v) => v * std),
      offset,
    );
  });
  return all;
}

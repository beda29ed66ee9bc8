// A model that trains in the page: play, pause, one step, reset; sliders that act between steps; curves, and
// pictures of the present weights. The steps are those of runtime/trainer.js.

import { trainer } from "./runtime/trainer.js";
import { pictures, story, toolbar } from "./training/bench.js";
import { charts, nameOf, three } from "./training/charts.js";
import { bytesOf, viewsOf } from "./training/views.js";
import { followTheme } from "./ui/colours.js";
import * as ui from "./ui/controls.js";
import { h } from "./ui/controls.js";
import { copyCode } from "./ui/copy_code.js";
import { bindTraits, lifetime, perFrame, reducedMotion } from "./ui/lifetime.js";

/** @import { AnyModel, RenderProps } from "@anywidget/types" */
/** @import { Spec, State as Running } from "./runtime/trainer.js" */
/** @import { View } from "./training/views.js" */

/** @typedef {{ name: string, value: number, low: number, high: number, scale: "linear" | "log" }} SliderSpec */

/**
 * @typedef {object} State
 * @property {Spec & { numbers: Record<string, number> }} training
 * @property {number[]} sizes of the batches
 * @property {SliderSpec[]} sliders
 * @property {View[]} views
 * @property {{ shape?: number[], pixels?: string, labels?: number[] }} images the first ones
 * @property {string[]} class_names
 * @property {string} source the training as a loop; a name between two at signs stands for what is chosen
 * @property {Record<string, number>} numbers
 * @property {number} batch_size
 * @property {number} seed
 * @property {string} title
 */

/**
 * The learning rate and the declared inputs.
 * @param {AnyModel<State>} model @param {(name: string, value: number) => void} onInput
 */
function knobs(model, onInput) {
  const all = model.get("sliders").map(({ name, value, low, high, scale }) => ({
    name,
    slider: ui.slider({
      label: nameOf(name),
      ...{ min: low, max: high, value, neutral: value, quantity: name, format: three },
      ...(scale === "log"
        ? { scale, step: 1.05 }
        : { scale, step: Number(((high - low) / 500).toPrecision(1)) }),
      onInput: (next) => onInput(name, next),
    }),
  }));
  return {
    el: ui.sliders(...all.map(({ slider }) => slider.el)),
    draw() {
      for (const { name, slider } of all) slider.set(model.get("numbers")[name]);
    },
  };
}

/** The sizes of the batches to choose from; nothing if there is one. @param {AnyModel<State>} model @param {(size: number) => void} onChange */
function batchChoice(model, onChange) {
  const sizes = model.get("sizes");
  if (sizes.length < 2) return null;
  const count = countOf(model);
  return ui.segmented({
    label: "Batch",
    options: sizes.map((size) => ({
      value: size,
      label: size === count ? `all ${ui.grouped(size)}` : ui.grouped(size),
    })),
    value: model.get("batch_size"),
    onChange,
  });
}

/** How many images there are to train with. @param {AnyModel<State>} model */
const countOf = (model) => model.get("training").data.tensors.images.shape[0];

/** The training as a loop of PyTorch, with what is chosen now. @param {AnyModel<State>} model */
function codeOf(model) {
  const [count, batch] = [countOf(model), model.get("batch_size")];
  /** @type {Record<string, number>} */
  const whole = { batch_size: batch, seed: model.get("seed"), used: count - (count % batch) };
  const number = (/** @type {string} */ name) => {
    const value = model.get("numbers")[name];
    return Number.isInteger(value) ? value.toFixed(1) : String(value); // 1 would be another kind of number
  };
  return model.get("source").replace(/@(\w+)@/g, (_, name) => String(whole[name] ?? number(name)));
}

/**
 * Whether the loss has grown by much with a learning rate above the first one: how often it is that of the first
 * step, or 0.
 * @param {AnyModel<State>} model
 */
function overshoot(model) {
  let first = NaN;
  const start = model.get("sliders")[0].value;
  return {
    reset() {
      first = NaN;
    },
    /** @param {Float32Array} losses of new steps, all entries of each @param {number} entries */
    of(losses, entries) {
      if (Number.isNaN(first)) first = losses[0];
      const times = losses[losses.length - entries] / first;
      return model.get("numbers").lr > start && times > 3 ? times : 0;
    },
  };
}

/** @param {RenderProps<State>} props */
function render({ model, el }) {
  const spec = model.get("training");
  const { shape = [], pixels = "", labels = [] } = model.get("images");
  const voice = ui.announcer();
  const status = ui.notice();
  const over = overshoot(model);
  let [steps, warned] = [0, false];

  const history = charts(spec);
  const views = viewsOf(model.get("views"), {
    ...{ names: model.get("class_names"), shape: shape.slice(1), labels, ask: () => picture.now() },
    pixels: Float32Array.from(bytesOf(pixels), (v) => v / 255),
  });
  const picture = pictures(async () => {
    const wanted = views.wanted();
    if (spec.functions.test) wanted.functions.test = model.get("numbers");
    try {
      const seen = await player.look(wanted);
      if (!seen) return;
      history.test(seen, /** @type {ArrayLike<number>} */ (seen.data.labels?.data ?? []));
      await views.draw(seen);
      await history.drawInTurn();
      root.dataset.pictured = String(seen.steps);
      await new Promise(requestAnimationFrame); // so that the time to paint counts, too
    } catch (error) {
      onState("failed", /** @type {Error} */ (error));
    }
  });

  const onState = (/** @type {Running} */ state, /** @type {Error | undefined} */ why = undefined) => {
    root.dataset.training = state;
    warned = false;
    tools.draw(state, steps);
    const isBad = state === "diverged" || state === "failed";
    const lr = three(model.get("numbers").lr);
    const words = story(state, { steps, why, cause: `the learning rate was ${lr}` });
    status.set(words, isBad ? "error" : "info");
    if (state === "paused" || state === "diverged") picture.now();
  };
  const player = trainer({
    ...{ spec, model, el, onState, onOpen: picture.now, resumes: !reducedMotion() },
    settings: () => ({
      step: model.get("sizes").indexOf(model.get("batch_size")),
      seed: model.get("seed"),
      numbers: { ...spec.numbers, ...model.get("numbers") },
    }),
    onSteps(taken) {
      steps = taken.steps;
      history.add(taken);
      root.dataset.steps = String(steps);
      tools.count(steps);
      const times = over.of(taken.losses, spec.losses.length);
      if (times && !warned)
        status.set(
          `The loss is ${three(times)} times that of the first step: with a learning rate of ` +
            `${three(model.get("numbers").lr)} the steps overshoot.`,
          "error",
        );
      warned ||= times > 0;
      picture.whenDue();
    },
  });
  const reset = async () => {
    steps = 0;
    over.reset();
    history.clear();
    root.dataset.steps = "0";
    tools.count(0);
    history.draw();
    await player.reset();
    onState(player.state);
  };
  const change = (/** @type {string} */ name, /** @type {number} */ value) => {
    if (steps) history.mark(steps, name, value);
    if (player.state !== "playing") drawCurves();
  };

  const draw = () => {
    knob.draw();
    batch?.set(model.get("batch_size"));
    tools.count(steps);
    code.draw();
  };
  const drawCurves = perFrame(history.draw);
  const traits = bindTraits(model, ["numbers", "batch_size", "seed"], perFrame(draw));
  const tools = toolbar({
    seed: () => model.get("seed"),
    epoch: (taken) => (taken * model.get("batch_size")) / countOf(model),
    reseeding: ["New seed", "From the first weights, with another order of the batches and other noise"],
    play: () => (["playing", "loading"].includes(player.state) ? player.pause() : player.play()),
    step: () => player.play(1),
    reset,
    reseed() {
      traits.put({ seed: (model.get("seed") + 1) % 2 ** 32 });
      reset();
    },
  });
  const knob = knobs(model, (name, value) => {
    traits.put({ numbers: { ...model.get("numbers"), [name]: value } });
    change(name, value);
  });
  const batch = batchChoice(model, (size) => {
    traits.put({ batch_size: size });
    change("batch", size);
  });
  const code = copyCode({ what: "the training", code: () => codeOf(model), say: voice.say });
  const root = ui.frame(
    { title: model.get("title") },
    h("div", { class: "companion-panel companion-sticky" }, tools.el, knob.el, batch?.el),
    status.el,
    history.el,
    views.els.length ? h("div", { class: "companion-halves" }, ...views.els) : null,
    code.el,
    voice.el,
  );
  el.append(root);
  onState("idle");
  draw();
  history.draw();
  return lifetime(player.stop, history.stop, traits.stop, followTheme(root, views.onTheme));
}

export default { render };

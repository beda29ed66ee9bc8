// A model that trains in the page: play, pause, one step, reset; sliders that act between steps; curves and
// pictures of the present weights. The steps are those of runtime/trainer.js.

import { trainer } from "./runtime/trainer.js";
import { record, samples } from "./training/curves.js";
import { bytesOf, viewsOf } from "./training/views.js";
import { followTheme } from "./ui/colours.js";
import * as ui from "./ui/controls.js";
import { h } from "./ui/controls.js";
import { bindTraits, lifetime, perFrame, reducedMotion } from "./ui/lifetime.js";
import { lineChart } from "./ui/line_chart.js";
import { shortest } from "./ui/axes.js";

/** @import { AnyModel, RenderProps } from "@anywidget/types" */
/** @import { Mark } from "./ui/line_chart.js" */
/** @import { Spec, State as Running } from "./runtime/trainer.js" */
/** @import { Seen, Taken } from "./runtime/training.js" */
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
 * @property {string} source the training as a loop; a name between two @ stands for what a slider says
 * @property {Record<string, number>} numbers
 * @property {number} batch_size
 * @property {number} seed
 * @property {string} title
 */

const NAMES = /** @type {Record<string, string>} */ ({
  lr: "learning rate",
  beta: "β",
  alpha: "α",
  gamma: "γ",
});
const nameOf = (/** @type {string} */ name) => NAMES[name] ?? name.replaceAll("_", " ");

const SPAN = 20; // a loss that falls to less than a twentieth is shown on a logarithmic axis
const PAUSE = 100; // milliseconds between pictures, at least
const CALM = 1000; // for a reader who wants less motion

/** Three digits: 0.00123, 1.23, 123. @param {number} v */
const three = (v) => (v ? shortest(Number(v.toPrecision(3))).replace("-", "−") : "0");
const percent = (/** @type {number} */ v) => `${ui.fixed(v, 1)} %`;

/**
 * What the steps left behind, and its charts.
 * @param {Spec} spec
 */
function curves(spec) {
  const tested = Object.keys(spec.functions.test?.outputs ?? {});
  const entries = spec.losses.filter((name) => name !== "error");
  const both = entries.flatMap((name, k) => {
    const token = `data-${(k % 6) + 1}`;
    const word = nameOf(name);
    return [
      { key: `training ${name}`, name: `training ${word}`, token, quantity: `${name}-training` },
      {
        key: `test ${name}`,
        name: `test ${word}`,
        token,
        mark: /** @type {const} */ ("dashed"),
        quantity: `${name}-test`,
      },
    ].slice(0, tested.includes(name) ? 2 : 1);
  });
  const series = [...both];
  const loss = lineChart({ x: "step", y: "Loss", height: 260, series, format: three });
  const share = [
    ...(spec.losses.includes("error")
      ? [{ key: "training accuracy", name: "training", quantity: "accuracy-training" }]
      : []),
    ...(tested.includes("logits")
      ? [
          {
            key: "test accuracy",
            name: "test",
            mark: /** @type {const} */ ("dashed"),
            quantity: "accuracy-test",
          },
        ]
      : []),
  ].map((each) => ({ ...each, token: "data-3" }));
  const accuracy = share.length
    ? lineChart({
        x: "step",
        y: "Accuracy in %",
        height: 260,
        series: share,
        range: [0, 100],
        format: percent,
      })
    : null;

  /** @type {Map<string, ReturnType<typeof record>>} */
  let steps = new Map();
  /** @type {Map<string, ReturnType<typeof samples>>} */
  let tests = new Map();
  /** @type {Mark[]} */
  let marks = [];
  let isLog = /** @type {boolean | null} */ (null); // null: as the numbers ask for it
  const clear = () => {
    steps = new Map(spec.losses.map((name) => [name, record()]));
    tests = new Map([...tested, "accuracy"].map((name) => [name, samples()]));
    marks = [];
  };
  clear();

  const lineOf = (/** @type {string} */ key) => {
    const [set, name] = key.split(" ");
    if (set === "test") return tests.get(name)?.line() ?? [];
    if (name !== "accuracy") return steps.get(name)?.line() ?? [];
    return /** @type {[number, number][]} */ (
      (steps.get("error")?.line() ?? []).map(([x, v]) => [x, 100 - v])
    );
  };
  const scale = ui.segmented({
    label: "Loss axis",
    options: ["linear", "log"],
    onChange(next) {
      isLog = next === "log";
      draw();
    },
  });
  const draw = () => {
    const lines = series.map(({ key }) => lineOf(key));
    const values = lines.flatMap((line) => line.map(([, v]) => v)).filter((v) => v > 0 && v < Infinity);
    const [low, high] = values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, 0]);
    const log = values.length > 0 && (isLog ?? high / low > SPAN);
    if (isLog === null) scale.set(log ? "log" : "linear");
    const bands = series.map(({ key }) => (key === "training loss" ? steps.get("loss")?.band() : undefined));
    loss.draw(lines, { bands, marks, log });
    accuracy?.draw(
      share.map(({ key }) => lineOf(key)),
      { marks },
    );
  };
  return {
    el: h(
      "div",
      { class: accuracy ? "training-charts training-two" : "training-charts" },
      loss.el,
      accuracy?.el ?? "",
    ),
    scale: scale.el,
    clear,
    draw,
    /** @param {Taken} taken */
    add({ losses }) {
      for (let i = 0; i < losses.length; i += 1)
        steps.get(spec.losses[i % spec.losses.length])?.add(losses[i]);
    },
    /** @param {Seen} seen @param {ArrayLike<number>} labels */
    test({ functions, steps: at }, labels) {
      for (const [name, { data, dims }] of Object.entries(functions.test ?? {})) {
        if (name !== "logits") tests.get(name)?.add(at, Number(data[0]));
        else tests.get("accuracy")?.add(at, 100 * hits(/** @type {Float32Array} */ (data), dims[1], labels));
      }
    },
    /** Something changed at a step. @param {number} x @param {string} name @param {number} value */
    mark(x, name, value) {
      const label = `${nameOf(name)} ${three(value)}`;
      const last = marks.at(-1);
      // A drag is one change.
      if (last?.label.startsWith(`${nameOf(name)} `) && x - last.x <= Math.max(5, x / 50)) last.label = label;
      else marks = [...marks, { x, label }].slice(-40);
    },
    stop: lifetime(loss.stop, accuracy?.stop ?? (() => {})),
  };
}

/** The share of rows whose largest number is that of their label. @param {Float32Array} logits @param {number} classes @param {ArrayLike<number>} labels */
function hits(logits, classes, labels) {
  let right = 0;
  for (let k = 0; k < labels.length; k += 1) {
    const row = logits.subarray(k * classes, (k + 1) * classes);
    if (row.indexOf(Math.max(...row)) === labels[k]) right += 1;
  }
  return right / labels.length;
}

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
        ? { scale: "log", step: 1.05 }
        : { step: Number(((high - low) / 500).toPrecision(1)) }),
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

/** The training as code: on the clipboard, and to be read. @param {() => string} code @param {(text: string) => void} say */
function copier(code, say) {
  const pre = h("pre", { class: "training-code", tabindex: 0, "aria-label": "The training in PyTorch" });
  const shown = h("details", {}, h("summary", {}, "The code"), pre);
  const copy = ui.button({
    label: "Copy as PyTorch",
    title: "The training as a loop, with what the sliders say",
    async onClick() {
      pre.textContent = code();
      try {
        await navigator.clipboard.writeText(code());
        say("The loop is on the clipboard.");
      } catch {
        shown.open = true;
        getSelection()?.selectAllChildren(pre);
        const done = document.execCommand("copy");
        say(
          done
            ? "The loop is on the clipboard."
            : "The clipboard is closed to this page: the loop stands below, selected.",
        );
      }
    },
  });
  const draw = () => {
    if (shown.open) pre.textContent = code();
  };
  shown.addEventListener("toggle", draw);
  return { button: copy.el, code: shown, draw };
}

/** What goes on, in words. @param {Running} state @param {AnyModel<State>} model @param {number} steps @param {Error} [why] */
function story(state, model, steps, why) {
  if (state === "idle") return "Press Train: the steps are then computed here, in this page.";
  if (state === "loading") return "Loading the engine, the training step and the images …";
  if (state === "playing") return "Training.";
  if (state === "paused") return steps ? "Paused." : "Back at the first weights.";
  if (state === "failed") return `The training can't go on: ${why?.message}`;
  const lr = three(model.get("numbers").lr);
  return (
    `Diverged: at step ${ui.grouped(steps)} the loss is no longer a finite number, with a learning rate of ${lr}. ` +
    "Reset starts again from the first weights."
  );
}

/** @param {RenderProps<State>} props */
function render({ model, el }) {
  const spec = model.get("training");
  const { shape = [], pixels = "", labels = [] } = model.get("images");
  const voice = ui.announcer();
  const count = spec.data.tensors.images.shape[0];
  let [steps, looking, again, due] = [0, false, false, 0];
  let batch = model.get("batch_size");

  const history = curves(spec);
  const views = viewsOf(model.get("views"), {
    ...{ names: model.get("class_names"), shape: shape.slice(1), labels, ask: () => picture() },
    pixels: Float32Array.from(bytesOf(pixels), (v) => v / 255),
  });
  const settings = () => ({
    step: model.get("sizes").indexOf(model.get("batch_size")),
    seed: model.get("seed"),
    numbers: { ...spec.numbers, ...model.get("numbers") },
  });

  const drawCurves = perFrame(history.draw);
  /** New pictures of the present weights; of many that are asked for meanwhile the last one counts. */
  const picture = async () => {
    again = looking;
    if (looking) return;
    looking = true;
    const start = performance.now();
    const { functions, weights } = views.wanted();
    if (spec.functions.test) functions.test = model.get("numbers");
    try {
      const seen = await player.look({ functions, weights });
      if (seen) {
        history.test(seen, /** @type {ArrayLike<number>} */ (seen.data.labels?.data ?? []));
        await new Promise(requestAnimationFrame);
        views.draw(seen);
        drawCurves();
        root.dataset.pictured = String(seen.steps);
      }
    } catch (error) {
      onState("failed", /** @type {Error} */ (error));
    }
    // Most of the time is for steps.
    due = performance.now() + Math.max(reducedMotion() ? CALM : PAUSE, 2 * (performance.now() - start));
    looking = false;
    if (again) picture();
  };

  const onState = (/** @type {Running} */ state, /** @type {Error | undefined} */ why = undefined) => {
    root.dataset.training = state;
    const runs = state === "playing" || state === "loading";
    play.el.replaceChildren(runs ? "Pause" : steps ? "Go on" : "Train");
    play.enable(state !== "diverged");
    step.enable(state !== "diverged");
    status.set(
      story(state, model, steps, why),
      state === "diverged" || state === "failed" ? "error" : "info",
    );
    if (state === "paused" || state === "diverged") picture();
  };
  const player = trainer({
    ...{ spec, model, el, settings, onState, onOpen: () => picture() },
    resumes: !reducedMotion(),
    onSteps(taken) {
      const fresh = taken.steps - steps;
      steps = taken.steps;
      history.add(taken);
      root.dataset.steps = String(steps);
      numbers.set({ steps, epoch: (steps * batch) / count, speed: (1000 * fresh) / taken.time });
      if (performance.now() > due) picture();
      else if (!reducedMotion()) drawCurves();
    },
  });
  const reset = async () => {
    steps = 0;
    history.clear();
    root.dataset.steps = "0";
    numbers.set({ steps: 0, epoch: 0 });
    history.draw();
    await player.reset();
    onState(player.state);
  };

  const draw = () => {
    knob.draw();
    sizes?.set(model.get("batch_size"));
    numbers.set({ seed: model.get("seed") });
    batch = model.get("batch_size");
    code.draw();
  };
  const traits = bindTraits(model, ["numbers", "batch_size", "seed"], perFrame(draw));
  const knob = knobs(model, (name, value) => {
    if (steps) history.mark(steps, name, value);
    traits.put({ numbers: { ...model.get("numbers"), [name]: value } });
    drawCurves();
  });
  const play = ui.button({
    label: "Train",
    kind: "primary",
    onClick: () => (["playing", "loading"].includes(player.state) ? player.pause() : player.play()),
  });
  const step = ui.button({
    label: "One step",
    title: "Take one step and pause",
    onClick: () => player.play(1),
  });
  const again_ = ui.button({ label: "Reset", title: "Back to the first weights", onClick: reset });
  const reseed = ui.button({
    label: "New seed",
    title: "Another order of the batches and other noise, from the first weights",
    onClick() {
      traits.put({ seed: (model.get("seed") + 1) % 2 ** 32 });
      reset();
    },
  });
  const options = model.get("sizes").map((size) => ({
    value: size,
    label: size === count ? `all ${ui.grouped(size)}` : ui.grouped(size),
  }));
  const sizes =
    options.length > 1
      ? ui.segmented({
          ...{ label: "Batch", options, value: batch },
          onChange(size) {
            if (steps) history.mark(steps, "batch", size);
            traits.put({ batch_size: size });
          },
        })
      : null;
  const numbers = ui.readouts();
  const progress = h(
    "p",
    { class: "training-progress" },
    ...[
      "step ",
      numbers.make("steps", ui.grouped),
      " · epoch ",
      numbers.make("epoch", (v) => ui.fixed(v, 1)),
    ],
    ...[
      " · seed ",
      numbers.make("seed", String),
      " · ",
      numbers.make("speed", (v) => `${ui.grouped(Math.round(v))} steps/s`),
    ],
  );
  const status = ui.notice();
  const code = copier(() => {
    const values = {
      ...model.get("numbers"),
      batch_size: batch,
      seed: model.get("seed"),
      used: count - (count % batch),
    };
    return model.get("source").replace(/@(\w+)@/g, (_, name) => String(/** @type {any} */ (values)[name]));
  }, voice.say);

  const root = ui.frame(
    { title: model.get("title") },
    h(
      "div",
      { class: "companion-panel companion-sticky" },
      ui.row(play.el, step.el, again_.el, reseed.el, progress),
      knob.el,
    ),
    status.el,
    sizes ? ui.row(sizes.el, history.scale) : ui.row(history.scale),
    history.el,
    h("div", { class: "training-views" }, ...views.els),
    ui.row(code.button),
    code.code,
    voice.el,
  );
  el.append(root);
  onState("idle");
  draw();
  history.draw();
  return lifetime(player.stop, history.stop, traits.stop, followTheme(root, views.onTheme));
}

export default { render };

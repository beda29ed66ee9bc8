// Points in many dimensions as PCA, t-SNE and UMAP draw them; t-SNE runs here, some steps a frame. Whoever
// points at one sees its true neighbours, and how far the picture can be trusted.

import { explorer } from "./embedding/explorer.js";
import { detail } from "./embedding/detail.js";
import { distortions } from "./embedding/distortions.js";
import { scatter } from "./embedding/scatter.js";
import { sprites } from "./embedding/sprites.js";
import { followTheme } from "./ui/colours.js";
import * as ui from "./ui/controls.js";
import { h } from "./ui/controls.js";
import { bindTraits, failing, lifetime, perFrame, traitSlider, whenLoaded } from "./ui/lifetime.js";

/** @import { AnyModel, RenderProps } from "@anywidget/types" */
/** @import { State } from "./embedding/explorer.js" */
/** @import { Traits } from "./ui/lifetime.js" */

/** @type {Record<string, string>} */
const NAMES = { pca: "PCA", tsne: "t-SNE", umap: "UMAP" };

/** @type {Record<string, string>} */
const STORIES = {
  pca: "PCA: the two directions of most variance. It is linear, so nothing is torn, but much lies on top of each other.",
  tsne: "t-SNE: whoever is near in truth is drawn near. Sizes of groups and distances between them mean little.",
  umap: "UMAP: a graph of nearest neighbours, laid out. Sizes of groups and distances between them mean little here, too.",
};

const TELLING = 120; // milliseconds between what is said in words and numbers while t-SNE runs

/** 30, but 4.5: a perplexity as one says it. @param {number} v */
const short = (v) => ui.fixed(v, v < 10 ? 1 : 0);

/**
 * Which picture, and t-SNE's settings.
 * @param {Traits<State>} traits @param {ReturnType<typeof explorer>} work @param {number} count
 */
function controls(traits, work, count) {
  const { model } = traits;
  const views = Object.keys(NAMES).filter((way) => way === "tsne" || way in model.get("layouts"));
  const view = ui.segmented({
    label: "Picture",
    options: views.map((value) => ({ value, label: NAMES[value] })),
    value: model.get("view"),
    onChange: (value) => traits.put({ view: value }),
  });
  const run = ui.button({ label: "Run t-SNE", kind: "primary", onClick: () => go(Infinity) });
  run.el.dataset.wakes = "";
  const step = ui.button({ label: "One step", title: "Take one step and pause", onClick: () => go(1) });
  const restart = ui.button({
    label: "Restart",
    title: "Back to step 0",
    onClick: () => {
      work.restart();
      traits.draw();
    },
  });
  const reseed = ui.button({
    label: "New seed",
    title: "Another random start",
    onClick: () => traits.put({ seed: (model.get("seed") + 1) % 2 ** 32, init: "random", view: "tsne" }),
  });
  const go = (/** @type {number} */ steps) => {
    if (model.get("view") !== "tsne") traits.put({ view: "tsne" });
    if (steps === Infinity && work.runs) work.pause();
    else work.go(steps);
    traits.draw();
  };
  const numbers = ui.readouts();
  const whole = (/** @type {number} */ v) => ui.grouped(Math.round(v));
  const progress = h(
    "p",
    { class: "embedding-progress" },
    ...["step ", numbers.make("steps", whole), " · ", numbers.make("rate", whole), " steps/s"],
  );
  const slider = (/** @type {any} */ name, /** @type {any} */ options) => traitSlider(traits, name, options);
  const perplexity = slider("perplexity", {
    ...{ label: "Perplexity", min: 2, max: Math.min(100, (count - 1) / 3), format: short },
    ...{ scale: "log", step: 1.04, neutral: Math.min(30, (count - 1) / 3) },
    describe: (/** @type {number} */ v) => `${short(v)} neighbours, about`,
  });
  const exaggeration = slider("exaggeration", {
    ...{ label: "Early exaggeration", min: 1, max: 20, step: 0.5, neutral: 12 },
    format: (/** @type {number} */ v) => ui.fixed(v, 1),
  });
  const init = ui.segmented({
    label: "Start",
    options: [
      { value: "pca", label: "PCA" },
      { value: "random", label: "random" },
    ],
    value: model.get("init"),
    onChange: (value) => traits.put({ init: value }),
  });
  const own = ui.stack(
    ui.row(step.el, restart.el, reseed.el, init.el),
    ui.sliders(perplexity.el, exaggeration.el),
  );
  return {
    el: h("div", { class: "companion-panel" }, ui.row(view.el, run.el, progress), own),
    draw() {
      const isLive = model.get("view") === "tsne";
      view.set(model.get("view"));
      init.set(model.get("init"));
      own.hidden = progress.hidden = !isLive;
      run.el.replaceChildren(isLive && work.runs ? "Pause" : work.steps ? "Go on" : "Run t-SNE");
      numbers.set({ steps: work.steps, rate: work.rate });
    },
  };
}

/** What the page's numbers leave out, in words; nothing if that is nothing. @param {AnyModel<State>} model */
function loss(model) {
  const { of, dimensions, variance, neighbours } = model.get("kept");
  const per = (/** @type {number} */ share) => `${ui.fixed(100 * share, 1)}\u00a0%`;
  if (of === dimensions) return `The embedding has ${of} dimensions.`;
  return (
    `The embedding has ${of} dimensions; this page has ${dimensions} directions of them, with ${per(variance)} ` +
    `of the variance and ${per(neighbours)} of the 10 nearest neighbours.`
  );
}

/** @param {RenderProps<State>} props */
function render({ model, el }) {
  const voice = ui.announcer();
  const labels = model.get("labels");
  const names = model.get("class_names");
  const work = explorer(model, () => draw());
  const tiles = sprites(model.get("tiles"), labels, Math.max(names.length, 1));
  let [highlighted, told] = [-1, 0];

  const traits = bindTraits(
    model,
    ["view", "init", "seed", "selected"],
    perFrame(() => work.follow()),
  );
  const select = (/** @type {number} */ place) => {
    if (place !== model.get("selected")) traits.put({ selected: place });
  };
  const picture = scatter({ tiles, labels, names, onSelect: select });
  const tools = controls(traits, work, labels.length);
  const k = traitSlider(traits, "k", {
    ...{ label: "Neighbours", min: 1, max: Math.min(20, Math.floor((labels.length - 1) / 2)), step: 1 },
    format: String,
  });
  const highlight = ui.select({
    label: "Highlight",
    options: [{ value: -1, label: "all classes" }, ...names.map((label, value) => ({ value, label }))],
    value: -1,
    onChange: (value) => {
      highlighted = value;
      draw();
    },
  });
  const zoom = ui.slider({
    ...{ label: "Zoom", min: 1, max: 10, value: 1, neutral: 1, scale: "log", step: 1.05 },
    format: (v) => `×${ui.fixed(v, 1)}`,
    onInput: () => draw(),
  });
  const near = detail({ tiles, labels, names });
  const found = distortions(names, tiles);
  const story = h("span");

  const draw = () => {
    const selected = model.get("selected");
    const neighbours = work.neighbours(selected);
    const view = model.get("view");
    tools.draw();
    story.textContent = STORIES[view];
    picture.draw({
      plane: work.plane,
      selected,
      neighbours,
      highlighted,
      zoom: zoom.get(),
      view: NAMES[view],
    });
    const now = performance.now();
    if (!work.runs || now - told > TELLING) {
      told = now;
      near.draw(selected, neighbours);
      found.draw(work.found, work.classes());
    }
    root.dataset.steps = String(work.steps);
    if (traits.touched && !work.runs) voice.say(near.words());
  };
  const root = ui.frame(
    { title: model.get("title") },
    tools.el,
    h(
      "div",
      { class: "embedding-split" },
      picture.el,
      ui.stack(ui.sliders(k.el, zoom.el), names.length > 1 ? highlight.el : null, near.el),
    ),
    ui.note(
      story,
      " Lines lead to the true neighbours of the point that is looked at; dashed rings are round those that are " +
        "near it in the picture only.",
    ),
    found.el,
    ui.note(loss(model)),
    voice.el,
  );
  el.append(root);
  draw();
  work.ready.then(() => work.watch(root));
  whenLoaded(root, work.ready, failing(root));
  return lifetime(
    work.stop,
    () => traits.stop(),
    followTheme(root, (colours) => {
      tiles.onTheme(colours);
      picture.onTheme(colours);
      near.onTheme(colours);
      found.onTheme();
      draw();
    }),
  );
}

export default { render };

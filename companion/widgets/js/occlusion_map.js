// A patch over a picture: what a network says under it, and the map of what each place hides. The network is
// loaded when the reader asks for it; before that there is the map that Python made.

import { FILLS, filling, occluded } from "./maths/occlusion.js";
import { softmax } from "./maths/classification.js";
import { mapRun } from "./occlusion/map_run.js";
import { scores } from "./occlusion/scores.js";
import { stage } from "./occlusion/stage.js";
import { openModel } from "./runtime/session.js";
import * as ui from "./ui/controls.js";
import { h } from "./ui/controls.js";
import { UNIFORM, copyCode } from "./ui/copy_code.js";
import { followTheme, isDark } from "./ui/colours.js";
import { bindTraits, emit, lifetime, perFrame, traitSlider, whenLoaded } from "./ui/lifetime.js";
import { loadPicture, numbersOf, ownPicture } from "./ui/pictures.js";

/** @import { AnyModel, RenderProps } from "@anywidget/types" */
/** @import { Traits } from "./ui/lifetime.js" */
/** @import { Fill, Shape } from "./maths/occlusion.js" */
/** @import { Answer } from "./occlusion/scores.js" */

/** @typedef {[number, number][]} Pairs class and probability */
/**
 * @typedef {object} Known what Python found for the first picture
 * @property {number} target
 * @property {number} patch
 * @property {number} stride
 * @property {Fill} fill
 * @property {number[]} place
 * @property {Pairs} whole
 * @property {Pairs} under
 * @property {number[]} drops row by row
 */
/**
 * @typedef {object} State
 * @property {{ model: string, bytes: number }} network
 * @property {Shape} shape
 * @property {{ name: string, picture: string }[]} pictures
 * @property {string[]} class_names
 * @property {Known} known
 * @property {number} chosen picture; the reader's own comes last
 * @property {number} target
 * @property {number} patch
 * @property {number} stride
 * @property {Fill} fill
 * @property {number[]} place of the patch, [top, left]
 * @property {number} opacity of the map
 * @property {number} seed of the noise
 * @property {string} title
 */

const ANOTHER = -1; // of the list of classes

/** Softmax of one row of logits, as an answer. @param {ArrayLike<number>} logits @returns {Answer} */
function answerOf(logits) {
  const p = softmax(Array.from(logits));
  const order = [...p.keys()].sort((a, b) => p[b] - p[a]);
  return { of: (k) => p[k], top: order.slice(0, 5) };
}

/** The few probabilities that Python gave. @param {Pairs} pairs @returns {Answer} */
function answerFrom(pairs) {
  const known = new Map(pairs);
  const order = [...known.keys()].sort((a, b) => (known.get(b) ?? 0) - (known.get(a) ?? 0));
  return { of: (k) => known.get(k) ?? null, top: order.slice(0, 5) };
}

/**
 * The network: a button that loads it, how far that is, and what it says of an image.
 * @param {AnyModel<State>} model @param {() => void} onOpen
 */
function networkOf(model, onOpen) {
  const { model: sha256, bytes } = model.get("network");
  const shape = model.get("shape");
  const size = (/** @type {number} */ count) => `${ui.fixed(count / 1e6, count < 1e5 ? 2 : 1)} MB`;
  /** @type {Record<"under" | "whole", Awaited<ReturnType<typeof openModel>>> | null} */
  let sessions = null;
  let ended = false;
  const load = ui.button({ label: `Load the network, ${size(bytes)}`, kind: "primary", onClick: open });
  load.el.dataset.wakes = "";
  const bar = h("progress", { "aria-label": "Loading the network", max: bytes, hidden: true });
  const status = ui.notice("It runs here, in this page: nothing that you show it leaves your machine.");
  async function open() {
    load.enable(false);
    bar.hidden = false;
    status.set("Loading …");
    try {
      const onProgress = (/** @type {number} */ loaded, /** @type {number} */ total) => {
        [bar.value, bar.max] = [loaded, total];
        status.set(loaded < total ? `${size(loaded)} of ${size(total)}` : "Starting …");
      };
      const [under, whole] = await Promise.all([
        openModel(sha256, model, { onProgress }),
        openModel(sha256, model),
      ]);
      if (ended) for (const session of [under, whole]) session.release();
      if (ended) return;
      sessions = { under, whole };
      el.hidden = true;
      onOpen();
    } catch (error) {
      load.el.replaceChildren("Try again");
      load.enable(true);
      bar.hidden = true;
      status.set(`The network could not be loaded: ${/** @type {Error} */ (error).message}`, "error");
    }
  }
  const inputs = (/** @type {Float32Array} */ image) => ({ image: { data: image, dims: [1, ...shape] } });
  const logits = (/** @type {any} */ outputs) => outputs && /** @type {Float32Array} */ (outputs.logits.data);
  const el = h("div", { class: "companion-panel" }, ui.row(load.el, bar), status.el);
  return {
    el,
    open,
    isOpen: () => sessions !== null,
    /** Of two kinds of questions the newest of each is answered; null for the others. @param {"under" | "whole"} kind @param {Float32Array} image */
    ask: async (kind, image) =>
      logits(sessions && (await sessions[kind].run(inputs(image), { transfer: true }))),
    /** Once the reader waits for nothing. @param {Float32Array} image @param {() => boolean} isWanted */
    async whenIdle(image, isWanted) {
      return logits(sessions && (await sessions.whole.whenIdle(inputs(image), isWanted, { transfer: true })));
    },
    stop() {
      ended = true;
      for (const session of Object.values(sessions ?? {})) session.release();
    },
  };
}

/**
 * Which picture: one of the widget's, or the reader's own, which may be dropped onto `target`.
 * @param {AnyModel<State>} model @param {HTMLElement} target
 * @param {{ onChoose: (index: number) => void, onOwn: (pixels: ImageData) => void }} on
 */
function pictureChoice(model, target, { onChoose, onOwn }) {
  const [, height, width] = model.get("shape");
  const options = model.get("pictures").map(({ name }, value) => ({ value, label: name }));
  const own = options.length;
  const place = h("div", { class: "companion-field" });
  const trouble = ui.notice();
  const offer = () => {
    const list = ui.select({ label: "Picture", options, value: model.get("chosen"), onChange: onChoose });
    place.replaceChildren(list.el);
    return list;
  };
  let list = offer();
  const mine = ownPicture({
    target,
    fit: { width, height },
    onTrouble: (sentence) => trouble.set(sentence, "error"),
    onPicture(pixels, name) {
      options[own] = { value: own, label: name };
      list = offer();
      onOwn(pixels);
    },
  });
  return {
    el: ui.stack(ui.row(place, ...mine.els), mine.view, trouble.el),
    set: (/** @type {number} */ index) => list.set(index),
    name: (/** @type {number} */ index) => options[index]?.label ?? "",
    stop: mine.stop,
  };
}

/**
 * Which class: the first guesses for the picture, or any other by its name.
 * @param {AnyModel<State>} model @param {(target: number) => void} onChoose
 */
function classChoice(model, onChoose) {
  const names = model.get("class_names");
  const place = h("div", { class: "companion-row" });
  let shown = "";
  const everyClass = () => {
    const sorted = names.map((label, value) => ({ value, label }));
    sorted.sort((a, b) => a.label.localeCompare(b.label));
    const all = ui.select({
      label: "Any class",
      options: sorted,
      value: model.get("target"),
      onChange: onChoose,
    });
    place.append(all.el);
    all.input.focus();
  };
  return {
    el: place,
    /** @param {number[]} guesses */
    offer(guesses) {
      const target = model.get("target");
      const first = names.length <= 12 ? [...names.keys()] : [...new Set([...guesses, target])];
      const isMore = first.length < names.length;
      const key = `${first} ${target}`;
      if (key === shown) return;
      shown = key;
      const list = ui.select({
        label: "Class",
        options: [
          ...first.map((value) => ({ value, label: names[value] })),
          ...(isMore ? [{ value: ANOTHER, label: "another …" }] : []),
        ],
        value: target,
        onChange: (value) => (value === ANOTHER ? everyClass() : onChoose(value)),
      });
      place.replaceChildren(list.el);
    },
  };
}

/**
 * The patch inside of the picture.
 * @param {number[]} place @param {Shape} shape @param {number} patch
 */
const inside = (place, [, ...sides], patch) => place.map((v, axis) => ui.clamp(v, 0, sides[axis] - patch));

/** Patch, stride and fill, and how much of the map is seen. @param {Traits<State>} traits */
function knobs(traits) {
  const { model } = traits;
  const shape = model.get("shape");
  const side = Math.min(shape[1], shape[2]);
  const [patch, stride] = [model.get("patch"), model.get("stride")];
  const pixels = {
    step: 1,
    format: (/** @type {number} */ v) => `${v} px`,
    describe: (/** @type {number} */ v) => `${v} pixels`,
  };
  const size = traitSlider(traits, "patch", {
    ...{ label: "Patch", ...pixels },
    min: Math.min(patch, Math.ceil(side / 20)),
    max: Math.max(patch, Math.round(side / 2)),
    // A larger stride would pass over pixels, and the patch stays where its middle was.
    onInput(next) {
      const shift = Math.round((model.get("patch") - next) / 2);
      traits.put({
        patch: next,
        stride: Math.min(model.get("stride"), next),
        place: inside(
          model.get("place").map((v) => v + shift),
          shape,
          next,
        ),
      });
    },
  });
  const step = traitSlider(traits, "stride", {
    ...{ label: "Stride", name: "Stride of the map", ...pixels },
    min: Math.min(stride, Math.ceil(side / 32)),
    max: patch,
  });
  const fill = ui.segmented({
    label: "Patch shows",
    options: FILLS,
    value: model.get("fill"),
    onChange: (value) => traits.put({ fill: value }),
  });
  const opacity = traitSlider(traits, "opacity", {
    ...{ label: "Map", name: "How much of the map is seen", min: 0, max: 1, step: 0.05 },
    format: (v) => `${Math.round(100 * v)} %`,
  });
  return {
    el: ui.stack(fill.el, ui.sliders(size.el, step.el)),
    opacity: ui.sliders(opacity.el),
    draw() {
      size.set(model.get("patch"));
      step.limit(model.get("patch"));
      step.set(model.get("stride"));
      fill.set(model.get("fill"));
    },
  };
}

/** The patch in PyTorch, with the network and the pictures of the reader's own page. @param {AnyModel<State>} model @param {{ top: number, left: number }} place */
function codeOf(model, { top, left }) {
  const fill = model.get("fill");
  const filling = {
    grey: "torch.full_like(image, 0.5)",
    mean: "image.mean((1, 2), keepdim=True).expand_as(image)",
    blur: "F.avg_pool2d(\n    image, 2 * (patch // 2) + 1, 1, patch // 2, count_include_pad=False\n)",
    noise: `torch.from_numpy(uniform(${model.get("seed")}, image.numel())).float().view_as(image)`,
  }[fill];
  return `import torch
from captum.attr import Occlusion
from torch.nn import functional as F
${fill === "noise" ? UNIFORM : ""}
# \`model\` and \`images\` are those that this map was made with: images
# N×C×H×W with values from 0 to 1, and a network that takes them as they are.
image = images[${model.get("chosen")}]
target, patch, stride = ${model.get("target")}, ${model.get("patch")}, ${model.get("stride")}
top, left = ${top}, ${left}

filling = ${filling}
hidden = image.clone()
part = (..., slice(top, top + patch), slice(left, left + patch))
hidden[part] = filling[part]

def probabilities(x):
    with torch.no_grad():
        return model(x).softmax(1)

before, after = probabilities(torch.stack([image, hidden]))[:, target]
print(before.item(), after.item(), (before - after).item())

# The map: for each pixel the mean drop of the patches that cover it.
channels = len(image)
drops = Occlusion(probabilities).attribute(
    image[None], target=target, baselines=filling[None],
    sliding_window_shapes=(channels, patch, patch),
    strides=(channels, stride, stride),
)[0, 0]
print(drops.shape, drops.min().item(), drops.max().item())
`;
}

/**
 * The code, but of the reader's own picture, which is in no list.
 * @param {AnyModel<State>} model @param {() => { top: number, left: number }} placeOf @param {(text: string) => void} say
 */
function copied(model, placeOf, say) {
  const { el, draw } = copyCode({ what: "the patch", code: () => codeOf(model, placeOf()), say });
  return {
    el,
    draw() {
      el.hidden = model.get("chosen") >= model.get("pictures").length;
      draw();
    },
  };
}

/** @param {RenderProps<State>} props */
function render({ model, el }) {
  const [shape, known] = [model.get("shape"), model.get("known")];
  const names = model.get("class_names");
  const voice = ui.announcer();
  /** @type {Float32Array[]} */
  const pictures = []; // C×H×W; the reader's own comes last
  /** @type {{ whole: Answer | null, under: Answer | null }} */
  const said = { whole: null, under: null };
  let [ended, asked, shown, own] = [false, "", -1, 0];

  const current = () => pictures[model.get("chosen")] ?? pictures[0];
  const fillOf = () =>
    filling(current(), shape, {
      ...{ fill: model.get("fill"), patch: model.get("patch"), seed: model.get("seed") },
    });
  const placeOf = () => {
    const [top, left] = inside(model.get("place"), shape, model.get("patch"));
    return { top, left };
  };
  /** What Python said, as long as it is about what is on show. */
  const recall = () => {
    const isFirst = model.get("chosen") === 0;
    const isSame =
      isFirst &&
      known.patch === model.get("patch") &&
      known.fill === model.get("fill") &&
      known.place.every((v, axis) => v === model.get("place")[axis]);
    said.whole = isFirst ? answerFrom(known.whole) : null;
    said.under = isSame ? answerFrom(known.under) : null;
  };
  const ask = async (/** @type {"whole" | "under"} */ kind, /** @type {Float32Array} */ image) => {
    const picture = shown;
    const logits = await network.ask(kind, image);
    if (!logits || ended || picture !== shown) return;
    said[kind] = answerOf(logits);
    showScores();
    map.draw();
  };
  /** A new picture, or the first one once there is a network. */
  const meet = async (/** @type {boolean} */ takesGuess) => {
    said.whole = said.under = null;
    asked = "";
    if (!network.isOpen()) return recall();
    await ask("whole", current().slice());
    const { whole } = /** @type {{ whole: Answer | null }} */ (said);
    if (takesGuess && whole && !ended) traits.put({ target: whole.top[0] });
  };
  const askUnder = (/** @type {Float32Array} */ numbers, /** @type {string} */ key) => {
    if (!network.isOpen()) return recall();
    if (key === asked) return;
    asked = key;
    ask("under", numbers).then(() => emit(root, "answered"));
  };
  const showScores = () => {
    const target = model.get("target");
    list.draw(said.whole, said.under, target);
    choice.offer(said.whole?.top ?? []);
    const [before, after] = [said.whole, said.under].map((answer) => answer?.of(target) ?? null);
    if (traits.touched && before !== null && after !== null)
      voice.say(`${names[target]} ${ui.fixed(after, 3)} under the patch, ${ui.fixed(before, 3)} without it.`);
  };
  const draw = () => {
    if (!current() || ended) return;
    const [patch, stride, place] = [model.get("patch"), model.get("stride"), placeOf()];
    const picture = model.get("chosen") + own;
    const settings = { patch, stride, fill: model.get("fill"), seed: model.get("seed"), picture };
    if (picture !== shown) {
      const isFirst = shown < 0;
      shown = picture;
      meet(!isFirst);
    }
    sources.set(model.get("chosen"));
    for (const part of [knob, code]) part.draw();
    const numbers = occluded(current(), fillOf(), shape, place, patch);
    view.draw({ numbers, place, patch, stride, name: sources.name(model.get("chosen")) });
    map.follow(settings);
    map.look({ opacity: model.get("opacity") });
    askUnder(numbers, [...Object.values(settings), place.top, place.left].join());
    showScores();
  };
  const traits = bindTraits(model, ["chosen", "target", "fill", "place", "seed"], perFrame(draw));

  const network = networkOf(model, () => {
    meet(false);
    draw();
  });
  const view = stage(shape, {
    onMove: ({ top, left }) => traits.put({ place: inside([top, left], shape, model.get("patch")) }),
  });
  const list = scores(names);
  const choice = classChoice(model, (target) => traits.put({ target }));
  const knob = knobs(traits);
  const code = copied(model, placeOf, voice.say);
  const map = mapRun({
    ...{ shape, known, isOpen: network.isOpen, onMap: view.overlay, say: voice.say },
    image: () => ({ numbers: current(), fill: fillOf() }),
    async ask(image, isWanted) {
      const logits = await network.whenIdle(image, isWanted);
      return logits && answerOf(logits);
    },
    whole: () => said.whole,
    target: () => model.get("target"),
    onGo: ({ top, left }) => traits.put({ place: inside([top, left], shape, model.get("patch")) }),
  });
  const root = ui.frame({
    title: model.get("title"),
    describe:
      "Move the patch over the picture, by pointer, finger or arrow keys, and read what the network makes of " +
      "the rest.",
  });
  const sources = pictureChoice(model, root, {
    onChoose: (chosen) => traits.put({ chosen }),
    onOwn(pixels) {
      own += 1; // another picture, though its number is the same
      pictures[model.get("pictures").length] = numbersOf(pixels, shape[0]);
      traits.put({ chosen: model.get("pictures").length });
    },
  });
  root.firstElementChild?.append(
    network.el,
    sources.el,
    h(
      "div",
      { class: "occlusion-stage" },
      ui.stack(view.el, map.legend, knob.opacity),
      ui.stack(choice.el, list.el, ui.panel({}, knob.el, map.el)),
    ),
    code.el,
    voice.el,
  );
  el.append(root);
  const load = async () => {
    const decoded = await Promise.all(model.get("pictures").map((one) => loadPicture(one.picture)));
    if (ended) return;
    pictures.push(...decoded.map((image) => numbersOf(image, shape[0])));
    draw();
    // In a notebook the network came with the widget.
    if (/** @type {any} */ (model).get("_files")?.[model.get("network").model]) network.open();
  };
  whenLoaded(root, load());
  const unfollow = followTheme(root, (colours) => map.look({ dark: isDark(colours) }));
  return lifetime(
    () => {
      ended = true;
    },
    ...[map.stop, network.stop, sources.stop, () => traits.stop(), unfollow],
  );
}

export default { render };

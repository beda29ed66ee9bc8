// A walk between two codes of a GAN, more of its samples, and its critic on a drawing. See FoolTheCritic in
// fool_the_critic.py.

import { branch, noise } from "./maths/noise.js";
import { axis, chart, dots, linear, mark, setAll, text } from "./ui/axes.js";
import { imageGrid } from "./ui/canvas.js";
import * as ui from "./ui/controls.js";
import { h } from "./ui/controls.js";
import { drawingPad } from "./ui/drawing_pad.js";
import { imagePicker } from "./ui/image_picker.js";
import { bindTraits, emit, lifetime, observeWidth, perFrame, traitSlider } from "./ui/lifetime.js";
import { wakingNetwork } from "./ui/waking.js";

/** @import { AnyModel, RenderProps } from "@anywidget/types" */
/** @import { Point } from "./ui/axes.js" */

/**
 * @typedef {object} State
 * @property {{ model: string, bytes: number }} network
 * @property {number} side of an image, in pixels
 * @property {number} latent_dim
 * @property {number} seed
 * @property {number} start
 * @property {number} end
 * @property {number} t
 * @property {number} page
 * @property {{ name: string, real: number[], generated: number[] }} ranks logits, equal shares of the images apart
 * @property {{ picture: string, caption: string, logit: number }[]} examples
 * @property {number} first_logit of the image of the walk at first
 * @property {string} title
 */
/** @typedef {{ what: string, logit: number }} Judged */

const FRAMES = 9;
const SAMPLES = 12;
const MOST = 10_000; // codes that a reader can ask for; those of samples come after
const PAUSE = 120; // milliseconds after a move, before all pictures are made anew
const percent = (/** @type {number | null} */ v) => (v === null ? "–" : `${ui.fixed(100 * v, 0)} %`);
const two = (/** @type {number | null} */ v) => (v === null ? "–" : ui.fixed(v, 2));
const sigmoid = (/** @type {number} */ v) => 1 / (1 + Math.exp(-v));

/** Higher than which share. @param {number} logit @param {number[]} quantiles */
function rank(logit, quantiles) {
  const last = quantiles.length - 1;
  if (logit <= quantiles[0]) return 0;
  if (logit >= quantiles[last]) return 1;
  const k = quantiles.findLastIndex((each) => each <= logit);
  return (k + (logit - quantiles[k]) / (quantiles[k + 1] - quantiles[k])) / last;
}

/**
 * The code at t of the walk between two: its direction along the arc, its length evenly.
 * @param {Float64Array} a @param {Float64Array} b @param {number} t
 */
function onArc(a, b, t) {
  const [la, lb] = [Math.hypot(...a), Math.hypot(...b)];
  const cosine = a.reduce((sum, each, i) => sum + each * b[i], 0) / (la * lb);
  const angle = Math.acos(ui.clamp(cosine, -1, 1));
  if (angle < 1e-6) return a;
  const length = ((1 - t) * la + t * lb) / Math.sin(angle);
  const [from, to] = [Math.sin((1 - t) * angle) / la, Math.sin(t * angle) / lb];
  return a.map((each, i) => length * (from * each + to * b[i]));
}

/** The codes of the widget's seed. @param {AnyModel<State>} model */
function codesOf(model) {
  const dim = model.get("latent_dim");
  // As Python has them: single precision.
  const code = (/** @type {number} */ number) =>
    Float64Array.from(Float32Array.from(noise(branch(model.get("seed"), 0, number), dim)));
  return {
    /** @param {number} t */
    walk: (t) => onArc(code(model.get("start")), code(model.get("end")), t),
    /** @param {number} k */
    sample: (k) => code(MOST + SAMPLES * model.get("page") + k),
  };
}

/** Where a logit lies among those of real and of generated images. @param {State["ranks"]} ranks */
function scale({ name, real, generated }) {
  const bottom = axis("bottom");
  const rows = [
    { quantiles: real, y: 34, words: name, dotted: mark("path", "companion-trail critic-dots", "data-3") },
    {
      quantiles: generated,
      y: 74,
      words: "generated",
      dotted: mark("path", "companion-trail critic-dots", "data-5"),
    },
  ];
  const names = rows.map(({ words, y }) => text(words, { x: 0, y: y - 12, class: "companion-halo" }));
  const tints = ["data-1", "data-4"];
  const marks = tints.map((tint) => mark("line", "critic-mark", tint));
  const { el, svg } = chart(
    { height: 140 },
    bottom.el,
    ...names,
    ...rows.map(({ dotted }) => dotted),
    ...marks,
  );
  /** @type {[Judged, number] | null} */
  let last = null;
  const show = () => {
    const width = column.width || 320;
    const all = [...real, ...generated, ...(last ? [last[0].logit, last[1]] : [])];
    const x = linear([Math.floor(Math.min(...all)), Math.ceil(Math.max(...all))], [8, width - 8]);
    for (const { dotted, quantiles, y } of rows)
      setAll(dotted, { d: dots(quantiles.map((v) => /** @type {Point} */ ([x(v), y]))) });
    bottom.draw({ scale: x, at: 94, from: 8, to: width - 8, count: 6, name: "critic’s logit" });
    if (!last) return;
    const places = [last[0].logit, last[1]].map(x);
    marks.forEach((each, k) => {
      setAll(each, { x1: places[k], x2: places[k], y1: k ? 60 : 16, y2: 94 });
    });
    setAll(svg, {
      "aria-label":
        `The critic’s logits: ${last[0].what} ${ui.spoken(last[0].logit)}, the image of the walk ${ui.spoken(last[1])}; ` +
        `half of ${name} lie above ${ui.spoken(real[real.length >> 1])}, ` +
        `half of the generated images above ${ui.spoken(generated[generated.length >> 1])}.`,
    });
  };
  const column = observeWidth(el, show);
  return {
    el: ui.stack(
      el,
      ui.legend([
        { token: "data-1", label: "what you show", mark: "dotted" },
        { token: "data-4", label: "the image of the walk", mark: "dotted" },
      ]),
      ui.note("Each dot stands for 2.5 % of the images."),
    ),
    /** @param {Judged} judged @param {number} walk logit */
    draw(judged, walk) {
      last = [judged, walk];
      show();
    },
    stop: column.stop,
  };
}

/** What the critic says, in words. @param {State["ranks"]} ranks */
function verdict({ name, real, generated }) {
  const numbers = ui.readouts(two);
  const what = h("strong");
  return {
    el: h(
      "p",
      {},
      ...[
        what,
        ": logit ",
        numbers.make("logit"),
        ", D = ",
        numbers.make("d"),
        ". More real to the critic than ",
      ],
      ...[numbers.make("rank_real", percent), ` of ${name} and than `],
      ...[numbers.make("rank_generated", percent), " of what the generator makes."],
    ),
    /** @param {Judged} judged */
    draw({ what: shown, logit }) {
      what.textContent = shown;
      const ranks = { rank_real: rank(logit, real), rank_generated: rank(logit, generated) };
      numbers.set({ logit, d: sigmoid(logit), ...ranks });
    },
  };
}

/** The walk: two codes, a slider between them, frames, samples. @param {import("./ui/lifetime.js").Traits<State>} traits */
function walking(traits) {
  const { model, put } = traits;
  const shape = [1, model.get("side"), model.get("side")];
  const hero = imageGrid(shape, { label: "The image of the walk", still: "walk" });
  hero.el.classList.add("critic-image");
  const film = imageGrid(shape, { columns: FRAMES, label: "Nine images along the walk", still: "film" });
  const more = imageGrid(shape, {
    ...{ columns: SAMPLES / 2, rows: 2, label: "Twelve more samples of the generator", still: "samples" },
  });
  for (const each of [film, more]) each.el.classList.add("critic-film");
  const next = (/** @type {"start" | "end" | "page"} */ name) =>
    // Each press another code; start and end never have the same.
    put({ [name]: (model.get(name) + (name === "page" ? 1 : 2)) % MOST });
  const numbers = ui.readouts(two);
  const t = traitSlider(traits, "t", {
    ...{ label: ui.maths("t"), name: "Where on the walk", min: 0, max: 1, step: 0.01 },
  });
  const press = (/** @type {string} */ label, /** @type {() => void} */ onClick) =>
    ui.button({ label, onClick }).el;
  return {
    els: [
      h(
        "div",
        { class: "critic-pair" },
        hero.el,
        ui.stack(
          h(
            "p",
            {},
            "G(z) of the walk: logit ",
            numbers.make("walk_logit"),
            ", D = ",
            numbers.make("walk_d"),
            ".",
          ),
          ui.row(
            press("Other start", () => next("start")),
            press("Other end", () => next("end")),
          ),
        ),
      ),
      ui.sliders(t.el),
      film.el,
      ui.row(press("More samples", () => next("page"))),
      more.el,
    ],
    /** @param {ArrayLike<number>} images @param {number} count of them: one, or all */
    draw(images, count) {
      hero.draw(images, 0);
      if (count === 1) return;
      for (let k = 0; k < FRAMES; k += 1) film.draw(images, 1 + k, k);
      for (let k = 0; k < SAMPLES; k += 1)
        more.draw(images, 1 + FRAMES + k, k % (SAMPLES / 2), Math.floor((2 * k) / SAMPLES));
    },
    /** @param {number} logit */
    say: (logit) => numbers.set({ walk_logit: logit, walk_d: sigmoid(logit) }),
  };
}

/** @param {RenderProps<State>} props */
function render({ model, el }) {
  const [side, dim, examples] = [model.get("side"), model.get("latent_dim"), model.get("examples")];
  const voice = ui.announcer();
  const status = ui.notice();
  const codes = codesOf(model);
  const ranks = model.get("ranks");
  const real = (/** @type {number} */ k) => ({
    what: `Digit ${examples[k].caption}`,
    logit: examples[k].logit,
  });
  let judged = real(0);
  let walkLogit = model.get("first_logit");
  /** @type {Float32Array} */
  let drawing = new Float32Array(side * side);
  let [isDrawn, isWhole] = [false, false]; // the drawing waits for its verdict; all pictures are of these codes
  /** @type {ReturnType<typeof setTimeout>} */
  let timer;

  const show = () => {
    walk.say(walkLogit);
    says.draw(judged);
    places.draw(judged, walkLogit);
  };
  const net = wakingNetwork(model, {
    ...{ network: model.get("network"), label: "Load generator and critic", say: status.set },
    onOpen() {
      emit(root, "opened");
      ask(true);
    },
  });
  const root = ui.frame({ title: model.get("title") });
  let awake = false;
  /** Have the engine make one image, or all of them. */
  const ask = async (whole = false) => {
    awake = true;
    clearTimeout(timer);
    const count = whole ? 1 + FRAMES + SAMPLES : 1;
    const z = new Float32Array(count * dim);
    const places_ = [model.get("t"), ...Array.from({ length: FRAMES }, (_, k) => k / (FRAMES - 1))];
    for (let k = 0; k < count; k += 1)
      z.set(k <= FRAMES ? codes.walk(places_[k]) : codes.sample(k - 1 - FRAMES), k * dim);
    const image = new Float32Array(count * side * side);
    image.set(drawing);
    const wasDrawn = isDrawn;
    try {
      const found = await net.run({
        z: { data: z, dims: [count, dim] },
        image: { data: image, dims: [count, 1, side, side] },
      });
      if (!found) return;
      walk.draw(/** @type {Float32Array} */ (found.sample.data), count);
      walkLogit = Number(found.of_sample.data[0]);
      isWhole ||= whole;
      if (wasDrawn) {
        judged = { what: "Your drawing", logit: Number(found.of_image.data[0]) };
        voice.say(`Your drawing: higher than ${percent(rank(judged.logit, ranks.real))} of ${ranks.name}.`);
      }
      show();
      emit(root, "painted", { judged, whole, walk: walkLogit });
      if (!isWhole) timer = setTimeout(ask, PAUSE, true);
    } catch (error) {
      status.set(`The network could not be run: ${/** @type {Error} */ (error).message}`, "error");
    }
  };
  const seen = () =>
    /** @type {const} */ (["seed", "start", "end", "page"]).map((name) => model.get(name)).join();
  let before = seen();
  const draw = () => {
    const now = seen();
    if (now !== before) isWhole = false;
    before = now;
    if (traits.touched || awake) ask();
  };
  const traits = bindTraits(model, ["seed", "start", "end", "page"], perFrame(draw));
  const walk = walking(traits);
  const says = verdict(ranks);
  const places = scale(ranks);
  const picker = imagePicker({
    ...{ label: "Real digits", value: 0, crisp: true },
    tiles: examples.map(({ picture, caption }, value) => ({ picture, caption, value })),
    name: (caption) => `real digit ${caption}`,
    onChange(k) {
      isDrawn = false;
      judged = real(k);
      show();
      voice.say(`${judged.what}: higher than ${percent(rank(judged.logit, ranks.real))} of ${ranks.name}.`);
    },
  });
  const pad = drawingPad({
    ...{ label: "Draw a digit for the critic", height: side, width: side, centre: true },
    onChange(image) {
      drawing = image;
      isDrawn = image.some((v) => v > 0);
      picker.set(undefined);
      if (isDrawn) ask();
    },
  });
  root
    .querySelector(".companion-body")
    ?.append(
      ui.row(net.wake),
      status.el,
      h(
        "div",
        { class: "companion-halves" },
        ui.panel({ title: "Walk through the codes" }, ...walk.els),
        ui.panel(
          { title: "Fool the critic" },
          pad.el,
          ui.note("Or have it judge one of these, written by people:"),
          picker.el,
        ),
      ),
      ui.plate({ title: "What the critic says" }, says.el, places.el),
      voice.el,
    );
  el.append(root);
  show();
  return lifetime(
    net.stop,
    places.stop,
    () => clearTimeout(timer),
    () => traits.stop(),
  );
}

export default { render };

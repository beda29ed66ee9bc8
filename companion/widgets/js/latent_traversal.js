// A walk through a decoder's latent space: by a slider for each latent, on a pad over two of them,
// along the way between two images, or by samples. See LatentTraversal in latent_traversal.py for the state.

import { noise } from "./maths/noise.js";
import { openDecoder } from "./runtime/session.js";
import { imageGrid } from "./ui/canvas.js";
import * as ui from "./ui/controls.js";
import { h } from "./ui/controls.js";
import { filmStrip } from "./ui/film_strip.js";
import { imagePicker } from "./ui/image_picker.js";
import { latentPad } from "./ui/latent_pad.js";
import { emit, failing, lifetime, throttle, whenLoaded } from "./ui/lifetime.js";

/** @import { AnyModel, RenderProps } from "@anywidget/types" */
/** @import { Changes } from "./ui/latent_pad.js" */
/** @import { Scene } from "./ui/film_strip.js" */
/** @typedef {AnyModel<State>} Model */

/**
 * @typedef {object} State
 * @property {number[]} z
 * @property {string} decoder SHA-256 of the exported model
 * @property {number} latent_dim
 * @property {number[]} image_shape C×H×W
 * @property {[number, number]} value_range of every latent
 * @property {string[]} labels
 * @property {number[]} order latents, the most informative first
 * @property {number[]} unused latents
 * @property {number[] | null} kl_per_dim in nats
 * @property {Example[]} examples
 * @property {number} seed of the samples
 * @property {string} title
 */

/** @typedef {{ code: number[], picture: string, caption: string, sigma?: number[] }} Example */

const CRISP = 32; // images up to this wide are shown small with sharp pixels, larger ones smoothed

/**
 * The latent vector: what the reader does to it goes to Python, what Python does to it comes back.
 * @param {Model} model
 * @param {(changed: Set<number>) => void} onChange after each move, with the latents that moved
 */
function latentVector(model, onChange) {
  const z = Float64Array.from(model.get("z"));
  // Set and sent in one go: the kernel's echo of an earlier point then never overtakes the reader.
  const send = throttle(() => {
    model.set(
      "z",
      Array.from(z, (value) => Number(value.toFixed(4))),
    );
    model.save_changes();
  }, 80);
  const set = (/** @type {ArrayLike<number>} */ next) => {
    const before = z.slice();
    z.set(next);
    onChange(new Set([...z.keys()].filter((i) => z[i] !== before[i])));
  };
  const moveTo = (/** @type {ArrayLike<number>} */ next) => {
    set(next);
    send();
  };
  // Python may move z too, and so may a second view of the same widget.
  const fromPython = () => {
    const next = model.get("z");
    if (next.some((value, i) => Math.abs(value - z[i]) >= 1e-4)) set(next);
  };
  model.on("change:z", fromPython);
  return {
    z,
    moveTo,
    /** @param {Changes} changes */
    move(changes) {
      const next = z.slice();
      for (const [latent, value] of changes) next[latent] = value;
      moveTo(next);
    },
    stop: () => model.off("change:z", fromPython),
  };
}

/**
 * A slider for each latent, those that the model leaves unused apart.
 * @param {Model} model
 * @param {{ onMove: (changes: Changes) => void, onLook: (latent: number) => void }} options onLook: the
 *   reader comes near a slider
 */
function sliderRack(model, { onMove, onLook }) {
  const [labels, order, kl] = [model.get("labels"), model.get("order"), model.get("kl_per_dim")];
  const [low, high] = model.get("value_range");
  const unused = new Set(model.get("unused"));
  // A bar for next to nothing must not look long, even where nothing is longer.
  const full = Math.max(0.5, ...(kl ?? []));
  /** @param {number} nats */
  const meter = (nats) => {
    const bar = ui.bar({ share: nats / full, token: "data-3" });
    return h("span", { class: "traversal-kl" }, `${nats.toFixed(1)} nats`, bar.el);
  };
  const describe = (/** @type {number} */ i, /** @type {number} */ value) => {
    const words = [labels[i], `value ${ui.spoken(value, 1)}`];
    if (kl) words.push(unused.has(i) ? "unused by the model" : `${kl[i].toFixed(1)} nats`);
    return words.join(", ");
  };
  /** @type {ReturnType<typeof ui.slider>[]} */
  const controls = [];
  for (const i of order) {
    const slider = ui.slider({
      label: labels[i],
      min: low,
      max: high,
      step: (high - low) / 120,
      value: model.get("z")[i],
      neutral: ui.clamp(0, low, high),
      describe: (value) => describe(i, value),
      annotation: kl ? meter(kl[i]) : undefined,
      onInput: (value) => onMove([[i, value]]),
    });
    slider.input.addEventListener("focus", () => onLook(i));
    slider.el.addEventListener("pointerenter", (event) => {
      if (!event.buttons) onLook(i);
    });
    controls[i] = slider;
  }
  const rows = (/** @type {boolean} */ wanted) =>
    ui.sliders(...order.filter((i) => unused.has(i) === wanted).map((i) => controls[i].el));
  const el = h("div", { class: "traversal-sliders" });
  if (unused.size < order.length) el.append(rows(false));
  if (unused.size) el.append(h("p", { class: "traversal-unused" }, "unused by the model"), rows(true));
  return {
    el,
    /** @param {number} latent @param {number} value */
    set: (latent, value) => controls[latent].set(value),
  };
}

/**
 * The way between the codes of two images that the reader picks.
 * @param {Example[]} examples
 * @param {{ crisp: boolean, onMove: (z: number[]) => void, onPick: () => void }} options
 */
function wayBetween(examples, { crisp, onMove, onPick }) {
  const ends = [0, 1];
  const point = (/** @type {number} */ t) => {
    const [a, b] = ends.map((k) => examples[k].code);
    return a.map((value, i) => (1 - t) * value + t * b[i]);
  };
  const slider = ui.slider({
    label: "A to B",
    min: 0,
    max: 1,
    step: 0.01,
    value: 0,
    describe: (value) => {
      const [a, b] = ends.map((k) => examples[k].caption);
      return `${Math.round(100 * value)} % of the way from ${a} to ${b}`;
    },
    onInput: (value) => onMove(point(value)),
  });
  const pickers = ["A", "B"].map((name, end) => {
    const picker = imagePicker({
      label: name,
      name: (caption) => `${name}: ${caption}`,
      tiles: examples.map(({ picture, caption }, value) => ({ value, caption, picture })),
      value: ends[end],
      crisp,
      onChange: (k) => {
        ends[end] = k;
        onPick();
        onMove(point(slider.get()));
      },
    });
    const letter = h("span", { class: "traversal-end", "aria-hidden": "true" }, name);
    return h("div", { class: "traversal-pick" }, letter, picker.el);
  });
  return {
    el: h("div", { class: "traversal-between" }, ...pickers, slider.el),
    point,
    get: slider.get,
    /** @param {number} t */
    go(t) {
      slider.set(t);
      onMove(point(t));
    },
  };
}

const DRAWS = 9; // as many as the film strip shows

/**
 * Codes drawn from the Gaussian that the encoder answers an image with.
 * @param {(Example & { sigma: number[] })[]} examples
 * @param {{ crisp: boolean, seed: number, onMove: (z: number[]) => void, onPick: () => void,
 *   say: (words: string) => void }} options onPick: another image, or other draws
 */
function aroundImage(examples, { crisp, seed, onMove, onPick, say }) {
  let chosen = examples[0];
  let round = 0; // of draws
  const latentDim = chosen.code.length;
  const epsilons = () => noise(seed + 1, (round + 1) * DRAWS * latentDim).slice(-DRAWS * latentDim);
  const draw = (/** @type {number} */ k) => {
    const epsilon = epsilons().subarray(k * latentDim, (k + 1) * latentDim);
    return chosen.code.map((mu, i) => mu + chosen.sigma[i] * epsilon[i]);
  };
  const told = h("p", { class: "companion-note" });
  const describe = () => {
    const nats = chosen.code.reduce((sum, mu, i) => {
      const sd = chosen.sigma[i];
      return sum + 0.5 * (mu ** 2 + sd ** 2 - 2 * Math.log(sd) - 1);
    }, 0);
    const list = (/** @type {number[]} */ values) => values.map((v) => ui.fixed(v, 2)).join(", ");
    const whole = latentDim === 2 ? `μ = (${list(chosen.code)}), σ = (${list(chosen.sigma)}); ` : "";
    told.textContent = `q(z|x) of this image: ${whole}KL ${ui.fixed(nats, 1)} nats.`;
  };
  const picker = imagePicker({
    label: "Image to encode",
    tiles: examples.map(({ picture, caption }, value) => ({ value, caption, picture })),
    value: 0,
    crisp,
    onChange: (k) => {
      chosen = examples[k];
      describe();
      onPick();
      onMove(chosen.code);
    },
  });
  const mean = ui.button({
    label: "Its mean",
    title: "Go to the mean of this image's Gaussian",
    onClick: () => onMove(chosen.code),
  });
  const again = ui.button({
    label: "Draw",
    title: "Draw nine codes from this image's Gaussian, and go to the first",
    kind: "primary",
    onClick: () => {
      round += 1;
      onPick();
      const z = draw(0);
      onMove(z);
      say(
        `Nine new draws; the first: ${z
          .slice(0, 3)
          .map((v) => ui.spoken(v, 1))
          .join(", ")}`,
      );
    },
  });
  describe();
  return {
    el: h(
      "div",
      { class: "traversal-between" },
      h("div", { class: "traversal-pick" }, picker.el),
      told,
      ui.row(mean.el, again.el),
    ),
    mean: () => chosen.code,
    sigma: () => chosen.sigma,
    /** The draw at t = 0…1 of the strip. @param {number} t */
    at: (t) => draw(Math.round(t * (DRAWS - 1))),
  };
}

/**
 * The ways to move z, one in sight at a time.
 * @param {{ [name: string]: HTMLElement | undefined }} panels
 * @param {string} first
 * @param {(name: string) => void} onOpen
 */
function switcher(panels, first, onOpen) {
  /** @type {{ [name: string]: string }} */
  const names = {
    sliders: "One by one",
    pad: "Two at once",
    between: "Between images",
    around: "Around an image",
  };
  const known = Object.entries(panels).filter(([, panel]) => panel);
  const open = (/** @type {string} */ name) => {
    for (const [other, panel] of known) if (panel) panel.inert = other !== name;
    onOpen(name);
  };
  const ways = ui.segmented({
    label: "How to move",
    options: known.map(([value]) => ({ value, label: names[value] })),
    value: first,
    onChange: open,
  });
  open(first);
  return h(
    "div",
    { class: "traversal-side" },
    known.length > 1 ? ways.el : null,
    h("div", { class: "traversal-panels" }, ...known.map(([, panel]) => panel)),
  );
}

/**
 * The decoder, and the large picture that it makes.
 * @param {RenderProps<State>} props
 * @param {() => HTMLElement} root the frame, once it is made
 */
function decodedPicture({ model }, root) {
  const hero = imageGrid(model.get("image_shape"), {
    label: "Image decoded from the latent vector",
    still: "hero",
  });
  hero.el.classList.add("companion-image");
  const status = ui.notice("Loading the model …", "waiting");
  /** @type {Awaited<ReturnType<typeof openDecoder>> | null} */
  let decoder = null;
  let alive = true;
  const paint = async (/** @type {ArrayLike<number>} */ z) => {
    const point = Float32Array.from(z);
    const image = await decoder?.decode(point);
    if (!image || !alive) return;
    hero.draw(image);
    emit(root(), "painted", { z: point, image });
  };
  /** @param {Error} error */
  const fail = (error) =>
    failing(root(), () => status.set(`This model could not be run: ${error.message}`, "error"))(error);
  return {
    el: h("div", { class: "traversal-picture" }, hero.el, status.el),
    isOpen: () => decoder !== null,
    /** Decode z and draw it; of many calls that come fast the newest wins. @param {ArrayLike<number>} z */
    show: (z) => paint(z).catch(fail),
    /** Decode what can wait until the page is idle. */
    decode: async (/** @type {Float32Array} */ point, /** @type {() => boolean} */ isWanted) =>
      decoder ? decoder.whenIdle(point, () => alive && isWanted()) : null,
    /** Load the model and show z. @param {ArrayLike<number>} z @param {() => void} onOpen */
    open(z, onOpen) {
      const slow = setTimeout(() => {
        status.set("Still loading: the kernel is busy with another cell, or has to run this one again.");
      }, 5000);
      const load = async () => {
        try {
          decoder = await openDecoder(model.get("decoder"), model.get("latent_dim"), model);
          if (!alive) decoder.release();
          await paint(z);
        } finally {
          clearTimeout(slow);
        }
        status.set("");
        if (alive) onOpen();
      };
      whenLoaded(root(), load(), fail);
    },
    stop() {
      alive = false;
      decoder?.release();
    },
  };
}

/**
 * Buttons that move z far.
 * @param {Model} model
 * @param {{ z: Float64Array, moveTo: (next: ArrayLike<number>) => void }} vector
 * @param {(words: string) => void} say
 */
function jumps(model, { z, moveTo }, say) {
  const [labels, unused, latentDim] = [model.get("labels"), model.get("unused"), model.get("latent_dim")];
  const used = model.get("order").filter((i) => !unused.includes(i));
  let drawn = 0;
  const sample = ui.button({
    label: "Random sample",
    title: "Draw z from the prior N(0, I)",
    kind: "primary",
    onClick: () => {
      drawn += 1;
      moveTo(noise(model.get("seed"), drawn * latentDim).slice(-latentDim));
      const summary = used.slice(0, 3).map((i) => `${labels[i]} ${ui.spoken(z[i], 1)}`);
      say(`A sample from the prior: ${summary.join(", ")}`);
    },
  });
  const reset = ui.button({
    label: "Reset",
    title: "Back to the prior’s mean, z = 0",
    onClick: () => {
      moveTo(new Float64Array(latentDim));
      say("Back to the prior’s mean: every latent 0");
    },
  });
  return h("div", { class: "traversal-actions" }, sample.el, reset.el);
}

/** @param {RenderProps<State>} props */
function render(props) {
  const { model, el } = props;
  const [shape, labels, order] = [model.get("image_shape"), model.get("labels"), model.get("order")];
  const [low, high] = model.get("value_range");
  const examples = model.get("examples");
  const smooth = shape[2] > CRISP;
  let active = order.length === 2 ? "pad" : "sliders"; // a plane is the natural view of two latents

  const voice = ui.announcer();
  const picture = decodedPicture(props, () => root);
  const vector = latentVector(model, (changed) => {
    picture.show(z);
    for (const i of changed) rack.set(i, z[i]);
    pad?.follow();
    strip.follow();
    // Slow pictures are made anew if a latent changed that they hold.
    pad?.refreshIf(changed);
    const { key } = strip.scene();
    if (!["way", "around"].includes(key) && [...changed].some((i) => key !== `latent ${i}`)) strip.refresh();
  });
  const { z, move, moveTo } = vector;

  /** @param {number} latent @returns {Scene} */
  const alongLatent = (latent) => ({
    key: `latent ${latent}`,
    caption: `${labels[latent]} moves, the others stay`,
    ends: [ui.fixed(low, 0), ui.fixed(high, 0)],
    point: (t) => Array.from(z, (value, i) => (i === latent ? low + (high - low) * t : value)),
    place: () => (z[latent] - low) / (high - low),
    onScrub: (t) => move([[latent, low + (high - low) * t]]),
  });
  const { decode } = picture;
  const strip = filmStrip({ shape, smooth, decode, scene: alongLatent(order[0]) });
  const look = (/** @type {number} */ latent) => strip.show(alongLatent(latent));

  const rack = sliderRack(model, { onMove: move, onLook: look });
  const pad =
    order.length > 1
      ? latentPad({
          ...{ z, labels, shape, smooth, decode },
          choices: order,
          range: [low, high],
          onMove: (changes) => {
            if (strip.scene().key === "around" && pad) look(pad.axes[0]);
            move(changes);
          },
          onAxes: ([across]) => look(across),
        })
      : null;
  const way =
    examples.length > 1
      ? wayBetween(examples, { crisp: !smooth, onMove: moveTo, onPick: () => strip.refresh() })
      : null;
  const known = examples.flatMap((example) => (example.sigma ? [{ ...example, sigma: example.sigma }] : []));
  const around = known.length
    ? aroundImage(known, {
        crisp: !smooth,
        seed: model.get("seed"),
        onMove: moveTo,
        onPick: () => {
          showAround();
          strip.refresh();
        },
        say: (words) => voice.say(words),
      })
    : null;
  const showAround = () => {
    if (!around) return;
    pad?.mark({ mean: around.mean(), sigma: around.sigma() });
    strip.show({
      key: "around",
      caption: "nine draws from this image’s Gaussian",
      ends: ["", ""],
      point: around.at,
      place: () => 0,
      onScrub: (t) => moveTo(around.at(t)),
    });
  };
  const openPad = () => {
    if (pad && active === "pad" && picture.isOpen()) pad.open();
    else pad?.close();
  };
  // A plane shows the Gaussian of an image itself.
  const isPlane = order.length === 2 && pad && around;
  const panels = {
    sliders: rack.el,
    pad: isPlane ? h("div", { class: "traversal-plane" }, pad.el, around.el) : pad?.el,
    between: way?.el,
    around: isPlane ? undefined : around?.el,
  };
  const side = switcher(panels, active, (name) => {
    active = name;
    openPad();
    if (name === "around") showAround();
    else if (name === "between" && way)
      strip.show({
        key: "way",
        caption: "the way from A to B",
        ends: ["A", "B"],
        point: way.point,
        place: way.get,
        onScrub: way.go,
      });
    else look(name === "pad" && pad ? pad.axes[0] : order[0]);
  });

  const hero = h(
    "div",
    { class: "traversal-hero" },
    picture.el,
    jumps(model, vector, (words) => voice.say(words)),
  );
  const root = ui.frame(
    { title: model.get("title") },
    h("div", { class: "traversal" }, hero, side, strip.el),
    voice.el,
  );
  el.append(root);
  picture.open(z, () => {
    strip.refresh(0);
    openPad();
  });
  return lifetime(picture.stop, vector.stop);
}

export default { render };

// A VAE whose latent space is rotated in one plane. See RotateLatent in rotate_latent.py for the state.

import { informationTable, metricBars, metricsOf } from "./disentanglement/panels.js";
import { factorVaeScorer, rotatedPosterior, scorer, turned } from "./maths/disentanglement.js";
import { branch, noise, uniform } from "./maths/noise.js";
import { openDecoder } from "./runtime/session.js";
import { imageGrid } from "./ui/canvas.js";
import * as ui from "./ui/controls.js";
import { h } from "./ui/controls.js";
import { bindTraits, emit, failing, lifetime, perFrame, traitSlider, whenLoaded } from "./ui/lifetime.js";

/** @import { RenderProps } from "@anywidget/types" */

/**
 * @typedef {object} State
 * @property {string} decoder SHA-256 of the exported model
 * @property {number[]} image_shape C×H×W
 * @property {{ name: string, values: string, classes: number }[]} factors
 * @property {string[]} mu columns, float32 in base64
 * @property {string[]} log_var columns, float32 in base64
 * @property {number} reconstruction nats
 * @property {[number, number]} plane
 * @property {number} angle degrees
 * @property {number} seed
 * @property {string} title
 */

const FRAMES = 7;
const SAMPLES = 6;
const REACH = 2.5;
const VOTES = 800;
const BINS = 20;

/** Numbers of float32 in base64. @param {string} text */
const numbersOf = (text) =>
  Float64Array.from(new Float32Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer));

/**
 * All that depends on the angle. Columns that do not move are computed once.
 * @param {RenderProps<State>["model"]} model
 */
function rotatable(model) {
  const factors = model.get("factors").map(({ values, classes }) => ({ values: numbersOf(values), classes }));
  const [mu, logVar] = [model.get("mu").map(numbersOf), model.get("log_var").map(numbersOf)];
  const score = scorer(factors, BINS);
  const vae = factorVaeScorer(factors, uniform(branch(model.get("seed"), 3), 2 * VOTES));
  return {
    latents: mu.length,
    /** What the latents tell of the factors before any rotation, F×d. */
    shares: () => score(mu).shares,
    /** @param {[number, number]} plane @param {number} angle */
    at(plane, angle) {
      const columns = /** @type {Float64Array[]} */ (mu.slice());
      [columns[plane[0]], columns[plane[1]]] = turned(mu[plane[0]], mu[plane[1]], angle);
      return { scores: score(columns), vae: vae(columns), ...rotatedPosterior(mu, logVar, plane, angle) };
    },
  };
}

/**
 * The points to decode, as z before the rotation: both ways along the plane, then samples.
 * @param {[number, number]} plane @param {number} angle @param {Float64Array} samples
 */
function points([i, j], angle, samples) {
  const d = samples.length / SAMPLES;
  const all = new Float32Array((2 * FRAMES + SAMPLES) * d);
  [i, j].forEach((latent, row) => {
    for (let k = 0; k < FRAMES; k += 1)
      all[(row * FRAMES + k) * d + latent] = REACH * ((2 * k) / (FRAMES - 1) - 1);
  });
  all.set(samples, 2 * FRAMES * d);
  const [cos, sin] = [Math.cos((angle * Math.PI) / 180), Math.sin((angle * Math.PI) / 180)];
  for (let n = 0; n < all.length; n += d) {
    const [a, b] = [all[n + i], all[n + j]];
    all[n + i] = cos * a - sin * b;
    all[n + j] = sin * a + cos * b;
  }
  return all;
}

/** The images that the rotated model makes. @param {number[]} shape */
function pictures(shape) {
  const strip = (/** @type {string} */ still, /** @type {number} */ columns) =>
    imageGrid(shape, { columns, smooth: true, still, label: still });
  const ways = [0, 1].map((k) => strip(`way-${k}`, FRAMES));
  const samples = strip("samples", SAMPLES);
  const captions = [ui.note(), ui.note()];
  const wide = (/** @type {HTMLElement} */ canvas) => h("div", { class: "rotate-strip" }, canvas);
  return {
    el: ui.stack(
      ...ways.flatMap((way, k) => [wide(way.el), captions[k]]),
      wide(samples.el),
      ui.note("Samples: draws from N(0, I), always the same z′, through the decoder with Rᵀ before it."),
    ),
    /** @param {[number, number]} plane @param {string[]} names */
    say(plane, names) {
      plane.forEach((latent, k) => {
        const words = `Along the rotated latent ${latent}, from −${REACH} to ${REACH}; the others are 0.`;
        captions[k].textContent = words;
        ways[k].el.setAttribute("aria-label", `${words} It tells most about ${names[latent]}.`);
      });
      samples.el.setAttribute("aria-label", `${SAMPLES} samples of the rotated model`);
    },
    /** @param {ArrayLike<number>} images */
    draw(images) {
      for (let k = 0; k < 2 * FRAMES; k += 1) ways[Math.floor(k / FRAMES)].draw(images, k, k % FRAMES);
      for (let k = 0; k < SAMPLES; k += 1) samples.draw(images, 2 * FRAMES + k, k);
    },
  };
}

/** Sentences with the losses. @param {ReturnType<typeof ui.readouts>} numbers */
const losses = (numbers) =>
  h(
    "div",
    { class: "rotate-losses" },
    h(
      "p",
      {},
      h("strong", {}, "−ELBO "),
      numbers.make("negative-elbo"),
      " nats = reconstruction ",
      numbers.make("reconstruction"),
      " + KL ",
      numbers.make("kl"),
    ),
    h(
      "p",
      { class: "companion-note" },
      "The best diagonal posterior would miss ",
      numbers.make("diagonal-loss", (v) => ui.fixed(v, 3)),
      " nats of the rotated one.",
    ),
  );

/**
 * The decoder: draws the newest points.
 * @param {RenderProps<State>["model"]} model
 * @param {{ root: () => HTMLElement, say: (words: string, kind?: "error") => void, draw: (images: ArrayLike<number>) => void }} options
 */
function painter(model, { root, say, draw }) {
  /** @type {Awaited<ReturnType<typeof openDecoder>> | null} */
  let decoder = null;
  let alive = true;
  /** @param {Error} error */
  const fail = (error) =>
    failing(root(), () => say(`This model could not be run: ${error.message}`, "error"))(error);
  const paint = async (/** @type {Float32Array} */ z) => {
    const images = await decoder?.decode(z);
    if (!images || !alive) return;
    draw(images);
    emit(root(), "painted", { z, images });
  };
  return {
    show: (/** @type {Float32Array} */ z) => paint(z).catch(fail),
    /** @param {number} latents @param {() => Float32Array} first */
    open(latents, first) {
      const load = async () => {
        decoder = await openDecoder(model.get("decoder"), latents, model);
        if (!alive) decoder.release();
        await paint(first());
      };
      whenLoaded(root(), load(), fail);
    },
    stop() {
      alive = false;
      decoder?.release();
    },
  };
}

/** @param {RenderProps<State>} props */
function render({ model, el }) {
  const vae = rotatable(model);
  const factors = model.get("factors").map(({ name }) => name);
  const samples = noise(branch(model.get("seed"), 4), SAMPLES * vae.latents);
  const all = Array.from({ length: vae.latents }, (_, i) => i);
  const voice = ui.announcer();
  const status = ui.notice("");
  const numbers = ui.readouts((v) => ui.fixed(v, 4));
  const before = vae.shares();
  const bestOf = (/** @type {number[][]} */ shares, /** @type {number} */ i) =>
    factors[shares.reduce((best, row, j) => (row[i] > shares[best][i] ? j : best), 0)];

  const plane = () => model.get("plane");
  const now = () => points(plane(), model.get("angle"), samples);
  const draw = () => {
    const found = vae.at(plane(), model.get("angle"));
    const metrics = metricsOf(found.scores, found.vae);
    bars.set(metrics);
    table.set(found.scores.shares);
    table.mark(plane());
    const elbo = model.get("reconstruction") + found.kl;
    numbers.set({
      ...{ kl: found.kl, "diagonal-loss": found.missed, "negative-elbo": elbo },
      reconstruction: model.get("reconstruction"),
    });
    choices.forEach((choice, k) => {
      choice.set(plane()[k]);
    });
    shown.say(
      plane(),
      all.map((i) => bestOf(found.scores.shares, i)),
    );
    canvas.show(now());
    if (traits.touched)
      voice.say(
        `Rotated by ${ui.fixed(model.get("angle"), 0)} degrees: minus ELBO ${ui.fixed(elbo, 2)} nats, MIG ${ui.fixed(metrics.mig)}, SAP ${ui.fixed(metrics.sap)}.`,
      );
  };
  const traits = bindTraits(model, ["plane"], perFrame(draw));
  const angle = traitSlider(traits, "angle", {
    ...{ label: "Angle", min: 0, max: 90, step: 1, neutral: 0 },
    format: (v) => `${ui.fixed(v, 0)}°`,
    describe: (v) => `${ui.fixed(v, 0)} degrees`,
  });
  const choices = [0, 1].map((k) =>
    ui.select({
      label: k ? "and latent" : "Turn latent",
      options: all.map((i) => ({ value: i, label: `${i} (${bestOf(before, i)})` })),
      value: plane()[k],
      onChange: (value) => {
        const other = plane()[1 - k];
        // Whoever takes the other one's latent gives it his own.
        const next = k
          ? [other === value ? plane()[1] : other, value]
          : [value, other === value ? plane()[0] : other];
        traits.put({ plane: /** @type {[number, number]} */ (next) });
      },
    }),
  );
  const bars = metricBars();
  const table = informationTable({
    rows: factors,
    columns: all.map(String),
    caption: "Information that each latent’s mean has about each factor, in % of the factor’s entropy.",
  });
  const shown = pictures(model.get("image_shape"));
  const root = ui.frame(
    {
      title: model.get("title"),
      describe: "Two latents are turned into one another. The decoder turns them back before it draws.",
    },
    h(
      "div",
      { class: "companion-panel companion-sticky" },
      ui.row(...choices.map((choice) => choice.el)),
      ui.sliders(angle.el),
      losses(numbers),
    ),
    status.el,
    h("div", { class: "companion-halves" }, bars.el, table.el),
    shown.el,
    voice.el,
  );
  const canvas = painter(model, { root: () => root, say: status.set, draw: shown.draw });
  el.append(root);
  draw();
  canvas.open(vae.latents, now);
  return lifetime(canvas.stop, () => traits.stop());
}

export default { render };

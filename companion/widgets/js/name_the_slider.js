// The reader names a model's latents; then the truth is laid over the names. See NameTheSlider in
// name_the_slider.py for the state.

import { informationTable } from "./disentanglement/panels.js";
import { openDecoder } from "./runtime/session.js";
import { imageGrid } from "./ui/canvas.js";
import * as ui from "./ui/controls.js";
import { h } from "./ui/controls.js";
import { bindTraits, emit, failing, lifetime, perFrame, whenLoaded } from "./ui/lifetime.js";

/** @import { RenderProps } from "@anywidget/types" */
/** @import { Traits } from "./ui/lifetime.js" */

/**
 * @typedef {object} State
 * @property {string} decoder SHA-256 of the exported model
 * @property {number[]} image_shape C×H×W
 * @property {string[]} factors
 * @property {number[][]} shares of the factors' entropies that the latents tell, F×d
 * @property {number[]} kl nats of each latent
 * @property {string[]} names the reader's, "" for not yet
 * @property {boolean} revealed
 * @property {number[]} z
 * @property {string} title
 */

const NOTHING = "nothing";
const LEAST = 0.05;
const REACH = 2.5;
const FRAMES = 7;

/**
 * The right name of each latent, and what the reader's are worth.
 * @param {Pick<State, "factors" | "shares" | "names">} state
 */
export function judge({ factors, shares, names }) {
  const tops = names.map((_, i) => shares.reduce((top, row, j) => (row[i] > shares[top][i] ? j : top), 0));
  const best = tops.map((top, i) => (shares[top][i] < LEAST ? NOTHING : factors[top]));
  const worth = names.map((name, i) => {
    if (!name || name === NOTHING || best[i] === NOTHING) return Number(name === best[i]);
    return shares[factors.indexOf(name)][i] / shares[tops[i]][i];
  });
  return {
    best,
    worth,
    score: worth.reduce((a, b) => a + b, 0) / worth.length,
    right: names.filter((name, i) => name === best[i]).length,
  };
}

/**
 * A slider and a name for each latent.
 * @param {Traits<State>} traits
 * @param {{ onLook: (latent: number) => void }} options the reader comes near a slider
 */
function rack(traits, { onLook }) {
  const { model } = traits;
  const choices = ["", ...model.get("factors"), NOTHING].map((value) => ({
    value,
    label: value || "name it …",
  }));
  const rows = model.get("z").map((value, i) => {
    const slider = ui.slider({
      ...{ label: `Latent ${i}`, min: -REACH, max: REACH, step: 0.05, value, neutral: 0 },
      format: (v) => ui.fixed(v, 1),
      onInput: (next) => traits.put({ z: model.get("z").map((v, k) => (k === i ? next : v)) }),
    });
    slider.input.addEventListener("focus", () => onLook(i));
    slider.el.addEventListener("pointerdown", () => onLook(i));
    const name = ui.select({
      label: h("span", { class: "name-hidden" }, `Name of latent ${i}`),
      options: choices,
      value: model.get("names")[i],
      onChange: (next) => traits.put({ names: model.get("names").map((v, k) => (k === i ? next : v)) }),
    });
    const verdict = h("span", { class: "name-verdict" });
    return { slider, name, verdict, el: h("div", { class: "name-row" }, slider.el, name.el, verdict) };
  });
  return {
    el: h("div", { class: "name-rack" }, ...rows.map((row) => row.el)),
    /** @param {ReturnType<typeof judge> | null} judged */
    draw(judged) {
      rows.forEach(({ slider, name, verdict }, i) => {
        slider.set(model.get("z")[i]);
        name.set(model.get("names")[i]);
        name.input.disabled = judged !== null;
        if (!judged) verdict.textContent = "";
        else if (model.get("names")[i] === judged.best[i]) verdict.textContent = "✓ right";
        else verdict.textContent = `✗ ${judged.best[i]}`;
        verdict.dataset.tint = judged?.best[i] === model.get("names")[i] ? "data-3" : "data-2";
      });
    },
  };
}

/** What is shown once the reader has asked. @param {RenderProps<State>["model"]} model */
function truth(model) {
  const numbers = ui.readouts();
  const table = informationTable({
    rows: model.get("factors"),
    columns: model.get("kl").map((_, i) => String(i)),
    caption:
      "Information that draws of a latent have about a factor, in % of the factor’s entropy. “Nothing” is right for a latent with less than 5 % everywhere.",
  });
  const nats = h("p", { class: "companion-note" });
  const el = h("div", { class: "name-truth", hidden: true });
  /** @type {Node[] | null} */
  let parts = null;
  return {
    el,
    /** @param {ReturnType<typeof judge> | null} judged */
    draw(judged) {
      el.hidden = !judged;
      if (!judged) {
        // The truth must not stand in the page before it is asked for.
        el.replaceChildren();
        return;
      }
      parts ??= [
        h(
          "p",
          { class: "companion-heading" },
          numbers.make("right", (v) => String(v)),
          ` of ${judged.best.length} names are right; all together they are worth `,
          numbers.make("score", (v) => `${ui.fixed(100 * v, 0)} %`),
          " of the best names.",
        ),
        table.el,
        nats,
      ];
      if (!el.childNodes.length) el.append(...parts);
      numbers.set({ right: judged.right, score: judged.score });
      table.set(model.get("shares"));
      nats.textContent = `KL: ${model
        .get("kl")
        .map((v, i) => `latent ${i}: ${ui.fixed(v, 2)}`)
        .join(", ")}.`;
    },
  };
}

/**
 * The decoder's pictures: z, and the way along one latent.
 * @param {RenderProps<State>["model"]} model @param {() => HTMLElement} root
 */
function pictures(model, root) {
  const shape = model.get("image_shape");
  const hero = imageGrid(shape, { still: "hero", label: "The image that the sliders make" });
  hero.el.classList.add("companion-image");
  const way = imageGrid(shape, {
    columns: FRAMES,
    smooth: true,
    still: "way",
    label: "The way along a latent",
  });
  const caption = ui.note();
  const status = ui.notice("");
  /** @type {Awaited<ReturnType<typeof openDecoder>> | null} */
  let decoder = null;
  let alive = true;
  let along = 0;
  /** @param {Error} error */
  const fail = (error) =>
    failing(root(), () => status.set(`This model could not be run: ${error.message}`, "error"))(error);
  const paint = async () => {
    const z = model.get("z");
    const places = Array.from({ length: FRAMES }, (_, k) => REACH * ((2 * k) / (FRAMES - 1) - 1));
    const rows = [z, ...places.map((place) => z.map((v, i) => (i === along ? place : v)))];
    const images = await decoder?.decode(Float32Array.from(rows.flat()));
    if (!images || !alive) return;
    hero.draw(images);
    for (let k = 0; k < FRAMES; k += 1) way.draw(images, k + 1, k);
    emit(root(), "painted", { images });
  };
  const say = () => {
    caption.textContent = `Latent ${along} from −${REACH} to ${REACH}, the others as they are.`;
  };
  say();
  return {
    hero: hero.el,
    way: ui.stack(h("div", { class: "name-way" }, way.el), caption),
    status: status.el,
    show: () => paint().catch(fail),
    /** @param {number} latent */
    look(latent) {
      if (latent === along) return;
      along = latent;
      say();
      paint().catch(fail);
    },
    open() {
      const load = async () => {
        decoder = await openDecoder(model.get("decoder"), model.get("z").length, model);
        if (!alive) decoder.release();
        await paint();
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
  const voice = ui.announcer();
  const count = model.get("z").length;
  const numbers = ui.readouts((v) => String(v));
  const draw = () => {
    const names = model.get("names");
    const named = names.filter(Boolean).length;
    const judged = model.get("revealed")
      ? judge({ names, factors: model.get("factors"), shares: model.get("shares") })
      : null;
    numbers.set({ named });
    check.enable(named === count && !judged);
    again.el.hidden = !judged;
    sliders.draw(judged);
    answer.draw(judged);
    decoded.show();
    if (judged && traits.touched)
      voice.say(
        `${judged.right} of ${count} names are right, worth ${ui.fixed(100 * judged.score, 0)} per cent.`,
      );
  };
  const traits = bindTraits(model, ["z", "names", "revealed"], perFrame(draw));
  const decoded = pictures(model, () => root);
  const sliders = rack(traits, { onLook: decoded.look });
  const answer = truth(model);
  const check = ui.button({
    label: "Check my names",
    title: "Lays the truth over your names, once all are there",
    kind: "primary",
    onClick: () => traits.put({ revealed: true }),
  });
  const centre = ui.button({
    label: "All sliders to 0",
    onClick: () => traits.put({ z: Array.from({ length: count }, () => 0) }),
  });
  const again = ui.button({
    label: "Start again",
    onClick: () => traits.put({ revealed: false, names: Array.from({ length: count }, () => "") }),
  });
  const root = ui.frame(
    {
      title: model.get("title"),
      describe: `Move each slider all the way, and say what it does. A latent may do nothing; two may do the same.`,
    },
    h("div", { class: "name-split" }, h("div", { class: "name-hero" }, decoded.hero), sliders.el),
    decoded.way,
    decoded.status,
    ui.row(check.el, again.el, centre.el, h("p", {}, numbers.make("named"), ` of ${count} are named.`)),
    answer.el,
    voice.el,
  );
  el.append(root);
  draw();
  decoded.open();
  return lifetime(decoded.stop, () => traits.stop());
}

export default { render };

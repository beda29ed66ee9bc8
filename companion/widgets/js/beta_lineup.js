// The same image in several models; one slider a factor moves the latent that answers for it in each of them.
// See BetaLineup in beta_lineup.py for the state.

import { imageGrid } from "./ui/canvas.js";
import * as ui from "./ui/controls.js";
import { h } from "./ui/controls.js";
import { imagePicker } from "./ui/image_picker.js";
import { bindTraits, emit, lifetime, perFrame } from "./ui/lifetime.js";
import { wakingNetwork } from "./ui/waking.js";

/** @import { RenderProps } from "@anywidget/types" */
/** @import { Tensors } from "./runtime/engine.js" */

/**
 * @typedef {object} Line one model, its entries in the order of the factors
 * @property {string} name
 * @property {number[][]} codes of the examples
 * @property {number[]} latents
 * @property {number[]} steps one standard deviation of the latent, towards more of the factor
 * @property {number[]} nats
 * @property {number[]} shares
 */

/**
 * @typedef {object} State
 * @property {{ model: string, bytes: number }} network the decoders as one
 * @property {[number, number, number]} shape C×H×W
 * @property {string[]} factors
 * @property {Line[]} lines
 * @property {string[]} pictures
 * @property {string[]} captions
 * @property {number} chosen example
 * @property {number} factor whose way is shown
 * @property {number[]} shifts in standard deviations
 * @property {string} title
 */

const REACH = 2.5;
const FRAMES = 7;
const FILM_LATER = 160; // ms: the large pictures first

/**
 * The code of an example, its latents shifted.
 * @param {Line} line @param {number} chosen @param {number[]} shifts
 */
function shifted(line, chosen, shifts) {
  const code = line.codes[chosen].slice();
  line.latents.forEach((latent, k) => {
    code[latent] += line.steps[k] * shifts[k];
  });
  return code;
}

/**
 * What one model shows: its picture now, and its way along one factor.
 * @param {Line} line @param {number} index @param {[number, number, number]} shape
 */
function modelRow(line, index, shape) {
  const now = imageGrid(shape, { smooth: true, label: line.name, still: `now-${index}` });
  now.el.classList.add("companion-image");
  const film = imageGrid(shape, { columns: FRAMES, smooth: true, still: `film-${index}` });
  const marker = h("span", { class: "lineup-marker" });
  const numbers = ui.readouts(ui.fixed);
  const words = h("p", { class: "companion-note lineup-words" });
  const [share, nats] = [numbers.make(`share-${index}`), numbers.make(`nats-${index}`)];
  const which = h("span");
  const of = h("span");
  words.append(which, share, of, nats, " nats.");
  const strip = h("div", { class: "lineup-film", "aria-hidden": "true" }, film.el, marker);
  return {
    el: h(
      "div",
      { class: "lineup-model", role: "group", "aria-label": line.name },
      now.el,
      h("div", { class: "lineup-side" }, h("p", { class: "lineup-name" }, line.name), strip, words),
    ),
    now,
    film,
    /** @param {string} factor @param {number} k its number @param {number} shift */
    say(factor, k, shift) {
      which.textContent = `${factor} explains `;
      of.textContent = ` of the variance of latent ${line.latents[k]}, which carries `;
      numbers.set({ [`share-${index}`]: line.shares[k], [`nats-${index}`]: line.nats[k] });
      const place = (shift + REACH) / (2 * REACH);
      marker.style.insetInlineStart = `${(100 * (0.5 + (FRAMES - 1) * place)) / FRAMES}%`;
      now.el.setAttribute(
        "aria-label",
        `${line.name}: the image with ${factor} moved by ${ui.spoken(shift, 1)} standard deviations`,
      );
    },
  };
}

/** @param {RenderProps<State>} props */
function render({ model, el }) {
  const [lines, factors, shape] = [model.get("lines"), model.get("factors"), model.get("shape")];
  const rows = lines.map((line, index) => modelRow(line, index, shape));
  const voice = ui.announcer();
  const status = ui.notice("", "waiting");
  /** @type {ReturnType<typeof setTimeout>} */
  let later;
  let ended = false;

  /** Decode for some shifts, all models at once. @param {number[][]} many */
  const decode = async (many) => {
    /** @type {Tensors} */
    const inputs = {};
    lines.forEach((line, k) => {
      const codes = many.flatMap((shifts) => shifted(line, model.get("chosen"), shifts));
      inputs[`z${k}`] = {
        data: Float32Array.from(codes),
        dims: [many.length, codes.length / many.length],
      };
    });
    return network.run(inputs);
  };
  const paintFilm = async () => {
    const [shifts, factor] = [model.get("shifts"), model.get("factor")];
    const places = Array.from({ length: FRAMES }, (_, i) => REACH * ((2 * i) / (FRAMES - 1) - 1));
    const outputs = await decode(places.map((place) => shifts.map((v, k) => (k === factor ? place : v))));
    if (!outputs || ended) return;
    rows.forEach(({ film }, k) => {
      for (let i = 0; i < FRAMES; i += 1)
        film.draw(/** @type {Float32Array} */ (outputs[`image${k}`].data), i, i);
    });
    emit(root, "filmed");
  };
  const paint = async () => {
    clearTimeout(later);
    const outputs = await decode([model.get("shifts")]);
    if (!outputs || ended) return;
    const images = rows.map(({ now }, k) => {
      const image = /** @type {Float32Array} */ (outputs[`image${k}`].data);
      now.draw(image);
      return image;
    });
    emit(root, "painted", { images: images.map((image) => Array.from(image)) });
    clearTimeout(later);
    later = setTimeout(() => paintFilm().catch(() => {}), FILM_LATER);
  };
  const draw = () => {
    const [factor, shifts] = [model.get("factor"), model.get("shifts")];
    for (const row of rows) row.say(factors[factor], factor, shifts[factor]);
    sliders.forEach((slider, k) => {
      slider.set(shifts[k]);
      slider.el.toggleAttribute("data-shown", k === factor);
    });
    caption.textContent = `From left to right: ${factors[factor]}, from −${REACH} to ${REACH} standard deviations.`;
    picker.set(model.get("chosen"));
    if (traits.touched) paint().catch(() => {}); // what went wrong is said by the network
  };
  const traits = bindTraits(model, ["shifts", "factor", "chosen"], perFrame(draw));
  const network = wakingNetwork(model, {
    network: model.get("network"),
    label: "Load the decoders",
    say: status.set,
    onOpen: () => paint().catch(() => {}),
  });
  const sliders = factors.map((name, k) => {
    const made = ui.slider({
      ...{ label: name, min: -REACH, max: REACH, step: 0.1, neutral: 0, value: model.get("shifts")[k] },
      quantity: `shift-${k}`,
      format: (v) => ui.signed(v, 1),
      name: `Move the latent for ${name} in all models`,
      onInput: (value) =>
        traits.put({ factor: k, shifts: model.get("shifts").map((v, i) => (i === k ? value : v)) }),
    });
    made.input.addEventListener("focus", () => {
      if (model.get("factor") !== k) traits.put({ factor: k });
    });
    return made;
  });
  const picker = imagePicker({
    label: "Image to start from",
    tiles: model.get("pictures").map((picture, value) => ({
      ...{ value, picture, caption: model.get("captions")[value] },
    })),
    value: model.get("chosen"),
    onChange: (chosen) => traits.put({ chosen }),
  });
  const reset = ui.button({
    label: "As encoded",
    title: "All shifts back to 0",
    onClick: () => {
      traits.put({ shifts: factors.map(() => 0) });
      voice.say("As encoded: no latent is shifted.");
    },
  });
  const caption = ui.note();
  const root = ui.frame(
    {
      title: model.get("title"),
      describe: "Every model has coded the same image. A slider moves one latent in each of them.",
    },
    picker.el,
    h("div", { class: "lineup-models" }, ...rows.map((row) => row.el)),
    caption,
    ui.plate(
      { title: "How far, in standard deviations", name: "Shifts" },
      ui.sliders(...sliders.map((slider) => slider.el)),
      ui.row(network.wake, reset.el),
      status.el,
    ),
    voice.el,
  );
  el.append(root);
  draw();
  return lifetime(
    () => {
      ended = true;
      clearTimeout(later);
    },
    () => network.stop(),
    () => traits.stop(),
  );
}

export default { render };

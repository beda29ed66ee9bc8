// A picture with noise or a hole, and what networks and filters make of it. See ImageRepair in image_repair.py
// for the state. Filters answer at once; the network is loaded when the reader first changes something.

import { damaged, withHoles } from "./maths/corruption.js";
import { branch } from "./maths/noise.js";
import { biharmonic, median, psnr, totalVariation } from "./maths/restoration.js";
import { imageGrid } from "./ui/canvas.js";
import { colourScale } from "./ui/cells.js";
import { diverging, followTheme, isDark } from "./ui/colours.js";
import * as ui from "./ui/controls.js";
import { h } from "./ui/controls.js";
import { drawingPad } from "./ui/drawing_pad.js";
import { imagePicker } from "./ui/image_picker.js";
import { bindTraits, emit, lifetime, perFrame, traitSlider, whenLoaded } from "./ui/lifetime.js";
import { loadPicture, numbersOf } from "./ui/pictures.js";
import { gradientOf } from "./ui/pixel_map.js";
import { megabytes, wakingNetwork } from "./ui/waking.js";

/** @import { AnyModel, RenderProps } from "@anywidget/types" */
/** @import { Kind } from "./maths/corruption.js" */
/** @import { Size } from "./maths/restoration.js" */
/** @import { Traits } from "./ui/lifetime.js" */

/**
 * @typedef {object} State
 * @property {{ model: string, bytes: number }} network
 * @property {Size} size
 * @property {{ name: string, picture: string }[]} pictures
 * @property {{ kind: string, strength: number, selected: number, seed: number, picture: string }} first what the
 *   network made of the first picture
 * @property {Kind | "hole"} kind
 * @property {number} strength
 * @property {number} selected
 * @property {number} seed
 * @property {"picture" | "error"} view
 * @property {string} title
 */

/** @typedef {AnyModel<State>} Model */
/** @typedef {{ picture: Float32Array, quality: number | null }} Repair */
/** @typedef {{ [name: string]: Repair }} Repairs */

const RADII = [1, 2];
const WEIGHTS = [0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8];
const LIMIT = 1; // of an error's colours: as far as from black to white

/** Of one, what each way of repair is called; in the order of the tiles. */
const NAMES = /** @type {const} */ ({
  damaged: "damaged",
  median: "median",
  variation: "total variation",
  biharmonic: "biharmonic",
  network: "network",
});

/** @param {Float32Array} image */
const clamped = (image) => image.map((value) => ui.clamp(value, 0, 1));

/** @param {number | null} value */
const decibels = (value) => (value === null ? "–" : `${ui.fixed(value, 1)} dB`);

/** @param {Float32Array} x @param {Float32Array} picture @param {Uint8Array | null} [where] @returns {Repair} */
const judged = (x, picture, where) => ({ picture, quality: psnr(x, picture, where) });

/**
 * The best for this picture of a filter's strengths, the undamaged one being known.
 * @param {Float32Array} x @param {number[]} strengths @param {(strength: number) => Float32Array} restore
 */
function best(x, strengths, restore) {
  const all = strengths.map((strength) => judged(x, clamped(restore(strength))));
  return all.reduce((a, b) =>
    /** @type {number} */ (b.quality) > /** @type {number} */ (a.quality) ? b : a,
  );
}

/**
 * What needs no network: the damaged picture and the filters.
 * @param {Float32Array} x @param {Float32Array} input what the network is shown
 * @param {Uint8Array | null} hidden @param {Size} size @returns {Repairs}
 */
function filtered(x, input, hidden, size) {
  if (hidden)
    return {
      damaged: judged(x, input, hidden),
      biharmonic: judged(x, biharmonic(input, hidden, size), hidden),
    };
  return {
    damaged: judged(x, clamped(input)),
    median: best(x, RADII, (radius) => median(input, size, radius)),
    variation: best(x, WEIGHTS, (weight) => totalVariation(input, size, weight)),
  };
}

/** One repaired picture, its error and its PSNR. @param {keyof typeof NAMES} name @param {Size} size */
function tile(name, [height, width]) {
  const label = NAMES[name];
  const grid = imageGrid([3, height, width], { label });
  grid.el.classList.add("companion-image");
  const shown = ui.number({ quantity: name === "damaged" ? "noisy" : name, value: null, format: decibels });
  const el = h(
    "figure",
    { class: "repair-tile" },
    grid.el,
    h("figcaption", { class: "companion-caption" }, label, " ", shown.el),
  );
  const count = height * width;
  const colours = new Float32Array(3 * count);
  return {
    el,
    /** @param {Repair | undefined} repair @param {Float32Array} x @param {boolean} isError @param {boolean} dark */
    draw(repair, x, isError, dark) {
      el.hidden = !repair;
      if (!repair) return;
      const { picture, quality } = repair;
      for (let i = 0; i < count; i += 1) {
        const rgb = isError ? diverging((picture[i] - x[i]) / LIMIT, dark) : null;
        for (let c = 0; c < 3; c += 1) colours[c * count + i] = rgb ? rgb[c] / 255 : picture[i];
      }
      grid.draw(colours);
      shown.set(quality);
      const words = quality === null ? "" : `, ${ui.fixed(quality, 1)} decibels`;
      grid.el.setAttribute("aria-label", isError ? `Error of ${label}${words}` : `${label}${words}`);
    },
  };
}

/** The tiles of all ways of repair, and how far the network is ahead. @param {Size} size */
function results(size) {
  const names = /** @type {(keyof typeof NAMES)[]} */ (Object.keys(NAMES));
  const tiles = names.map((name) => tile(name, size));
  const lead = ui.number({
    quantity: "lead",
    value: null,
    format: (v) => (v === null ? "–" : ui.signed(v, 1)),
  });
  const scale = colourScale("restored minus original");
  return {
    el: ui.stack(
      h("div", { class: "repair-tiles" }, ...tiles.map(({ el }) => el)),
      scale.el,
      ui.note("The network is ahead of the best filter by ", lead.el, " dB."),
    ),
    /** @param {Repairs} repairs @param {Float32Array} x @param {boolean} isError @param {boolean} dark */
    draw(repairs, x, isError, dark) {
      tiles.forEach((shown, k) => shown.draw(repairs[names[k]], x, isError, dark));
      scale.el.hidden = !isError;
      scale.set("−1", "+1", gradientOf("diverging", dark));
      const rivals = ["median", "variation", "biharmonic"].flatMap((name) => repairs[name]?.quality ?? []);
      const own = repairs.network?.quality ?? null;
      const ahead = own === null || !rivals.length ? null : own - Math.max(...rivals);
      lead.set(ahead);
      return ahead;
    },
  };
}

/**
 * Which damage: its kind, its strength, new noise, and for a hole the pad to wipe on.
 * @param {Traits<State>} traits
 * @param {{ onHole: () => void, under: () => Float32Array }} options `under` is what is wiped
 */
function damage(traits, { onHole, under }) {
  const { model, put } = traits;
  const [height, width] = model.get("size");
  const kinds = {
    gaussian: "Gaussian",
    "salt and pepper": "salt and pepper",
    masking: "masking",
    hole: "hole",
  };
  const kind = ui.select({
    label: "Damage",
    options: Object.entries(kinds).map(([value, label]) => ({ value, label })),
    value: model.get("kind"),
    onChange: (value) => put({ kind: value }),
  });
  const strength = traitSlider(traits, "strength", {
    label: "strength",
    name: "Strength of the noise",
    min: 0,
    max: 0.8,
    step: 0.05,
  });
  const again = ui.button({
    label: "New noise",
    onClick: () => put({ seed: branch(model.get("seed"), 1) }),
  });
  const wiper = drawingPad({
    label: "Wipe a hole",
    height,
    width,
    radius: 2.5,
    look: (ink) => withHoles(under(), ink.map(Math.round)),
    onChange: onHole,
  });
  const middle = width / 2;
  wiper.set([
    [
      [middle - 5, height / 2],
      [middle + 5, height / 2],
    ],
  ]); // prettier-ignore
  const noisePart = ui.stack(ui.sliders(strength.el), ui.row(again.el));
  return {
    el: ui.stack(kind.el, noisePart, wiper.el),
    /** 1 where a pixel is hidden; null where the damage is noise. */
    hidden: () => (model.get("kind") === "hole" ? Uint8Array.from(wiper.read(), Math.round) : null),
    draw() {
      const isHole = model.get("kind") === "hole";
      kind.set(model.get("kind"));
      noisePart.hidden = isHole;
      wiper.el.hidden = !isHole;
      if (isHole) wiper.show();
    },
  };
}

/**
 * Where the picture comes from: the pad, or the examples.
 * @param {Traits<State>} traits @param {HTMLElement} wake @param {(image: Float32Array) => void} onDrawn
 */
function source(traits, wake, onDrawn) {
  const [height, width] = traits.model.get("size");
  const pictures = traits.model.get("pictures");
  let shown = /** @type {ArrayLike<number> | null} */ (null);
  const pad = drawingPad({
    label: "Draw",
    height,
    width,
    centre: true,
    look: (ink) => shown ?? ink,
    onChange(image) {
      shown = null;
      pad.show();
      picker.set(undefined);
      onDrawn(image);
    },
  });
  const picker = imagePicker({
    label: "Pictures to choose among",
    tileClass: "repair-choice",
    crisp: true,
    tiles: pictures.map(({ name, picture }, value) => ({ value, caption: name, picture })),
    value: traits.model.get("selected"),
    onChange: (selected) => traits.put({ selected }),
  });
  return {
    el: ui.stack(
      h("div", { class: "repair-pad" }, pad.el, h("div", { class: "repair-wake" }, wake)),
      ui.note("Or take one of these:"),
      picker.el,
    ),
    /** One of the widget's pictures. @param {number} index @param {Float32Array} image */
    choose(index, image) {
      shown = image;
      picker.set(index);
      pad.set([]);
    },
  };
}

/**
 * What is on show: the picture, its damage, and the newest repairs.
 * @param {Traits<State>} traits
 */
function bench({ model }) {
  const size = model.get("size");
  /** @type {Float32Array} */
  let x = new Float32Array(size[0] * size[1]);
  /** @type {Repairs} */
  let repairs = {};
  let input = x;
  /** @type {Uint8Array | null} */
  let hidden = null;
  return {
    x: () => x,
    input: () => input,
    repairs: () => repairs,
    /** @param {Float32Array} image */
    take(image) {
      x = image;
    },
    /** Damage and filter anew. The network's last answer stays until the next. @param {Uint8Array | null} holes */
    damage(holes) {
      /** @type {Repairs} */
      const kept = {};
      if (repairs.network && (hidden === null) === (holes === null)) kept.network = repairs.network;
      hidden = holes;
      const kind = model.get("kind");
      input = hidden
        ? withHoles(x, hidden)
        : damaged(x, /** @type {Kind} */ (kind), model.get("strength"), model.get("seed"));
      repairs = { ...filtered(x, input, hidden, size), ...kept };
    },
    /** @param {Float32Array} denoised @param {Float32Array} inpainted */
    answer(denoised, inpainted) {
      const filled = input.map((value, i) => (hidden?.[i] ? inpainted[i] : value));
      repairs.network = judged(x, clamped(hidden ? filled : denoised), hidden);
      return { image: x, hidden, input, repairs };
    },
  };
}

/** @param {RenderProps<State>} props */
function render({ model, el }) {
  const size = model.get("size");
  const { network: of, first } = { network: model.get("network"), first: model.get("first") };
  let dark = false;
  /** @type {Float32Array[]} */
  let pictures = [];
  const [voice, status] = [ui.announcer(), ui.notice()];
  const describe =
    "Draw, damage your picture, and see who repairs it best. What is no digit is repaired, too: into a digit.";
  const root = ui.frame({ title: model.get("title"), describe }, voice.el);
  const traits = bindTraits(
    model,
    ["kind", "selected", "seed", "view"],
    perFrame(() => update()),
  );
  const table = bench(traits);
  let selected = -1; // the picture on show; −1 for a drawing
  let asked = 0;

  const draw = () => {
    const ahead = shown.draw(table.repairs(), table.x(), model.get("view") === "error", dark);
    view.set(model.get("view"));
    return ahead;
  };
  const ask = async () => {
    asked += 1;
    const mine = asked;
    try {
      const outputs = await net.run({
        image: { data: Float32Array.from(table.input()), dims: [1, 1, ...size] },
      });
      if (!outputs || mine !== asked) return;
      const [denoised, inpainted] = ["denoised", "inpainted"].map(
        (name) => /** @type {Float32Array} */ (outputs[name].data),
      );
      const detail = table.answer(denoised, inpainted);
      const ahead = draw();
      if (ahead !== null)
        voice.say(
          `The network is ${ui.fixed(Math.abs(ahead), 1)} decibels ${ahead < 0 ? "behind" : "ahead"}.`,
        );
      emit(root, "painted", detail);
    } catch (error) {
      status.set(`The network could not be run: ${/** @type {Error} */ (error).message}`, "error");
    }
  };
  let last = "";
  /** Draw, and where picture or damage have changed, repair anew. */
  const update = (always = false) => {
    if (!pictures.length) return;
    const key = JSON.stringify(
      ["kind", "strength", "selected", "seed"].map((name) => model.get(/** @type {any} */ (name))),
    );
    const isNew = always || key !== last;
    if (isNew && !always && model.get("selected") !== selected) {
      selected = model.get("selected");
      table.take(pictures[selected]);
      from.choose(selected, pictures[selected]);
    }
    last = key;
    part.draw();
    if (isNew) table.damage(part.hidden());
    draw();
    if (isNew) ask();
  };

  const net = wakingNetwork(model, {
    network: of,
    label: `Press to draw (${megabytes(of.bytes)})`,
    say: status.set,
    onOpen: () => emit(root, "opened"),
  });
  const from = source(traits, net.wake, (image) => {
    selected = -1;
    table.take(image);
    update(true);
  });
  const part = damage(traits, { under: table.x, onHole: perFrame(() => update(true)) });
  const view = ui.segmented({
    label: "Show",
    options: ["picture", "error"],
    value: model.get("view"),
    onChange: (choice) => traits.put({ view: choice }),
  });
  const shown = results(size);
  const title = "Repaired";
  voice.el.before(
    h(
      "div",
      { class: "repair-top" },
      from.el,
      ui.stack(part.el, status.el, ui.plate({ title, name: title }, ui.row(view.el), shown.el)),
    ),
    ui.note(
      "Numbers: PSNR in dB, of the hidden pixels alone where there is a hole; 60 at most. Each filter has its strength chosen for " +
        "this very picture, with the undamaged one known.",
    ),
  );
  el.append(root);

  const load = async () => {
    const numbers = async (/** @type {string} */ address) => numbersOf(await loadPicture(address), 1);
    const [answer, ...all] = await Promise.all(
      [first.picture, ...model.get("pictures").map((p) => p.picture)].map(numbers),
    );
    pictures = all;
    selected = model.get("selected");
    table.take(pictures[selected]);
    from.choose(selected, pictures[selected]);
    table.damage(part.hidden());
    const isFirst = /** @type {const} */ (["kind", "strength", "selected", "seed"]).every(
      (name) => model.get(name) === first[name],
    );
    if (isFirst) table.answer(answer, answer);
    last = JSON.stringify(
      ["kind", "strength", "selected", "seed"].map((name) => model.get(/** @type {any} */ (name))),
    );
    part.draw();
    draw();
    if (!isFirst) ask();
  };
  whenLoaded(root, load());
  const unfollow = followTheme(el, (colours) => {
    dark = isDark(colours);
    if (pictures.length) draw();
  });
  return lifetime(traits.stop, net.stop, unfollow);
}

export default { render };

// One photograph and the views that augmentation makes of it: the slide's fixed ones, for testing, and random
// ones, for training. Pixels come from maths/augmentation.js; this file draws and listens.

import { DRAWS, colourShift, cut, randomViews, slideViews, versions } from "./maths/augmentation.js";
import * as ui from "./ui/controls.js";
import { h } from "./ui/controls.js";
import { copyCode, python } from "./ui/copy_code.js";
import { bindTraits, emit, lifetime, perFrame, whenLoaded, traitSlider } from "./ui/lifetime.js";
import { loadPicture, pictureFile } from "./ui/pictures.js";

/** @import { AnyModel, RenderProps } from "@anywidget/types" */
/** @import { Traits } from "./ui/lifetime.js" */
/** @import { Components, View } from "./maths/augmentation.js" */

/** @typedef {"none" | "flip" | "crop_flip" | "random"} Kind */
/**
 * @typedef {object} State
 * @property {Kind} kind
 * @property {number} crop side of random crops, in pixels
 * @property {number} sigma strength of the colour shift
 * @property {number} seed
 * @property {number} chosen picture
 * @property {number} side of the pictures
 * @property {{ name: string, picture: string }[]} pictures
 * @property {Components} components
 * @property {string} title
 */
/** @typedef {(changes: Partial<State>) => void} Put */

const SIGMA = { min: 0, max: 1, step: 0.05 };
const KINDS = [
  { value: "none", label: "a. none" },
  { value: "flip", label: "b. flip" },
  { value: "crop_flip", label: "c. crop + flip" },
  { value: "random", label: "random" },
];
const STORY = {
  none: "For testing: the network is asked once, about the image as it is.",
  flip: "For testing: the network is asked about the image and its mirror image, and its answers are averaged.",
  crop_flip:
    "For testing: four corners and the middle, seven eighths of the side each, then the same of the mirror image. " +
    "AlexNet’s answer to an image was the mean of its answers to these ten.",
  random:
    "For training: a new crop at every step, from anywhere in the image, mirrored or not, its colours moved together. " +
    "Ten of them are on show.",
};

/** @param {View} view @param {number} side */
function where(view, side) {
  const parts = [];
  if (view.size < side || view.top || view.left) {
    const to = (/** @type {number} */ from) => `${ui.fixed(from, 0)} to ${ui.fixed(from + view.size - 1, 0)}`;
    parts.push(`rows ${to(view.top)}, columns ${to(view.left)}`);
  } else parts.push("the whole image");
  if (view.mirrored) parts.push("mirrored");
  return parts.join(", ");
}

/**
 * Which picture: one of the widget's, or the reader's own, which comes last.
 * @param {AnyModel<State>} model
 * @param {{ onPut: Put, onOwn: (pixels: ImageData) => void }} options
 */
function pictureChoice(model, { onPut, onOwn }) {
  const known = model.get("pictures");
  const options = known.map(({ name }, i) => ({ value: i, label: name }));
  const place = h("div", { class: "companion-field" });
  const trouble = ui.notice();
  const offer = () => {
    const list = ui.select({
      label: "Image",
      options,
      value: model.get("chosen"),
      onChange: (i) => onPut({ chosen: i }),
    });
    place.replaceChildren(list.el);
    return list;
  };
  let list = offer();
  const file = pictureFile({
    fit: { square: model.get("side") },
    onTrouble: (sentence) => trouble.set(sentence, "error"),
    onPicture: (pixels, name) => {
      onOwn(pixels);
      options[known.length] = { value: known.length, label: name };
      model.set("chosen", known.length);
      list = offer();
      onPut({ chosen: known.length });
    },
  });
  return {
    row: ui.row(place, file.el),
    trouble: trouble.el,
    /** @param {number} i */
    set: (i) => list.set(i),
    /** @param {number} i */
    name: (i) => options[i].label,
  };
}

/** How random views are drawn. @param {AnyModel<State>} model @param {Traits<State>} traits */
function randomControls(model, traits) {
  const side = model.get("side");
  const crop = traitSlider(traits, "crop", {
    label: "Crop",
    name: "side of the crop in pixels",
    min: Math.ceil(side / 2),
    max: side,
    step: 1,
    annotation: "AlexNet: 224 of 256",
    format: (v) => `${v} of ${side}`,
    describe: (v) => `${v} of ${side} pixels`,
  });
  const sigma = traitSlider(traits, "sigma", {
    label: "Colour",
    name: "strength of the colour shift, sigma",
    ...SIGMA,
    annotation: "AlexNet: 0.1",
    format: (v) => `σ = ${ui.fixed(v)}`,
    describe: (v) => `sigma ${ui.fixed(v)}`,
  });
  const again = ui.button({
    label: "Draw again",
    kind: "primary",
    title: "Ten new random views",
    onClick: () => traits.put({ seed: (model.get("seed") + 1) % 2 ** 32 }),
  });
  return h(
    "div",
    { class: "companion-stack augment-random" },
    ui.sliders(crop.el, sigma.el),
    ui.row(again.el),
  );
}

/**
 * The image with an outline of the view that is pointed at, and what is said of that view.
 * @param {AnyModel<State>} model
 */
function wholeImage(model) {
  const [side, components] = [model.get("side"), model.get("components")];
  const canvas = h("canvas", { width: side, height: side, role: "img" });
  const outline = h("div", { class: "augment-outline", "aria-hidden": "true" });
  const words = h("p", { class: "companion-note augment-words" });
  const shiftWords = h("p", { class: "companion-note augment-words" });
  const share = (/** @type {number} */ pixels) => `${(100 * pixels) / side}%`;
  return {
    el: ui.stack(h("div", { class: "augment-whole" }, canvas, outline), words, shiftWords),
    /** @param {ImageData} image @param {string} name */
    draw(image, name) {
      canvas.getContext("2d")?.putImageData(image, 0, 0);
      canvas.setAttribute("aria-label", `The image, ${name}.`);
    },
    /** @param {View[]} views @param {number} k the one that is pointed at */
    mark(views, k) {
      const view = views[k];
      outline.style.insetBlockStart = share(view.top);
      outline.style.insetInlineStart = share(view.left);
      outline.style.inlineSize = share(view.size);
      outline.style.blockSize = share(view.size);
      outline.classList.toggle("augment-turned", view.mirrored);
      words.textContent = `View ${k + 1} of ${views.length}: ${where(view, side)}.`;
      const shift = colourShift(components, view.alpha).map((v) => ui.signed(255 * v, 0));
      const colours = ["red", "green", "blue"].map((name, channel) => `${name} ${shift[channel]}`);
      shiftWords.textContent = view.alpha.some(Boolean) ? `Colours: ${colours.join(", ")} (of 255).` : "";
      return words.textContent;
    },
  };
}

/**
 * The views, as tiles that can be pointed at.
 * @param {AnyModel<State>} model @param {(k: number) => void} onPoint
 */
function viewSheet(model, onPoint) {
  const [side, components] = [model.get("side"), model.get("components")];
  const tiles = Array.from({ length: DRAWS }, (_, i) => {
    const canvas = h("canvas", { "aria-hidden": "true" });
    const point = () => onPoint(i);
    const listeners = { onclick: point, onpointerenter: point, onfocus: point };
    const el = h("button", { type: "button", class: "augment-tile", ...listeners }, canvas);
    return { el, canvas, context: canvas.getContext("2d") };
  });
  /** @type {Map<number, ImageData>} */
  const buffers = new Map();
  return {
    el: h(
      "div",
      { class: "augment-sheet", role: "group", "aria-label": "The views" },
      ...tiles.map((tile) => tile.el),
    ),
    /** @param {number} k */
    mark: (k) => tiles.forEach(({ el }, i) => el.classList.toggle("augment-pointed", i === k)),
    /** @param {ImageData} image @param {View[]} views */
    draw(image, views) {
      tiles.forEach(({ el, canvas, context }, i) => {
        const view = views[i];
        el.hidden = !view;
        if (!view) return;
        el.setAttribute("aria-label", `View ${i + 1}: ${where(view, side)}`);
        if (!context) return;
        const { size } = view;
        if (canvas.width !== size) [canvas.width, canvas.height] = [size, size];
        const into = buffers.get(size) ?? context.createImageData(size, size);
        buffers.set(size, into);
        cut(image, view, components, into);
        context.putImageData(into, 0, 0);
      });
    },
  };
}

/** The colours' principal components. @param {Components} components */
function componentPanel({ variances, directions }) {
  const total = variances.reduce((sum, v) => sum + v, 0);
  const swatches = variances.map((variance, k) => {
    const direction = directions.map((row) => row[k]);
    const colour = (/** @type {number} */ t) =>
      `rgb(${direction.map((p) => Math.round(255 * ui.clamp(0.5 + t * p, 0, 1))).join(" ")})`;
    const strip = h("span", {
      class: "augment-strip",
      style: `background:linear-gradient(to right, ${colour(-0.55)}, ${colour(0)}, ${colour(0.55)})`,
      "aria-hidden": "true",
    });
    const vector = direction.map((p) => ui.fixed(p)).join(", ");
    const words = ` = (${vector}), ${((100 * variance) / total).toFixed(1)} % of the variance`;
    return h("div", { class: "augment-component" }, strip, h("span", {}, ui.maths(`p_${k + 1}`), words));
  });
  return ui.panel(
    { title: "How the colours vary together" },
    h("div", { class: "augment-components" }, ...swatches),
    ui.note(
      "The principal components of red, green and blue over all pixels. " +
        "A random shift goes along each of them, in proportion to its variance: " +
        "mostly brighter or darker, a little warmer or colder.",
    ),
  );
}

/**
 * The views in torchvision, of a picture that its reader puts in.
 * @param {Kind} kind @param {View[]} views @param {number} side @param {Components} components
 */
function codeOf(kind, views, side, components) {
  const start = `import torch
from torchvision.transforms.v2 import functional as F

image = torch.rand(3, ${side}, ${side})  # your picture, 0 to 1
`;
  const fixed = {
    none: "views = [image]",
    flip: "views = [image, F.horizontal_flip(image)]",
    crop_flip: `views = F.ten_crop(image, [${views[0].size}, ${views[0].size}])`,
    random: "views = []",
  }[kind];
  if (kind !== "random") return `${start}${fixed}\nprint(len(views), views[0].shape)\n`;
  const rows = views.map(({ top, left, mirrored, alpha }) => {
    const shift = colourShift(components, alpha).map((v) => Number(v.toPrecision(6)));
    return `    (${top}, ${left}, ${mirrored ? "True" : "False"}, ${python(shift)}),\n`;
  });
  return `${start}size = ${views[0].size}
drawn = [  # top, left, mirrored, what red, green and blue gain
${rows.join("")}]
${fixed}
for top, left, mirrored, shift in drawn:
    view = F.crop(image, top, left, size, size)
    if mirrored:
        view = F.horizontal_flip(view)
    view = view + torch.tensor(shift).view(3, 1, 1)
    views.append(view.clamp(0, 1))
print(len(views), views[0].shape)
`;
}

/** @param {RenderProps<State>} props */
function render({ model, el }) {
  const side = model.get("side");
  const known = model.get("pictures");
  const voice = ui.announcer();
  /** @type {ImageData[]} */
  const images = []; // by number; the reader's own comes last
  let pointed = 0;
  /** @type {View[]} */
  let views = [];
  let ended = false;

  /** Show the view that is pointed at. */
  const mark = () => {
    pointed = Math.min(pointed, views.length - 1);
    sheet.mark(pointed);
    return whole.mark(views, pointed);
  };
  const draw = () => {
    const at = images[model.get("chosen")] ? model.get("chosen") : 0;
    const image = images[at];
    if (!image) return;
    const way = model.get("kind");
    const isRandom = way === "random";
    const [seed, crop, sigma] = [model.get("seed"), model.get("crop"), model.get("sigma")];
    picture.set(at);
    kind.set(way);
    random.hidden = !isRandom;
    colours.hidden = !isRandom;
    views = isRandom ? randomViews(seed, side, crop, sigma) : slideViews(way, side);
    code.draw();
    whole.draw(image, picture.name(at));
    sheet.draw(image, views);
    count.set(isRandom ? versions(side, crop) : views.length);
    unit.textContent = isRandom ? " versions of each image." : views.length === 1 ? " view." : " views.";
    story.textContent = STORY[way];
    const words = mark();
    const number = views.length === 1 ? "One view" : `${views.length} views`;
    if (traits.touched) voice.say(`${number} of ${picture.name(at)}. ${words}`);
    emit(el, "painted", { views });
  };
  const traits = bindTraits(model, ["kind", "seed", "chosen"], perFrame(draw));
  const { put } = traits;

  const picture = pictureChoice(model, {
    onPut: put,
    onOwn: (pixels) => {
      images[known.length] = pixels;
    },
  });
  const kind = ui.segmented({
    label: "Views",
    options: KINDS,
    value: model.get("kind"),
    onChange: (next) => {
      pointed = 0;
      put({ kind: next });
    },
  });
  kind.el.classList.add("augment-kinds");
  const random = randomControls(model, traits);
  const whole = wholeImage(model);
  const sheet = viewSheet(model, (k) => {
    if (k === pointed) return;
    pointed = k;
    mark();
  });
  const count = ui.number({ quantity: "views", value: 0, format: ui.grouped });
  const unit = h("span", {});
  const story = h("span", {});
  const code = copyCode({
    what: "the views",
    code: () => codeOf(model.get("kind"), views, side, model.get("components")),
    say: voice.say,
  });
  const colours = componentPanel(model.get("components"));
  const root = ui.frame(
    {
      title: model.get("title"),
      describe:
        "Fixed views to test with (a, b, c), or random ones to train on. " +
        "Point at a view to see where it was cut; the filled corner is its upper left.",
    },
    ui.panel({}, picture.row, picture.trouble, kind.el, random),
    h(
      "div",
      { class: "augment-stage" },
      whole.el,
      ui.stack(sheet.el, h("p", {}, h("strong", {}, count.el, unit), " ", story)),
    ),
    colours,
    code.el,
    voice.el,
  );
  el.append(root);
  const load = async () => {
    const decoded = await Promise.all(known.map((one) => loadPicture(one.picture, { square: side })));
    if (ended) return;
    decoded.forEach((image, i) => {
      images[i] = image;
    });
    draw();
  };
  whenLoaded(root, load());
  return lifetime(() => {
    ended = true;
  }, traits.stop);
}

export default { render };

// One photograph and the views that augmentation makes of it: the slide's fixed ones, and random ones as
// in training. Pixels come from augment.js; this file draws and listens.

import { DRAWS, colourShift, cut, randomViews, slideViews } from "./maths/augmentation.js";
import * as ui from "./ui/controls.js";

const { h } = ui;

const PADDING = { min: 0, max: 20, step: 1 };
const SIGMA = { min: 0, max: 1, step: 0.05 };
const KINDS = [
  { value: "none", label: "a. none" },
  { value: "flip", label: "b. flip" },
  { value: "crop_flip", label: "c. crop + flip" },
  { value: "random", label: "random" },
];
const STORY = {
  none: "One view: the image as it is.",
  flip: "Two views: the image and its mirror image.",
  crop_flip:
    "Ten views: four corners and the middle, seven eighths of the side each, then the same of the mirror image. " +
    "AlexNet’s answer to an image was the mean of its answers to these ten.",
  random:
    "Ten of the many images that one can become in training. Each is shifted, mirrored or not, and its colours move " +
    "together; what a crop leaves uncovered is black.",
};

/** The pixels of a picture, its middle square scaled to side × side: an ImageData. */
async function pixelsOf(source, side) {
  const image = new Image();
  image.src = source;
  await image.decode();
  const square = Math.min(image.naturalWidth, image.naturalHeight);
  if (!square) throw new Error("the picture is empty");
  const canvas = document.createElement("canvas");
  canvas.width = side;
  canvas.height = side;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  const [x, y] = [(image.naturalWidth - square) / 2, (image.naturalHeight - square) / 2];
  context.drawImage(image, x, y, square, square, 0, 0, side, side);
  return context.getImageData(0, 0, side, side);
}

const where = (view, side) => {
  const parts = [];
  if (view.size < side || view.top || view.left) {
    const to = (from) => `${ui.fixed(from, 0)} to ${ui.fixed(from + view.size - 1, 0)}`;
    parts.push(`rows ${to(view.top)}, columns ${to(view.left)}`);
  } else parts.push("the whole image");
  if (view.mirrored) parts.push("mirrored");
  return parts.join(", ");
};

function render({ model, el }) {
  const side = model.get("side");
  const known = model.get("pictures");
  const components = model.get("components");
  const voice = ui.announcer();
  const schedule = ui.perFrame(() => draw());
  const images = []; // ImageData by number; the reader's own comes last
  let pointed = 0;
  let views = [];
  let ended = false;

  const traits = ui.traits(model, ["kind", "padding", "sigma", "seed", "chosen"], schedule);
  const { put } = traits;

  // -------- controls
  const options = known.map(({ name }, i) => ({ value: i, label: name }));
  const pickers = h("div", {});
  let which;
  const offer = () => {
    which = ui.select({
      label: "Image",
      options,
      value: model.get("chosen"),
      onChange: (i) => put({ chosen: i }),
    });
    pickers.replaceChildren(which.el);
  };
  offer();
  const trouble = ui.notice();
  const file = h("input", {
    type: "file",
    accept: "image/*",
    class: "companion-spoken",
    tabindex: "-1",
    "aria-hidden": "true",
  });
  const own = ui.button({
    label: "Your own picture …",
    title: "It stays on your machine",
    onClick: () => file.click(),
  });
  file.addEventListener("change", async () => {
    const chosen = file.files[0];
    if (!chosen) return;
    const address = URL.createObjectURL(chosen);
    try {
      images[known.length] = await pixelsOf(address, side);
      trouble.set("");
      options[known.length] = { value: known.length, label: chosen.name };
      model.set("chosen", known.length);
      offer();
      put({ chosen: known.length });
    } catch {
      trouble.set(`${chosen.name} could not be read as a picture; a PNG or JPEG file is expected.`, "error");
    } finally {
      URL.revokeObjectURL(address);
      file.value = "";
    }
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
  const padding = ui.slider({
    label: "Frame",
    name: "width of the frame in pixels",
    ...PADDING,
    value: model.get("padding"),
    quantity: "padding",
    format: (v) => `${v} px`,
    describe: (v) => `${v} pixels`,
    onInput: (v) => put({ padding: v }),
  });
  const sigma = ui.slider({
    label: "Colour",
    name: "strength of the colour shift, sigma",
    ...SIGMA,
    value: model.get("sigma"),
    quantity: "sigma",
    annotation: "AlexNet: 0.1",
    format: (v) => `σ = ${ui.fixed(v)}`,
    describe: (v) => `sigma ${ui.fixed(v)}`,
    onInput: (v) => put({ sigma: v }),
  });
  kind.el.classList.add("augment-kinds");
  const again = ui.button({
    label: "Draw again",
    kind: "primary",
    title: "Ten new random views",
    onClick: () => put({ seed: (model.get("seed") + 1) % 2 ** 32 }),
  });
  const random = h(
    "div",
    { class: "companion-stack augment-random" },
    ui.sliders(padding.el, sigma.el),
    ui.row(again.el),
  );

  // -------- the image, and the views of it
  const reach = side + 2 * PADDING.max;
  const whole = h("canvas", { width: reach, height: reach, role: "img" });
  const outline = h("div", { class: "augment-outline", "aria-hidden": "true" });
  const stage = h("div", { class: "augment-whole" }, whole, outline);
  const words = h("p", { class: "companion-note augment-words" });
  const shiftWords = h("p", { class: "companion-note augment-words" });
  const point = (i) => {
    if (i === pointed) return;
    pointed = i;
    mark();
  };
  const tiles = Array.from({ length: DRAWS }, (_, i) => {
    const canvas = h("canvas", { "aria-hidden": "true" });
    const el_ = h(
      "button",
      {
        type: "button",
        class: "augment-tile",
        onclick: () => point(i),
        onpointerenter: () => point(i),
        onfocus: () => point(i),
      },
      canvas,
    );
    return { el: el_, canvas, context: canvas.getContext("2d") };
  });
  const sheet = h(
    "div",
    { class: "augment-sheet", role: "group", "aria-label": "The views" },
    ...tiles.map((tile) => tile.el),
  );
  const count = ui.number({
    quantity: "views",
    value: 0,
    format: (v) => (v === Infinity ? "As many as you like." : `${v}× the data.`),
  });
  const story = h("span", {});

  // -------- the colours' principal components
  const total = components.variances.reduce((sum, v) => sum + v, 0);
  const swatches = h(
    "div",
    { class: "augment-components" },
    ...components.variances.map((variance, k) => {
      const direction = components.directions.map((row) => row[k]);
      const colour = (t) =>
        `rgb(${direction.map((p) => Math.round(255 * Math.min(1, Math.max(0, 0.5 + t * p)))).join(" ")})`;
      const strip = h("span", {
        class: "augment-strip",
        style: `background:linear-gradient(to right, ${colour(-0.55)}, ${colour(0)}, ${colour(0.55)})`,
        "aria-hidden": "true",
      });
      return h(
        "div",
        { class: "augment-component" },
        strip,
        h(
          "span",
          {},
          ui.maths(`p_${k + 1}`),
          ` = (${direction.map((p) => ui.fixed(p)).join(", ")}), ${((100 * variance) / total).toFixed(1)} % of the variance`,
        ),
      );
    }),
  );
  const colours = ui.panel(
    { title: "How the colours vary together" },
    swatches,
    h(
      "p",
      { class: "companion-note" },
      "The principal components of red, green and blue over all pixels. A random shift goes along each of them, in " +
        "proportion to its variance: mostly brighter or darker, a little warmer or colder.",
    ),
  );

  const root = ui.frame(
    {
      title: model.get("title"),
      describe:
        "Choose how the training set grows. Point at a view to see where it was cut; the filled corner is its upper left.",
    },
    ui.panel({}, ui.row(pickers, own.el, file), trouble.el, kind.el, random),
    h(
      "div",
      { class: "augment-stage" },
      h("div", { class: "companion-stack" }, stage, words, shiftWords),
      h("div", { class: "companion-stack" }, sheet, h("p", {}, h("strong", {}, count.el), " ", story)),
    ),
    colours,
    voice.el,
  );
  root.dataset.state = "waiting";
  el.append(root);

  // -------- from the state to the screen
  const buffers = new Map();
  const buffer = (size) => {
    if (!buffers.has(size)) buffers.set(size, new ImageData(size, size));
    return buffers.get(size);
  };

  /** The outline and the words for the view that is pointed at; the rest is dimmed. */
  function mark() {
    pointed = Math.min(pointed, views.length - 1);
    const view = views[pointed];
    const share = (pixels) => `${(100 * pixels) / reach}%`;
    outline.style.insetBlockStart = share(view.top + PADDING.max);
    outline.style.insetInlineStart = share(view.left + PADDING.max);
    outline.style.inlineSize = share(view.size);
    outline.style.blockSize = share(view.size);
    outline.classList.toggle("augment-turned", view.mirrored);
    words.textContent = `View ${pointed + 1} of ${views.length}: ${where(view, side)}.`;
    const shift = colourShift(components, view.alpha);
    shiftWords.textContent = view.alpha.some(Boolean)
      ? `Colours: ${["red", "green", "blue"].map((name, k) => `${name} ${ui.signed(255 * shift[k], 0)}`).join(", ")} (of 255).`
      : "";
    tiles.forEach((tile, i) => tile.el.classList.toggle("augment-pointed", i === pointed));
  }

  function draw() {
    const at = images[model.get("chosen")] ? model.get("chosen") : 0;
    const image = images[at];
    if (!image) return;
    const way = model.get("kind");
    const isRandom = way === "random";
    which.set(at);
    kind.set(way);
    padding.set(model.get("padding"));
    sigma.set(model.get("sigma"));
    random.hidden = !isRandom;
    colours.hidden = !isRandom;
    views = isRandom
      ? randomViews(model.get("seed"), side, model.get("padding"), model.get("sigma"))
      : slideViews(way, side);

    const context = whole.getContext("2d");
    context.clearRect(0, 0, reach, reach);
    if (isRandom) {
      const p = model.get("padding");
      context.fillStyle = "black";
      context.fillRect(PADDING.max - p, PADDING.max - p, side + 2 * p, side + 2 * p);
    }
    context.putImageData(image, PADDING.max, PADDING.max);
    const name = options[at].label;
    whole.setAttribute(
      "aria-label",
      `The image, ${name}${isRandom && model.get("padding") ? `, in a black frame of ${model.get("padding")} pixels` : ""}.`,
    );

    tiles.forEach((tile, i) => {
      const view = views[i];
      tile.el.hidden = !view;
      if (!view) return;
      if (tile.canvas.width !== view.size) {
        tile.canvas.width = view.size;
        tile.canvas.height = view.size;
      }
      const into = buffer(view.size);
      cut(image, view, components, into);
      tile.context.putImageData(into, 0, 0);
      tile.el.setAttribute("aria-label", `View ${i + 1}: ${where(view, side)}`);
    });
    count.set(isRandom ? Infinity : views.length);
    story.textContent = STORY[way];
    mark();
    if (traits.touched)
      voice.say(
        `${views.length === 1 ? "One view" : `${views.length} views`} of ${name}. ${words.textContent}`,
      );
    el.dispatchEvent(new CustomEvent("companion-painted", { bubbles: true, detail: { views } }));
  }

  Promise.all(known.map(({ picture }) => pixelsOf(picture, side)))
    .then((decoded) => {
      if (ended) return;
      decoded.forEach((image, i) => {
        images[i] = image;
      });
      draw();
      root.dataset.state = "ready";
      el.dispatchEvent(new CustomEvent("companion-ready", { bubbles: true }));
    })
    .catch((error) => {
      el.dispatchEvent(new CustomEvent("companion-failed", { bubbles: true, detail: error }));
    });

  return () => {
    ended = true;
    traits.stop();
  };
}

export default { render };

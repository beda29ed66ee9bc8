// Paint on a window of a texture; an autoencoder rebuilds it, and the map shows where that fails.
// See TextureDefects in texture_defects.py for the state.

import { errorMap, greyOf, highest, painted } from "./maths/textures.js";
import { openModel } from "./runtime/session.js";
import { imageGrid } from "./ui/canvas.js";
import { followTheme } from "./ui/colours.js";
import * as ui from "./ui/controls.js";
import { h } from "./ui/controls.js";
import { drawingPad } from "./ui/drawing_pad.js";
import { imagePicker } from "./ui/image_picker.js";
import { bindTraits, emit, lifetime, perFrame, traitSlider, whenLoaded } from "./ui/lifetime.js";
import { loadPicture, numbersOf } from "./ui/pictures.js";
import { pixelMap } from "./ui/pixel_map.js";

/** @import { RenderProps } from "@anywidget/types" */
/** @import { Ink } from "./maths/textures.js" */

/**
 * @typedef {object} State
 * @property {{ model: string }} network SHA-256 of the exported model
 * @property {[number, number, number]} shape 1×H×W
 * @property {string[]} pictures
 * @property {number[]} scores of the windows as they came
 * @property {[row: number, column: number][]} highest where their errors are largest
 * @property {number} limit the largest score of the good windows
 * @property {number} sigma of the blur
 * @property {number} chosen
 * @property {Ink} ink
 * @property {number} strength
 * @property {string} title
 */

const INKS = [
  { value: "bright", label: "bright" },
  { value: "dark", label: "dark" },
  { value: "plain", label: "plain grey" },
];
const CHANGED = 0.1; // a pixel counts as painted from this change of its grey level on

const small = (/** @type {number} */ v) => ui.fixed(v, 4);

/** The score, the limit, and the verdict. */
function verdict() {
  const numbers = ui.readouts(small);
  const words = h("strong");
  const whole = (/** @type {number} */ v) => String(v);
  const alarm = ui.number({ quantity: "alarm", value: 0, format: (v) => (v ? "Alarm." : "No alarm.") });
  words.append(alarm.el);
  return {
    el: ui.stack(
      h(
        "p",
        {},
        words,
        " Score ",
        numbers.make("score"),
        "; the highest of the good windows ",
        numbers.make("limit"),
      ),
      h("p", {}, "Pixels changed by a tenth or more: ", numbers.make("painted", whole)),
    ),
    /** @param {number} score @param {number} limit @param {number} count */
    draw(score, limit, count) {
      numbers.set({ score, limit, painted: count });
      alarm.set(score > limit ? 1 : 0);
    },
  };
}

/** @param {RenderProps<State>} props */
function render({ model, el }) {
  const shape = model.get("shape");
  const [, height, width] = shape;
  const limit = model.get("limit");
  const voice = ui.announcer();
  /** @type {Float32Array[]} */
  const windows = [];
  /** @type {Awaited<ReturnType<typeof openModel>> | null} */
  let session = null;
  let [ended, version] = [false, 0];

  const shown = imageGrid(shape, { smooth: true, label: "The window with your paint", still: "window" });
  const rebuilt = imageGrid(shape, { smooth: true, label: "Its reconstruction", still: "rebuilt" });
  const map = pixelMap({
    height,
    width,
    label: "The error map",
    smooth: true,
    words: "squared error",
    format: small,
  });
  map.canvas.dataset.still = "map";
  const said = verdict();
  const pad = drawingPad({ label: "Paint", height, width, radius: 1.5, onChange: () => traits.put({}) });
  // The pad gives strokes by pointer, finger and keys; what is seen of them is the window under paint.
  pad.el.querySelector(".drawing-field")?.prepend(shown.el);
  pad.el.classList.add("texture-pad");

  const image = () => {
    const window = windows[model.get("chosen")];
    return painted(window, pad.read(), greyOf(model.get("ink"), window), model.get("strength"));
  };
  const ask = async () => {
    if (!session || ended) return;
    version += 1;
    const mine = version;
    const now = image();
    const outputs = await session.run({ image: { data: now.slice(), dims: [1, ...shape] } });
    if (!outputs || ended || mine !== version) return;
    const back = /** @type {Float32Array} */ (outputs.rebuilt.data);
    const errors = errorMap(now, back, height, width, model.get("sigma"));
    rebuilt.draw(back);
    map.draw(errors, 0, 1.5 * limit);
    const at = highest(errors);
    const [row, column] = [Math.floor(at / width), at % width];
    const window = windows[model.get("chosen")];
    said.draw(errors[at], limit, now.filter((v, i) => Math.abs(v - window[i]) >= CHANGED).length);
    map.describe(label(errors[at], row, column));
    if (traits.touched)
      voice.say(
        `${errors[at] > limit ? "Alarm" : "No alarm"}: score ${small(errors[at])}, in row ${row + 1}, column ${column + 1}.`,
      );
    emit(root, "painted", { image: Array.from(now), errors: Array.from(errors) });
  };
  const label = (/** @type {number} */ score, /** @type {number} */ row, /** @type {number} */ column) =>
    `The error map; it is highest, ${small(score)}, in row ${row + 1}, column ${column + 1}.`;
  const draw = () => {
    ink.set(model.get("ink"));
    picker?.set(model.get("chosen"));
    if (!windows.length) {
      map.draw(new Float32Array(height * width), 0, 1.5 * limit); // its scale; at rest Python's picture lies there
      const [score, place] = [
        model.get("scores")[model.get("chosen")],
        model.get("highest")[model.get("chosen")],
      ];
      map.describe(label(score, ...place));
      return said.draw(score, limit, 0);
    }
    shown.draw(image());
    ask();
  };
  const traits = bindTraits(model, ["chosen", "ink"], perFrame(draw));

  const ink = ui.segmented({
    label: "Paint",
    options: INKS,
    value: model.get("ink"),
    onChange: (value) => traits.put({ ink: value }),
  });
  const strength = traitSlider(traits, "strength", {
    ...{ label: "Strength", min: 0, max: 1, step: 0.05, name: "How much the paint covers" },
    format: (v) => `${Math.round(100 * v)} %`,
  });
  const pictures = model.get("pictures");
  const picker =
    pictures.length > 1
      ? imagePicker({
          label: "Window",
          tiles: pictures.map((picture, value) => ({ value, picture, caption: `window ${value + 1}` })),
          value: model.get("chosen"),
          onChange: (chosen) => traits.put({ chosen }),
        })
      : null;
  const root = ui.frame(
    {
      title: model.get("title"),
      describe: "Paint on the window. The network rebuilds it, and the map shows where that fails.",
    },
    picker?.el,
    h(
      "div",
      { class: "texture-stage" },
      pad.el,
      ui.stack(
        h(
          "div",
          { class: "texture-pair" },
          ui.figure(rebuilt.el, "Its reconstruction"),
          ui.figure(map.el, "Error map"),
        ),
        said.el,
        ink.el,
        ui.sliders(strength.el),
      ),
    ),
    voice.el,
  );
  rebuilt.el.classList.add("companion-image");
  el.append(root);
  draw();
  const load = async () => {
    const [opened, ...decoded] = await Promise.all([
      openModel(model.get("network").model, model),
      ...pictures.map((picture) => loadPicture(picture)),
    ]);
    if (ended) return opened.release();
    session = opened;
    windows.push(...decoded.map((one) => numbersOf(one, 1)));
    shown.draw(image());
    await ask();
  };
  whenLoaded(root, load());
  const unfollow = followTheme(root, map.onTheme);
  return lifetime(
    () => {
      ended = true;
      session?.release();
    },
    () => traits.stop(),
    unfollow,
  );
}

export default { render };

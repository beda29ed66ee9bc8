// A small convolutional layer, step by step: a colour picture, filters with a kernel for each channel, bias, ReLU,
// pooling. See ConvolutionStack in convolution_stack.py for the state; the numbers are maths/convolution.js's.

import { shapeAfter, stageOf, unitOf } from "./maths/convolution.js";
import { filterMaps, player } from "./stack/filter_maps.js";
import { limitOf, tinyMap } from "./stack/maps.js";
import { channelRow, outcome, scalesOf, exactly } from "./stack/step.js";
import { colourScale } from "./ui/cells.js";
import { followTheme, isDark } from "./ui/colours.js";
import * as ui from "./ui/controls.js";
import { h } from "./ui/controls.js";
import { copyCode, python, wrapped } from "./ui/copy_code.js";
import { imagePicker } from "./ui/image_picker.js";
import { bindTraits, lifetime, perFrame } from "./ui/lifetime.js";
import { gradientOf } from "./ui/pixel_map.js";
import { numbersOf, pictureFile } from "./ui/pictures.js";

/** @import { AnyModel, RenderProps } from "@anywidget/types" */
/** @import { Layer, Maps } from "./maths/convolution.js" */

/**
 * @typedef {object} State
 * @property {{ values: number[], caption: string }[]} pictures 3×side×side whole numbers from 0 to `levels`
 * @property {number} side
 * @property {number} levels
 * @property {number} selected the picture
 * @property {{ name: string, kernels: number[][][] }[]} presets of a filter
 * @property {number[][][][]} weight filters × 3 channels × 3 × 3
 * @property {number[]} bias
 * @property {number} padding
 * @property {number} stride
 * @property {number} filter the one that is written out
 * @property {[row: number, column: number]} position of the unit that is written out
 * @property {string} title
 */
/** @typedef {AnyModel<State>} Model */

const CHANNELS = ["red", "green", "blue"];
/** The colour of a channel at its strongest. */
const INKS = [
  [255, 70, 60],
  [70, 205, 90],
  [95, 135, 255],
];
const FRAME = [128, 128, 128]; // the zeros around the picture
const POOL = 2;

const OWN = "own numbers";

/** @param {Model} model @returns {Layer} */
const layerOf = (model) => ({
  weight: model.get("weight").flat(3),
  bias: model.get("bias"),
  shape: [model.get("bias").length, 3, 3],
  padding: model.get("padding"),
  stride: model.get("stride"),
  pool: POOL,
});

const { format } = exactly;

/** A picture in colour. @param {number[]} values @param {number} side @param {number} levels */
function thumbnail(values, side, levels) {
  const tile = tinyMap();
  const area = side * side;
  const at = Array.from({ length: area }, (_, i) => i);
  tile.draw(at, side, side, (i) => [0, 1, 2].map((c) => (255 * values[c * area + i]) / levels));
  return tile.el;
}

/**
 * Which picture; `current` is what there is to be seen.
 * @param {Model} model @param {{ onChoose: (selected: number) => void, onOwn: () => void, onTrouble: (sentence: string) => void }} options
 */
function pictureChoice(model, { onChoose, onOwn, onTrouble }) {
  const [side, levels] = [model.get("side"), model.get("levels")];
  /** @type {number[] | null} */
  let own = null;
  const picker = imagePicker({
    label: "Picture",
    tileClass: "stack-tile",
    value: model.get("selected"),
    tiles: model.get("pictures").map(({ values, caption }, value) => ({
      value,
      caption,
      content: thumbnail(values, side, levels),
    })),
    onChange(selected) {
      own = null;
      onChoose(selected);
    },
  });
  const file = pictureFile({
    fit: { square: side },
    onTrouble,
    onPicture(pixels) {
      own = Array.from(numbersOf(pixels, 3), (v) => Math.round(v * levels));
      ownTile.replaceChildren(thumbnail(own, side, levels));
      picker.set(undefined);
      onOwn();
    },
  });
  const ownTile = h("span", { class: "stack-own" });
  return {
    el: ui.row(picker.el, ownTile, file.el),
    current: () => own ?? model.get("pictures")[model.get("selected")].values,
    draw() {
      ownTile.hidden = !own;
      if (!own) picker.set(model.get("selected"));
    },
  };
}

/**
 * Which filter is written out, its preset, padding and stride.
 * @param {Model} model @param {(changes: Partial<State>) => void} onPut
 */
function settings(model, onPut) {
  const presets = model.get("presets");
  const filter = ui.segmented({
    label: "Written out",
    options: model.get("bias").map((_, value) => ({ value, label: `filter ${value + 1}` })),
    value: model.get("filter"),
    onChange: (k) => onPut({ filter: k }),
  });
  const preset = ui.select({
    label: "Its kernels",
    options: [...presets.map(({ name }) => name), OWN],
    onChange(name) {
      const found = presets.find((one) => one.name === name);
      const k = model.get("filter");
      if (found) onPut({ weight: model.get("weight").map((w, i) => (i === k ? found.kernels : w)) });
      else draw();
    },
  });
  const padding = ui.segmented({ label: "Padding", options: [0, 1], onChange: (v) => onPut({ padding: v }) });
  const stride = ui.segmented({ label: "Stride", options: [1, 2], onChange: (v) => onPut({ stride: v }) });
  const draw = () => {
    const kernels = JSON.stringify(model.get("weight")[model.get("filter")]);
    preset.set(presets.find((one) => JSON.stringify(one.kernels) === kernels)?.name ?? OWN);
    filter.set(model.get("filter"));
    padding.set(model.get("padding"));
    stride.set(model.get("stride"));
  };
  return { el: ui.row(filter.el, preset.el, padding.el, stride.el), draw };
}

/**
 * The picture's channels in a frame of zeros, as they are drawn.
 * @param {number[]} values @param {number} c @param {number} side @param {number} p padding
 */
function paddedPlane(values, c, side, p) {
  const across = side + 2 * p;
  return Array.from({ length: across * across }, (_, i) => {
    const [r, x] = [Math.floor(i / across) - p, (i % across) - p];
    return r < 0 || x < 0 || r >= side || x >= side ? -1 : values[(c * side + r) * side + x];
  });
}

/**
 * The three channels under each other, each with its window, kernel and products; then what becomes of the sums.
 * @param {Model} model
 * @param {{ onPick: (row: number, column: number, event: Event) => void, onPut: (changes: Partial<State>) => void,
 *   onTrouble: (sentence: string) => void }} options
 */
function stepPanel(model, { onPick, onPut, onTrouble }) {
  const [side, levels] = [model.get("side"), model.get("levels")];
  const onWeight =
    (/** @type {number} */ c) =>
    (/** @type {number} */ a, /** @type {number} */ b, /** @type {number} */ value) => {
      const weight = structuredClone(model.get("weight"));
      weight[model.get("filter")][c][a][b] = value;
      onPut({ weight });
    };
  const rows = CHANNELS.map((name, c) =>
    channelRow({
      kernel: 3,
      writing: exactly,
      onPick,
      edit: { name, onEdit: onWeight(c), onTrouble },
    }),
  );
  const ending = outcome({
    writing: exactly,
    pool: POOL,
    bias: {
      onEdit: (value) =>
        onPut({ bias: model.get("bias").map((b, k) => (k === model.get("filter") ? value : b)) }),
      onTrouble,
    },
  });
  return {
    el: h("div", { class: "stack-rows" }, ...rows.map(({ el }) => el)),
    ending: ending.el,
    /**
     * @param {number[]} values of the picture @param {Layer} layer @param {import("./maths/convolution.js").Stage} stage
     * @param {number} limit
     */
    draw(values, layer, stage, limit) {
      const [row, column] = model.get("position");
      const { padding: p, stride, pool } = layer;
      const unit = unitOf({ values, shape: [3, side, side] }, layer, stage, model.get("filter"), row, column);
      const scales = scalesOf(unit);
      const written = ending.written(unit);
      const box = { row: stride * row, column: stride * column, rows: 3, columns: 3 };
      const span = stride * (pool - 1) + 3;
      const field = unit.block && {
        row: stride * pool * unit.block.row,
        column: stride * pool * unit.block.column,
        rows: span,
        columns: span,
      };
      const across = side + 2 * p;
      rows.forEach((line, c) => {
        const scale = { ...scales, values: levels, shown: written[c], height: side, width: side, padding: p };
        line.draw(unit.perChannel[c], CHANNELS[c], scale);
        const ink = INKS[c];
        line.map.draw(paddedPlane(values, c, side, p), across, across, (v) =>
          v < 0 ? FRAME : ink.map((full) => (full * v) / levels),
        );
        line.map.frame(box, field, `The ${CHANNELS[c]} channel, window at row ${row}, column ${column}`);
      });
      ending.draw(unit, written, CHANNELS, [row, column], limit);
      return unit;
    },
  };
}

/** The layer in PyTorch. @param {Model} model @param {number[]} values of the picture */
function codeOf(model, values) {
  const [side, [row, column]] = [model.get("side"), model.get("position")];
  return `import torch
from torch.nn import functional as F

image = torch.tensor(${wrapped(python(values))}).view(1, 3, ${side}, ${side})
weight = torch.tensor(${wrapped(python(model.get("weight")))})
bias = torch.tensor(${python(model.get("bias"))})

sums = F.conv2d(image, weight, bias, stride=${model.get("stride")}, padding=${model.get("padding")})
activations = F.relu(sums)
pooled = F.max_pool2d(activations, ${POOL})
print(sums[0, ${model.get("filter")}, ${row}, ${column}], pooled.shape)
`;
}

/** @param {RenderProps<State>} props */
function render({ model, el }) {
  const side = model.get("side");
  const voice = ui.announcer();
  const trouble = ui.notice();
  const complain = (/** @type {string} */ sentence) => trouble.set(sentence, "error");
  let dark = false;
  const input = () => /** @type {Maps} */ ({ values: pictures.current(), shape: [3, side, side] });
  const sizes = () => shapeAfter(layerOf(model), [3, side, side]);

  const draw = () => {
    const layer = layerOf(model);
    const stage = stageOf(input(), layer);
    const [, rows, columns] = stage.sums.shape;
    const [row, column] = model.get("position");
    if (row >= rows || column >= columns) {
      traits.put({ position: [Math.min(row, rows - 1), Math.min(column, columns - 1)] });
      return;
    }
    const limit = limitOf(stage.sums.values);
    controls.draw();
    pictures.draw();
    code.draw();
    buttons.draw();
    const unit = step.draw(pictures.current(), layer, stage, limit);
    maps.forEach((map, k) => {
      map.draw(stage, k, limit, dark);
      map.frame(row, column, k === model.get("filter"));
    });
    scale.set(`−${format(limit)}`, format(limit), gradientOf("diverging", dark));
    if (traits.touched) {
      const spoken = (/** @type {number} */ v) => format(v).replace("−", "minus ");
      const sums = unit.perChannel.map(({ sum }, c) => `${CHANNELS[c]} ${spoken(sum)}`).join(", ");
      voice.say(
        `Filter ${model.get("filter") + 1}, row ${row}, column ${column}: ${sums}, bias ${spoken(unit.bias)}: ` +
          `sum ${spoken(unit.sum)}, after ReLU ${spoken(unit.relu)}` +
          (unit.block ? `, pooled ${spoken(unit.block.largest)}` : ", not pooled"),
      );
    }
  };
  const names = /** @type {(keyof State & string)[]} */ ([
    "selected",
    "weight",
    "bias",
    "padding",
    "stride",
    "filter",
    "position",
  ]);
  const traits = bindTraits(model, names, perFrame(draw));
  const put = (/** @type {Partial<State>} */ changes) => {
    buttons.stop();
    complain("");
    traits.put(changes);
  };

  /** Write out another unit; a player is disturbed by a press, not by a pointer on its way. */
  const stand = (
    /** @type {number} */ row,
    /** @type {number} */ column,
    /** @type {Event} */ event,
    filter = model.get("filter"),
  ) => {
    if (buttons.isPlaying() && event.type === "pointermove") return;
    if (String(model.get("position")) === String([row, column]) && filter === model.get("filter")) return;
    buttons.stop();
    traits.put({ filter, position: [row, column] });
  };
  /** The unit whose window lies around a pixel (of the padded picture). */
  const around = (/** @type {number} */ row, /** @type {number} */ column, /** @type {Event} */ event) => {
    const [, rows, columns] = sizes();
    const at = (/** @type {number} */ n, /** @type {number} */ count) =>
      ui.clamp(Math.round((n - 1) / model.get("stride")), 0, count - 1);
    stand(at(row, rows), at(column, columns), event);
  };

  const pictures = pictureChoice(model, {
    onChoose: (selected) => put({ selected }),
    onOwn: () => put({}),
    onTrouble: complain,
  });
  const controls = settings(model, put);
  const step = stepPanel(model, { onPick: around, onPut: put, onTrouble: complain });
  const maps = model.get("bias").map((_, k) =>
    filterMaps({
      name: `Filter ${k + 1}`,
      pool: POOL,
      format,
      onPick: (row, column, event) => stand(row, column, event, k),
    }),
  );
  const buttons = player({
    at: () => model.get("position")[0] * sizes()[2] + model.get("position")[1],
    count: () => sizes()[1] * sizes()[2],
    onStand(unit) {
      const [, rows, columns] = sizes();
      const to = ui.clamp(unit, 0, rows * columns - 1);
      traits.put({ position: [Math.floor(to / columns), to % columns] });
    },
  });
  const scale = colourScale("in all maps");
  const code = copyCode({
    what: "the layer",
    code: () => codeOf(model, pictures.current()),
    say: voice.say,
  });
  el.append(
    ui.frame(
      {
        title: model.get("title"),
        describe:
          "Three channels, two filters. Move the window over a channel or a map, step, or press Play. " +
          "Weights and bias can be changed.",
      },
      pictures.el,
      controls.el,
      step.el,
      trouble.el,
      step.ending,
      buttons.el,
      ...maps.map(({ el: one }) => one),
      scale.el,
      code.el,
      voice.el,
    ),
  );
  const unfollow = followTheme(el, (colours) => {
    dark = isDark(colours);
    draw();
  });
  return lifetime(buttons.stop, traits.stop, unfollow);
}

export default { render };

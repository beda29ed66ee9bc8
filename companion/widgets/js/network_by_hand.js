// A trained network on the reader's drawing: the maps of each stage, and any unit written out. See NetworkByHand in
// network_by_hand.py for the state. The page computes the network itself, with the sums that it shows.

import { softmax } from "./maths/classification.js";
import { fieldOf, unitOf } from "./maths/convolution.js";
import { filterMaps, player } from "./stack/filter_maps.js";
import { limitOf, mapField, mapOf, signedColour, tinyMap } from "./stack/maps.js";
import { bytesOf, forward, rounded, unpacked } from "./stack/network.js";
import { channelRow, outcome, scalesOf } from "./stack/step.js";
import { colourScale } from "./ui/cells.js";
import { followTheme, isDark } from "./ui/colours.js";
import * as ui from "./ui/controls.js";
import { h } from "./ui/controls.js";
import { copyCode, python, wrapped } from "./ui/copy_code.js";
import { digitPad, verdict } from "./ui/digit_network.js";
import { imagePicker } from "./ui/image_picker.js";
import { bindTraits, emit, lifetime, perFrame } from "./ui/lifetime.js";
import { gradientOf } from "./ui/pixel_map.js";

/** @import { AnyModel, RenderProps } from "@anywidget/types" */
/** @import { Layer } from "./maths/convolution.js" */
/** @import { Packed } from "./stack/network.js" */

/**
 * @typedef {object} State
 * @property {Packed} network
 * @property {number} side of the images
 * @property {string[]} class_names
 * @property {string} images base64: bytes, one image after the other
 * @property {string[]} captions
 * @property {number} stage
 * @property {number} filter
 * @property {[row: number, column: number]} position of the unit that is written out
 * @property {number} channel of the stage's input that is written out term by term
 * @property {string} title
 */
/** @typedef {AnyModel<State>} Model */
/** @typedef {ReturnType<typeof forward>} Seen */

const { format } = rounded;
const grey = (/** @type {number} */ v) => Array(3).fill(255 * v);

/** A choice among small maps, in rows. @param {{ label: string, count: number, name: string, onChange: (k: number) => void }} options */
function mapPicker({ label, count, name, onChange }) {
  const maps = Array.from({ length: count }, tinyMap);
  const words = maps.map(() => h("span", { class: "stack-small" }));
  const picker = imagePicker({
    label,
    tileClass: "stack-pick",
    value: 0,
    tiles: maps.map(({ el }, k) => ({
      value: k,
      caption: `${name} ${k + 1}`,
      content: h("span", {}, el, words[k]),
    })),
    onChange,
  });
  return { el: picker.el, maps, words, set: picker.set };
}

/**
 * All of one stage: its filters, the maps of one, and one unit written out.
 * @param {Layer[]} layers up to this one @param {number} side of the image
 * @param {{ onPut: (changes: Partial<State>) => void, onStand: (row: number, column: number, event: Event) => void }} options
 */
function stagePanel(layers, side, { onPut, onStand }) {
  const layer = layers[layers.length - 1];
  const [filters, channels, kernel] = layer.shape;
  const { stride, padding, pool } = layer;
  const writing = rounded;
  const all = mapPicker({
    label: "Filters",
    count: filters,
    name: "filter",
    onChange: (filter) => onPut({ filter }),
  });
  const parts = mapPicker({
    label: "Channels",
    count: channels,
    name: "channel",
    onChange: (channel) => onPut({ channel }),
  });
  const maps = filterMaps({ name: "Chosen filter", pool, format, onPick: onStand });
  const seenField = mapField({ onPick() {} });
  const around = (/** @type {number} */ row, /** @type {number} */ column, /** @type {Event} */ event) =>
    onStand(...centred(row, column), event);
  /** @type {[number, number]} */
  let size = [1, 1];
  const centred = (/** @type {number} */ row, /** @type {number} */ column) =>
    /** @type {[number, number]} */ (
      [row, column].map((n, axis) => ui.clamp(Math.round((n - (kernel - 1) / 2) / stride), 0, size[axis] - 1))
    );
  const row = channelRow({ kernel, writing, onPick: around });
  const ending = outcome({ writing, pool });
  const heading = (/** @type {string} */ text) => h("p", { class: "companion-heading" }, text);
  const many = channels > 1;
  return {
    filters: ui.stack(heading(`All ${filters} filters, after ReLU`), all.el),
    maps: h(
      "div",
      { class: "stack-chosen" },
      maps.el,
      many
        ? h(
            "figure",
            { class: "stack-figure" },
            seenField.el,
            h("figcaption", { class: "companion-caption" }, "what the unit sees of the drawing"),
          )
        : null,
    ),
    step: ui.stack(
      many ? heading(`The unit’s products in ${channels} channels, and their sums`) : null,
      many ? parts.el : null,
      h("div", { class: "stack-rows" }, row.el),
      ending.el,
    ),
    /** @param {Seen} seen @param {number} index of the stage @param {Model} model @param {boolean} dark */
    draw({ image, seen }, index, model, dark) {
      const { input, stage } = seen[index];
      const [, height, width] = stage.sums.shape;
      size = [height, width];
      const [k, c] = [model.get("filter"), model.get("channel")];
      const [r, i] = model.get("position");
      const limit = limitOf(stage.sums.values);
      const colour = signedColour(limit, dark);
      all.maps.forEach((map, f) => map.draw(mapOf(stage.activations, f), height, width, colour));
      all.set(k);
      maps.draw(stage, k, limit, dark);
      maps.title(`Filter ${k + 1}`);
      maps.frame(r, i, true);
      const unit = unitOf(input, layer, stage, k, r, i);
      const scales = scalesOf(unit);
      const written = ending.written(unit);
      if (many) {
        const tint = signedColour(scales.products, dark);
        parts.maps.forEach((map, part) => {
          const products = unit.perChannel[part].terms.map(({ product }) => product);
          map.draw(products, kernel, kernel, tint);
          parts.words[part].textContent = format(written[part]);
        });
        parts.set(c);
      }
      const [, h_, w_] = input.shape;
      const scale = { ...scales, shown: written[c], height: h_, width: w_, padding };
      const title = many ? `channel ${c + 1}` : "your drawing";
      row.draw(unit.perChannel[c], title, scale);
      const most = limitOf(input.values);
      row.map.draw(mapOf(input, c), h_, w_, many ? signedColour(most, dark) : grey);
      const corner = { row: stride * r - padding, column: stride * i - padding };
      row.map.frame({ ...corner, rows: kernel, columns: kernel }, null, `${title}, with the window`);
      const sides = seen.map((one) => one.input.shape[1]);
      const [[top, bottom], [left, right]] = [fieldOf(layers, r, sides), fieldOf(layers, i, sides)];
      seenField.draw(image, side, side, grey);
      const field = { row: top, column: left, rows: bottom - top, columns: right - left };
      seenField.frame(field, null, `It sees rows ${top} to ${bottom - 1}, columns ${left} to ${right - 1}`);
      ending.draw(unit, written, many ? null : ["drawing"], [r, i], limit);
      return { unit, limit };
    },
  };
}

/**
 * What the network is shown: a drawing, or one of the images that came along.
 * @param {Model} model @param {Float32Array[]} examples @param {(image: Float32Array, name: string) => void} onImage
 */
function drawingSource(model, examples, onImage) {
  const [side, captions] = [model.get("side"), model.get("captions")];
  /** @type {Float32Array | null} */
  let drawn = null;
  const show = perFrame(() => {
    if (drawn) onImage(drawn, "Your drawing");
    drawn = null;
  });
  const wake = ui.button({
    label: "Press to draw",
    kind: "primary",
    onClick() {
      wake.el.hidden = true;
    },
  });
  wake.el.dataset.wakes = "";
  const pad = digitPad([1, side, side], wake.el, (image) => {
    drawn = image;
    picker.set(undefined);
    show();
  });
  const picker = imagePicker({
    label: "Digits to choose among",
    tileClass: "look-tile",
    value: 0,
    tiles: examples.map((image, value) => {
      const tile = tinyMap();
      tile.draw(image, side, side, grey);
      return { value, caption: captions[value], content: tile.el };
    }),
    onChange(k) {
      pad.clear();
      onImage(examples[k], captions[k]);
    },
  });
  return { pad: pad.el, picker: picker.el };
}

/**
 * The unit that is written out, in PyTorch: what its filter sees, and the filter.
 * @param {ReturnType<typeof unitOf>} unit @param {Layer} layer
 */
function codeOf({ perChannel, bias }, { shape }) {
  const size = `1, ${shape[1]}, ${shape[2]}, ${shape[2]}`;
  const flat = (/** @type {"value" | "weight"} */ what) =>
    wrapped(
      python(perChannel.flatMap(({ terms }) => terms.map((term) => Number(term[what].toPrecision(9))))),
    );
  return `import torch
from torch.nn import functional as F

window = torch.tensor(${flat("value")}).view(${size})
weight = torch.tensor(${flat("weight")}).view(${size})
bias = torch.tensor([${python(bias)}])

total = F.conv2d(window, weight, bias)
print(total.item(), F.relu(total).item())
`;
}

/** @param {RenderProps<State>} props */
function render({ model, el }) {
  const [side, names] = [model.get("side"), model.get("class_names")];
  const network = unpacked(model.get("network"));
  const { layers } = network;
  const bytes = bytesOf(model.get("images"));
  const examples = model
    .get("captions")
    .map((_, k) => Float32Array.from(bytes.subarray(k * side * side, (k + 1) * side * side), (v) => v / 255));
  let seen = forward(network, examples[0], side);
  let dark = false;
  const voice = ui.announcer();
  const sizes = () => seen.seen[model.get("stage")].stage.sums.shape;

  let shown = -1;
  /** @type {ReturnType<typeof unitOf> | null} */
  let current = null;
  /** What of the state the stage does not have, and the last that it has instead. */
  const missing = () => {
    const [filters, channels] = layers[model.get("stage")].shape;
    const [, height, width] = sizes();
    const [row, column] = model.get("position");
    /** @type {Partial<State>} */
    const changes = {};
    if (model.get("filter") >= filters) changes.filter = filters - 1;
    if (model.get("channel") >= channels) changes.channel = channels - 1;
    if (row >= height || column >= width)
      changes.position = [Math.min(row, height - 1), Math.min(column, width - 1)];
    return changes;
  };
  const draw = () => {
    const changes = missing();
    if (Object.keys(changes).length) {
      traits.put(changes);
      return;
    }
    const index = model.get("stage");
    const panel = panels[index];
    if (shown !== index) {
      shown = index;
      holder.replaceChildren(panel.filters, panel.maps, buttons.el, ui.row(scale.el), panel.step);
    }
    const { unit, limit } = panel.draw(seen, index, model, dark);
    current = unit;
    code.draw();
    classes.draw(softmax(seen.logits), seen.logits);
    choice.set(index);
    buttons.draw();
    scale.set(`−${format(limit)}`, format(limit), gradientOf("diverging", dark));
    const { shape, pool } = layers[index];
    const [, height, width] = sizes();
    words.textContent =
      `${shape[0]} filters of ${shape[2]}×${shape[2]} on ${shape[1]} ${shape[1] === 1 ? "channel" : "channels"}; ` +
      `maps of ${height}×${width}, pooled to ${Math.floor(height / pool)}×${Math.floor(width / pool)}`;
    if (traits.touched) {
      const spoken = (/** @type {number} */ v) => format(v).replace("−", "minus ");
      const [row, column] = model.get("position");
      voice.say(
        `Stage ${index + 1}, filter ${model.get("filter") + 1}, row ${row}, column ${column}: ` +
          `sum ${spoken(unit.sum)}, after ReLU ${spoken(unit.relu)}` +
          (unit.block ? `, pooled ${spoken(unit.block.largest)}.` : ", not pooled."),
      );
    }
  };
  const traits = bindTraits(model, ["stage", "filter", "position", "channel"], perFrame(draw));
  const put = (/** @type {Partial<State>} */ changes) => {
    buttons.stop();
    traits.put(changes);
  };
  const stand = (/** @type {number} */ row, /** @type {number} */ column, /** @type {Event} */ event) => {
    if (buttons.isPlaying() && event.type === "pointermove") return;
    if (String(model.get("position")) === String([row, column])) return;
    put({ position: [row, column] });
  };
  const panels = layers.map((_, index) =>
    stagePanel(layers.slice(0, index + 1), side, { onPut: put, onStand: stand }),
  );
  const show = (/** @type {Float32Array} */ image, /** @type {string} */ name) => {
    seen = forward(network, image, side);
    draw();
    const p = softmax(seen.logits);
    const best = p.indexOf(Math.max(...p));
    voice.say(`${name}: ${names[best]}, ${Math.round(100 * p[best])} %`);
    emit(root, "painted", { image, logits: seen.logits });
  };
  const source = drawingSource(model, examples, show);
  const classes = verdict(names, { logits: true });
  const choice = ui.segmented({
    label: "Stage",
    options: layers.map((_, value) => ({ value, label: `conv ${value + 1}` })),
    value: model.get("stage"),
    onChange: (stage) => put({ stage }),
  });
  const words = ui.note();
  const buttons = player({
    at: () => model.get("position")[0] * sizes()[2] + model.get("position")[1],
    count: () => sizes()[1] * sizes()[2],
    onStand(unit) {
      const [, height, width] = sizes();
      const to = ui.clamp(unit, 0, height * width - 1);
      traits.put({ position: [Math.floor(to / width), to % width] });
    },
  });
  const scale = colourScale("in all maps of this stage");
  const holder = ui.stack();
  const code = copyCode({
    what: "the unit",
    code: () => (current ? codeOf(current, layers[model.get("stage")]) : ""),
    say: voice.say,
  });
  const root = ui.frame(
    {
      title: model.get("title"),
      describe:
        "Draw a digit. Choose a stage and a filter, then a place in its maps: that unit is written out.",
    },
    h(
      "div",
      { class: "look-top" },
      source.pad,
      ui.stack(
        h("p", { class: "companion-heading" }, "The network says"),
        classes.el,
        ui.note("Or take one of these:"),
        source.picker,
      ),
    ),
    ui.panel({}, ui.row(choice.el, words)),
    holder,
    ui.note(
      "Numbers have two decimals, some rounded up or down so that the sums add up as they stand; the page computes " +
        "with all digits.",
    ),
    code.el,
    voice.el,
  );
  el.append(root);
  const unfollow = followTheme(el, (colours) => {
    dark = isDark(colours);
    draw();
  });
  return lifetime(buttons.stop, traits.stop, unfollow);
}

export default { render };

// An Inception module with its widths under the reader's hands: what each branch multiplies, and what it
// hands on. Counting is maths/costs.js; this file draws and listens.

import { add, branchCost, conv, inceptionBranches } from "./maths/costs.js";
import { chart, mark, pointable, s, setAll } from "./ui/axes.js";
import * as ui from "./ui/controls.js";
import { h } from "./ui/controls.js";
import { copyCode } from "./ui/copy_code.js";
import { bindTraits, lifetime, observeWidth, perFrame, traitSlider } from "./ui/lifetime.js";

/** @import { AnyModel, RenderProps } from "@anywidget/types" */
/** @import { Traits } from "./ui/lifetime.js" */
/** @import { Branch, Conv, Cost } from "./maths/costs.js" */

/**
 * @typedef {object} Settings
 * @property {number} size of the input's sides
 * @property {number} in_channels
 * @property {number[]} widths
 * @property {boolean} bottlenecks
 * @property {number} five the window of the third branch, 5 or 3
 */
/** @typedef {Settings & { presets: (Settings & { name: string })[], title: string }} State */
/** @typedef {{ branch: number, step: number, conv: Conv, label: string, cost: Cost }} Step a convolution */
/** @typedef {(branch: number | null, step?: number | null) => void} OnPoint step null: all of the branch */

const TINTS = ["data-1", "data-2", "data-3", "data-4"];
const WIDTHS = [
  { label: "1×1", branch: 0, index: 0, needsBottlenecks: false },
  { label: "1×1 before 3×3", branch: 1, index: 1, needsBottlenecks: true },
  { label: "3×3", branch: 1, index: 2, needsBottlenecks: false },
  { label: "1×1 before 5×5", branch: 2, index: 3, needsBottlenecks: true },
  { label: "5×5", branch: 2, index: 4, needsBottlenecks: false },
  { label: "1×1 after pool", branch: 3, index: 5, needsBottlenecks: true },
];
const OWN = -1;
const NAMES = /** @type {const} */ (["size", "in_channels", "widths", "bottlenecks", "five"]);

const millions = (/** @type {number} */ v) =>
  v >= 1e9
    ? `${ui.fixed(v / 1e9, 2)} G`
    : v >= 9.995e4
      ? `${ui.fixed(v / 1e6, 1)} M`
      : `${ui.fixed(v / 1e3, 1)} k`;
const spokenMillions = (/** @type {number} */ v) => `${ui.fixed(v / 1e6, 1)} million`;

/** The module, top to bottom: input, branches, stacked output. @param {OnPoint} onPoint */
function diagram(onPoint) {
  const height = 306;
  const BOX = 50;
  const rows = { input: 4, first: 78, second: 162, output: 252 };
  const text = (/** @type {string} */ cls, /** @type {number} */ y, size = "") =>
    mark("text", `${cls} ${size}`, null, { y, "text-anchor": "middle" });
  const input = mark("rect", "bottleneck-slab", null, { rx: 6, y: rows.input, height: 40 });
  const inputText = text("companion-ink", rows.input + 25);
  const columns = TINTS.map((tint, i) => {
    const boxes = [rows.first, rows.second].map((y) => {
      const rect = mark("rect", "bottleneck-box", null, { rx: 6, y, height: BOX });
      const window = text("companion-ink bottleneck-window", y + 21);
      const width = text("", y + 39);
      return { el: s("g", {}, rect, window, width), rect, window, width, y };
    });
    const wires = mark("path", "bottleneck-wire");
    const share = mark("rect", "bottleneck-box", null, { y: rows.output, height: 30 });
    const count = text("companion-ink", rows.output + 20);
    const reach = { y: rows.first - 24, height: height - rows.first + 24 - 18 };
    const hit = mark("rect", "bottleneck-hit", null, reach);
    const el = s(
      "g",
      { "data-tint": tint, class: "bottleneck-branch" },
      wires,
      ...boxes.map((b) => b.el),
      share,
      count,
      hit,
    );
    pointable(el, (on) => onPoint(on ? i : null));
    return { el, boxes, wires, share, count, hit };
  });
  const outputText = text("", height - 6);
  const { el: picture, svg } = chart({ height }, input, inputText, ...columns.map((c) => c.el), outputText);
  return {
    el: picture,
    /**
     * @param {{ width: number, size: number, depth: number, branches: Branch[], output: number,
     *   pointed: number | null }} options output: its channels
     */
    draw({ width, size, depth, branches, output, pointed }) {
      const gap = 10;
      const column = (width - 3 * gap) / 4;
      setAll(input, { x: 1, width: width - 2 });
      setAll(inputText, { x: width / 2 });
      inputText.textContent = `input ${size}×${size}×${depth}`;
      let left = 1;
      columns.forEach(({ el, boxes, wires, share, count, hit }, i) => {
        const { convs, outChannels, name } = branches[i];
        const x = i * (column + gap);
        const middle = x + column / 2;
        const words = convs.map((c) => [`${c.kernel}×${c.kernel}`, `→ ${c.outChannels}`]);
        if (name === "pool") words.unshift(["3×3", "max pool"]);
        const cells = words.length > 1 ? words : [null, words[0]];
        boxes.forEach((box, k) => {
          const cell = cells[k];
          box.el.style.display = cell ? "" : "none";
          if (!cell) return;
          setAll(box.rect, { x: x + 1, width: Math.max(0, column - 2) });
          setAll(box.window, { x: middle });
          setAll(box.width, { x: middle });
          [box.window.textContent, box.width.textContent] = cell;
        });
        const part = Math.max(3, ((width - 2) * outChannels) / output);
        const target = left + part / 2;
        setAll(wires, {
          d:
            `M${middle} ${rows.input + 40}V${cells[0] ? rows.first : rows.second}` +
            (cells[0] ? `M${middle} ${rows.first + BOX}V${rows.second}` : "") +
            `M${middle} ${rows.second + BOX}C${middle} ${rows.output - 20} ` +
            `${target.toFixed(1)} ${rows.second + BOX + 20} ${target.toFixed(1)} ${rows.output}`,
        });
        setAll(share, { x: left.toFixed(1), width: Math.max(2, part - 2).toFixed(1), rx: 3 });
        setAll(count, { x: target.toFixed(1) });
        count.textContent = part > 30 ? String(outChannels) : "";
        setAll(hit, { x, width: column });
        left += part;
        el.classList.toggle("bottleneck-dim", pointed !== null && pointed !== i);
      });
      setAll(outputText, { x: width / 2 });
      outputText.textContent = `stacked output ${size}×${size}×${output}`;
      setAll(svg, {
        "aria-label":
          `An Inception module. The input, ${size} by ${size} by ${depth}, goes into four branches: ` +
          branches
            .map((b) => `${b.name === "pool" ? "pooling" : b.name} hands on ${b.outChannels} channels`)
            .join(", ") +
          `. Stacked they are ${output} channels.`,
      });
    },
  };
}

/**
 * Rows of a bar and a number, one for each convolution; pointing at one spells its product out.
 * @param {OnPoint} onPoint
 */
function bars(onPoint) {
  const rows = Array.from({ length: 6 }, () => {
    const label = h("span", { class: "bottleneck-label" });
    const bar = ui.bar();
    const shown = ui.number({ quantity: undefined, value: 0, format: millions });
    const pick = h("span", { class: "bottleneck-pick", tabindex: 0, role: "img" }, label, bar.el, shown.el);
    const el = h("li", { class: "bottleneck-row" }, pick);
    /** @type {Step | undefined} */
    let at;
    const point = (/** @type {boolean} */ on) => (on && at ? onPoint(at.branch, at.step) : onPoint(null));
    pointable(pick, point);
    pick.addEventListener("focus", () => point(true));
    pick.addEventListener("blur", () => point(false));
    return {
      el,
      /** @param {Step | undefined} item @param {number} most @param {number | null} pointed branch */
      draw(item, most, pointed) {
        at = item;
        el.style.visibility = item ? "" : "hidden"; // the rows below stay where they are
        if (!item) return;
        el.dataset.tint = TINTS[item.branch];
        bar.el.dataset.tint = TINTS[item.branch];
        label.textContent = item.label;
        bar.set(item.cost.multiplications / most);
        shown.set(item.cost.multiplications);
        shown.el.dataset.quantity = `step-${item.branch}-${item.step}`;
        const words = `${spokenMillions(item.cost.multiplications)} multiplications`;
        pick.setAttribute("aria-label", `${item.label}: ${words}, ${item.cost.parameters} parameters`);
        el.classList.toggle("bottleneck-dim", pointed !== null && pointed !== item.branch);
      },
    };
  });
  return { el: h("ul", { class: "bottleneck-rows" }, ...rows.map((row) => row.el)), rows };
}

/** "5×5", or what it is called where a second 3×3 stands in its place. */
const third = (/** @type {number} */ window) => (window === 5 ? "5×5" : "second 3×3");

/**
 * All convolutions, with what they cost.
 * @param {Branch[]} branches @param {number} size @returns {Step[]}
 */
function steps(branches, size) {
  const called = (/** @type {string} */ name, /** @type {number} */ branch) =>
    branch === 2 ? third(name === "5×5" ? 5 : 3) : name;
  return branches.flatMap(({ name, convs }, branch) =>
    convs.map((c, step) => ({
      branch,
      step,
      conv: c,
      label:
        name === "pool"
          ? "1×1 after pool"
          : convs.length > 1 && step === 0
            ? `1×1 before ${called(name, branch)}`
            : called(name, branch),
      cost: conv(size, c.inChannels, c.outChannels, c.kernel),
    })),
  );
}

/** What goes in. @param {Traits<State>} traits */
function inputSliders(traits) {
  const size = { label: "Side of the input", min: 4, max: 56, step: 1, format: String };
  const depth = { label: "Depth of the input", min: 16, max: 1024, step: 16, format: String };
  return ui.sliders(traitSlider(traits, "size", size).el, traitSlider(traits, "in_channels", depth).el);
}

/**
 * How many filters each convolution has.
 * @param {AnyModel<State>} model
 * @param {{ onPut: (changes: Partial<State>) => void, onPoint: OnPoint }} options
 */
function widthSliders(model, { onPut, onPoint }) {
  const all = WIDTHS.map(({ label, branch, index, needsBottlenecks }) => {
    const name = h("span", {}, label);
    const dot = h("span", { class: "companion-key companion-key-dot", "aria-hidden": "true" });
    const slider = ui.slider({
      label: h("span", { class: "bottleneck-tag", data: { tint: TINTS[branch] } }, dot, name),
      min: 8,
      max: 384,
      step: 8,
      value: model.get("widths")[index],
      format: String,
      quantity: `width-${index}`,
      onInput: (v) => onPut({ widths: model.get("widths").map((w, i) => (i === index ? v : w)) }),
    });
    slider.input.addEventListener("focus", () => onPoint(branch));
    slider.input.addEventListener("blur", () => onPoint(null));
    return { label, index, needsBottlenecks, name, slider };
  });
  const column = (/** @type {typeof all} */ some) => ui.sliders(...some.map(({ slider }) => slider.el));
  return {
    el: h("div", { class: "bottleneck-widths" }, column(all.slice(0, 3)), column(all.slice(3))),
    draw() {
      for (const { label, index, needsBottlenecks, name, slider } of all) {
        const off = needsBottlenecks && !model.get("bottlenecks");
        name.textContent = label.replace("5×5", third(model.get("five")));
        slider.set(model.get("widths")[index]);
        slider.input.disabled = off;
        slider.el.classList.toggle("bottleneck-off", off);
      }
    },
  };
}

/** The products of the convolutions that are pointed at. */
function spelledOut() {
  const el = h("p", { class: "companion-note bottleneck-spelled" });
  const product = (/** @type {number} */ size, /** @type {Step} */ { label, conv: c, cost }) =>
    h(
      "span",
      { class: "bottleneck-product" },
      h("strong", {}, label),
      `: ${size}·${size} places × ${c.outChannels} filters × ` +
        `${c.kernel}·${c.kernel}·${c.inChannels} weights = `,
      h("span", { class: "companion-number" }, ui.grouped(cost.multiplications)),
      ` (${ui.grouped(cost.parameters)} parameters)`,
    );
  return {
    el,
    /** @param {number} size @param {Step[] | null} items null: nothing is pointed at */
    draw(size, items) {
      if (items === null)
        el.textContent = "Each output number costs as many multiplications as its filter has weights.";
      else if (!items.length) el.textContent = "Pooling multiplies nothing, but hands on all its channels.";
      else el.replaceChildren(...items.map((item) => product(size, item)));
    },
  };
}

/** The sums over all branches. */
function totals() {
  const numbers = ui.readouts(ui.grouped);
  const inAll = h("span"); // the total once more, beside the sliders that a phone shows far below it
  const unit = h("span", { class: "bottleneck-unit" }, " multiplications");
  const ratio = numbers.make("ratio", (v) => ui.fixed(v, 2));
  const against = ui.note("Without bottlenecks, ", numbers.make("naive"), ": ", ratio, " times as many.");
  return {
    parts: [
      h("p", { class: "companion-result" }, numbers.make("multiplications"), unit),
      h(
        "p",
        {},
        numbers.make("parameters"),
        " parameters, output depth ",
        numbers.make("output_depth", String),
      ),
      against,
    ],
    inAll,
    /**
     * @param {Cost} cost @param {Cost} plain without bottlenecks @param {number} depth @param {boolean} on
     */
    draw(cost, plain, depth, on) {
      numbers.set({
        ...cost,
        output_depth: depth,
        naive: plain.multiplications,
        ratio: plain.multiplications / cost.multiplications,
      });
      inAll.textContent = millions(cost.multiplications);
      against.style.visibility = on ? "" : "hidden";
    },
  };
}

/** @param {Branch} branch @param {number} i */
function branchCode({ convs }, i) {
  const layers = convs.map(
    ({ kernel, inChannels, outChannels }) =>
      `nn.Conv2d(${inChannels}, ${outChannels}, ${kernel}${kernel > 1 ? `, padding=${(kernel - 1) / 2}` : ""})`,
  );
  const relus = layers.flatMap((layer) => [layer, "nn.ReLU()"]);
  return `    nn.Sequential(${[...(i === 3 ? ["nn.MaxPool2d(3, stride=1, padding=1)"] : []), ...relus].join(", ")}),\n`;
}

/** The module in PyTorch. @param {Branch[]} branches @param {number} depth @param {number} size */
const codeOf = (branches, depth, size) => `import torch
from torch import nn

branches = nn.ModuleList([
${branches.map(branchCode).join("")}])
x = torch.randn(1, ${depth}, ${size}, ${size})
output = torch.cat([branch(x) for branch in branches], dim=1)
parameters = sum(p.numel() for p in branches.parameters())
print(output.shape, parameters)
`;

/** @param {RenderProps<State>} props */
function render({ model, el }) {
  const presets = model.get("presets");
  /** @type {number | null} */
  let pointed = null;
  /** @type {number | null} */
  let pointedStep = 0;
  const voice = ui.announcer();

  const draw = () => {
    const { width } = column;
    if (!width) return;
    const [size, depth, widths] = [model.get("size"), model.get("in_channels"), model.get("widths")];
    const [on, window] = [model.get("bottlenecks"), model.get("five")];
    const branches = inceptionBranches(depth, widths, on, window);
    const plain = inceptionBranches(depth, widths, false, window);
    const [cost, plainCost] = [branches, plain].map((all) => add(...all.map((b) => branchCost(b, size))));
    const output = branches.reduce((sum, b) => sum + b.outChannels, 0);
    const list = steps(branches, size);
    const most = Math.max(...[...list, ...steps(plain, size)].map((item) => item.cost.multiplications));

    code.draw();
    preset.set(presets.findIndex((p) => NAMES.every((name) => String(p[name]) === String(model.get(name)))));
    bottlenecks.set(on);
    five.set(window);
    filters.draw();
    sums.draw(cost, plainCost, output, on);
    picture.draw({ width, size, depth, branches, output, pointed });
    table.rows.forEach((row, i) => row.draw(list[i], most, pointed));
    const isMeant = (/** @type {Step} */ item) => pointedStep === null || item.step === pointedStep;
    const items = list.filter((item) => item.branch === pointed && isMeant(item));
    spelled.draw(size, pointed === null ? null : items);
    if (traits.touched)
      voice.say(`${spokenMillions(cost.multiplications)} multiplications, output depth ${output}.`);
  };
  const schedule = perFrame(draw);
  const traits = bindTraits(model, ["widths", "bottlenecks", "five"], schedule);
  const { put } = traits;
  /** @type {OnPoint} */
  const point = (branch, step = null) => {
    if (branch === pointed && step === pointedStep) return;
    [pointed, pointedStep] = [branch, step];
    schedule();
  };

  const preset = ui.select({
    label: "Module",
    options: [
      ...presets.map(({ name }, value) => ({ value, label: name })),
      { value: OWN, label: "your own widths" },
    ],
    onChange: (i) => {
      if (i !== OWN) put(Object.fromEntries(NAMES.map((name) => [name, presets[i][name]])));
    },
  });
  const bottlenecks = ui.toggle({ label: "1×1 bottlenecks", onChange: (on) => put({ bottlenecks: on }) });
  const five = ui.segmented({
    label: "Third branch",
    options: [
      { value: 5, label: "5×5" },
      { value: 3, label: "3×3" },
    ],
    onChange: (v) => put({ five: v }),
  });
  const inputs = inputSliders(traits);
  const filters = widthSliders(model, { onPut: put, onPoint: point });
  const sums = totals();
  const code = copyCode({
    what: "the module",
    code() {
      const depth = model.get("in_channels");
      const list = inceptionBranches(depth, model.get("widths"), model.get("bottlenecks"), model.get("five"));
      return codeOf(list, depth, model.get("size"));
    },
    say: voice.say,
  });
  const picture = diagram(point);
  const table = bars(point);
  const spelled = spelledOut();
  el.append(
    ui.frame(
      {
        title: model.get("title"),
        describe:
          "Four branches look at the same input, and their outputs are stacked. " +
          "Change the widths; point at a branch or a bar to see its product.",
      },
      h("div", { class: "companion-panel" }, ui.row(preset.el, bottlenecks.el, five.el)),
      ui.split([picture.el], [...sums.parts, inputs]),
      ui.plate(
        {
          title: h("span", {}, "Multiplications, ", sums.inAll, " in all"),
          name: "Multiplications of each convolution",
        },
        table.el,
        spelled.el,
      ),
      ui.plate({ title: "Widths: how many filters each convolution has", name: "Widths" }, filters.el),
      code.el,
      voice.el,
    ),
  );
  const column = observeWidth(picture.el, draw);
  return lifetime(column.stop, traits.stop);
}

export default { render };

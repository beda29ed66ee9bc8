// An Inception module with its widths under the reader's hands: what each branch multiplies, and what it hands on.

import { s, setAll } from "./ui/axes.js";
import * as ui from "./ui/controls.js";
import { add, branchCost, conv, inceptionBranches } from "./maths/costs.js";

const { h } = ui;

const TINTS = ["data-1", "data-2", "data-3", "data-4"];
// [label, branch, index among the widths, only with bottlenecks]
const WIDTHS = [
  ["1×1", 0, 0, false],
  ["1×1 before 3×3", 1, 1, true],
  ["3×3", 1, 2, false],
  ["1×1 before 5×5", 2, 3, true],
  ["5×5", 2, 4, false],
  ["1×1 after pool", 3, 5, true],
];
const OWN = -1;
const NAMES = ["size", "in_channels", "widths", "bottlenecks", "five"];

const millions = (v) =>
  v >= 1e9
    ? `${ui.fixed(v / 1e9, 2)} G`
    : v >= 9.995e4
      ? `${ui.fixed(v / 1e6, 1)} M`
      : `${ui.fixed(v / 1e3, 1)} k`;
const spokenMillions = (v) => `${ui.fixed(v / 1e6, 1)} million`;

/** The module, top to bottom: input, branches, stacked output. One SVG unit is one CSS pixel. */
function diagram(onPoint) {
  const height = 306;
  const BOX = 50;
  const rows = { input: 4, first: 78, second: 162, output: 252 };
  const text = (cls, y, size = "") => s("text", { class: `${cls} ${size}`, y, "text-anchor": "middle" });
  const input = s("rect", { class: "bottleneck-slab", rx: 6, y: rows.input, height: 40 });
  const inputText = text("companion-ink", rows.input + 25);
  const columns = TINTS.map((tint, i) => {
    const boxes = [rows.first, rows.second].map((y) => {
      const rect = s("rect", { class: "bottleneck-box", rx: 6, y, height: BOX });
      const window = text("companion-ink bottleneck-window", y + 21);
      const width = text("", y + 39);
      return { el: s("g", {}, rect, window, width), rect, window, width, y };
    });
    const wires = s("path", { class: "bottleneck-wire" });
    const share = s("rect", { class: "bottleneck-box", y: rows.output, height: 30 });
    const count = text("companion-ink", rows.output + 20);
    const hit = s("rect", {
      class: "bottleneck-hit",
      y: rows.first - 24,
      height: height - rows.first + 24 - 18,
    });
    const el = s(
      "g",
      { "data-tint": tint, class: "bottleneck-branch" },
      wires,
      ...boxes.map((b) => b.el),
      share,
      count,
      hit,
    );
    for (const event of ["pointerenter", "pointerdown"]) el.addEventListener(event, () => onPoint(i));
    el.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "mouse") onPoint(null);
    });
    return { el, boxes, wires, share, count, hit };
  });
  const outputText = text("", height - 6);
  const svg = s("svg", { height, role: "img" }, input, inputText, ...columns.map((c) => c.el), outputText);
  return {
    el: h("div", { class: "companion-chart" }, svg),
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
        const cells = [null, null];
        if (name === "pool") {
          cells[convs.length ? 0 : 1] = ["3×3", "max pool"];
          if (convs.length) cells[1] = ["1×1", `→ ${convs[0].outChannels}`];
        } else {
          convs.forEach((c, k) => {
            cells[2 - convs.length + k] = [`${c.kernel}×${c.kernel}`, `→ ${c.outChannels}`];
          });
        }
        boxes.forEach((box, k) => {
          box.el.style.display = cells[k] ? "" : "none";
          if (!cells[k]) return;
          setAll(box.rect, { x: x + 1, width: Math.max(0, column - 2) });
          setAll(box.window, { x: middle });
          setAll(box.width, { x: middle });
          box.window.textContent = cells[k][0];
          box.width.textContent = cells[k][1];
        });
        const part = Math.max(3, ((width - 2) * outChannels) / output);
        const target = left + part / 2;
        setAll(wires, {
          d:
            `M${middle} ${rows.input + 40}V${cells[0] ? rows.first : rows.second}` +
            (cells[0] ? `M${middle} ${rows.first + BOX}V${rows.second}` : "") +
            `M${middle} ${rows.second + BOX}C${middle} ${rows.output - 20} ${target.toFixed(1)} ${rows.second + BOX + 20} ${target.toFixed(1)} ${rows.output}`,
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

/** Rows of a bar and a number, one for each convolution; pointing at one spells its product out. */
function bars(onPoint) {
  const rows = Array.from({ length: 6 }, () => {
    const label = h("span", { class: "bottleneck-label" });
    const bar = ui.bar();
    const shown = ui.number({ quantity: undefined, value: 0, format: millions });
    const el = h(
      "li",
      { class: "bottleneck-row" },
      h("span", { class: "bottleneck-pick", tabindex: 0, role: "img" }, label, bar.el, shown.el),
    );
    const pick = el.firstChild;
    let at = null;
    for (const event of ["pointerenter", "focus", "pointerdown"])
      pick.addEventListener(event, () => onPoint(at?.branch ?? null, at?.step ?? 0));
    pick.addEventListener("blur", () => onPoint(null));
    pick.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "mouse") onPoint(null);
    });
    return {
      el,
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
        pick.setAttribute(
          "aria-label",
          `${item.label}: ${spokenMillions(item.cost.multiplications)} multiplications, ${item.cost.parameters} parameters`,
        );
        el.classList.toggle("bottleneck-dim", pointed !== null && pointed !== item.branch);
      },
    };
  });
  return { el: h("ul", { class: "bottleneck-rows" }, ...rows.map((row) => row.el)), rows };
}

/** "5×5", or what it is called where a second 3×3 stands in its place. */
const third = (window) => (window === 5 ? "5×5" : "second 3×3");

function steps(branches, size) {
  const called = (name, branch) => (branch === 2 ? third(name === "5×5" ? 5 : 3) : name);
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

function render({ model, el }) {
  const presets = model.get("presets");
  let pointed = null;
  let pointedStep = 0;
  let width = 0;
  const schedule = ui.perFrame(() => draw());
  const voice = ui.announcer();
  const point = (branch, step = null) => {
    if (branch === pointed && step === pointedStep) return;
    [pointed, pointedStep] = [branch, step];
    schedule();
  };
  const traits = ui.traits(model, NAMES, schedule);
  const { put } = traits;
  const setWidth = (index, value) =>
    put({ widths: model.get("widths").map((w, i) => (i === index ? value : w)) });

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
  const whole = (v) => String(v);
  const inputSliders = [
    ui.slider({
      label: "Side of the input",
      min: 4,
      max: 56,
      step: 1,
      value: model.get("size"),
      format: whole,
      quantity: "size",
      onInput: (v) => put({ size: v }),
    }),
    ui.slider({
      label: "Depth of the input",
      min: 16,
      max: 1024,
      step: 16,
      value: model.get("in_channels"),
      format: whole,
      quantity: "in_channels",
      onInput: (v) => put({ in_channels: v }),
    }),
  ];
  const widthLabels = WIDTHS.map(([label, branch]) => {
    const name = h("span", {}, label);
    return {
      name,
      el: h(
        "span",
        { class: "bottleneck-tag", data: { tint: TINTS[branch] } },
        h("span", { class: "companion-key companion-key-dot", "aria-hidden": "true" }),
        name,
      ),
    };
  });
  const widthSliders = WIDTHS.map(([label, branch, index], i) => {
    const slider = ui.slider({
      label: widthLabels[i].el,
      min: 8,
      max: 384,
      step: 8,
      value: model.get("widths")[index],
      format: whole,
      quantity: `width-${index}`,
      onInput: (v) => setWidth(index, v),
    });
    slider.input.addEventListener("focus", () => point(branch));
    slider.input.addEventListener("blur", () => point(null));
    return slider;
  });

  const total = ui.number({ quantity: "multiplications", value: 0, format: ui.grouped });
  const parameters = ui.number({ quantity: "parameters", value: 0, format: ui.grouped });
  const inAll = h("span"); // the total once more, beside the sliders that a phone shows far below it
  const output = ui.number({ quantity: "output_depth", value: 0, format: whole });
  const naive = ui.number({ quantity: "naive", value: 0, format: ui.grouped });
  const ratio = ui.number({ quantity: "ratio", value: 1, format: (v) => ui.fixed(v, 2) });
  const against = h(
    "p",
    { class: "companion-note" },
    "Without bottlenecks, ",
    naive.el,
    ": ",
    ratio.el,
    " times as many.",
  );
  const spelled = h("p", { class: "companion-note bottleneck-spelled" });
  const picture = diagram(point);
  const chart = bars(point);

  el.append(
    ui.frame(
      {
        title: model.get("title"),
        describe:
          "Four branches look at the same input, and their outputs are stacked. Change the widths; point at a branch or a bar to see its product.",
      },
      h("div", { class: "companion-panel" }, ui.row(preset.el, bottlenecks.el, five.el)),
      h(
        "div",
        { class: "companion-split" },
        h("div", { class: "companion-stack" }, picture.el),
        h(
          "div",
          { class: "companion-stack" },
          h(
            "p",
            { class: "companion-result" },
            total.el,
            h("span", { class: "bottleneck-unit" }, " multiplications"),
          ),
          h("p", {}, parameters.el, " parameters, output depth ", output.el),
          against,
          ui.sliders(...inputSliders.map((x) => x.el)),
        ),
      ),
      h(
        "div",
        { class: "companion-plate", role: "group", "aria-label": "Multiplications of each convolution" },
        h("p", { class: "companion-heading", "aria-hidden": "true" }, "Multiplications, ", inAll, " in all"),
        chart.el,
        spelled,
      ),
      h(
        "div",
        { class: "companion-plate", role: "group", "aria-label": "Widths" },
        h(
          "p",
          { class: "companion-heading", "aria-hidden": "true" },
          "Widths: how many filters each convolution has",
        ),
        h(
          "div",
          { class: "bottleneck-widths" },
          ui.sliders(...widthSliders.slice(0, 3).map((x) => x.el)),
          ui.sliders(...widthSliders.slice(3).map((x) => x.el)),
        ),
      ),
      voice.el,
    ),
  );

  function draw() {
    if (!width) return;
    const [size, depth, widths] = [model.get("size"), model.get("in_channels"), model.get("widths")];
    const [on, window] = [model.get("bottlenecks"), model.get("five")];
    const branches = inceptionBranches(depth, widths, on, window);
    const plain = inceptionBranches(depth, widths, false, window);
    const cost = add(...branches.map((b) => branchCost(b, size)));
    const plainCost = add(...plain.map((b) => branchCost(b, size)));
    const handedOn = branches.reduce((sum, b) => sum + b.outChannels, 0);
    const list = steps(branches, size);
    const most = Math.max(...[...list, ...steps(plain, size)].map((item) => item.cost.multiplications));

    const same = (p) => NAMES.every((name) => String(p[name]) === String(model.get(name)));
    preset.set(presets.findIndex(same));
    bottlenecks.set(on);
    five.set(window);
    inputSliders[0].set(size);
    inputSliders[1].set(depth);
    WIDTHS.forEach(([label, , index, needs], i) => {
      widthLabels[i].name.textContent = label.replace("5×5", third(window));
      widthSliders[i].set(widths[index]);
      widthSliders[i].input.disabled = needs && !on;
      widthSliders[i].el.classList.toggle("bottleneck-off", needs && !on);
    });
    total.set(cost.multiplications);
    inAll.textContent = millions(cost.multiplications);
    parameters.set(cost.parameters);
    output.set(handedOn);
    naive.set(plainCost.multiplications);
    ratio.set(plainCost.multiplications / cost.multiplications);
    against.style.visibility = on ? "" : "hidden";
    picture.draw({ width, size, depth, branches, output: handedOn, pointed });
    chart.rows.forEach((row, i) => row.draw(list[i], most, pointed));

    const items = list.filter(
      (item) => item.branch === pointed && (pointedStep === null || item.step === pointedStep),
    );
    if (pointed === null)
      spelled.textContent = "Each output number costs as many multiplications as its filter has weights.";
    else if (!items.length)
      spelled.textContent = "Pooling multiplies nothing, but hands on all its channels.";
    else {
      spelled.replaceChildren(
        ...items.map(({ label, conv: c, cost: { multiplications, parameters: weights } }) =>
          h(
            "span",
            { class: "bottleneck-product" },
            h("strong", {}, label),
            `: ${size}·${size} places × ${c.outChannels} filters × ${c.kernel}·${c.kernel}·${c.inChannels} weights = `,
            h("span", { class: "companion-number" }, ui.grouped(multiplications)),
            ` (${ui.grouped(weights)} parameters)`,
          ),
        ),
      );
    }
    if (traits.touched)
      voice.say(`${spokenMillions(cost.multiplications)} multiplications, output depth ${handedOn}.`);
  }

  const stopResize = ui.onResize(picture.el, (next) => {
    width = next;
    draw();
  });
  return () => {
    stopResize();
    traits.stop();
  };
}

export default { render };

// A network layer by layer: blocks drawn to scale, what each layer costs, and what is inside of a block.
// Numbers come from maths/layer_table.js; this file draws and listens.

import { exactSide, find, networkTable, shapeText, totals } from "./maths/layer_table.js";
import { chart, mark, s, setAll } from "./ui/axes.js";
import * as ui from "./ui/controls.js";
import { h } from "./ui/controls.js";
import { copyCode } from "./ui/copy_code.js";
import { bindTraits, emit, lifetime, observeWidth, perFrame } from "./ui/lifetime.js";

/** @import { AnyModel, RenderProps } from "@anywidget/types" */
/** @import { LayerNode, Row, Shape } from "./maths/layer_table.js" */

/**
 * @typedef {object} Network
 * @property {string} name
 * @property {number} channels of its images
 * @property {number[]} size [height, width] that it is made for
 * @property {number[]} range of sides that can be tried, empty for none
 * @property {boolean} oneSize it takes no other size
 * @property {LayerNode[]} layers
 */
/**
 * @typedef {object} State
 * @property {Network[]} networks
 * @property {string} network the name of the one on show
 * @property {string} layer the path of the chosen one
 * @property {number} size side of the image
 * @property {string} title
 */
/** @typedef {"parameters" | "multiplications"} Quantity */
/** @typedef {{ tall: number, slant: number, thick: number }} Block a shape as it is drawn, in pixels */

/** @type {Quantity[]} */
const QUANTITIES = ["parameters", "multiplications"];
const TYPES = [
  { type: "conv", token: "data-1", label: "convolution" },
  { type: "dense", token: "data-2", label: "dense" },
  { type: "pool", token: "data-3", label: "pooling" },
  { type: "block", token: "data-4", label: "block with branches" },
  { type: "other", token: "data-6", label: "normalisation and other" },
];
const TOKEN = Object.fromEntries(TYPES.map(({ type, token }) => [type, token]));

/**
 * Which of TYPES a layer is; a sequence is what its weightiest step is.
 * @param {LayerNode} node @returns {string}
 */
function typeOf(node) {
  if (node.rule === "paths" || node.rule === "gate") return "block";
  if (node.parts) {
    const inner = node.parts.map(typeOf);
    return TYPES.map(({ type }) => type).find((type) => type !== "other" && inner.includes(type)) ?? "other";
  }
  if (node.rule === "dense") return "dense";
  if (node.rule === "global") return "pool";
  if (node.rule === "window") return node.fanIn ? "conv" : "pool";
  return "other";
}

/**
 * Layers that act on single numbers, or on none (ReLU, dropout, flatten), have no block and no line.
 * @param {LayerNode} node
 */
const passes = (node) => (Boolean(node.small) && !node.kind.includes("norm")) || node.rule === "flatten";
/** The rows that have a line. @param {Row[]} rows */
const visibleOf = (rows) => rows.filter(({ node }) => !passes(node));

const commas = (/** @type {number} */ value) => Math.round(value).toLocaleString("en");
/** "1.23 M". @param {number} value */
function short(value) {
  if (!value) return "0";
  /** @type {[size: number, name: string][]} */
  const units = [
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ];
  const [unit, name] = units.find(([size]) => value >= size * 0.9995) ?? [1, ""];
  const scaled = value / unit;
  return `${unit === 1 ? scaled : scaled.toPrecision(3).replace(/e.*/, "")}${name && ` ${name}`}`;
}
const percent = (/** @type {number} */ share) =>
  share > 0 && share < 0.0005 ? "< 0.1 %" : `${(100 * share).toFixed(1)} %`;

// ---------------------------------------------------------------- blocks

/**
 * How tall and thick a shape is drawn, given the largest side and the pixels that it may take: sides to
 * scale or, `enlarged`, by their square roots; the number of channels always by its square root.
 * @param {Shape | null} shape
 * @param {{ largest: number, room: number, enlarged: boolean, thin: number }} scale
 * @returns {Block}
 */
function measures(shape, { largest, room, enlarged, thin }) {
  const drawn = (/** @type {number} */ side) =>
    Math.max(2.5, room * (enlarged ? Math.sqrt(side / largest) : side / largest));
  const [tall, deep] = shape?.length === 3 ? shape.slice(1) : [1, 1];
  return {
    tall: drawn(tall),
    slant: 0.32 * drawn(deep),
    thick: Math.max(2, thin * Math.sqrt(shape ? shape[0] : 4)),
  };
}

/**
 * The three faces of a block whose front's top left corner is (x, y).
 * @param {Block} block @param {number} x @param {number} y
 */
function faces({ tall, slant, thick }, x, y) {
  const n = (/** @type {number} */ v) => v.toFixed(1);
  const rise = 0.6 * slant;
  return [
    s("path", { class: "explorer-front", d: `M${n(x)} ${n(y)}h${n(thick)}v${n(tall)}h${n(-thick)}Z` }),
    s("path", {
      class: "explorer-top",
      d: `M${n(x)} ${n(y)}l${n(slant)} ${n(-rise)}h${n(thick)}l${n(-slant)} ${n(rise)}Z`,
    }),
    s("path", {
      class: "explorer-side",
      d: `M${n(x + thick)} ${n(y)}l${n(slant)} ${n(-rise)}v${n(tall)}l${n(-slant)} ${n(rise)}Z`,
    }),
  ];
}

/**
 * @typedef {object} Item a block of the picture
 * @property {string} token of its colour
 * @property {Block} size
 * @property {number} x
 * @property {Row} [row] none for the input
 */

/**
 * Blocks in a line, or in several where it is narrow.
 * @param {{ shape: Shape | null, token: string, row?: Row }[]} blocks
 * @param {Parameters<typeof measures>[1]} scale
 * @param {number} width @param {number} gap
 */
function inLines(blocks, scale, width, gap) {
  /** @type {Item[][]} */
  const lines = [[]];
  let x = 4;
  for (const { shape, token, row } of blocks) {
    const size = measures(shape, scale);
    const wide = size.thick + size.slant;
    if (x + wide > width - 4 && lines[lines.length - 1].length) {
      lines.push([]);
      x = 4;
    }
    lines[lines.length - 1].push({ token, row, size, x });
    x += wide + gap;
  }
  return lines;
}

/**
 * The whole network in a line of blocks, or several lines where it is narrow.
 * @param {(path: string) => void} onPick
 */
function overview(onPick) {
  const { el, svg } = chart({ class: "explorer-blocks" });
  /** One block, `top` and `y` being where it and its line begin. */
  const block = (
    /** @type {Item} */ { token, size, x, row },
    /** @type {number} */ y,
    /** @type {number} */ room,
  ) => {
    const top = y + room / 2 - (size.tall - 0.6 * size.slant) / 2;
    const target = { x: x - 4, y, width: size.thick + size.slant + 8, height: room };
    const group = s(
      "g",
      { class: "explorer-block", "data-tint": token },
      mark("rect", "explorer-target", null, target),
      ...faces(size, x, top),
    );
    if (row) {
      group.append(s("title", {}, `${row.name}: ${row.kind}, ${shapeText(row.output)}`));
      group.addEventListener("click", () => onPick(row.path));
      group.classList.toggle("explorer-lost", !row.output);
    } else group.classList.add("explorer-input");
    return group;
  };
  /** The name of the chosen block, under it. */
  const label = (
    /** @type {Item} */ { x, size },
    /** @type {Row} */ row,
    /** @type {number} */ y,
    /** @type {number} */ width,
  ) => {
    const words = row.output ? `${row.name} · ${shapeText(row.output)}` : `${row.name} · does not fit`;
    const half = 3.6 * words.length;
    const centre = Math.min(width - half - 2, Math.max(half + 2, x + (size.thick + size.slant) / 2));
    return s("text", { class: "companion-ink", x: centre.toFixed(1), y, "text-anchor": "middle" }, words);
  };
  return {
    el,
    /**
     * @param {{ name: string, input: Shape, rows: Row[], chosen: string, width: number, enlarged: boolean }}
     *   options chosen: a path
     */
    draw({ name, input, rows, chosen, width, enlarged }) {
      const narrow = width < 520;
      const largest = Math.max(input[1], input[2]);
      const scale = { largest, room: narrow ? 78 : 116, enlarged, thin: narrow ? 0.75 : 0.95 };
      const blocks = [
        { shape: input, token: "soft" },
        ...rows.map((row) => ({ shape: row.output, token: TOKEN[typeOf(row.node)], row })),
      ];
      let y = 4;
      const parts = [];
      for (const line of inLines(blocks, scale, width, narrow ? 5 : 7)) {
        const room = Math.max(26, ...line.map(({ size }) => size.tall + 0.6 * size.slant));
        for (const item of line) {
          const group = block(item, y, room);
          parts.push(group);
          if (item.row?.path !== chosen) continue;
          group.classList.add("explorer-chosen");
          parts.push(label(item, item.row, y + room + 17, width));
        }
        y += room + 24;
      }
      svg.replaceChildren(...parts);
      const last = rows[rows.length - 1];
      const said = rows.find((row) => row.path === chosen);
      setAll(svg, {
        height: y,
        "aria-label":
          `${name} as a line of ${blocks.length} blocks drawn to scale, ` +
          `from the input, ${shapeText(input)}, to ${last.name}, ${shapeText(last.output)}.` +
          (said ? ` ${said.name}, ${shapeText(said.output)}, is marked.` : ""),
      });
    },
  };
}

/** The receptive field of the unit in the middle over the image, and that of its neighbour. */
function fieldPicture() {
  const image = mark("rect", "explorer-image");
  const field = mark("rect", "explorer-field", "accent");
  const next = mark("rect", "explorer-field explorer-next", "accent");
  const svg = s(
    "svg",
    { class: "explorer-fields", width: 132, height: 132, role: "img" },
    image,
    next,
    field,
  );
  return {
    el: svg,
    /** @param {Row} row @param {Shape} input */
    draw({ output, fields = [] }, input) {
      svg.style.display = output ? "" : "none";
      if (!output) return;
      const spans = fields.map((f, axis) => {
        const n = output.length === 3 ? output[axis + 1] : 1;
        const first = Math.floor(n / 2) * f.stride - f.padding;
        return [first, f.size, n > 1 ? f.stride : 0];
      });
      const low = Math.min(0, ...spans.map(([first]) => first));
      const high = Math.max(input[1], input[2], ...spans.map(([first, size]) => first + size));
      const at = (/** @type {number} */ v) => 4 + (124 * (v - low)) / (high - low);
      const long = (/** @type {number} */ v) => Math.max(2, (124 * v) / (high - low));
      setAll(image, { x: at(0), y: at(0), width: long(input[2]), height: long(input[1]) });
      const [[y, tall, down], [x, wide]] = spans;
      setAll(field, { x: at(x), y: at(y), width: long(wide), height: long(tall) });
      setAll(next, { x: at(x), y: at(y - down), width: long(wide), height: long(tall) });
      next.style.display = down ? "" : "none";
      setAll(svg, {
        "aria-label":
          `The image, ${input[2]} by ${input[1]} pixels, and in it the ${wide} by ${tall} pixels ` +
          "that the unit in the middle sees.",
      });
    },
  };
}

// ---------------------------------------------------------------- words

/**
 * The one step of a row that multiplies or slides a window, if there is just one.
 * @param {Row} row
 * @returns {Row | null}
 */
function mainStep(row) {
  if (!row.parts) return row;
  if (row.node.rule !== "steps") return null;
  const steps = row.parts.filter(({ node }) => !passes(node) && node.rule !== "same");
  return steps.length === 1 ? mainStep(steps[0]) : null;
}

const factors = (/** @type {number[]} */ numbers) => numbers.map(commas).join("·");

/** How the side of a map comes about, where both sides come about alike; else "". @param {Row} step */
function sideWorking({ node, input, output }) {
  const [down, across] = node.window ?? [];
  if (!input || !down || String(down) !== String(across) || input[1] !== input[2]) return "";
  const [k, stride, padding, dilation] = down;
  const exact = exactSide(input[1], down);
  const reach = dilation > 1 ? dilation * (k - 1) + 1 : k;
  const framed = `${input[1]}${padding ? ` + 2·${padding}` : ""}`;
  const rounded =
    Number.isInteger(exact) || !output ? "" : `, rounded ${node.ceil ? "up" : "down"} to ${output[1]}`;
  return `(${framed} − ${reach})/${stride} + 1 = ${Number(exact.toFixed(3))}${rounded}`;
}

/** Lines such as "96 · (11·11·3 + 1)": how the numbers of a row come about. @param {Row} row */
function workings(row) {
  const step = mainStep(row);
  const found = { side: "", parameters: "", multiplications: "" };
  if (!step?.input) return found;
  const { node, output } = step;
  if (node.rule === "window" && !node.sides) found.side = sideWorking(step);
  if (node.fanIn) {
    const fan = factors(node.fanIn);
    const channels = commas(node.channels);
    const weights = node.fanIn.reduce((a, b) => a * b, 1);
    // Shared or reparametrised weights are another number.
    if (node.parameters === node.channels * (weights + (node.bias ? 1 : 0))) {
      found.parameters = node.bias ? `${channels} · (${fan} + 1)` : `${channels} · ${fan}`;
    }
    if (output) found.multiplications = `${factors([...output.slice(1), output[0]])} · ${fan}`;
  }
  return found;
}

/**
 * "Then: ReLU, dropout.": the layers after this one that have no line of their own.
 * @param {Row[]} rows @param {Row} row
 */
function following(rows, row) {
  const names = [];
  for (let i = rows.indexOf(row) + 1; i && i < rows.length && passes(rows[i].node); i += 1)
    names.push(rows[i].kind);
  return names.length ? `Then: ${names.join(", ")}.` : "";
}

/** Whether a row is worth a look inside. @param {Row} row @param {Row} [parent] */
const opens = ({ node, parts }, parent) =>
  parts !== undefined &&
  (node.rule !== "steps" ||
    (parent?.node.rule !== "paths" && parent?.node.rule !== "gate" && visibleOf(parts).length > 1));

/** How the branches of a block come together. @param {Row} row */
function joinWords({ node }) {
  const parts = node.parts ?? [];
  if (node.rule === "steps" || parts.length === 1) return "out";
  if (node.rule === "gate") return "multiplied";
  const sum = parts.reduce((total, part) => total + part.channels, 0);
  return sum === node.channels ? "stacked in depth" : "added";
}

// ---------------------------------------------------------------- the parts of the widget

/**
 * The network, the size of its images, and what all of it costs.
 * @param {AnyModel<State>} model
 * @param {{ entry: () => Network, onChoose: (name: string) => void, onSize: (size: number) => void }} options
 */
function networkPanel(model, { entry, onChoose, onSize }) {
  const which = ui.select({
    label: "Network",
    options: model.get("networks").map(({ name }) => name),
    value: entry().name,
    onChange: onChoose,
  });
  const home = ui.button({
    label: "Its own size",
    title: "Back to the images that the network is made for",
    onClick: () => onSize(entry().size[0]),
  });
  const sizePlace = h("div", { class: "explorer-size" });
  const warning = ui.notice();
  const numbers = ui.readouts(commas);
  const [parameters, multiplications] = QUANTITIES.map((name) => numbers.make(`total-${name}`));
  const reach = h("span", {});
  /** @type {ReturnType<typeof ui.slider> | null} */
  let slider = null;
  return {
    el: ui.panel(
      {},
      ui.row(which.el, home.el),
      sizePlace,
      warning.el,
      h(
        "p",
        { class: "explorer-total" },
        h("strong", {}, parameters),
        " parameters, ",
        h("strong", {}, multiplications),
        " multiplications for one image",
        reach,
      ),
    ),
    /** Another network: a slider of its own for the size. @param {Network} of */
    show(of) {
      home.el.hidden = !of.range.length;
      slider = null;
      sizePlace.replaceChildren();
      if (!of.range.length) return;
      slider = ui.slider({
        label: "Image size",
        name: "side of the image in pixels",
        min: of.range[0],
        max: of.range[1],
        step: 1,
        neutral: of.size[0],
        value: model.get("size"),
        format: (v) => `${v} × ${v}`,
        describe: (v) => `${v} pixels`,
        quantity: "size",
        annotation: of.oneSize
          ? `Made for ${of.size[0]}: try other sizes, and see where it breaks.`
          : `Made for ${of.size[0]}, but it takes others, too.`,
        onInput: onSize,
      });
      sizePlace.append(slider.el);
    },
    /** @param {Network} of @param {number[]} image its sides @param {ReturnType<typeof totals>} sums */
    draw(of, image, sums) {
      which.set(of.name);
      slider?.set(model.get("size"));
      numbers.set({
        "total-parameters": sums.parameters,
        "total-multiplications": sums.multiplications,
      });
      home.enable(image[0] !== of.size[0]);
      const { broken } = sums;
      warning.set(
        broken
          ? `Images of ${image[0]}×${image[1]} do not pass: ${broken.name} cannot work, for ${broken.broken}.`
          : "",
        "error",
      );
      reach.textContent = broken ? ", as far as it gets" : "";
    },
  };
}

/**
 * The list of layers with their costs.
 * @param {(path: string) => void} onPick
 */
function layerList(onPick) {
  const list = h("div", { class: "explorer-list", role: "radiogroup", "aria-label": "Layers" });
  const heads = ["layer", "output", "parameters", "multipli\u00adcations"];
  const head = h(
    "div",
    { class: "explorer-line explorer-head", "aria-hidden": "true" },
    ...heads.map((name) => h("span", {}, name)),
  );
  const cost = (/** @type {Quantity} */ quantity, /** @type {string} */ token) => {
    const bar = ui.bar({ token });
    const text = h("span", { class: "companion-number" });
    const unit = h("span", { class: "companion-spoken" }, ` ${quantity}`);
    return { quantity, bar, text, el: h("span", { class: "explorer-cost" }, bar.el, text, unit) };
  };
  const makeLine = (/** @type {LayerNode} */ node, /** @type {string} */ group) => {
    const tint = TOKEN[typeOf(node)];
    const input = h("input", {
      type: "radio",
      class: "companion-cover",
      name: group,
      value: node.name,
      onchange: () => onPick(node.name),
    });
    const shape = h("span", { class: "explorer-output" });
    const costs = QUANTITIES.map((quantity) => cost(quantity, tint));
    const branches = node.parts && node.rule !== "steps";
    const line = h(
      "label",
      { class: "explorer-line", data: { tint } },
      input,
      h(
        "span",
        { class: "explorer-label" },
        node.name,
        branches ? h("span", { class: "explorer-opens", "aria-hidden": "true" }, " ▸") : null,
      ),
      shape,
      ...costs.map(({ el }) => el),
    );
    return { input, shape, costs, line };
  };
  /** @type {ReturnType<typeof makeLine>[]} */
  let lines = [];
  return {
    el: h("div", {}, head, list),
    /** The lines of another network. @param {Network} of */
    show(of) {
      const group = ui.newId();
      lines = of.layers.filter((node) => !passes(node)).map((node) => makeLine(node, group));
      list.replaceChildren(...lines.map(({ line }) => line));
    },
    /** @param {Row[]} rows one a line @param {string} chosen path */
    draw(rows, chosen) {
      const most = {
        parameters: Math.max(1, ...rows.map((row) => row.parameters)),
        multiplications: Math.max(1, ...rows.map((row) => row.multiplications ?? 0)),
      };
      lines.forEach(({ input, shape, costs, line }, i) => {
        const row = rows[i];
        input.checked = row.path === chosen;
        line.classList.toggle("explorer-on", row.path === chosen);
        line.classList.toggle("explorer-lost", !row.output);
        shape.textContent = shapeText(row.output);
        for (const { quantity, bar, text } of costs) {
          const value = row[quantity] ?? 0;
          bar.set(value / most[quantity]);
          text.textContent = short(value);
          text.dataset.value = String(value);
        }
      });
    },
  };
}

/**
 * What is inside of blocks: each branch a line of chips, from what comes in to what goes out.
 * @param {(path: string) => void} onPick
 */
function insideBlocks(onPick) {
  const el = h("div", { class: "explorer-inside" });
  const chip = (
    /** @type {Row} */ row,
    /** @type {string} */ chosen,
    /** @type {Parameters<typeof measures>[1]} */ scale,
  ) => {
    const within = chosen === row.path || chosen.startsWith(`${row.path}.`);
    const size = measures(row.output, scale);
    const wide = size.thick + size.slant + 4;
    const tall = size.tall + 0.6 * size.slant + 4;
    const block = s(
      "svg",
      { width: wide.toFixed(1), height: tall.toFixed(1), "aria-hidden": "true", class: "explorer-mini" },
      ...faces(size, 2, 2 + 0.6 * size.slant),
    );
    const kind = row.kind.split(",")[0].split(":")[0];
    return h(
      "button",
      {
        type: "button",
        class: "explorer-chip",
        "aria-pressed": String(within),
        data: { tint: TOKEN[typeOf(row.node)] },
        onclick: () => onPick(row.path),
      },
      block,
      h("span", {}, h("strong", {}, row.name), h("br"), kind, h("br"), shapeText(row.output)),
    );
  };
  const strip = (/** @type {Row} */ row, /** @type {string} */ chosen) => {
    const branches = row.node.rule !== "steps";
    const ways = (branches ? (row.parts ?? []) : [row]).map((way) => {
      const parts = way.parts && way.node.rule === "steps" ? visibleOf(way.parts) : [];
      return { name: way.name, parts: parts.length ? parts : [way] };
    });
    const sideOf = (/** @type {Shape | null} */ shape) => (shape?.length === 3 ? shape[1] : 1);
    const outputs = ways.flatMap(({ parts }) => parts.map((part) => sideOf(part.output)));
    const scale = {
      largest: Math.max(1, sideOf(row.input), ...outputs),
      room: 34,
      enlarged: false,
      thin: 0.8,
    };
    const arrow = () => h("span", { class: "explorer-arrow", "aria-hidden": "true" }, "→");
    const step = (/** @type {Row} */ part, /** @type {number} */ i) =>
      h("div", { class: "explorer-step" }, i ? arrow() : null, chip(part, chosen, scale));
    const lines = ways.map(({ name, parts }) =>
      h(
        "div",
        { class: "explorer-way" },
        branches ? h("span", { class: "explorer-way-name" }, name) : null,
        h("div", { class: "explorer-chips" }, ...parts.map(step)),
      ),
    );
    const end = (/** @type {string} */ words, /** @type {Shape | null} */ shape) =>
      h("p", { class: "explorer-end" }, `${words} `, h("br"), shapeText(shape));
    return h(
      "div",
      { class: "companion-panel explorer-strip", role: "group", "aria-label": `Inside ${row.name}` },
      h("p", { class: "companion-heading" }, `Inside ${row.name}`),
      h(
        "div",
        { class: "explorer-ways" },
        end("in", row.input),
        h("div", { class: "explorer-branches", data: { branches: branches ? "" : undefined } }, ...lines),
        end(joinWords(row), row.output),
      ),
    );
  };
  return {
    el,
    /** @param {Row[]} chain the chosen row and those around it, outermost first */
    draw(chain) {
      const chosen = chain[chain.length - 1].path;
      const strips = chain.filter((row, i) => opens(row, chain[i - 1]));
      // Chips are made anew; the focus stays with the one that was pressed.
      const held = [...el.querySelectorAll("button")].findIndex((button) => button.matches(":focus"));
      el.replaceChildren(...strips.map((row) => strip(row, chosen)));
      el.hidden = !strips.length;
      if (held >= 0) el.querySelectorAll("button")[held]?.focus();
    },
  };
}

/** The chosen layer in words. @param {(path: string) => void} onPick */
function layerDetail(onPick) {
  const name = h("p", { class: "companion-heading explorer-name" });
  const shapes = h("p", { class: "explorer-shapes" });
  const [side, more] = [ui.note(), ui.note()];
  const broken = ui.notice();
  const field = fieldPicture();
  const numbers = ui.readouts(commas);
  const counts = QUANTITIES.map((quantity) => {
    const work = h("span", { class: "explorer-work" });
    const share = h("span", {});
    const number = h("strong", {}, numbers.make(`layer-${quantity}`));
    const el = h("p", { class: "explorer-count" }, number, ` ${quantity}`, h("br"), work, share);
    return { quantity, work, share, el };
  });
  const fieldWidth = h("span", { class: "explorer-field-width" });
  const fieldWords = h(
    "p",
    {},
    "A unit sees ",
    h("strong", {}, numbers.make("layer-receptive-field"), " × ", fieldWidth),
    " pixels; its neighbour looks ",
    h("span", {}, numbers.make("layer-stride")),
    " further on.",
  );
  const worth = ui.stack(
    ...counts.map(({ el }) => el),
    h("div", { class: "explorer-sees" }, field.el, fieldWords),
  );
  // Steps go through what is beside the chosen layer: the list, or the parts of a block.
  /** @type {Row[]} */
  let siblings = [];
  let at = -1;
  const go = (/** @type {number} */ way) => {
    const target = siblings[at + way];
    if (target) onPick(target.path);
  };
  const previous = ui.button({ label: "← previous", title: "The layer before", onClick: () => go(-1) });
  const next = ui.button({ label: "next →", title: "The layer after", onClick: () => go(1) });
  const el = h(
    "div",
    { class: "companion-stack explorer-detail", role: "group", "aria-label": "The chosen layer" },
    ui.row(previous.el, next.el),
    name,
    shapes,
    side,
    broken.el,
    worth,
    more,
  );
  const remarks = (/** @type {Row[]} */ chain, /** @type {Row[]} */ rows) => {
    const row = chain[chain.length - 1];
    const step = mainStep(row);
    const words = [];
    if (step?.node.groups)
      words.push(
        `In ${step.node.groups} groups: ` +
          `each filter sees ${step.node.fanIn?.[2]} of ${step.input?.[0]} channels.`,
      );
    if (chain.length === 1) words.push(following(rows, row));
    if (row.parts && row.node.rule !== "steps") words.push("It branches: press a part above to look at it.");
    return words.filter(Boolean).join(" ");
  };
  return {
    el,
    /**
     * @param {Row[]} chain see `find` @param {Row[]} rows @param {Shape} input
     * @param {{ [q in Quantity]: number }} sums
     */
    draw(chain, rows, input, sums) {
      const row = chain[chain.length - 1];
      siblings = visibleOf(chain[chain.length - 2]?.parts ?? rows);
      at = siblings.indexOf(row);
      previous.enable(at > 0);
      next.enable(at < siblings.length - 1);
      name.textContent = chain.map((part) => part.name).join(" › ");
      const change = h("strong", {}, `${shapeText(row.input)} → ${shapeText(row.output)}`);
      shapes.replaceChildren(row.kind, h("br"), change);
      const working = workings(row);
      side.textContent = working.side ? `Side of the map: ${working.side}` : "";
      side.hidden = !working.side;
      const lost = row.output ? "" : "Nothing arrives here: an earlier layer breaks.";
      broken.set(row.broken ? `Here it breaks: ${row.broken}.` : lost, "error");
      for (const { quantity, work, share } of counts) {
        const value = row[quantity] ?? 0;
        const how = working[quantity];
        numbers.set({ [`layer-${quantity}`]: value });
        work.textContent = value && how ? `= ${how}` : "";
        share.textContent = value ? `${how ? ", " : ""}${percent(value / (sums[quantity] || 1))} of all` : "";
      }
      worth.hidden = !row.output;
      if (row.output && row.fields) {
        const [tall, wide] = row.fields;
        numbers.set({
          "layer-receptive-field": tall.size,
          "layer-stride": Math.max(tall.stride, wide.stride),
        });
        fieldWidth.textContent = commas(wide.size);
        field.draw(row, input);
      }
      more.textContent = remarks(chain, rows);
      more.hidden = !more.textContent;
    },
  };
}

// ---------------------------------------------------------------- the widget

/** The chosen layer in PyTorch; "" for what is no convolution or dense layer with weights of its own. @param {Row} row */
function codeOf(row) {
  const step = mainStep(row);
  const { node, input, output } = step ?? { node: null, input: null, output: null };
  if (!node?.fanIn || !input || !output || node.sides) return "";
  const weights = node.fanIn.reduce((a, b) => a * b, 1);
  if (node.parameters !== node.channels * (weights + (node.bias ? 1 : 0))) return "";
  const bias = node.bias ? "True" : "False";
  let layer = `nn.Linear(${weights}, ${node.channels}, bias=${bias})`;
  let shape = [weights];
  if (node.rule !== "dense") {
    const [kernel, stride, padding, dilation] = [0, 1, 2, 3].map((i) => {
      const [tall, wide] = (node.window ?? []).map((window) => window[i]);
      return tall === wide ? tall : `(${tall}, ${wide})`;
    });
    shape = input;
    layer = `nn.Conv2d(
    ${input[0]}, ${node.channels}, kernel_size=${kernel}, stride=${stride}, padding=${padding},
    dilation=${dilation}, groups=${node.groups ?? 1}, bias=${bias},
)`;
  }
  return `import torch
from torch import nn

torch.set_default_device("meta")  # shapes alone: no memory, no numbers
layer = ${layer}
output = layer(torch.empty(1, ${shape.join(", ")}))
parameters = sum(p.numel() for p in layer.parameters())
multiplications = output.numel() * layer.weight[0].numel()
print(output.shape, parameters, multiplications)
`;
}

/** @param {RenderProps<State>} props */
function render({ model, el }) {
  const networks = model.get("networks");
  const entry = () => networks.find(({ name }) => name === model.get("network")) ?? networks[0];
  const firstLayer = (/** @type {Network} */ of) =>
    (of.layers.find((node) => node.parameters) ?? of.layers[0]).name;
  const voice = ui.announcer();
  /** @type {Network | null} */
  let shown = null; // whose list and slider are on show
  /** @type {Row | null} */
  let chosen = null;

  const draw = () => {
    const { width } = column;
    if (!width) return;
    const of = entry();
    if (of !== shown) {
      controls.show(of);
      list.show(of);
      shown = of;
    }
    const image = of.range.length ? [model.get("size"), model.get("size")] : of.size;
    const input = [of.channels, ...image];
    const rows = networkTable(of, image);
    const visible = visibleOf(rows);
    const sums = totals(rows);
    const found = find(rows, model.get("layer"));
    const chain = found.length ? found : find(rows, firstLayer(of));
    const row = chain[chain.length - 1];
    const outer = chain[0].path;

    controls.draw(of, image, sums);
    picture.draw({ name: of.name, input, rows: visible, chosen: outer, width, enlarged: grow.get() });
    const sides = grow.get() ? "Its sides are drawn by their square roots" : "Its sides are drawn to scale";
    scaleNote.textContent =
      `A block is the output of a layer. ${sides}, ` +
      "its thickness by the square root of the number of channels.";
    inside.draw(chain);
    detail.draw(chain, rows, input, sums);
    list.draw(visible, outer);
    chosen = row;
    code.el.hidden = !codeOf(row);
    code.draw();
    if (traits.touched) {
      const [parameters, multiplications] = QUANTITIES.map((quantity) => commas(row[quantity] ?? 0));
      const costs = `${parameters} parameters, ${multiplications} multiplications`;
      voice.say(
        row.output
          ? `${row.name}, ${shapeText(row.output)}, ${costs}`
          : `${row.name} does not work with ${image[0]} pixels`,
      );
    }
    emit(el, "painted", { layer: row.path, size: image[0] });
  };
  const schedule = perFrame(draw);
  const traits = bindTraits(model, ["network", "layer", "size"], schedule);
  const { put } = traits;
  const pick = (/** @type {string} */ layer) => put({ layer });

  const controls = networkPanel(model, {
    entry,
    onChoose: (name) => {
      const next = networks.find((of) => of.name === name);
      if (next) put({ network: name, size: next.size[0], layer: firstLayer(next) });
    },
    onSize: (size) => put({ size }),
  });
  const picture = overview(pick);
  const scaleNote = ui.note();
  const grow = ui.toggle({ label: "Enlarge what is small", checked: true, onChange: schedule });
  const inside = insideBlocks(pick);
  const detail = layerDetail(pick);
  const list = layerList(pick);
  const code = copyCode({
    what: "the chosen layer",
    code: () => (chosen ? codeOf(chosen) : ""),
    say: voice.say,
  });
  el.append(
    ui.frame(
      {
        title: model.get("title"),
        describe: "Choose a network, then a layer: click on it, or use the arrow keys.",
      },
      controls.el,
      ui.stack(
        picture.el,
        ui.legend(TYPES.map(({ token, label }) => ({ token, label }))),
        ui.row(grow.el, scaleNote),
      ),
      inside.el,
      h("div", { class: "companion-split explorer-split" }, detail.el, ui.stack(list.el)),
      code.el,
      voice.el,
    ),
  );
  const column = observeWidth(picture.el, draw);
  return lifetime(column.stop, traits.stop);
}

export default { render };

// A network layer by layer: blocks drawn to scale, what each layer costs, and what is inside of a block.
// Numbers come from network_table.js; this file draws and listens.

import { s, setAll } from "./ui/axes.js";
import * as ui from "./ui/controls.js";
import { exactSide, find, networkTable, shapeText, totals } from "./maths/layer_table.js";

const { h } = ui;

const TYPES = [
  { type: "conv", token: "data-1", label: "convolution" },
  { type: "dense", token: "data-2", label: "dense" },
  { type: "pool", token: "data-3", label: "pooling" },
  { type: "block", token: "data-4", label: "block with branches" },
  { type: "other", token: "data-6", label: "normalisation and other" },
];
const TOKEN = Object.fromEntries(TYPES.map(({ type, token }) => [type, token]));

/** Which of TYPES a layer is; a sequence is what its weightiest step is. */
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

/** Layers that act on single numbers, or on none (ReLU, dropout, flatten), have no block and no line. */
const passes = (node) => (Boolean(node.small) && !node.kind.includes("norm")) || node.rule === "flatten";

const commas = (value) => Math.round(value).toLocaleString("en");
function short(value) {
  if (!value) return "0";
  const [unit, name] = [
    [1e9, "G"],
    [1e6, "M"],
    [1e3, "k"],
  ].find(([size]) => value >= size * 0.9995) ?? [1, ""];
  const scaled = value / unit;
  return `${unit === 1 ? scaled : scaled.toPrecision(3).replace(/e.*/, "")}${name && ` ${name}`}`;
}
const percent = (share) => (share > 0 && share < 0.0005 ? "< 0.1 %" : `${(100 * share).toFixed(1)} %`);

// ---------------------------------------------------------------- blocks

/**
 * How tall and thick a shape is drawn, given the largest side and the pixels that it may take: sides to
 * scale or, `enlarged`, by their square roots; the number of channels always by its square root.
 */
function measures(shape, { largest, room, enlarged, thin }) {
  const drawn = (side) => Math.max(2.5, room * (enlarged ? Math.sqrt(side / largest) : side / largest));
  const [tall, deep] = shape?.length === 3 ? shape.slice(1) : [1, 1];
  return {
    tall: drawn(tall),
    slant: 0.32 * drawn(deep),
    thick: Math.max(2, thin * Math.sqrt(shape ? shape[0] : 4)),
  };
}

/** The three faces of a block whose front's top left corner is (x, y). */
function faces({ tall, slant, thick }, x, y) {
  const n = (v) => v.toFixed(1);
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

/** The whole network in a line of blocks, or several lines where it is narrow. */
function overview(onPick) {
  const svg = s("svg", { class: "explorer-blocks", role: "img" });
  const el = h("div", { class: "companion-chart" }, svg);
  return {
    el,
    draw({ network, input, rows, chosen, width, enlarged }) {
      const narrow = width < 520;
      const scale = {
        largest: Math.max(input[1], input[2]),
        room: narrow ? 78 : 116,
        enlarged,
        thin: narrow ? 0.75 : 0.95,
      };
      const items = [
        { shape: input, name: "input", token: "soft" },
        ...rows.map((row) => ({ shape: row.output, name: row.name, token: TOKEN[typeOf(row.node)], row })),
      ];
      const lines = [[]];
      let x = 4;
      for (const item of items) {
        item.size = measures(item.shape, scale);
        const wide = item.size.thick + item.size.slant;
        if (x + wide > width - 4 && lines.at(-1).length) {
          lines.push([]);
          x = 4;
        }
        lines.at(-1).push(item);
        item.x = x;
        x += wide + (narrow ? 5 : 7);
      }
      let y = 4;
      const parts = [];
      for (const line of lines) {
        const room = Math.max(26, ...line.map(({ size }) => size.tall + 0.6 * size.slant));
        for (const item of line) {
          const { size, row } = item;
          const top = y + room / 2 - (size.tall - 0.6 * size.slant) / 2;
          const wide = size.thick + size.slant;
          const group = s(
            "g",
            { class: "explorer-block", "data-tint": item.token },
            s("rect", { class: "explorer-target", x: item.x - 4, y, width: wide + 8, height: room }),
            ...faces(size, item.x, top),
          );
          if (row) {
            group.append(s("title", {}, `${row.name}: ${row.kind}, ${shapeText(row.output)}`));
            group.addEventListener("click", () => onPick(row.path));
            group.classList.toggle("explorer-chosen", row.path === chosen);
            group.classList.toggle("explorer-lost", !row.output);
          } else group.classList.add("explorer-input");
          parts.push(group);
          if (row ? row.path === chosen : false) {
            const text = row.output ? `${row.name} · ${shapeText(row.output)}` : `${row.name} · does not fit`;
            const half = 3.6 * text.length;
            const centre = Math.min(width - half - 2, Math.max(half + 2, item.x + wide / 2));
            parts.push(
              s(
                "text",
                { class: "companion-ink", x: centre.toFixed(1), y: y + room + 17, "text-anchor": "middle" },
                text,
              ),
            );
          }
        }
        y += room + 24;
      }
      svg.replaceChildren(...parts);
      const said = rows.find((row) => row.path === chosen);
      setAll(svg, {
        height: y,
        "aria-label":
          `${network.name} as a line of ${items.length} blocks drawn to scale, from the input, ${shapeText(input)}, to ` +
          `${rows.at(-1).name}, ${shapeText(rows.at(-1).output)}.${said ? ` ${said.name}, ${shapeText(said.output)}, is marked.` : ""}`,
      });
    },
  };
}

/** The receptive field of the unit in the middle over the image, and that of its neighbour. */
function fieldPicture() {
  const image = s("rect", { class: "explorer-image" });
  const field = s("rect", { class: "explorer-field", "data-tint": "accent" });
  const next = s("rect", { class: "explorer-field explorer-next", "data-tint": "accent" });
  const svg = s(
    "svg",
    { class: "explorer-fields", width: 132, height: 132, role: "img" },
    image,
    next,
    field,
  );
  return {
    el: svg,
    draw(row, input) {
      svg.style.display = row.output ? "" : "none";
      if (!row.output) return;
      const spans = row.fields.map((f, axis) => {
        const n = row.output.length === 3 ? row.output[axis + 1] : 1;
        const first = Math.floor(n / 2) * f.stride - f.padding;
        return [first, f.size, n > 1 ? f.stride : 0];
      });
      const low = Math.min(0, ...spans.map(([first]) => first));
      const high = Math.max(input[1], input[2], ...spans.map(([first, size]) => first + size));
      const at = (v) => 4 + (124 * (v - low)) / (high - low);
      const long = (v) => Math.max(2, (124 * v) / (high - low));
      setAll(image, { x: at(0), y: at(0), width: long(input[2]), height: long(input[1]) });
      const [[y, tall, down], [x, wide]] = spans;
      setAll(field, { x: at(x), y: at(y), width: long(wide), height: long(tall) });
      setAll(next, { x: at(x), y: at(y - down), width: long(wide), height: long(tall) });
      next.style.display = down ? "" : "none";
      setAll(svg, {
        "aria-label": `The image, ${input[2]} by ${input[1]} pixels, and in it the ${wide} by ${tall} pixels that the unit in the middle sees.`,
      });
    },
  };
}

// ---------------------------------------------------------------- words

/** The one step of a row that multiplies or slides a window, if there is just one. */
function mainStep(row) {
  if (!row.parts) return row;
  if (row.node.rule !== "steps") return null;
  const steps = row.parts.filter(({ node }) => !passes(node) && !["same"].includes(node.rule));
  return steps.length === 1 ? mainStep(steps[0]) : null;
}

const factors = (numbers) => numbers.map(commas).join("·");

/** Lines such as "96 · (11·11·3 + 1)": how the numbers of a row come about. */
function workings(row) {
  const step = mainStep(row);
  const found = { side: "", parameters: "", multiplications: "" };
  if (!step?.input) return found;
  const { node } = step;
  if (node.rule === "window" && !node.sides) {
    const [[k, stride, padding, dilation], across] = node.window;
    if (String(node.window[0]) === String(across) && step.input[1] === step.input[2]) {
      const exact = exactSide(step.input[1], node.window[0]);
      const reach = dilation > 1 ? dilation * (k - 1) + 1 : k;
      const rounded =
        Number.isInteger(exact) || !step.output
          ? ""
          : `, rounded ${node.ceil ? "up" : "down"} to ${step.output[1]}`;
      found.side = `(${step.input[1]}${padding ? ` + 2·${padding}` : ""} − ${reach})/${stride} + 1 = ${Number(exact.toFixed(3))}${rounded}`;
    }
  }
  if (node.fanIn) {
    const fan = factors(node.fanIn);
    const weights = node.fanIn.reduce((a, b) => a * b, 1);
    // Shared or reparametrised weights are another number.
    if (node.parameters === node.channels * (weights + (node.bias ? 1 : 0))) {
      found.parameters = node.bias
        ? `${commas(node.channels)} · (${fan} + 1)`
        : `${commas(node.channels)} · ${fan}`;
    }
    if (step.output) found.multiplications = `${factors([...step.output.slice(1), step.output[0]])} · ${fan}`;
  }
  return found;
}

/** ", then ReLU, dropout": the layers after this one that have no line of their own. */
function following(rows, row) {
  const names = [];
  for (let i = rows.indexOf(row) + 1; i && i < rows.length && passes(rows[i].node); i += 1)
    names.push(rows[i].kind);
  return names.length ? `Then: ${names.join(", ")}.` : "";
}

const opens = (row, parent) =>
  Boolean(row.parts) &&
  (row.node.rule !== "steps" ||
    (parent?.node.rule !== "paths" &&
      parent?.node.rule !== "gate" &&
      row.parts.filter(({ node }) => !passes(node)).length > 1));

function joinWords(row) {
  if (row.node.rule === "steps" || row.node.parts.length === 1) return "out";
  if (row.node.rule === "gate") return "multiplied";
  const sum = row.node.parts.reduce((total, part) => total + part.channels, 0);
  return sum === row.node.channels ? "stacked in depth" : "added";
}

// ---------------------------------------------------------------- the widget

function render({ model, el }) {
  const networks = model.get("networks");
  const voice = ui.announcer();
  const schedule = ui.perFrame(() => draw());
  let width = 0;
  let network = null; // whose list and slider are on show
  let lines = [];

  const traits = ui.traits(model, ["network", "layer", "size"], schedule);
  const { put } = traits;
  const pick = (path) => put({ layer: path });
  const entry = () => networks.find(({ name }) => name === model.get("network")) ?? networks[0];
  const firstLayer = (of) => (of.layers.find((node) => node.parameters) ?? of.layers[0]).name;
  const choose = (name) => {
    const next = networks.find((of) => of.name === name);
    put({ network: name, size: next.size[0], layer: firstLayer(next) });
  };

  // -------- controls
  const which = ui.select({
    label: "Network",
    options: networks.map(({ name }) => name),
    value: entry().name,
    onChange: choose,
  });
  const home = ui.button({
    label: "Its own size",
    title: "Back to the images that the network is made for",
    onClick: () => put({ size: entry().size[0] }),
  });
  const sizePlace = h("div", { class: "explorer-size" });
  const warning = ui.notice();
  const total = Object.fromEntries(
    ["parameters", "multiplications"].map((quantity) => [
      quantity,
      ui.number({ quantity: `total-${quantity}`, value: 0, format: commas }),
    ]),
  );
  const reach = h("span", {});
  const controls = ui.panel(
    {},
    ui.row(which.el, home.el),
    sizePlace,
    warning.el,
    h(
      "p",
      { class: "explorer-total" },
      h("strong", {}, total.parameters.el),
      " parameters, ",
      h("strong", {}, total.multiplications.el),
      " multiplications for one image",
      reach,
    ),
  );

  // -------- the picture
  const picture = overview(pick);
  const key = ui.legend(TYPES.map(({ token, label }) => ({ token, label })));
  const scaleNote = h("p", { class: "companion-note" });
  const grow = ui.toggle({ label: "Enlarge what is small", checked: true, onChange: schedule });
  const inside = h("div", { class: "explorer-inside" });

  // -------- the layer in words
  const name = h("p", { class: "companion-heading explorer-name" });
  const shapes = h("p", { class: "explorer-shapes" });
  const side = h("p", { class: "companion-note" });
  const field = fieldPicture();
  const quantities = Object.fromEntries(
    ["parameters", "multiplications", "receptive-field", "stride"].map((quantity) => [
      quantity,
      ui.number({ quantity: `layer-${quantity}`, value: -1, format: commas }),
    ]),
  );
  const work = {
    parameters: h("span", { class: "explorer-work" }),
    multiplications: h("span", { class: "explorer-work" }),
  };
  const share = { parameters: h("span", {}), multiplications: h("span", {}) };
  const fieldWords = h(
    "p",
    {},
    "A unit sees ",
    h("strong", {}, quantities["receptive-field"].el, " × ", h("span", { class: "explorer-field-width" })),
    " pixels; its neighbour looks ",
    h("span", {}, quantities.stride.el),
    " further on.",
  );
  const more = h("p", { class: "companion-note" });
  const previous = ui.button({ label: "← previous", title: "The layer before", onClick: () => go(-1) });
  const next = ui.button({ label: "next →", title: "The layer after", onClick: () => go(1) });
  const count = (quantity, what) =>
    h(
      "p",
      { class: "explorer-count" },
      h("strong", {}, quantities[quantity].el),
      ` ${what}`,
      h("br"),
      work[quantity],
      share[quantity],
    );
  const broken = ui.notice();
  const numbers = h(
    "div",
    { class: "companion-stack" },
    count("parameters", "parameters"),
    count("multiplications", "multiplications"),
    h("div", { class: "explorer-sees" }, field.el, fieldWords),
  );
  const detail = h(
    "div",
    { class: "companion-stack explorer-detail", role: "group", "aria-label": "The chosen layer" },
    ui.row(previous.el, next.el),
    name,
    shapes,
    side,
    broken.el,
    numbers,
    more,
  );

  // -------- the list
  const list = h("div", { class: "explorer-list", role: "radiogroup", "aria-label": "Layers" });
  const listHead = h(
    "div",
    { class: "explorer-line explorer-head", "aria-hidden": "true" },
    h("span", {}, "layer"),
    h("span", {}, "output"),
    h("span", {}, "parameters"),
    h("span", {}, "multipli\u00adcations"),
  );

  el.append(
    ui.frame(
      {
        title: model.get("title"),
        describe: "Choose a network, then a layer: click on it, or use the arrow keys.",
      },
      controls,
      h("div", { class: "companion-stack" }, picture.el, key, ui.row(grow.el, scaleNote)),
      inside,
      h(
        "div",
        { class: "companion-split explorer-split" },
        detail,
        h("div", { class: "companion-stack" }, h("div", {}, listHead, list)),
      ),
      voice.el,
    ),
  );

  /** The lines of the list and the slider, made anew for another network. */
  function show(of) {
    network = of;
    const group = `explorer-${Math.random().toString(36).slice(2, 8)}`;
    lines = of.layers
      .filter((node) => !passes(node))
      .map((node) => {
        const tint = TOKEN[typeOf(node)];
        const input = h("input", {
          type: "radio",
          class: "companion-cover",
          name: group,
          value: node.name,
          onchange: () => pick(node.name),
        });
        const shape = h("span", { class: "explorer-output" });
        const costs = ["parameters", "multiplications"].map((quantity) => {
          const bar = ui.bar({ token: tint });
          const text = h("span", { class: "companion-number" });
          return {
            quantity,
            bar,
            text,
            el: h(
              "span",
              { class: "explorer-cost" },
              bar.el,
              text,
              h("span", { class: "companion-spoken" }, ` ${quantity}`),
            ),
          };
        });
        const line = h(
          "label",
          { class: "explorer-line", data: { tint } },
          input,
          h(
            "span",
            { class: "explorer-label" },
            node.name,
            node.parts && node.rule !== "steps"
              ? h("span", { class: "explorer-opens", "aria-hidden": "true" }, " ▸")
              : null,
          ),
          shape,
          ...costs.map((cost) => cost.el),
        );
        return { node, input, shape, costs, line };
      });
    list.replaceChildren(...lines.map(({ line }) => line));
    sizePlace.replaceChildren();
    home.el.hidden = !of.range.length;
    if (of.range.length) {
      of.slider = ui.slider({
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
        onInput: (v) => put({ size: v }),
      });
      sizePlace.append(of.slider.el);
    }
  }

  /** Steps through what is beside the chosen layer: the list, or the parts of a block. */
  function go(way) {
    const at = siblings.findIndex((row) => row.path === model.get("layer"));
    const target = siblings[at + way];
    if (target) pick(target.path);
  }
  let siblings = [];

  function chip(row, chosen, scale) {
    const on = chosen === row.path;
    const within = on || chosen.startsWith(`${row.path}.`);
    const size = measures(row.output, scale);
    const wide = size.thick + size.slant + 4;
    const tall = size.tall + 0.6 * size.slant + 4;
    const block = s(
      "svg",
      { width: wide.toFixed(1), height: tall.toFixed(1), "aria-hidden": "true", class: "explorer-mini" },
      ...faces(size, 2, 2 + 0.6 * size.slant),
    );
    return h(
      "button",
      {
        type: "button",
        class: "explorer-chip",
        "aria-pressed": String(within),
        data: { tint: TOKEN[typeOf(row.node)] },
        onclick: () => pick(row.path),
      },
      block,
      h(
        "span",
        {},
        h("strong", {}, row.name),
        h("br"),
        row.kind.split(",")[0].split(":")[0],
        h("br"),
        shapeText(row.output),
      ),
    );
  }

  /** What is inside of a block: each branch a line of chips, from what comes in to what goes out. */
  function strip(row, chosen) {
    const ways = row.node.rule === "steps" ? [row] : row.parts;
    const wayChips = ways.map((way) => {
      const parts =
        way.parts && way.node.rule === "steps" ? way.parts.filter(({ node }) => !passes(node)) : [way];
      return [way, parts.length ? parts : [way]];
    });
    const tallest = Math.max(
      1,
      row.input?.length === 3 ? row.input[1] : 1,
      ...wayChips.flatMap(([, parts]) =>
        parts.map((part) => (part.output?.length === 3 ? part.output[1] : 1)),
      ),
    );
    const branches = row.node.rule !== "steps";
    return h(
      "div",
      { class: "companion-panel explorer-strip", role: "group", "aria-label": `Inside ${row.name}` },
      h("p", { class: "companion-heading" }, `Inside ${row.name}`),
      h(
        "div",
        { class: "explorer-ways" },
        h("p", { class: "explorer-end" }, "in ", h("br"), shapeText(row.input)),
        h(
          "div",
          { class: "explorer-branches", data: { branches: branches ? "" : undefined } },
          ...wayChips.map(([way, parts]) =>
            h(
              "div",
              { class: "explorer-way" },
              branches ? h("span", { class: "explorer-way-name" }, way.name) : null,
              h(
                "div",
                { class: "explorer-chips" },
                ...parts.map((part, i) =>
                  h(
                    "div",
                    { class: "explorer-step" },
                    i ? h("span", { class: "explorer-arrow", "aria-hidden": "true" }, "→") : null,
                    chip(part, chosen, { largest: tallest, room: 34, enlarged: false, thin: 0.8 }),
                  ),
                ),
              ),
            ),
          ),
        ),
        h("p", { class: "explorer-end" }, `${joinWords(row)} `, h("br"), shapeText(row.output)),
      ),
    );
  }

  // -------- from the state to the screen
  function draw() {
    if (!width) return;
    const of = entry();
    if (of !== network) show(of);
    which.set(of.name);
    of.slider?.set(model.get("size"));
    const image = of.range.length ? [model.get("size"), model.get("size")] : of.size;
    const input = [of.channels, ...image];
    const rows = networkTable(of, image);
    const sums = totals(rows);
    let chain = find(rows, model.get("layer"));
    if (!chain.length) chain = find(rows, firstLayer(of));
    const row = chain.at(-1);
    const outer = chain[0];
    const visible = rows.filter(({ node }) => !passes(node));
    siblings = chain.length > 1 ? chain.at(-2).parts.filter(({ node }) => !passes(node)) : visible;

    for (const quantity of ["parameters", "multiplications"]) total[quantity].set(sums[quantity]);
    home.enable(image[0] !== of.size[0]);
    warning.set(
      sums.broken
        ? `Images of ${image[0]}×${image[1]} do not pass: ${sums.broken.name} cannot work, for ${sums.broken.broken}.`
        : "",
      "error",
    );
    reach.textContent = sums.broken ? ", as far as it gets" : "";
    picture.draw({ network: of, input, rows: visible, chosen: outer.path, width, enlarged: grow.get() });
    scaleNote.textContent = `A block is the output of a layer. ${grow.get() ? "Its sides are drawn by their square roots" : "Its sides are drawn to scale"}, its thickness by the square root of the number of channels.`;

    const strips = chain.filter((candidate, i) => opens(candidate, chain[i - 1]));
    // Chips are made anew; the focus stays with the one that was pressed.
    const held = inside.contains(document.activeElement)
      ? [...inside.querySelectorAll("button")].indexOf(document.activeElement)
      : -1;
    inside.replaceChildren(...strips.map((candidate) => strip(candidate, row.path)));
    inside.hidden = !strips.length;
    if (held >= 0) inside.querySelectorAll("button")[held]?.focus();

    name.textContent = chain.map((part) => part.name).join(" › ");
    shapes.replaceChildren(
      row.kind,
      h("br"),
      h("strong", {}, `${shapeText(row.input)} → ${shapeText(row.output)}`),
    );
    const working = workings(row);
    side.textContent = working.side ? `Side of the map: ${working.side}` : "";
    side.hidden = !working.side;
    broken.set(
      row.broken
        ? `Here it breaks: ${row.broken}.`
        : row.output
          ? ""
          : "Nothing arrives here: an earlier layer breaks.",
      "error",
    );
    for (const quantity of ["parameters", "multiplications"]) {
      const value = row[quantity] ?? 0;
      quantities[quantity].set(value);
      work[quantity].textContent = value && working[quantity] ? `= ${working[quantity]}` : "";
      share[quantity].textContent = value
        ? `${working[quantity] ? ", " : ""}${percent(value / (sums[quantity] || 1))} of all`
        : "";
    }
    numbers.hidden = !row.output;
    if (row.output) {
      const [tall, wide] = row.fields;
      quantities["receptive-field"].set(tall.size);
      quantities.stride.set(Math.max(tall.stride, wide.stride));
      fieldWords.querySelector(".explorer-field-width").textContent = commas(wide.size);
      field.draw(row, input);
    }
    const groups = mainStep(row)?.node.groups;
    more.textContent = [
      groups
        ? `In ${groups} groups: each filter sees ${mainStep(row).node.fanIn[2]} of ${mainStep(row).input?.[0]} channels.`
        : "",
      chain.length === 1 ? following(rows, row) : "",
      row.parts && row.node.rule !== "steps" ? "It branches: press a part above to look at it." : "",
    ]
      .filter(Boolean)
      .join(" ");
    more.hidden = !more.textContent;
    const at = siblings.indexOf(row);
    previous.enable(at > 0);
    next.enable(at < siblings.length - 1);

    const most = {
      parameters: Math.max(1, ...visible.map((r) => r.parameters)),
      multiplications: Math.max(1, ...visible.map((r) => r.multiplications ?? 0)),
    };
    lines.forEach((line, i) => {
      const of_ = visible[i];
      line.input.checked = of_.path === outer.path;
      line.line.classList.toggle("explorer-on", of_.path === outer.path);
      line.line.classList.toggle("explorer-lost", !of_.output);
      line.shape.textContent = of_.output ? shapeText(of_.output) : "–";
      for (const { quantity, bar, text } of line.costs) {
        bar.set((of_[quantity] ?? 0) / most[quantity]);
        text.textContent = short(of_[quantity] ?? 0);
        text.dataset.value = String(of_[quantity] ?? 0);
      }
    });
    if (traits.touched) {
      voice.say(
        row.output
          ? `${row.name}, ${shapeText(row.output)}, ${commas(row.parameters)} parameters, ${commas(row.multiplications)} multiplications`
          : `${row.name} does not work with ${image[0]} pixels`,
      );
    }
    el.dispatchEvent(
      new CustomEvent("companion-painted", { bubbles: true, detail: { layer: row.path, size: image[0] } }),
    );
  }

  const stopResize = ui.onResize(picture.el, (next_) => {
    width = next_;
    draw();
  });
  return () => {
    stopResize();
    traits.stop();
  };
}

export default { render };

// What a unit sees: a section through a network with the unit's cone, and its field on the photograph.
// The section lies beside the photograph (wide) or above it (tall) and shares its axis, so that the cone
// lands on the pixels that it means. Numbers come from fields.js.

import { s, setAll } from "./ui/axes.js";
import { onThemeChange } from "./ui/colours.js";
import * as ui from "./ui/controls.js";
import { centre, fields, influence, span, spreadOf, stackLayers } from "./maths/receptive_field.js";

const { h, maths } = ui;

const STACK = "a stack of your own";
const STACK_SIZE = 32;
const WIDE = 568; // pixels that a widget of 600, where the style sheets change, leaves for the picture
const MARGIN = 0.25; // of the image's side: how much of what lies outside is drawn at most
const SLANT = (58 * Math.PI) / 180; // of the layers' names
const whole = (v) => ui.fixed(v, 0);
const said = (v) => ui.spoken(v, 0);
const percent = (v) => `${(100 * v).toFixed(v > 0 && v < 0.1 ? 1 : 0)} %`;
const short = (name) => (name.length > 13 ? `${name.slice(0, 12)}…` : name);
const half = ([k, , , d]) => Math.floor((d * (k - 1)) / 2);
let born = 0;

const mark = (tag, cls, tint, attributes = {}) =>
  s(tag, { class: cls, ...(tint && { "data-tint": tint }), ...attributes });

/** Everything that the pictures and the numbers need of one state. */
function look({ networks, network, stack, layer, unit }) {
  const own = network === STACK;
  const known = own
    ? { size: STACK_SIZE, layers: stackLayers(stack, STACK_SIZE) }
    : networks.find(({ name }) => name === network);
  const depth = Math.min(Math.max(1, layer), known.layers.length);
  const all = fields(known.layers);
  const field = all[depth];
  const count = known.layers[depth - 1].size;
  const [row, column] = unit.map((place) => Math.min(Math.max(0, place), count - 1));
  const below = known.layers.slice(0, depth);
  const n = known.size;
  const inside = (place) => {
    const [a, b] = span(field, place);
    return Math.max(0, Math.min(b, n - 1) - Math.max(a, 0) + 1);
  };
  const levels = influence(below, row);
  return {
    own,
    n,
    layers: known.layers,
    fields: all,
    field,
    depth,
    count,
    row,
    column,
    below,
    rows: span(field, row),
    columns: span(field, column),
    outside: 1 - (inside(row) * inside(column)) / field.size ** 2,
    overlap: Math.max(0, field.size - field.stride),
    spread: spreadOf(levels[0].weights),
    weights: levels[0].weights,
    cut: own ? stack.length - known.layers.length : 0,
    margin: own ? 6 : Math.min(Math.max(...all.map((f) => f.padding)), Math.round(MARGIN * n)),
  };
}

// ---------------------------------------------------------------- the picture

function picture({ photos, onPick }) {
  const id = `field-${Math.random().toString(36).slice(2, 7)}-${(born += 1)}`;
  const hatch = s(
    "pattern",
    { id, width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    s("line", { class: "field-hatch", x1: 0, y1: 0, x2: 0, y2: 7 }),
  );
  const clips = ["section", "photo"].map((part) => s("clipPath", { id: `${id}-${part}` }, s("path")));
  const layersGroup = s("g");
  const names = s("g", { "aria-hidden": "true" });
  const outside = mark("path", "field-outside", null, { fill: `url(#${id})`, "fill-rule": "evenodd" });
  const sides = mark("path", "field-outside", null, { fill: `url(#${id})` });
  const edge = mark("path", "field-edge");
  const [cone, nextCone] = [mark("path", "field-cone", "data-1"), mark("path", "field-next", "data-2")];
  const [square, nextSquare] = [mark("path", "field-square", "data-1"), mark("path", "field-next", "data-2")];
  const [curve, dots, here] = [
    mark("path", "companion-fill field-weights", "data-1"),
    mark("path", "field-dots"),
    mark("circle", "field-here", "data-1", { r: 5 }),
  ];
  const curveLine = mark("path", "companion-curve field-weights-line", "data-1");
  const chosen = mark("path", "field-chosen", "data-1");
  const svg = s(
    "svg",
    { role: "img" },
    s("defs", {}, hatch, ...clips),
    outside,
    sides,
    edge,
    layersGroup,
    s("g", { "clip-path": `url(#${id}-section)` }, nextCone, cone),
    s("g", { "clip-path": `url(#${id}-photo)` }, nextSquare, square, dots, here),
    curve,
    curveLine,
    chosen,
    names,
  );
  const canvas = h("canvas", { class: "field-photo", "aria-hidden": "true" });
  const el = h("div", { class: "companion-chart field-picture" }, canvas, svg);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const cells = [];
  let drawn = "";
  let geometry;

  const place = (state, width) => {
    const wide = width >= WIDE;
    const { n, margin: m, layers } = state;
    const count = layers.length;
    if (wide) {
      // Names are slanted to the right, the last one too: room for the longest, in bold.
      const long = 7.2 * Math.max(...layers.map(({ name }) => short(name).length));
      const beyond = Math.max(32, Math.round(Math.cos(SLANT) * long + 10));
      const side = Math.min(370, Math.round(0.57 * width), width - 66 - beyond - 15 * count);
      const top = Math.max(74, Math.round(Math.sin(SLANT) * long + 20));
      const scale = side / (n + 2 * m);
      const start = side + 66;
      const pitch = Math.min(76, (width - start - beyond) / count);
      return {
        wide,
        width,
        height: top + side + 8,
        top,
        left: 0,
        side,
        scale,
        pitch,
        start,
        pos: (p) => top + (p + m + 0.5) * scale,
        at: (d) => start + d * pitch,
        thick: Math.min(18, 0.62 * pitch),
        base: side + 8,
        reach: 40,
      };
    }
    const left = 90;
    const side = width - left - 2;
    const scale = side / (n + 2 * m);
    const pitch = Math.min(46, Math.max(18, 330 / count));
    const start = 12 + count * pitch;
    const top = start + 62;
    return {
      wide,
      width,
      height: top + side + 2,
      top,
      left,
      side,
      scale,
      pitch,
      start,
      pos: (p) => left + (p + m + 0.5) * scale,
      at: (d) => start - d * pitch,
      thick: Math.min(16, 0.6 * pitch),
      base: top - 8,
      reach: 40,
    };
  };

  const along = (g, d, p) => (g.wide ? [g.at(d), g.pos(p)] : [g.pos(p), g.at(d)]);
  const box = (g, d, a, b) => {
    // The cells from pixel position a to b of the row of layer d.
    const [lo, hi] = [g.pos(a), g.pos(b)];
    const t = g.thick;
    const f = (v) => v.toFixed(1);
    return g.wide
      ? `M${f(g.at(d) - t / 2)} ${f(lo)}h${f(t)}v${f(hi - lo)}h${f(-t)}Z`
      : `M${f(lo)} ${f(g.at(d) - t / 2)}h${f(hi - lo)}v${f(t)}h${f(-(hi - lo))}Z`;
  };
  const gapOf = (g, stride) =>
    stride * g.scale >= 3.2 ? Math.min(1.4, 0.2 * stride * g.scale) / g.scale : 0;

  /** Rows of cells and names: what stays while the reader picks units. */
  const drawRows = (state, g) => {
    const key = JSON.stringify([
      g.width,
      state.n,
      state.margin,
      state.layers.map((l) => [l.name, l.size, l.paths]),
    ]);
    if (key === drawn) return;
    drawn = key;
    cells.length = 0;
    const nodes = [];
    const labels = [];
    for (let d = 0; d <= state.layers.length; d += 1) {
      const count = d ? state.layers[d - 1].size : state.n;
      const f = state.fields[d];
      const gap = gapOf(g, f.stride);
      const half = f.stride / 2;
      let path = "";
      if (gap)
        for (let i = 0; i < count; i += 1)
          path += box(g, d, centre(f, i) - half + gap / 2, centre(f, i) + half - gap / 2);
      else path = box(g, d, centre(f, 0) - half, centre(f, count - 1) + half);
      const all = mark("path", "field-cells", null, { d: path });
      const used = s("g", { class: "field-used" });
      cells.push({ all, used });
      nodes.push(all, used);
      const name = d ? short(state.layers[d - 1].name) : "image";
      const [x, y] = g.wide ? [g.at(d) + 4, g.top - 8] : [g.left - 8, g.at(d) + 4];
      labels.push(
        s(
          "text",
          {
            x: x.toFixed(1),
            y: y.toFixed(1),
            class: "field-name",
            "text-anchor": g.wide ? "start" : "end",
            ...(g.wide && {
              transform: `rotate(${(-SLANT * 180) / Math.PI} ${x.toFixed(1)} ${y.toFixed(1)})`,
            }),
          },
          name,
        ),
      );
    }
    layersGroup.replaceChildren(...nodes);
    names.replaceChildren(...labels);
    // What lies outside of the image: around the photograph, and in the input's row.
    const [lo, hi] = [-0.5, state.n - 0.5];
    const frame = `M${g.left} ${g.top}h${g.side}v${g.side}h${-g.side}Z`;
    const [x0, y0, w] = [g.left + state.margin * g.scale, g.top + state.margin * g.scale, state.n * g.scale];
    setAll(outside, { d: state.margin ? `${frame}M${x0} ${y0}h${w}v${w}h${-w}Z` : "" });
    setAll(sides, {
      d: state.margin ? box(g, 0, -state.margin - 0.5, lo) + box(g, 0, hi, state.n - 0.5 + state.margin) : "",
    });
    setAll(edge, { d: `M${x0} ${y0}h${w}v${w}h${-w}Z` });
    // A field may reach further out than is drawn.
    setAll(clips[0].firstChild, {
      d: g.wide
        ? `M${g.side} ${g.top}H${g.width}v${g.side}H${g.side}Z`
        : `M${g.left} 0h${g.side}V${g.top}h${-g.side}Z`,
    });
    setAll(clips[1].firstChild, { d: frame });
    setAll(svg, { height: g.height, viewBox: `0 0 ${g.width} ${g.height}`, width: g.width });
    const [across, down] = [g.width, g.height].map((side) => (length) => `${(100 * length) / side}%`);
    Object.assign(canvas.style, { left: across(x0), top: down(y0), width: across(w), height: down(w) });
    canvas.style.imageRendering = state.own ? "pixelated" : "auto";
  };

  /** The outline from a unit down to the pixels. */
  const conePath = (state, g, levels) => {
    const [low, high] = [[], []];
    levels.forEach(({ first, weights }, d) => {
      const f = state.fields[d];
      low.push(along(g, d, centre(f, first) - f.stride / 2));
      high.push(along(g, d, centre(f, first + weights.length - 1) + f.stride / 2));
    });
    const points = [...low, ...high.reverse()];
    return `${points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("")}Z`;
  };

  const squarePath = (state, g, [top], [left]) => {
    const { size } = state.field;
    const [x, y] = [left, top].map((p) => (p - 0.5 + state.margin + 0.5) * g.scale);
    return `M${(g.left + x).toFixed(1)} ${(g.top + y).toFixed(1)}h${(size * g.scale).toFixed(1)}v${(size * g.scale).toFixed(1)}h${(-size * g.scale).toFixed(1)}Z`;
  };

  let plain = {}; // the photograph's pixels, as wide as the network wants them
  const photo = (state, weighed) => {
    const { n, rows, columns, weights } = state;
    const source = state.own ? photos.small : photos.large;
    if (!source.complete || !source.naturalWidth) return;
    if (plain.source !== source || plain.n !== n) {
      canvas.width = n;
      canvas.height = n;
      context.drawImage(source, 0, 0, n, n);
      plain = { source, n, image: context.getImageData(0, 0, n, n) };
    }
    const { image } = plain;
    const peak = Math.max(...weights);
    const rest = weighed ? 18 : 84;
    const across = Array.from({ length: n }, (_, c) => weights[c - columns[0]] ?? -1);
    for (let r = 0, at = 3; r < n; r += 1) {
      const down = weights[r - rows[0]] ?? -1;
      for (let c = 0; c < n; c += 1, at += 4) {
        const seen = down >= 0 && across[c] >= 0;
        if (!seen) image.data[at] = rest;
        else image.data[at] = weighed ? rest + (255 - rest) * Math.sqrt((down * across[c]) / peak ** 2) : 255;
      }
    }
    context.putImageData(image, 0, 0);
  };

  const draw = (state, { width, neighbour, weighed }) => {
    const g = place(state, width);
    geometry = { g, state };
    drawRows(state, g);
    const [main, other] = g.wide ? [state.row, state.column] : [state.column, state.row];
    const levels = influence(state.below, main);
    setAll(cone, { d: conePath(state, g, levels) });
    const beside = main + 1 < state.count ? main + 1 : main - 1;
    const shows = neighbour && beside >= 0;
    setAll(nextCone, { d: shows ? conePath(state, g, influence(state.below, beside)) : "" });
    const unitAt = (a, b) =>
      g.wide ? [span(state.field, a), span(state.field, b)] : [span(state.field, b), span(state.field, a)];
    setAll(square, { d: squarePath(state, g, state.rows, state.columns) });
    setAll(nextSquare, { d: shows ? squarePath(state, g, ...unitAt(beside, other)) : "" });
    // Units that take part, the darker the more they count; only those that exist.
    cells.forEach(({ used, all }, d) => {
      all.classList.toggle("field-above", d > state.depth);
      if (d > state.depth) return used.replaceChildren();
      const { first, weights } = levels[d];
      const f = state.fields[d];
      const count = d ? state.layers[d - 1].size : state.n;
      const gap = gapOf(g, f.stride);
      const paths = new Map();
      const peak = Math.max(...weights);
      let run = null;
      weights.forEach((w, i) => {
        const at = first + i;
        if (w <= 0 || at < 0 || at >= count) {
          run = null;
          return;
        }
        const shade = d === state.depth ? 9 : Math.min(9, 3 + Math.floor((7 * w) / peak));
        const [a, b] = [centre(f, at) - f.stride / 2 + gap / 2, centre(f, at) + f.stride / 2 - gap / 2];
        if (!gap && run && run.shade === shade) run.to = b;
        else {
          run = { shade, from: a, to: b };
          paths.set(shade, [...(paths.get(shade) ?? []), run]);
        }
      });
      used.replaceChildren(
        ...[...paths].map(([shade, runs]) =>
          mark("path", "field-use", "data-1", {
            d: runs.map(({ from, to }) => box(g, d, from, to)).join(""),
            "fill-opacity": shade / 10,
          }),
        ),
      );
      return undefined;
    });
    // How much each pixel counts, between photograph and input.
    const { first, weights } = levels[0];
    const peak = Math.max(...weights);
    const points = [];
    weights.forEach((w, i) => {
      const p = first + i;
      if (p < -state.margin || p > state.n - 1 + state.margin) return;
      const [from, to] = [g.pos(p - 0.5), g.pos(p + 0.5)];
      const out = (w / peak) * g.reach;
      if (g.wide) points.push([g.base + out, from], [g.base + out, to]);
      else points.push([from, g.base - out], [to, g.base - out]);
    });
    const line = points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
    const [begin, end] = [points[0], points.at(-1)];
    setAll(curveLine, { d: g.scale >= 3 ? line : "" });
    setAll(curve, {
      d: !begin
        ? ""
        : g.wide
          ? `M${g.base} ${begin[1].toFixed(1)}${line.replace("M", "L")}L${g.base} ${end[1].toFixed(1)}Z`
          : `M${begin[0].toFixed(1)} ${g.base}${line.replace("M", "L")}L${end[0].toFixed(1)} ${g.base}Z`,
    });
    const xy = (r, c) => [
      g.left + (centre(state.field, c) + state.margin + 0.5) * g.scale,
      g.top + (centre(state.field, r) + state.margin + 0.5) * g.scale,
    ];
    const apart = state.field.stride * g.scale;
    let points2 = "";
    if (apart >= 9) {
      for (let r = 0; r < state.count; r += 1) {
        for (let c = 0; c < state.count; c += 1) {
          const [x, y] = xy(r, c);
          points2 += `M${x.toFixed(1)} ${y.toFixed(1)}h0`;
        }
      }
    }
    setAll(dots, { d: points2 });
    const [x, y] = xy(state.row, state.column);
    setAll(here, { cx: x.toFixed(1), cy: y.toFixed(1) });
    const f = state.field;
    setAll(chosen, {
      d: box(g, state.depth, centre(f, main) - f.stride / 2, centre(f, main) + f.stride / 2),
    });
    [...names.children].forEach((name, d) => name.classList.toggle("companion-ink", d === state.depth));
    photo(state, weighed);
    setAll(svg, {
      "aria-label":
        `A section through ${state.layers.length} layers, and the image of ${state.n} by ${state.n} pixels. ` +
        `Unit ${state.row}, ${state.column} of ${state.layers[state.depth - 1].name} sees rows ${said(state.rows[0])} to ` +
        `${said(state.rows[1])} and columns ${said(state.columns[0])} to ${said(state.columns[1])}.`,
    });
  };

  const pick = (event) => {
    if (!geometry) return;
    const { g, state } = geometry;
    const frame = svg.getBoundingClientRect();
    const [x, y] = [event.clientX - frame.left, event.clientY - frame.top];
    const nearest = (p, d) => {
      const f = state.fields[d];
      const count = d ? state.layers[d - 1].size : state.n;
      return Math.min(count - 1, Math.max(0, Math.round((p - centre(f, 0)) / f.stride)));
    };
    const onPhoto = x >= g.left && x <= g.left + g.side && y >= g.top && y <= g.top + g.side;
    if (onPhoto) {
      const [c, r] = [
        (x - g.left) / g.scale - state.margin - 0.5,
        (y - g.top) / g.scale - state.margin - 0.5,
      ];
      onPick({ row: nearest(r, state.depth), column: nearest(c, state.depth) });
      return;
    }
    const d = Math.round(g.wide ? (x - g.start) / g.pitch : (g.start - y) / g.pitch);
    if (d < 1 || d > state.layers.length) return;
    const p = (g.wide ? y - g.top : x - g.left) / g.scale - state.margin - 0.5;
    const reached = nearest(p, d);
    // The other axis stays where the unit looks now.
    const stay = nearest(centre(state.field, g.wide ? state.column : state.row), d);
    onPick(g.wide ? { layer: d, row: reached, column: stay } : { layer: d, row: stay, column: reached });
  };
  svg.addEventListener("pointerdown", pick);
  svg.addEventListener("pointermove", (event) => {
    if (event.buttons & 1) pick(event);
  });
  return { el, draw };
}

// ---------------------------------------------------------------- the widget

function render({ model, el }) {
  const get = (name) => model.get(name);
  let touched = false; // a widget that nobody has touched has nothing to announce
  const put = (values) => {
    touched = true;
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    model.save_changes();
  };
  const state = () =>
    look({
      networks: get("networks"),
      network: get("network"),
      stack: get("stack"),
      layer: get("layer"),
      unit: get("unit"),
    });
  const nameOf = (number) => state().layers[number - 1]?.name ?? "";

  const network = ui.select({
    label: "Network",
    value: get("network"),
    options: [STACK, ...get("networks").map(({ name }) => name)].map((name) => ({
      value: name,
      label: name === STACK ? "A stack of your own" : name,
    })),
    onChange: (name) => {
      const size =
        name === STACK
          ? stackLayers(get("stack"), STACK_SIZE)
          : get("networks").find((n) => n.name === name).layers;
      const last = size.at(-1).size;
      const middle = Math.floor((last - 1) / 2);
      put({ network: name, layer: size.length, unit: [middle, middle] });
      update();
    },
  });
  // A unit of another layer looks at about the same place.
  const toLayer = (layer) => {
    const now = state();
    const f = now.fields[layer];
    const count = now.layers[layer - 1].size;
    const unit = [now.row, now.column].map((place) =>
      Math.min(count - 1, Math.max(0, Math.round((centre(now.field, place) - centre(f, 0)) / f.stride))),
    );
    put({ layer, unit });
    update();
  };
  const layer = ui.slider({
    label: "Layer",
    min: 1,
    max: 99,
    step: 1,
    value: get("layer"),
    quantity: "layer",
    format: (v) => `${v} · ${nameOf(v)}`,
    describe: (v) => `${v}, ${nameOf(v)}`,
    onInput: toLayer,
  });
  const place = (label, index, quantity) =>
    ui.slider({
      label,
      name: `${label} of the unit`,
      min: 0,
      max: 999,
      step: 1,
      value: get("unit")[index],
      format: whole,
      quantity,
      onInput: (v) => {
        const { row, column } = state();
        put({ unit: index ? [row, v] : [v, column] });
        update();
      },
    });
  const [row, column] = [place("Row", 0, "row"), place("Column", 1, "column")];

  // --- the stack's own controls
  const every = ui.segmented({
    label: "Sliders change",
    options: [
      { value: true, label: "all layers" },
      { value: false, label: "the chosen layer" },
    ],
    value: true,
    onChange: () => update(),
  });
  const restack = (change) => {
    const now = state();
    const padded = padding.get();
    const stack = get("stack").map((window, i) => {
      if (!every.get() && i !== now.depth - 1) return window;
      const next = [...window];
      change(next);
      next[2] = padded ? half(next) : 0;
      return next;
    });
    settle(stack, now);
  };
  const settle = (stack, now) => {
    const layers = stackLayers(stack, STACK_SIZE);
    const depth = Math.min(now.depth === now.layers.length ? layers.length : now.depth, layers.length);
    if (!depth) return update();
    const f = fields(layers)[depth];
    const count = layers[depth - 1].size;
    const unit = [now.row, now.column].map((p) =>
      Math.min(count - 1, Math.max(0, Math.round((centre(now.field, p) - centre(f, 0)) / f.stride))),
    );
    put({ stack, layer: depth, unit });
    return update();
  };
  const knob = (label, index, max, quantity) =>
    ui.slider({
      label,
      min: 1,
      max,
      step: 1,
      value: get("stack")[0][index],
      format: whole,
      quantity,
      onInput: (v) =>
        restack((window) => {
          window[index] = v;
        }),
    });
  const depth = ui.slider({
    label: "Depth",
    min: 1,
    max: 6,
    step: 1,
    value: get("stack").length,
    format: whole,
    quantity: "depth",
    describe: (v) => `${v} ${v === 1 ? "layer" : "layers"}`,
    onInput: (v) => {
      const stack = get("stack");
      const now = state();
      settle(
        v <= stack.length ? stack.slice(0, v) : [...stack, ...Array(v - stack.length).fill(stack.at(-1))],
        { ...now, depth: now.layers.length },
      );
    },
  });
  const kernel = knob("Kernel", 0, 7, "kernel");
  const stride = knob("Stride", 1, 3, "layer-stride");
  const dilation = knob("Dilation", 3, 3, "dilation");
  const padding = ui.segmented({
    label: "Padding",
    options: [
      { value: true, label: "half a window" },
      { value: false, label: "none" },
    ],
    value: get("stack").some((window) => window[2] > 0),
    onChange: () => restack(() => {}),
  });
  const own = h(
    "div",
    { class: "field-own" },
    h("div", { class: "companion-pair" }, depth.el, kernel.el, stride.el, dilation.el),
    ui.row(padding.el, every.el),
  );

  const neighbour = ui.toggle({ label: "Its neighbour", checked: true, onChange: () => update() });
  const weighed = ui.toggle({ label: "Fade pixels by how much they count", onChange: () => update() });

  // --- what the picture says
  const shown = Object.fromEntries(
    [
      ["field", whole],
      ["stride", whole],
      ["start", whole],
      ["first-row", whole],
      ["last-row", whole],
      ["first-column", whole],
      ["last-column", whole],
      ["overlap", whole],
      ["outside", percent],
      ["spread", (v) => ui.fixed(v, 1)],
      ["map", whole],
    ].map(([quantity, format]) => [quantity, ui.number({ quantity, value: 0, format })]),
  );
  const n = (quantity) => shown[quantity].el;
  const fieldAgain = h("span");
  const mapAgain = h("span");
  const fact = (term, ...words) =>
    h("div", { class: "field-fact" }, h("dt", {}, term), h("dd", {}, ...words));
  const facts = h(
    "dl",
    { class: "field-facts" },
    fact("Receptive field", h("strong", {}, n("field"), fieldAgain), " pixels"),
    fact("Effective stride", n("stride"), " px between neighbours"),
    fact("Start", "unit 0 begins at pixel ", n("start")),
    fact(
      "This unit sees",
      "rows ",
      n("first-row"),
      " to ",
      n("last-row"),
      ", columns ",
      n("first-column"),
      " to ",
      n("last-column"),
    ),
    fact("Shared with its neighbour", n("overlap"), " px along a side"),
    fact("Outside of the image", n("outside"), " of the field"),
    fact("Map of this layer", n("map"), mapAgain, " units"),
    fact(h("span", {}, "Where the weight lies"), maths("σ"), " = ", n("spread"), " px"),
  );
  const step = h("p", { class: "field-step" });
  const warning = ui.notice("");
  const spoken = ui.announcer();

  const photos = { large: new Image(), small: new Image() };
  const view = picture({
    photos,
    onPick: ({ layer: next, row: r, column: c }) => {
      put(next === undefined ? { unit: [r, c] } : { layer: next, unit: [r, c] });
      update();
    },
  });

  let width = 0;
  const update = ui.perFrame(() => {
    if (width) show();
  });

  const explain = (now) => {
    const [before, after] = [now.fields[now.depth - 1], now.field];
    const { paths, kind } = now.layers[now.depth - 1];
    const parts = kind ? [`${kind}. `] : [];
    const sum = (path) => {
      let j = before.stride;
      return path
        .map(([k, st, , d]) => {
          const term = `${d > 1 ? `${d} · ` : ""}(${k} − 1) · ${j}`;
          j *= st;
          return term;
        })
        .join(" + ");
    };
    const longest = paths.reduce((a, b) => {
      const size = (path) =>
        path.reduce(([r, j], [k, st, , d]) => [r + d * (k - 1) * j, j * st], [before.size, before.stride])[0];
      return size(b) > size(a) ? b : a;
    });
    const strides = longest.map(([, st]) => st).filter((st, i, all) => st > 1 || all.length === 1);
    parts.push(
      paths.length > 1 ? "Along its longest path: " : "",
      maths("r"),
      ` = ${before.size}${longest.length ? ` + ${sum(longest)}` : ""} = ${after.size},  `,
      maths("j"),
      ` = ${[before.stride, ...strides].join(" · ")} = ${after.stride},  `,
      `start = ${whole(-before.padding)} − ${after.padding - before.padding} = ${whole(-after.padding)}.`,
    );
    step.replaceChildren(...parts);
  };

  const show = () => {
    const now = state();
    network.set(get("network"));
    layer.limit(now.layers.length);
    layer.set(0);
    layer.set(now.depth);
    row.limit(now.count - 1);
    column.limit(now.count - 1);
    row.set(now.row);
    column.set(now.column);
    own.hidden = !now.own;
    if (now.own) {
      const window = get("stack")[every.get() ? 0 : now.depth - 1];
      depth.set(get("stack").length);
      kernel.set(window[0]);
      stride.set(window[1]);
      dilation.set(window[3]);
    }
    warning.set(
      now.cut
        ? `Layer ${now.layers.length + 1} has no units: its window is larger than the map below it. The stack ends here.`
        : "",
    );
    view.draw(now, { width, neighbour: neighbour.get(), weighed: weighed.get() });
    for (const [quantity, value] of Object.entries({
      field: now.field.size,
      stride: now.field.stride,
      start: -now.field.padding || 0,
      "first-row": now.rows[0],
      "last-row": now.rows[1],
      "first-column": now.columns[0],
      "last-column": now.columns[1],
      overlap: now.overlap,
      outside: now.outside,
      spread: now.spread,
      map: now.count,
    }))
      shown[quantity].set(value);
    fieldAgain.textContent = `×${now.field.size}`;
    mapAgain.textContent = `×${now.count}`;
    explain(now);
    if (!touched) return;
    spoken.say(
      `Receptive field ${now.field.size} by ${now.field.size} pixels, stride ${now.field.stride}, start ${said(-now.field.padding)}.` +
        ` The unit sees rows ${said(now.rows[0])} to ${said(now.rows[1])} and columns ${said(now.columns[0])} to ${said(now.columns[1])}.`,
    );
  };

  el.append(
    ui.frame(
      {
        title: get("title"),
        describe:
          "A section through a network, and what one of its units sees of the image. Choose the unit with the sliders," +
          " or point at the photograph or at a layer.",
      },
      ui.panel(
        {},
        network.el,
        own,
        h("div", { class: "companion-pair field-unit" }, layer.el, row.el, column.el),
      ),
      warning.el,
      ui.figure(view.el),
      ui.legend([
        {
          token: "data-1",
          label: "the unit, what it sees, and how much each pixel counts if all weights are equal",
        },
        { token: "data-2", label: "its neighbour", mark: "dashed" },
      ]),
      ui.row(neighbour.el, weighed.el),
      facts,
      step,
      spoken.el,
    ),
  );

  const stopResize = ui.onResize(view.el, (next) => {
    width = next;
    show();
  });
  for (const [name, source] of [
    ["photo", photos.large],
    ["small_photo", photos.small],
  ]) {
    source.onload = () => update();
    source.src = get(name);
  }
  const stopTheme = onThemeChange(el, () => update());
  const events = ["network", "stack", "layer", "unit"].map((name) => `change:${name}`);
  for (const event of events) model.on(event, update);
  return () => {
    stopResize();
    stopTheme();
    for (const event of events) model.off(event, update);
  };
}

export default { render };

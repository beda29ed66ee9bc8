// What a unit sees: a section through a network with the unit's cone, and its field on the photograph.
// The section lies beside the photograph (wide) or above it (tall) and shares its axis, so that the cone
// lands on the pixels that it means. Numbers come from maths/receptive_field.js.

import { centre, fields, influence, span, spreadOf, stackLayers } from "./maths/receptive_field.js";
import { chart, dots, mark, path, s, setAll, text } from "./ui/axes.js";
import { followTheme } from "./ui/colours.js";
import * as ui from "./ui/controls.js";
import { h, maths } from "./ui/controls.js";
import { copyCode } from "./ui/copy_code.js";
import { bindTraits, lifetime, observeWidth, perFrame } from "./ui/lifetime.js";

/** @import { AnyModel, RenderProps } from "@anywidget/types" */
/** @import { Field, Layer, Level, Window } from "./maths/receptive_field.js" */
/** @import { Point } from "./ui/axes.js" */

/** @typedef {{ name: string, size: number, layers: Layer[] }} Network size: of its images' sides */
/**
 * @typedef {object} State
 * @property {Network[]} networks
 * @property {string} network a name, or STACK
 * @property {Window[]} stack of the reader's own
 * @property {number} layer from 1 on
 * @property {number[]} unit [row, column]
 * @property {string} photo
 * @property {string} small_photo as large as a stack sees it
 * @property {string} title
 */
/** @typedef {ReturnType<typeof look>} Look */
/** @typedef {ReturnType<typeof layout>} Layout */

const STACK = "a stack of your own";
const STACK_SIZE = 32;
const WIDE = 568; // pixels that a widget of 600, where the style sheets change, leaves for the picture
const MARGIN = 0.25; // of the image's side: how much of what lies outside is drawn at most
const SLANT = (58 * Math.PI) / 180; // of the layers' names
const whole = (/** @type {number} */ v) => ui.fixed(v, 0);
const said = (/** @type {number} */ v) => ui.spoken(v, 0);
const percent = (/** @type {number} */ v) => `${(100 * v).toFixed(v > 0 && v < 0.1 ? 1 : 0)} %`;
const short = (/** @type {string} */ name) => (name.length > 13 ? `${name.slice(0, 12)}…` : name);
/** The padding that keeps a map's size. @param {Window} window */
const half = ([k, , , d]) => Math.floor((d * (k - 1)) / 2);

/** The network that a state shows. @param {AnyModel<State>} model @returns {Network} */
function networkOf(model) {
  const [name, networks] = [model.get("network"), model.get("networks")];
  const known = networks.find((network) => network.name === name);
  return known ?? { name, size: STACK_SIZE, layers: stackLayers(model.get("stack"), STACK_SIZE) };
}

/** The unit of another field that looks at about the same place. */
const sameView = (
  /** @type {Field} */ from,
  /** @type {number} */ unit,
  /** @type {Field} */ to,
  /** @type {number} */ count,
) => ui.clamp(Math.round((centre(from, unit) - centre(to, 0)) / to.stride), 0, count - 1);

/** Everything that the pictures and the numbers need of one state. @param {AnyModel<State>} model */
function look(model) {
  const own = model.get("network") === STACK;
  const known = networkOf(model);
  const depth = ui.clamp(model.get("layer"), 1, known.layers.length);
  const all = fields(known.layers);
  const field = all[depth];
  const count = known.layers[depth - 1].size;
  const [row, column] = model.get("unit").map((place) => ui.clamp(place, 0, count - 1));
  const below = known.layers.slice(0, depth);
  const n = known.size;
  const inside = (/** @type {number} */ place) => {
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
    cut: own ? model.get("stack").length - known.layers.length : 0,
    margin: own ? 6 : Math.min(Math.max(...all.map((f) => f.padding)), Math.round(MARGIN * n)),
  };
}

// ---------------------------------------------------------------- the picture

/** Where section and photograph stand. @param {Look} state @param {number} width in pixels */
function layout({ n, margin, layers }, width) {
  const wide = width >= WIDE;
  const count = layers.length;
  if (wide) {
    // Names are slanted to the right, the last one too: room for the longest, in bold.
    const long = 7.2 * Math.max(...layers.map(({ name }) => short(name).length));
    const beyond = Math.max(32, Math.round(Math.cos(SLANT) * long + 10));
    const side = Math.min(370, Math.round(0.57 * width), width - 66 - beyond - 15 * count);
    const top = Math.max(74, Math.round(Math.sin(SLANT) * long + 20));
    const scale = side / (n + 2 * margin);
    const start = side + 66;
    const pitch = Math.min(76, (width - start - beyond) / count);
    const thick = Math.min(18, 0.62 * pitch);
    const frame = { wide, width, height: top + side + 8, top, left: 0, side, scale, pitch, start, thick };
    return {
      ...frame,
      base: side + 8,
      reach: 40,
      /** Where a position among the pixels lies. @param {number} p */
      pos: (p) => top + (p + margin + 0.5) * scale,
      /** Where layer d lies. @param {number} d */
      at: (d) => start + d * pitch,
    };
  }
  const left = 90;
  const side = width - left - 2;
  const scale = side / (n + 2 * margin);
  const pitch = Math.min(46, Math.max(18, 330 / count));
  const start = 12 + count * pitch;
  const top = start + 62;
  const thick = Math.min(16, 0.6 * pitch);
  const frame = { wide, width, height: top + side + 2, top, left, side, scale, pitch, start, thick };
  return {
    ...frame,
    base: top - 8,
    reach: 40,
    /** @param {number} p */
    pos: (p) => left + (p + margin + 0.5) * scale,
    /** @param {number} d */
    at: (d) => start - d * pitch,
  };
}

/** A point of layer d. @param {Layout} g @param {number} d @param {number} p @returns {Point} */
const along = (g, d, p) => (g.wide ? [g.at(d), g.pos(p)] : [g.pos(p), g.at(d)]);

/**
 * The cells from pixel position a to b of the row of layer d.
 * @param {Layout} g @param {number} d @param {number} a @param {number} b
 */
function box(g, d, a, b) {
  const [lo, hi] = [g.pos(a), g.pos(b)];
  const t = g.thick;
  const f = (/** @type {number} */ v) => v.toFixed(1);
  return g.wide
    ? `M${f(g.at(d) - t / 2)} ${f(lo)}h${f(t)}v${f(hi - lo)}h${f(-t)}Z`
    : `M${f(lo)} ${f(g.at(d) - t / 2)}h${f(hi - lo)}v${f(t)}h${f(-(hi - lo))}Z`;
}

/** The gap between cells, in pixels of the image; 0 where they are too small for one. @param {Layout} g */
const gapOf = (g, /** @type {number} */ stride) =>
  stride * g.scale >= 3.2 ? Math.min(1.4, 0.2 * stride * g.scale) / g.scale : 0;

/**
 * The outline from a unit down to the pixels.
 * @param {Look} state @param {Layout} g @param {Level[]} levels
 */
function conePath(state, g, levels) {
  /** @type {[Point[], Point[]]} */
  const [low, high] = [[], []];
  levels.forEach(({ first, weights }, d) => {
    const f = state.fields[d];
    low.push(along(g, d, centre(f, first) - f.stride / 2));
    high.push(along(g, d, centre(f, first + weights.length - 1) + f.stride / 2));
  });
  return `${path([...low, ...high.reverse()])}Z`;
}

/**
 * A field on the photograph, from its first row and column.
 * @param {Look} state @param {Layout} g @param {number} top @param {number} left
 */
function squarePath({ field, margin }, g, top, left) {
  const [x, y] = [left, top].map((p) => (p + margin) * g.scale);
  const side = (field.size * g.scale).toFixed(1);
  return `M${(g.left + x).toFixed(1)} ${(g.top + y).toFixed(1)}h${side}v${side}h-${side}Z`;
}

/** The rows of cells, one a layer, and their names. */
function section() {
  const rows = s("g");
  const names = s("g", { "aria-hidden": "true" });
  /** @type {{ all: SVGElement, used: SVGElement }[]} */
  let cells = [];
  const outline = (/** @type {Look} */ state, /** @type {Layout} */ g, /** @type {number} */ d) => {
    const count = d ? state.layers[d - 1].size : state.n;
    const f = state.fields[d];
    const gap = gapOf(g, f.stride);
    const half_ = f.stride / 2;
    if (!gap) return box(g, d, centre(f, 0) - half_, centre(f, count - 1) + half_);
    return Array.from({ length: count }, (_, i) =>
      box(g, d, centre(f, i) - half_ + gap / 2, centre(f, i) + half_ - gap / 2),
    ).join("");
  };
  const label = (/** @type {Look} */ state, /** @type {Layout} */ g, /** @type {number} */ d) => {
    const [x, y] = (g.wide ? [g.at(d) + 4, g.top - 8] : [g.left - 8, g.at(d) + 4]).map((v) => v.toFixed(1));
    return text(d ? short(state.layers[d - 1].name) : "image", {
      x,
      y,
      class: "field-name",
      "text-anchor": g.wide ? "start" : "end",
      ...(g.wide && { transform: `rotate(${(-SLANT * 180) / Math.PI} ${x} ${y})` }),
    });
  };
  /** Cells of layer d that take part, the darker the more they count; only those that exist. */
  const shades = (
    /** @type {Look} */ state,
    /** @type {Layout} */ g,
    /** @type {number} */ d,
    /** @type {Level} */ { first, weights },
  ) => {
    const f = state.fields[d];
    const count = d ? state.layers[d - 1].size : state.n;
    const gap = gapOf(g, f.stride);
    const peak = Math.max(...weights);
    /** @typedef {{ shade: number, from: number, to: number }} Run of cells of one shade */
    /** @type {Map<number, Run[]>} */
    const paths = new Map();
    /** @type {Run | null} */
    let run = null;
    for (const [i, w] of weights.entries()) {
      const at = first + i;
      if (w <= 0 || at < 0 || at >= count) {
        run = null;
        continue;
      }
      const shade = d === state.depth ? 9 : Math.min(9, 3 + Math.floor((7 * w) / peak));
      const [a, b] = [centre(f, at) - f.stride / 2 + gap / 2, centre(f, at) + f.stride / 2 - gap / 2];
      if (!gap && run && run.shade === shade) run.to = b;
      else {
        run = { shade, from: a, to: b };
        paths.set(shade, [...(paths.get(shade) ?? []), run]);
      }
    }
    return [...paths].map(([shade, runs]) =>
      mark("path", "field-use", "data-1", {
        d: runs.map(({ from, to }) => box(g, d, from, to)).join(""),
        "fill-opacity": shade / 10,
      }),
    );
  };
  return {
    rows,
    names,
    /** What stays while the reader picks units. @param {Look} state @param {Layout} g */
    build(state, g) {
      cells = state.fields.map((_, d) => ({
        all: mark("path", "field-cells", null, { d: outline(state, g, d) }),
        used: s("g", { class: "field-used" }),
      }));
      rows.replaceChildren(...cells.flatMap(({ all, used }) => [all, used]));
      names.replaceChildren(...state.fields.map((_, d) => label(state, g, d)));
    },
    /** @param {Look} state @param {Layout} g @param {Level[]} levels */
    draw(state, g, levels) {
      cells.forEach(({ used, all }, d) => {
        all.classList.toggle("field-above", d > state.depth);
        used.replaceChildren(...(d > state.depth ? [] : shades(state, g, d, levels[d])));
      });
      [...names.children].forEach((name, d) => name.classList.toggle("companion-ink", d === state.depth));
    },
  };
}

/**
 * The photograph, as wide as the network wants it; what the unit does not see fades.
 * @param {{ large: HTMLImageElement, small: HTMLImageElement }} photos
 */
function photograph(photos) {
  const el = h("canvas", { class: "field-photo", "aria-hidden": "true" });
  const context = el.getContext("2d", { willReadFrequently: true });
  /** @type {{ source: HTMLImageElement, n: number, image: ImageData } | null} */
  let plain = null;
  return {
    el,
    /** @param {Look} state @param {boolean} weighed fade pixels by how much they count */
    draw({ n, own, rows, columns, weights }, weighed) {
      const source = own ? photos.small : photos.large;
      if (!source.complete || !source.naturalWidth || !context) return;
      if (plain?.source !== source || plain.n !== n) {
        el.width = n;
        el.height = n;
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
          else
            image.data[at] = weighed ? rest + (255 - rest) * Math.sqrt((down * across[c]) / peak ** 2) : 255;
        }
      }
      context.putImageData(image, 0, 0);
    },
  };
}

/** How much each pixel counts, between photograph and input. */
function weightCurve() {
  const area = mark("path", "companion-fill field-weights", "data-1");
  const line = mark("path", "companion-curve field-weights-line", "data-1");
  return {
    marks: [area, line],
    /** @param {Look} state @param {Layout} g @param {Level} level of the pixels */
    draw(state, g, { first, weights }) {
      const peak = Math.max(...weights);
      /** @type {Point[]} */
      const points = [];
      weights.forEach((w, i) => {
        const p = first + i;
        if (p < -state.margin || p > state.n - 1 + state.margin) return;
        const [from, to] = [g.pos(p - 0.5), g.pos(p + 0.5)];
        const out = (w / peak) * g.reach;
        if (g.wide) points.push([g.base + out, from], [g.base + out, to]);
        else points.push([from, g.base - out], [to, g.base - out]);
      });
      const d = path(points);
      setAll(line, { d: g.scale >= 3 ? d : "" });
      const [begin, end] = [points[0], points[points.length - 1]];
      if (!begin) setAll(area, { d: "" });
      else {
        const [a, b] = [begin, end].map(([x, y]) =>
          g.wide ? `${g.base} ${y.toFixed(1)}` : `${x.toFixed(1)} ${g.base}`,
        );
        setAll(area, { d: `M${a}${d.replace("M", "L")}L${b}Z` });
      }
    },
  };
}

/**
 * What lies at a point of the picture: a unit of the chosen layer on the photograph, of any layer on the
 * section, or nothing.
 * @param {Look} state @param {Layout} g @param {Point} point
 * @returns {Partial<State> | null}
 */
function unitAt(state, g, [x, y]) {
  const nearest = (/** @type {number} */ p, /** @type {number} */ d) => {
    const f = state.fields[d];
    const count = d ? state.layers[d - 1].size : state.n;
    return ui.clamp(Math.round((p - centre(f, 0)) / f.stride), 0, count - 1);
  };
  if (x >= g.left && x <= g.left + g.side && y >= g.top && y <= g.top + g.side) {
    const [row, column] = [y - g.top, x - g.left].map((p) => p / g.scale - state.margin - 0.5);
    return { unit: [nearest(row, state.depth), nearest(column, state.depth)] };
  }
  const d = Math.round(g.wide ? (x - g.start) / g.pitch : (g.start - y) / g.pitch);
  if (d < 1 || d > state.layers.length) return null;
  const p = (g.wide ? y - g.top : x - g.left) / g.scale - state.margin - 0.5;
  const reached = nearest(p, d);
  // The other axis stays where the unit looks now.
  const stay = nearest(centre(state.field, g.wide ? state.column : state.row), d);
  return { layer: d, unit: g.wide ? [reached, stay] : [stay, reached] };
}

/**
 * Section and photograph in one picture.
 * @param {{ large: HTMLImageElement, small: HTMLImageElement }} photos
 * @param {(changes: Partial<State>) => void} onPick
 */
function picture(photos, onPick) {
  const id = ui.newId();
  const hatch = s(
    "pattern",
    { id, width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    s("line", { class: "field-hatch", x1: 0, y1: 0, x2: 0, y2: 7 }),
  );
  const [sectionClip, photoClip] = [s("path"), s("path")];
  const outside = mark("path", "field-outside", null, { fill: `url(#${id})`, "fill-rule": "evenodd" });
  const sides = mark("path", "field-outside", null, { fill: `url(#${id})` });
  const edge = mark("path", "field-edge");
  const [cone, nextCone] = [mark("path", "field-cone", "data-1"), mark("path", "field-next", "data-2")];
  const [square, nextSquare] = [mark("path", "field-square", "data-1"), mark("path", "field-next", "data-2")];
  const [centres, here] = [mark("path", "field-dots"), mark("circle", "field-here", "data-1", { r: 5 })];
  const chosen = mark("path", "field-chosen", "data-1");
  const [cells, curve, photo] = [section(), weightCurve(), photograph(photos)];
  const { el, svg } = chart(
    {},
    s(
      "defs",
      {},
      hatch,
      s("clipPath", { id: `${id}-section` }, sectionClip),
      s("clipPath", { id: `${id}-photo` }, photoClip),
    ),
    outside,
    sides,
    edge,
    // Units of a deep layer are wider than what is drawn; their boxes end where it ends.
    s("g", { "clip-path": `url(#${id}-section)` }, cells.rows, nextCone, cone),
    s("g", { "clip-path": `url(#${id}-photo)` }, nextSquare, square, centres, here),
    ...curve.marks,
    s("g", { "clip-path": `url(#${id}-section)` }, chosen),
    cells.names,
  );
  el.classList.add("field-picture");
  el.prepend(photo.el);
  let built = "";
  /** @type {{ g: Layout, state: Look } | null} */
  let drawn = null;

  /** What stays while the reader picks units. @param {Look} state @param {Layout} g */
  const build = (state, g) => {
    const layers = state.layers.map((l) => [l.name, l.size, l.paths]);
    const key = JSON.stringify([g.width, state.n, state.margin, layers]);
    if (key === built) return;
    built = key;
    cells.build(state, g);
    // What lies outside of the image: around the photograph, and in the input's row.
    const { n, margin } = state;
    const frame = `M${g.left} ${g.top}h${g.side}v${g.side}h${-g.side}Z`;
    const [x0, y0, w] = [g.left + margin * g.scale, g.top + margin * g.scale, n * g.scale];
    const image = `M${x0} ${y0}h${w}v${w}h${-w}Z`;
    setAll(outside, { d: margin ? frame + image : "" });
    const beyond = box(g, 0, -margin - 0.5, -0.5) + box(g, 0, n - 0.5, n - 0.5 + margin);
    setAll(sides, { d: margin ? beyond : "" });
    setAll(edge, { d: image });
    // A field may reach further out than is drawn.
    setAll(sectionClip, {
      d: g.wide
        ? `M${g.side} ${g.top}H${g.width}v${g.side}H${g.side}Z`
        : `M${g.left} 0h${g.side}V${g.top}h${-g.side}Z`,
    });
    setAll(photoClip, { d: frame });
    setAll(svg, { height: g.height, viewBox: `0 0 ${g.width} ${g.height}`, width: g.width });
    const [across, down] = [g.width, g.height].map(
      (side) => (/** @type {number} */ length) => `${(100 * length) / side}%`,
    );
    Object.assign(photo.el.style, { left: across(x0), top: down(y0), width: across(w), height: down(w) });
    photo.el.style.imageRendering = state.own ? "pixelated" : "auto";
  };

  /**
   * Dots at the middles of all fields, where they are far enough apart.
   * @param {Look} state @param {Layout} g
   */
  const drawCentres = (state, g) => {
    const { field, margin, count } = state;
    const place = (/** @type {number} */ unit) => (centre(field, unit) + margin + 0.5) * g.scale;
    /** @type {Point[]} */
    const points = [];
    if (field.stride * g.scale >= 9)
      for (let r = 0; r < count; r += 1)
        for (let c = 0; c < count; c += 1) points.push([g.left + place(c), g.top + place(r)]);
    setAll(centres, { d: dots(points) });
    const [x, y] = [g.left + place(state.column), g.top + place(state.row)];
    setAll(here, { cx: x.toFixed(1), cy: y.toFixed(1) });
  };

  const pick = (/** @type {PointerEvent} */ event) => {
    if (!drawn) return;
    const frame = svg.getBoundingClientRect();
    const changes = unitAt(drawn.state, drawn.g, [event.clientX - frame.left, event.clientY - frame.top]);
    if (changes) onPick(changes);
  };
  svg.addEventListener("pointerdown", pick);
  svg.addEventListener("pointermove", (event) => {
    if (event.buttons & 1) pick(event);
  });
  return {
    el,
    /** @param {Look} state @param {{ width: number, neighbour: boolean, weighed: boolean }} options */
    draw(state, { width, neighbour, weighed }) {
      const g = layout(state, width);
      drawn = { g, state };
      build(state, g);
      const { field } = state;
      const [main, other] = g.wide ? [state.row, state.column] : [state.column, state.row];
      const levels = influence(state.below, main);
      const beside = main + 1 < state.count ? main + 1 : main - 1;
      const shows = neighbour && beside >= 0;
      setAll(cone, { d: conePath(state, g, levels) });
      setAll(nextCone, { d: shows ? conePath(state, g, influence(state.below, beside)) : "" });
      setAll(square, { d: squarePath(state, g, state.rows[0], state.columns[0]) });
      const [row, column] = (g.wide ? [beside, other] : [other, beside]).map((unit) => span(field, unit)[0]);
      setAll(nextSquare, { d: shows ? squarePath(state, g, row, column) : "" });
      cells.draw(state, g, levels);
      curve.draw(state, g, levels[0]);
      drawCentres(state, g);
      const middle = centre(field, main);
      setAll(chosen, { d: box(g, state.depth, middle - field.stride / 2, middle + field.stride / 2) });
      photo.draw(state, weighed);
      setAll(svg, {
        "aria-label":
          `A section through ${state.layers.length} layers, ` +
          `and the image of ${state.n} by ${state.n} pixels. ` +
          `Unit ${state.row}, ${state.column} of ${state.layers[state.depth - 1].name} ${seen(state)}.`,
      });
    },
  };
}

/** "sees rows 3 to 9 and columns 0 to 6". @param {Look} state */
const seen = ({ rows, columns }) =>
  `sees rows ${said(rows[0])} to ${said(rows[1])} and columns ${said(columns[0])} to ${said(columns[1])}`;

// ---------------------------------------------------------------- the parts of the widget

/**
 * The controls of a stack of the reader's own.
 * @param {AnyModel<State>} model
 * @param {{ onPut: (changes: Partial<State>) => void, onToggle: () => void }} options
 */
function stackControls(model, { onPut, onToggle }) {
  const every = ui.segmented({
    label: "Sliders change",
    options: [
      { value: true, label: "all layers" },
      { value: false, label: "the chosen layer" },
    ],
    value: true,
    onChange: onToggle,
  });
  const padding = ui.segmented({
    label: "Padding",
    options: [
      { value: true, label: "half a window" },
      { value: false, label: "none" },
    ],
    value: model.get("stack").some((window) => window[2] > 0),
    onChange: () => restack(() => {}),
  });
  /** Another stack; the unit looks at about the same place. @param {Window[]} stack */
  const settle = (stack, now = look(model), from = now.depth) => {
    const layers = stackLayers(stack, STACK_SIZE);
    const depth = Math.min(from === now.layers.length ? layers.length : from, layers.length);
    if (!depth) return onToggle();
    const field = fields(layers)[depth];
    const count = layers[depth - 1].size;
    const unit = [now.row, now.column].map((place) => sameView(now.field, place, field, count));
    return onPut({ stack, layer: depth, unit });
  };
  /** Change one layer's window, or all. @param {(window: Window) => void} change */
  const restack = (change) => {
    const now = look(model);
    const stack = model.get("stack").map((window, i) => {
      if (!every.get() && i !== now.depth - 1) return window;
      /** @type {Window} */
      const next = [...window];
      change(next);
      next[2] = padding.get() ? half(next) : 0;
      return next;
    });
    settle(stack, now);
  };
  const depth = ui.slider({
    label: "Depth",
    min: 1,
    max: 6,
    step: 1,
    value: model.get("stack").length,
    format: whole,
    quantity: "depth",
    describe: (v) => `${v} ${v === 1 ? "layer" : "layers"}`,
    onInput: (v) => {
      const stack = model.get("stack");
      const now = look(model);
      const more = Array.from({ length: Math.max(0, v - stack.length) }, () => stack[stack.length - 1]);
      settle([...stack.slice(0, v), ...more], now, now.layers.length);
    },
  });
  const knobs = [
    { label: "Kernel", index: 0, max: 7, quantity: "kernel" },
    { label: "Stride", index: 1, max: 3, quantity: "layer-stride" },
    { label: "Dilation", index: 3, max: 3, quantity: "dilation" },
  ].map(({ label, index, max, quantity }) => {
    const slider = ui.slider({
      label,
      min: 1,
      max,
      step: 1,
      value: model.get("stack")[0][index],
      format: whole,
      quantity,
      onInput: (v) =>
        restack((window) => {
          window[index] = v;
        }),
    });
    return { index, slider };
  });
  const el = h(
    "div",
    { class: "field-own" },
    h("div", { class: "companion-pair" }, depth.el, ...knobs.map(({ slider }) => slider.el)),
    ui.row(padding.el, every.el),
  );
  return {
    el,
    /** @param {Look} now */
    draw(now) {
      el.hidden = !now.own;
      if (!now.own) return;
      const window = model.get("stack")[every.get() ? 0 : now.depth - 1];
      depth.set(model.get("stack").length);
      // Where every window is a pixel wide both mean the same, and the reader's word stays.
      const stack = model.get("stack");
      if (stack.some((each) => half(each) > 0)) padding.set(stack.some((each) => each[2] > 0));
      for (const { index, slider } of knobs) slider.set(window[index]);
    },
  };
}

/** Pixels that a unit and its neighbour both see; null if it has none. @param {number | null} v */
const shared = (v) => (v === null ? "has none" : `${whole(v)} px along a side`);

/** What the picture says, in numbers. */
function factList() {
  const numbers = ui.readouts(whole);
  const n = (/** @type {string} */ quantity) => numbers.make(quantity);
  const [fieldAgain, mapAgain] = [h("span"), h("span")];
  const fact = (/** @type {string | Node} */ term, /** @type {(string | Node)[]} */ ...words) =>
    h("div", { class: "field-fact" }, h("dt", {}, term), h("dd", {}, ...words));
  const spread = numbers.make("spread", (v) => ui.fixed(v, 1));
  const rows = ["rows ", n("first-row"), " to ", n("last-row"), ", columns "];
  const el = h(
    "dl",
    { class: "field-facts" },
    fact("Receptive field", h("strong", {}, n("field"), fieldAgain), " pixels"),
    fact("Effective stride", n("stride"), " px between neighbours"),
    fact("Start", "unit 0 begins at pixel ", n("start")),
    fact("This unit sees", ...rows, n("first-column"), " to ", n("last-column")),
    fact("Shared with its neighbour", numbers.make("overlap", shared)),
    fact("Outside of the image", numbers.make("outside", percent), " of the field"),
    fact("Map of this layer", n("map"), mapAgain, " units"),
    fact(h("span", {}, "Where the weight lies"), maths("σ"), " = ", spread, " px"),
  );
  return {
    el,
    /** @param {Look} now */
    draw({ field, rows: [top, bottom], columns: [left, right], overlap, outside, spread: sigma, count }) {
      numbers.set({
        field: field.size,
        stride: field.stride,
        start: -field.padding || 0,
        "first-row": top,
        "last-row": bottom,
        "first-column": left,
        "last-column": right,
        overlap: count > 1 ? overlap : null,
        outside,
        spread: sigma,
        map: count,
      });
      fieldAgain.textContent = `×${field.size}`;
      mapAgain.textContent = `×${count}`;
    },
  };
}

/** How field, stride and start of the chosen layer come from those of the layer below. @param {Look} now */
function recursion(now) {
  const [before, after] = [now.fields[now.depth - 1], now.field];
  const { paths, kind } = now.layers[now.depth - 1];
  const sizeAlong = (/** @type {Window[]} */ windows) => {
    let [r, j] = [before.size, before.stride];
    for (const [k, stride, , d] of windows) {
      r += d * (k - 1) * j;
      j *= stride;
    }
    return r;
  };
  const longest = paths.reduce((a, b) => (sizeAlong(b) > sizeAlong(a) ? b : a));
  let j = before.stride;
  const terms = longest.map(([k, stride, , d]) => {
    const term = `${d > 1 ? `${d} · ` : ""}(${k} − 1) · ${j}`;
    j *= stride;
    return term;
  });
  const strides = longest.map(([, stride]) => stride).filter((v, _, all) => v > 1 || all.length === 1);
  return [
    kind ? `${kind}. ` : "",
    paths.length > 1 ? "Along its longest path: " : "",
    maths("r"),
    ` = ${[before.size, ...terms].join(" + ")} = ${after.size},  `,
    maths("j"),
    ` = ${[before.stride, ...strides].join(" · ")} = ${after.stride},  `,
    `start = ${whole(-before.padding)} − ${after.padding - before.padding} = ${whole(-after.padding)}.`,
  ].filter((part) => part !== "");
}

// ---------------------------------------------------------------- the widget

/** The stack in PyTorch, and which pixels the unit sees. @param {AnyModel<State>} model */
function codeOf(model) {
  const { layers, depth, row, column } = look(model);
  const lines = model.get("stack").slice(0, Math.min(depth, layers.length));
  const code = lines.map(
    ([k, stride, padding, d]) =>
      `    nn.Conv2d(1, 1, ${k}, stride=${stride}, padding=${padding}, dilation=${d}, bias=False),\n`,
  );
  return `import torch
from torch import nn

layers = nn.Sequential(
${code.join("")})
for layer in layers:
    nn.init.ones_(layer.weight)
image = torch.zeros(1, 1, ${STACK_SIZE}, ${STACK_SIZE}, requires_grad=True)
layers(image)[0, 0, ${row}, ${column}].backward()
rows, columns = image.grad[0, 0].nonzero().T
print(rows.min(), rows.max(), columns.min(), columns.max())
`;
}

/** @param {RenderProps<State>} props */
function render({ model, el }) {
  const voice = ui.announcer();
  const warning = ui.notice("");
  const photos = { large: new Image(), small: new Image() };

  const draw = () => {
    const { width } = observed;
    if (!width) return;
    const now = look(model);
    network.set(model.get("network"));
    layer.limit(now.layers.length);
    layer.set(0);
    layer.set(now.depth);
    for (const [axis, slider] of [row, column].entries()) {
      slider.limit(now.count - 1);
      slider.set([now.row, now.column][axis]);
    }
    own.draw(now);
    code.el.hidden = !now.own;
    code.draw();
    const lost = `Layer ${now.layers.length + 1} has no units: its window is larger than the map below it.`;
    warning.set(now.cut ? `${lost} The stack ends here.` : "");
    view.draw(now, { width, neighbour: neighbour.get(), weighed: weighed.get() });
    facts.draw(now);
    legend.children[1].classList.toggle("field-alone", now.count === 1);
    const reach = Math.max(
      -now.rows[0],
      now.rows[1] + 1 - now.n,
      -now.columns[0],
      now.columns[1] + 1 - now.n,
    );
    beyond.textContent =
      reach > now.margin
        ? `The square on the photograph is larger than what is drawn: it reaches ${said(reach)} pixels out of the image.`
        : "";
    step.replaceChildren(...recursion(now));
    const { size, stride, padding } = now.field;
    if (!traits.touched) return;
    voice.say(
      `Receptive field ${size} by ${size} pixels, stride ${stride}, start ${said(-padding)}. ` +
        `The unit ${seen(now)}.`,
    );
  };
  const schedule = perFrame(draw);
  const traits = bindTraits(model, ["network", "stack", "layer", "unit"], schedule);
  const { put } = traits;

  const network = ui.select({
    label: "Network",
    value: model.get("network"),
    options: [
      { value: STACK, label: "A stack of your own" },
      ...model.get("networks").map(({ name }) => ({ value: name, label: name })),
    ],
    onChange: (name) => {
      model.set("network", name);
      const { layers } = networkOf(model);
      const middle = Math.floor((layers[layers.length - 1].size - 1) / 2);
      put({ layer: layers.length, unit: [middle, middle] });
    },
  });
  const layer = ui.slider({
    label: "Layer",
    min: 1,
    max: 99,
    step: 1,
    value: model.get("layer"),
    quantity: "layer",
    format: (v) => `${v} · ${networkOf(model).layers[v - 1]?.name ?? ""}`,
    describe: (v) => `${v}, ${networkOf(model).layers[v - 1]?.name ?? ""}`,
    onInput: (next) => {
      const now = look(model);
      const [field, count] = [now.fields[next], now.layers[next - 1].size];
      put({ layer: next, unit: [now.row, now.column].map((p) => sameView(now.field, p, field, count)) });
    },
  });
  const [row, column] = ["Row", "Column"].map((label, axis) =>
    ui.slider({
      label,
      name: `${label} of the unit`,
      min: 0,
      max: 999,
      step: 1,
      value: model.get("unit")[axis],
      format: whole,
      quantity: label.toLowerCase(),
      onInput: (v) => {
        const now = look(model);
        put({ unit: axis ? [now.row, v] : [v, now.column] });
      },
    }),
  );
  const own = stackControls(model, { onPut: put, onToggle: schedule });
  const neighbour = ui.toggle({ label: "Its neighbour", checked: true, onChange: schedule });
  const weighed = ui.toggle({ label: "Fade pixels by how much they count", onChange: schedule });
  const facts = factList();
  const code = copyCode({ what: "the stack", code: () => codeOf(model), say: voice.say });
  const step = h("p", { class: "field-step" });
  const view = picture(photos, put);
  const counts = "the unit, what it sees, and how much each pixel counts if all weights are equal";

  const legend = ui.legend([
    { token: "data-1", label: counts },
    { token: "data-2", label: "its neighbour", mark: "dashed" },
  ]);
  const beyond = ui.note();
  el.append(
    ui.frame(
      {
        title: model.get("title"),
        describe:
          "A section through a network, and what one of its units sees of the image. " +
          "Choose the unit with the sliders, or point at the photograph or at a layer.",
      },
      ui.panel(
        {},
        network.el,
        own.el,
        h("div", { class: "companion-pair field-unit" }, layer.el, row.el, column.el),
      ),
      warning.el,
      ui.figure(view.el),
      legend,
      beyond,
      ui.row(neighbour.el, weighed.el),
      facts.el,
      step,
      code.el,
      voice.el,
    ),
  );
  const observed = observeWidth(view.el, draw);
  photos.large.onload = schedule;
  photos.small.onload = schedule;
  photos.large.src = model.get("photo");
  photos.small.src = model.get("small_photo");
  return lifetime(observed.stop, followTheme(el, schedule), traits.stop);
}

export default { render };

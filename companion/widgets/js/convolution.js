// Convolution by hand: a window slides over a matrix, step by step, with every product written out.
// Numbers come from maths/convolution.js; this file draws and listens.

import { correlate, matrixOf, outputSize, sum, terms, turned } from "./maths/convolution.js";
import { cells, colourScale, exact, factor, magnitude, tint } from "./ui/cells.js";
import * as ui from "./ui/controls.js";
import { h, maths } from "./ui/controls.js";
import { copyCode, python } from "./ui/copy_code.js";
import { bindTraits, lifetime, perFrame } from "./ui/lifetime.js";

/** @import { AnyModel, RenderProps } from "@anywidget/types" */
/** @import { Matrix, Term } from "./maths/convolution.js" */

/**
 * @typedef {object} State
 * @property {Matrix} x the input
 * @property {Matrix} kernel
 * @property {number} padding
 * @property {number} stride
 * @property {boolean} flip lay the kernel turned by 180°: a convolution
 * @property {number} position of the window, output by output, row by row
 * @property {string} title
 */
/** @typedef {AnyModel<State>} Model */
/** @typedef {ReturnType<typeof sizes>} Sizes */

const SLIDE = [
  [1, 2, 1],
  [0, 0, 0],
  [-1, -2, -1],
];
/** @type {{ [name: string]: Matrix }} */
const INPUTS = {
  "the slide’s 1 … 9": matrixOf(3, 3, (r, c) => 3 * r + c + 1),
  "a single 1": matrixOf(5, 5, (r, c) => Number(r === 2 && c === 2)),
  "an edge": matrixOf(6, 6, (_, c) => (c < 3 ? 0 : 5)),
  "a bright square": matrixOf(6, 6, (r, c) => (r > 1 && r < 4 && c > 1 && c < 4 ? 9 : 0)),
  "a ramp": matrixOf(6, 6, (_, c) => c),
};
/** @type {{ [name: string]: Matrix }} */
const KERNELS = {
  "the slide’s window": SLIDE,
  "its turn by 180°": turned(SLIDE),
  "left to right (Sobel)": [
    [-1, 0, 1],
    [-2, 0, 2],
    [-1, 0, 1],
  ],
  "1 … 9": matrixOf(3, 3, (r, c) => 3 * r + c + 1),
  "sum of the window": matrixOf(3, 3, () => 1),
  sharpen: [
    [0, -1, 0],
    [-1, 5, -1],
    [0, -1, 0],
  ],
  "mean of 2×2": matrixOf(2, 2, () => 0.25),
};
const OWN = "own numbers";
const STEP_MS = 650;

const same = (/** @type {Matrix} */ a, /** @type {Matrix} */ b) => JSON.stringify(a) === JSON.stringify(b);
const nameOf = (/** @type {{ [name: string]: Matrix }} */ presets, /** @type {Matrix} */ matrix) =>
  Object.keys(presets).find((name) => same(presets[name], matrix)) ?? OWN;
const by = (/** @type {number} */ rows, /** @type {number} */ columns) => `${rows} × ${columns}`;
const say = (/** @type {number} */ value) => exact(value, 12).replace("−", "minus ");

/** The kernel as it is laid over the input. @param {Model} model */
const laid = (model) => (model.get("flip") ? turned(model.get("kernel")) : model.get("kernel"));

/**
 * All sizes that the boards depend on; rows and columns of the output, 0 where the kernel does not fit.
 * @param {Model} model
 */
function sizes(model) {
  const [x, k] = [model.get("x"), model.get("kernel")];
  const [padding, stride] = [model.get("padding"), model.get("stride")];
  const height = outputSize(x.length, k.length, { padding, stride });
  const width = outputSize(x[0].length, k[0].length, { padding, stride });
  const fits = height > 0 && width > 0;
  return {
    x: [x.length, x[0].length],
    padded: [x.length + 2 * padding, x[0].length + 2 * padding],
    kernel: [k.length, k[0].length],
    padding,
    stride,
    rows: fits ? height : 0,
    columns: fits ? width : 0,
  };
}

/**
 * A matrix with one number changed.
 * @param {Matrix} matrix @param {number} r @param {number} c @param {number} value
 */
const changed = (matrix, r, c, value) =>
  matrix.map((row, i) => (i === r ? row.map((v, j) => (j === c ? value : v)) : row));

// ---------------------------------------------------------------- boards, built anew when a size changes

/**
 * The grids of input, kernel and output.
 * @param {Sizes} size
 * @param {{ onEdit: (name: "x" | "kernel", r: number, c: number, value: number) => void,
 *   onTrouble: (sentence: string) => void,
 *   onPoint: (position: number, event: PointerEvent) => void }} options
 */
function makeGrids({ padded, x, kernel, padding: p, stride, rows, columns }, { onEdit, onTrouble, onPoint }) {
  const inside = (/** @type {number} */ r, /** @type {number} */ c) =>
    r >= p && c >= p && r < x[0] + p && c < x[1] + p;
  /** The output whose window lies around a cell of the input. @param {number} r @param {number} c */
  const around = (r, c) => {
    const at = (/** @type {number} */ place, /** @type {number} */ n, /** @type {number} */ count) =>
      ui.clamp(Math.round((place - (n - 1) / 2) / stride), 0, count - 1);
    return at(r, kernel[0], rows) * columns + at(c, kernel[1], columns);
  };
  const xs = cells({
    rows: padded[0],
    columns: padded[1],
    label: "Input x with its padding",
    edit: (r, c) => (inside(r, c) ? `x, row ${r - p}, column ${c - p}` : null),
    onEdit: (r, c, value) => onEdit("x", r - p, c - p, value),
    onTrouble,
    onPoint: (r, c, event) => onPoint(around(r, c), event),
  });
  /** The weight that lies on a cell of the input. */
  const weights = matrixOf(padded[0], padded[1], (r, c) => {
    const small = h("span", { class: "convolution-weight", "aria-hidden": "true" });
    xs.cell(r, c).el.append(small);
    xs.cell(r, c).el.classList.toggle("convolution-frame", !inside(r, c));
    return small;
  });
  const ks = cells({
    rows: kernel[0],
    columns: kernel[1],
    label: "Kernel h",
    edit: (r, c) => `h, row ${r}, column ${c}`,
    onEdit: (r, c, value) => onEdit("kernel", r, c, value),
    onTrouble,
  });
  const ys = cells({
    rows: Math.max(1, rows),
    columns: Math.max(1, columns),
    label: "Output y",
    onPoint: (r, c, event) => onPoint(r * columns + c, event),
  });
  return { xs, weights, ks, ys };
}

/** The sum that makes one output, written out. @param {number[]} kernel its height and width */
function sumLine([height, width]) {
  const products = matrixOf(height, width, (row, column) =>
    h("span", { class: "convolution-term", data: { row, column } }),
  );
  const total = ui.number({ quantity: "y", value: 0, format: (v) => exact(v, 12) });
  const place = h("span", {});
  const slots = products.flatMap((line, a) =>
    line.map((term, b) => h("span", { class: "convolution-slot" }, a + b ? "+ " : "", term)),
  );
  const rows = h("div", { class: "convolution-terms", style: `--columns: ${width}` }, ...slots);
  return {
    products,
    parts: [
      h("p", { class: "convolution-left" }, h("i", {}, "y"), place, " ="),
      rows,
      h("p", { class: "companion-result convolution-total" }, "= ", total.el),
    ],
    /** @param {Term[]} parts @param {number} row @param {number} column of the output */
    draw(parts, row, column) {
      const most = Math.max(...parts.map(({ product }) => Math.abs(product)));
      parts.forEach(({ value, weight, product }, i) => {
        const term = products[Math.floor(i / width)][i % width];
        term.textContent = `${factor(value)}·${factor(weight)}`;
        term.dataset.value = String(product);
        tint(term, product, most);
      });
      // What is too long for a phone in rows like the kernel's wraps there.
      rows.classList.toggle(
        "convolution-long",
        products.flat().some(({ textContent }) => String(textContent).length > 9),
      );
      place.textContent = `[${row}, ${column}]`;
      total.set(sum(parts));
    },
  };
}

/**
 * The slider that moves the window; up and down go by rows. None where there is one output or no output.
 * @param {Sizes} size @param {() => number} position @param {(position: number) => void} onMove
 */
function windowSlider({ rows, columns }, position, onMove) {
  const count = rows * columns;
  if (count < 2) return null;
  const slider = ui.slider({
    label: "Window",
    min: 0,
    max: count - 1,
    step: 1,
    value: 0,
    format: (i) => `${i + 1} of ${count}`,
    describe: (i) => `row ${Math.floor(i / columns)}, column ${i % columns}`,
    onInput: onMove,
  });
  slider.input.addEventListener("keydown", (event) => {
    const way = { ArrowUp: -columns, ArrowDown: columns }[event.key];
    if (!way) return;
    event.preventDefault();
    const to = position() + way;
    if (to >= 0 && to < count) onMove(to);
  });
  return slider;
}

/**
 * Point at a weight, a product or a pixel of the window: all three light up.
 * @param {Model} model @param {Sizes} size
 * @param {ReturnType<typeof makeGrids>} grids @param {HTMLElement[][]} products
 */
function linkLights(model, { kernel: [height, width], stride, rows, columns }, { xs, ks }, products) {
  /** @type {HTMLElement[]} */
  let lit = [];
  const clear = () => {
    for (const node of lit) node.classList.remove("convolution-lit");
    lit = [];
  };
  const shine = (/** @type {number} */ a, /** @type {number} */ b) => {
    clear();
    const [row, column] = [Math.floor(model.get("position") / columns), model.get("position") % columns];
    const [ka, kb] = model.get("flip") ? [height - 1 - a, width - 1 - b] : [a, b];
    lit = [products[a][b], ks.cell(ka, kb).el, xs.cell(stride * row + a, stride * column + b).el];
    for (const node of lit) node.classList.add("convolution-lit");
  };
  if (!rows) return;
  products.forEach((line, a) =>
    line.forEach((term, b) => {
      term.addEventListener("pointerenter", () => shine(a, b));
      term.addEventListener("pointerleave", clear);
      const weight = ks.cell(a, b).el;
      weight.addEventListener("pointerenter", () =>
        model.get("flip") ? shine(height - 1 - a, width - 1 - b) : shine(a, b),
      );
      weight.addEventListener("pointerleave", clear);
    }),
  );
}

/**
 * The three boards, the sum below them and the slider, for numbers of one size.
 * @param {Model} model
 * @param {{ onEdit: (name: "x" | "kernel", r: number, c: number, value: number) => void,
 *   onTrouble: (sentence: string) => void, onPoint: (position: number, event: PointerEvent) => void,
 *   onMove: (position: number) => void }} options
 */
function makeBoards(model, { onMove, ...options }) {
  const size = sizes(model);
  const { rows, columns, padding, kernel, padded } = size;
  const grids = makeGrids(size, options);
  const { xs, ks, ys, weights } = grids;
  const line = sumLine(kernel);
  const track = windowSlider(size, () => model.get("position"), onMove);
  const turn = h("p", { class: "companion-note convolution-turn" }, "turned before use");
  linkLights(model, size, grids, line.products);
  const board = (
    /** @type {Node} */ caption,
    /** @type {Node} */ grid,
    /** @type {string} */ kind,
    /** @type {Node[]} */ ...rest
  ) =>
    h(
      "figure",
      { class: `convolution-board convolution-${kind}` },
      h("figcaption", {}, caption),
      grid,
      ...rest,
    );
  const widths = [padded[1], kernel[1], Math.max(1, columns)];
  const frame = padding ? " in a frame of zeros" : "";
  return {
    size,
    widths,
    boards: [
      board(h("span", {}, "Input ", maths("x"), frame), xs.el, "x"),
      board(h("span", {}, "Kernel ", maths("h")), ks.el, "h", turn),
      board(h("span", {}, "Output ", maths("y")), ys.el, "y"),
    ],
    line: line.parts,
    track: track ? [track.el] : [],
    /** Input and kernel. */
    drawNumbers() {
      const [x, k] = [model.get("x"), model.get("kernel")];
      const [xLimit, kLimit] = [magnitude(x), magnitude(k)];
      matrixOf(padded[0], padded[1], (r, c) => xs.set(r, c, x[r - padding]?.[c - padding] ?? 0, xLimit));
      matrixOf(kernel[0], kernel[1], (r, c) => ks.set(r, c, k[r][c], kLimit));
      turn.classList.toggle("convolution-unused", !model.get("flip"));
      if (!rows) ys.text(0, 0, "–");
    },
    /**
     * The outputs that were visited, and the window.
     * @param {number} position @param {Set<number>} visited
     */
    drawWindow(position, visited) {
      const [row, column] = [Math.floor(position / columns), position % columns];
      const [x, h_, options] = [model.get("x"), laid(model), { padding, stride: size.stride }];
      const y = correlate(x, h_, options);
      const yLimit = magnitude(y);
      const isKnown = (/** @type {number} */ r, /** @type {number} */ c) => visited.has(r * columns + c);
      matrixOf(rows, columns, (r, c) => (isKnown(r, c) ? ys.set(r, c, y[r][c], yLimit) : ys.text(r, c, "·")));
      const words = y.map((values, r) => {
        const known = values.map((v, c) => (isKnown(r, c) ? say(v) : "not computed yet"));
        return `Row ${r}: ${known.join(", ")}.`;
      });
      ys.describe(`Output y, ${rows} by ${columns}. ${words.join(" ")}`);
      ys.frame(row, column);
      xs.frame(size.stride * row, size.stride * column, kernel[0], kernel[1]);

      const parts = terms(x, h_, row, column, options);
      const inWindow = new Set(parts.map((part) => `${part.row},${part.column}`));
      matrixOf(padded[0], padded[1], (r, c) => {
        const on = inWindow.has(`${r},${c}`);
        xs.cell(r, c).el.classList.toggle("convolution-dim", !on);
        if (!on) weights[r][c].textContent = "";
      });
      for (const part of parts) weights[part.row][part.column].textContent = `×${exact(part.weight)}`;
      line.draw(parts, row, column);
      track?.set(position);
    },
  };
}

/** "⌊(6 + 2·0 − 3) / 1⌋ + 1 = 4", for rows and, where they differ, columns. @param {Sizes} size */
function sizeWords({ x, kernel, padding, stride, rows, columns }) {
  if (!rows) return "There is no output.";
  const along = (/** @type {number} */ axis, /** @type {number} */ count) =>
    `⌊(${x[axis]} + 2·${padding} − ${kernel[axis]}) / ${stride}⌋ + 1 = ${count}`;
  const square = x[0] === x[1] && kernel[0] === kernel[1];
  return `Output size: ${along(0, rows)}${square ? "" : ` rows, ${along(1, columns)} columns`}.`;
}

// ---------------------------------------------------------------- the controls

/**
 * What is convolved: presets of input and kernel, padding, stride, and how the kernel is laid.
 * @param {Model} model
 * @param {{ onPut: (changes: Partial<State>) => void, onFlip: (flip: boolean) => void }} options
 */
function settings(model, { onPut, onFlip }) {
  const input = ui.select({
    label: h("span", {}, "Input ", maths("x")),
    options: [...Object.keys(INPUTS), OWN],
    value: nameOf(INPUTS, model.get("x")),
    onChange: (name) => onPut({ x: INPUTS[name] ?? model.get("x") }),
  });
  const kernel = ui.select({
    label: h("span", {}, "Kernel ", maths("h")),
    options: [...Object.keys(KERNELS), OWN],
    value: nameOf(KERNELS, model.get("kernel")),
    onChange: (name) => onPut({ kernel: KERNELS[name] ?? model.get("kernel") }),
  });
  const padding = ui.segmented({
    label: "Padding",
    options: [0, 1, 2],
    value: model.get("padding"),
    onChange: (v) => onPut({ padding: v }),
  });
  const stride = ui.segmented({
    label: "Stride",
    options: [1, 2, 3],
    value: model.get("stride"),
    onChange: (v) => onPut({ stride: v }),
  });
  const way = ui.segmented({
    label: "Lay the kernel",
    value: model.get("flip"),
    options: [
      { value: false, label: "as drawn: cross-correlation" },
      { value: true, label: "turned by 180°: convolution" },
    ],
    onChange: onFlip,
  });
  return {
    presets: ui.row(input.el, kernel.el),
    options: ui.row(padding.el, stride.el, way.el),
    draw() {
      input.set(nameOf(INPUTS, model.get("x")));
      kernel.set(nameOf(KERNELS, model.get("kernel")));
      padding.set(model.get("padding"));
      stride.set(model.get("stride"));
      way.set(model.get("flip"));
    },
  };
}

/**
 * Buttons that move the window, and the player.
 * @param {{ position: () => number, last: () => number, onStand: (position: number) => void,
 *   onRestart: () => void, onFill: () => void }} options last: the last position
 */
function transport({ position, last, onStand, onRestart, onFill }) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let playing;
  const stop = () => {
    clearTimeout(playing);
    playing = undefined;
    play.el.textContent = "Play";
  };
  const tick = () => {
    onStand(position() + 1);
    if (position() < last()) playing = setTimeout(tick, STEP_MS);
    else stop();
  };
  /** What a button does, after the player has stopped. @param {() => void} action */
  const stopped = (action) => () => {
    stop();
    action();
  };
  const back = ui.button({
    label: "Back",
    title: "One window back",
    onClick: stopped(() => onStand(position() - 1)),
  });
  const next = ui.button({
    label: "Next window",
    kind: "primary",
    onClick: stopped(() => onStand(position() + 1)),
  });
  const play = ui.button({
    label: "Play",
    title: "Slide over the whole input",
    onClick: () => {
      if (playing) return stop();
      if (position() === last()) onRestart();
      play.el.textContent = "Pause";
      playing = setTimeout(tick, STEP_MS);
      return undefined;
    },
  });
  const all = ui.button({ label: "Fill all", title: "Compute every output", onClick: stopped(onFill) });
  const again = ui.button({
    label: "Start over",
    title: "Empty the output, back to the first window",
    onClick: stopped(onRestart),
  });
  return {
    el: ui.row(next.el, back.el, play.el, all.el, again.el),
    stop,
    isPlaying: () => playing !== undefined,
    draw() {
      back.enable(position() > 0);
      next.enable(position() < last());
    },
  };
}

// ---------------------------------------------------------------- the widget

/** The same in PyTorch. @param {Model} model */
function codeOf(model) {
  const turn = model.get("flip") ? "h = h.flip(0, 1)  # turned by 180 degrees\n" : "";
  return `import torch
from torch.nn import functional as F

x = torch.tensor(${python(model.get("x"))})
h = torch.tensor(${python(model.get("kernel"))})
${turn}
y = F.conv2d(x[None, None], h[None, None], stride=${model.get("stride")}, padding=${model.get("padding")})[0, 0]
print(y)
`;
}

/** @param {RenderProps<State>} props */
function render({ model, el }) {
  const voice = ui.announcer();
  /** @type {Set<number>} */
  let visited = new Set();
  /** @type {ReturnType<typeof makeBoards> | null} */
  let boards = null;
  const count = () => (boards ? boards.size.rows * boards.size.columns : 0);
  const position = () => model.get("position");

  /** Move the window to an output. @param {number} to */
  const stand = (to, { aloud = true } = {}) => {
    if (!boards || !count()) return;
    const next = ui.clamp(to, 0, count() - 1);
    put({ position: next });
    visited.add(next);
    schedule();
    if (!aloud) return;
    const { columns, padding, stride } = boards.size;
    const [r, c] = [Math.floor(next / columns), next % columns];
    const y = sum(terms(model.get("x"), laid(model), r, c, { padding, stride }));
    voice.say(`Row ${r}, column ${c}: ${say(y)}`);
  };
  // A change of the numbers keeps the window where it is; a change of a size starts over.
  const build = () => {
    const isFirst = boards === null;
    boards = makeBoards(model, {
      onEdit: (name, r, c, value) => change({ [name]: changed(model.get(name), r, c, value) }),
      onTrouble: (sentence) => trouble.set(sentence, "error"),
      onPoint: (to, event) => {
        if (!count() || (buttons.isPlaying() && event.type === "pointermove")) return;
        buttons.stop();
        if (to !== position() || !visited.has(to)) stand(to);
      },
      onMove: (to) => {
        buttons.stop();
        stand(to, { aloud: false });
      },
    });
    const { widths, line, track } = boards;
    stage.style.setProperty("--parts", widths.map((n) => `minmax(0, ${n}fr)`).join(" "));
    stage.style.setProperty("--cells", String(widths.reduce((a, b) => a + b)));
    stage.replaceChildren(...boards.boards);
    work.replaceChildren(...line);
    trackHolder.replaceChildren(...track);
    const stay = isFirst ? Math.min(position(), Math.max(0, count() - 1)) : 0;
    visited = new Set(Array.from({ length: stay + 1 }, (_, i) => i));
    if (stay !== position()) put({ position: stay });
    return boards;
  };
  const draw = () => {
    const fresh = !boards || JSON.stringify(boards.size) !== JSON.stringify(sizes(model));
    const now = fresh || !boards ? build() : boards;
    const { size } = now;
    controls.draw();
    now.drawNumbers();
    trouble.set(
      size.rows
        ? ""
        : `A kernel of ${by(size.kernel[0], size.kernel[1])} does not fit ` +
            `into an input of ${by(size.padded[0], size.padded[1])}.`,
      "error",
    );
    work.hidden = code.el.hidden = !size.rows;
    code.draw();
    outputWords.textContent = sizeWords(size);
    if (!size.rows) return;
    const at = Math.min(position(), count() - 1);
    visited.add(at);
    now.drawWindow(at, visited);
    buttons.draw();
  };
  const schedule = perFrame(draw);
  const traits = bindTraits(model, ["x", "kernel", "padding", "stride", "flip", "position"], schedule);
  const { put } = traits;
  /** @param {Partial<State>} changes */
  const change = (changes) => {
    buttons.stop();
    put(changes);
  };

  const controls = settings(model, { onPut: change, onFlip: (flip) => put({ flip }) });
  const buttons = transport({
    position,
    last: () => count() - 1,
    onStand: stand,
    onRestart: () => {
      visited = new Set();
      stand(0, { aloud: false });
    },
    onFill: () => {
      visited = new Set(Array.from({ length: count() }, (_, i) => i));
      schedule();
    },
  });
  const stage = h("div", { class: "convolution-boards" });
  const trouble = ui.notice();
  const work = h("div", { class: "convolution-work" });
  const trackHolder = h("div", {});
  const outputWords = ui.note();
  const code = copyCode({ what: "the convolution", code: () => codeOf(model), say: voice.say });
  const scale = colourScale("each grid is full in colour at its own largest magnitude");
  scale.set("negative", "positive");
  el.append(
    ui.frame(
      {
        title: model.get("title"),
        describe:
          "The window slides over the input; at each place the products are summed. " +
          "Point at a cell, step, or press Play. Every number of x and h can be changed.",
      },
      controls.presets,
      stage,
      trouble.el,
      work,
      buttons.el,
      trackHolder,
      ui.panel({}, controls.options, outputWords),
      scale.el,
      code.el,
      voice.el,
    ),
  );
  draw();
  return lifetime(buttons.stop, traits.stop);
}

export default { render };

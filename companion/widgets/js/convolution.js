// Convolution by hand: a window slides over a matrix, step by step, with every product written out.
// Numbers come from filtering.js; this file draws and listens.

import { cells, colourScale, factor, magnitude, short, tint } from "./ui/cells.js";
import * as ui from "./ui/controls.js";
import { correlate, matrixOf, outputSize, sum, terms, turned } from "./maths/convolution.js";

const { h, maths } = ui;

const SLIDE = [
  [1, 2, 1],
  [0, 0, 0],
  [-1, -2, -1],
];
const INPUTS = {
  "the slide’s 1 … 9": matrixOf(3, 3, (r, c) => 3 * r + c + 1),
  "a single 1": matrixOf(5, 5, (r, c) => Number(r === 2 && c === 2)),
  "an edge": matrixOf(6, 6, (r, c) => (c < 3 ? 0 : 5)),
  "a bright square": matrixOf(6, 6, (r, c) => (r > 1 && r < 4 && c > 1 && c < 4 ? 9 : 0)),
  "a ramp": matrixOf(6, 6, (r, c) => c),
};
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

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const nameOf = (presets, matrix) => Object.keys(presets).find((name) => same(presets[name], matrix)) ?? OWN;
const by = (rows, columns) => `${rows} × ${columns}`;
const say = (value) => short(value).replace("−", "minus ");

function render({ model, el }) {
  const get = (name) => model.get(name);
  const laid = () => (get("flip") ? turned(get("kernel")) : get("kernel"));
  const options = () => ({ padding: get("padding"), stride: get("stride") });

  const voice = ui.announcer();
  const schedule = ui.perFrame(() => draw());
  const traits = ui.traits(model, ["x", "kernel", "padding", "stride", "flip", "position"], schedule);
  const { put } = traits;
  let visited = new Set();
  let playing = 0;
  let shape = ""; // what the boards were built for
  let boards = null;
  let rows = 0;
  let columns = 0;

  // -------- where the window stands
  const stop = () => {
    clearTimeout(playing);
    playing = 0;
    play.el.textContent = "Play";
  };
  const stand = (position, { aloud = true } = {}) => {
    if (!rows) return;
    const next = Math.min(rows * columns - 1, Math.max(0, position));
    put({ position: next });
    visited.add(next);
    schedule();
    if (!aloud) return;
    const [r, c] = [Math.floor(next / columns), next % columns];
    voice.say(`Row ${r}, column ${c}: ${say(sum(terms(get("x"), laid(), r, c, options())))}`);
  };
  const restart = () => {
    stop();
    visited = new Set();
    stand(0, { aloud: false });
  };
  const tick = () => {
    stand(get("position") + 1);
    if (get("position") < rows * columns - 1) playing = setTimeout(tick, STEP_MS);
    else stop();
  };

  // -------- controls
  const input = ui.select({
    label: h("span", {}, "Input ", maths("x")),
    options: [...Object.keys(INPUTS), OWN],
    value: nameOf(INPUTS, get("x")),
    onChange: (name) => change({ x: INPUTS[name] ?? get("x") }),
  });
  const kernel = ui.select({
    label: h("span", {}, "Kernel ", maths("h")),
    options: [...Object.keys(KERNELS), OWN],
    value: nameOf(KERNELS, get("kernel")),
    onChange: (name) => change({ kernel: KERNELS[name] ?? get("kernel") }),
  });
  const padding = ui.segmented({
    label: "Padding",
    options: [0, 1, 2],
    value: get("padding"),
    onChange: (v) => change({ padding: v }),
  });
  const stride = ui.segmented({
    label: "Stride",
    options: [1, 2, 3],
    value: get("stride"),
    onChange: (v) => change({ stride: v }),
  });
  const way = ui.segmented({
    label: "Lay the kernel",
    value: get("flip"),
    options: [
      { value: false, label: "as drawn: cross-correlation" },
      { value: true, label: "turned by 180°: convolution" },
    ],
    onChange: (v) => put({ flip: v }),
  });
  const back = ui.button({
    label: "Back",
    title: "One window back",
    onClick: () => {
      stop();
      stand(get("position") - 1);
    },
  });
  const next = ui.button({
    label: "Next window",
    kind: "primary",
    onClick: () => {
      stop();
      stand(get("position") + 1);
    },
  });
  const play = ui.button({
    label: "Play",
    title: "Slide over the whole input",
    onClick: () => {
      if (playing) {
        stop();
        return;
      }
      if (get("position") === rows * columns - 1) restart();
      play.el.textContent = "Pause";
      playing = setTimeout(tick, STEP_MS);
    },
  });
  const all = ui.button({
    label: "Fill all",
    title: "Compute every output",
    onClick: () => {
      stop();
      for (let i = 0; i < rows * columns; i += 1) visited.add(i);
      schedule();
    },
  });
  const again = ui.button({
    label: "Start over",
    title: "Empty the output, back to the first window",
    onClick: restart,
  });
  const trackHolder = h("div", {});

  // A change of the numbers keeps the window where it is; a change of a size starts over (see draw).
  const change = (changes) => {
    stop();
    put(changes);
    schedule();
  };
  const edit = (name) => (r, c, value) =>
    change({ [name]: get(name).map((row, i) => (i === r ? row.map((v, j) => (j === c ? value : v)) : row)) });

  // -------- boards, built anew when a size changes
  const stage = h("div", { class: "convolution-boards" });
  const trouble = ui.notice();
  const work = h("div", { class: "convolution-work" });
  const size = h("p", { class: "companion-note" });
  const turn = h("p", { class: "companion-note convolution-turn" }, "turned before use");
  const scale = colourScale("each grid is full in colour at its own largest magnitude");
  scale.set("negative", "positive");

  function build() {
    const [x, k] = [get("x"), get("kernel")];
    const p = get("padding");
    rows = outputSize(x.length, k.length, options());
    columns = outputSize(x[0].length, k[0].length, options());
    if (!rows || !columns) rows = columns = 0;
    const inside = (r, c) => r >= p && c >= p && r < x.length + p && c < x[0].length + p;
    const toInput = (r, c) => {
      const s = get("stride");
      const at = (place, n, count) => Math.min(count - 1, Math.max(0, Math.round((place - (n - 1) / 2) / s)));
      return at(r, k.length, rows) * columns + at(c, k[0].length, columns);
    };
    const pointed = (position, event) => {
      if (!rows || (playing && event.type === "pointermove")) return;
      stop();
      if (position !== get("position") || !visited.has(position)) stand(position);
    };
    const xs = cells({
      rows: x.length + 2 * p,
      columns: x[0].length + 2 * p,
      label: "Input x with its padding",
      edit: (r, c) => (inside(r, c) ? `x, row ${r - p}, column ${c - p}` : null),
      onEdit: (r, c, value) => edit("x")(r - p, c - p, value),
      onPoint: (r, c, event) => pointed(toInput(r, c), event),
    });
    const weights = matrixOf(x.length + 2 * p, x[0].length + 2 * p, (r, c) => {
      const small = h("span", { class: "convolution-weight", "aria-hidden": "true" });
      xs.cell(r, c).el.append(small);
      xs.cell(r, c).el.classList.toggle("convolution-frame", !inside(r, c));
      return small;
    });
    const ks = cells({
      rows: k.length,
      columns: k[0].length,
      label: "Kernel h",
      edit: (r, c) => `h, row ${r}, column ${c}`,
      onEdit: edit("kernel"),
    });
    const ys = cells({
      rows: Math.max(1, rows),
      columns: Math.max(1, columns),
      label: "Output y",
      onPoint: (r, c, event) => pointed(r * columns + c, event),
    });
    const products = k.map((row, a) =>
      row.map((_, b) => h("span", { class: "convolution-term", data: { row: a, column: b } })),
    );
    const total = ui.number({ quantity: "y", value: 0, format: short });
    const place = h("span", {});
    work.replaceChildren(
      h("p", { class: "convolution-left" }, h("i", {}, "y"), place, " ="),
      h(
        "div",
        { class: "convolution-terms", style: `--columns: ${k[0].length}` },
        ...products.flatMap((line, a) =>
          line.map((term, b) => h("span", { class: "convolution-slot" }, a + b ? "+ " : "", term)),
        ),
      ),
      h("p", { class: "companion-result convolution-total" }, "= ", total.el),
    );
    const track =
      rows * columns > 1
        ? ui.slider({
            label: "Window",
            min: 0,
            max: rows * columns - 1,
            step: 1,
            value: 0,
            format: (i) => `${i + 1} of ${rows * columns}`,
            describe: (i) => `row ${Math.floor(i / columns)}, column ${i % columns}`,
            onInput: (i) => {
              stop();
              stand(i, { aloud: false });
            },
          })
        : null;
    track?.input.addEventListener("keydown", (event) => {
      const way = { ArrowUp: -columns, ArrowDown: columns }[event.key];
      if (!way) return;
      event.preventDefault();
      const to = get("position") + way;
      if (to >= 0 && to < rows * columns) {
        stop();
        stand(to, { aloud: false });
      }
    });
    trackHolder.replaceChildren(...(track ? [track.el] : []));

    const board = (caption, grid, kind, ...rest) =>
      h(
        "figure",
        { class: `convolution-board convolution-${kind}` },
        h("figcaption", {}, caption),
        grid.el,
        ...rest,
      );
    const widths = [x[0].length + 2 * p, k[0].length, Math.max(1, columns)];
    stage.style.setProperty("--parts", widths.map((n) => `minmax(0, ${n}fr)`).join(" "));
    stage.style.setProperty(
      "--cells",
      widths.reduce((a, b) => a + b),
    );
    stage.replaceChildren(
      board(h("span", {}, "Input ", maths("x"), p ? ` in a frame of zeros` : ""), xs, "x"),
      board(h("span", {}, "Kernel ", maths("h")), ks, "h", turn),
      board(h("span", {}, "Output ", maths("y")), ys, "y"),
    );

    // Point at a weight, a product or a pixel of the window: all three light up.
    const shine = (a, b) => {
      for (const node of el.querySelectorAll(".convolution-lit")) node.classList.remove("convolution-lit");
      if (a === undefined) return;
      const [pr, pc] = [Math.floor(get("position") / columns), get("position") % columns];
      const s = get("stride");
      const [ka, kb] = get("flip") ? [k.length - 1 - a, k[0].length - 1 - b] : [a, b];
      for (const node of [products[a][b], ks.cell(ka, kb).el, xs.cell(s * pr + a, s * pc + b).el])
        node.classList.add("convolution-lit");
    };
    if (rows) {
      products.forEach((line, a) =>
        line.forEach((term, b) => {
          term.addEventListener("pointerenter", () => shine(a, b));
          term.addEventListener("pointerleave", () => shine());
          const weight = ks.cell(a, b).el;
          const [la, lb] = [a, b];
          weight.addEventListener("pointerenter", () =>
            get("flip") ? shine(k.length - 1 - la, k[0].length - 1 - lb) : shine(la, lb),
          );
          weight.addEventListener("pointerleave", () => shine());
        }),
      );
    }
    boards = { xs, ks, ys, weights, products, total, place, track };
  }

  // -------- from the state to the screen
  function draw() {
    const [x, k] = [get("x"), get("kernel")];
    const [p, s] = [get("padding"), get("stride")];
    const nextShape = [x.length, x[0].length, k.length, k[0].length, p, s].join();
    if (nextShape !== shape) {
      const first = shape === "";
      shape = nextShape;
      build();
      visited = new Set();
      const stay = first ? Math.min(get("position"), Math.max(0, rows * columns - 1)) : 0;
      for (let i = 0; i <= stay; i += 1) visited.add(i);
      if (stay !== get("position")) put({ position: stay });
    }
    const { xs, ks, ys, weights, products, total, place, track } = boards;
    input.set(nameOf(INPUTS, x));
    kernel.set(nameOf(KERNELS, k));
    padding.set(p);
    stride.set(s);
    way.set(get("flip"));
    turn.classList.toggle("convolution-unused", !get("flip"));

    const [xLimit, kLimit] = [magnitude(x), magnitude(k)];
    matrixOf(x.length + 2 * p, x[0].length + 2 * p, (r, c) => xs.set(r, c, x[r - p]?.[c - p] ?? 0, xLimit));
    k.forEach((line, r) => line.forEach((value, c) => ks.set(r, c, value, kLimit)));

    const fits = rows > 0;
    trouble.set(
      fits
        ? ""
        : `A kernel of ${by(k.length, k[0].length)} does not fit into an input of ${by(x.length + 2 * p, x[0].length + 2 * p)}.`,
      "error",
    );
    work.hidden = !fits;
    const along = (n, m, count) => `⌊(${n} + 2·${p} − ${m}) / ${s}⌋ + 1 = ${count}`;
    size.textContent = !fits
      ? "There is no output."
      : `Output size: ${along(x.length, k.length, rows)}${x.length === x[0].length && k.length === k[0].length ? "" : ` rows, ${along(x[0].length, k[0].length, columns)} columns`}.`;
    if (!fits) {
      ys.text(0, 0, "–");
      return;
    }
    const position = Math.min(get("position"), rows * columns - 1);
    visited.add(position);
    const [row, column] = [Math.floor(position / columns), position % columns];
    const weightsLaid = laid();
    const y = correlate(x, weightsLaid, options());
    const yLimit = magnitude(y);
    matrixOf(rows, columns, (r, c) =>
      visited.has(r * columns + c) ? ys.set(r, c, y[r][c], yLimit) : ys.text(r, c, "·"),
    );
    ys.describe(
      `Output y, ${rows} by ${columns}. ${y.map((line, r) => `Row ${r}: ${line.map((v, c) => (visited.has(r * columns + c) ? say(v) : "not computed yet")).join(", ")}.`).join(" ")}`,
    );
    ys.frame(row, column);
    xs.frame(s * row, s * column, k.length, k[0].length);

    const parts = terms(x, weightsLaid, row, column, options());
    const inWindow = new Set(parts.map((part) => `${part.row},${part.column}`));
    matrixOf(x.length + 2 * p, x[0].length + 2 * p, (r, c) => {
      const on = inWindow.has(`${r},${c}`);
      xs.cell(r, c).el.classList.toggle("convolution-dim", !on);
      if (!on) weights[r][c].textContent = "";
    });
    const most = Math.max(...parts.map(({ product }) => Math.abs(product)));
    parts.forEach((part, i) => {
      weights[part.row][part.column].textContent = `×${short(part.weight)}`;
      const term = products[Math.floor(i / k[0].length)][i % k[0].length];
      term.textContent = `${factor(part.value)}·${factor(part.weight)}`;
      term.dataset.value = String(part.product);
      tint(term, part.product, most);
    });
    place.textContent = `[${row}, ${column}]`;
    total.set(sum(parts));
    track?.set(position);
    back.enable(position > 0);
    next.enable(position < rows * columns - 1);
  }

  el.append(
    ui.frame(
      {
        title: get("title"),
        describe:
          "The window slides over the input; at each place the products are summed. Point at a cell, step, or press Play. " +
          "Every number of x and h can be changed.",
      },
      ui.row(input.el, kernel.el),
      stage,
      trouble.el,
      work,
      ui.row(next.el, back.el, play.el, all.el, again.el),
      trackHolder,
      ui.panel({}, ui.row(padding.el, stride.el, way.el), size),
      scale.el,
      voice.el,
    ),
  );
  draw();

  return () => {
    stop();
    traits.stop();
  };
}

export default { render };

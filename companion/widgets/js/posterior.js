// One latent unit: the Gaussian posterior q(z|x) against the prior p(z), its KL divergence term by term,
// and samples that keep their noise. Numbers come from maths/gaussian.js; this file draws and listens.

import { density, integrand, kl, klGradient, monteCarloKl } from "./maths/gaussian.js";
import { noise } from "./maths/noise.js";
import { area, arrow, axis, chart, dots, linear, mark, path, s, setAll, text } from "./ui/axes.js";
import * as ui from "./ui/controls.js";
import { h, maths } from "./ui/controls.js";
import { copyCode, python } from "./ui/copy_code.js";
import { bindTraits, lifetime, observeWidth, perFrame, stepper } from "./ui/lifetime.js";

/** @import { AnyModel, RenderProps } from "@anywidget/types" */
/** @import { Point, Scale } from "./ui/axes.js" */
/** @import { Child } from "./ui/controls.js" */

/**
 * @typedef {object} State
 * @property {number} mu
 * @property {number} sigma
 * @property {number} seed of ε
 * @property {number} n_samples of the Monte-Carlo estimate
 * @property {boolean} reparameterised
 * @property {string} title
 */

/**
 * @typedef {object} Scene what all pictures share
 * @property {number} mu
 * @property {number} sigma
 * @property {number} width of the pictures in pixels
 * @property {Scale} x of the pictures over z
 */

/** @typedef {ReturnType<typeof ui.readouts>} Readouts */

const MU = { min: -3, max: 3, step: 0.01 };
const SIGMA = { min: 0.1, max: 2.5, step: 1.02 };
const SHOWN = 12;
const COUNTS = [12, 100, 10000];
const LEARNING_RATE = 0.05;
const MARGIN = { left: 40, right: 8 };

const three = (/** @type {number} */ v) => ui.fixed(v, 3);
const bracketed = (/** @type {number} */ v) => (v < 0 ? `(${ui.fixed(v)})` : ui.fixed(v));
const orNone = (/** @type {(v: number) => string} */ format) => (/** @type {number | null} */ v) =>
  v === null ? "none" : format(v);

/**
 * The stretches of `points` where `keep` holds, each with its neighbours.
 * @param {Point[]} points @param {(point: Point) => boolean} keep
 */
function runs(points, keep) {
  /** @type {Point[][]} */
  const found = [];
  let open = false;
  points.forEach((point, i) => {
    const on = keep(point);
    if (on && !open) found.push(i ? [points[i - 1]] : []);
    if (on || open) found[found.length - 1].push(point);
    open = on;
  });
  return found;
}

/** Whether a point lies between the margins. @param {Point} point @param {number} width */
const inSight = ([px], width) => px >= MARGIN.left - 1 && px <= width - MARGIN.right + 1;

/** A line of mathematics with live numbers in it: strings are mathematics, elements stand as they are. */
const formula = (/** @type {(string | Node)[]} */ ...parts) =>
  h(
    "p",
    { class: "companion-formula companion-maths" },
    ...parts.flatMap((part) => (typeof part === "string" ? [...maths(part).childNodes] : [part])),
  );

/** The same in the colour of gradients. @param {...(string | Node)} parts */
function gradientFormula(...parts) {
  const line = formula(...parts);
  line.dataset.tint = "data-4";
  line.classList.add("companion-tinted");
  return line;
}

/** A row of the widget: a picture on the left, what it says on the right. */
const plate = (
  /** @type {string} */ title,
  /** @type {Child[]} */ picture,
  /** @type {Child[]} */ ...words
) => ui.plate({ title }, ui.split(picture, words));

// ---------------------------------------------------------------- the pictures

/** The two bells. */
function densityChart() {
  const height = 190;
  const [qFill, qLine] = [
    mark("path", "companion-fill", "data-1"),
    mark("path", "companion-curve", "data-1"),
  ];
  const pLine = mark("path", "companion-curve companion-dashed", "data-6");
  const follow = mark("line", "companion-guide");
  const [left, bottom] = [axis("left"), axis("bottom")];
  const { el, svg } = chart({ height }, left.el, qFill, qLine, pLine, follow, bottom.el);
  const T = Array.from({ length: 121 }, (_, i) => -4.5 + (i * 9) / 120);
  return {
    el,
    /** @param {Scene & { z: number }} scene z: the sample that is followed */
    draw({ mu, sigma, x, width, z }) {
      const y = linear([0, Math.max(0.45, 0.44 / sigma)], [height - 24, 8]);
      const points = (/** @type {number} */ m, /** @type {number} */ sd) =>
        T.map((t) => /** @type {Point} */ ([x(m + sd * t), y(density(m + sd * t, m, sd))])).filter((point) =>
          inSight(point, width),
        );
      const q = points(mu, sigma);
      setAll(qFill, { d: area(q, y(0)) });
      setAll(qLine, { d: path(q) });
      setAll(pLine, { d: path(points(0, 1)) });
      setAll(follow, { x1: x(z), x2: x(z), y1: y(density(z, mu, sigma)), y2: y(0) });
      left.draw({ scale: y, at: MARGIN.left, from: MARGIN.left, to: width - MARGIN.right, count: 3 });
      bottom.draw({ scale: x, at: height - 24, from: MARGIN.left, to: width - MARGIN.right });
      setAll(svg, {
        "aria-label":
          `Density of q, a bell of mean ${ui.spoken(mu)} and standard deviation ${ui.spoken(sigma)},` +
          " over that of the prior, a bell of mean 0 and standard deviation 1.",
      });
    },
  };
}

/** What KL adds up along z. */
function integrandChart() {
  const height = 180;
  const parts = ["plus", "minus"].map((tint) => [
    mark("path", "companion-fill", tint),
    mark("path", "companion-curve", tint),
  ]);
  const [left, bottom] = [axis("left"), axis("bottom")];
  const zero = mark("line", "companion-baseline");
  const { el, svg } = chart({ height }, left.el, zero, ...parts.flat(), bottom.el);
  return {
    el,
    /** @param {Scene & { parts: ReturnType<typeof integrand> }} scene */
    draw({ x, width, parts: { z: zs, value, above, below } }) {
      const low = Math.min(-0.12, 1.15 * Math.min(...value));
      const y = linear([low, Math.max(0.3, 1.1 * Math.max(...value))], [height - 24, 8]);
      const clipped = [...zs]
        .map((v, i) => /** @type {Point} */ ([x(v), value[i]]))
        .filter((point) => inSight(point, width));
      [Math.max, Math.min].forEach((half, k) => {
        const points = clipped.map(([px, v]) => /** @type {Point} */ ([px, y(half(v, 0))]));
        setAll(parts[k][0], { d: area(points, y(0)) });
        setAll(parts[k][1], {
          d: runs(points, ([, py]) => Math.abs(py - y(0)) > 0.3)
            .map(path)
            .join(""),
        });
      });
      left.draw({ scale: y, at: MARGIN.left, from: MARGIN.left, to: width - MARGIN.right, count: 4 });
      setAll(zero, { x1: MARGIN.left, x2: width - MARGIN.right, y1: y(0), y2: y(0) });
      bottom.draw({ scale: x, at: height - 24, from: MARGIN.left, to: width - MARGIN.right });
      setAll(svg, {
        "aria-label":
          `The integrand q times log q over p along z. Its positive area is ${three(above)},` +
          ` its negative area ${three(below)}; the difference is KL.`,
      });
    },
  };
}

/** ε below, z above, a line from each to each. @param {(sample: number) => void} onPick */
function sampleChart(onPick) {
  const height = 216;
  const [top, base] = [76, height - 26];
  const lines = Array.from({ length: SHOWN }, () => mark("path", "posterior-thread"));
  const zDots = lines.map(() => mark("circle", "companion-dot", "data-1", { r: 4.5 }));
  const eDots = lines.map(() => mark("circle", "companion-dot", "data-6", { r: 4.5 }));
  const [byMu, bySigma] = [0, 1].map(() => mark("path", "companion-arrow", "data-4"));
  const [muName, sigmaName] = ["∂z/∂μ", "∂z/∂σ"].map((name) =>
    text(name, { class: "companion-italic companion-tinted-text", "data-tint": "data-4" }),
  );
  const [zAxis, eAxis] = [axis("top"), axis("bottom")];
  const [zName, eName] = ["z", "ε"].map((name) =>
    text(name, { class: "companion-italic companion-ink", x: 12 }),
  );
  const lost = text("the noise stays inside the draw", { "text-anchor": "middle" });
  const { el, svg } = chart(
    { height },
    zAxis.el,
    eAxis.el,
    lost,
    ...lines,
    ...eDots,
    ...zDots,
    byMu,
    bySigma,
    muName,
    sigmaName,
    zName,
    eName,
  );
  svg.classList.add("posterior-pickable");
  /** @type {(event: PointerEvent) => void} */
  let pickFrom = () => {};
  for (const event of /** @type {const} */ (["pointermove", "pointerdown"]))
    svg.addEventListener(event, (e) => pickFrom(e));
  return {
    el,
    /** @param {Scene & { epsilon: Float64Array, zs: Float64Array, followed: number, cut: boolean }} scene */
    draw({ x, width, epsilon, zs, followed, cut, mu, sigma }) {
      const to = width - MARGIN.right;
      setAll(zName, { y: top + 5 });
      setAll(eName, { y: base + 5 });
      setAll(lost, { x: (MARGIN.left + to) / 2, y: base - 12, display: cut ? "inline" : "none" });
      zAxis.draw({ scale: x, at: top, from: MARGIN.left, to, format: () => "" });
      eAxis.draw({ scale: x, at: base, from: MARGIN.left, to });
      svg.classList.toggle("posterior-cut", cut);
      lines.forEach((line, i) => {
        const [xe, xz] = [x(epsilon[i]), x(zs[i])];
        setAll(line, {
          d: cut
            ? `M${xz.toFixed(1)} ${top}v34m-5 -5l10 10m-10 0l10 -10`
            : path([
                [xe, base],
                [xz, top],
              ]),
        });
        line.classList.toggle("posterior-followed", i === followed);
        setAll(zDots[i], { cx: xz.toFixed(1), cy: top, r: i === followed ? 6.5 : 4.5 });
        setAll(eDots[i], { cx: xe.toFixed(1), cy: base, r: i === followed && !cut ? 6.5 : 4.5 });
      });
      const z = zs[followed];
      const lengths = cut ? [0, 0] : [1, epsilon[followed]];
      [
        { shape: byMu, name: muName, y: 46 },
        { shape: bySigma, name: sigmaName, y: 22 },
      ].forEach(({ shape, name, y }, k) => {
        const [from, tip] = [x(z), x(z + lengths[k])];
        setAll(shape, { d: arrow(from, y, tip, y) });
        name.style.display = cut ? "none" : "";
        const right = lengths[k] >= 0;
        const end = ui.clamp(tip, MARGIN.left, to);
        const room = right ? to - end > 52 : end - MARGIN.left > 52;
        setAll(name, {
          y: y + 4,
          x: (room ? end + (right ? 8 : -8) : from + (right ? -8 : 8)).toFixed(1),
          "text-anchor": right === room ? "start" : "end",
        });
      });
      pickFrom = (event) => {
        const box = svg.getBoundingClientRect();
        const [px, py] = [event.clientX - box.left, event.clientY - box.top];
        const share = ui.clamp((base - py) / (base - top), 0, 1);
        const distances = [...epsilon].map((e, i) =>
          Math.abs((cut ? x(zs[i]) : x(e) + share * (x(zs[i]) - x(e))) - px),
        );
        onPick(distances.indexOf(Math.min(...distances)));
      };
      setAll(svg, {
        "aria-label": cut
          ? `${SHOWN} draws from N(${ui.spoken(mu)}, ${ui.spoken(sigma)} squared). ` +
            "Nothing joins them to the parameters."
          : `${SHOWN} draws of the noise epsilon, each joined to its z, ` +
            `which is ${ui.spoken(mu)} plus ${ui.spoken(sigma)} times epsilon.`,
      });
    },
  };
}

/** The estimate with its whisker, beside the exact value. */
function estimateChart() {
  const height = 62;
  const y = 22;
  const exact = mark("line", "companion-curve", "data-1", { y1: y - 16, y2: y + 16 });
  const whisker = mark("path", "companion-curve", "data-5");
  const dot = mark("circle", "companion-dot", "data-5", { r: 5.5, cy: y });
  const bottom = axis("bottom");
  const { el, svg } = chart({ height }, bottom.el, exact, whisker, dot);
  return {
    el,
    /** @param {Scene & { exactKl: number, estimate: number, standardError: number }} scene */
    draw({ width, exactKl, estimate, standardError, mu, sigma }) {
      // Wide enough for the smallest sample, so that a larger one is seen to close in on the exact value.
      const spread = Math.sqrt((mu ** 2 * sigma ** 2 + (sigma ** 2 - 1) ** 2 / 2) / SHOWN);
      const half = Math.max(0.02, 3 * spread);
      const x = linear([exactKl - half, exactKl + half], [MARGIN.left, width - MARGIN.right]);
      const inside = (/** @type {number} */ v) => ui.clamp(x(v), MARGIN.left, width - MARGIN.right);
      setAll(exact, { x1: x(exactKl), x2: x(exactKl) });
      const [a, b] = [estimate - 2 * standardError, estimate + 2 * standardError].map(inside);
      setAll(whisker, { d: `M${a} ${y - 5}v10M${a} ${y}H${b}M${b} ${y - 5}v10` });
      setAll(dot, { cx: inside(estimate) });
      bottom.draw({ scale: x, at: height - 22, from: MARGIN.left, to: width - MARGIN.right, count: 4 });
      setAll(svg, {
        "aria-label":
          `Estimate ${ui.spoken(estimate, 3)} with a whisker of two standard errors, ` +
          `beside the exact KL ${ui.spoken(exactKl, 3)}.`,
      });
    },
  };
}

/** The plane of all Gaussians with the contours of KL, and the way that gradient descent takes on it. */
function mapChart() {
  const height = 232;
  const LEVELS = [0.1, 0.5, 1, 2, 4];
  const SIGMAS = Array.from({ length: 250 }, (_, i) => (i + 1) / 100);
  // KL = level where μ² = 2·level + 1 − σ² + log σ².
  const squared = (/** @type {number} */ level, /** @type {number} */ sd) =>
    2 * level + 1 - sd ** 2 + 2 * Math.log(sd);
  const tops = LEVELS.map((level) => SIGMAS.findLast((sd) => squared(level, sd) >= 0) ?? SIGMA.max);
  const contours = LEVELS.map(() => mark("path", "posterior-contour"));
  const names = LEVELS.map((level) =>
    text(String(level), { class: "companion-halo", "text-anchor": "middle" }),
  );
  const [trail, downhill] = [
    mark("path", "companion-curve", "data-4"),
    mark("path", "companion-arrow", "data-4"),
  ];
  const steps = mark("path", "companion-trail", "data-4");
  const prior = mark("circle", "companion-dot", "data-6", { r: 5 });
  const here = mark("circle", "companion-dot", "data-1", { r: 7 });
  const window = s("svg", {}, ...contours, trail, steps);
  const [left, bottom] = [axis("left"), axis("bottom")];
  const [muName, sigmaName] = ["μ", "σ"].map((name) =>
    text(name, { class: "companion-italic companion-ink" }),
  );
  const { el, svg } = chart(
    { height },
    left.el,
    bottom.el,
    window,
    ...names,
    prior,
    downhill,
    here,
    muName,
    sigmaName,
  );
  let drawnFor = 0;
  return {
    el,
    /** @param {Scene & { walked: Point[] }} scene */
    draw({ mu, sigma, width, walked }) {
      const [to, base] = [width - MARGIN.right, height - 24];
      const x = linear([MU.min, MU.max], [MARGIN.left, to]);
      const y = linear([0, SIGMA.max], [base, 8]);
      // Inside the nested SVG, which cuts off what lies outside the axes, pixels count from its corner.
      /** @param {Point} parameters @returns {Point} */
      const inner = ([m, sd]) => [x(m) - MARGIN.left, y(sd) - 8];
      if (drawnFor !== width) {
        drawnFor = width;
        setAll(window, {
          x: MARGIN.left,
          y: 8,
          width: to - MARGIN.left,
          height: base - 8,
          overflow: "hidden",
        });
        setAll(prior, { cx: x(0), cy: y(1) });
        setAll(muName, { x: x(2.5) - 4, y: base + 18 });
        setAll(sigmaName, { x: 2, y: y(1.25) + 5 });
        LEVELS.forEach((level, k) => {
          const branch = SIGMAS.filter((sd) => squared(level, sd) >= 0).map(
            (sd) => /** @type {Point} */ ([Math.sqrt(squared(level, sd)), sd]),
          );
          const mirrored = branch.map(([m, sd]) => /** @type {Point} */ ([-m, sd])).reverse();
          setAll(contours[k], {
            d:
              tops[k] < SIGMA.max
                ? `${path([...branch, ...mirrored].map(inner))}Z`
                : path(branch.map(inner)) + path(mirrored.map(inner)),
          });
        });
      }
      names.forEach((name, k) => {
        // On top of its oval, or beside it, away from q, where the oval leaves the picture.
        const side = mu > 0 ? -1 : 1;
        const place = tops[k] < SIGMA.max ? [0, tops[k]] : [side * Math.sqrt(2 * LEVELS[k]), 1];
        setAll(name, { x: x(place[0]).toFixed(1), y: (y(place[1]) + 4).toFixed(1) });
      });
      const places = [...walked, /** @type {Point} */ ([mu, sigma])].map(inner);
      setAll(trail, { d: path(places) });
      setAll(steps, { d: dots(places.slice(0, -1)) });
      setAll(here, { cx: x(mu).toFixed(1), cy: y(sigma).toFixed(1) });
      const [byMu, bySigma] = klGradient(mu, sigma);
      const [dx, dy] = [x(-0.4 * byMu) - x(0), y(-0.4 * bySigma) - y(0)];
      const shrink = Math.min(1, 80 / Math.hypot(dx, dy));
      setAll(downhill, { d: arrow(x(mu), y(sigma), x(mu) + shrink * dx, y(sigma) + shrink * dy, 8) });
      left.draw({ scale: y, at: MARGIN.left, from: MARGIN.left, to: MARGIN.left, count: 5 });
      bottom.draw({ scale: x, at: base, from: MARGIN.left, to });
      setAll(svg, {
        "aria-label":
          "Contours of KL over mu and sigma: ovals around the prior at mu 0, sigma 1. " +
          `q is at mu ${ui.spoken(mu)}, sigma ${ui.spoken(sigma)}; an arrow shows the way down.`,
      });
    },
  };
}

/** How values run forward and gradients run back, for either way of drawing z. */
function graph() {
  /** @param {number} cx @param {number} cy @param {number} half of its width @param {string} label */
  const node = (cx, cy, half, label, cls = "") =>
    s(
      "g",
      { class: `posterior-node ${cls}` },
      s("rect", { x: cx - half, y: cy - 16, width: 2 * half, height: 32, rx: 16 }),
      text(label, { class: "companion-italic companion-ink", x: cx, y: cy + 5, "text-anchor": "middle" }),
    );
  const forward = s("path", { class: "posterior-forward" });
  const back = mark("path", "companion-arrow", "data-4");
  const cross = mark("path", "companion-arrow", "data-4", {
    d: "M62 34l12 12m-12 0l12 -12M58 79l12 12m-12 0l12 -12",
  });
  const noiseNode = node(20, 146, 18, "ε", "posterior-noise");
  const kept = node(146, 68, 52, "z = μ + σ·ε");
  const drawn = node(146, 68, 52, "z ∼ N(μ, σ²)");
  const svg = s(
    "svg",
    { width: 256, height: 166, viewBox: "0 0 256 166", role: "img" },
    forward,
    back,
    cross,
    node(20, 20, 18, "μ"),
    node(20, 83, 18, "σ"),
    noiseNode,
    kept,
    drawn,
    node(238, 68, 17, "L"),
  );
  return {
    el: h("div", { class: "companion-graph" }, svg),
    /** @param {boolean} cut z is sampled directly */
    draw(cut) {
      for (const part of [noiseNode, kept]) part.style.display = cut ? "none" : "";
      for (const part of [drawn, cross]) part.style.display = cut ? "" : "none";
      setAll(forward, {
        d:
          arrow(39, 16, 116, 50) +
          arrow(39, 78, 92, 68) +
          (cut ? "" : arrow(37, 138, 118, 87)) +
          arrow(199, 63, 220, 63),
      });
      setAll(back, {
        d:
          arrow(220, 74, 200, 74) +
          (cut
            ? arrow(100, 54, 80, 45) + arrow(93, 78, 76, 82)
            : arrow(100, 54, 40, 28) + arrow(93, 78, 40, 88)),
      });
      setAll(svg, {
        "aria-label": cut
          ? "Mu and sigma go into a random draw, which gives z, then the loss L. " +
            "The gradient comes back from L to z and stops there."
          : "Mu, sigma and the noise epsilon go into z equals mu plus sigma times epsilon, " +
            "then the loss L. The gradient comes back from L through z to mu and sigma.",
      });
    },
  };
}

/** The way gradient descent pushes a slider: an arrow from its thumb, as long as the gradient is large. */
function push() {
  const shape = mark("path", "companion-arrow", "data-4");
  const svg = s("svg", { height: 14, "aria-hidden": "true" }, shape);
  let width = 0;
  let thumb = 0;
  return {
    el: h("div", { class: "posterior-push" }, svg),
    /** @param {HTMLElement} input the slider's */
    measure(input) {
      width = input.clientWidth;
      thumb = parseFloat(getComputedStyle(input).getPropertyValue("--thumb"));
    },
    /** @param {number} share where the thumb is @param {number} downhill minus the gradient */
    draw(share, downhill) {
      if (!width) return;
      const from = thumb / 2 + (width - thumb) * share;
      const length = Math.sign(downhill) * Math.min(110, 30 * Math.abs(downhill));
      setAll(shape, { d: arrow(from, 7, ui.clamp(from + length, 0, width), 7, 7) });
    },
  };
}

// ---------------------------------------------------------------- words

/** @param {number} mu @param {number} sigma @param {number} divergence */
function insight(mu, sigma, divergence) {
  if (divergence < 0.005) {
    return (
      "q is the prior: KL is 0, and z says nothing about x any more. " +
      "A latent unit that ends here has collapsed."
    );
  }
  if (divergence < 0.05)
    return "q is close to the prior: z costs next to nothing, and says as little about x.";
  const [place, width] = [0.5 * mu ** 2, divergence - 0.5 * mu ** 2];
  if (place > 2 * width) return "Most of the KL is paid for the place: μ² is large, q sits away from 0.";
  if (width < 2 * place) return "KL is paid for the place of q and for its width alike.";
  return sigma < 1
    ? "Most of the KL is paid for being narrow: −log σ² is large, and z tells much about x."
    : "Most of the KL is paid for being wide: σ² is large.";
}

const MORALS = {
  kept:
    "ε is drawn outside and kept. z is then an ordinary function of μ and σ, and the gradient of the " +
    "reconstruction loss L flows back through it. In PyTorch: rsample().",
  cut:
    "A draw has no derivative: the reconstruction loss L cannot tell μ and σ where to go. Only KL, whose " +
    "closed form needs no draw, still has a gradient. In PyTorch: sample().",
};

// ---------------------------------------------------------------- the parts of the widget

/**
 * μ and σ, always in sight, each with the way that KL's gradient pushes it.
 * @param {{ mu: number, sigma: number }} start
 * @param {Readouts} numbers
 * @param {(changes: Partial<State>) => void} onMove
 */
function parameters(start, numbers, onMove) {
  const pushes = { mu: push(), sigma: push() };
  const mu = ui.slider({
    label: maths("μ"),
    name: "mean mu",
    ...MU,
    neutral: 0,
    value: start.mu,
    quantity: "mu",
    describe: ui.spoken,
    annotation: pushes.mu.el,
    onInput: (v) => onMove({ mu: v }),
  });
  const sigma = ui.slider({
    label: maths("σ"),
    name: "standard deviation sigma",
    ...SIGMA,
    scale: "log",
    neutral: 1,
    value: start.sigma,
    quantity: "sigma",
    describe: ui.spoken,
    annotation: pushes.sigma.el,
    onInput: (v) => onMove({ sigma: v }),
  });
  return {
    el: h(
      "div",
      { class: "companion-panel companion-sticky companion-pair" },
      mu.el,
      sigma.el,
      h("p", { class: "posterior-total companion-maths" }, "KL = ", numbers.make("kl", three)),
    ),
    measure() {
      pushes.mu.measure(mu.input);
      pushes.sigma.measure(sigma.input);
    },
    /** @param {number} m @param {number} sd */
    draw(m, sd) {
      const [byMu, bySigma] = klGradient(m, sd);
      mu.set(m);
      sigma.set(sd);
      pushes.mu.draw((m - MU.min) / (MU.max - MU.min), -byMu);
      pushes.sigma.draw(Math.log(sd / SIGMA.min) / Math.log(SIGMA.max / SIGMA.min), -bySigma);
    },
  };
}

/** @param {Readouts} numbers */
function densitiesPlate(numbers) {
  const picture = densityChart();
  const story = h("p", {});
  const q = h("span", { class: "companion-maths" }, maths("q(z|x) = N("));
  q.append(numbers.make("mu"), ", ", numbers.make("sigma"), maths("^2)"));
  const el = plate(
    "Posterior and prior",
    [picture.el],
    ui.legend([
      { token: "data-1", label: q },
      { token: "data-6", label: maths("p(z) = N(0, 1)"), mark: "dashed" },
      { token: "soft", label: "the sample followed below", mark: "dotted" },
    ]),
    ui.note(
      "The encoder answers with a mean and a width for this latent unit: " +
        "where the code of x is, and how sure that is.",
    ),
    story,
  );
  return { el, story, picture };
}

/** KL as an integral and in closed form. @param {Readouts} numbers */
function sumPlate(numbers) {
  const picture = integrandChart();
  const term = (/** @type {string | Node} */ part) =>
    h("span", {}, ...(typeof part === "string" ? [...maths(part).childNodes] : [part]));
  const [muSquared, sigmaSquared] = [numbers.make("mu-squared"), numbers.make("sigma-squared")];
  const logSquared = numbers.make("log-sigma-squared", bracketed);
  const closedForm = h(
    "div",
    { class: "companion-equation companion-maths" },
    ...["KL", "=", "½(", "μ^2", "+", "σ^2", "−", "log σ^2", "− 1)"].map(term),
    ...["", "≈", "½(", muSquared, "+", sigmaSquared, "−", logSquared, "− 1)"].map(term),
  );
  const side = (
    /** @type {string} */ condition,
    /** @type {string} */ verb,
    /** @type {string} */ quantity,
  ) => h("span", {}, "where ", maths(condition), verb, numbers.make(quantity, three));
  const el = plate(
    "What KL adds up",
    [picture.el],
    formula("KL = ∫ q(z) log [q(z)/p(z)] ", h("span", {}, "d"), "z"),
    ui.legend([
      { token: "plus", label: side("q > p", " adds ", "area-above") },
      { token: "minus", label: side("q < p", " takes off ", "area-below") },
    ]),
    ui.note("For two Gaussians there is a closed form:"),
    closedForm,
    h("p", { class: "companion-result companion-maths" }, "KL = ", numbers.make("kl", three), " nats"),
  );
  return { el, picture };
}

/**
 * Gradient descent on KL alone.
 * @param {Readouts} numbers
 * @param {{ onTake: (steps: number) => void, onReset: () => void }} options
 */
function descentPlate(numbers, { onTake, onReset }) {
  const picture = mapChart();
  const actions = [
    { label: "1 step", title: "One step of gradient descent on KL", onClick: () => onTake(1) },
    { label: "10 steps", title: "Ten steps of gradient descent on KL", onClick: () => onTake(10) },
    { label: "Reset", title: "Back to the first mean and width", onClick: onReset },
  ];
  const el = plate(
    "Where KL alone leads",
    [picture.el],
    gradientFormula("∂KL/∂μ = μ = ", numbers.make("gradient-mu", ui.signed)),
    gradientFormula("∂KL/∂σ = σ − 1/σ = ", numbers.make("gradient-sigma", ui.signed)),
    ui.row(...actions.map((action) => ui.button(action).el)),
    ui.legend([
      { token: "edge", label: "equal KL, in nats", mark: "line" },
      { token: "data-4", label: "downhill: against the gradient", mark: "line" },
      { token: "data-1", label: maths("q"), mark: "dot" },
      { token: "data-6", label: "prior", mark: "dot" },
    ]),
    ui.note(
      "Gradient descent: ",
      numbers.make("steps", String),
      ` steps taken, learning rate ${LEARNING_RATE}. Led by KL alone, every latent unit ends at the prior, ` +
        "whatever x is: posterior collapse. The reconstruction loss has to pull the other way.",
    ),
  );
  return { el, picture };
}

/**
 * Samples and the gradient through them.
 * @param {AnyModel<State>} model
 * @param {Readouts} numbers
 * @param {{ onPut: (changes: Partial<State>) => void, onFollow: () => void, epsilonOf: () => Float64Array }}
 *   options epsilonOf: the noise of the samples on show
 */
function samplesPlate(model, numbers, { onPut, onFollow, epsilonOf }) {
  /** The shown samples from the smallest ε to the largest: that is how the reader steps through them. */
  const order = () => {
    const epsilon = epsilonOf();
    return [...epsilon.keys()].sort((a, b) => epsilon[a] - epsilon[b]);
  };
  let followed = order()[2];
  const sampleWords = (/** @type {number} */ i) => {
    if (!model.get("reparameterised")) return "no derivative through the draw";
    const epsilon = epsilonOf()[i];
    const z = model.get("mu") + model.get("sigma") * epsilon;
    const e = ui.spoken(epsilon);
    return `epsilon ${e}, z ${ui.spoken(z)}, derivative by mu 1, by sigma ${e}`;
  };
  const pick = (/** @type {number} */ i) => {
    if (i === followed) return;
    followed = i;
    onFollow();
  };
  const [picture, flow] = [sampleChart(pick), graph()];
  const follow = ui.slider({
    label: "Follow sample",
    min: 1,
    max: SHOWN,
    step: 1,
    value: 3,
    format: (v) => `${v} of ${SHOWN}`,
    describe: (rank) => `${rank} of ${SHOWN}: ${sampleWords(order()[rank - 1])}`,
    onInput: (rank) => pick(order()[rank - 1]),
  });
  const fresh = ui.button({
    label: h("span", {}, "New ", maths("ε")),
    title: "Draw new noise",
    onClick: () => onPut({ seed: (model.get("seed") + 1) % 2 ** 32 }),
  });
  const way = ui.segmented({
    label: maths("z is"),
    value: model.get("reparameterised"),
    options: [
      { value: true, label: "reparameterised" },
      { value: false, label: "sampled directly" },
    ],
    onChange: (next) => onPut({ reparameterised: next }),
  });
  const { make: n } = numbers;
  const noiseNumber = numbers.make("sample-epsilon", bracketed);
  const kept = formula(
    "z = μ + σ·ε = ",
    n("mu"),
    " + ",
    n("sigma"),
    " · ",
    noiseNumber,
    " ≈ ",
    n("sample-z"),
  );
  const cutOff = formula("z = ", n("sample-z"), ", drawn from N(", n("mu"), ", ", n("sigma"), "^2)");
  const bySigmaName = h("span", {}, h("i", {}, "ε"), " = ");
  const whole = orNone((v) => ui.fixed(v, 0));
  const derivatives = gradientFormula(
    "∂z/∂μ = ",
    numbers.make("dz-dmu", whole),
    h("span", { class: "posterior-gap" }),
    "∂z/∂σ = ",
    bySigmaName,
    numbers.make("dz-dsigma", orNone(ui.fixed)),
  );
  const moral = ui.note();
  const el = plate(
    "Samples that keep their noise",
    [picture.el, follow.el, kept, cutOff, derivatives, ui.row(fresh.el)],
    way.el,
    flow.el,
    ui.legend([
      { token: "edge", label: "values", mark: "line" },
      { token: "data-4", label: "gradient of the loss L", mark: "line" },
    ]),
    moral,
  );
  return {
    el,
    followed: () => followed,
    /** @param {Scene & { epsilon: Float64Array, zs: Float64Array, cut: boolean }} scene */
    draw(scene) {
      const { cut, epsilon, zs } = scene;
      way.set(!cut);
      picture.draw({ ...scene, followed });
      flow.draw(cut);
      follow.set(1 + order().indexOf(followed));
      numbers.set({
        "sample-epsilon": epsilon[followed],
        "sample-z": zs[followed],
        "dz-dmu": cut ? null : 1,
        "dz-dsigma": cut ? null : epsilon[followed],
      });
      kept.hidden = cut;
      cutOff.hidden = !cut;
      bySigmaName.hidden = cut;
      moral.textContent = cut ? MORALS.cut : MORALS.kept;
    },
  };
}

/**
 * KL from samples.
 * @param {number} samples
 * @param {Readouts} numbers
 * @param {(samples: number) => void} onChange
 */
function estimatePlate(samples, numbers, onChange) {
  const picture = estimateChart();
  const count = ui.segmented({
    label: "Samples",
    value: samples,
    options: COUNTS.map((n) => ({ value: n, label: ui.grouped(n) })),
    onChange,
  });
  const mean = h("strong", {}, numbers.make("estimate", three));
  const error = numbers.make("standard-error", three);
  const exact = h("span", {}, "closed form: ", numbers.make("kl", three));
  const el = plate(
    "KL from samples",
    [picture.el],
    count.el,
    h(
      "p",
      {},
      "Mean of ",
      maths("log q(z) − log p(z)"),
      ": ",
      h("span", { class: "companion-together" }, mean, " ± ", error),
    ),
    ui.legend([
      { token: "data-5", label: "estimate ± 2 standard errors", mark: "dot" },
      { token: "data-1", label: exact, mark: "line" },
    ]),
  );
  return { el, picture, count };
}

// ---------------------------------------------------------------- the widget

/** The same in PyTorch. @param {AnyModel<State>} model */
function codeOf(model) {
  const [mu, sigma] = [model.get("mu"), model.get("sigma")];
  const draw = model.get("reparameterised")
    ? "rsample()  # the gradient flows through"
    : "sample()  # no gradient flows through";
  return `import torch
from torch.distributions import Normal, kl_divergence

mu = torch.tensor(${python(mu)}, requires_grad=True)
sigma = torch.tensor(${python(sigma)}, requires_grad=True)
posterior, prior = Normal(mu, sigma), Normal(0.0, 1.0)
kl = kl_divergence(posterior, prior)
kl.backward()
z = posterior.${draw}
print(kl.item(), mu.grad, sigma.grad, z)
`;
}

/** @param {RenderProps<State>} props */
function render({ model, el }) {
  const start = { mu: model.get("mu"), sigma: model.get("sigma") };
  const numbers = ui.readouts();
  const voice = ui.announcer();
  /** @type {Point[]} */
  let walked = []; // [μ, σ] before each step
  let drawn = { seed: NaN, draws: new Float64Array() };
  /** The first `count` draws of ε, made anew only when the seed changes. */
  const epsilonOf = (count = SHOWN) => {
    const seed = model.get("seed");
    if (drawn.seed !== seed) drawn = { seed, draws: noise(seed, Math.max(...COUNTS)) };
    return drawn.draws.subarray(0, count);
  };

  const draw = () => {
    const { width } = column;
    if (!width) return;
    const [m, sd] = [model.get("mu"), model.get("sigma")];
    const cut = !model.get("reparameterised");
    const epsilon = epsilonOf();
    // Sampled directly, every new μ or σ means a new draw: nothing ties one z to the next.
    const hidden = cut ? noise(model.get("seed") + 7919 * (1 + traits.touched), SHOWN) : epsilon;
    const zs = hidden.map((e) => m + sd * e);
    const half = Math.max(5, Math.abs(m) + 3.2 * sd);
    const x = linear([-half, half], [MARGIN.left, width - MARGIN.right]);
    const parts = integrand(m, sd);
    const exactKl = kl(m, sd);
    const [byMu, bySigma] = klGradient(m, sd);
    const monteCarlo = monteCarloKl(epsilonOf(model.get("n_samples")), m, sd);
    const scene = { mu: m, sigma: sd, x, width };

    controls.draw(m, sd);
    densities.picture.draw({ ...scene, z: zs[samples.followed()] });
    sum.picture.draw({ ...scene, parts });
    descentMap.picture.draw({ ...scene, walked });
    samples.draw({ ...scene, epsilon, zs, cut });
    estimate.count.set(model.get("n_samples"));
    estimate.picture.draw({ ...scene, exactKl, ...monteCarlo });
    numbers.set({
      mu: m,
      sigma: sd,
      kl: exactKl,
      steps: walked.length,
      "mu-squared": m ** 2,
      "sigma-squared": sd ** 2,
      "log-sigma-squared": 2 * Math.log(sd),
      "area-above": parts.above,
      "area-below": parts.below,
      "gradient-mu": byMu,
      "gradient-sigma": bySigma,
      estimate: monteCarlo.estimate,
      "standard-error": monteCarlo.standardError,
    });
    densities.story.textContent = insight(m, sd, exactKl);
    code.draw();
    if (traits.touched) voice.say(`KL ${ui.spoken(exactKl, 3)} nats. ${densities.story.textContent}`);
  };
  const schedule = perFrame(draw);
  const traits = bindTraits(model, ["mu", "sigma", "seed", "n_samples", "reparameterised"], schedule);
  const { put } = traits;
  const descent = stepper(() => {
    /** @type {Point} */
    const now = [model.get("mu"), model.get("sigma")];
    const [mu, sigma] = klGradient(...now).map((g, i) => now[i] - LEARNING_RATE * g);
    walked.push(now);
    put({ mu, sigma });
  });
  /** @param {Partial<State>} changes by the reader, not by a step */
  const move = (changes) => {
    descent.stop();
    walked = [];
    put(changes);
  };

  const controls = parameters(start, numbers, move);
  const densities = densitiesPlate(numbers);
  const sum = sumPlate(numbers);
  const descentMap = descentPlate(numbers, { onTake: descent.take, onReset: () => move(start) });
  const samples = samplesPlate(model, numbers, { onPut: put, onFollow: schedule, epsilonOf });
  const code = copyCode({ what: "q, p and their KL", code: () => codeOf(model), say: voice.say });
  const estimate = estimatePlate(model.get("n_samples"), numbers, (n) => put({ n_samples: n }));
  el.append(
    ui.frame(
      {
        title: model.get("title"),
        describe:
          "Move the mean and the width of the encoder’s answer for one latent unit. " +
          "Everything below follows.",
      },
      controls.el,
      ...[densities, sum, descentMap, samples, estimate].map((part) => part.el),
      code.el,
      voice.el,
    ),
  );
  const column = observeWidth(densities.picture.el, () => {
    controls.measure();
    draw();
  });
  return lifetime(descent.stop, column.stop, traits.stop);
}

export default { render };

// Colours for pictures that CSS cannot reach: theme tokens for canvases, and colour scales.

/** @typedef {number[]} Rgb red, green and blue in 0…255 */

const TOKENS = [
  "ink",
  "soft",
  "line",
  "surface",
  "raised",
  "accent",
  "plus",
  "minus",
  "data-1",
  "data-2",
  "data-3",
  "data-4",
  "data-5",
  "data-6",
];

/**
 * The colour tokens of widgets.css as they look at `el` now: {ink: "rgb(…)", "data-1": …}.
 * @param {Element} el
 */
export function palette(el) {
  const probe = document.createElement("span");
  el.append(probe);
  /** @type {{ [token: string]: string }} */
  const colours = {};
  for (const token of TOKENS) {
    probe.style.color = `var(--companion-${token})`;
    colours[token] = getComputedStyle(probe).color;
  }
  probe.remove();
  return colours;
}

/** Whether the paper of a palette is dark. @param {{ [token: string]: string }} colours */
export function isDark({ surface }) {
  const [r = 255, g = 255, b = 255] = (surface.match(/[\d.]+/g) ?? []).map(Number);
  return r + g + b < (surface.startsWith("color") ? 1.5 : 382);
}

/**
 * Call `callback(palette)` now and whenever the colours at `el` change: the book's theme button, JupyterLab,
 * VS Code, the system's setting, high contrast. Returns a function that stops it.
 * @param {Element} el one that is in the page
 * @param {(colours: { [token: string]: string }) => void} callback
 */
export function followTheme(el, callback) {
  const fingerprint = (/** @type {object} */ colours) => Object.values(colours).join();
  const first = palette(el);
  let seen = fingerprint(first);
  let frame = 0;
  const check = () => {
    cancelAnimationFrame(frame);
    // Hosts swap style sheets right after the attribute, so look once they have settled.
    frame = requestAnimationFrame(() => {
      const colours = palette(el);
      if (fingerprint(colours) === seen) return;
      seen = fingerprint(colours);
      callback(colours);
    });
  };
  const observer = new MutationObserver(check);
  const attributeFilter = ["class", "data-theme", "theme", "data-jp-theme-light", "data-jp-theme-name"];
  observer.observe(document.documentElement, { attributes: true, attributeFilter });
  observer.observe(document.body, { attributes: true, attributeFilter });
  const queries = ["(prefers-color-scheme: dark)", "(forced-colors: active)"].map((q) => matchMedia(q));
  for (const query of queries) query.addEventListener("change", check);
  callback(first);
  return () => {
    cancelAnimationFrame(frame);
    observer.disconnect();
    for (const query of queries) query.removeEventListener("change", check);
  };
}

// Interpolation happens in OKLab (Ottosson 2020), where equal steps look equally large.

/** @param {string} hex */
function toLab(hex) {
  const [r, g, b] = [1, 3, 5]
    .map((i) => parseInt(hex.slice(i, i + 2), 16) / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [
    0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
    1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
    0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
  ];
}

/** @param {number[]} lab @returns {Rgb} */
function toRgb([L, a, b]) {
  const l = (L + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (L - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (L - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ].map((v) => {
    const clipped = Math.min(1, Math.max(0, v));
    const gamma = clipped <= 0.0031308 ? 12.92 * clipped : 1.055 * clipped ** (1 / 2.4) - 0.055;
    return Math.round(255 * gamma);
  });
}

/** @param {string[]} stops @returns {(t: number) => Rgb} */
function scale(stops) {
  const anchors = stops.map(toLab);
  const table = Array.from({ length: 256 }, (_, i) => {
    const place = (i / 255) * (anchors.length - 1);
    const k = Math.min(Math.floor(place), anchors.length - 2);
    return toRgb(anchors[k].map((v, c) => v + (place - k) * (anchors[k + 1][c] - v)));
  });
  return (t) => table[Math.round(255 * Math.min(1, Math.max(0, t || 0)))];
}

/** 0…1 → [r, g, b] in 0…255, from deep blue over teal to pale yellow; lightness rises steadily. */
export const sequential = scale(["#152a5c", "#1f5f8b", "#2f9187", "#8cc063", "#f7e9a0"]);

const onLight = scale(["#0b4a8f", "#5f9fd6", "#f4f3f0", "#e58d5f", "#9a3208"]);
const onDark = scale(["#8cc4ff", "#3f78b5", "#23272e", "#b8602f", "#ffb48a"]);

/**
 * −1…1 → [r, g, b]: minus blue, zero the paper, plus vermilion. `dark` says which paper.
 * @param {number} t
 */
export function diverging(t, dark = false) {
  return (dark ? onDark : onLight)(0.5 + 0.5 * t);
}

/**
 * A colour for each of `count` classes, as CSS writes it. Neighbours differ in lightness, too, but of ten some
 * look alike to some readers: let something else tell them apart as well.
 * @param {number} count @param {boolean} dark
 */
export function classColours(count, dark) {
  return Array.from({ length: count }, (_, k) => {
    const hue = (2 * Math.PI * (k + 0.6)) / count;
    const lightness = dark ? [0.84, 0.7][k % 2] : [0.42, 0.58][k % 2];
    return `rgb(${toRgb([lightness, 0.15 * Math.cos(hue), 0.15 * Math.sin(hue)]).join()})`;
  });
}

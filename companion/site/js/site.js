// What every page needs and no widget: quizzes, Plotly figures that load when they come near, reading offline.

import { readings } from "./activities/numbers.js";
import { startOffline } from "./offline/register.js";

const { src } = /** @type {HTMLScriptElement} */ (document.currentScript);
const here = new URL(".", src);
startOffline(new URL("../../", here));

// The theme names its search button otherwise than the text on it says.
document.querySelector(".search-button-field")?.removeAttribute("aria-label");

// --- quizzes ---------------------------------------------------------------------------------

/** What follows a try: the slide read closely, where the quiz has that. @param {Element} fieldset */
function openBox(fieldset) {
  const box = fieldset.closest(".quiz")?.querySelector(":scope > .quiz-closely");
  if (box) /** @type {HTMLDetailsElement} */ (box).open = true;
}

/** @param {Element} fieldset @param {string} text @param {boolean} right */
function verdict(fieldset, text, right) {
  const line = fieldset.querySelector(".quiz-verdict");
  if (!line) return;
  line.textContent = text;
  line.classList.toggle("quiz-right", right);
  line.classList.toggle("quiz-wrong", !right);
}

/** @param {Element | null | undefined} element @param {boolean} visible */
function show(element, visible) {
  element?.classList.toggle("quiz-shown", visible);
}

/** @param {Element} fieldset @param {HTMLInputElement} input */
function checkNumber(fieldset, input) {
  const answers = readings(input.value);
  if (!answers.length) {
    verdict(fieldset, "Type a number first, for example 0.25 or 1/4.", false);
    return;
  }
  // A last digit of slack for values that binary fractions can't hold.
  const near = (/** @type {number} */ value) =>
    answers.some(
      (answer) => Math.abs(answer - value) <= Number(input.dataset.tolerance) + 1e-9 * Math.abs(value),
    );
  const right = near(Number(input.dataset.value));
  show(fieldset.querySelector(":scope > .quiz-feedback"), right);
  /** @type {NodeListOf<HTMLElement>} */
  const mistakes = fieldset.querySelectorAll(".quiz-mistake");
  for (const mistake of mistakes) {
    show(mistake.querySelector(".quiz-feedback"), !right && near(Number(mistake.dataset.value)));
  }
  verdict(fieldset, right ? "Right." : "Not yet. Try once more.", right);
  openBox(fieldset);
}

/** @param {Element} fieldset */
function checkOptions(fieldset) {
  /** @type {HTMLInputElement[]} */
  const inputs = [...fieldset.querySelectorAll(/** @type {"input"} */ (".quiz-option input"))];
  if (!inputs.some((input) => input.checked)) {
    verdict(fieldset, "Choose an answer first.", false);
    return;
  }
  for (const input of inputs) {
    show(input.closest(".quiz-option")?.querySelector(".quiz-feedback"), input.checked);
  }
  const right = inputs.every((input) => input.checked === (input.dataset.right === "true"));
  const ticked = inputs.filter((input) => input.checked).map((input) => input.dataset.right === "true");
  const wrong = ticked.filter((isRight) => !isRight).length;
  let words = "Not yet. Try once more.";
  if (right) words = "Right.";
  else if (!wrong) words = "So far right, but not all that is true.";
  else if (wrong < ticked.length) words = "Not all that you ticked is true.";
  verdict(fieldset, words, right);
  openBox(fieldset);
}

for (const fieldset of document.querySelectorAll("fieldset[data-quiz]")) {
  /** @type {HTMLInputElement | null} */
  const number = fieldset.querySelector(".quiz-number input");
  const check = () => (number ? checkNumber(fieldset, number) : checkOptions(fieldset));
  fieldset.querySelector(".quiz-check")?.addEventListener("click", check);
  number?.addEventListener("keydown", (event) => event.key === "Enter" && check());
  fieldset.addEventListener("input", () => {
    for (const shown of fieldset.querySelectorAll(".quiz-shown")) show(shown, false);
    verdict(fieldset, "", false);
  });
}

// --- Plotly ----------------------------------------------------------------------------------

/** @type {Promise<typeof Plotly> | undefined} */
let plotly; // one load a page

function loadPlotly() {
  plotly ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = new URL("plotly.js", here).href;
    script.onload = () => resolve(globalThis.Plotly);
    script.onerror = () => reject(new Error(`could not load ${script.src}`));
    document.head.append(script);
  });
  return plotly;
}

// The colours that follow the page; a figure brings only those that carry meaning.
function themeOf() {
  const style = getComputedStyle(document.documentElement);
  const colour = (/** @type {string} */ name, /** @type {string} */ other) =>
    style.getPropertyValue(name).trim() || other;
  const text = colour("--pst-color-text-base", "#222");
  const line = colour("--pst-color-border", "#ccc");
  const axis = { gridcolor: line, linecolor: line, zerolinecolor: line, tickcolor: line };
  return {
    layout: {
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: text, family: getComputedStyle(document.body).fontFamily, size: 14 },
      xaxis: axis,
      yaxis: axis,
      legend: { bgcolor: "rgba(0,0,0,0)" },
      hoverlabel: {
        bgcolor: colour("--pst-color-surface", "#f5f5f5"),
        bordercolor: line,
        font: { color: text },
      },
      colorway: ["#3b7dd8", "#e07b28", "#2a9d6f", "#c2508a", "#8a6fd1", "#a08a2a", "#d0504a", "#3fa3b5"],
    },
  };
}

const rest = (/** @type {number} */ milliseconds) =>
  new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Let a live widget that is waking up go first: Plotly keeps the page busy for a third of a second. */
async function whenCalm() {
  await rest(150);
  for (let k = 0; k < 50 && document.querySelector('.companion-widget[data-state="waiting"]'); k += 1) {
    await rest(100);
  }
}

/** @param {HTMLElement} box */
async function draw(box) {
  const figure = JSON.parse(box.querySelector("script")?.textContent ?? "");
  await whenCalm();
  const Plotly = await loadPlotly();
  const layout = { ...figure.layout, template: themeOf(), autosize: true };
  delete layout.width;
  delete layout.font; // outside the book a neutral one, here the page's
  const narrow = box.clientWidth < 520;
  if (narrow) layout.margin = { ...layout.margin, l: 48, r: 12 };
  const plot = document.createElement("div");
  plot.style.height = "100%";
  box.append(plot);
  await Plotly.newPlot(plot, figure.data, layout, {
    responsive: true,
    displaylogo: false,
    displayModeBar: false,
    scrollZoom: false,
  });
  box.dataset.drawn = "yes";
  new MutationObserver(() => Plotly.relayout(plot, { template: themeOf() })).observe(
    document.documentElement,
    { attributes: true, attributeFilter: ["data-theme"] },
  );
}

const near = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      near.unobserve(entry.target);
      draw(/** @type {HTMLElement} */ (entry.target)).catch((error) => {
        entry.target.append(`This figure could not be drawn: ${error.message}`);
      });
    }
  },
  { rootMargin: "300px" },
);
for (const box of document.querySelectorAll(".companion-plotly")) near.observe(box);

// --- paper -------------------------------------------------------------------------------------

// A4 with a browser's own margins, in CSS pixels.
const SHEET = 680;
const SHAPE = 1.4; // height over width of what fits on one

/** Show what is folded away, in the light, figures as wide as the paper; and put it back. */
function startPrinting() {
  /** @type {(() => void)[]} */
  const back = [];
  addEventListener("beforeprint", () => {
    const { dataset } = document.documentElement;
    const { theme } = dataset;
    dataset.theme = "light";
    back.push(() => {
      dataset.theme = theme;
    });
    /** @type {NodeListOf<HTMLDetailsElement>} */
    const folded = document.querySelectorAll(".bd-article details:not([open], .hide)");
    for (const details of folded) {
      details.open = true;
      back.push(() => {
        details.open = false;
      });
    }
    /** @type {NodeListOf<HTMLElement>} */
    const widgets = document.querySelectorAll(".companion-widget");
    for (const { classList, offsetHeight, offsetWidth } of widgets)
      classList.toggle("taller-than-a-sheet", offsetHeight > SHAPE * offsetWidth);
    /** @type {NodeListOf<HTMLElement>} */
    const plots = document.querySelectorAll(".companion-plotly[data-drawn] > div");
    for (const plot of plots) {
      if (plot.clientWidth <= SHEET) continue;
      globalThis.Plotly.relayout(plot, { width: SHEET, autosize: false });
      back.push(() => globalThis.Plotly.relayout(plot, { width: null, autosize: true }));
    }
  });
  addEventListener("afterprint", () => {
    for (const restore of back.splice(0)) restore();
  });
}
startPrinting();

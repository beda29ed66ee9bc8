// Predictions: a guess first, then the truth laid over it, with a sentence on the difference.
import { h } from "../../../widgets/js/ui/controls.js";
import { shownAs, whenReached, widgetAfter } from "./goals.js";
import { load, save } from "./store.js";

/** "0.124", "61,100,000": three digits that count. @param {number} value */
const written = (value) => value.toLocaleString("en", { maximumSignificantDigits: 3 }).replace("-", "−");

/** @param {ParentNode} box @param {string} selector @param {boolean} isVisible */
function show(box, selector, isVisible) {
  for (const each of box.querySelectorAll(selector)) each.classList.toggle("quiz-shown", isVisible);
}

/**
 * A number guessed on a slider: its input, and how guess and truth are told.
 * @param {HTMLFieldSetElement} fieldset @param {HTMLInputElement} slider
 */
function numberGuess(fieldset, slider) {
  const { unit = "", log, tolerance = "0" } = fieldset.dataset;
  const [low, high] = [Number(fieldset.dataset.low), Number(fieldset.dataset.high)];
  const output = /** @type {HTMLOutputElement} */ (fieldset.querySelector("output"));
  const gap = /** @type {HTMLElement} */ (fieldset.querySelector(".predict-gap"));
  const label = /** @type {HTMLElement} */ (fieldset.querySelector(".predict-guess"));
  const withUnit = (/** @type {number} */ value) => `${written(value)}${unit && ` ${unit}`}`;
  const share = (/** @type {number} */ value) => {
    const t = log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
    return 100 * Math.min(1, Math.max(0, t));
  };
  const fromSlider = () => {
    const t = Number(slider.value);
    return log ? Number((low * (high / low) ** (t / 100)).toPrecision(2)) : t;
  };
  /** @param {number} truth @param {number | null} guess */
  const verdict = (truth, guess) => {
    if (guess === null) return ["none", `It is ${withUnit(truth)}.`];
    const said = `You expected ${withUnit(guess)}; it is ${withUnit(truth)}`;
    const isClose = Math.abs(guess - truth) <= Number(tolerance) + 1e-9 * Math.abs(truth);
    if (isClose) return ["near", guess === truth ? `${said}: just so.` : `${said}: close.`];
    const kind = guess < truth ? "low" : "high";
    if (log) {
      const ratio = written(Math.max(guess / truth, truth / guess));
      return [kind, `${said}: ${ratio} times too ${kind}.`];
    }
    return [kind, `${said}: ${withUnit(Math.abs(guess - truth))} too ${kind}.`];
  };
  return {
    guess: () => (output.dataset.guess === undefined ? null : Number(output.dataset.guess)),
    /** @param {unknown} value */
    isGuess: (value) => typeof value === "number" && Number.isFinite(value),
    /** @param {number | null} guess */
    restore(guess) {
      if (guess === null) delete output.dataset.guess;
      else output.dataset.guess = String(guess);
      output.textContent = guess === null ? "–" : withUnit(guess);
      if (guess !== null) slider.value = String(log ? share(guess) : guess);
      slider.setAttribute("aria-valuetext", guess === null ? "no guess yet" : withUnit(guess));
    },
    /** @param {(guess: number) => void} take */
    listen(take) {
      const read = () => take(fromSlider());
      slider.addEventListener("input", read);
      slider.addEventListener("click", read); // the middle may be what one means
      slider.addEventListener("keydown", ({ key }) => (key === "Enter" || key === " ") && read());
    },
    /** Lay the truth over the guess; the sentence on it. @param {number} truth @param {number | null} guess */
    reveal(truth, guess) {
      const [kind, sentence] = verdict(truth, guess);
      const at = (/** @type {string} */ name, /** @type {number} */ value) =>
        h("span", { class: `predict-${name}`, style: `left: ${share(value)}%` });
      const track = h("div", { class: "predict-track" }, at("truth", truth));
      const legend = h("p", { class: "predict-legend" });
      if (guess !== null) {
        const [from, to] = [share(guess), share(truth)].sort((a, b) => a - b);
        const band = h("span", { class: "predict-band", style: `left: ${from}%; width: ${to - from}%` });
        track.prepend(band, at("mine", guess));
        legend.append(h("span", { class: "predict-key-mine" }, `you: ${withUnit(guess)}`), " ");
      }
      legend.append(h("span", { class: "predict-key-truth" }, `truth: ${withUnit(truth)}`));
      const ends = h(
        "div",
        { class: "predict-ends" },
        h("span", {}, withUnit(low)),
        h("span", {}, withUnit(high)),
      );
      gap.replaceChildren(h("div", { role: "img", "aria-label": sentence }, track, ends), legend);
      label.hidden = true;
      for (const each of ["near", "low", "high"]) show(fieldset, `.predict-${each}`, each === kind);
      return sentence;
    },
    hide() {
      gap.replaceChildren();
      label.hidden = false;
      show(fieldset, ".quiz-feedback", false);
    },
  };
}

/** A choice among options. @param {HTMLFieldSetElement} fieldset @param {HTMLInputElement[]} radios */
function choiceGuess(fieldset, radios) {
  const optionOf = (/** @type {HTMLElement} */ radio) =>
    /** @type {HTMLElement} */ (radio.closest(".quiz-option"));
  return {
    guess() {
      const chosen = radios.findIndex((radio) => radio.checked);
      return chosen < 0 ? null : chosen;
    },
    /** @param {unknown} value */
    isGuess: (value) => Number.isInteger(value) && Number(value) in radios,
    /** @param {number | null} guess */
    restore(guess) {
      radios.forEach((radio, k) => {
        radio.checked = k === guess;
      });
    },
    /** @param {(guess: number) => void} take */
    listen(take) {
      radios.forEach((radio, k) => {
        radio.addEventListener("change", () => take(k));
      });
    },
    /** @param {number} truth @param {number | null} guess */
    reveal(truth, guess) {
      radios.forEach((radio, k) => {
        const words = [k === guess && "your guess", k === truth && "the truth"].filter(Boolean);
        if (words.length)
          radio.parentElement?.append(h("span", { class: "predict-tag" }, words.join(" and ")));
        optionOf(radio).classList.toggle("predict-true", k === truth);
        show(optionOf(radio), ".quiz-feedback", k === guess || k === truth);
        radio.disabled = true;
      });
      if (guess === null) return "The truth is marked.";
      return guess === truth ? "Just as you expected." : "Not what you expected: the truth is marked.";
    },
    hide() {
      for (const tag of fieldset.querySelectorAll(".predict-tag")) tag.remove();
      for (const radio of radios) {
        radio.disabled = false;
        optionOf(radio).classList.remove("predict-true");
      }
      show(fieldset, ".quiz-feedback", false);
    },
  };
}

/** @param {HTMLFieldSetElement} fieldset */
function start(fieldset) {
  const { predict = "", quantityOf, when } = fieldset.dataset;
  /** @type {HTMLInputElement | null} */
  const slider = fieldset.querySelector('input[type="range"]');
  /** @type {HTMLInputElement[]} */
  const radios = [...fieldset.querySelectorAll(/** @type {"input"} */ ('input[type="radio"]'))];
  const answer = slider ? numberGuess(fieldset, slider) : choiceGuess(fieldset, radios);
  const button = /** @type {HTMLButtonElement} */ (fieldset.querySelector(".quiz-check"));
  const verdict = /** @type {HTMLElement} */ (fieldset.querySelector(".quiz-verdict"));
  const box = quantityOf || when ? widgetAfter(fieldset) : null;
  /** @type {number | null} */
  let truth = null;
  /** @param {number} value */
  const reveal = (value) => {
    truth = value;
    verdict.textContent = answer.reveal(value, answer.guess());
    button.textContent = "Guess again";
    save(predict, { guess: answer.guess(), truth });
  };
  const again = () => {
    truth = null;
    answer.hide();
    answer.restore(null);
    verdict.textContent = "";
    button.textContent = "Show";
    save(predict, null);
  };
  // What the widget showed when its goal was reached.
  let measured = NaN;
  const known = () => {
    if (!quantityOf) return Number(fieldset.dataset.truth);
    return when || !box ? measured : shownAs(box, quantityOf);
  };
  const kept = load(predict);
  answer.restore(answer.isGuess(kept?.guess) ? kept.guess : null);
  if (Number.isFinite(kept?.truth)) {
    measured = kept.truth;
    const now = known();
    reveal(Number.isFinite(now) ? now : kept.truth);
  }
  answer.listen((guess) => {
    answer.restore(guess);
    save(predict, { guess, truth: null });
    verdict.textContent = "";
  });
  button.addEventListener("click", () => {
    if (truth !== null) return again();
    const value = known();
    if (Number.isFinite(value)) reveal(value);
    else verdict.textContent = "The widget below knows: bring it there first.";
  });
  if (box && when) {
    whenReached(box, JSON.parse(when), () => {
      if (quantityOf) measured = shownAs(box, quantityOf);
      if (answer.guess() !== null && truth === null) reveal(known());
    });
  }
}

export function startPredictions() {
  /** @type {NodeListOf<HTMLFieldSetElement>} */
  const all = document.querySelectorAll("fieldset[data-predict]");
  for (const fieldset of all) start(fieldset);
}

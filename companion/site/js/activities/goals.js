// Goals about the numbers that a widget shows (companion/site/activities/goals.py parses them).

/** @typedef {[quantity: string, sign: string, bound: number | string, tolerance: number]} Comparison */

/** The first widget after an element, or the first of that module. @param {HTMLElement} place */
export function widgetAfter(place) {
  const name = place.dataset.widgetName;
  /** @type {NodeListOf<HTMLElement>} */
  const boxes = document.querySelectorAll(".companion-widget");
  for (const box of boxes) {
    const follows = place.compareDocumentPosition(box) & Node.DOCUMENT_POSITION_FOLLOWING;
    if (follows && (!name || box.dataset.widget === name)) return box;
  }
  return null;
}

/** What a widget shows as a quantity now, NaN if nothing. @param {Element} box @param {string} quantity */
export function shownAs(box, quantity) {
  /** @type {HTMLElement | null} */
  const shown = box.querySelector(`[data-quantity="${quantity}"][data-value]`);
  const text = shown?.dataset.value ?? "";
  return text.trim() === "" ? NaN : Number(text);
}

/** @param {Element} box @param {Comparison} comparison */
function compare(box, [quantity, sign, bound, tolerance]) {
  const value = shownAs(box, quantity);
  const other = typeof bound === "string" ? shownAs(box, bound) : bound;
  const gap = Math.abs(value - other);
  const slack = tolerance + 1e-9 * Math.abs(other);
  if (sign === "<") return value < other;
  if (sign === ">") return value > other;
  if (sign === "≤") return value <= other;
  if (sign === "≥") return value >= other;
  return sign === "=" ? gap <= slack : gap > slack;
}

/** @param {Element} box @param {Comparison[][]} goal */
export const holds = (box, goal) => goal.some((all) => all.every((one) => compare(box, one)));

// A widget that computes in a worker shows a new setting before the number that goes with it.
const SETTLED = 400;

/**
 * Call `reached` once, when the goal comes true and stays so for a moment, after the reader has touched the
 * widget. One that was true from the start has to become false first.
 * @param {Element} box @param {Comparison[][]} goal @param {() => void} reached
 */
export function whenReached(box, goal, reached) {
  let isTouched = false;
  let wasFalse = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let settling;
  const look = () => {
    const isTrue = holds(box, goal);
    wasFalse ||= !isTrue;
    if (!isTrue) {
      clearTimeout(settling);
      settling = undefined;
    } else if (isTouched && wasFalse) {
      settling ??= setTimeout(() => {
        changes.disconnect();
        reached();
      }, SETTLED);
    }
  };
  const changes = new MutationObserver(look);
  changes.observe(box, { subtree: true, childList: true, attributes: true, attributeFilter: ["data-value"] });
  for (const touch of ["pointerdown", "keydown", "input"]) {
    box.addEventListener(touch, () => {
      isTouched = true;
    });
  }
  look();
}

// Lines to put in order, by buttons or by dragging.
import { h } from "../../../widgets/js/ui/controls.js";
import { load, save } from "./store.js";

/** @param {number[]} lines @param {number[]} order how many of the first lines agree */
function agreement(lines, order) {
  let k = 0;
  while (k < lines.length && lines[k] === order[k]) k += 1;
  return k;
}

/**
 * Let a line be dragged by its handle, among the lists, with a mouse, pen or finger.
 * @param {HTMLElement} line @param {HTMLElement} handle @param {HTMLElement[]} lists @param {() => void} dropped
 */
function drag(line, handle, lists, dropped) {
  /** @param {PointerEvent} event */
  const follow = ({ clientY }) => {
    // The list under the pointer; where it is between two, the nearer.
    const list = lists.findLast((each) => each.getBoundingClientRect().top <= clientY) ?? lists[0];
    const after = [...list.children].find((other) => {
      const { top, height } = other.getBoundingClientRect();
      return other !== line && clientY < top + height / 2;
    });
    if (line.parentElement !== list || line.nextElementSibling !== (after ?? null)) {
      list.insertBefore(line, after ?? null);
    }
  };
  // Listeners of the page, for a line that moves in it loses the pointer.
  handle.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    line.classList.add("order-dragged");
    const end = () => {
      line.classList.remove("order-dragged");
      removeEventListener("pointermove", follow);
      removeEventListener("pointerup", end);
      removeEventListener("pointercancel", end);
      dropped();
    };
    addEventListener("pointermove", follow);
    addEventListener("pointerup", end);
    addEventListener("pointercancel", end);
  });
}

/** @param {HTMLFieldSetElement} fieldset */
function start(fieldset) {
  const { order: name = "", orders: text = "[]" } = fieldset.dataset;
  /** @type {number[][]} */
  const orders = JSON.parse(text);
  /** @type {HTMLElement[]} */
  const lists = [...fieldset.querySelectorAll(/** @type {"ol"} */ (".order-lines"))];
  const [into, out] = lists;
  const verdict = /** @type {HTMLElement} */ (fieldset.querySelector(".quiz-verdict"));
  const linesIn = (/** @type {Element | undefined} */ list) =>
    /** @type {HTMLElement[]} */ ([...(list?.children ?? [])]);
  const lines = new Map(linesIn(into).map((line) => [Number(line.dataset.line), line]));
  const numbers = (/** @type {Element | undefined} */ list) =>
    linesIn(list).map((line) => Number(line.dataset.line));

  const clear = () => {
    for (const shown of fieldset.querySelectorAll(".quiz-shown")) shown.classList.remove("quiz-shown");
    for (const line of lines.values()) line.classList.remove("order-wrong");
    verdict.className = "quiz-verdict";
    verdict.textContent = "";
  };
  const changed = () => {
    clear();
    save(name, { in: numbers(into), out: numbers(out) });
  };
  /** @param {HTMLElement} line @param {-1 | 1} step */
  const move = (line, step) => {
    const list = line.parentElement;
    const other = step < 0 ? line.previousElementSibling : line.nextElementSibling;
    if (other) other[step < 0 ? "before" : "after"](line);
    else if (list === into && step > 0) out?.prepend(line);
    else if (list === out && step < 0) into.append(line);
    changed();
    const place = linesIn(line.parentElement ?? undefined).indexOf(line) + 1;
    verdict.textContent =
      line.parentElement === out ? "Left out." : `Now line ${place} of ${into.children.length}.`;
  };
  for (const line of lines.values()) {
    // A name by the line's own text, which may hold mathematics.
    const words = line.querySelector(".order-text")?.textContent?.trim() ?? "";
    const button = (/** @type {string} */ sign, /** @type {string} */ way, /** @type {-1 | 1} */ step) => {
      const el = h(
        "button",
        { type: "button", class: "order-move", "aria-label": `Move ${way}: ${words}` },
        sign,
      );
      el.addEventListener("click", () => {
        move(line, step);
        el.focus(); // which moving it has taken away
      });
      return el;
    };
    const handle = h("span", { class: "order-handle", "aria-hidden": "true" }, "⠿");
    line.prepend(handle);
    line.append(button("↑", "up", -1), button("↓", "down", 1));
    drag(line, handle, lists, changed);
  }
  fieldset.querySelector(".quiz-check")?.addEventListener("click", () => {
    clear();
    const given = numbers(into);
    const best = Math.max(...orders.map((order) => agreement(given, order)));
    const isRight = best === given.length && best === orders[0].length;
    verdict.classList.add(isRight ? "quiz-right" : "quiz-wrong");
    if (isRight) verdict.textContent = "Right.";
    else if (best === given.length)
      verdict.textContent = `Right so far; a line that you left out comes after line ${best}.`;
    else {
      linesIn(into)[best].classList.add("order-wrong");
      fieldset
        .querySelector(`.order-reason[data-line="${given[best]}"] .quiz-feedback`)
        ?.classList.add("quiz-shown");
      verdict.textContent = `Line ${best + 1} is the first that is wrong.`;
    }
  });

  const kept = load(name);
  const all = [kept?.in, kept?.out].every(Array.isArray) ? [...kept.in, ...kept.out] : [];
  if (
    all.length === lines.size &&
    all.every((n) => lines.has(n)) &&
    new Set(all).size === all.length &&
    (out || !kept.out.length)
  ) {
    for (const n of kept.in) into.append(/** @type {HTMLElement} */ (lines.get(n)));
    for (const n of kept.out) out.append(/** @type {HTMLElement} */ (lines.get(n)));
  }
}

export function startOrders() {
  /** @type {NodeListOf<HTMLFieldSetElement>} */
  const all = document.querySelectorAll("fieldset[data-order]");
  for (const fieldset of all) start(fieldset);
}

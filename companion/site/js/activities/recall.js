// Recall cards: open, say whether you knew it; what was missed comes back in the next block.
import { h } from "../../../widgets/js/ui/controls.js";
import { load, save } from "./store.js";

/** Days until a card is due again, by how often in a row it was known. The page on recall says so too. */
const DAYS = [0, 1, 3, 7, 21, 60];

/** @typedef {{ level: number, due: string }} Memory how often known in a row; the day on which it is due */

/** A day as "2026-11-28", by the reader's clock. @param {number} ahead */
function day(ahead) {
  const date = new Date();
  date.setDate(date.getDate() + ahead);
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** @param {string} key @returns {Memory | null} */
function memoryOf(key) {
  const kept = load(`recall/${key}`);
  const isMemory = kept?.level in DAYS && /^\d{4}-\d\d-\d\d$/.test(kept.due);
  return isMemory ? kept : null;
}

/** Known cards climb a level a day at most: knowing one twice in a row proves little. @param {string} key */
function remember(key, /** @type {boolean} */ isKnown) {
  const before = memoryOf(key);
  const climbs = !before || before.due <= day(0);
  const level = isKnown ? Math.min((before?.level ?? 0) + Number(climbs), DAYS.length - 1) : 0;
  save(`recall/${key}`, { level, due: day(DAYS[level]) });
}

/** @param {HTMLElement} card */
const keyOf = (card) => card.dataset.card ?? "";

/** @param {string} key @returns {HTMLDetailsElement[]} */
const cardsOf = (key) => [
  ...document.querySelectorAll(/** @type {"details"} */ (`details[data-card="${key}"]`)),
];

/** What is known of a card, in a word beside it. @param {HTMLElement} card */
function mark(card) {
  const memory = memoryOf(keyOf(card));
  const state = !memory ? "" : memory.level ? "known" : "missed";
  card.dataset.memory = state;
  const word = /** @type {HTMLElement} */ (card.querySelector(".recall-state"));
  const due = new Date(`${memory?.due}T12:00`).toLocaleDateString("en", { day: "numeric", month: "long" });
  word.textContent = state === "known" ? `known; again on ${due}` : state && "missed";
}

/**
 * Give a card its two buttons.
 * @param {HTMLDetailsElement} card @param {(card: HTMLDetailsElement, isKnown: boolean) => void} answered
 */
function prepare(card, answered) {
  const say = (/** @type {string} */ label, /** @type {boolean} */ isKnown) =>
    h(
      "button",
      {
        type: "button",
        class: "quiz-check",
        onclick: () => {
          remember(keyOf(card), isKnown);
          for (const each of cardsOf(keyOf(card))) mark(each);
          card.open = false;
          answered(card, isKnown);
        },
      },
      label,
    );
  const row = h("div", { class: "recall-say" }, say("I knew it", true), say("I didn’t", false));
  card.append(row);
  card.querySelector("summary")?.append(h("span", { class: "recall-state" }));
  mark(card);
}

/** A chapter's blocks: what is missed in one is asked again in the next. */
function startBlocks() {
  /** @type {HTMLElement[]} */
  const blocks = [...document.querySelectorAll(/** @type {"fieldset"} */ ("fieldset[data-recall]"))];
  const statuses = blocks.map((block) => {
    const status = h("p", { class: "recall-status", role: "status" });
    block.append(status);
    return status;
  });
  /** @param {HTMLDetailsElement} card @param {number} place */
  const bringBack = (card, place) => {
    const into = blocks[place]?.querySelector(".recall-cards");
    if (!into || into.querySelector(`[data-card="${keyOf(card)}"]`)) return;
    const copy = /** @type {HTMLDetailsElement} */ (card.cloneNode(true));
    for (const each of [copy, ...copy.querySelectorAll("[id]")]) each.removeAttribute("id");
    for (const made of copy.querySelectorAll(".recall-say, .recall-state")) made.remove();
    copy.classList.add("recall-again");
    copy.open = false;
    into.append(copy);
    prepareIn(copy, place);
  };
  /** @param {HTMLDetailsElement} card @param {number} place */
  const prepareIn = (card, place) =>
    prepare(card, (_, isKnown) => {
      const next =
        place + 1 < blocks.length ? "It comes back in this chapter’s next block." : "It is due again.";
      statuses[place].textContent = isKnown ? "Noted: known." : `Noted: missed. ${next}`;
      if (!isKnown) bringBack(card, place + 1);
      card.querySelector("summary")?.focus();
    });
  blocks.forEach((block, place) => {
    /** @type {HTMLDetailsElement[]} */
    const cards = [...block.querySelectorAll(/** @type {"details"} */ ("details[data-card]"))];
    for (const card of cards) {
      if (!card.querySelector(".recall-say")) prepareIn(card, place);
      if (memoryOf(keyOf(card))?.level === 0) bringBack(card, place + 1);
    }
  });
}

/** @param {string} text a cell of a CSV */
const quoted = (text) => `"${text.replaceAll('"', '""')}"`;

/** The page with all cards: those due, or all; and to take them along. @param {HTMLElement} page */
function startDue(page) {
  const controls = /** @type {HTMLFormElement} */ (page.querySelector(".recall-controls"));
  const count = /** @type {HTMLElement} */ (page.querySelector(".recall-count"));
  /** @type {HTMLElement[]} */
  const rows = [...page.querySelectorAll(/** @type {"div"} */ (".recall-row"))];
  const cardIn = (/** @type {HTMLElement} */ row) =>
    /** @type {HTMLDetailsElement} */ (row.querySelector("details"));
  const isDue = (/** @type {HTMLElement} */ row) => {
    const memory = memoryOf(keyOf(cardIn(row)));
    return memory !== null && memory.due <= day(0);
  };
  const listed = () => rows.filter((row) => !row.hidden);
  const update = () => {
    const all = new FormData(controls).get("recall-cards") === "all";
    for (const row of rows) row.hidden = !all && !isDue(row);
    for (const chapter of page.querySelectorAll(/** @type {"section"} */ (".recall-chapter"))) {
      chapter.hidden = !chapter.querySelector(".recall-row:not([hidden])");
    }
    const n = listed().length;
    const cards = n === 1 ? "1 card" : `${n} cards`;
    const none = "Nothing is due today. Cards that you have answered in the chapters come here by and by.";
    count.textContent = all ? `${cards} in the book.` : n ? `${cards} due today.` : none;
    exporting.disabled = n === 0;
  };
  const exporting = /** @type {HTMLButtonElement} */ (page.querySelector(".recall-export"));
  exporting.addEventListener("click", () => {
    const lines = listed().map((row) => {
      const link = /** @type {HTMLAnchorElement} */ (row.querySelector(".recall-where"));
      const chapter = row.parentElement?.querySelector("h2")?.textContent ?? "";
      return [row.dataset.front ?? "", row.dataset.back ?? "", chapter, link.href].map(quoted).join(",");
    });
    // Anki reads these lines as settings: https://docs.ankiweb.net/importing/text-files.html
    const head = ["#separator:Comma", "#html:true", "#columns:Front,Back,Chapter,Link"];
    const file = new Blob([[...head, ...lines, ""].join("\n")], { type: "text/csv" });
    const address = URL.createObjectURL(file);
    h("a", { href: address, download: "recall-cards.csv" }).click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
  });
  rows.forEach((row, place) => {
    prepare(cardIn(row), () => {
      update();
      const next = [...rows.slice(place), ...rows].find((other) => !other.hidden);
      const target = next ? cardIn(next).querySelector("summary") : controls.querySelector("input:checked");
      /** @type {HTMLElement | null} */ (target)?.focus();
    });
  });
  controls.addEventListener("change", update);
  controls.addEventListener("submit", (event) => event.preventDefault());
  controls.hidden = false;
  update();
}

export function startRecall() {
  startBlocks();
  /** @type {NodeListOf<HTMLElement>} */
  const pages = document.querySelectorAll(".recall-due");
  for (const page of pages) startDue(page);
}

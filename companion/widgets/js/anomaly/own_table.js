// A reader's own table of two columns: chosen as a file or pasted. It is read here and sent nowhere.

import { readPoints } from "../maths/points_table.js";
import { button, h, newId, notice, row } from "../ui/controls.js";

const MOST_BYTES = 200_000;

/**
 * A button that opens the place for a table.
 * @param {{ fewest: number, most: number, onPoints: (points: number[]) => void }} options
 */
export function ownTable({ fewest, most, onPoints }) {
  const trouble = notice();
  const id = newId();
  const text = h("textarea", {
    ...{
      id,
      class: "anomaly-text",
      rows: 4,
      spellcheck: "false",
      placeholder: "1.5, 2\n0.3, −1\n…".replace("−", "-"),
    },
  });
  /** @param {string} table @param {string} name */
  const read = (table, name) => {
    try {
      const points = readPoints(table, fewest, most);
      trouble.set("");
      onPoints(points);
    } catch (error) {
      trouble.set(`${name}: ${/** @type {Error} */ (error).message}`, "error");
    }
  };
  const input = h("input", { type: "file", accept: ".csv,.tsv,.txt,text/*", class: "companion-cover" });
  input.addEventListener("change", async () => {
    const file = input.files?.[0];
    input.value = "";
    if (!file) return;
    if (file.size > MOST_BYTES)
      trouble.set(`${file.name}: That is more than a table of ${most} points: take fewer rows.`, "error");
    else read(await file.text().catch(() => ""), file.name);
  });
  const file = h("label", { class: "companion-button companion-file" }, input, "A file …");
  const paste = button({ label: "Take these", onClick: () => read(text.value, "What was pasted") });
  const box = h(
    "div",
    { class: "companion-panel", role: "group", "aria-label": "Your own table" },
    h(
      "label",
      { for: id },
      `Two columns of numbers, ${fewest} to ${most} rows, as CSV or out of a spreadsheet. They stay on your machine.`,
    ),
    text,
    row(paste.el, file),
    trouble.el,
  );
  const open = button({
    label: "Your own points …",
    onClick() {
      box.hidden = !box.hidden;
      open.el.setAttribute("aria-expanded", String(!box.hidden));
      if (!box.hidden) text.focus();
    },
  });
  box.hidden = true;
  open.el.setAttribute("aria-expanded", "false");
  return { button: open.el, el: box };
}

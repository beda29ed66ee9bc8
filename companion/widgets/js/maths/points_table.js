// Points out of a table in text: two columns of numbers, as a spreadsheet exports or copies them.

const MOST_LENGTH = 200_000; // characters

/** A number as it is written, with a decimal comma where commas part no columns. @param {string} field @param {boolean} commas */
const numberOf = (field, commas) => {
  const plain = field
    .trim()
    .replace(/^"(.*)"$/, "$1")
    .trim();
  const text = commas ? plain.replace(",", ".") : plain;
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
};

/** @param {string} field */
const quoted = (field) => (field.length > 20 ? `“${field.slice(0, 20)}…”` : `“${field}”`);

/**
 * The points in a text, x, y, x, y, …: a row a line, parted by tab, semicolon, comma or blanks; one line of names may
 * stand above.
 * @param {string} text @param {number} fewest @param {number} most points
 * @throws {Error} a sentence that says what was expected
 */
export function readPoints(text, fewest, most) {
  if (text.length > MOST_LENGTH)
    throw new Error(`That is more than a table of ${most} points: take fewer rows.`);
  if (text.includes("\0") || text.includes("\uFFFD"))
    throw new Error("That is no text: a table of two columns of numbers is expected (CSV).");
  const lines = text
    .replace(/^\uFEFF/, "")
    .split(/\r\n|\r|\n/)
    .map((line, k) => ({ line: line.trim(), at: k + 1 }))
    .filter(({ line }) => line);
  if (!lines.length) throw new Error("There is nothing in it: two columns of numbers are expected.");
  const sign = ["\t", ";", ","].find((mark) => lines.some(({ line }) => line.includes(mark)));
  const parted = lines.map(({ line, at }) => ({ at, fields: line.split(sign ?? /\s+/) }));
  /** @param {string[]} fields */
  const values = (fields) => fields.map((field) => numberOf(field, sign !== ","));
  if (values(parted[0].fields).every(Number.isNaN)) parted.shift();
  /** @type {number[]} */
  const points = [];
  for (const { at, fields } of parted) {
    if (fields.length !== 2)
      throw new Error(
        `Line ${at} has ${fields.length} ${fields.length === 1 ? "column" : "columns"}: two are expected.`,
      );
    const row = values(fields);
    const bad = row.findIndex((value) => !(Math.abs(value) <= 1e9));
    if (bad >= 0)
      throw new Error(
        `Line ${at} has ${quoted(fields[bad].trim())} where a number from −1e9 to 1e9 is expected.`,
      );
    points.push(...row);
  }
  const count = points.length / 2;
  if (count < fewest || count > most)
    throw new Error(
      `It has ${count} ${count === 1 ? "row" : "rows"} of numbers: ${fewest} to ${most} are expected.`,
    );
  return points;
}

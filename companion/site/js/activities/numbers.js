// Numbers as people type them.

/** @param {string} text without spaces @returns {number[]} all that it may mean */
function meanings(text) {
  if (text === "") return [];
  const found = [Number(text.replaceAll(",", "."))];
  // Thousands as this book writes them, and as Italians do.
  if (/^-?\d{1,3}(,\d{3})+(\.\d+)?$/.test(text)) found.push(Number(text.replaceAll(",", "")));
  if (/^-?\d{1,3}(\.\d{3})+(,\d+)?$/.test(text))
    found.push(Number(text.replaceAll(".", "").replace(",", ".")));
  return found.filter(Number.isFinite);
}

/**
 * All that a number may mean: 0.5, 0,5, −0.5, 1/2, 50 %, 61,100,840, 37.8 million. "1,281" may be 1.281 or 1281, so an
 * answer is right if one of its meanings is. None for what is no number.
 * @param {string} text
 * @returns {number[]}
 */
export function readings(text) {
  const tidy = text.replaceAll(/\s/g, "").replaceAll("−", "-").toLowerCase();
  const unit = /(%|percent|million|millions)$/.exec(tidy)?.[0] ?? "";
  const [top, bottom = "1", ...more] = tidy.slice(0, tidy.length - unit.length).split("/");
  if (more.length) return [];
  const values = meanings(top).flatMap((a) => meanings(bottom).map((b) => a / b));
  const all = unit.startsWith("million") ? [...values, ...values.map((v) => 1e6 * v)] : values;
  return all.filter(Number.isFinite);
}

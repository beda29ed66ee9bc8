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

/** @param {string} text a number, a root, or one of them to a power: 64, √2, sqrt(2), 64^2 @returns {number[]} */
function powers(text) {
  const sign = text.startsWith("-") ? -1 : 1; // -2^2 is -4
  const [base, exponent = "1", ...more] = text.slice(sign < 0 ? 1 : 0).split("^");
  if (more.length) return [];
  const under = /^(?:√|sqrt)(?:\((.+)\)|(.+))$/.exec(base);
  const bases = under ? meanings(under[1] ?? under[2]).map(Math.sqrt) : meanings(base);
  return bases.flatMap((b) => meanings(exponent).map((e) => sign * b ** e));
}

/** @param {string} text factors: 27*64^2, 6.9·10^-3 @returns {number[]} all that their product may mean */
function products(text) {
  return text
    .split(/[*·×]/)
    .map(powers)
    .reduce((found, factor) => found.flatMap((a) => factor.map((b) => a * b)), [1]);
}

const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/**
 * All that a number may mean: 0.5, 0,5, −0.5, 1/2, 50 %, 61,100,840, 37.8 million, √2, 27*64^2, 27·64². "1,281" may be
 * 1.281 or 1281, so an answer is right if one of its meanings is. None for what is no number.
 * @param {string} text
 * @returns {number[]}
 */
export function readings(text) {
  const tidy = text
    .replaceAll(/\s/g, "")
    .replaceAll("−", "-")
    .replaceAll("**", "^")
    .replaceAll(/⁻?[⁰¹²³⁴⁵⁶⁷⁸⁹]+/g, (raised) =>
      ["^", ...raised].map((c) => (c === "⁻" ? "-" : RAISED.includes(c) ? RAISED.indexOf(c) : c)).join(""),
    )
    .toLowerCase();
  const unit = /(%|percent|million|millions)$/.exec(tidy)?.[0] ?? "";
  const [top, bottom = "1", ...more] = tidy.slice(0, tidy.length - unit.length).split("/");
  if (more.length) return [];
  const values = products(top).flatMap((a) => products(bottom).map((b) => a / b));
  const all = unit.startsWith("million") ? [...values, ...values.map((v) => 1e6 * v)] : values;
  return all.filter(Number.isFinite);
}

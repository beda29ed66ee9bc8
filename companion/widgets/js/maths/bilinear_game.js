// The game x·y, in which x steps down the gradient and y up: companion.by_hand.bilinear_game.

/** @typedef {"simultaneous" | "alternating" | "extra-gradient"} Rule */
/** @typedef {[x: number, y: number]} Place */

/** @type {Record<Rule, (x: number, y: number, step: number) => Place>} */
const RULES = {
  simultaneous: (x, y, step) => [x - step * y, y + step * x],
  alternating(x, y, step) {
    const next = x - step * y;
    return [next, y + step * next];
  },
  "extra-gradient"(x, y, step) {
    const [ahead, above] = [x - step * y, y + step * x];
    return [x - step * above, y + step * ahead];
  },
};

export const rules = /** @type {Rule[]} */ (Object.keys(RULES));

/** Where the players are after 0, 1, … steps. @param {Rule} rule @param {number} step @param {number} steps @param {Place} start */
export function trajectory(rule, step, steps, start) {
  const places = [start];
  for (let t = 0; t < steps; t += 1) places.push(RULES[rule](...places[t], step));
  return places;
}

/**
 * By which factor a step multiplies the distance from (0, 0): exactly, but for "alternating" over many steps, where the
 * distance goes up and down on an ellipse as long as the step is below 2.
 * @param {Rule} rule @param {number} step below 2
 */
export function growth(rule, step) {
  if (rule === "alternating") return 1;
  const square = step * step;
  return Math.sqrt(rule === "simultaneous" ? 1 + square : 1 - square + square * square);
}

// Random numbers from a seed: the same as companion/widgets/noise.py draws.

// The finaliser of MurmurHash3 (Appleby, public domain): scatters 32-bit integers one to one.
/** @param {number} value */
function scatter(value) {
  let x = value | 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}

/**
 * `count` numbers between 0 and 1 that depend on nothing but `seed` (a 32-bit integer): scattered
 * counters. `companion.widgets.noise.uniform` gives the same numbers.
 * @param {number} seed @param {number} count
 */
export function uniform(seed, count) {
  const key = scatter(seed ^ 0x9e3779b9);
  return Float64Array.from({ length: count }, (_, i) => (scatter(scatter(i) ^ key) + 0.5) / 2 ** 32);
}

/**
 * `count` draws of N(0, 1): `uniform` numbers through Box–Muller.
 * `companion.widgets.noise.noise` gives the same numbers.
 * @param {number} seed @param {number} count
 */
export function noise(seed, count) {
  const draws = uniform(seed, count + (count % 2));
  for (let i = 0; i < draws.length; i += 2) {
    const radius = Math.sqrt(-2 * Math.log(draws[i]));
    const angle = 2 * Math.PI * draws[i + 1];
    draws[i] = radius * Math.cos(angle);
    draws[i + 1] = radius * Math.sin(angle);
  }
  return draws.subarray(0, count);
}

/**
 * A seed that depends on `seed` and whole numbers (a step, an input, an epoch); `companion.widgets.noise.branch`.
 * @param {number} seed @param {...number} numbers
 */
export function branch(seed, ...numbers) {
  let key = seed;
  for (const number of numbers) key = scatter(scatter(number) ^ scatter(key ^ 0x9e3779b9));
  return key;
}

/**
 * The numbers 0 … count − 1 in an order that depends on nothing but `seed`.
 * @param {number} seed @param {number} count
 */
export function permutation(seed, count) {
  const draws = uniform(seed, count);
  return Uint32Array.from(draws.keys()).sort((a, b) => draws[a] - draws[b] || a - b);
}

/**
 * The rows of a data set of `count` that training step `step` takes: `companion.widgets.noise.batch_rows`. It
 * keeps the order of the last epoch that it was asked for.
 * @param {number} seed @param {number} count
 */
export function batches(seed, count) {
  let epoch = -1;
  /** @type {Uint32Array} */
  let order = new Uint32Array();
  /** @param {number} step @param {number} batch */
  return (step, batch) => {
    if (batch === count) return Uint32Array.from({ length: count }, (_, i) => i);
    const each = Math.floor(count / batch);
    const now = Math.floor(step / each);
    if (now !== epoch) order = permutation(branch(seed, 0, now), count);
    epoch = now;
    const start = (step % each) * batch;
    return order.subarray(start, start + batch);
  };
}

/**
 * What the noise input at `place` of a training step is given: `companion.widgets.noise.step_noise`.
 * @param {number} seed @param {number} step @param {number} place @param {string} distribution
 * @param {number} count
 */
export function stepNoise(seed, step, place, distribution, count) {
  const key = branch(seed, 1, step, place);
  if (distribution === "normal") return Float32Array.from(noise(key, count));
  return Float32Array.from(uniform(key, count), (u) => Math.floor(u * 2 ** 24) / 2 ** 24);
}

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

// The mathematics of companion/by_hand/classification.py for one image, in the page: logits z, label y.

/** softmax(z/T), with the largest logit taken out first so that nothing overflows. @param {number[]} z */
export function softmax(z, temperature = 1) {
  const largest = Math.max(...z);
  const e = z.map((v) => Math.exp((v - largest) / temperature));
  const sum = e.reduce((a, b) => a + b, 0);
  return e.map((v) => v / sum);
}

/** −log softmax(z/T)_y in nats, finite for all finite logits. @param {number[]} z @param {number} y */
export function crossEntropy(z, y, temperature = 1) {
  const largest = Math.max(...z);
  const sum = z.reduce((a, v) => a + Math.exp((v - largest) / temperature), 0);
  return Math.log(sum) - (z[y] - largest) / temperature;
}

/** ∂/∂z of crossEntropy: (p − y)/T, y as a one-hot vector. @param {number[]} z @param {number} y */
export const crossEntropyGradient = (z, y, temperature = 1) =>
  softmax(z, temperature).map((p, k) => (p - (k === y ? 1 : 0)) / temperature);

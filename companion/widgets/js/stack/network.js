// A small network as a page computes it by itself: weights out of base64, stages, dense layers.

import { addingUp, stageOf } from "../maths/convolution.js";
import { fixed } from "../ui/controls.js";

/** @import { Layer, Maps, Stage } from "../maths/convolution.js" */

/**
 * @typedef {object} Packed
 * @property {{ shape: [number, number, number], padding: number, stride: number, pool: number }[]} stages
 * @property {{ shape: [number, number], rectified: boolean }[]} dense
 * @property {"float16" | "float32"} format
 * @property {string} weights base64: those of each layer, in order
 * @property {string} numbers base64: for each layer a factor for the weights of each unit, then the biases
 */
/** @typedef {{ weight: Float64Array, bias: Float64Array, rectified: boolean }} Dense */

/**
 * Two decimals, some of them rounded the other way, so that what is written adds up.
 * @type {import("./step.js").Writing}
 */
export const rounded = {
  format: (value) => fixed(value),
  parts: (parts, total) => addingUp(parts, 2, total),
  equals: "≈",
};

/** @param {string} text */
export const bytesOf = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

/** The value of a float16. @param {number} bits */
function half(bits) {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  return (
    (bits >> 15 ? -1 : 1) * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction)
  );
}

/** @param {Packed} packed @returns {{ layers: Layer[], dense: Dense[] }} */
export function unpacked({ stages, dense, format, weights, numbers }) {
  const { buffer } = bytesOf(weights);
  const raw =
    format === "float16" ? Float64Array.from(new Uint16Array(buffer), half) : new Float32Array(buffer);
  const few = new Float64Array(bytesOf(numbers).buffer);
  let [w, n] = [0, 0];
  /** @param {number} units @param {number} each weights of one */
  const take = (units, each) => {
    const [scale, bias] = [few.subarray(n, n + units), few.subarray(n + units, n + 2 * units)];
    const weight = Float64Array.from(
      { length: units * each },
      (_, i) => raw[w + i] * scale[Math.floor(i / each)],
    );
    w += units * each;
    n += 2 * units;
    return { weight, bias };
  };
  const layers = stages.map((stage) => {
    const [filters, channels, k] = stage.shape;
    return { ...stage, ...take(filters, channels * k * k) };
  });
  return {
    layers,
    dense: dense.map(({ shape, rectified }) => ({ rectified, ...take(shape[0], shape[1]) })),
  };
}

/**
 * All that a network makes of an image: input and results of each stage, and the logits.
 * @param {ReturnType<typeof unpacked>} network @param {ArrayLike<number>} image @param {number} side
 */
export function forward({ layers, dense }, image, side) {
  /** @type {{ input: Maps, stage: Stage }[]} */
  const seen = [];
  let maps = /** @type {Maps} */ ({ values: image, shape: [1, side, side] });
  for (const layer of layers) {
    const stage = stageOf(maps, layer);
    seen.push({ input: maps, stage });
    maps = stage.pooled;
  }
  let x = Array.from(maps.values);
  for (const { weight, bias, rectified } of dense)
    x = Array.from(bias, (b, unit) => {
      let y = b;
      for (let i = 0; i < x.length; i += 1) y += weight[unit * x.length + i] * x[i];
      return rectified ? Math.max(0, y) : y;
    });
  return { image, seen, logits: x };
}

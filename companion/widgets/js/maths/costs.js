// What layers cost, counted as companion/explain/costs.py counts: multiplications for one image, and
// parameters.

/** @typedef {{ multiplications: number, parameters: number }} Cost */
/** @typedef {{ kernel: number, inChannels: number, outChannels: number }} Conv */
/** @typedef {{ name: string, convs: Conv[], outChannels: number }} Branch of an Inception module */
/** @typedef {{ operator: string, layers: number, channels: number, size: number, cost: Cost }} Stage */
/** @typedef {{ width: number, depth: number, resolution: number }} Plan how an EfficientNet is scaled */

/** @param {...Cost} costs */
export const add = (...costs) =>
  costs.reduce(
    (a, b) => ({
      multiplications: a.multiplications + b.multiplications,
      parameters: a.parameters + b.parameters,
    }),
    { multiplications: 0, parameters: 0 },
  );

/**
 * A convolution with an output of size×size; `extra` parameters for each output channel beside the weights.
 * @param {number} size @param {number} inChannels @param {number} outChannels @param {number} kernel
 * @param {{ groups?: number, extra?: number }} [options]
 * @returns {Cost}
 */
export function conv(size, inChannels, outChannels, kernel, { groups = 1, extra = 1 } = {}) {
  const weights = kernel ** 2 * (inChannels / groups) * outChannels;
  return { multiplications: size ** 2 * weights, parameters: weights + extra * outChannels };
}

// ---------------------------------------------------------------- an Inception module

/**
 * The four branches.
 * @param {number} depth @param {number[]} widths @param {boolean} bottlenecks @param {number} five
 * @returns {Branch[]}
 */
export function inceptionBranches(depth, widths, bottlenecks, five) {
  const [ones, reduceThrees, threes, reduceFives, fives, poolProjection] = widths;
  /** @param {number} kernel @param {number} inChannels @param {number} outChannels */
  const step = (kernel, inChannels, outChannels) => ({ kernel, inChannels, outChannels });
  /** @param {number} width @param {number} kernel @param {number} outChannels */
  const reduced = (width, kernel, outChannels) =>
    bottlenecks
      ? [step(1, depth, width), step(kernel, width, outChannels)]
      : [step(kernel, depth, outChannels)];
  return [
    { name: "1×1", convs: [step(1, depth, ones)], outChannels: ones },
    { name: "3×3", convs: reduced(reduceThrees, 3, threes), outChannels: threes },
    { name: `${five}×${five}`, convs: reduced(reduceFives, five, fives), outChannels: fives },
    {
      name: "pool",
      convs: bottlenecks ? [step(1, depth, poolProjection)] : [],
      outChannels: bottlenecks ? poolProjection : depth,
    },
  ];
}

/** @param {Branch} branch @param {number} size */
export const branchCost = (branch, size) =>
  add(...branch.convs.map((c) => conv(size, c.inChannels, c.outChannels, c.kernel)));

// ---------------------------------------------------------------- EfficientNet

// Stages 2 to 8 of EfficientNet-B0: [expansion, kernel, stride, channels, layers].
const B0 = [
  [1, 3, 1, 16, 1],
  [6, 3, 2, 24, 2],
  [6, 5, 2, 40, 2],
  [6, 3, 2, 80, 3],
  [6, 5, 1, 112, 3],
  [6, 5, 2, 192, 4],
  [6, 3, 1, 320, 1],
];

/**
 * channels · width, rounded to a multiple of 8, but never down by more than a tenth.
 * @param {number} channels @param {number} width
 */
export function scaledChannels(channels, width) {
  const scaled = channels * width;
  const rounded = Math.max(8, Math.floor(Math.floor(scaled + 4) / 8) * 8);
  return rounded < 0.9 * scaled ? rounded + 8 : rounded;
}

/** @param {number} size @param {number} stride */
const halved = (size, stride) => Math.ceil(size / stride);

/**
 * @param {number} size @param {number} inChannels @param {number} outChannels @param {number} expansion
 * @param {number} kernel @param {number} stride
 */
function mbconv(size, inChannels, outChannels, expansion, kernel, stride) {
  const wide = expansion * inChannels;
  const after = halved(size, stride);
  const reduced = Math.max(1, Math.floor(inChannels / 4));
  return add(
    ...(expansion > 1 ? [conv(size, inChannels, wide, 1, { extra: 2 })] : []),
    conv(after, wide, wide, kernel, { groups: wide, extra: 2 }),
    conv(1, wide, reduced, 1),
    conv(1, reduced, wide, 1),
    conv(after, wide, outChannels, 1, { extra: 2 }),
  );
}

/** The nine stages; `size` is the side of an output. @param {Plan} plan @returns {Stage[]} */
export function efficientnetStages({ width, depth, resolution }, classes = 1000) {
  let channels = scaledChannels(32, width);
  let size = halved(resolution, 2);
  const stages = [
    { operator: "Conv 3×3", layers: 1, channels, size, cost: conv(size, 3, channels, 3, { extra: 2 }) },
  ];
  for (const [expansion, kernel, stride, base, repeats] of B0) {
    const layers = Math.ceil(repeats * depth);
    const after = scaledChannels(base, width);
    const first = mbconv(size, channels, after, expansion, kernel, stride);
    channels = after;
    size = halved(size, stride);
    // All later blocks of a stage are alike.
    const again = mbconv(size, channels, channels, expansion, kernel, 1);
    const cost = add(first, {
      multiplications: (layers - 1) * again.multiplications,
      parameters: (layers - 1) * again.parameters,
    });
    stages.push({ operator: `MBConv${expansion} ${kernel}×${kernel}`, layers, channels, size, cost });
  }
  const last = 4 * channels;
  stages.push({
    operator: "Conv 1×1, dense",
    layers: 1,
    channels: last,
    size,
    cost: add(conv(size, channels, last, 1, { extra: 2 }), conv(1, last, classes, 1)),
  });
  return stages;
}

/**
 * Compound scaling, and scaling in one dimension alone for about the same operations.
 * @param {number} phi @param {number} alpha @param {number} beta @param {number} gamma
 * @returns {{ [way: string]: Plan }}
 */
export function waysToScale(phi, alpha, beta, gamma) {
  const growth = (alpha * beta ** 2 * gamma ** 2) ** phi;
  const root = Math.sqrt(growth);
  return {
    compound: { width: beta ** phi, depth: alpha ** phi, resolution: Math.round(224 * gamma ** phi) },
    depth: { width: 1, depth: growth, resolution: 224 },
    width: { width: root, depth: 1, resolution: 224 },
    resolution: { width: 1, depth: 1, resolution: Math.round(224 * root) },
  };
}

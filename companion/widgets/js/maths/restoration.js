// Restoring an image without any training: the same as companion/by_hand/restoration.py.
// An image is height·width numbers in [0, 1], row by row.

/** @typedef {ArrayLike<number>} Image */
/** @typedef {[height: number, width: number]} Size */

const LEAST = 1e-6; // of a mean squared error: what is equal has 60 dB

/**
 * 10·log₁₀(1/MSE) in dB, at most 60; of the pixels that `where` marks, if it is given; null if there is none.
 * @param {Image} x @param {Image} other @param {ArrayLike<number> | null} [where]
 */
export function psnr(x, other, where) {
  let [sum, count] = [0, 0];
  for (let i = 0; i < x.length; i += 1) {
    if (where && !where[i]) continue;
    sum += (x[i] - other[i]) ** 2;
    count += 1;
  }
  return count ? -10 * Math.log10(Math.max(LEAST, sum / count)) : null;
}

/**
 * Each pixel becomes the median of those within `radius` of it.
 * @param {Image} image @param {Size} size @param {number} radius
 */
export function median(image, [height, width], radius) {
  /** @type {[number, number][]} */
  const near = [];
  for (let i = -radius; i <= radius; i += 1) {
    for (let j = -radius; j <= radius; j += 1) if (i * i + j * j <= radius * radius) near.push([i, j]);
  }
  const inside = (/** @type {number} */ k, /** @type {number} */ n) => Math.min(n - 1, Math.max(0, k));
  const values = new Float32Array(near.length);
  return Float32Array.from({ length: height * width }, (_, at) => {
    const [r, c] = [Math.floor(at / width), at % width];
    near.forEach(([i, j], k) => {
      values[k] = image[inside(r + i, height) * width + inside(c + j, width)];
    });
    return values.sort()[(near.length - 1) / 2];
  });
}

/**
 * The u that minimises ½‖x − u‖² + weight·Σ|∇u|, by `steps` steps of Chambolle's iteration.
 * @param {Image} image @param {Size} size @param {number} weight
 */
export function totalVariation(image, [height, width], weight, steps = 100) {
  const count = height * width;
  const [down, right, u] = [0, 1, 2].map(() => new Float64Array(count));
  const restore = () => {
    for (let r = 0, i = 0; r < height; r += 1) {
      for (let c = 0; c < width; c += 1, i += 1) {
        u[i] = image[i] - down[i] - right[i] + (r ? down[i - width] : 0) + (c ? right[i - 1] : 0);
      }
    }
  };
  for (let step = 0; step < steps; step += 1) {
    restore();
    for (let r = 0, i = 0; r < height; r += 1) {
      for (let c = 0; c < width; c += 1, i += 1) {
        const dy = r < height - 1 ? u[i + width] - u[i] : 0;
        const dx = c < width - 1 ? u[i + 1] - u[i] : 0;
        const shrink = 1 + Math.sqrt(dx * dx + dy * dy) / (4 * weight);
        down[i] = (down[i] - dy / 4) / shrink;
        right[i] = (right[i] - dx / 4) / shrink;
      }
    }
  }
  restore();
  return Float32Array.from(u);
}

/**
 * L·u: of each pixel, the differences to its neighbours added up; a missing neighbour counts as equal.
 * @param {Float64Array} u @param {Float64Array} into @param {Size} size
 */
function laplacian(u, into, [height, width]) {
  for (let r = 0, i = 0; r < height; r += 1) {
    for (let c = 0; c < width; c += 1, i += 1) {
      let sum = 0;
      if (r) sum += u[i] - u[i - width];
      if (r < height - 1) sum += u[i] - u[i + width];
      if (c) sum += u[i] - u[i - 1];
      if (c < width - 1) sum += u[i] - u[i + 1];
      into[i] = sum;
    }
  }
}

/**
 * Hidden pixels become the smoothest continuation of the visible ones, kept between the least and the greatest
 * of those; the system is solved by conjugate gradients. An image without a visible pixel stays as it is.
 * @param {Image} image @param {ArrayLike<number>} hidden 1 where a pixel is hidden @param {Size} size
 */
export function biharmonic(image, hidden, size) {
  const at = Array.from(image, (_, i) => i).filter((i) => hidden[i]);
  if (!at.length || at.length === image.length) return Float32Array.from(image);
  let [low, high] = [Infinity, -Infinity];
  for (let i = 0; i < image.length; i += 1) {
    if (hidden[i]) continue;
    low = Math.min(low, image[i]);
    high = Math.max(high, image[i]);
  }
  const [once, rough] = [new Float64Array(image.length), new Float64Array(image.length)];
  const apply = (/** @type {Float64Array} */ v) => {
    laplacian(v, once, size);
    laplacian(once, rough, size);
  };
  const u = Float64Array.from(image, (value, i) => (hidden[i] ? (low + high) / 2 : value));
  const [residual, way] = [new Float64Array(image.length), new Float64Array(image.length)];
  apply(u);
  let squared = 0;
  for (const i of at) {
    residual[i] = -rough[i];
    way[i] = residual[i];
    squared += residual[i] ** 2;
  }
  const enough = 1e-20 * squared;
  for (let step = 0; step < 4 * image.length && squared > enough; step += 1) {
    apply(way);
    let along = 0;
    for (const i of at) along += way[i] * rough[i];
    const length = squared / along;
    let next = 0;
    for (const i of at) {
      u[i] += length * way[i];
      residual[i] -= length * rough[i];
      next += residual[i] ** 2;
    }
    for (const i of at) way[i] = residual[i] + (next / squared) * way[i];
    squared = next;
  }
  return Float32Array.from(u, (value, i) => (hidden[i] ? Math.min(high, Math.max(low, value)) : value));
}

// Lines of a round pen as an image: what is under the pen has 1, with a soft edge one pixel wide.
// Coordinates are pixels: the image's top left corner is (0, 0), the middle of its first pixel (0.5, 0.5).

import { uniform } from "./noise.js";

/** @typedef {[x: number, y: number][]} Stroke one point is a dot */

/**
 * Draw a line from (x0, y0) to (x1, y1) into an image; where lines cross, the darker one counts.
 * @param {Float32Array} image height·width numbers, row by row
 * @param {number} width of the image
 * @param {number} radius of the pen
 * @param {[number, number]} from
 * @param {[number, number]} to
 */
export function drawLine(image, width, radius, [x0, y0], [x1, y1]) {
  const height = image.length / width;
  const reach = radius + 0.5;
  const first = (/** @type {number} */ a, /** @type {number} */ b) =>
    Math.max(0, Math.floor(Math.min(a, b) - reach));
  const end = (/** @type {number} */ a, /** @type {number} */ b, /** @type {number} */ size) =>
    Math.min(size, Math.ceil(Math.max(a, b) + reach));
  const [dx, dy] = [x1 - x0, y1 - y0];
  const squared = dx * dx + dy * dy;
  for (let r = first(y0, y1); r < end(y0, y1, height); r += 1) {
    for (let c = first(x0, x1); c < end(x0, x1, width); c += 1) {
      const [px, py] = [c + 0.5 - x0, r + 0.5 - y0];
      const share = squared ? Math.min(1, Math.max(0, (px * dx + py * dy) / squared)) : 0;
      const ink = Math.min(1, reach - Math.hypot(px - share * dx, py - share * dy));
      const i = r * width + c;
      if (ink > image[i]) image[i] = ink;
    }
  }
}

/**
 * The image of some strokes, values in [0, 1].
 * @param {Stroke[]} strokes
 * @param {{ height: number, width: number, radius: number }} options
 */
export function rasterise(strokes, { height, width, radius }) {
  const image = new Float32Array(height * width);
  for (const stroke of strokes) {
    stroke.forEach((point, k) => drawLine(image, width, radius, stroke[Math.max(0, k - 1)], point));
  }
  return image;
}

/**
 * The strokes as MNIST has its digits: their bounding box scaled so that its longer side, pen included, takes
 * `share` of the image's, and moved so that the centre of mass lies in the middle. None stays none.
 * @param {Stroke[]} strokes
 * @param {{ height: number, width: number, radius: number, share?: number }} options
 * @returns {Stroke[]}
 */
export function centred(strokes, { height, width, radius, share = 20 / 28 }) {
  const points = strokes.flat();
  if (!points.length) return [];
  const sides = [0, 1].map((axis) => points.map((point) => point[axis]));
  const low = sides.map((values) => Math.min(...values));
  const size = Math.max(...sides.map((values, axis) => Math.max(...values) - low[axis]));
  const room = Math.max(0, share * Math.min(height, width) - 2 * radius);
  const scale = size > 0 ? room / size : 1;
  /** @type {Stroke[]} */
  const scaled = strokes.map((stroke) =>
    stroke.map(([x, y]) => [(x - low[0]) * scale, (y - low[1]) * scale]),
  );
  // The mass is counted in an image that surely holds all of it.
  const edge = Math.ceil(room + 2 * radius + 2);
  const around = { height: edge, width: edge, radius };
  const [dx, dy] = [radius + 1, radius + 1];
  const image = rasterise(shifted(scaled, dx, dy), around);
  let [mass, x, y] = [0, 0, 0];
  image.forEach((ink, i) => {
    mass += ink;
    x += ink * ((i % edge) + 0.5);
    y += ink * (Math.floor(i / edge) + 0.5);
  });
  if (!mass) return strokes;
  return shifted(scaled, width / 2 - (x / mass - dx), height / 2 - (y / mass - dy));
}

/** @param {Stroke[]} strokes @param {number} dx @param {number} dy @returns {Stroke[]} */
const shifted = (strokes, dx, dy) => strokes.map((stroke) => stroke.map(([x, y]) => [x + dx, y + dy]));

/**
 * The strokes of a drawing and their image, which grows with each line.
 * @param {{ height: number, width: number, radius: number }} size
 */
export function drawing(size) {
  /** @type {Stroke[]} */
  let strokes = [];
  let image = rasterise(strokes, size);
  return {
    strokes: () => strokes,
    image: () => image,
    /** Put the pen down: a dot. @param {number} x @param {number} y */
    begin(x, y) {
      strokes.push([[x, y]]);
      drawLine(image, size.width, size.radius, [x, y], [x, y]);
    },
    /** Draw on from where the pen is. @param {number} x @param {number} y */
    lineTo(x, y) {
      const stroke = strokes[strokes.length - 1];
      drawLine(image, size.width, size.radius, stroke[stroke.length - 1], [x, y]);
      stroke.push([x, y]);
    },
    /** @param {Stroke[]} next */
    set(next) {
      strokes = next;
      image = rasterise(strokes, size);
    },
  };
}

/**
 * As many points on a drawing as are wanted, spread evenly over its ink; null without any. They are from −1 to 1 in both
 * directions, and thousandths.
 * @param {Float32Array} image side×side @param {number} side @param {number} count
 * @returns {[x: number, y: number][] | null}
 */
export function pointsOn(image, side, count) {
  const ink = image.reduce((a, b) => a + b, 0);
  if (ink < 1) return null;
  const jitter = uniform(0, 2 * count);
  let [pixel, sum] = [0, image[0]];
  return Array.from({ length: count }, (_, k) => {
    const wanted = ((k + 0.5) / count) * ink;
    while (sum < wanted && pixel < image.length - 1) {
      pixel += 1;
      sum += image[pixel];
    }
    const place = (/** @type {number} */ i, /** @type {number} */ u) =>
      Math.round(1000 * ((2 * (i + u)) / side - 1)) / 1000;
    return [place(pixel % side, jitter[2 * k]), -place(Math.floor(pixel / side), jitter[2 * k + 1])];
  });
}

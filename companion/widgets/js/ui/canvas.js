// Draws images of the models (N×C×H×W, values in [0, 1], C 1 or 3) on a canvas, pixel by pixel.

/** Write image `index` into an ImageData of its size. */
function fill(into, images, [channels, height, width], index) {
  const plane = height * width;
  const start = index * channels * plane;
  const step = channels === 1 ? 0 : plane; // one channel is shown as grey
  const out = into.data; // clamps and rounds by itself
  for (let i = 0, o = 0; i < plane; i += 1, o += 4) {
    out[o] = 255 * images[start + i];
    out[o + 1] = 255 * images[start + step + i];
    out[o + 2] = 255 * images[start + 2 * step + i];
    out[o + 3] = 255;
  }
}

/**
 * A canvas of `columns`×`rows` images, one canvas pixel an image pixel; CSS makes it larger.
 *
 * `smooth`: let the browser blur between pixels when it scales (for many small images); otherwise
 * pixels stay sharp squares at every size and device resolution.
 * -> {el, draw(images, index, column, row)}
 */
export function imageGrid(shape, { columns = 1, rows = 1, gap = 0, smooth = false, label } = {}) {
  const [, height, width] = shape;
  const el = document.createElement("canvas");
  el.width = columns * width + (columns - 1) * gap;
  el.height = rows * height + (rows - 1) * gap;
  el.style.imageRendering = smooth ? "auto" : "pixelated";
  if (label) {
    el.setAttribute("role", "img");
    el.setAttribute("aria-label", label);
  } else {
    el.setAttribute("aria-hidden", "true");
  }
  const context = el.getContext("2d");
  const buffer = new ImageData(width, height);
  return {
    el,
    draw(images, index = 0, column = 0, row = 0) {
      fill(buffer, images, shape, index);
      context.putImageData(buffer, column * (width + gap), row * (height + gap));
    },
  };
}

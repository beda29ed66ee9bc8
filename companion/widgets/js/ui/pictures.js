// Pictures as pixels: those that a widget brings, and a reader's own file, which stays in the page.

import { h } from "./controls.js";

/**
 * @typedef {object} Fit how a picture is scaled
 * @property {number} [largest] its longer side becomes at most this many pixels
 * @property {number} [square] its middle square becomes this many pixels wide and high
 */

/**
 * The pixels of a picture. What is transparent in it becomes white.
 * @param {HTMLImageElement} image one that has loaded
 * @param {Fit} [fit]
 */
export function pixelsOf(image, { largest = Infinity, square } = {}) {
  const [wide, high] = [image.naturalWidth, image.naturalHeight];
  if (!wide || !high) throw new Error("the picture is empty");
  const short = Math.min(wide, high);
  const [x, y, w, t] = square ? [(wide - short) / 2, (high - short) / 2, short, short] : [0, 0, wide, high];
  const scale = Math.min(1, largest / Math.max(wide, high));
  const [width, height] = [w, t].map((n) => square ?? Math.max(5, Math.round(n * scale)));
  const canvas = h("canvas", { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("this browser draws no pictures");
  context.imageSmoothingQuality = "high";
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.drawImage(image, x, y, w, t, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

/**
 * The pixels of the picture at an address.
 * @param {string} address
 * @param {Fit} [fit]
 */
export async function loadPicture(address, fit) {
  const image = new Image();
  image.src = address;
  await image.decode().catch(() => {
    throw new Error("a picture of this figure did not load");
  });
  return pixelsOf(image, fit);
}

/**
 * @typedef {object} FileOptions
 * @property {string} [label]
 * @property {Fit} [fit]
 * @property {(pixels: ImageData, name: string) => void} onPicture
 * @property {(sentence: string) => void} onTrouble "" once a picture could be read
 */

/**
 * A button that lets the reader open a picture of their own. It is read here and sent nowhere.
 * @param {FileOptions} options
 */
export function pictureFile({ label = "Your own picture …", fit, onPicture, onTrouble }) {
  const input = h("input", { type: "file", accept: "image/*", class: "companion-cover" });
  input.addEventListener("change", async () => {
    const file = input.files?.[0];
    if (!file) return;
    const address = URL.createObjectURL(file);
    try {
      const pixels = await loadPicture(address, fit);
      onTrouble("");
      onPicture(pixels, file.name);
    } catch {
      onTrouble(`${file.name} could not be read as a picture. A PNG or JPEG file is expected.`);
    } finally {
      URL.revokeObjectURL(address);
      input.value = "";
    }
  });
  const title = "It stays on your machine";
  return { el: h("label", { class: "companion-button companion-file", title }, input, label), input };
}

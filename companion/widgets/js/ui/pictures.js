// Pictures as pixels: those that a widget brings, and a reader's own (a file chosen, dropped or pasted, or a
// still of their camera), which stay in the page.

import { resized } from "../maths/resize.js";
import { button, h, row } from "./controls.js";

/**
 * @typedef {object} Fit how a picture is scaled
 * @property {number} [largest] its longer side becomes at most this many pixels
 * @property {number} [square] its middle square becomes this many pixels wide and high
 * @property {number} [width] with `height`: the largest part in its middle of these proportions becomes so large
 * @property {number} [height]
 */

const AHEAD = 4; // times the size that is wanted: so large a picture is decoded
const MOST_PIXELS = 100e6; // of a reader's picture: more would take all memory of a phone

/** Pixels as numbers C×H×W in [0, 1]; grey as Pillow weighs colours. @param {ImageData} pixels @param {number} channels */
export function numbersOf({ data, width, height }, channels) {
  const area = height * width;
  const numbers = new Float32Array(channels * area);
  for (let i = 0, o = 0; i < area; i += 1, o += 4) {
    if (channels === 1)
      numbers[i] = ((19595 * data[o] + 38470 * data[o + 1] + 7471 * data[o + 2] + 32768) >> 16) / 255;
    else for (let c = 0; c < 3; c += 1) numbers[c * area + i] = data[o + c] / 255;
  }
  return numbers;
}

/**
 * What of a picture of this size is taken, and how large it becomes.
 * @param {number} wide @param {number} high @param {Fit} [fit]
 */
function cut(wide, high, { largest = Infinity, square, width: across = square, height: down = square } = {}) {
  if (!across || !down) {
    const scale = Math.min(1, largest / Math.max(wide, high));
    const [width, height] = [wide, high].map((n) => Math.max(5, Math.round(n * scale)));
    return { x: 0, y: 0, w: wide, t: high, width, height };
  }
  const scale = Math.min(wide / across, high / down);
  const [w, t] = [across, down].map((n) => n * scale);
  return { x: (wide - w) / 2, y: (high - t) / 2, w, t, width: across, height: down };
}

/**
 * The pixels of what can be drawn. What is transparent in it becomes white.
 * @param {CanvasImageSource} image @param {ReturnType<typeof cut>} part
 */
function drawn(image, { x, y, w, t, width, height }) {
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
  const [wide, high] = [image.naturalWidth, image.naturalHeight];
  if (!wide || !high) throw new Error("the picture is empty");
  return drawn(image, cut(wide, high, fit));
}

/** The size of the picture in a file, from its head alone. @param {Blob} file @returns {Promise<number[]>} */
async function sizeOf(file) {
  const address = URL.createObjectURL(file);
  try {
    const image = new Image();
    await new Promise((resolve, reject) => {
      Object.assign(image, { onload: resolve, onerror: reject, src: address });
    });
    return [image.naturalWidth, image.naturalHeight];
  } finally {
    URL.revokeObjectURL(address);
  }
}

/**
 * The pixels of a reader's file, upright as its camera was held.
 *
 * The largest part in its middle is cut out and scaled with Lanczos' filter, as `companion.datasets.folders.square`
 * does, so that a PNG file gives both the same pixels, give or take 1 in 255. A picture more than four times as large
 * as wanted is first made smaller by the browser while it decodes, beside the page's own thread; and browsers decode
 * JPEG a little differently from Pillow.
 * @param {Blob} file
 * @param {Fit} [fit]
 */
export async function filePixels(file, fit) {
  const [wide, high] = await sizeOf(file);
  if (!wide || !high) throw new Error("it has no size");
  if (wide * high > MOST_PIXELS)
    throw new RangeError(
      `it has ${Math.round((wide * high) / 1e6)} million pixels, and more than ${MOST_PIXELS / 1e6} are not read`,
    );
  const { x, y, w, t, width, height } = cut(wide, high, fit);
  const [left, top] = [Math.floor(x), Math.floor(y)];
  const [across, down] = [Math.ceil(x + w) - left, Math.ceil(y + t) - top];
  const shrink = Math.min(1, (AHEAD * width) / w, (AHEAD * height) / t);
  const [resizeWidth, resizeHeight] = [across, down].map((n) => Math.max(1, Math.round(n * shrink)));
  const size = shrink < 1 ? { resizeWidth, resizeHeight, resizeQuality: /** @type {const} */ ("high") } : {};
  const decoded = await createImageBitmap(file, left, top, across, down, size);
  try {
    const { width: w1, height: t1 } = decoded;
    const pixels = drawn(decoded, { x: 0, y: 0, w: w1, t: t1, width: w1, height: t1 });
    const [kx, ky] = [w1 / across, t1 / down];
    const box = { x: (x - left) * kx, y: (y - top) * ky, w: w * kx, t: t * ky };
    if (w1 === width && t1 === height) return pixels;
    return new ImageData(resized(pixels, box, width, height), width, height);
  } finally {
    decoded.close();
  }
}

/**
 * @typedef {object} FileOptions
 * @property {string} [label]
 * @property {Fit} [fit]
 * @property {(pixels: ImageData, name: string) => void} onPicture
 * @property {(sentence: string) => void} onTrouble "" once a picture could be read
 */

/** Reads files one after the other; the last one counts. @param {FileOptions} options */
function reader({ fit, onPicture, onTrouble }) {
  let newest = 0;
  return async (/** @type {Blob} */ file, /** @type {string} */ name) => {
    newest += 1;
    const mine = newest;
    try {
      const pixels = await filePixels(file, fit);
      if (mine !== newest) return;
      onTrouble("");
      onPicture(pixels, name);
    } catch (error) {
      if (mine !== newest) return;
      const why = error instanceof RangeError ? `: ${error.message}` : "";
      onTrouble(`${name} could not be read as a picture${why}. A PNG or JPEG file is expected.`);
    }
  };
}

/** A button that chooses a file. @param {string} label @param {(file: File) => void} onFile */
function chooser(label, onFile) {
  const input = h("input", { type: "file", accept: "image/*", class: "companion-cover" });
  input.addEventListener("change", () => {
    const file = input.files?.[0];
    if (file) onFile(file);
    input.value = "";
  });
  const title = "It stays on your machine";
  return { el: h("label", { class: "companion-button companion-file", title }, input, label), input };
}

/**
 * A button that lets the reader open a picture of their own. It is read here and sent nowhere.
 * @param {FileOptions} options
 */
export function pictureFile(options) {
  const read = reader(options);
  return chooser(options.label ?? "Your own picture …", (file) => read(file, file.name));
}

/** Whether a page may ask for the camera: not from a folder, nor over plain http. */
const hasCamera = () =>
  Boolean(
    globalThis.isSecureContext && location.protocol !== "file:" && navigator.mediaDevices?.getUserMedia,
  );

/**
 * The camera as a preview from which one still is taken.
 * @param {{ fit?: Fit, onPicture: FileOptions["onPicture"], onTrouble: FileOptions["onTrouble"] }} options
 */
function camera({ fit, onPicture, onTrouble }) {
  const video = h("video", { playsinline: true, "aria-label": "What your camera sees" });
  video.muted = true;
  /** @type {MediaStream | null} */
  let stream = null;
  let wanted = false;
  const close = () => {
    wanted = false;
    for (const track of stream?.getTracks() ?? []) track.stop();
    stream = video.srcObject = null;
    view.hidden = true;
    open.el.hidden = false;
  };
  const take = button({
    label: "Take the picture",
    kind: "primary",
    onClick() {
      if (!video.videoWidth) return;
      const pixels = drawn(video, cut(video.videoWidth, video.videoHeight, fit));
      close();
      open.el.focus();
      onTrouble("");
      onPicture(pixels, "your camera's picture");
    },
  });
  const cancel = button({ label: "Cancel", onClick: close });
  const view = h("div", { class: "companion-camera" }, video, row(take.el, cancel.el));
  view.hidden = true;
  const open = button({
    label: "Camera",
    title: "One still picture, which never leaves your machine",
    async onClick() {
      wanted = true;
      try {
        const opened = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
        stream = opened;
        if (!wanted) return close();
        video.srcObject = opened;
        view.hidden = false;
        open.el.hidden = true;
        await video.play();
        take.el.focus();
      } catch {
        close();
        onTrouble("The camera could not be used: this page may not ask for it, or it is busy elsewhere.");
      }
    },
  });
  return { button: open.el, view, close };
}

/**
 * All ways to a picture of the reader's own: a file chosen, dropped onto `target` or pasted while the pointer or
 * the focus is there; where the page is on https, one still of the camera. `stop` ends them.
 * @param {FileOptions & { target: HTMLElement }} options
 */
export function ownPicture({ target, ...options }) {
  const { onTrouble } = options;
  const read = reader(options);
  const file = chooser(options.label ?? "Your own photograph …", (chosen) => read(chosen, chosen.name));
  const lens = hasCamera() ? camera(options) : null;
  /** @param {DataTransfer | null} data @param {string} how */
  const accept = (data, how) => {
    const files = [...(data?.files ?? [])];
    const picture = files.find(({ type }) => type.startsWith("image/")) ?? files[0];
    if (picture) read(picture, how === "pasted" ? "What was pasted" : picture.name);
    else onTrouble(`What was ${how} holds no file. A PNG or JPEG file is expected.`);
  };
  const hasFiles = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes("Files");
  const over = (/** @type {DragEvent} */ event) => {
    if (!hasFiles(event)) return;
    event.preventDefault(); // else the browser would leave the page for the file
    target.toggleAttribute("data-drop", event.type === "dragover");
  };
  const drop = (/** @type {DragEvent} */ event) => {
    target.removeAttribute("data-drop");
    if (!hasFiles(event)) return;
    event.preventDefault();
    accept(event.dataTransfer, "dropped");
  };
  const paste = (/** @type {ClipboardEvent} */ event) => {
    if (!target.matches(":hover, :focus-within") || !event.clipboardData?.files.length) return;
    event.preventDefault();
    accept(event.clipboardData, "pasted");
  };
  for (const name of ["dragover", "dragleave"]) target.addEventListener(name, /** @type {any} */ (over));
  target.addEventListener("drop", drop);
  document.addEventListener("paste", paste);
  return {
    /** Its buttons, and the camera's view while that is open. */
    els: [file.el, lens?.button],
    view: lens?.view,
    stop() {
      document.removeEventListener("paste", paste);
      lens?.close();
    },
  };
}

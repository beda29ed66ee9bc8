// On a web server: the manifest, by which a browser can install the book, the service worker (../worker.js), and
// the box at the foot of a page that keeps the whole book on the device. From a folder, nothing of it.

const MB = 1e6;
const AT_ONCE = 4;

/** @param {number} bytes */
const megabytes = (bytes) => (bytes / MB).toFixed(bytes < 10 * MB ? 1 : 0);

/**
 * What this page has loaded before the worker was there to see it: fetched once more, out of the browser's own
 * cache where that has it.
 * @param {URL} root
 */
async function keepThisPage(root) {
  const loaded = performance.getEntriesByType("resource").map((entry) => entry.name);
  for (const url of new Set([location.href.split("#")[0], ...loaded]))
    if (url.startsWith(root.href)) await fetch(url, { cache: "force-cache" }).catch(() => {});
}

/**
 * The files of the book that are not on this device.
 * @param {URL} root
 */
async function missingFiles(root) {
  const response = await fetch(new URL("offline.json", root));
  /** @type {{ files: { [path: string]: [hash: string, size: number] } }} */
  const { files } = await response.json();
  const missing = [];
  let total = 0;
  for (const [path, [, size]] of Object.entries(files)) {
    const { href } = new URL(encodeURI(path), root);
    total += size;
    if (!(await caches.match(href))) missing.push({ href, size });
  }
  return { missing, total };
}

/** @param {HTMLElement} box @param {URL} root */
function startBox(box, root) {
  const button = /** @type {HTMLButtonElement} */ (box.querySelector("button"));
  const bar = /** @type {HTMLProgressElement} */ (box.querySelector("progress"));
  const status = /** @type {HTMLElement} */ (box.querySelector("[role=status]"));
  const look = async () => {
    const { missing, total } = await missingFiles(root);
    const size = missing.reduce((sum, file) => sum + file.size, 0);
    button.hidden = size === 0;
    button.textContent = `Keep the whole book (${megabytes(size)} MB)`;
    if (!size) status.textContent = `The whole book is on this device (${megabytes(total)} MB).`;
    return { missing, size };
  };
  const keepAll = async () => {
    button.disabled = true;
    bar.hidden = false;
    const { missing, size } = await look();
    let done = 0;
    const queue = [...missing];
    const work = async () => {
      for (let file = queue.shift(); file; file = queue.shift()) {
        const response = await fetch(file.href);
        if (!response.ok) throw new Error(`${file.href} answers ${response.status}`);
        await response.arrayBuffer();
        done += file.size;
        bar.value = done / size;
        status.textContent = `${megabytes(done)} of ${megabytes(size)} MB`;
      }
    };
    try {
      // So that the browser does not clear it away when the disk gets full.
      await navigator.storage?.persist?.();
      await Promise.all(Array.from({ length: AT_ONCE }, work));
      button.hidden = true;
      status.textContent = `The whole book is on this device (${megabytes(size)} MB more).`;
    } catch {
      status.textContent = `Broken off at ${megabytes(done)} of ${megabytes(size)} MB. Press again to go on.`;
    }
    button.disabled = false;
    bar.hidden = true;
  };
  button.addEventListener("click", keepAll);
  box.addEventListener("toggle", () => {
    if (/** @type {HTMLDetailsElement} */ (box).open) look().catch(() => {});
  });
  box.hidden = false;
}

/** @param {URL} root the folder of the book */
async function start(root) {
  const { serviceWorker } = navigator;
  const isFirst = !serviceWorker.controller;
  const controlled = new Promise((resolve) => {
    serviceWorker.addEventListener("controllerchange", resolve, { once: true });
  });
  await serviceWorker.register(new URL("sw.js", root), { updateViaCache: "none" });
  if (isFirst) {
    await controlled;
    await keepThisPage(root);
  }
  document.documentElement.dataset.offline = "ready";
  const box = /** @type {HTMLElement | null} */ (document.querySelector(".book-offline"));
  if (box) startBox(box, root);
}

/** @param {URL} root the folder of the book */
export function startOffline(root) {
  if (!location.protocol.startsWith("http")) return;
  const manifest = Object.assign(document.createElement("link"), { rel: "manifest" });
  manifest.href = new URL("manifest.webmanifest", root).href;
  document.head.append(manifest);
  if (!("serviceWorker" in navigator)) return; // an old browser, or a host without https
  const begin = () => start(root).catch(() => {}); // the book is read without it, too
  if (document.readyState === "complete") begin();
  else addEventListener("load", begin, { once: true });
}

// The service worker: pages that were read can be read again without a network.
//
// Nothing stale is served to who is online: the network comes first, and for pages the server is asked
// whether they changed. What is kept answers only when the network does not; the exception is a model, whose
// name is its SHA-256, so that it can't be old. Each build of the book has a cache of its own, named by the
// version that companion/site/offline.py writes above this code. A new build makes a new worker: before it
// takes over it brings whatever this device has kept up to date, so that pages and the scripts that they were
// built with stay together; then it deletes the old cache.

/** @type {any} a ServiceWorkerGlobalScope, of which the library for pages knows nothing */
const worker = globalThis;
/** @type {string} */
const version = worker.BOOK_VERSION;
const home = worker.registration.scope;
const mine = `book ${home} `; // another book may live on the same host
const cacheName = mine + version;
const LIST = new URL("offline.json", home).href;

/** @typedef {{ version: string, files: { [path: string]: [hash: string, size: number] } }} Listing */

/** A file's key: its address without version and fragment; a folder is its index. @param {string} url */
function keyOf(url) {
  const key = new URL(url);
  key.search = key.hash = "";
  if (key.pathname.endsWith("/")) key.pathname += "index.html";
  return key.href;
}

/** @param {Cache} cache @param {string} url @param {Response} response */
async function keep(cache, url, response) {
  // The answer behind a redirection can't be given to a page that asks for its own address.
  if (response.status === 200 && !response.redirected) await cache.put(keyOf(url), response);
}

/** What was kept from an earlier build, in the new one's cache, and new where it changed. */
async function bringUpToDate() {
  const response = await fetch(LIST, { cache: "no-cache" });
  /** @type {Listing} */
  const listing = await response.clone().json();
  if (listing.version !== version) throw new Error("the list of files is of another build than this worker");
  const cache = await caches.open(cacheName);
  const changed = new Set();
  for (const other of await caches.keys()) {
    if (!other.startsWith(mine) || other === cacheName) continue;
    const old = await caches.open(other);
    /** @type {Listing | undefined} */
    const before = await (await old.match(LIST))?.json();
    for (const { url } of await old.keys()) {
      const path = decodeURI(url.slice(home.length));
      const kept = await old.match(url);
      if (!(path in listing.files)) continue;
      if (kept && before?.files[path]?.[0] === listing.files[path][0]) await cache.put(url, kept);
      else changed.add(url);
    }
  }
  for (const url of changed) {
    const fresh = await fetch(url, { cache: "no-cache" });
    if (!fresh.ok) throw new Error(`${url} answers ${fresh.status}`);
    await keep(cache, url, fresh);
  }
  await cache.put(LIST, response);
  await worker.skipWaiting();
}

async function takeOver() {
  for (const other of await caches.keys())
    if (other.startsWith(mine) && other !== cacheName) await caches.delete(other);
  await worker.clients.claim();
}

const MISSING = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Not on this device</title>
<meta name="viewport" content="width=device-width"><body style="font-family:system-ui;margin:3rem auto;max-width:34rem;padding:0 1rem">
<h1>Not on this device</h1><p>There is no network, and this page has not been read here before. Pages that
were read are on this device, and the whole book can be kept: “Read offline” at the foot of each page.</p>
<p><a href="javascript:history.back()">Back</a></p>`;

/** @param {any} event @param {Request} request */
async function answer(event, request) {
  const cache = await caches.open(cacheName);
  const key = keyOf(request.url);
  if (/\/[0-9a-f]{64}(\.\d+)?\.js$/.test(key)) {
    const kept = await cache.match(key);
    if (kept) return kept;
  }
  const isPage = request.mode === "navigate";
  try {
    const response = await (isPage ? fetch(request, { cache: "no-cache" }) : fetch(request));
    // A full disk is no reason to withhold a page.
    event.waitUntil(keep(cache, request.url, response.clone()).catch(() => {}));
    return response;
  } catch (error) {
    const kept = await cache.match(key);
    if (kept) return kept;
    if (!isPage) throw error;
    return new Response(MISSING, { status: 503, headers: { "Content-Type": "text/html; charset=utf-8" } });
  }
}

worker.addEventListener("install", (/** @type {any} */ event) => event.waitUntil(bringUpToDate()));
worker.addEventListener("activate", (/** @type {any} */ event) => event.waitUntil(takeOver()));
worker.addEventListener("fetch", (/** @type {any} */ event) => {
  const { request } = event;
  if (request.method !== "GET" || !request.url.startsWith(home) || request.headers.has("range")) return;
  event.respondWith(answer(event, request));
});

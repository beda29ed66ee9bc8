// Links to a widget as its reader has set it: a button beside each, and what happens when one is opened.
import { localControls, readSettings, writeSettings } from "./settings.js";

/** @import { Specs, Values } from "./settings.js" */
/** @typedef {{ get(name: string): unknown, update(values: Values): void, sets: number }} Model */
/** @typedef {ReturnType<typeof settable>} Settable */

const NAME = "Copy a link to this setting";

/** @type {WeakMap<Element, Promise<Settable | undefined>>} */
const lives = new WeakMap();

/**
 * A widget that lives, or is about to: the address of its setting, and how to bring one back.
 * @param {HTMLElement} box @param {HTMLElement} live @param {Model} model
 */
export function settable(box, live, model) {
  /** @type {Specs} */
  const specs = JSON.parse(box.dataset.settings ?? "{}");
  const now = () => Object.fromEntries(Object.keys(specs).map((name) => [name, model.get(name)]));
  const first = structuredClone(now());
  const controls = localControls(live, () => model.sets);
  return {
    query: () => [writeSettings(specs, first, now()), ...controls.write()].filter(Boolean).join("&"),
    /** @param {string} query */
    set(query) {
      model.update(readSettings(query, specs, structuredClone(first)));
      // Controls that follow the traits are there once that is drawn.
      requestAnimationFrame(() => requestAnimationFrame(() => controls.read(query)));
    },
  };
}

/** Two rings of a chain. */
function icon() {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const line = document.createElementNS(svg.namespaceURI, "path");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  line.setAttribute(
    "d",
    "M6.5 9.5l3-3M7.5 4.7l1.3-1.3a2.7 2.7 0 0 1 3.8 3.8l-1.3 1.3M8.5 11.3l-1.3 1.3a2.7 2.7 0 0 1-3.8-3.8l1.3-1.3",
  );
  svg.append(line);
  return svg;
}

/** Copies the link, and leaves it in the address bar too. @param {HTMLElement} box @param {HTMLElement} said */
async function copyLink(box, said) {
  const query = (await lives.get(box))?.query();
  const url = new URL(location.href);
  url.hash = query ? `${box.id}?${query}` : box.id;
  history.replaceState(history.state, "", url);
  try {
    await navigator.clipboard.writeText(url.href);
    said.textContent = "Link copied";
  } catch {
    said.textContent = "The link is in the address bar";
  }
  setTimeout(() => {
    said.textContent = "";
  }, 4000);
}

/** @param {HTMLElement} box */
function button(box) {
  const el = document.createElement("button");
  el.type = "button";
  el.className = "companion-link";
  el.title = NAME;
  el.setAttribute("aria-label", NAME);
  el.append(icon());
  const said = document.createElement("span");
  said.className = "companion-link-said";
  said.setAttribute("role", "status");
  el.addEventListener("click", () => copyLink(box, said));
  return [el, said];
}

export const linkable = {
  /** Give a place its name in the page, live-softmax or live-softmax-2, and its button. @param {HTMLElement} box */
  mark(box) {
    const name = `live-${box.dataset.widget}`;
    let id = name;
    for (let k = 2; document.getElementById(id); k += 1) id = `${name}-${k}`;
    box.id = id;
    box.append(...button(box));
  },
  /** @param {Element} box @param {Promise<Settable | undefined>} life */
  alive(box, life) {
    lives.set(box, life);
  },
};

/** Bring the widget that the address names to view, to life, and to its setting. @param {(box: HTMLElement) => void} wake */
export async function follow(wake) {
  const [, id = "", query = ""] = /^#(live-[\w-]+)(?:\?(.*))?$/.exec(location.hash) ?? [];
  const box = document.getElementById(id);
  if (!box?.matches(".companion-widget")) return;
  for (let up = box.closest("details"); up; up = up.parentElement?.closest("details") ?? null) up.open = true;
  box.scrollIntoView();
  wake(box);
  (await lives.get(box))?.set(query);
  const { top, bottom } = box.getBoundingClientRect();
  if (bottom < 0 || top > innerHeight) box.scrollIntoView();
  box.tabIndex = -1;
  box.focus({ preventScroll: true });
}

// The map: what a class loses under the patch at each of its places, coarse first, then finer.

import { gridOf, occluded, onPixels } from "../maths/occlusion.js";
import { colourScale } from "../ui/cells.js";
import * as ui from "../ui/controls.js";
import { h } from "../ui/controls.js";
import { emit, perFrame } from "../ui/lifetime.js";
import { colourOf, gradientOf } from "../ui/pixel_map.js";

/** @import { Fill, Place, Shape } from "../maths/occlusion.js" */
/** @import { Rgb } from "../ui/colours.js" */
/** @import { Answer } from "./scores.js" */

/**
 * @typedef {object} Settings that change what the places hide
 * @property {number} patch
 * @property {number} stride
 * @property {Fill} fill
 * @property {number} seed
 * @property {number} picture
 */
/**
 * @typedef {object} Options
 * @property {Shape} shape
 * @property {{ target: number, patch: number, stride: number, fill: Fill, drops: number[] }} known by Python (no drops: nothing), of
 *   picture 0
 * @property {() => { numbers: Float32Array, fill: Float32Array }} image
 * @property {(image: Float32Array, isWanted: () => boolean) => Promise<Answer | null>} ask
 * @property {() => boolean} isOpen whether there is a network to ask
 * @property {() => Answer | null} whole
 * @property {() => number} target
 * @property {(values: Float64Array | null, colour: (value: number) => Rgb, cover: (value: number) => number) => void} onMap
 * @property {(place: Place) => void} onGo the reader wants to see a place
 * @property {(text: string) => void} say
 */

const TOGETHER = 2; // places asked for at once, so that the engine need not wait for this page

const keyOf = (/** @type {Place} */ { top, left }) => `${top},${left}`;

/** Each place with what the class loses there. @typedef {[Place, number][]} Drops */

/**
 * A finer map, with the coarser one where it is not there yet.
 * @param {Drops[]} passes the coarsest first @param {Shape} shape @param {number} patch
 */
function composed(passes, shape, patch) {
  return passes
    .map((drops) => onPixels(drops, shape, patch))
    .reduce((coarse, fine) => fine.map((v, i) => (Number.isNaN(v) ? coarse[i] : v)));
}

/**
 * What is known of the map: Python's, or the network's answers for each place so far.
 * @param {Pick<Options, "shape" | "known" | "whole" | "target">} options
 */
function record({ shape, known, whole, target }) {
  /** @type {Settings | null} */
  let settings = null;
  /** @type {Map<string, Answer>} */
  let answers = new Map();
  const isPythons = () => {
    const { picture, patch, stride, fill } = settings ?? {};
    const isSame = picture === 0 && patch === known.patch && stride === known.stride && fill === known.fill;
    return known.drops.length > 0 && isSame && !answers.size && target() === known.target;
  };
  /** All places of each pass, the coarsest first. */
  const grids = () => {
    if (!settings) return [];
    const { patch, stride } = settings;
    const strides = 2 * stride <= patch && !isPythons() ? [2 * stride, stride] : [stride];
    return strides.map((each) => gridOf(shape, patch, each).places);
  };
  return {
    isPythons,
    /** Begin anew if what the places hide has changed, and say so. @param {Settings} next */
    follow(next) {
      if (settings && JSON.stringify(settings) === JSON.stringify(next)) return false;
      [settings, answers] = [next, new Map()];
      return true;
    },
    patch: () => settings?.patch ?? 1,
    /** How many places have been asked for. */
    count: () => answers.size,
    /** @param {Place} place @param {Answer} answer */
    add: (place, answer) => answers.set(keyOf(place), answer),
    /** The places that are still to be asked for, in order, and how many there are in all. */
    todo() {
      const all = new Map(
        grids()
          .flat()
          .map((place) => [keyOf(place), place]),
      );
      const total = all.size;
      for (const key of answers.keys()) all.delete(key);
      return { total, waiting: [...all.values()] };
    },
    /** What the class loses, pass by pass. @returns {Drops[]} */
    passes() {
      if (isPythons()) return grids().map((places) => places.map((place, i) => [place, known.drops[i]]));
      const before = whole()?.of(target()) ?? null;
      if (before === null) return [];
      return grids().map((places) =>
        places.flatMap((place) => {
          const after = answers.get(keyOf(place))?.of(target());
          return after === undefined || after === null
            ? []
            : [/** @type {[Place, number]} */ ([place, before - after])];
        }),
      );
    },
  };
}

/** @typedef {"none" | "running" | "done" | "stopped"} Doing */

/**
 * The button, how far the map is, and what it says.
 * @param {{ onPress: () => void, onGo: () => void }} on
 */
function controls({ onPress, onGo }) {
  const press = ui.button({ label: "Run the map", onClick: onPress });
  const go = ui.button({ label: "Put the patch there", onClick: onGo });
  const bar = h("progress", { "aria-label": "The map", max: 1, hidden: true });
  const numbers = ui.readouts((v) => ui.signed(v, 3));
  const total = h("span", {});
  const where = h("span", {});
  const story = h("p", {});
  const found = h(
    "p",
    {},
    ...[numbers.make("places", String), total, " places. Lost: ", numbers.make("smallest_drop"), " to "],
    ...[numbers.make("largest_drop"), where],
  );
  return {
    el: h(
      "div",
      { class: "companion-stack occlusion-map" },
      ui.row(press.el, bar),
      story,
      ui.row(found, go.el),
    ),
    /** @param {Doing} doing @param {boolean} isOpen @param {number} done @param {number} all */
    draw(doing, isOpen, done, all) {
      const labels = { none: "Run the map", running: "Cancel", stopped: "Go on", done: "All done" };
      if (press.el.textContent !== labels[doing]) press.el.replaceChildren(labels[doing]);
      press.enable(isOpen && doing !== "done");
      bar.hidden = doing !== "running";
      [bar.value, bar.max] = [done, Math.max(1, all)];
      total.textContent = doing === "running" || doing === "stopped" ? ` of ${all}` : "";
    },
    /** @param {string} words */
    say(words) {
      story.textContent = words;
      story.hidden = !words;
    },
    /** @param {[Place, number][]} drops */
    tell(drops) {
      found.hidden = go.el.hidden = !drops.length;
      if (!drops.length) return null;
      const [place, most] = drops.reduce((a, b) => (b[1] > a[1] ? b : a));
      numbers.set({
        largest_drop: most,
        smallest_drop: drops.reduce((least, [, v]) => Math.min(least, v), Infinity),
        places: new Set(drops.map(([at]) => keyOf(at))).size,
      });
      where.textContent = `, most at row ${place.top}, column ${place.left}.`;
      return place;
    },
  };
}

/**
 * The map, its legend, and what runs it.
 * @param {Options} options
 */
export function mapRun({ image, ask, isOpen, onMap, onGo, say, ...given }) {
  const { shape } = given;
  const known = record(given);
  const scale = colourScale("where it is covered");
  const legend = h("div", { class: "occlusion-legend" }, scale.el);
  const look = { opacity: 1, dark: false };
  /** @type {Doing} */
  let doing = "none";
  let [token, total] = [0, 0];
  /** @type {Place | null} */
  let worst = null;

  const draw = () => {
    const passes = known.passes();
    const drops = passes.flat();
    const values = drops.length ? composed(passes, shape, known.patch()) : null;
    const size = drops.reduce((most, [, v]) => Math.max(most, Math.abs(v)), 0.001);
    // The picture is seen through the fullest colour, too.
    const strength = (/** @type {number} */ v) => 0.1 + 0.75 * (Math.abs(v) / size) ** 0.6;
    onMap(values, colourOf("diverging", -size, size, look.dark), (v) => look.opacity * strength(v));
    legend.hidden = !values;
    scale.set(
      `rises by ${ui.fixed(size, 3)}`,
      `falls by ${ui.fixed(size, 3)}`,
      gradientOf("diverging", look.dark),
    );
    el.dataset.map = doing === "none" && known.isPythons() ? "python" : doing;
    parts.draw(doing, isOpen(), known.count(), total);
    const unloaded = "It maps once the network is loaded.";
    parts.say(drops.length ? "" : isOpen() ? "Nothing is mapped yet with this patch." : unloaded);
    worst = parts.tell(drops);
  };
  const soon = perFrame(draw);

  const run = async () => {
    token += 1;
    const mine = token;
    const isWanted = () => mine === token;
    const [{ numbers, fill }, patch, { waiting, ...all }] = [image(), known.patch(), known.todo()];
    [total, doing] = [all.total, "running"];
    draw();
    const work = async () => {
      for (let place = waiting.shift(); place && isWanted(); place = waiting.shift()) {
        const answer = await ask(occluded(numbers, fill, shape, place, patch), isWanted);
        if (!answer || !isWanted()) return;
        known.add(place, answer);
        soon();
      }
    };
    await Promise.all(Array.from({ length: TOGETHER }, work));
    if (!isWanted()) return;
    doing = "done";
    draw();
    if (worst) say(`The map is there. The largest drop is at row ${worst.top}, column ${worst.left}.`);
    emit(el, "mapped", { drops: known.passes().at(-1) });
  };
  const stop = () => {
    token += 1;
    if (doing === "running") doing = "stopped";
  };
  const parts = controls({
    onGo: () => worst && onGo(worst),
    onPress() {
      if (doing !== "running")
        return void run().catch((error) => {
          stop();
          draw();
          parts.say(`The map could not go on: ${error.message}`);
        });
      stop();
      draw();
    },
  });
  const { el } = parts;
  return {
    el,
    legend,
    draw: soon,
    /** @param {Settings} next */
    follow(next) {
      if (!known.follow(next)) return;
      token += 1;
      doing = "none";
    },
    /** @param {Partial<typeof look>} next */
    look(next) {
      Object.assign(look, next);
      soon();
    },
    stop,
  };
}

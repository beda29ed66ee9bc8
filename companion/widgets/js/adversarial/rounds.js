// Rounds of a game in the page's own thread: some milliseconds of each frame, pictures now and then, nothing out of
// view.

import { lifetime, reducedMotion, watchView } from "../ui/lifetime.js";

const BUDGET = 6; // milliseconds of a frame
const PAUSE = 100; // between pictures, at least
const CALM = 1000; // for a reader who wants less motion

/**
 * @param {{ el: Element, round: () => boolean, pictures: (() => void)[], onState: (plays: boolean) => void }} options
 *   `round`: one round, and whether it can go on; `pictures`: what is drawn, one part a frame
 */
export function rounds({ el, round, pictures, onState }) {
  let [plays, inView, frame, due] = [false, true, 0, 0];
  /** @type {(() => void)[]} */
  let waiting = [];
  const again = () => {
    if (!frame && ((plays && inView) || waiting.length)) frame = requestAnimationFrame(tick);
  };
  const tick = () => {
    frame = 0;
    const start = performance.now();
    const next = waiting.shift();
    if (next) next();
    else if (plays) {
      do {
        if (!round()) set(false);
      } while (plays && performance.now() - start < BUDGET);
      if (!plays || performance.now() > due) {
        due = performance.now() + (reducedMotion() ? CALM : PAUSE);
        waiting = [...pictures];
      }
    }
    again();
  };
  const set = (/** @type {boolean} */ on) => {
    if (plays === on) return;
    plays = on;
    if (!on) waiting = [...pictures];
    onState(plays);
    again();
  };
  const stopWatching = watchView(el, (now) => {
    inView = now;
    if (now && reducedMotion()) set(false); // nothing begins to move by itself
    again();
  });
  return {
    get plays() {
      return plays;
    },
    set,
    stop: lifetime(stopWatching, () => {
      plays = false;
      cancelAnimationFrame(frame);
    }),
  };
}

// A network that a page loads when its reader first wants it: by a button, or by asking it something.

import { openModel } from "../runtime/session.js";
import { button, fixed } from "./controls.js";

/** @import { AnyModel } from "@anywidget/types" */
/** @import { Tensors } from "../runtime/engine.js" */

/** @param {number} bytes */
export const megabytes = (bytes) => `${fixed(bytes / 1e6, bytes < 1e6 ? 2 : 1)} MB`;

/**
 * The network in the page's worker, and the button that wakes it.
 * @param {AnyModel<any>} model
 * @param {{ network: { model: string, bytes: number }, label: string,
 *   say: (words: string, kind?: "waiting" | "error") => void, onOpen: () => void }} options
 */
export function wakingNetwork(model, { network: { model: sha256, bytes }, label, say, onOpen }) {
  const wake = button({
    label,
    title: `Loads the network, ${megabytes(bytes)}, once; nothing that you show it leaves your machine`,
    kind: "primary",
    onClick: () => open().catch(() => {}),
  });
  wake.el.dataset.wakes = "";
  /** @type {ReturnType<typeof openModel> | null} */
  let opening = null;
  let alive = true;
  const begin = async () => {
    wake.enable(false);
    say("Loading the network …", "waiting");
    try {
      const session = await openModel(sha256, model, {
        onProgress(loaded, total) {
          if (alive && loaded < total)
            say(`Loading the network: ${megabytes(loaded)} of ${megabytes(total)}`, "waiting");
        },
      });
      if (!alive) session.release();
      say("");
      wake.el.hidden = true;
      if (alive) onOpen();
      return session;
    } catch (error) {
      opening = null;
      wake.enable(true);
      say(`The network could not be loaded: ${/** @type {Error} */ (error).message}`, "error");
      throw error;
    }
  };
  const open = () => {
    opening ??= begin();
    return opening;
  };
  return {
    wake: wake.el,
    /** Its outputs; null if a newer question came, or the widget has ended. @param {Tensors} inputs */
    async run(inputs) {
      const session = await open();
      if (!alive) return null;
      const outputs = await session.run(inputs);
      return alive ? outputs : null;
    },
    stop() {
      alive = false;
      opening?.then((session) => session.release()).catch(() => {}); // said already
    },
  };
}

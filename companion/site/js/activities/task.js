// A task's tick, once the widget below has been brought to its goal.
import { whenReached, widgetAfter } from "./goals.js";
import { load, save } from "./store.js";

export function startTasks() {
  /** @type {NodeListOf<HTMLElement>} */
  const lines = document.querySelectorAll("[data-task]");
  for (const line of lines) {
    const { task = "", goal = "[]" } = line.dataset;
    const tick = () => {
      line.dataset.reached = "yes";
      const status = line.querySelector(".task-status");
      if (status) status.textContent = "Reached.";
    };
    const box = widgetAfter(line);
    if (load(task) === true) tick();
    else if (box) {
      whenReached(box, JSON.parse(goal), () => {
        tick();
        save(task, true);
      });
    }
  }
}

"""The `{task}` directive: something to reach with the widget below, which the page can tell.

    ```{task}
    :goal: probability < 0.1 and patch <= 48
    Find a patch of at most 48 pixels that hides the helmet from the network.
    ```

The goal speaks of quantities that the widget shows (`data-quantity`); goals.py has its grammar. It
is reached when it comes true, and stays so for a moment, after the reader has touched the widget;
the tick stays. The widget is the next one on the page, or with `:widget: name` the next of that
module. `:later: name` names quantities that it does not show before it is used.
"""

from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

from companion.site.activities import Activity, attributes, key_of, texts
from companion.site.activities.goals import (
    as_json,
    check_quantities,
    holds,
    parse_goal,
    quantities,
    shown_at_rest,
)

logger = logging.getLogger(__name__)


class TaskDirective(Activity):
    """Render the task's line; js/activities/task.js ticks it."""

    option_spec: ClassVar[dict[str, Any]] = texts("label", "goal", "widget", "later")

    def run(self) -> list[nodes.Node]:
        """Parse the goal and build the nodes."""
        text = "\n".join(self.content).strip()
        try:
            if not text:
                raise ValueError("a task says in a sentence what to reach; none came")
            goal = parse_goal(self.options.get("goal", ""))
        except ValueError as error:
            raise self.error(str(error)) from error
        box = self.box("task")
        box["classes"].remove("quiz")
        widget = self.options.get("widget", "")
        key = f"task/{self.env.docname}/{key_of(self.options.get('label'), text)}"
        shown = attributes(data_task=key, data_goal=as_json(goal), data_widget_name=widget)
        start = self.html(f'<div class="task-line"{shown}><span class="task-mark"></span>')
        start["task"] = goal, widget, self.options.get("later", "").split()
        self.set_source_info(start)
        box += start
        box += self.markdown(f"**Task.** {text}", "task-text")
        box += self.html('<p class="task-status" role="status"></p></div>')
        return [box]


def check_page(app: Sphinx, doctree: nodes.document) -> None:
    """Warn of tasks that no reader could tick, or that nobody has to work for."""
    for node in doctree.findall(nodes.raw):
        if "task" not in node:
            continue
        goal, widget, later = node["task"]
        try:
            name, values = shown_at_rest(node, widget)
            check_quantities(quantities(goal), name, [*values, *later])
            if holds(goal, values):
                raise ValueError(f"the widget {name!r} has reached the goal before it is touched")
        except ValueError as error:
            logger.warning("task: %s", error, location=node)


def setup(app: Sphinx) -> None:
    """Register the directive."""
    app.add_directive("task", TaskDirective)
    app.connect("doctree-read", check_page)

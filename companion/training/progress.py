"""How a training run shows itself: a bar in a terminal, a live picture in a notebook.

Nothing here computes anything for the model: `companion.training` keeps a `Run` up to date and
has it shown a few times a second.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from typing import Any

from companion.jupyter import in_notebook

# Mid-tones: at least 2.7:1 against white, near-black and everything that themes put between.
_TRAINING, _VALIDATION = ("#3b82c4", "none"), ("#c8621b", "6 4")  # stroke, dashes
_POINTS = 200  # on the training curve, over the whole run

Point = tuple[float, float]


@dataclass
class Run:
    """The state of one training run, as far as it is shown.

    `curve` holds (epochs done, training loss) for short stretches of steps, `validation` the same
    for the validation loss at the end of each epoch, `figures` the latest averages by name.
    """

    epochs: int
    done: float = 0.0
    curve: list[Point] = field(default_factory=list)
    validation: list[Point] = field(default_factory=list)
    figures: Mapping[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)
    begun: float = 0.0  # epochs that an earlier run had done
    ended: str = ""  # one sentence, once the run is over

    @classmethod
    def resumed(cls, epochs: int, averages: Mapping[str, Sequence[float]]) -> "Run":
        """The run that goes on after these epochs (none: a new one)."""
        losses = averages.get("loss", ())
        run = cls(epochs, done=len(losses), begun=len(losses))
        run.curve = [(epoch + 0.5, loss) for epoch, loss in enumerate(losses)]
        held_out = averages.get("validation_loss", ())
        run.validation = [(epoch, loss) for epoch, loss in enumerate(held_out, start=1)]
        run.figures = {name: values[-1] for name, values in averages.items()}
        return run

    def follow(
        self,
        epoch: int,
        steps: int,
        losses: Mapping[str, Sequence[float]],
        averages: Mapping[str, float] | None = None,
    ) -> None:
        """Take in the losses of the first steps of `epoch` (0, 1, …), which has `steps` of them.

        `averages` are given once the epoch is over, with those of the validation set.
        """
        values = losses["loss"]
        stretch = math.ceil(steps * self.epochs / _POINTS)
        self.curve = [point for point in self.curve if point[0] < epoch]
        for start in range(0, len(values), stretch):
            part = values[start : start + stretch]
            self.curve.append((epoch + (start + len(part) / 2) / steps, sum(part) / len(part)))
        self.done = epoch + len(values) / steps
        if averages is None:
            now = {name: sum(column) / len(column) for name, column in losses.items()}
            self.figures = {**self.figures, **now}
        else:
            self.figures = averages
            if "validation_loss" in averages:
                self.validation.append((epoch + 1, averages["validation_loss"]))

    @property
    def epoch(self) -> int:
        """The number of the epoch that runs, from 1."""
        return min(int(self.done) + 1, self.epochs)

    def headline(self) -> str:
        """One line of text: what the run is at, or how it ended."""
        if self.ended:
            return self.ended
        text = f"Epoch {self.epoch} of {self.epochs}"
        if self.done > self.begun:
            elapsed = time.perf_counter() - self.started
            left = elapsed * (self.epochs - self.done) / (self.done - self.begun)
            text += f" · {duration(elapsed)} so far, about {duration(left)} left"
        return text


@contextmanager
def live_progress(run: Run, *, progress: bool = True) -> Iterator[Callable[[], None]]:
    """Show the run while the block lasts: yields the function that brings the picture up to date.

    In a notebook, one HTML output that stays, as it is in the end, when the kernel has gone; in a
    terminal, a tqdm bar; nothing where stderr is a file or `progress` is false.
    """
    if not progress:
        update: Callable[[], None] = lambda: None  # noqa: E731
    elif in_notebook():
        update = _notebook(run)
    else:
        update = _terminal(run)
    update()
    try:
        yield update
    except BaseException:
        run.ended = f"Stopped after {run.done:.3g} of {run.epochs} epochs."
        raise
    finally:
        update()


def throttled(function: Callable[[], None], pause: float) -> Callable[[], None]:
    """The function, that does nothing when called again within `pause` seconds after it ran."""
    earliest = -math.inf

    def call() -> None:
        nonlocal earliest
        if time.perf_counter() >= earliest:
            function()
            earliest = time.perf_counter() + pause

    return call


def _notebook(run: Run) -> Callable[[], None]:
    from IPython.display import display

    handle: Any = None
    show: Any = display

    def update() -> None:
        nonlocal handle
        bundle = {"text/html": render(run), "text/plain": run.headline()}
        if handle is None:
            handle = show(bundle, raw=True, display_id=True)
        else:
            handle.update(bundle, raw=True)

    return update


def _terminal(run: Run) -> Callable[[], None]:
    from tqdm import tqdm

    layout = "{desc} {percentage:3.0f}% |{bar}| {elapsed}<{remaining}{postfix}"
    bar = tqdm(total=run.epochs, bar_format=layout, disable=None, dynamic_ncols=True)

    def update() -> None:
        bar.n = run.done
        bar.set_description_str(f"epoch {run.epoch}/{run.epochs}", refresh=False)
        figures = ", ".join(f"{name} {value:.4g}" for name, value in run.figures.items())
        bar.set_postfix_str(figures, refresh=False)
        bar.refresh()
        if run.ended:
            bar.close()

    return update


def duration(seconds: float) -> str:
    """Seconds in words: '0.8 s', '42 s', '3 min 5 s', '1 h 12 min'."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def render(run: Run) -> str:
    """The run as HTML: headline, progress bar while it lasts, loss curve, last averages."""
    parts = [f"<div><strong>{escape(run.headline())}</strong></div>"]
    if not run.ended:
        parts.append(
            f'<progress max="{run.epochs}" value="{run.done:.3f}" aria-label="Training progress"'
            ' style="width:100%"></progress>'
        )
    if len(run.curve) > 1:
        parts.append(_curve(run))
    parts += [f"<div>{line}</div>" for line in _averages(run.figures)]
    body = "\n".join(parts)
    return f'<div class="companion-fit" style="max-width:36rem;line-height:1.5">\n{body}\n</div>'


def _curve(run: Run) -> str:
    values = [value for _, value in run.curve + run.validation]
    low, high = min(values), max(values)
    # A loss that falls by orders of magnitude is a cliff and a flat line on a linear axis.
    logarithmic = low > 0 and high > 10 * low

    def height(value: float) -> float:
        if logarithmic:
            return math.log(value / low) / math.log(high / low)
        return (value - low) / ((high - low) or 1)

    def line(points: Sequence[Point], style: tuple[str, str]) -> str:
        path = " ".join(f"{300 * x / run.epochs:.1f},{97 - 94 * height(y):.1f}" for x, y in points)
        return (
            f'<polyline points="{path}" fill="none" stroke="{style[0]}" stroke-width="2"'
            f' stroke-dasharray="{style[1]}" vector-effect="non-scaling-stroke"/>'
        )

    lines = line(run.curve, _TRAINING)
    words = f"training loss from {run.curve[0][1]:.4g} to {run.curve[-1][1]:.4g}"
    if run.validation:
        # The first point, at the end of epoch 1, gets a short level stroke to be seen alone.
        (end, value), *_ = run.validation
        lines += line([(end - 0.5, value), *run.validation], _VALIDATION)
        words += f", validation loss {run.validation[-1][1]:.4g}"
    axis = f"Vertical: loss, {low:.4g} to {high:.4g}{', logarithmic' if logarithmic else ''}."
    return (
        f'<svg role="img" aria-label="Loss curve over {run.done:.3g} of {run.epochs} epochs: '
        f'{words}." viewBox="0 0 300 100" preserveAspectRatio="none" style="display:block;'
        "width:100%;height:8rem;border-left:1px solid currentColor;"
        f'border-bottom:1px solid currentColor">{lines}</svg>\n'
        f"<div>{axis} Horizontal: epochs, 0 to {run.epochs}.</div>"
    )


def _averages(figures: Mapping[str, float]) -> Iterator[str]:
    """The averages on the training set, then those on the validation set, with their line style."""
    prefix = "validation_"
    for words, style, validation in (
        ("Training", _TRAINING, False),
        ("Validation", _VALIDATION, True),
    ):
        shown = " · ".join(
            f"{escape(name.removeprefix(prefix))} {value:.4g}"
            for name, value in figures.items()
            if name.startswith(prefix) == validation
        )
        if shown:
            yield (
                '<svg aria-hidden="true" width="28" height="10"><line x1="1" x2="27" y1="5" y2="5"'
                f' stroke="{style[0]}" stroke-width="2" stroke-dasharray="{style[1]}"/></svg>'
                f" {words}: {shown}"
            )

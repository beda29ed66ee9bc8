"""Which predictions count in a top-k error, live in the page (chapter 3)."""

from collections.abc import Sequence
from typing import Any

import torch
import traitlets
from torch import Tensor

from companion.by_hand.classification import label_rank, top_k_error
from companion.figures import data_url, encode_image, to_uint8
from companion.widgets import settings
from companion.widgets.base import LiveWidget
from companion.widgets.traits import whole_number

PLACES = 5  # predictions listed for an image, and the largest k
SHOWN = 5  # images on display


class TopK(LiveWidget):
    """A few images with their most probable classes; k by slider; the errors for it in numbers.

    Args:
        images: N×C×H×W, uint8 or floats in [0, 1], one or three channels.
        probabilities: N×K, each row from 0 to 1 and adding up to 1, such as a softmax gives.
        labels: N right classes, 0 … K − 1.
        class_names: K names; "0", "1", … if not given.
        shown: places in `images` of those on display, at most 8; the first 5 if not given. The
            others count in the errors over all images.
        k: predictions that count at first, 1 to 5 (and not above K).
        model: who made the predictions, to be said in the widget.
        title: heading of the widget.

    Attributes:
        k: may be set and observed from Python while it is on show.

    Raises:
        ValueError: an argument does not fit (the message says which).

    Source: chapter 3; Russakovsky et al. (2015), section 4.1.
    """

    module = "top_k"

    examples = traitlets.List(traitlets.Dict()).tag(sync=True)
    rank_counts = traitlets.List(traitlets.Int()).tag(sync=True)
    count = traitlets.Int().tag(sync=True)
    places = traitlets.Int().tag(sync=True)
    crisp = traitlets.Bool().tag(sync=True, setting=None)
    k = traitlets.Int().tag(sync=True, setting=lambda w: settings.whole(1, w.places))
    model_name = traitlets.Unicode().tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        images: Any,
        probabilities: Any,
        labels: Any,
        class_names: Sequence[str] | None = None,
        *,
        shown: Sequence[int] | None = None,
        k: int = 1,
        model: str = "the model",
        title: str = "Which predictions count?",
    ) -> None:
        p, y = _predictions(probabilities, labels)
        count, classes = p.shape
        names = list(map(str, range(classes) if class_names is None else class_names))
        if len(names) != classes:
            raise ValueError(f"expected {classes} class_names, one a column, but got {len(names)}")
        pixels = to_uint8(images)
        if len(pixels) != count:
            raise ValueError(f"expected {count} images, one a row, but got {len(pixels)}")
        chosen = list(range(min(SHOWN, count))) if shown is None else list(map(int, shown))
        if not 1 <= len(chosen) <= 8 or not all(0 <= i < count for i in chosen):
            raise ValueError(f"shown must be 1 to 8 places from 0 to {count - 1}, not {chosen}")
        self._p, self._y, self._shown = p, y, chosen
        ranks = label_rank(p, y)
        places = min(PLACES, classes)
        order = p.argsort(dim=1, descending=True, stable=True)[:, :places]
        super().__init__(
            examples=[
                {
                    "picture": data_url(encode_image(pixels[i])),
                    "label": names[int(y[i])],
                    "rank": int(ranks[i]),
                    "names": [names[int(c)] for c in order[i]],
                    "p": [round(float(p[i, c]), 6) for c in order[i]],
                }
                for i in chosen
            ],
            rank_counts=torch.bincount(ranks - 1, minlength=places)[:places].tolist(),
            count=count,
            places=places,
            crisp=max(pixels.shape[1:3]) <= 96,
            k=whole_number("k", k, 1, places),
            model_name=str(model),
            title=str(title),
        )

    @traitlets.validate("k")
    def _check_k(self, proposal: Any) -> int:
        return whole_number("k", proposal["value"], 1, self.places or PLACES)

    def error(self, k: int | None = None) -> float:
        """Top-k error over all images, 0 to 1; for the present k if none is given."""
        return top_k_error(self._p, self._y, self.k if k is None else k)

    def shown_error(self, k: int | None = None) -> float:
        """Top-k error over the images on display alone."""
        return top_k_error(self._p[self._shown], self._y[self._shown], self.k if k is None else k)

    def describe(self) -> str:
        """One line: the errors for the present k."""
        more = f", top-{self.k} error {self.error():.1%}" if self.k > 1 else ""
        return f"TopK: top-1 error {self.error(1):.1%}{more} of {len(self._y)} images"


def _predictions(probabilities: Any, labels: Any) -> tuple[Tensor, Tensor]:
    p = torch.as_tensor(probabilities).detach().cpu().double()
    y = torch.as_tensor(labels).detach().cpu()
    if p.ndim != 2 or p.shape[0] < 1 or p.shape[1] < 2:
        raise ValueError(f"probabilities must be N×K with K of 2 or more, not {tuple(p.shape)}")
    if not bool(((p >= 0) & (p <= 1)).all()) or not torch.allclose(
        p.sum(1), torch.ones(len(p), dtype=p.dtype), atol=1e-3
    ):
        raise ValueError(
            "each row of probabilities must be numbers from 0 to 1 that add up to 1; "
            "for logits take their softmax first"
        )
    label_rank(p, y)  # refuses labels that do not fit
    return p, y

"""Paint a defect onto a texture and see an autoencoder's error map follow (chapter 11)."""

import numpy as np
import torch
import traitlets
from torch import Tensor, nn

from companion.anomaly.autoencoders import error_maps
from companion.export import export_model
from companion.export.model import TOLERANCE, frozen_copy
from companion.figures import data_url, encode_image, to_uint8
from companion.widgets import settings
from companion.widgets.base import LiveWidget
from companion.widgets.traits import Bounded, whole_number

MOST = 8  # windows to choose among
INKS = ("bright", "dark", "plain")


class TextureDefects(LiveWidget):
    """A window of a texture that the reader paints on, its reconstruction, and where they differ.

    The score of a window is the largest value of its error map; above that of all `good` windows it
    raises an alarm.

    Args:
        model: from grey images N×1×H×W in [0, 1] to the same.
        images: 1 to 8 windows to paint on, N×1×H×W in [0, 1].
        good: windows without defects that set the limit, N×1×H×W.
        sigma: of the Gaussian that blurs the squared error, in pixels.
        tolerance: how much storing weights in 16 bits may change a pixel
            (`companion.export.export_model`).
        title: heading of the widget.

    Attributes:
        chosen (the number of the window), ink ("bright", "dark", or "plain": the window's mean
        grey), strength (0 to 1): what is on show; they may be set and observed.

    Raises:
        ValueError: images of another kind or number, or a model that changes their size or can't be
            exported.
    """

    module = "texture_defects"

    network = traitlets.Dict().tag(sync=True)
    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    pictures = traitlets.List(traitlets.Unicode()).tag(sync=True)
    scores = traitlets.List(traitlets.Float()).tag(sync=True)
    highest = traitlets.List(traitlets.List(traitlets.Int())).tag(sync=True)
    limit = traitlets.Float().tag(sync=True)
    sigma = traitlets.Float().tag(sync=True)
    chosen = traitlets.Int().tag(
        sync=True, setting=lambda w: settings.whole(0, len(w.pictures) - 1)
    )
    ink = traitlets.Enum(INKS, default_value="bright").tag(sync=True)
    strength = Bounded(0, 1, default=0.7).tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        model: nn.Module,
        images: Tensor,
        good: Tensor,
        *,
        sigma: float = 2.0,
        tolerance: float = TOLERANCE,
        title: str = "Paint a defect",
    ) -> None:
        windows = [_grey(each, name) for each, name in ((images, "images"), (good, "good"))]
        if not 1 <= len(images) <= MOST or images.shape[1:] != good.shape[1:]:
            raise ValueError(
                f"Expected 1 to {MOST} images of the size of the good ones, got "
                f"{_by(images.shape)} and {_by(good.shape)}."
            )
        self._model = frozen_copy(model)
        self._images = windows[0]
        with torch.no_grad():
            back = self._model(self._images)
        if back.shape != images.shape:
            raise ValueError(
                f"Expected a model that gives {_by(images.shape)} back, got {_by(back.shape)}."
            )
        exported = export_model(
            model, self._images[:1], names=["image"], outputs=["rebuilt"], tolerance=tolerance
        )
        self._sigma = float(sigma)
        maps = [error_maps(self._model, each, self._sigma) for each in windows]
        super().__init__(
            [exported.path],
            network={"model": exported.sha256},
            shape=list(images.shape[1:]),
            pictures=[data_url(encode_image(picture)) for picture in to_uint8(self._images)],
            scores=maps[0].max(axis=(1, 2)).tolist(),
            highest=[[*divmod(int(each.argmax()), each.shape[1])] for each in maps[0]],
            limit=float(maps[1].max()),
            sigma=self._sigma,
            chosen=0,
            title=str(title),
        )

    @traitlets.validate("chosen")
    def _check_chosen(self, proposal: traitlets.Bunch) -> int:
        return whole_number("chosen", proposal["value"], 0, len(self._images) - 1)

    def error_map(self, image: Tensor | None = None) -> np.ndarray:
        """Of an image 1×H×W, or of the chosen window as it came: H×W."""
        shown = self._images[self.chosen] if image is None else image
        found: np.ndarray = error_maps(self._model, shown[None], self._sigma)[0]
        return found

    def score(self, image: Tensor | None = None) -> float:
        """The largest value of the error map."""
        return float(self.error_map(image).max())

    def stills(self) -> dict[str, bytes]:
        """The first window, its reconstruction, and its error map, before any script runs."""
        window = self._images[self.chosen][None]
        with torch.no_grad():
            rebuilt = self._model(window)
        shown = torch.from_numpy(self.error_map() / (1.5 * self.limit)).float()[None, None]
        return {
            name: encode_image(to_uint8(picture.clamp(0, 1))[0])
            for name, picture in (("window", window), ("rebuilt", rebuilt), ("map", shown))
        }

    def describe(self) -> str:
        """One line: the window's score and the limit."""
        score = self.score()
        verdict = "an alarm" if score > self.limit else "no alarm"
        return f"TextureDefects: score {score:.4f}, limit {self.limit:.4f}: {verdict}"


def _grey(images: Tensor, name: str) -> Tensor:
    """As a page gets them, 8 bits deep."""
    if images.ndim != 4 or images.shape[1] != 1 or not images.numel():
        raise ValueError(f"Expected {name} N×1×H×W, got {_by(images.shape)}.")
    if not images.is_floating_point() or not (images.min() >= 0 and images.max() <= 1):
        raise ValueError(f"Expected {name} as floats in [0, 1].")
    return (255 * images.float()).round() / 255


def _by(shape: torch.Size) -> str:
    return "×".join(map(str, shape))

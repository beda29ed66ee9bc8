"""An over-wide autoencoder whose penalty moves while it trains in the page."""

import math
from typing import Any

import torch
import traitlets
from torch import Tensor

from companion.export.tensors import keep_tensors
from companion.export.training import export_training
from companion.models.dense_autoencoder import SparseAutoencoder
from companion.models.images import reconstruction_error
from companion.widgets import page_training
from companion.widgets.base import LiveWidget
from companion.widgets.traits import Bounded, BoundedInt, Choice, Seed, whole_number

PENALTIES = ("L1", "none", "KL")
WEIGHTS = (0.01, 3.0)
RHOS = (0.01, 0.5)
SHOWN = 10  # test images to take apart
BATCH = 128
RATE = 3e-3
REST = 450  # steps, of the picture at rest
EVERY = 30  # steps between two of its points
TINY = 1e-6  # a mean activity of 0 would have an infinite divergence


class SparseCode(LiveWidget):
    """What a code of more numbers than pixels learns, and how a penalty thins it out, live.

    A `companion.models.dense_autoencoder.SparseAutoencoder` (ReLU units, tied weights) trains by
    Adam, in batches of 128, on ‖x − x̂‖² + weight · penalty. The penalty is none; L1, ‖z‖₁; or KL,
    the sum over the units of KL(ρ ‖ ρ̂), where ρ̂ is the mean of tanh(z) over the batch (tanh, since
    ρ̂ has to stay below 1). All three are one exported step: what the reader moves acts on the next
    one. Shown are every unit's weights, the share of units that are on for an image, the dead ones
    (on for none of the images to learn from), the error on test images, and one image as the sum
    of its units.

    Args:
        data: the images to learn from: an ImageSet or a tensor N×1×H×W, uint8 or floats in [0, 1].
        test: the same for images to test with; the first ten can be taken apart.
        units: of the code, 8 to 256.
        penalty: "none", "L1" or "KL", at first.
        weight: of the penalty, 0.01 to 3.
        rho: the mean activity that KL asks for, 0.01 to 0.5.
        seed: of weights and batches, 0 to 2³² − 1.
        title: heading of the widget.

    Attributes:
        penalty, weight, rho, seed: as above.
        selected: the image that is taken apart, 0 to 9.

    All may be set and observed while it is on show.

    Raises:
        TypeError, ValueError: an argument does not fit; one sentence says what was expected.
    """

    module = "sparse_code"
    lazy = True

    training = traitlets.Dict().tag(sync=True)
    matrix = traitlets.Dict().tag(sync=True)
    images = traitlets.Dict().tag(sync=True)
    penalty = Choice(PENALTIES).tag(sync=True)
    weight = Bounded(*WEIGHTS, default=0.1).tag(sync=True)
    rho = Bounded(*RHOS, default=0.05).tag(sync=True)
    selected = BoundedInt(0, SHOWN - 1).tag(sync=True)
    seed = Seed().tag(sync=True)
    rest = traitlets.Dict().tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        data: Any,
        test: Any,
        *,
        units: int = 128,
        penalty: str = "L1",
        weight: float = 0.1,
        rho: float = 0.05,
        seed: int = 0,
        title: str = "A sparse code, live",
    ) -> None:
        pixels = page_training.images_of(data, "data")
        seen = page_training.images_of(test, "test")
        if seen.shape[1:] != pixels.shape[1:] or len(seen) < SHOWN:
            raise ValueError(
                f"test must have at least {SHOWN} images like data's, {tuple(pixels.shape[1:])}, "
                f"not {tuple(seen.shape)}"
            )
        self._units = whole_number("units", units, 8, 256)
        self._size = f"{len(pixels):,} images of {pixels[0].numel()} pixels"
        chosen = {"penalty": penalty, "weight": weight, "rho": rho, "seed": seed}
        for name, value in chosen.items():
            self.set_trait(name, value)
        shape = tuple(pixels.shape[1:])
        model = SparseAutoencoder(shape, self._units)
        drawn = page_training.draw_weights(model, seed, math.sqrt(2))
        files = keep_tensors({"images": pixels}), keep_tensors({"test": seen})
        batch = min(BATCH, len(pixels))
        exported = export_training(
            model, _loss, pixels[:batch], inputs=self.numbers, lr=RATE,
            functions={"view": (_view, pixels, seen)},
        )  # fmt: skip
        given = {"view": {"images": ["images", len(pixels)], "test": ["test", len(seen)]}}
        training = page_training.describe([exported], files[0], files[1], given)
        training["drawn"] = page_training.places(drawn, exported)
        (piece,) = (each for each in exported.layout if each.name == "encoder.1.weight")
        self._exported = exported
        super().__init__(
            [*exported.files, *(file.path for file in files)],
            training=training,
            matrix={"offset": piece.offset, "units": self._units},
            images={
                "shape": [SHOWN, *shape],
                "pixels": page_training.packed(page_training.grey(seen[:SHOWN])),
            },
            rest={**chosen, **self._rest(model, pixels, seen, batch)},
            title=str(title),
            **chosen,
        )

    @property
    def numbers(self) -> dict[str, float]:
        """What the step takes between two steps: the weights of both penalties, and ρ."""
        return {
            "l1": self.weight * (self.penalty == "L1"),
            "kl": self.weight * (self.penalty == "KL"),
            "rho": self.rho,
        }

    @property
    def step(self) -> Any:
        """The step that the page takes, as an exported graph."""
        return self._exported.step

    def describe(self) -> str:
        """One line: how many units learn what, and what they are charged."""
        charge = "" if self.penalty == "none" else f" of weight {self.weight:g}"
        return f"SparseCode: {self._units} units on {self._size}, penalty {self.penalty}{charge}"

    def _rest(self, model: Any, pixels: Tensor, seen: Tensor, batch: int) -> dict[str, Any]:
        images, test = page_training.floats(pixels), page_training.floats(seen)
        run = page_training.train(
            model, _loss, images, self._exported.step, REST,
            optimizer=torch.optim.Adam(model.parameters(), lr=RATE), batch_size=batch,
            seed=self.seed, inputs=self.numbers,
        )  # fmt: skip
        curve: list[list[float]] = []

        def note(done: int) -> dict[str, Tensor]:
            with torch.no_grad():
                found = _view(model, images, test)
            often = found["often"]
            dead = 100 * float((often == 0).float().mean())
            curve.append([done, float(found["error"]), 100 * float(often.mean()), dead])
            return found

        found = note(0)
        for done, _ in run:
            if done % EVERY == 0:
                found = note(done)
        filters = model.get_parameter("encoder.1.weight").detach()
        bytes_each = (127 * filters / filters.abs().max()).round().to(torch.int8)
        return {
            "steps": REST,
            "curve": curve,
            "filters": page_training.packed(bytes_each),
            "often": page_training.packed(found["often"]),
            "codes": page_training.packed(found["codes"]),
            "reconstructions": page_training.packed(page_training.grey(found["reconstructions"])),
        }


def _loss(
    model: Any, images: Tensor, labels: Tensor | None, l1: Tensor, kl: Tensor, rho: Tensor
) -> dict[str, Tensor]:
    output = model(images)
    reconstruction = reconstruction_error(images, output.reconstruction)
    norm = output.z.sum(1).mean()
    activity = torch.tanh(output.z).mean(0).clamp(TINY, 1 - TINY)
    divergence = (
        rho * torch.log(rho / activity) + (1 - rho) * torch.log((1 - rho) / (1 - activity))
    ).sum()
    return {
        "loss": reconstruction + l1 * norm + kl * divergence,
        "reconstruction": reconstruction,
    }


def _view(model: Any, images: Tensor, test: Tensor) -> dict[str, Tensor]:
    output = model(test)
    return {
        "error": reconstruction_error(test, output.reconstruction),
        "often": (model.encode(images) > 0).float().mean(0),
        "codes": output.z[:SHOWN],
        "reconstructions": output.reconstruction[:SHOWN],
    }

"""A linear and a deep autoencoder against PCA with as many numbers, trained in the page."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import traitlets
from torch import Tensor

from companion.export.tensors import TensorFile, keep_tensors
from companion.export.training import ExportedTraining, export_training
from companion.models.dense_autoencoder import DenseAutoencoder, LinearAutoencoder
from companion.models.images import reconstruction_error
from companion.widgets import page_training, settings
from companion.widgets.base import LiveWidget
from companion.widgets.traits import Choice, Seed, whole_number

KINDS = ("linear", "deep")
SHOWN = 10  # test images with their reconstructions
BATCH = 64  # of the deep one; the linear one takes all images in each step
RATES = {"linear": 0.01, "deep": 3e-3}
REST = {"linear": 600, "deep": 300}  # steps, of the picture at rest
EVERY = 30  # steps between two of its points


class AutoencoderRace(LiveWidget):
    """Autoencoder against PCA: both say an image with k numbers; the autoencoder learns how, live.

    Shown are the errors ‖x − x̂‖² an image, reconstructions side by side and, for the linear
    autoencoder, the largest principal angle between what its decoder's columns span and what the
    first k principal components do, and both sets of axes as images. Each run trains PyTorch's
    own step, by Adam: the linear one on all images at once, the deep one in batches of 64. The
    linear decoder's bias starts at the mean image, which is where PCA starts, too.

    Args:
        data: the images to learn from: an ImageSet or a tensor N×1×H×W, uint8 or floats in [0, 1].
        test: the same for images that neither has seen; the first ten are shown.
        k: numbers an image, at first.
        k_max: as many as the slider goes to.
        widths: hidden layers of the deep one, from the image inwards.
        kind: which autoencoder is shown first, "linear" or "deep".
        seed: of the first weights and of the batches' order, 0 to 2³² − 1.
        title: heading of the widget.

    Attributes:
        k, kind, seed: as above; they may be set and observed while it is on show.

    Raises:
        TypeError, ValueError: an argument does not fit; one sentence says what was expected.
    """

    module = "autoencoder_race"
    lazy = True

    trainings = traitlets.Dict().tag(sync=True)
    pca = traitlets.Dict().tag(sync=True)
    images = traitlets.Dict().tag(sync=True)
    rest = traitlets.Dict().tag(sync=True)
    k = traitlets.Any(8).tag(sync=True, setting=lambda w: settings.whole(1, w.k_max))
    k_max = traitlets.Int().tag(sync=True)
    kind = Choice(KINDS).tag(sync=True)
    seed = Seed().tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        data: Any,
        test: Any,
        *,
        k: int = 8,
        k_max: int = 16,
        widths: Sequence[int] = (128, 64),
        kind: str = "linear",
        seed: int = 0,
        title: str = "Autoencoder against PCA, live",
    ) -> None:
        pixels = page_training.images_of(data, "data")
        seen = page_training.images_of(test, "test")
        if seen.shape[1:] != pixels.shape[1:]:
            raise ValueError(
                f"test must have images like data's, {tuple(pixels.shape[1:])}, "
                f"not {tuple(seen.shape[1:])}"
            )
        most = min(pixels[0].numel(), len(pixels)) - 1
        self._k_max = whole_number("k_max", k_max, 1, min(64, most))
        k = whole_number("k", k, 1, self._k_max)
        self.set_trait("kind", kind)
        self.set_trait("seed", seed)
        self._floats, self._seen = page_training.floats(pixels), page_training.floats(seen)
        mean, components, errors = _pca(self._floats, self._k_max)
        self._components, self._errors = components, errors
        files = keep_tensors({"images": pixels}), keep_tensors({"test": seen})
        shape = tuple(pixels.shape[1:])
        models = {
            "linear": LinearAutoencoder(shape, self._k_max),
            "deep": DenseAutoencoder(shape, self._k_max, widths),
        }
        with torch.no_grad():
            models["linear"].get_parameter("decoder.0.bias").copy_(mean)
        self._exports: dict[str, ExportedTraining] = {}
        trainings, rest = {}, {}
        for name, model in models.items():
            trainings[name], rest[name] = self._train(name, model, k, seed, files)
        super().__init__(
            [
                *(path for exported in self._exports.values() for path in exported.files),
                *(file.path for file in files),
            ],
            trainings=trainings,
            pca={
                "mean": page_training.packed(mean),
                "components": page_training.packed(components),
                "errors": errors,
                "test_errors": _rebuilding_errors(self._seen, mean, components),
            },
            images={
                "shape": [min(SHOWN, len(seen)), *shape],
                "pixels": page_training.packed(page_training.grey(seen[:SHOWN])),
            },
            rest={"k": k, "seed": seed, **rest},
            k=k,
            k_max=self._k_max,
            kind=kind,
            seed=seed,
            title=str(title),
        )
        self._what = f"{len(pixels):,} images of {shape[1]}×{shape[2]} pixels"

    @traitlets.validate("k")
    def _check_k(self, proposal: Any) -> int:
        return whole_number("k", proposal["value"], 1, self._k_max)

    @property
    def pca_errors(self) -> list[float]:
        """PCA's error on the images to learn from with 1, 2, … k_max numbers: no linear map has
        less."""
        return list(self._errors)

    @property
    def pca_error(self) -> float:
        """That with k numbers."""
        return self._errors[self.k - 1]

    @property
    def step(self) -> Any:
        """The step that the page takes with the present kind, as an exported graph."""
        return self._exports[self.kind].step

    def angle(self, weights: Tensor) -> float:
        """The largest principal angle in degrees between PCA's subspace and that of the linear
        decoder's first k columns, for a vector of weights as the page has them."""
        decoder = self._exports["linear"].state_dict(weights)["decoder.0.weight"]
        return _angle(decoder[:, : self.k], self._components[: self.k])

    def describe(self) -> str:
        """One line: who races with how many numbers."""
        return (
            f"AutoencoderRace: {self.kind} autoencoder against PCA (error {self.pca_error:.3f}), "
            f"k = {self.k}, on {self._what}"
        )

    def _train(
        self, name: str, model: Any, k: int, seed: int, files: tuple[TensorFile, TensorFile]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The exported training, and what it reaches by the end of a rest's steps."""
        gain = 0.5 if name == "linear" else math.sqrt(2)
        drawn = page_training.draw_weights(model, seed, gain)
        batch = len(self._floats) if name == "linear" else min(BATCH, len(self._floats))
        loss, view = _loss(self._k_max), _view(self._k_max)
        images, test = files[0].tensors["images"], files[1].tensors["test"]
        exported = export_training(
            model,
            loss,
            _as(self._floats[:batch], images[0]),
            inputs={"k": float(k)},
            lr=RATES[name],
            functions={
                "view": (
                    view,
                    _as(self._floats, images[0]),
                    _as(self._seen, test[0]),
                    torch.tensor(float(k)),
                )
            },
        )
        self._exports[name] = exported
        given = {"view": {"images": ["images", images[1][0]], "test": ["test", test[1][0]]}}
        described = page_training.describe([exported], files[0], files[1], given)
        described["drawn"] = page_training.places(drawn, exported)
        if name == "linear":
            (piece,) = (each for each in exported.layout if each.name == "decoder.0.weight")
            described["decoder"] = {"offset": piece.offset, "shape": list(piece.shape)}
        return described, self._rest(name, model, loss, view, k, seed, batch)

    def _rest(
        self,
        name: str,
        model: Any,
        loss: Callable[..., Tensor],
        view: Callable[..., dict[str, Tensor]],
        k: int,
        seed: int,
        batch: int,
    ) -> dict[str, Any]:
        curve, angles = [], []
        run = page_training.train(
            model, loss, self._floats, self._exports[name].step, REST[name],
            optimizer=torch.optim.Adam(model.parameters(), lr=RATES[name]), batch_size=batch,
            seed=seed, inputs={"k": float(k)},
        )  # fmt: skip
        count = torch.tensor(float(k))

        def note(done: int) -> dict[str, Tensor]:
            with torch.no_grad():
                seen = view(model, self._floats, self._seen, count)
            curve.append([done, float(seen["error"])])
            if name == "linear":
                decoder = model.get_parameter("decoder.0.weight").detach()
                angles.append([done, _angle(decoder[:, :k], self._components[:k])])
            return seen

        seen = note(0)
        for done, _ in run:
            if done % EVERY == 0:
                seen = note(done)
        rest = {
            "steps": REST[name],
            "curve": curve,
            "test_error": float(seen["test_error"]),
            "reconstructions": page_training.packed(page_training.grey(seen["reconstructions"])),
        }
        if name == "linear":
            decoder = model.get_parameter("decoder.0.weight")
            rest |= {"angles": angles, "decoder": page_training.packed(decoder)}
        return rest


def _loss(k_max: int) -> Callable[..., Tensor]:
    def loss(model: Any, images: Tensor, labels: Tensor | None, k: Tensor) -> Tensor:
        return reconstruction_error(images, _rebuilt(model, images, k, k_max))

    return loss


def _view(k_max: int) -> Callable[..., dict[str, Tensor]]:
    def view(model: Any, images: Tensor, test: Tensor, k: Tensor) -> dict[str, Tensor]:
        rebuilt = _rebuilt(model, test, k, k_max)
        return {
            "error": reconstruction_error(images, _rebuilt(model, images, k, k_max)),
            "test_error": reconstruction_error(test, rebuilt),
            "reconstructions": rebuilt[:SHOWN],
        }

    return view


def _rebuilt(model: Any, images: Tensor, k: Tensor, k_max: int) -> Tensor:
    """What is left of images in the first k numbers of their codes."""
    codes = model.encode(images) * (torch.arange(k_max) < k)
    rebuilt: Tensor = model.decode(codes)
    return rebuilt


def _pca(images: Tensor, k_max: int) -> tuple[Tensor, Tensor, list[float]]:
    """Mean, D; the first principal components, k_max×D; the error with 1 … k_max of them."""
    flat = images.flatten(1).double()
    mean = flat.mean(0)
    _, sizes, axes = torch.linalg.svd(flat - mean, full_matrices=False)
    components = axes[:k_max]
    left = sizes.square().flip(0).cumsum(0).flip(0) / len(flat)
    return mean.float(), components.float(), [float(v) for v in left[1 : k_max + 1]]


def _rebuilding_errors(images: Tensor, mean: Tensor, components: Tensor) -> list[float]:
    """The error on other images with 1, 2, … of the components."""
    centred = images.flatten(1) - mean
    along = (centred @ components.T).square().mean(0).cumsum(0)
    return [float(v) for v in centred.square().sum(1).mean() - along]


def _angle(columns: Tensor, components: Tensor) -> float:
    from scipy.linalg import subspace_angles

    angles = subspace_angles(columns.double().numpy(), components.T.double().numpy())
    return math.degrees(angles.max())


def _as(images: Tensor, kind: str) -> Tensor:
    """Images in the number format in which the page has them."""
    return (255 * images).round().to(torch.uint8) if kind == "uint8" else images

"""The same image in several models, the latents that answer for one factor moved in step
(chapter 13)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import traitlets
from torch import Tensor, nn

from companion.by_hand.gaussian import kl_to_standard_normal
from companion.datasets import ImageSet
from companion.disentanglement import align, explained
from companion.export import export_model
from companion.export.model import frozen_copy
from companion.figures import data_url, encode_image, to_uint8
from companion.widgets import settings
from companion.widgets.base import LiveWidget
from companion.widgets.traits import whole_number

REACH = 2.5
"""How far a latent is moved either way, in standard deviations of its mean over the images."""

MOST = 4  # models at a time
# As in beta_lineup.js, which draws the same pictures.
_FRAMES = 7


class BetaLineup(LiveWidget):
    """One slider for each factor moves, in all models, the latent that answers for this factor.

    Which latent that is, `companion.disentanglement.align` says: no latent answers twice, and the
    shares of variance that the factors explain add up to the most. A shift is in standard
    deviations of that latent's mean over `images`, towards more of the factor.

    Args:
        models: 1 to 4 VAEs by name (`encode(x)` gives μ and log σ², `decode(z)` images in [0, 1]).
        images: with their factors; they match latents to factors.
        examples: 1 to 6 images to start from, N×C×H×W, floats in [0, 1].
        captions: what each of the examples is.
        title: heading of the widget.

    Attributes:
        chosen (the number of the example), factor (the number of the one whose way is shown),
        shifts (one a factor, from −2.5 to 2.5): what is on show; they may be set and observed.

    Raises:
        ValueError: no factors, another number of models, examples or captions, or models that make
            other images or have fewer latents than factors.
    """

    module = "beta_lineup"
    lazy = True

    network = traitlets.Dict().tag(sync=True)
    shape = traitlets.List(traitlets.Int()).tag(sync=True)
    factors = traitlets.List(traitlets.Unicode()).tag(sync=True)
    lines = traitlets.List(traitlets.Dict()).tag(sync=True)
    pictures = traitlets.List(traitlets.Unicode()).tag(sync=True)
    captions = traitlets.List(traitlets.Unicode()).tag(sync=True)
    chosen = traitlets.Int().tag(
        sync=True, setting=lambda w: settings.whole(0, len(w.captions) - 1)
    )
    factor = traitlets.Int().tag(sync=True, setting=lambda w: settings.whole(0, len(w.factors) - 1))
    shifts = traitlets.List(traitlets.Float()).tag(
        sync=True,
        setting=lambda w: settings.several(settings.number(-REACH, REACH), len(w.factors)),
    )
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        models: Mapping[str, nn.Module],
        images: ImageSet,
        examples: Tensor,
        captions: Sequence[str],
        *,
        title: str = "The same image, the same factor, in each model",
    ) -> None:
        if not images.factors:
            raise ValueError("Expected images whose factors are known.")
        if not 1 <= len(models) <= MOST:
            raise ValueError(f"Expected 1 to {MOST} models, got {len(models)}.")
        if not 1 <= len(examples) <= 6 or len(captions) != len(examples):
            raise ValueError(
                f"Expected 1 to 6 examples with a caption each, got {len(examples)} and "
                f"{len(captions)} captions."
            )
        if examples.shape[1:] != images.images.shape[1:]:
            raise ValueError("Expected examples of the images' shape.")
        self._decoders = _Decoders([frozen_copy(model) for model in models.values()])
        lines = [
            _aligned(name, model, images, examples)
            for name, model in zip(models, self._decoders.models, strict=True)
        ]
        codes = [torch.tensor(line["codes"]) for line in lines]
        exported = export_model(
            self._decoders,
            codes,
            names=[f"z{k}" for k in range(len(lines))],
            outputs=[f"image{k}" for k in range(len(lines))],
        )
        super().__init__(
            [exported.path],
            network={"model": exported.sha256, "bytes": exported.path.stat().st_size},
            shape=list(examples.shape[1:]),
            factors=[name.replace("_", " ") for name in images.factors],
            lines=lines,
            pictures=[data_url(encode_image(picture)) for picture in to_uint8(examples)],
            captions=[str(caption) for caption in captions],
            shifts=[0.0] * len(images.factors),
            title=str(title),
        )

    @traitlets.validate("chosen")
    def _check_chosen(self, proposal: traitlets.Bunch) -> int:
        return whole_number("chosen", proposal["value"], 0, len(self.captions) - 1)

    @traitlets.validate("factor")
    def _check_factor(self, proposal: traitlets.Bunch) -> int:
        return whole_number("factor", proposal["value"], 0, len(self.factors) - 1)

    @traitlets.validate("shifts")
    def _check_shifts(self, proposal: traitlets.Bunch) -> list[float]:
        value: list[float] = proposal["value"]
        if len(value) != len(self.factors) or not all(abs(each) <= REACH for each in value):
            raise ValueError(
                f"shifts must be {len(self.factors)} numbers from −{REACH} to {REACH}, not {value}"
            )
        return value

    def codes(self, shifts: Sequence[float] | None = None) -> list[Tensor]:
        """What each model's decoder is given, one row: the example's code, its latents shifted."""
        shifts = self.shifts if shifts is None else shifts
        found = []
        for line in self.lines:
            code = torch.tensor(line["codes"][self.chosen])
            for latent, step, shift in zip(line["latents"], line["steps"], shifts, strict=True):
                code[latent] += step * shift
            found.append(code[None])
        return found

    def decoded(self, shifts: Sequence[float] | None = None) -> list[Tensor]:
        """The image of each model, C×H×W."""
        with torch.no_grad():
            return [image[0] for image in self._decoders(*self.codes(shifts))]

    def stills(self) -> dict[str, bytes]:
        """Each model's picture, and its way along the factor that is shown."""
        pictures: dict[str, bytes] = {}
        frames: list[list[Tensor]] = []
        for shift in torch.linspace(-REACH, REACH, _FRAMES).tolist():
            moved = [shift if k == self.factor else each for k, each in enumerate(self.shifts)]
            frames.append(self.decoded(moved))
        for k, now in enumerate(self.decoded()):
            pictures[f"now-{k}"] = encode_image(to_uint8(now[None])[0])
            film = [to_uint8(frame[k][None])[0] for frame in frames]
            pictures[f"film-{k}"] = encode_image(np.hstack(film))
        return pictures

    def describe(self) -> str:
        """One line: the factor that is shown, and how far each model's latent follows it."""
        name = self.factors[self.factor]
        shares = ", ".join(
            f"{line['name']} {line['shares'][self.factor]:.2f}" for line in self.lines
        )
        return f"BetaLineup: share of the latent for {name} that it explains: {shares}"


class _Decoders(nn.Module):
    """Several decoders as one network: a code for each in, an image of each out."""

    def __init__(self, models: list[Any]) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)

    def forward(self, *codes: Tensor) -> tuple[Tensor, ...]:
        pairs: Any = zip(self.models, codes, strict=True)
        return tuple(model.decode(code) for model, code in pairs)


def _aligned(name: str, model: Any, images: ImageSet, examples: Tensor) -> dict[str, Any]:
    """What the page needs of one model."""
    assert images.factors  # checked
    with torch.no_grad():
        found = [model.encode(part) for part in images.pixels().split(256)]
        codes = model.encode(examples)[0]
    mu, log_var = (torch.cat(parts) for parts in zip(*found, strict=True))
    kl = kl_to_standard_normal(mu, torch.exp(0.5 * log_var)).mean(0)
    shares = {factor: explained(mu, values) for factor, values in images.factors.items()}
    matches = align(mu, images.factors, shares).values()
    spread = mu.std(0)
    return {
        "name": str(name),
        "codes": [[round(value, 4) for value in code] for code in codes.tolist()],
        "latents": [match.latent for match in matches],
        "steps": [round(match.sign * spread[match.latent].item(), 4) for match in matches],
        "nats": [round(kl[match.latent].item(), 3) for match in matches],
        "shares": [
            round(share[match.latent].item(), 4)
            for share, match in zip(shares.values(), matches, strict=True)
        ],
    }

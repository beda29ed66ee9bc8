"""The reader names a model's latents; then the information that they have is laid over the names
(chapter 13)."""

from typing import Any

import numpy as np
import torch
import traitlets
from torch import Tensor, nn

from companion.by_hand.gaussian import kl_to_standard_normal
from companion.datasets import ImageSet
from companion.disentanglement import entropies, posterior_information
from companion.export.decoder import export_decoder
from companion.export.model import frozen_copy
from companion.figures import encode_image, to_uint8
from companion.widgets import settings
from companion.widgets.base import LiveWidget
from companion.widgets.rotate_latent import Decode

NOTHING = "nothing"
LEAST = 0.05
"""Share of a factor's entropy; "nothing" is the right name of a latent that tells less of each."""

# As in name_the_slider.js, which draws the same picture.
REACH = 2.5
FRAMES = 7


class NameTheSlider(LiveWidget):
    """A slider for each latent, and a name to choose for it: a factor of the images, or "nothing".

    When the reader has named all of them and asks, the page shows how many nats a draw of each
    latent tells of each factor, as a share of the factor's entropy
    (`companion.disentanglement.posterior_information`), and scores the names: a name is right if it
    is the factor of which the latent tells most; it is worth its information over that of the best
    name. The right name of a latent that tells less than 5 % of each factor is "nothing", worth 1;
    elsewhere "nothing" is worth 0. (Together with others such a latent may tell more.)

    Args:
        model: a VAE with encode(x) → (μ, log σ²) and decode(z) → images in [0, 1].
        images: at least 100 of them with their factors.
        bins: of the information.
        title: heading of the widget.

    Attributes:
        names: what the reader chose, "" for not yet; revealed: whether the truth is shown; z: the
            point shown. They may be set and observed.

    Raises:
        ValueError: images without factors, or too few; a model that can't be exported; names that
            are no factors, or another number of them; the truth before all is named.

    Source: chapter 13.
    """

    module = "name_the_slider"

    decoder = traitlets.Unicode().tag(sync=True)
    image_shape = traitlets.List(traitlets.Int()).tag(sync=True)
    factors = traitlets.List(traitlets.Unicode()).tag(sync=True)
    shares = traitlets.List(traitlets.Any()).tag(sync=True)
    kl = traitlets.List(traitlets.Float()).tag(sync=True)
    names = traitlets.List(traitlets.Unicode()).tag(
        sync=True,
        setting=lambda w: settings.several(settings.words(["", *w.factors, NOTHING]), len(w.kl)),
    )
    revealed = traitlets.Bool(False).tag(sync=True)
    z = traitlets.List(traitlets.Float()).tag(
        sync=True, setting=lambda w: settings.several(settings.number(-REACH, REACH), len(w.kl))
    )
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        model: nn.Module,
        images: ImageSet,
        *,
        bins: int = 20,
        title: str = "What does each latent mean?",
    ) -> None:
        if not images.factors:
            raise ValueError("Expected images whose factors are known.")
        if len(images) < 100:
            raise ValueError(f"Expected at least 100 images, got {len(images)}.")
        twin = frozen_copy(model)
        mu, log_var = _encoded(twin, images)
        d = mu.shape[1]
        table = posterior_information(images.factors, mu.numpy(), log_var.numpy(), bins=bins)
        shares = table / entropies(images.factors, bins=bins)[:, None]
        kl = kl_to_standard_normal(mu.double(), torch.exp(0.5 * log_var.double())).mean(0)
        self._exported = export_decoder(Decode(twin), d)
        super().__init__(
            [self._exported.path],
            decoder=self._exported.sha256,
            image_shape=list(self._exported.image_shape),
            factors=[name.replace("_", " ") for name in images.factors],
            shares=np.round(shares, 6).tolist(),
            kl=kl.tolist(),
            names=[""] * d,
            z=[0.0] * d,
            title=str(title),
        )

    @traitlets.validate("names")
    def _check_names(self, proposal: traitlets.Bunch) -> list[str]:
        names: list[str] = proposal["value"]
        known = {*self.factors, NOTHING, ""}
        if len(names) != len(self.kl) or not set(names) <= known:
            raise ValueError(
                f"names must be {len(self.kl)} of {', '.join([*self.factors, NOTHING])}, "
                f"or empty, not {names}"
            )
        return names

    @traitlets.validate("revealed")
    def _check_revealed(self, proposal: traitlets.Bunch) -> bool:
        if proposal["value"] and not all(self.names):
            raise ValueError(f"expected a name for each of {len(self.kl)} latents before the truth")
        return bool(proposal["value"])

    def best(self) -> list[str]:
        """The right name of each latent."""
        table = np.array(self.shares)
        return [
            self.factors[int(latent.argmax())] if latent.max() >= LEAST else NOTHING
            for latent in table.T
        ]

    def worth(self) -> list[float]:
        """What each of the reader's names is worth, 0 to 1."""
        found = []
        for name, best, latent in zip(
            self.names, self.best(), np.array(self.shares).T, strict=True
        ):
            if NOTHING in (name, best) or not name:
                found.append(float(name == best))
            else:
                found.append(float(latent[self.factors.index(name)] / latent.max()))
        return found

    @property
    def score(self) -> float:
        """The mean worth of the names, 0 to 1."""
        return float(np.mean(self.worth()))

    @property
    def right(self) -> int:
        """How many names are right."""
        return sum(name == best for name, best in zip(self.names, self.best(), strict=True))

    def stills(self) -> dict[str, bytes]:
        """The image of z, and the way along the first latent."""
        z = torch.tensor(self.z, dtype=torch.float32)
        way = z.repeat(FRAMES, 1)
        way[:, 0] = torch.linspace(-REACH, REACH, FRAMES)
        images = to_uint8(self._exported.decode(torch.cat([z[None], way])))
        return {"hero": encode_image(images[0]), "way": encode_image(np.hstack(list(images[1:])))}

    def describe(self) -> str:
        """One line: how many latents are named, and once it is shown how many of them right."""
        named = sum(bool(name) for name in self.names)
        text = f"NameTheSlider: {named} of {len(self.names)} latents named"
        return f"{text}, {self.right} right, score {self.score:.2f}" if self.revealed else text


def _encoded(model: Any, images: ImageSet) -> tuple[Tensor, Tensor]:
    """μ and log σ², N×d."""
    with torch.no_grad():
        parts = [model.encode(part / 255) for part in images.images.split(250)]
    mu, log_var = (torch.cat(part) for part in zip(*parts, strict=True))
    return mu, log_var

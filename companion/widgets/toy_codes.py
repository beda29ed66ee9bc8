"""Codes that the reader spoils, and what four metrics of disentanglement say of them."""

import math

import numpy as np
import traitlets

from companion.disentanglement import dci, factor_vae_score, mig, mutual_information, sap, spoil
from companion.widgets import settings
from companion.widgets.base import LiveWidget
from companion.widgets.noise import branch, noise, permutation, uniform
from companion.widgets.traits import Bounded, BoundedInt, Seed

FACTORS = ("v₁", "v₂", "v₃")
ROWS = (250, 1000, 4000)
VOTES = 800  # as in toy_codes.js


class ToyCodes(LiveWidget):
    """Three independent factors, uniform with variance 1, and codes made of them, live.

    The codes are the factors; then the first two are rotated, noise is added, all are repeated, and
    some rows get the codes of others (`companion.disentanglement.spoil`). The table of information,
    MIG, SAP, DCI with a linear regressor and the FactorVAE score follow.

    Args, all of them attributes that may be set and observed:
        angle: of the rotation, 0 to 45 degrees.
        noise: its standard deviation, 0 to 2.
        copies: how often each latent is there, 1 or 2.
        shuffled: the share of the rows whose codes are mixed up, 0 to 1.
        rows: 250, 1,000 or 4,000.
        bins: for the information, 5 to 40.
        seed: of factors, noise and mixing.
        title: heading of the widget.

    Raises:
        ValueError: an argument is out of its range; the sentence says which.

    Source: chapter 13.
    """

    module = "toy_codes"

    angle = Bounded(0, 45, default=0).tag(sync=True)
    noise = Bounded(0, 2, default=0).tag(sync=True)
    copies = BoundedInt(1, 2, default=1).tag(sync=True)
    shuffled = Bounded(0, 1, default=0).tag(sync=True)
    rows = traitlets.Int(4000).tag(sync=True, setting=settings.whole(min(ROWS), max(ROWS)))
    bins = BoundedInt(5, 40, default=20).tag(sync=True)
    seed = Seed().tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        *,
        angle: float = 0,
        noise: float = 0,
        copies: int = 1,
        shuffled: float = 0,
        rows: int = 4000,
        bins: int = 20,
        seed: int = 0,
        title: str = "Spoil a perfect code",
    ) -> None:
        super().__init__(
            angle=angle, noise=noise, copies=copies, shuffled=shuffled, rows=rows, bins=bins,
            seed=seed, title=str(title),
        )  # fmt: skip

    @traitlets.validate("rows")
    def _check_rows(self, proposal: traitlets.Bunch) -> int:
        if proposal["value"] not in ROWS:
            raise ValueError(f"rows must be one of 250, 1000 and 4000, not {proposal['value']!r}")
        return int(proposal["value"])

    def factors(self) -> np.ndarray:
        """N×3, float64."""
        draws = uniform(branch(self.seed, 0), 3 * self.rows).numpy().reshape(self.rows, 3)
        return math.sqrt(3) * (2 * draws - 1)

    def codes(self) -> np.ndarray:
        """N×(3·copies), float64."""
        draws = noise(branch(self.seed, 1), 3 * self.rows).numpy().reshape(self.rows, 3)
        order = np.arange(self.rows)
        mixed = round(self.shuffled * self.rows)
        order[:mixed] = permutation(branch(self.seed, 2), mixed)
        return spoil(
            self.factors(), angle=self.angle, noise=self.noise * draws, copies=self.copies,
            order=order,
        )  # fmt: skip

    def scores(self) -> dict[str, float]:
        """The metrics, by the names of the quantities in the page."""
        factors, codes = self.factors(), self.codes()
        d, c, i, _ = dci(factors, codes)
        return {
            "mig": mig(factors, codes, bins=self.bins),
            "sap": sap(factors, codes),
            "dci-disentanglement": d,
            "dci-completeness": c,
            "dci-informativeness": i,
            "factor-vae": factor_vae_score(
                factors, codes, votes=VOTES,
                draw=lambda n: uniform(branch(self.seed, 3), n).numpy(),
            ),
        }  # fmt: skip

    def table(self) -> np.ndarray:
        """I(factor; latent) in nats, 3×(3·copies)."""
        return mutual_information(self.factors(), self.codes(), bins=self.bins)

    def describe(self) -> str:
        """One line: the metrics."""
        said = ", ".join(f"{name} {value:.2f}" for name, value in self.scores().items())
        return f"ToyCodes: {said}"

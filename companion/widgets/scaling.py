"""EfficientNet made larger in depth, width and resolution, live in the page (chapter 8)."""

from typing import Any

import traitlets

from companion.explain.costs import (
    Cost,
    StageCost,
    efficientnet_cost,
    efficientnet_stages,
    sum_costs,
    ways_to_scale,
)
from companion.models.efficientnet import SCALINGS, Scaling
from companion.widgets import settings
from companion.widgets.base import LiveWidget
from companion.widgets.traits import Bounded

PHI_RANGE = (0.0, 7.0)
#: Of α, β and γ: with α = 2 and β = γ = 1 it is depth alone that grows.
BASE_RANGES = {"alpha": (1.0, 2.0), "beta": (1.0, 1.5), "gamma": (1.0, 1.5)}
WAYS = ("compound", "depth", "width", "resolution")
# The φ at which equation 3 comes nearest to each published network; the paper names none.
_PHI_OF = (0.0, 0.5, 1.0, 2.0, 3.5, 5.0, 6.0, 7.0)


class CompoundScaling(LiveWidget):
    """B0 and what φ makes of it, drawn to one scale, with parameters and operations.

    Args:
        phi: the compound coefficient φ, from 0 to 7.
        alpha: base of the depth, from 1 to 2.
        beta: base of the width, from 1 to 1.5.
        gamma: base of the resolution, from 1 to 1.5.
        way: "compound", or "depth", "width" or "resolution" alone for the same operations.
        title: heading of the widget.

    All but `title` may be set and observed from Python while the widget is on show.

    Raises:
        ValueError: an argument is outside its range.

    Source: chapter 8; Tan & Le (2019), equation 3.
    """

    module = "scaling"

    phi = Bounded(*PHI_RANGE).tag(sync=True)
    alpha = Bounded(*BASE_RANGES["alpha"]).tag(sync=True)
    beta = Bounded(*BASE_RANGES["beta"]).tag(sync=True)
    gamma = Bounded(*BASE_RANGES["gamma"]).tag(sync=True)
    way = traitlets.Unicode().tag(sync=True, setting=settings.words(WAYS))
    published = traitlets.List(traitlets.Dict()).tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)

    def __init__(
        self,
        phi: float = 2.0,
        alpha: float = 1.2,
        beta: float = 1.1,
        gamma: float = 1.15,
        *,
        way: str = "compound",
        title: str = "Compound scaling",
    ) -> None:
        super().__init__(
            phi=phi,
            alpha=alpha,
            beta=beta,
            gamma=gamma,
            way=way,
            published=_published(),
            title=str(title),
        )

    @traitlets.validate("way")
    def _check_way(self, proposal: Any) -> str:
        if proposal["value"] not in WAYS:
            raise ValueError(f"way must be one of {', '.join(WAYS)}, not {proposal['value']!r}")
        return str(proposal["value"])

    @property
    def growth(self) -> float:
        """α·β²·γ²: about how many times more operations each step of φ takes."""
        return self.alpha * self.beta**2 * self.gamma**2

    @property
    def ways(self) -> dict[str, Scaling]:
        """Each way to scale at the present φ."""
        return ways_to_scale(self.phi, self.alpha, self.beta, self.gamma)

    @property
    def stages(self) -> tuple[StageCost, ...]:
        """The nine stages of the network that is drawn."""
        return efficientnet_stages(self.ways[self.way])

    @property
    def cost(self) -> Cost:
        """Multiplications and parameters of the network that is drawn."""
        return sum_costs(stage.cost for stage in self.stages)

    def describe(self) -> str:
        """One line: the factors, and what the network costs."""
        scaling, cost = self.ways[self.way], self.cost
        return (
            f"CompoundScaling: φ = {self.phi:g}, depth ×{scaling.depth:.2f}, width "
            f"×{scaling.width:.2f}, {scaling.resolution} pixels: {cost.parameters:,} parameters, "
            f"{cost.multiplications:,} multiplications"
        )


def _published() -> list[dict[str, Any]]:
    """B0 … B7 with their released coefficients and what they cost, as JSON can hold it."""
    rows = []
    for (name, scaling), phi in zip(SCALINGS.items(), _PHI_OF, strict=True):
        cost = efficientnet_cost(scaling)
        plan = {"width": scaling.width, "depth": scaling.depth, "resolution": scaling.resolution}
        rows.append({"name": name.upper(), "phi": phi, **plan, **cost._asdict()})
    return rows

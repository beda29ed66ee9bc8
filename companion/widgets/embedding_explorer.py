"""Points in many dimensions as PCA, t-SNE and UMAP draw them, with t-SNE live in the page."""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import traitlets
from torch.nn import functional as F

from companion.explain.embeddings import (
    as_points,
    continuity,
    kept_neighbours,
    nearest_neighbours,
    project,
    toy_points,
    trustworthiness,
)
from companion.figures import to_uint8
from companion.widgets import settings
from companion.widgets.base import LiveWidget
from companion.widgets.traits import Bounded, BoundedInt, Seed, number

FEWEST, MOST = 10, 1000
"""Points that a page can lay out live."""

DIMENSIONS = 64  # that a page gets
CLASSES = 20
VIEWS = ("pca", "tsne", "umap")


class EmbeddingExplorer(LiveWidget):
    """Points as thumbnails in PCA, t-SNE or UMAP; t-SNE runs in the page, step by step.

    Who points at an image sees its true nearest neighbours joined to it, and how far the picture
    can be trusted, in numbers. For the last hidden layer of a network, for instance::

        EmbeddingExplorer(features, digits.images, labels=digits.labels, umap=True)

    A folder of one's own images comes by `load_images("~/pictures", size=500)`, whatever computes
    their features.

    The page gets 64 dimensions at most, the directions of most variance, with 16 bits a number;
    `kept_in_page` says what that keeps.

    Args:
        embedding: N×D numbers, 10 to 1,000 points.
        images: N×C×H×W, uint8 or floats in [0, 1], one or three channels. None draws dots.
        labels: N class numbers from 0 on, at most 20 classes; None for no classes.
        class_names: names of the classes; the numbers if not given.
        umap: also lay the points out by UMAP, here and now, which takes some ten seconds.
        view: what is shown first: "pca", "tsne" or, with `umap`, "umap".
        perplexity: t-SNE's, 2 to 100 and at most (N − 1)/3; None is 30, or less for few points.
        side: height and width in pixels that larger images are reduced to; 28 keeps MNIST's.
        title: heading of the widget.

    Attributes:
        view, perplexity: as above.
        exaggeration: of P in t-SNE's first 250 steps, 1 to 20.
        init: where t-SNE starts: "pca" or "random".
        seed: of the random start, 0 to 2³² − 1.
        k: how many neighbours count, 1 to 20 and below N/2.
        selected: the place of the point that is looked at.

    All may be set and observed from Python while it is on show. t-SNE's own layout stays in the
    page.

    Raises:
        ValueError: an argument does not fit; the sentence says which.
    """

    module = "embedding_explorer"
    lazy = True

    points = traitlets.Dict().tag(sync=True)
    layouts = traitlets.Dict().tag(sync=True)
    tiles = traitlets.Dict().tag(sync=True)
    labels = traitlets.List(traitlets.Int()).tag(sync=True)
    class_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    kept = traitlets.Dict().tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)
    view = traitlets.Unicode("tsne").tag(
        sync=True,
        setting=lambda w: settings.words([v for v in VIEWS if v == "tsne" or v in w.layouts]),
    )
    perplexity = Bounded(2, 100, default=30).tag(
        sync=True, setting=lambda w: settings.number(2, min(100, (w.points["count"] - 1) / 3))
    )
    exaggeration = Bounded(1, 20, default=12).tag(sync=True)
    init = traitlets.Unicode("pca").tag(sync=True, setting=settings.words(("pca", "random")))
    seed = Seed().tag(sync=True)
    k = BoundedInt(1, 20, default=5).tag(
        sync=True, setting=lambda w: settings.whole(1, min(20, (w.points["count"] - 1) // 2))
    )
    selected = traitlets.Int(0).tag(
        sync=True, setting=lambda w: settings.whole(0, w.points["count"] - 1)
    )

    def __init__(
        self,
        embedding: Any,
        images: Any = None,
        labels: Any = None,
        class_names: Sequence[str] | None = None,
        *,
        umap: bool = False,
        view: str = "tsne",
        perplexity: float | None = None,
        side: int = 16,
        seed: int = 0,
        title: str = "An embedding, seen from its neighbours",
    ) -> None:
        true = as_points(embedding)
        count = len(true)
        if not FEWEST <= count <= MOST:
            raise ValueError(
                f"expected {FEWEST} to {MOST:,} points, as many as a page lays out live, got "
                f"{count:,}; take some of them, as embedding[:500]"
            )
        if true.shape[1] < 2:
            raise ValueError("embedding must have 2 dimensions or more, got 1")
        classes = _classes(labels, count)
        names = list(map(str, class_names if class_names is not None else range(max(classes) + 1)))
        if len(names) <= max(classes):
            raise ValueError(f"expected {max(classes) + 1} class_names, got {len(names)}")
        self._true = true
        self._points, points = _for_page(true)
        layouts = {"pca": project(true, "pca")}
        if umap:
            layouts["umap"] = project(true, "umap", seed=seed, n_neighbors=min(15, count - 1))
        super().__init__(
            points=points,
            layouts={way: _base64(plane.astype("<f4")) for way, plane in layouts.items()},
            tiles={} if images is None else _tiles(images, count, side),
            labels=classes,
            class_names=names if labels is not None else [],
            kept=_kept(true, self._points),
            title=str(title),
            view=view,
            perplexity=min(30.0, (count - 1) / 3) if perplexity is None else perplexity,
            seed=seed,
            k=min(5, (count - 1) // 2),
        )

    @classmethod
    def toy(cls, kind: str, count: int = 300, *, seed: int = 0, **options: Any) -> Any:
        """Dots of known shape: `kind` and its errors are those of `toy_points`.

        `options` are those of the class: ``EmbeddingExplorer.toy("noise", perplexity=2)``.
        """
        points, labels, names = toy_points(kind, count, seed)
        return cls(points, labels=labels, class_names=names, seed=seed, **options)

    @traitlets.validate("view")
    def _check_view(self, proposal: Any) -> str:
        here = [way for way in VIEWS if way == "tsne" or way in self.layouts]
        if proposal["value"] not in here:
            raise ValueError(f"view must be one of {', '.join(here)}, got {proposal['value']!r}")
        return str(proposal["value"])

    @traitlets.validate("init")
    def _check_init(self, proposal: Any) -> str:
        if proposal["value"] not in ("pca", "random"):
            raise ValueError(f"init must be pca or random, got {proposal['value']!r}")
        return str(proposal["value"])

    @traitlets.validate("perplexity")
    def _check_perplexity(self, proposal: Any) -> float:
        count = self.points.get("count", 3 * MOST)
        return number("perplexity", proposal["value"], 2, min(100, (count - 1) / 3))

    @traitlets.validate("k")
    def _check_k(self, proposal: Any) -> int:
        count = self.points.get("count", MOST)
        return int(number("k", proposal["value"], 1, min(20, (count - 1) // 2)))

    @traitlets.validate("selected")
    def _check_selected(self, proposal: Any) -> int:
        count = self.points.get("count", MOST)
        return int(number("selected", proposal["value"], 0, count - 1))

    @property
    def kept_in_page(self) -> dict[str, float]:
        """What the page's numbers keep of the embedding.

        "dimensions"; "variance", the share that they hold; "neighbours", the share of the 10
        nearest neighbours that are the same.
        """
        return dict(self.kept)

    def quality(self, way: str = "pca") -> dict[str, float]:
        """How far the layout "pca" or "umap" keeps neighbourhoods, for `k`, as the page says it."""
        if way not in self.layouts:
            raise ValueError(f"expected one of {', '.join(self.layouts)}, got {way!r}")
        plane = np.frombuffer(base64.b64decode(self.layouts[way]), "<f4").reshape(-1, 2)
        return {
            "trustworthiness": trustworthiness(self._points, plane, self.k),
            "continuity": continuity(self._points, plane, self.k),
            "kept": kept_neighbours(self._points, plane, self.k),
        }

    def neighbours(self) -> list[int]:
        """The places of the selected point's k nearest neighbours, as the page has them."""
        near = nearest_neighbours(self._points, k=self.k).indices
        return [int(j) for j in near[self.selected]]

    def describe(self) -> str:
        """One line: how many points, and how far PCA can be trusted."""
        return (
            f"EmbeddingExplorer: {len(self._true):,} points in {self._true.shape[1]} dimensions; "
            f"trustworthiness of PCA {self.quality()['trustworthiness']:.3f}"
        )


def _classes(labels: Any, count: int) -> list[int]:
    if labels is None:
        return [0] * count
    known = torch.as_tensor(labels).cpu()
    if known.shape != (count,) or known.is_floating_point() or int(known.min()) < 0:
        raise ValueError(f"labels must be {count} class numbers from 0 on, one a point")
    if int(known.max()) >= CLASSES:
        raise ValueError(f"expected at most {CLASSES} classes, got {int(known.max()) + 1}")
    return [int(label) for label in known]


def _for_page(true: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """The points as the page has them, and what it is sent: fewer dimensions, 16 bits a number."""
    points = true - true.mean(0)
    if points.shape[1] > DIMENSIONS:
        _, _, directions = np.linalg.svd(points, full_matrices=False)
        points = points @ directions[:DIMENSIONS].T
    scale = float(np.abs(points).max()) / 32767 or 1.0
    whole = np.round(points / scale).astype("<i2")
    sent = {"count": len(points), "scale": scale, "data": _base64(whole)}
    return whole.astype(np.float64) * scale, sent


def _kept(true: np.ndarray, points: np.ndarray) -> dict[str, float]:
    k = min(10, len(true) - 1)
    near, seen = (nearest_neighbours(each, k=k).indices for each in (true, points))
    same = (near[:, :, None] == seen[:, None]).any(2).double().mean()
    variance = np.square(true - true.mean(0)).sum()
    return {
        "of": true.shape[1],
        "dimensions": points.shape[1],
        "variance": float(np.square(points).sum() / variance) if variance else 1.0,
        "neighbours": float(same),
    }


def _tiles(images: Any, count: int, side: int) -> dict[str, Any]:
    """The thumbnails: N×C×H×W bytes, at most `side` pixels high and wide."""
    if not 4 <= side <= 64:
        raise ValueError(f"side must be 4 to 64 pixels, got {side}")
    pixels = torch.from_numpy(np.array(to_uint8(images))).permute(0, 3, 1, 2)
    if len(pixels) != count:
        raise ValueError(f"expected {count} images, one a point, got {len(pixels)}")
    if bool((pixels == pixels[:, :1]).all()):
        pixels = pixels[:, :1]
    largest = max(pixels.shape[2:])
    if largest > side:
        size = [max(1, round(side * edge / largest)) for edge in pixels.shape[2:]]
        small = F.interpolate(pixels.float(), size=size, mode="area")
        pixels = small.round().to(torch.uint8)
    return {"shape": list(pixels.shape[1:]), "data": _base64(pixels.contiguous().numpy())}


def _base64(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode()

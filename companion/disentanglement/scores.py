"""MIG, SAP, DCI and the FactorVAE score; what each of them measures, and what it cannot see."""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from companion.disentanglement.information import Cut, entropies, gap, mutual_information
from companion.disentanglement.tables import Factors, as_table, is_discrete, targets

_RIDGE = 1e-6  # only where columns repeat one another: it shares equally among them


def mig(factors: Factors, codes: ArrayLike, *, bins: int = 20, cut: Cut = "frequency") -> float:
    """The mutual information gap, 0 to 1: how far a factor's best latent is ahead of the second.

    The mean over the factors of (I(v; z_best) − I(v; z_second)) / H(v), by counting in `bins` (see
    `mutual_information`). 1: each factor can be read from one latent, and from no other at all.

    It cannot see whether one latent carries several factors, nor what is left of a factor in the
    third latent and below. For continuous factors it depends on the number of bins: never
    compare values of different ones.

    Source: Chen et al. (2018), section 4, who take draws z ~ q(z|x) where codes are taken here.
    """
    table = mutual_information(factors, codes, bins=bins, cut=cut)
    return float((gap(table) / entropies(factors, bins=bins, cut=cut)).mean())


def sap(factors: Factors, codes: ArrayLike, *, periods: Mapping[str, float] | None = None) -> float:
    """The separated attribute predictability, 0 to 1: the gap between the two best predictors.

    The mean over the factors of the difference between the two best latents in :func:`sap_table`.

    It cannot see what is not linear: a latent that follows |v| scores 0. Nor, like MIG, whether one
    latent carries several factors.

    Source: Kumar et al. (2018), section 3. They do not take chance off: with K classes their gap
    can't exceed 1 − 1/K.
    """
    return float(gap(sap_table(factors, codes, periods=periods)).mean())


def sap_table(
    factors: Factors, codes: ArrayLike, *, periods: Mapping[str, float] | None = None
) -> np.ndarray:
    """How well each latent alone predicts each factor, F×d, 0 (chance) to 1.

    For a continuous factor it is the R² of a line. A factor with a period (`periods`: by name, in
    its own unit) is predicted as cosine and sine, R² of both; no single number can follow a circle,
    so even z = v gives only 3/π² = 0.30. For K classes it is the balanced accuracy a of the best
    K − 1 thresholds, each interval a class, with chance taken off: (K·a − 1)/(K − 1). Fitted and
    scored on the same rows.
    """
    table = as_table(factors, codes)
    z = (table.codes - table.codes.mean(0)) / table.codes.std(0)
    rows = []
    for name, values in zip(table.names, table.factors, strict=True):
        if is_discrete(values):
            rows.append([threshold_score(latent, values) for latent in z.T])
        else:
            y = targets(values, (periods or {}).get(name))
            rows.append(((z.T @ y / len(z)) ** 2).sum(1))
    return np.array(rows)


def threshold_score(z: np.ndarray, classes: np.ndarray) -> float:
    """Balanced accuracy of the best K − 1 thresholds on z (N) for K classes; chance is 0."""
    counts = np.bincount(classes)
    kinds = len(counts)
    at = np.unique(z, return_inverse=True)[1]
    won = np.zeros((at.max() + 1, kinds))  # by each distinct value, if its interval is that class
    np.add.at(won, (at, classes), 1 / (kinds * counts[classes]))
    # best[t, c]: up to here, with t thresholds, the last interval of class c
    best = np.full((kinds, kinds), -np.inf)
    best[0] = 0.0
    for row in won:
        best[1:] = np.maximum(best[1:], best[:-1].max(1, keepdims=True))
        best += row
    return float((kinds * best.max() - 1) / (kinds - 1))


class DCI(NamedTuple):
    """Disentanglement, completeness, informativeness, each 0 to 1, and the importances d×F."""

    disentanglement: float
    completeness: float
    informativeness: float
    importance: np.ndarray


def dci(
    factors: Factors,
    codes: ArrayLike,
    *,
    regressor: Literal["linear", "forest"] = "linear",
    periods: Mapping[str, float] | None = None,
    trees: int = 50,
) -> DCI:
    """Which latents a regressor needs to predict each factor, as three numbers.

    Disentanglement: does each latent serve one factor? 1 − H(importances of a latent, as shares) /
    log F, latents weighted by their importance. Completeness: is each factor served by one latent?
    The same along d, factors weighted alike. Informativeness: how well is it predicted at all, on
    rows that were not fitted (R², or balanced accuracy with chance taken off; never below 0).

    "linear": least squares on standardised codes (classes as indicators); an importance is the size
    of a coefficient. "forest": scikit-learn's random forests with their importances. Every other
    row is fitted, the others are predicted. Periods: see `sap_table`.

    The linear one cannot see what is not linear, and calls a middle class unpredictable. Where
    nothing is predicted, chance makes importances unequal, and disentanglement is not 0: look at
    the informativeness first. Completeness depends on d through log d.

    Source: Eastwood & Williams (2018), with LASSO and forests; a coefficient's size is theirs too.

    Raises ValueError: see :mod:`companion.disentanglement`; and for fewer than two factors or
    latents, whose shares have no entropy.
    """
    table = as_table(factors, codes)
    if len(table.factors) < 2 or table.codes.shape[1] < 2 or len(table.codes) < 4:
        raise ValueError(
            "DCI needs at least two factors, two latents and four rows, got "
            f"{len(table.factors)}, {table.codes.shape[1]} and {len(table.codes)}."
        )
    if regressor not in ("linear", "forest"):
        raise ValueError(f"Expected the regressor 'linear' or 'forest', got {regressor!r}.")
    importances, scores = [], []
    for name, values in zip(table.names, table.factors, strict=True):
        y = targets(values, (periods or {}).get(name))
        fit = _linear if regressor == "linear" else _forest
        importance, predicted = fit(table.codes, y, values, trees)
        importances.append(importance)
        scores.append(_informed(predicted, y[1::2], values))
    importance = np.array(importances).T
    weights = importance.sum(1) / importance.sum()
    return DCI(
        float(weights @ _concentration(importance)),
        float(_concentration(importance.T).mean()),
        float(np.mean(scores)),
        importance,
    )


def _concentration(importance: np.ndarray) -> np.ndarray:
    """1 − H/log K of each row's K shares: 1 if all is in one, 0 if all are equal (or all are 0)."""
    whole = importance.sum(1, keepdims=True)
    shares = np.divide(importance, whole, out=np.full_like(importance, 1.0), where=whole > 0)
    shares = np.where(whole > 0, shares, 1 / importance.shape[1])
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    concentrated: np.ndarray = 1 + (shares * logs).sum(1) / np.log(importance.shape[1])
    return concentrated


def _linear(
    codes: np.ndarray, y: np.ndarray, _: np.ndarray, __: int
) -> tuple[np.ndarray, np.ndarray]:
    fitted, held_out = codes[::2], codes[1::2]
    mean, deviation = fitted.mean(0), fitted.std(0)
    z = (fitted - mean) / np.where(deviation > 0, deviation, 1)
    offset = y[::2].mean(0)
    square = z.T @ z / len(z) + _RIDGE * np.eye(z.shape[1])
    weights = np.linalg.solve(square, z.T @ (y[::2] - offset) / len(z))
    predicted = (held_out - mean) / np.where(deviation > 0, deviation, 1) @ weights + offset
    return np.sqrt((weights**2).sum(1)), predicted


def _forest(
    codes: np.ndarray, y: np.ndarray, values: np.ndarray, trees: int
) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    options = {"n_estimators": trees, "min_samples_leaf": 3, "random_state": 0}
    if is_discrete(values):
        model = RandomForestClassifier(class_weight="balanced", **options)
        model.fit(codes[::2], values[::2])
        guess = np.zeros((len(codes[1::2]), y.shape[1]))
        guess[:, model.classes_] = model.predict_proba(codes[1::2])
        return model.feature_importances_, guess
    model = RandomForestRegressor(**options).fit(codes[::2], y[::2].squeeze())
    return model.feature_importances_, model.predict(codes[1::2]).reshape(-1, y.shape[1])


def _informed(predicted: np.ndarray, y: np.ndarray, values: np.ndarray) -> float:
    """R² of held-out predictions, or balanced accuracy with chance taken off; at least 0."""
    if is_discrete(values):
        truth, kinds = values[1::2], predicted.shape[1]
        right = predicted.argmax(1) == truth
        accuracy = np.mean([right[truth == c].mean() for c in np.unique(truth)])
        return max(0.0, float((kinds * accuracy - 1) / (kinds - 1)))
    error, spread = ((predicted - y) ** 2).sum(), ((y - y.mean(0)) ** 2).sum()
    return max(0.0, float(1 - error / spread))


def factor_vae_score(
    factors: Factors,
    codes: ArrayLike,
    *,
    votes: int = 800,
    size: int = 64,
    draw: Callable[[int], ArrayLike] | None = None,
) -> float:
    """How often the latent that varies least gives away which factor was held fixed, 1/F to 1.

    A vote: choose a factor and a row, take the `size` rows nearest to it in this factor (of its
    class, if it has classes), and see which latent, in units of its standard deviation, varies
    least among them. Half of the votes teach which factor each latent stands for (the majority's),
    the other half are scored. Chance gives about 1/F, not 0. `draw(n)` gives n numbers from 0 to 1,
    two a vote; NumPy's generator with seed 0 if not given.

    It cannot see duplicates, nor a code that mixes two factors as long as one of them prevails, nor
    how much of a factor is in the code: only which latent comes first.

    Source: Kim & Mnih (2018), section 4. They draw new images for each vote, all of one value of
    the factor; here a sample is given, and neighbours in it stand for one value.

    Raises ValueError: see :mod:`companion.disentanglement`; and for fewer than two factors, and for
    votes or a size below 2.
    """
    table = as_table(factors, codes)
    kinds, latents = len(table.factors), table.codes.shape[1]
    if kinds < 2:
        raise ValueError("The FactorVAE score needs at least two factors, got one.")
    if votes < 2 or size < 2:
        raise ValueError(f"Expected at least 2 votes of 2 rows, got {votes} of {size}.")
    uniform = np.random.default_rng(0).random if draw is None else draw
    draws = np.asarray(uniform(2 * votes)).reshape(votes, 2)
    z = table.codes / table.codes.std(0)
    orders = [values.argsort(kind="stable") for values in table.factors]
    tally = np.zeros((2, latents, kinds), dtype=np.int64)
    for vote, (which, place) in enumerate(draws):
        factor = int(which * kinds)
        rows = window(table.factors[factor][orders[factor]], int(place * len(z)), size)
        least = z[orders[factor][rows]].var(0).argmin()
        tally[vote % 2, least, factor] += 1
    learned = tally[0].argmax(1)
    return float(tally[1][np.arange(latents), learned].sum() / tally[1].sum())


def window(ordered: np.ndarray, place: int, size: int) -> slice:
    """The `size` places around one, in N ordered values, but inside of its class."""
    low, high = 0, len(ordered)
    if is_discrete(ordered):
        low, high = np.searchsorted(ordered, [ordered[place], ordered[place] + 1])
    start = max(low, min(place - size // 2, high - size))
    return slice(int(start), int(min(start + size, high)))

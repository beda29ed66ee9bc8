"""Tables to look for anomalies in: from scikit-learn with a stated protocol, or from a CSV file."""

import csv
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from companion.paths import expanded

#: Of each table: scikit-learn's loader, the classes that are normal, and the one that is not.
_TABLES = {"breast cancer": ("load_breast_cancer", (1,), 0), "wine": ("load_wine", (1, 2), 0)}


@dataclass(frozen=True)
class Table:
    """Rows of numbers: X is float64, N×D; `columns` names D of them.

    `labels` is boolean, N, true for anomalies; None where nobody knows.
    """

    name: str
    X: np.ndarray
    columns: tuple[str, ...]
    labels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.X)


def load_table(name: str, anomalies: int = 20, seed: int = 0) -> Table:
    """A table that comes inside scikit-learn, made a test of anomaly detection.

    - "breast cancer": 30 measurements of cell nuclei. All 357 benign rows are normal; of the 212
      malignant ones, `anomalies` are drawn and mixed in.
    - "wine": 13 chemical measurements. The 119 wines of the second and third cultivar are normal;
      of the 59 of the first, `anomalies` are drawn.

    A class that was measured on purpose is not a rare event: results tell how far apart the classes
    are, no more. `seed` sets which rows are drawn and the order of all. Raises ValueError for a
    name or a number that there is not.
    """
    from sklearn import datasets

    if name not in _TABLES:
        raise ValueError(f"There is no table {name!r}; there are {', '.join(map(repr, _TABLES))}.")
    loader, normal, other = _TABLES[name]
    bunch = getattr(datasets, loader)()
    rng = np.random.default_rng(seed)
    rare = rng.permutation(np.flatnonzero(bunch.target == other))
    if not 1 <= anomalies <= len(rare):
        raise ValueError(f"anomalies must be 1 to {len(rare)} for {name!r}, got {anomalies!r}.")
    rows = rng.permutation(np.r_[np.flatnonzero(np.isin(bunch.target, normal)), rare[:anomalies]])
    return Table(
        name, bunch.data[rows], tuple(map(str, bunch.feature_names)), bunch.target[rows] == other
    )


def as_rows(X: ArrayLike, columns: Collection[str] = (), *, constant: bool = False) -> np.ndarray:
    """X as float64 N×D, N at least 2; columns are called by `columns`, or counted from 0.

    Raises:
        ValueError: text, NaN or ∞, a column that is the same in all rows (unless `constant`), fewer
            than two rows; the sentence says where and what to do.
    """
    try:
        rows = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"Expected rows of numbers, got {_first_text(X)}: leave columns of text out, or code "
            "them as numbers."
        ) from None
    if rows.ndim != 2 or 0 in rows.shape:
        shape = "×".join(map(str, rows.shape)) or "a single number"
        raise ValueError(f"Expected a table of N rows and D columns, got {shape}.")
    if len(rows) < 2:
        raise ValueError("Expected at least 2 rows, got 1: a row can only be odd among others.")
    names = list(columns) or [str(k) for k in range(rows.shape[1])]
    if not np.isfinite(rows).all():
        row, column = np.argwhere(~np.isfinite(rows))[0]
        raise ValueError(
            f"Row {row} has {rows[row, column]} in column {names[column]}: fill in what is "
            "missing, or leave the row out."
        )
    same = np.flatnonzero(np.ptp(rows, axis=0) == 0)
    if len(same) and not constant:
        raise ValueError(
            f"Column {names[same[0]]} is {rows[0, same[0]]:g} in all {len(rows)} rows: it tells no "
            "row from another, leave it out."
        )
    return rows


def standardise(X: ArrayLike, *others: ArrayLike) -> np.ndarray | tuple[np.ndarray, ...]:
    """Each column minus its mean, over its standard deviation: those of X, for the others as well.

    One array comes back as an array, several as a tuple. Raises ValueError as :func:`as_rows`.
    """
    rows = as_rows(X)
    mean, deviation = rows.mean(axis=0), rows.std(axis=0)
    scaled = tuple(
        (np.asarray(each, dtype=np.float64) - mean) / deviation for each in (rows, *others)
    )
    return scaled if others else scaled[0]


def read_table(
    file: str | Path, label: str | None = None, anomalous: Collection[str] = ("1", "true", "yes")
) -> Table:
    """A CSV file as a table. Its first line names the columns; all else must be numbers.

    The separator is a comma, a semicolon or a tab, whichever the first line has most of; with
    semicolons or tabs, 1,5 is read as 1.5. `label` is the column that says what is an anomaly: its
    values in `anomalous` (in any case), or anything but 0 if they are numbers. Without it `labels`
    is None.

    Raises:
        ValueError: there is no such file or column, it holds no rows, or a cell is no number; the
            sentence says in which line and column.
    """
    path = expanded(file)
    if not path.is_file():
        raise ValueError(f"There is no file {str(path)!r}.")
    lines = path.read_text("utf-8-sig", errors="replace").splitlines()
    separator = max(",;\t", key=lines[0].count) if lines else ","
    entries = [row for row in csv.reader(lines, delimiter=separator) if any(row)]
    if len(entries) < 2:
        raise ValueError(f"Expected a line of names and lines of numbers in {path.name}.")
    names = [name.strip() for name in entries[0]]
    if label is not None and label not in names:
        raise ValueError(f"{path.name} has no column {label!r}; it has {', '.join(names)}.")
    if all(_number(name, separator) is not None for name in names):
        raise ValueError(f"The first line of {path.name} must name the columns, not be numbers.")
    kept = [k for k, name in enumerate(names) if name != label]
    X = np.empty((len(entries) - 1, len(kept)))
    for line, row in enumerate(entries[1:]):
        if len(row) != len(names):
            raise ValueError(
                f"Row {line + 1} of {path.name} has {len(row)} entries, the first line has "
                f"{len(names)}."
            )
        for place, k in enumerate(kept):
            value = _number(row[k], separator)
            if value is None:
                raise ValueError(
                    f"Row {line + 1} of {path.name} has {row[k]!r} in column {names[k]!r}: numbers "
                    "are expected; leave columns of text out, or code them as numbers."
                )
            X[line, place] = value
    columns = tuple(names[k] for k in kept)
    labels = None
    if label is not None:
        which = names.index(label)
        labels = np.array([_says_yes(row[which], anomalous, separator) for row in entries[1:]])
    return Table(path.stem, as_rows(X, columns), columns, labels)


def _number(entry: str, separator: str) -> float | None:
    entry = entry.strip()
    try:
        return float(entry.replace(",", ".") if separator != "," else entry) if entry else np.nan
    except ValueError:
        return None


def _says_yes(entry: str, anomalous: Collection[str], separator: str) -> bool:
    word = entry.strip()
    if word.casefold() in {value.casefold() for value in anomalous}:
        return True
    number = _number(word, separator)
    return number is not None and number != 0 and not np.isnan(number)


def _first_text(X: ArrayLike) -> str:
    for row in np.asarray(X, dtype=object).reshape(-1):
        try:
            float(row)
        except (TypeError, ValueError):
            return repr(row)
    return "rows of different lengths"

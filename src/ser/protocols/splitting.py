"""What several protocols need: sorted speakers, folds from masks, and random draws that keep equal audio together.

Every array has one entry per utterance, in the order of the manifest, unless its description says otherwise.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd

from ser.core.errors import SerError
from ser.core.files import digest
from ser.core.tasks import Examples
from ser.protocols import plural
from ser.protocols.folds import Fold


def random_state(*names: object) -> int:
    """A 32-bit seed for scikit-learn that depends on names (protocol, seed, fold) only."""
    return int(digest(*names, size=8), 16)


def generator(*names: object) -> np.random.Generator:
    """A numpy generator seeded by names."""
    return np.random.default_rng(random_state(*names))


def place(protocol: str, manifest: pd.DataFrame) -> str:
    """Where an error of a protocol happened, for its message."""
    corpora = ", ".join(dict.fromkeys(manifest["corpus"]))
    return f"protocol {protocol} on corpus {corpora or 'without utterances'}"


def fold(name: str, manifest: pd.DataFrame, train: np.ndarray, dev: np.ndarray, test: np.ndarray) -> Fold:
    """A `Fold` from three boolean masks over the rows."""
    ids = manifest["utterance"].to_numpy()
    return Fold(name, tuple(ids[train]), tuple(ids[dev]), tuple(ids[test]))


def nobody(manifest: pd.DataFrame) -> np.ndarray:
    """The mask of an empty part."""
    return np.zeros(len(manifest), dtype=bool)


def values(manifest: pd.DataFrame, column: str, fewest: int, protocol: str, hint: str) -> list[str]:
    """Sorted distinct values of a column (speakers, sessions).

    Raises `SerError` when an utterance has none or when there are fewer than `fewest`.
    """
    where = place(protocol, manifest)
    empty = (manifest[column] == "").to_numpy()
    if empty.any():
        first = manifest["utterance"].to_numpy()[empty][0]
        raise SerError(f"{plural(int(empty.sum()), 'utterance')} without {column}, the first is {first!r}", where, hint)
    found = sorted(set(manifest[column]))
    if len(found) < fewest:
        known = f": {', '.join(found)}" if found else ""
        raise SerError(f"needs at least {plural(fewest, column)}, the corpus has {len(found)}{known}", where, hint)
    return found


def units(manifest: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The indivisible units of a random draw: utterances with equal audio form one unit.

    Returns ``unit``, the unit of each row, and ``first``, the first row of each unit.
    """
    own = "utterance " + manifest["utterance"]  # an utterance without a hash is a unit of its own
    unit, _ = pd.factorize(manifest["pcm"].where(manifest["pcm"] != "", own))
    _, first = np.unique(unit, return_index=True)
    return unit, first


def _check_classes(labels: np.ndarray, fewest: int, what: str, where: str, hint: str) -> None:
    """Raises `SerError` unless every class has `fewest` units; a continuous corpus is one class."""
    names, counts = np.unique(labels, return_counts=True)
    for name, count in zip(names.tolist(), counts.tolist(), strict=True):
        if count < fewest:
            whose = f"class {name!r} has" if name else "the corpus has"
            raise SerError(f"{whose} {plural(count, 'utterance')} of different audio, too few for {what}", where, hint)


def stratified_parts(manifest: pd.DataFrame, n_folds: int, seed: int, where: str) -> np.ndarray:
    """The part of each row, 0 to n_folds - 1: shuffled, of equal size and class mix; equal audio stays in one part.

    Class counts (in units) differ by at most one between parts. Raises `SerError` when a class has fewer units.
    """
    unit, first = units(manifest)
    labels = manifest["emotion"].to_numpy(dtype=str)[first]
    _check_classes(labels, n_folds, f"{n_folds} folds", where, "Lower n_folds or leave the class out")
    return _stratified(labels, n_folds, seed)[unit]


def _stratified(labels: np.ndarray, n_folds: int, seed: int) -> np.ndarray:
    from sklearn.model_selection import StratifiedKFold

    part = np.empty(len(labels), dtype=int)
    splitter = StratifiedKFold(n_folds, shuffle=True, random_state=seed)
    for index, (_, test) in enumerate(splitter.split(labels, labels)):
        part[test] = index
    return part


def inner_parts(train: Examples, n_folds: int, seed: int) -> np.ndarray:
    """The part of each example of a training part, 0 to at most n_folds - 1, for a model that chooses a value in it.

    The parts are of the same kind as the folds: by speaker, or else random and stratified with equal audio in one part.
    There are fewer where speakers or utterances are too few. Raises `SerError` when it cannot be divided at all.
    """
    from sklearn.model_selection import GroupKFold

    labels = np.asarray(train.labels)
    if train.by_speaker:
        n_folds = min(n_folds, len(set(train.speakers)))
        if n_folds < 2:
            raise SerError("the training part has one speaker only and cannot be divided by speaker")
        part = np.empty(len(labels), dtype=int)
        for index, (_, test) in enumerate(GroupKFold(n_folds).split(labels, labels, train.speakers)):
            part[test] = index
        return part
    _, first, unit = np.unique(train.groups, return_index=True, return_inverse=True)
    n_folds = min(n_folds, int(np.bincount(labels[first]).max()))
    if n_folds < 2:
        raise SerError("the training part has one utterance of each class and cannot be divided at random")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")  # then some parts lack it
        return _stratified(labels[first], n_folds, seed)[unit]


def stratified_share(manifest: pd.DataFrame, pool: np.ndarray, share: float, seed: int, where: str) -> np.ndarray:
    """The mask of a random share (0 <= share < 1) of the rows in the mask `pool`, stratified by class.

    Equal audio stays together, and each class gives its share to within one unit. A share of 0 gives an empty mask.
    Raises `SerError` when a class has a single unit, or when the share is smaller than one utterance per class.
    """
    from sklearn.model_selection import StratifiedShuffleSplit

    drawn = nobody(manifest)
    if share == 0:
        return drawn
    rows = np.flatnonzero(pool)
    unit, first = units(manifest.iloc[rows])
    labels = manifest["emotion"].to_numpy(dtype=str)[rows][first]
    hint = "Change the share, or leave the class out"
    _check_classes(labels, 2, f"a draw of {share:g}", where, hint)
    size, n_classes = int(np.ceil(share * len(first))), len(np.unique(labels))
    if min(size, len(first) - size) < n_classes:
        raise SerError(
            f"a share of {share:g} divides {len(first)} utterances into {size} and {len(first) - size}, "
            f"fewer than the {n_classes} classes",
            where,
            hint,
        )
    splitter = StratifiedShuffleSplit(1, test_size=size, random_state=seed)
    _, test = next(splitter.split(labels, labels))
    drawn[rows] = np.isin(unit, test)
    return drawn


def check_share(name: str, value: float, positive: bool = False) -> None:
    """Raises `ValueError` (a `SerError` at the key, by `ser.core.plugins.build`) unless 0 <= value < 1."""
    if not 0 <= value < 1 or (positive and value == 0):
        raise ValueError(f"{name} must be a share {'above' if positive else 'from'} 0 and below 1, got {value:g}")


def check_count(name: str, value: int, fewest: int) -> None:
    """Raises `ValueError` (a `SerError` at the key, by `ser.core.plugins.build`) when a count is too small."""
    if value < fewest:
        raise ValueError(f"{name} must be at least {fewest}, got {value}")

"""Protocols: one module a way of splitting, each with

``Config``
    frozen dataclass of parameters;
``SPEAKER_INDEPENDENT``
    True when the protocol claims that no speaker is in two parts of a fold (the audit holds it to that);
``TESTS_EACH_ONCE``
    True when every utterance is tested exactly once (cross-validation), False for a hold-out;
``folds(manifest, config, seed) -> list[Fold]``
    pure: the same manifest, parameters and seed give the same folds. Splitting precedes cropping, segmenting, augmenting.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fold:
    """One train/dev/test division; each part is a tuple of utterance ids in manifest order. `dev` may be empty."""

    name: str
    train: tuple[str, ...]
    dev: tuple[str, ...]
    test: tuple[str, ...]

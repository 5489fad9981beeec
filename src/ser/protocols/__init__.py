"""Protocols: one module a way of splitting, each with

``Config``
    frozen dataclass of parameters;
``SPEAKER_INDEPENDENT``
    True when the protocol claims that no speaker is in two parts of a fold (the audit holds it to that);
``TESTS_EACH_ONCE``
    True when every utterance is tested exactly once (cross-validation), False for a hold-out;
``folds(manifest, config, seed) -> list[Fold]``
    pure: the same manifest, parameters and seed give the same folds. Splitting precedes cropping, segmenting and
    augmenting.

`ser.protocols.folds` keeps folds in files, `ser.protocols.audit` proves what a protocol claims.
"""

from __future__ import annotations

from types import ModuleType


def claims(protocol: ModuleType, config: object) -> dict[str, bool]:
    """What `ser.protocols.audit.audit` holds the folds of a configured protocol to, as its keyword arguments.

    ``speaker_independent``
        the protocol's constant, unless its parameters have a field of that name (a corpus's own partitions);
    ``tests_each_once``
        the protocol's constant;
    ``carved_dev``
        dev is a share of the training utterances, so train and dev share speakers; test stays apart.
    """
    return {
        "speaker_independent": bool(getattr(config, "speaker_independent", protocol.SPEAKER_INDEPENDENT)),
        "tests_each_once": bool(protocol.TESTS_EACH_ONCE),
        "carved_dev": getattr(config, "dev_share", 0.0) > 0,
    }

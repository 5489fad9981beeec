"""Protocols: one module per way of splitting a corpus, each with

``Config``
    frozen dataclass of parameters;
``SPEAKER_INDEPENDENT``
    True when the protocol claims that no speaker is in two parts of a fold (the audit checks it);
``TESTS_EACH_ONCE``
    True when every utterance is tested exactly once (cross-validation), False for a hold-out;
``folds(manifest, config, seed) -> list[Fold]``
    a pure function: the same manifest, parameters and seed give the same folds. Cropping, segmenting and augmenting
    come after it.

`ser.protocols.folds` reads and writes folds, `ser.protocols.audit` checks what a protocol claims, and
`ser.protocols.splitting` has what several protocols need.
"""

from __future__ import annotations

from types import ModuleType


def claims(protocol: ModuleType, config: object) -> dict[str, bool]:
    """What a configured protocol claims of its folds, as keyword arguments of `ser.protocols.audit.audit`.

    ``speaker_independent``
        the protocol's constant, or the value of its parameter of that name (a corpus's own partitions);
    ``tests_each_once``
        the protocol's constant;
    ``carved_dev``
        dev is a share of the training utterances, so train and dev share speakers, but test does not.
    """
    return {
        "speaker_independent": bool(getattr(config, "speaker_independent", protocol.SPEAKER_INDEPENDENT)),
        "tests_each_once": bool(protocol.TESTS_EACH_ONCE),
        "carved_dev": getattr(config, "dev_share", 0.0) > 0,
    }


def plural(count: int, noun: str) -> str:
    """A count with its noun, such as ``1 fold``, ``2 folds`` or ``2 corpora``."""
    several = "corpora" if noun == "corpus" else f"{noun}s"
    return f"{count} {noun if count == 1 else several}"

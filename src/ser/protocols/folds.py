"""Folds are data: a CSV ``fold,utterance,role`` (train, dev or test) with one line per utterance and fold.

A JSON file of the same name says which protocol made the folds, what it claims, and what the audit found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ser.core.errors import SerError
from ser.core.files import guarded, read_json, replacing, repro, unguarded, write_json

ROLES = ("train", "dev", "test")
COLUMNS = ("fold", "utterance", "role")
CLAIMS = ("speaker_independent", "tests_each_once", "carved_dev")  # see `ser.protocols.claims`


@dataclass(frozen=True)
class Fold:
    """One train/dev/test division; each part is a tuple of utterance ids in manifest order. `dev` may be empty."""

    name: str
    train: tuple[str, ...]
    dev: tuple[str, ...]
    test: tuple[str, ...]


def write(folds: Sequence[Fold], path: str | Path, about: Mapping[str, Any] | None = None) -> None:
    """Writes folds in order, each as train, dev and test; the file appears whole or not at all.

    `about` becomes the JSON file: ``protocol`` (a name), ``claims`` (`ser.protocols.claims`), and more.
    """
    rows = [(f.name, utterance, role) for f in folds for role in ROLES for utterance in getattr(f, role)]
    table = guarded(pd.DataFrame(rows, columns=COLUMNS))
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n", encoding="utf-8")
    if about is not None:
        write_json(Path(path).with_suffix(".json"), dict(about))


def read(path: str | Path) -> list[Fold]:
    """The folds of a file, in the file's order.

    Raises `SerError` that names the file and the line of a missing value or an unknown role. The folds themselves are
    checked by `ser.protocols.audit.audit`.
    """
    path = Path(path)
    hint = f"Remove it and make it again: {repro(path)}"
    if not path.exists():
        raise SerError("no fold file", path, f"Run the folds stage: {repro(path)}")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, skip_blank_lines=False, index_col=False)
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise SerError(f"not a fold file: {error}", path, hint) from error
    if tuple(table.columns) != COLUMNS:
        raise SerError(f"not a fold file: its header is not {','.join(COLUMNS)}", f"{path}, line 1", hint)
    table = unguarded(table.fillna(""))
    bad = np.flatnonzero((table[["fold", "utterance"]] == "").any(axis=1) | ~table["role"].isin(ROLES))
    if len(bad):
        row = bad[0]
        text = ",".join(table.iloc[row])
        raise SerError(
            f"{text!r} is not fold,utterance,role with role one of {', '.join(ROLES)}", f"{path}, line {row + 2}", hint
        )
    if table.empty:
        raise SerError("a fold file without folds", path, hint)
    parts = {key: tuple(ids) for key, ids in table.groupby(["fold", "role"], sort=False)["utterance"]}
    return [Fold(name, *(parts.get((name, role), ()) for role in ROLES)) for name in dict.fromkeys(table["fold"])]


def read_claims(path: str | Path) -> dict[str, Any]:
    """What the JSON file of a fold file says; raises `SerError` when it is missing or lacks the protocol or its
    claims."""
    beside = Path(path).with_suffix(".json")
    about = read_json(beside)
    for key in ("protocol", "claims"):
        if not isinstance(about, dict) or key not in about:
            raise SerError(f"no {key!r} of the folds", beside, f"Remove it and make it again: {repro(path)}")
    claims = about["claims"]
    if not isinstance(claims, dict) or set(claims) - set(CLAIMS) or {type(v) for v in claims.values()} - {bool}:
        raise SerError(
            f"the claims are not true or false for {', '.join(CLAIMS)}",
            beside,
            f"Remove it and make it again: {repro(path)}",
        )
    return about

"""The leak audit: folds are checked against the manifest when they are made, and again before each training.

The pipeline stops when an utterance or equal audio is in two parts of a fold, when equal audio is in two corpora, when
a speaker is in two parts although the protocol claims speaker independence, when an utterance is tested never or twice
in a cross-validation, when a part is empty, and when a class is tested but not trained. What a corpus makes unavoidable
is reported: shared texts, dialogues, sessions and files, and absent classes (papers.md 8).

Letters: F folds, U utterances of the manifest, V values of a column (speakers, texts), R = 3 roles, E entries of folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ser.core.errors import SerError
from ser.corpora.manifest import is_synthetic
from ser.protocols.audit_summary import lines
from ser.protocols.folds import ROLES, Fold

TRAIN, DEV, TEST = range(len(ROLES))
PAIRS = ((TEST, TRAIN), (TEST, DEV), (DEV, TRAIN))
SHARED = ("speaker", "session", "dialogue", "text", "file")
REMAKE = "Remove the fold files and make them again with dvc repro"


@dataclass(frozen=True)
class Report:
    """What the audit found in folds without leaks."""

    data: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Plain values for a JSON file.

        ``parts[fold][role]``: numbers and absent classes; ``shared[what]["test_in_train"][fold]``: share of the fold's
        test utterances whose speaker, session, dialogue, text or file occurs in train, {} where the manifest has none.
        """
        return self.data

    def summary(self) -> list[str]:
        """Short lines for the terminal."""
        return lines(self.data)


@dataclass(frozen=True)
class _Table:
    """All folds as three columns of E entries: fold, row of the manifest, role."""

    manifest: pd.DataFrame
    names: tuple[str, ...]
    fold: np.ndarray
    row: np.ndarray
    role: np.ndarray
    where: str

    def codes(self, values: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        """(U,) integer codes of a column, -1 for empty, and its V distinct values."""
        codes, distinct = pd.factorize(values.where(values != ""))
        return codes, np.asarray(distinct, dtype=object)

    def presence(self, codes: np.ndarray) -> np.ndarray:
        """(F, V, R) bool: whether a value occurs in a part. Empty values never do."""
        seen = np.zeros((len(self.names), codes.max(initial=-1) + 1, len(ROLES)), dtype=bool)
        code = codes[self.row]
        known = code >= 0
        seen[self.fold[known], code[known], self.role[known]] = True
        return seen

    def entry(self, fold: int, role: int, codes: np.ndarray, code: int) -> pd.Series:
        """The manifest's row of the first entry with this code in a part."""
        hits = (self.fold == fold) & (self.role == role) & (codes[self.row] == code)
        return self.manifest.iloc[self.row[np.flatnonzero(hits)[0]]]

    def fail(self, what: str, hint: str = REMAKE) -> SerError:
        return SerError(what, self.where, hint)


def audit(
    folds: Sequence[Fold],
    manifest: pd.DataFrame,
    speaker_independent: bool,
    tests_each_once: bool,
    where: str,
    carved_dev: bool = False,
) -> Report:
    """Checks folds against their manifest; raises `SerError` at the first leak, otherwise reports what is shared.

    `speaker_independent`, `tests_each_once` and `carved_dev` are what the protocol claims (`ser.protocols.claims`);
    with `carved_dev` train and dev may share speakers, test may not. `where` names the protocol or fold file in errors.
    """
    table = _table(folds, manifest, where)
    _check_parts(table)
    _check_twice(table)
    _check_audio(table)
    _check_corpora(table)
    if speaker_independent:
        _check_speakers(table, [(TEST, TRAIN), (TEST, DEV)] if carved_dev else list(PAIRS))
    if tests_each_once:
        _check_tested_once(table)
    _check_classes(table)
    claimed = {"speaker_independent": speaker_independent, "tests_each_once": tests_each_once, "carved_dev": carved_dev}
    return _report(table, claimed)


def _table(folds: Sequence[Fold], manifest: pd.DataFrame, where: str) -> _Table:
    if not folds:
        raise SerError("no folds", where, REMAKE)
    names = tuple(f.name for f in folds)
    if len(set(names)) < len(names):
        raise SerError(f"two folds are called {next(n for n in names if names.count(n) > 1)!r}", where, REMAKE)
    parts = [getattr(f, role) for f in folds for role in ROLES]
    part = np.repeat(np.arange(len(parts)), [len(p) for p in parts])
    ids = [utterance for p in parts for utterance in p]
    row = pd.Index(manifest["utterance"]).get_indexer(pd.Index(ids, dtype=object))
    table = _Table(manifest, names, part // len(ROLES), row, part % len(ROLES), where)
    unknown = np.flatnonzero(row < 0)
    if len(unknown):
        first = unknown[0]
        place = f"{ROLES[table.role[first]]} of fold {names[table.fold[first]]!r}"
        raise table.fail(f"utterance {ids[first]!r} in {place} is not in the manifest")
    return table


def _check_parts(table: _Table) -> None:
    sizes = np.zeros((len(table.names), len(ROLES)), dtype=int)
    np.add.at(sizes, (table.fold, table.role), 1)
    for role in (TRAIN, TEST):
        empty = np.flatnonzero(sizes[:, role] == 0)
        if len(empty):
            raise table.fail(f"fold {table.names[empty[0]]!r} has an empty {ROLES[role]} part")


def _check_twice(table: _Table) -> None:
    key = table.fold * len(table.manifest) + table.row
    order = np.argsort(key, kind="stable")
    repeated = np.flatnonzero(np.diff(key[order]) == 0)
    if len(repeated):
        a, b = order[repeated[0]], order[repeated[0] + 1]
        roles = [ROLES[table.role[a]], ROLES[table.role[b]]]
        parts = f"in {roles[0]} and {roles[1]}" if roles[0] != roles[1] else f"twice in {roles[0]}"
        name = table.manifest["utterance"].iloc[table.row[a]]
        raise table.fail(f"utterance {name!r} is {parts} of fold {table.names[table.fold[a]]!r}")


def _first_shared(seen: np.ndarray, pairs: Sequence[tuple[int, int]]) -> tuple[int, int, int, int] | None:
    """The first (fold, value, role, other role) of values in two parts of a fold."""
    for role, other in pairs:
        hits = np.argwhere(seen[:, :, role] & seen[:, :, other])
        if len(hits):
            return int(hits[0, 0]), int(hits[0, 1]), role, other
    return None


def _check_audio(table: _Table) -> None:
    codes, _ = table.codes(table.manifest["pcm"])
    hit = _first_shared(table.presence(codes), PAIRS)
    if hit:
        fold, code, *roles = hit
        a, b = (table.entry(fold, role, codes, code) for role in roles)
        raise table.fail(
            f"equal audio in two parts of fold {table.names[fold]!r}: {a['utterance']!r} ({a['file']}) in "
            f"{ROLES[roles[0]]}, {b['utterance']!r} ({b['file']}) in {ROLES[roles[1]]}",
            "Remove one of the two from the corpus",
        )


def _check_corpora(table: _Table) -> None:
    """Equal audio in two corpora, even within one part: then the corpora share recordings, and what holds on the one
    says nothing about the other. Equal audio within one corpus is left to `_check_audio`."""
    m = table.manifest
    hashed = m[m["pcm"] != ""]
    several = hashed[hashed.groupby("pcm")["corpus"].transform("nunique") > 1]
    if len(several):
        a = several.iloc[0]
        b = several[(several["pcm"] == a["pcm"]) & (several["corpus"] != a["corpus"])].iloc[0]
        raise table.fail(
            f"equal audio in two corpora: {a['utterance']!r} ({a['file']}) of {a['corpus']}, "
            f"{b['utterance']!r} ({b['file']}) of {b['corpus']} (and {several['pcm'].nunique() - 1} more recordings)",
            "One of the corpora holds recordings of the other: leave them out, or do not join the two",
        )


def _check_speakers(table: _Table, pairs: Sequence[tuple[int, int]]) -> None:
    speaker = table.manifest["speaker"]
    nameless = np.flatnonzero((speaker == "").to_numpy()[table.row])
    if len(nameless):
        name = table.manifest["utterance"].iloc[table.row[nameless[0]]]
        raise table.fail(
            f"utterance {name!r} has no speaker, yet the protocol claims speaker independence", "Name its speaker"
        )
    codes, distinct = table.codes(speaker)
    hit = _first_shared(table.presence(codes), pairs)
    if hit:
        fold, code, *roles = hit
        a, b = (table.entry(fold, role, codes, code)["utterance"] for role in roles)
        raise table.fail(
            f"speaker {distinct[code]!r} is in two parts of fold {table.names[fold]!r}: {a!r} in {ROLES[roles[0]]}, "
            f"{b!r} in {ROLES[roles[1]]}",
            f"{REMAKE}, or use a protocol that is called speaker-dependent",
        )


def _check_tested_once(table: _Table) -> None:
    tested = np.flatnonzero(table.role == TEST)
    times = np.bincount(table.row[tested], minlength=len(table.manifest))
    wrong = np.flatnonzero(times != 1)
    if len(wrong):
        name, more = (
            table.manifest["utterance"].iloc[wrong[0]],
            f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else "",
        )
        folds = [table.names[f] for f in table.fold[tested][table.row[tested] == wrong[0]]]
        how = f"tested {len(folds)} times, in folds {', '.join(folds)}" if folds else "never tested"
        raise table.fail(f"utterance {name!r} is {how}{more}; cross-validation tests each utterance once")


def _check_classes(table: _Table) -> None:
    codes, distinct = table.codes(table.manifest["emotion"])
    seen = table.presence(codes)
    unseen = np.argwhere(seen[:, :, TEST] & ~seen[:, :, TRAIN])
    if len(unseen):
        fold, code = unseen[0]
        raise table.fail(
            f"class {distinct[code]!r} is in test but not in train of fold {table.names[fold]!r}",
            "Leave the class out, or use a protocol with fewer folds",
        )


def _text(manifest: pd.DataFrame) -> pd.Series:
    """The text of each utterance: the id of the prompt, or else the words without case and spacing."""
    words = manifest["text"].str.casefold().str.split().str.join(" ")
    return manifest["text_id"].where(manifest["text_id"] != "", words)


def _report(table: _Table, claimed: dict[str, bool]) -> Report:
    m = table.manifest
    columns = {what: m[what] if what != "text" else _text(m) for what in SHARED}
    used = np.bincount(table.fold, minlength=len(table.names))
    data = {
        "where": table.where,
        "corpus": list(dict.fromkeys(m["corpus"])),
        "synthetic": is_synthetic(m),
        **claimed,
        "folds": len(table.names),
        "utterances": len(m),
        "speakers": int(m.loc[m["speaker"] != "", "speaker"].nunique()),
        "unused": {name: int(len(m) - n) for name, n in zip(table.names, used, strict=True) if n < len(m)},
        "parts": _numbers(table),
        "shared": {what: _shares(table, values) for what, values in columns.items()},
        "equal_audio": _equal_audio(m),
        "other_channels": _other_channels(m),
    }
    return Report(data)


def _numbers(table: _Table) -> dict[str, dict[str, dict[str, Any]]]:
    """Per fold and part: utterances, utterances without a label, seconds, speakers, and classes that do not occur."""
    F, R, m = len(table.names), len(ROLES), table.manifest
    part = table.fold * R + table.role

    def sums(weights: np.ndarray) -> np.ndarray:
        return np.bincount(part, weights[table.row], F * R).reshape(F, R)

    unlabelled = ((m["emotion"] == "") & (m["labels"] == "")).to_numpy(dtype=float)
    counts = {"utterances": sums(np.ones(len(m))), "unlabelled": sums(unlabelled)}
    seconds = sums(m["duration"].to_numpy(dtype=float))
    speakers = table.presence(table.codes(m["speaker"])[0]).sum(axis=1)
    codes, classes = table.codes(m["emotion"])
    seen = table.presence(codes)

    def part_numbers(f: int, r: int) -> dict[str, Any]:
        empty = counts["utterances"][f, r] == 0
        return {
            **{key: int(value[f, r]) for key, value in counts.items()},
            "seconds": round(float(seconds[f, r]), 3),
            "speakers": int(speakers[f, r]),
            "absent": [] if empty else sorted(classes[~seen[f, :, r]]),
        }

    return {name: {role: part_numbers(f, r) for r, role in enumerate(ROLES)} for f, name in enumerate(table.names)}


def _shares(table: _Table, values: pd.Series) -> dict[str, dict[str, float]]:
    """``a_in_b[fold]``: share of the utterances of part a whose value occurs in part b; {} for an empty column."""
    codes, distinct = table.codes(values)
    if not len(distinct):
        return {}
    seen, code, F = table.presence(codes), codes[table.row], len(table.names)
    shares = {}
    for role, other in PAIRS:
        part = table.role == role
        fold = table.fold[part]
        also = (code[part] >= 0) & seen[fold, code[part], other]
        sizes = np.bincount(fold, minlength=F)
        share = np.bincount(fold, also, F) / np.maximum(sizes, 1)
        shares[f"{ROLES[role]}_in_{ROLES[other]}"] = {
            n: round(float(s), 4) for n, s, size in zip(table.names, share, sizes, strict=True) if size
        }
    return shares


def _equal_audio(manifest: pd.DataFrame) -> list[dict[str, Any]]:
    """Groups of utterances with the same samples (each inside one part, or the audit had failed) and their classes."""
    hashed = manifest[manifest["pcm"] != ""]
    same = hashed[hashed["pcm"].duplicated(keep=False)]
    return [
        {"utterances": list(group["utterance"]), "files": list(group["file"]), "classes": sorted(set(group["emotion"]))}
        for _, group in same.groupby("pcm", sort=False)
    ]


def _other_channels(manifest: pd.DataFrame) -> list[str]:
    """Utterances whose files have another number of channels than most files of the corpus."""
    usual = manifest.groupby("corpus")["channels"].transform(lambda channels: channels.mode().iloc[0])
    return list(manifest.loc[manifest["channels"] != usual, "utterance"])

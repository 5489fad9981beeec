"""Several corpora as one: one manifest and one pack of audio, with the labels of each mapped by an explicit table.

A block of `corpora` with ``format: joint`` names other corpora of the same study. They are read by their own readers,
so their published counts are checked first; then the table ``labels`` says what each of their labels becomes. Labels
that the table of a corpus does not name are dropped and counted. Ids and speakers get the name of their corpus in
front (``emodb.03``), so speakers of two corpora are never taken for one, whatever they are called.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pandas as pd

from ser.core import plugins
from ser.core.errors import SerError
from ser.core.files import replacing_folder
from ser.corpora import Card, Utterance, packing, tables
from ser.corpora.location import Location
from ser.corpora.location import found as found_by


@dataclass(frozen=True)
class Config:
    """`of`: corpora of the study. `labels`: for each of them, its label -> the label here."""

    of: tuple[str, ...]
    labels: dict[str, dict[str, str]]

    def __post_init__(self) -> None:
        if not self.of or len(set(self.of)) < len(self.of):
            raise ValueError(f"of names at least one corpus, each once, not {list(self.of)}")
        for corpus in self.of:
            if not self.labels.get(corpus):
                raise ValueError(f"labels has no table of {corpus}: write its labels and what each becomes")
        if unknown := sorted(set(self.labels) - set(self.of)):
            raise ValueError(f"labels has a table of {unknown[0]}, which `of` does not name")

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels here, in the order in which the tables first name them."""
        return tuple(dict.fromkeys(new for corpus in self.of for new in self.labels[corpus].values()))


class Member(NamedTuple):
    """One of the corpora as it is read: its reader with its options, and where its files are."""

    name: str
    module: ModuleType
    config: Any
    location: Location


def members(receipt: Mapping[str, Any], study: str = "demo") -> list[Member]:
    """The corpora of a receipt, several for a joint corpus. Each must be as it was when the receipt was written."""
    made = []
    for name, part in receipt.get("parts", {receipt["corpus"]: receipt}).items():
        module = plugins.load("corpora", part.get("format") or name)
        config = plugins.build(module.Config, part.get("reader"), f"corpora.{name}.reader")
        made.append(Member(name, module, config, found_by(part, study)))
    return made


def pack(
    corpus: str, of: Sequence[Member], config: Config, folder: Path, rate: int | None = None, jobs: int = 1
) -> str:
    """Writes the manifest, the card and, with a `rate` (Hz), the packed audio of a joint corpus, in the form of
    `ser.corpora.packing.pack`; returns a line for the user.

    The card also has ``dropped``: corpus -> label -> utterances. Raises `SerError` for a corpus without one of the
    labels of its table, and for all that reading the single corpora raises.
    """
    kept: list[tuple[Member, Utterance]] = []
    dropped: dict[str, dict[str, int]] = {}
    for member in of:
        utterances = tables.utterances(member.module, member.location, member.config)
        mine, lost = relabelled(utterances, config.labels[member.name], member.name)
        kept += [(member, utterance) for utterance in mine]
        dropped[member.name] = lost
    kept.sort(key=lambda pair: pair[1].id)
    with replacing_folder(folder) as unfinished:
        readings = [packing.Reading(u, m.location.root, m.config, m.name) for m, u in kept]
        synthetic = any(m.location.synthetic for m in of)
        facts, clipped = packing.decode_all(corpus, readings, synthetic, unfinished / "audio", rate, jobs)
        table = _manifest(kept, facts)
        card = {"corpus": corpus, "task": "classification", "outputs": list(config.classes), "dropped": dropped}
        packing.write(unfinished, table, card, {})
    return "; ".join(_summary(corpus, table, dropped, synthetic, rate, clipped))


def relabelled(
    utterances: Iterable[Utterance], labels: Mapping[str, str], corpus: str
) -> tuple[list[Utterance], dict[str, int]]:
    """The utterances whose label is in the table, with their new labels, ids and speakers, and how many of each other
    label are dropped. Raises `SerError` for a label of the table that no utterance has."""
    kept, lost, seen = [], Counter[str](), Counter[str]()
    for u in utterances:
        seen[u.emotion] += 1
        if u.emotion not in labels:
            lost[u.emotion or "without a label"] += 1
            continue
        new: dict[str, Any] = {"id": f"{corpus}.{u.id}", "speaker": f"{corpus}.{u.speaker}" if u.speaker else ""}
        new |= {name: f"{corpus}.{value}" for name in ("session", "dialogue") if (value := getattr(u, name))}
        kept.append(dataclasses.replace(u, emotion=labels[u.emotion], **new))
    if absent := sorted(set(labels) - set(seen)):
        hint = plugins.nearest(absent[0], [label for label in seen if label])
        raise SerError(f"no utterance of {corpus} has the label {absent[0]!r}", f"labels.{corpus}", hint)
    return kept, dict(sorted(lost.items()))


def merged(name: str, cards: Sequence[Card]) -> Card:
    """The card of a corpus called `name`: that of its only reader, or the titles and licences of several, all of which
    apply."""
    if len(cards) == 1:
        return dataclasses.replace(cards[0], name=name)

    def all_of(field: str, separator: str) -> str:
        return separator.join(dict.fromkeys(str(getattr(card, field)) for card in cards))

    return Card(
        name=name,
        title=all_of("title", " + "),
        licence=all_of("licence", "; "),
        homepage=all_of("homepage", " "),
        citation=all_of("citation", " "),
        language=all_of("language", ", "),
        task="classification",
        access="own",
        shareable=all(card.shareable for card in cards),
    )


def _manifest(kept: Sequence[tuple[Member, Utterance]], facts: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """One row per utterance; the column `corpus` names the corpus that it comes from. A text that has an id in one
    corpus is not the text of the same id in another, so the id is given the name of its corpus, too."""
    rows = []
    for (member, utterance), decoded in zip(kept, facts, strict=True):
        row = tables.row(member.name, utterance, decoded, member.location.synthetic)
        rows.append(row | {"text_id": f"{member.name}.{utterance.text_id}" if utterance.text_id else ""})
    return tables.frame(rows)


def _summary(
    corpus: str,
    table: pd.DataFrame,
    dropped: Mapping[str, Mapping[str, int]],
    synthetic: bool,
    rate: int | None,
    clipped: int,
) -> list[str]:
    mark = ", SYNTHETIC" if synthetic else ""
    lines = [f"{corpus}: {len(table)} utterances of {table['corpus'].nunique()} corpora{mark}"]
    for name, own in table.groupby("corpus"):
        lost = ", ".join(f"{label} {n}" for label, n in dropped[str(name)].items()) or "none"
        lines.append(f"{name} {len(own)} utterances, {own['speaker'].nunique()} speakers, dropped: {lost}")
    return [*lines, f"audio at {rate} Hz, {clipped} samples clipped"] if rate else lines

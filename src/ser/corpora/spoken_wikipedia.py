"""The German Spoken Wikipedia (SWC, papers.md 1.5): read articles with word times, for the word vectors of P4.

Layout: a folder per article, at any depth, with ``aligned.swc`` and ``audio.ogg``. In the XML ``s`` is a sentence and
``n`` a spoken word with its normalised form in ``pronunciation`` and, where the aligner found it, its times in
milliseconds in ``start`` and ``end`` (Baumann et al. 2019). An utterance is a sentence, from its first word with times
to its last one; sentences without any are left out here, and are read as text (`ser.words.texts`). Articles whose audio
is in several files are left out, with one warning, because their times count through all of them.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ser.core.errors import SerError, warn
from ser.corpora import Card, Utterance, Word, reading
from ser.corpora.download import refuse

ALIGNMENT, AUDIO = "aligned.swc", "audio.ogg"
CARD = Card(
    name="spoken_wikipedia",
    title="Spoken Wikipedia Corpus, German part",
    licence="CC BY-SA 4.0; its archive has no published checksum",
    homepage="https://nats.gitlab.io/swc",
    citation="T. Baumann, A. Köhn, F. Hennig: The Spoken Wikipedia Corpus collection: Harvesting, alignment and an "
    "application to hyperlistening. Language Resources and Evaluation 53, 2019, pp. 303-329.",
    language="de",
    task="speech",
    access="licence",
    steps="Free, without registration: get SWC_German.tar from https://nats.gitlab.io/swc, unpack it, and run: "
    "ser link spoken_wikipedia PATH (PATH holds the folders of the articles)",
    shareable=True,
)


@dataclass(frozen=True)
class Config:
    """Options of the reader. papers.md names no rate; volunteers record at several."""

    rates: tuple[int, ...] = ()
    assume_rate: int | None = None


class Sentence(NamedTuple):
    """A sentence with its words, times in seconds in the file."""

    id: str
    text: str
    words: list[Word]


def download(root: Path, config: Config = Config()) -> None:
    refuse(CARD)


def utterances(root: Path, config: Config = Config()) -> Iterator[Utterance]:
    """One utterance per sentence that has a word with times. Raises `SerError` for a missing corpus and a damaged
    article."""
    root, several = reading.folder(root, CARD), 0
    paths = [p for p in root.rglob(ALIGNMENT) if not p.name.startswith(".")]
    if not paths:
        raise SerError(f"no articles of the Spoken Wikipedia: no {ALIGNMENT}", root, CARD.steps)
    for path in sorted(paths, key=lambda p: f"{reading.identifier(p.parent.name)}-"):  # the order of ids
        if not path.with_name(AUDIO).exists():
            if not list(path.parent.glob("audio*.ogg")):
                raise SerError("article without its audio", path.with_name(AUDIO), "Unpack it again or remove it")
            several += 1
            continue
        tree = parse(path)
        names = [p.get("value", "") for p in tree.iter("prop") if p.get("key") == "reader.name"]
        speaker = next((name.strip() for name in names if name.strip()), f"reader of {path.parent.name}")
        file = path.with_name(AUDIO).relative_to(root).as_posix()
        for s in _sentences(tree, path):
            start, end = s.words[0].start, s.words[-1].end
            yield Utterance(
                id=s.id, file=file, speaker=speaker, start=start, end=end, session=path.parent.name, text=s.text
            )
    if several:
        warn(f"articles whose audio is in several files are left out: {several}", CARD.title)


def words(root: Path, utterances: Iterable[Utterance]) -> Iterator[tuple[str, list[Word]]]:
    """The words with times of every utterance, from its start."""
    current: Path | None = None
    table: dict[str, list[Word]] = {}
    for utterance in utterances:
        path = (Path(root) / utterance.file).with_name(ALIGNMENT)
        if path != current:
            current, table = path, {s.id: s.words for s in _sentences(parse(path), path)}
        first = utterance.start or 0.0
        own = table[utterance.id]
        yield utterance.id, [Word(round(w.start - first, 6), round(w.end - first, 6), w.text) for w in own]


def parse(path: Path) -> ElementTree.Element:
    """The XML of an article. Raises `SerError` when it is damaged."""
    try:
        return ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise SerError(f"damaged article: {error}", path, "Unpack it again or remove it") from error


def _sentences(tree: ElementTree.Element, path: Path) -> Iterator[Sentence]:
    """The sentences that have words with times, in order."""
    article = reading.identifier(path.parent.name)
    for number, s in enumerate(tree.iter("s")):
        found = sorted(_words(s, path), key=lambda w: (w.start, w.end))
        if found:
            text = " ".join(filter(None, (n.get("pronunciation", "").strip() for n in s.iter("n"))))
            yield Sentence(f"{article}-{number:05d}", text, found)


def _words(sentence: ElementTree.Element, path: Path) -> Iterator[Word]:
    for n in sentence.iter("n"):
        token, times = n.get("pronunciation", "").strip(), (n.get("start"), n.get("end"))
        if not token or None in times:
            continue
        try:
            start, end = (int(t or "") / 1000 for t in times)
        except ValueError:
            what = f"word {token!r} has times {times[0]!r} and {times[1]!r}"
            raise SerError(what, path, "Repair the article or remove it") from None
        if 0 <= start < end:
            yield Word(start, end, token)


def example(root: Path) -> Path:
    """Two articles: one with a word and a sentence that the aligner did not find, and one in two files."""
    import numpy as np
    import soundfile

    bodies = {
        "Hund": '<meta><prop key="reader.name" value="Anna"/></meta><d><s><t>Der<n pronunciation="der" start="100" '
        'end="300"/></t><t>Hund<n pronunciation="Hund" start="300" end="700"/></t><t>bellt<n pronunciation="bellt"/>'
        '</t></s><s><t>Nie<n pronunciation="nie"/></t></s><s><t>Ja<n pronunciation="ja" start="800" end="990"/></t>'
        "</s></d>",
        "Öl": '<meta/><d><s><t>Öl<n pronunciation="Öl" start="10" end="400"/></t></s></d>',
    }
    for name, body in bodies.items():
        folder = root / "german" / name
        folder.mkdir(parents=True)
        (folder / ALIGNMENT).write_text(f"<article>{body}</article>", encoding="utf-8")
        noise = np.random.default_rng(len(name)).normal(0, 0.1, 16_000)
        for file in (AUDIO,) if name == "Hund" else ("audio1.ogg", "audio2.ogg"):
            soundfile.write(folder / file, noise, 16_000, format="OGG", subtype="VORBIS")
    return root

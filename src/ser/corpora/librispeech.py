"""LibriSpeech (papers.md 1.4): read English speech with transcripts, for pretraining.

Layout, at the top or below LibriSpeech/: ``<subset>/<speaker>/<chapter>/<speaker>-<chapter>-<utterance>.flac`` and one
``.trans.txt`` per chapter. Word times are not part of the corpus. They are read from an ``.alignment.txt`` per chapter
or a ``.TextGrid`` per utterance when such files are beside the audio.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ser.core.errors import SerError
from ser.corpora import Card, Source, Utterance, Word, reading
from ser.corpora.download import fetch

_BASE = "https://www.openslr.org/resources/12"
_SUBSETS = {  # papers.md 1.4: utterances, SHA-256
    "train-clean-100": (28_539, "d4ddd1d5a6ab303066f14971d768ee43278a5f2a0aa43dc716b0e64ecbbbf6e2"),
    "train-clean-360": (104_014, "146a56496217e96c14334a160df97fffedd6e0a04e66b9c5af0d40be3c792ecf"),
    "train-other-500": (148_688, "ddb22f27f96ec163645d53215559df6aa36515f26e01dd70798188350adcb6d2"),
    "dev-clean": (2_703, "76f87d090650617fca0cac8f88b9416e0ebf80350acb97b343a85fa903728ab3"),
    "dev-other": (2_864, "12661c48e8c3fe1de2c1caa4c3e135193bfb1811584f11f569dd12645aa84365"),
    "test-clean": (2_620, "39fde525e59672dc6d1551919b1478f724438a95aa55f874b576be21967e6c23"),
    "test-other": (2_939, "d09c181bba5cf717b3dee7d4d592af11a3ee3a09e08ae025c5506f6ebe961c29"),
}
_DEFAULT = ("train-clean-360",)  # papers.md 1.4, also Mockingjay's; downloaded when no subset is named
CARD = Card(
    name="librispeech",
    title="LibriSpeech",
    licence="CC BY 4.0",
    homepage="https://www.openslr.org/12",
    citation="V. Panayotov, G. Chen, D. Povey, S. Khudanpur: LibriSpeech: an ASR corpus based on public domain audio "
    "books. Proc. ICASSP 2015, pp. 5206-5210.",
    language="en",
    task="speech",
    access="download",
    sources=tuple(Source(f"{_BASE}/{name}.tar.gz", f"sha256:{sha}") for name, (_, sha) in _SUBSETS.items()),
    steps="Free download (6 GB for train-clean-100, 23 GB for train-clean-360): set corpora.librispeech.source: "
    "real in params.yaml and run dvc repro, or unpack subsets of your own and run: ser link librispeech PATH "
    "(PATH holds LibriSpeech)",
    shareable=True,
)
_SILENCE = {"", "sp", "sil", "spn", "<eps>"}  # what aligners write into an interval without a word
_CHAPTER_LINE = re.compile(r'(\S+) "(.*)" "([^"]*)"')
_TIER = re.compile(r'class = "(\w+)"\s+name = "((?:[^"]|"")*)"')
_INTERVAL = re.compile(r'xmin = (\S+)\s+xmax = (\S+)\s+text = "((?:[^"]|"")*)"')


@dataclass(frozen=True)
class Config:
    """Options of the reader: `subsets` to read (empty: every one that is there). papers.md 1.4: 16 kHz."""

    subsets: tuple[str, ...] = ()
    rates: tuple[int, ...] = (16_000,)
    assume_rate: int | None = None


def download(root: Path, config: Config = Config()) -> None:
    """Fetches the archives of `config.subsets` into `root`, train-clean-360 when none is named."""
    sources = {s.filename.removesuffix(".tar.gz"): s for s in CARD.sources}
    for subset in config.subsets or _DEFAULT:
        if subset not in sources:
            raise SerError(
                f"no subset {subset!r}", "corpora.librispeech.reader.subsets", "Known: " + ", ".join(sources)
            )
        fetch(CARD, sources[subset], root)


def utterances(root: Path, config: Config = Config()) -> Iterator[Utterance]:
    """One utterance per line of the transcripts of the folders that are there.

    Raises `SerError` for a missing corpus or subset, for audio without a transcript line and the other way round.
    """
    root = reading.folder(root, CARD)
    top = root / "LibriSpeech" if (root / "LibriSpeech").is_dir() else root
    here = [p for p in reading.visible(top.iterdir()) if p.is_dir() and any(p.glob("*/*/[0-9]*-[0-9]*"))]
    if missing := sorted(set(config.subsets) - {p.name for p in here}):
        raise SerError(f"LibriSpeech subset {missing[0]!r} is not here", top, CARD.steps)
    wanted = [p for p in here if not config.subsets or p.name in config.subsets]
    if not wanted:
        raise SerError("no chapters of LibriSpeech: no <subset>/<speaker>/<chapter>/*.trans.txt", root, CARD.steps)
    sex = _sexes(top / "SPEAKERS.TXT")
    chapters = [c for subset in wanted for c in subset.glob("*/*") if c.is_dir() and not c.name.startswith(".")]
    for chapter in sorted(chapters, key=lambda c: (f"{c.parent.name}-{c.name}-", c)):  # the order of ids
        yield from _chapter(chapter, root, sex)


def words(root: Path, utterances: Iterable[Utterance]) -> Iterator[tuple[str, list[Word]]]:
    """Words of every utterance that has an alignment beside it; the others are left out."""
    current: Path | None = None
    table: dict[str, list[Word]] = {}
    for utterance in utterances:
        flac = Path(root) / utterance.file
        chapter = flac.parent / f"{utterance.id.rsplit('-', 1)[0]}.alignment.txt"
        if chapter != current:  # one chapter at a time: the corpus may be long
            current, table = chapter, read_alignment(chapter) if chapter.exists() else {}
        if utterance.id in table:
            yield utterance.id, table[utterance.id]
        elif (grid := flac.with_suffix(".TextGrid")).exists():
            yield utterance.id, read_textgrid(grid)


def incomplete(files: Iterable[str]) -> list[str]:
    """The subsets of these files that are not complete, with their counts; this is shown and is not an error."""
    found = Counter(Path(file).parts[-4] for file in files)
    return [
        f"{subset}: {n} of {_SUBSETS[subset][0]} utterances"
        for subset, n in sorted(found.items())
        if subset in _SUBSETS and n < _SUBSETS[subset][0]
    ]


def read_alignment(path: Path) -> dict[str, list[Word]]:
    """Utterance -> words of an `.alignment.txt`: `ID ",A,,B," "end,end,..."`, where an empty word is silence."""
    found = {}
    for number, line in reading.lines(path):
        match = _CHAPTER_LINE.fullmatch(line.strip())
        if not match:
            raise SerError('expected: ID ",WORD,..." "end,..."', f"{path}:{number}")
        tokens = match[2].split(",")
        ends = [reading.seconds(t, path, number) for t in match[3].split(",")]
        if len(tokens) != len(ends):
            raise SerError(f"{len(tokens)} words but {len(ends)} times", f"{path}:{number}")
        spans = zip([0.0, *ends[:-1]], ends, tokens, strict=True)
        found[match[1]] = [reading.word(a, b, token, path, number) for a, b, token in spans if token]
    return found


def read_textgrid(path: Path) -> list[Word]:
    """The words of the interval tier `words` (or `word`) of a Praat TextGrid in the long format."""
    text = reading.text(path)
    heads = list(_TIER.finditer(text))
    for i, head in enumerate(heads):
        if head[1] == "IntervalTier" and head[2].lower() in ("words", "word"):
            body = text[head.end() : heads[i + 1].start() if i + 1 < len(heads) else len(text)]
            first = 1 + text[: head.end()].count("\n")  # number of the tier's first line
            return list(_intervals(body, first, path))
    names = ", ".join(repr(h[2]) for h in heads) or "none (is it in the long text format?)"
    raise SerError(f"no interval tier 'words'; tiers: {names}", path)


def _intervals(body: str, first: int, path: Path) -> Iterator[Word]:
    for match in _INTERVAL.finditer(body):
        label, line = match[3].replace('""', '"').strip(), first + body[: match.start()].count("\n")
        if label not in _SILENCE:
            start, end = (reading.seconds(match[i], path, line) for i in (1, 2))
            yield reading.word(start, end, label, path, line)


def _chapter(folder: Path, root: Path, sex: dict[str, str]) -> Iterator[Utterance]:
    speaker, subset = folder.parent.name, folder.parent.parent.name
    session = f"{speaker}-{folder.name}"
    transcript = folder / f"{session}.trans.txt"
    if not transcript.exists():
        raise SerError("chapter without its transcript", transcript, "Unpack this subset again")
    texts = dict(_transcript(transcript))
    audio = {p.stem: p for p in reading.visible(folder.glob("*.flac"))}
    for name in sorted(texts.keys() ^ audio.keys()):
        lacks = f"no audio {name}.flac" if name in texts else f"no line {name}"
        raise SerError(lacks, folder if name in texts else transcript, "Unpack this subset again")
    for name in sorted(texts):
        yield Utterance(
            id=name,
            file=audio[name].relative_to(root).as_posix(),
            speaker=speaker,
            session=session,
            sex=sex.get(speaker, ""),
            text=texts[name],
            partition=subset.split("-")[0],
        )


def _transcript(path: Path) -> Iterator[tuple[str, str]]:
    for number, line in reading.lines(path):
        name, _, text = line.strip().partition(" ")
        if not text:
            raise SerError(f"utterance {name!r} has no text", f"{path}:{number}")
        yield name, text.strip()


def _sexes(path: Path) -> dict[str, str]:
    """Speaker -> "f" or "m" from SPEAKERS.TXT: `id | sex | subset | minutes | name`, comments after `;`."""
    if not path.exists():
        return {}
    rows = ([field.strip() for field in line.split("|")] for _, line in reading.lines(path) if not line.startswith(";"))
    return {row[0]: row[1].lower() for row in rows if len(row) > 1 and row[1] in ("F", "M")}

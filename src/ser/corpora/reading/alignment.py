"""Formats of word alignments. Every reader gives `Word`s in order, silence and noise left out, times in seconds."""

from __future__ import annotations

import re
from pathlib import Path

from ser.corpora import Word
from ser.corpora.reading import read as _read
from ser.errors import SerError

_FRAME = 0.01  # seconds a frame of the Sphinx aligner that made the .wdseg files
_SILENCE = {"", "sp", "sil", "spn", "<eps>"}  # what aligners write into an interval without a word
_CHAPTER_LINE = re.compile(r'(\S+) "(.*)" "([^"]*)"')
_TIER = re.compile(r'class = "(\w+)"\s+name = "((?:[^"]|"")*)"')
_INTERVAL = re.compile(r'xmin = (\S+)\s+xmax = (\S+)\s+text = "((?:[^"]|"")*)"')


def wdseg(path: Path) -> list[Word]:
    """IEMOCAP's `.wdseg`: columns SFrm EFrm score word; frames of 10 ms from the turn's start, last one included."""
    words = []
    for number, line in _read.lines(path):
        fields = line.split()
        if fields[0] == "SFrm" or line.lstrip().lower().startswith("total"):
            continue
        if len(fields) != 4 or not (fields[0].isdigit() and fields[1].isdigit()):
            raise SerError("expected: first frame, last frame, score, word", f"{path}:{number}")
        token = re.sub(r"\(\d+\)$", "", fields[3])  # (2): second pronunciation of the word
        if not re.fullmatch(r"<.*>|\+\+.*\+\+", token):
            words.append(_word(int(fields[0]) * _FRAME, (int(fields[1]) + 1) * _FRAME, token, path, number))
    return words


def chapter(path: Path) -> dict[str, list[Word]]:
    """LibriSpeech's `.alignment.txt`, utterance -> words: `ID ",A,,B," "end,end,..."`; an empty word is silence."""
    found = {}
    for number, line in _read.lines(path):
        match = _CHAPTER_LINE.fullmatch(line.strip())
        if not match:
            raise SerError('expected: ID ",WORD,..." "end,..."', f"{path}:{number}")
        tokens = match[2].split(",")
        ends = [_read.seconds(t, path, number) for t in match[3].split(",")]
        if len(tokens) != len(ends):
            raise SerError(f"{len(tokens)} words but {len(ends)} times", f"{path}:{number}")
        spans = zip([0.0, *ends[:-1]], ends, tokens, strict=True)
        found[match[1]] = [_word(a, b, token, path, number) for a, b, token in spans if token]
    return found


def textgrid(path: Path, tier: str = "words") -> list[Word]:
    """The interval tier `words` (or `word`) of a Praat TextGrid in the long format."""
    text = _read.text(path)
    heads = list(_TIER.finditer(text))
    for i, head in enumerate(heads):
        if head[1] == "IntervalTier" and head[2].lower() in (tier, tier.removesuffix("s")):
            body = text[head.end() : heads[i + 1].start() if i + 1 < len(heads) else len(text)]
            line = 1 + text[: head.end()].count("\n")
            return [
                _word(_read.seconds(m[1], path, at), _read.seconds(m[2], path, at), label, path, at)
                for m in _INTERVAL.finditer(body)
                if (label := m[3].replace('""', '"').strip()) not in _SILENCE
                for at in [line + body[: m.start()].count("\n")]
            ]
    names = ", ".join(repr(h[2]) for h in heads) or "none (is it in the long text format?)"
    raise SerError(f"no interval tier {tier!r}; tiers: {names}", path)


def segmentation(path: Path) -> list[Word]:
    """SEWA's `segmentation/<id>.csv`: `segment;start;end;word`, times in seconds of the recording."""
    words = []
    for number, line in _read.lines(path):
        fields = line.split(";", 3)
        if len(fields) != 4:
            raise SerError("expected: segment;start;end;word", f"{path}:{number}")
        if number == 1 and not any(c.isdigit() for c in fields[1] + fields[2]):
            continue  # a header
        start, end = (_read.seconds(f, path, number) for f in fields[1:3])
        if token := fields[3].strip().strip("'\""):
            words.append(_word(start, end, token, path, number))
    return words


def _word(start: float, end: float, text: str, path: Path, number: int) -> Word:
    if not 0 <= start <= end:
        raise SerError(f"word {text!r} lasts from {start} s to {end} s", f"{path}:{number}")
    return Word(round(start, 6), round(end, 6), text)

"""Look-alike of LibriSpeech: ``LibriSpeech/train-clean-100/SPEAKER/CHAPTER/*.flac``, 16 kHz (papers.md 1.4), with the
word alignments that others publish for it.

12 speakers who each read one chapter, 60 minutes and about 11 000 words in its default size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ser_synth.espeak import Engine
from ser_synth.generators import generator
from ser_synth.rendering import Recording, Speech, render
from ser_synth.texts import bare, punctuate, sentences
from ser_synth.voice import draw_speaker, perform
from ser_synth.writing import write_audio, write_lines

SUBSET = "train-clean-100"
TINY: dict[str, Any] = {"minutes": 0.4, "speakers": 2}

RECORDING = Recording(noise_db=-60, room=0.15, lead=(0.25, 0.25), tail=(0.3, 0.3), peak=0.7)


@dataclass(frozen=True)
class Config:
    seed: str = "librispeech"
    minutes: float = 60.0  # of speech in all, to a few percent; ours: about what Speech2Vec needs
    speakers: int = 12  # ours: one chapter each, men and women in turn
    words_per_minute: float = 182.0  # words per minute of sound, measured; decides how much text `minutes` needs
    per_utterance: int = 2  # sentences; ours: about 7 s
    within: float = 0.8  # scales the spread of single utterances; ours: readers are steady
    microphone_db: float = 2.0  # spread of the channel's colour between readers; ours: they record at home

    def __post_init__(self) -> None:
        if self.minutes <= 0 or self.speakers < 1 or self.per_utterance < 1 or self.words_per_minute <= 0:
            raise ValueError("minutes, speakers, words_per_minute and per_utterance must be positive")


@dataclass(frozen=True)
class Job:
    """One chapter; chapter 0 is the table of speakers."""

    speaker: int
    chapter: int
    sex: str

    @property
    def name(self) -> str:
        return f"{self.speaker}-{self.chapter}"


def jobs(config: Config) -> list[Job]:
    # identifiers are ours; a step of 7 makes clear that they are not a range
    chapters = [Job(100 + 7 * i, 2000 + i, "mf"[i % 2]) for i in range(config.speakers)]
    return [*chapters, Job(0, 0, "")]


def plan(job: Job, config: Config) -> list[list[str]]:
    """The tokens of each utterance of a chapter; they depend on no acoustic setting."""
    left = config.minutes * config.words_per_minute / config.speakers
    utterances: list[list[str]] = []
    source = sentences(generator(config.seed, "text", job.name))
    while left > 0:
        utterances.append([t for _ in range(config.per_utterance) for t in punctuate(next(source))])
        left -= len(utterances[-1])
    return utterances


def run(job: Job, root: Path, config: Config, engine: Engine) -> None:
    if not job.chapter:
        return _write_speakers(root, config)
    folder = root / "LibriSpeech" / SUBSET / str(job.speaker) / str(job.chapter)
    speaker = draw_speaker(config.seed, str(job.speaker), job.sex, config.microphone_db)
    transcript, alignment = [], []
    for k, tokens in enumerate(plan(job, config)):
        name = f"{job.name}-{k:04d}"
        rng = generator(config.seed, "acoustics", name)
        style = perform(speaker, "neutral", rng, intensity=1, within=config.within, personal=1)
        speech = render(engine, tokens, "en-us", speaker, style, RECORDING, rng)
        write_audio(folder / f"{name}.flac", speech.samples, speech.rate)
        words = [bare(token).upper() for token in tokens]
        transcript.append(f"{name} {' '.join(words)}")
        alignment.append(_alignment(name, words, speech))
    write_lines(folder / f"{job.name}.trans.txt", transcript)
    write_lines(folder / f"{job.name}.alignment.txt", alignment)


def _alignment(name: str, words: Sequence[str], speech: Speech) -> str:
    """``ID ",WORD,,WORD," "END,END,..."``: an empty word is silence, as the first and the last entry always are."""
    shortest = 0.03  # seconds; shorter gaps belong to the word before, as in the public alignments
    entries: list[tuple[str, float]] = []
    for word, (start, end) in zip(words, speech.words, strict=True):
        if not entries or start - entries[-1][1] > shortest:
            entries.append(("", start))
        entries.append((word, end))
    entries.append(("", speech.duration))
    return f'{name} "{",".join(w for w, _ in entries)}" "{",".join(f"{t:.3f}" for _, t in entries)}"'


def _write_speakers(root: Path, config: Config) -> None:
    minutes = f"{config.minutes / config.speakers:<5.2f}"
    rows = [
        f"{job.speaker:<4d} | {job.sex.upper()} | {SUBSET:<16s} | {minutes} | Synthetic Voice {job.speaker}"
        for job in jobs(config)
        if job.chapter
    ]
    write_lines(root / "LibriSpeech" / "SPEAKERS.TXT", [";ID  |SEX| SUBSET           |MINUTES| NAME", *rows])

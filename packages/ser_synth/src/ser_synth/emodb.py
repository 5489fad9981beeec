"""Look-alike of EMO-DB: acted German sentences, ``wav/SSTTTEV.wav``, 16 kHz (papers.md 1.1).

490 utterances in its default size: 10 speakers x 7 classes x 7 of the ten texts. IS10 functionals with a linear SVM
(C 0.01), leaving one speaker out, reach UA 0.78 (0.87 standardised per speaker); with EMO-DB itself 0.77 (0.85).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ser_synth.espeak import Engine
from ser_synth.generators import generator
from ser_synth.rendering import Recording, render
from ser_synth.voice import draw_speaker, perform
from ser_synth.writing import write_audio

# papers.md 1.1: the original's texts, speakers, codes and how often each version letter occurs
TEXTS = {
    "a01": "Der Lappen liegt auf dem Eisschrank.",
    "a02": "Das will sie am Mittwoch abgeben.",
    "a04": "Heute abend könnte ich es ihm sagen.",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück.",
    "a07": "In sieben Stunden wird es soweit sein.",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen?",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter.",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht.",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen.",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen.",
}
SPEAKERS = dict(zip(("03", "08", "09", "10", "11", "12", "13", "14", "15", "16"), "mffmmmffmf", strict=True))
CODES = {
    "anger": "W",
    "boredom": "L",
    "disgust": "E",
    "fear": "A",
    "happiness": "F",
    "sadness": "T",
    "neutral": "N",
}
VERSIONS = {"a": 170, "b": 150, "c": 135, "d": 73, "e": 5, "f": 2}
TINY: dict[str, Any] = {"speakers": 2, "per_cell": 1}

RECORDING = Recording(
    words_per_minute=215, noise_db=-66, lead=(0.02, 0.12), tail=(0.02, 0.12), peak=0.95, peak_sd=0.05
)  # the original's peaks are normalised, so level is no cue


@dataclass(frozen=True)
class Config:
    seed: str = "emodb"
    speakers: int = 10  # the first so many of the original's ten
    per_cell: int = 7  # of the ten texts, for each speaker and class; ours: 490 utterances, near the original's 535
    intensity: float = 1.0  # scales the class means: lower is harder
    within: float = 1.2  # scales the spread of single takes: higher is harder; ours: as hard as EMO-DB itself
    personal: float = 1.0  # scales how differently speakers act a class
    microphone_db: float = 1.0  # spread of the channel's colour between speakers; ours

    def __post_init__(self) -> None:
        if not (1 <= self.speakers <= len(SPEAKERS) and 1 <= self.per_cell <= len(TEXTS)):
            raise ValueError(f"speakers must be 1..{len(SPEAKERS)} and per_cell 1..{len(TEXTS)}")


@dataclass(frozen=True)
class Job:
    """One utterance."""

    speaker: str
    text: str
    emotion: str
    version: str

    @property
    def name(self) -> str:
        return f"{self.speaker}{self.text}{CODES[self.emotion]}{self.version}"


def jobs(config: Config) -> list[Job]:
    result = []
    letters, counts = list(VERSIONS), list(VERSIONS.values())
    for speaker in list(SPEAKERS)[: config.speakers]:
        for emotion in CODES:
            rng = generator(config.seed, "text", speaker, emotion)
            texts = sorted(rng.choice(list(TEXTS), config.per_cell, replace=False))
            versions = rng.choice(letters, config.per_cell, p=[c / sum(counts) for c in counts])
            result += [Job(speaker, str(t), emotion, str(v)) for t, v in zip(texts, versions, strict=True)]
    return result


def run(job: Job, root: Path, config: Config, engine: Engine) -> None:
    speaker = draw_speaker(config.seed, job.speaker, SPEAKERS[job.speaker], config.microphone_db)
    rng = generator(config.seed, "acoustics", job.name)
    style = perform(speaker, job.emotion, rng, config.intensity, config.within, config.personal)
    speech = render(engine, TEXTS[job.text].split(), "de", speaker, style, RECORDING, rng)
    write_audio(root / "wav" / f"{job.name}.wav", speech.samples, speech.rate)

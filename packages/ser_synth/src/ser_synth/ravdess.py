"""Look-alike of RAVDESS (speech, audio only): ``Actor_NN/03-01-EE-II-SS-RR-NN.wav``, 48 kHz (papers.md 1.3).

240 files in its default size: 24 actors x 10. IS10 functionals with a linear SVM in six folds of four actors reach UA
0.67 (0.75 standardised per speaker), chance 0.125.
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

# papers.md 1.3: codes 01..08 of the emotions, 01 and 02 of the statements
EMOTIONS = ("neutral", "calm", "happiness", "sadness", "anger", "fear", "disgust", "surprise")
STATEMENTS = ("Kids are talking by the door.", "Dogs are sitting by the door.")
ACTORS, FILES = 24, 60  # of the original; files per actor
TINY: dict[str, Any] = {"actors": 2, "files": 8}

RECORDING = Recording(
    rate=48000, words_per_minute=150, gain_db=-14, noise_db=-84, room=0.1, lead=(0.8, 1.1), tail=(0.9, 1.3)
)  # the original keeps the level between takes and has about a second of silence on either side


@dataclass(frozen=True)
class Config:
    seed: str = "ravdess"
    actors: int = ACTORS  # the first so many of the original's 24
    files: int = 10  # of each actor's 60: every class once, then again, in random order; ours, for speed
    intensity: float = 1.0  # scales the class means: lower is harder
    normal: float = 0.85  # further scale of normal intensity (code 01); ours
    strong: float = 1.2  # further scale of strong intensity (code 02); ours
    within: float = 1.4  # scales the spread of single takes: higher is harder; ours: level is a cue here
    personal: float = 1.0  # scales how differently actors act a class
    microphone_db: float = 0.5  # spread of the channel's colour between actors; ours: one studio

    def __post_init__(self) -> None:
        if not (1 <= self.actors <= ACTORS and 1 <= self.files <= FILES):
            raise ValueError(f"actors must be 1..{ACTORS} and files 1..{FILES}")


@dataclass(frozen=True)
class Job:
    """One file, by the codes in its name; all from 1."""

    emotion: int
    intensity: int
    statement: int
    repetition: int
    actor: int

    @property
    def file(self) -> str:
        fields = (3, 1, self.emotion, self.intensity, self.statement, self.repetition, self.actor)
        return f"Actor_{self.actor:02d}/" + "-".join(f"{f:02d}" for f in fields) + ".wav"


def jobs(config: Config) -> list[Job]:
    return [job for actor in range(1, config.actors + 1) for job in _session(actor, config)]


def _session(actor: int, config: Config) -> list[Job]:
    """The first `files` of an actor's 60, in rounds of one file per class, each round in random order."""
    rng = generator(config.seed, "labels", actor)
    rounds: list[list[Job]] = [[] for _ in range(8)]
    for emotion in range(1, len(EMOTIONS) + 1):
        intensities = (1,) if emotion == 1 else (1, 2)  # neutral has no strong version
        takes = [Job(emotion, i, s, r, actor) for i in intensities for s in (1, 2) for r in (1, 2)]
        for k, take in enumerate(rng.permutation(len(takes))):
            rounds[k].append(takes[take])
    shuffled = [one[i] for one in rounds for i in rng.permutation(len(one))]
    return sorted(shuffled[: config.files], key=lambda job: job.file)


def run(job: Job, root: Path, config: Config, engine: Engine) -> None:
    sex = "m" if job.actor % 2 else "f"
    speaker = draw_speaker(config.seed, f"{job.actor:02d}", sex, config.microphone_db)
    rng = generator(config.seed, "acoustics", job.file)
    intensity = config.intensity * (config.normal, config.strong)[job.intensity - 1]
    style = perform(speaker, EMOTIONS[job.emotion - 1], rng, intensity, config.within, config.personal)
    speech = render(engine, STATEMENTS[job.statement - 1].split(), "en-us", speaker, style, RECORDING, rng)
    write_audio(root / job.file, speech.samples, speech.rate)

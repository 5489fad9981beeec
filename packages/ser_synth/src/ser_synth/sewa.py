"""Look-alike of SEWA in the packaging of AVEC 2017: video-chat dialogues with continuous affect (papers.md 1.5).

20 recordings of 90 s in its default size. Arousal and valence change the prosody word by word, and together with liking
they choose the words, so that meaning helps to predict valence and liking, as in the paper. It is in English, while the
original is German.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ser_synth.affect import LABEL_RATE, Contours, Raters, annotate, contours, gold_standard
from ser_synth.espeak import Engine
from ser_synth.generators import generator
from ser_synth.rendering import Recording, Speech, render
from ser_synth.texts import MOODS, PARTNER, TALK, bare, fill, pick
from ser_synth.voice import AROUSAL, DIMENSIONS, VALENCE, WITHIN, Style, draw_speaker
from ser_synth.writing import write_audio, write_lines

# centres of the moods in (arousal, mean of valence and liking); ours
QUADRANTS = {"joy": (0.6, 0.6), "peace": (-0.5, 0.5), "gloom": (-0.5, -0.5), "rage": (0.6, -0.6)}
PARTITIONS = {"Train": 0.6, "Devel": 0.2, "Test": 0.2}  # ours: near the original's 34 : 14 : 16
TINY: dict[str, Any] = {"minutes": 0.75, "recordings": 3}

RATE = 16000  # Hz
SUBJECT = Recording(gain_db=-10.5, noise_db=-70, room=0.3, lead=(0.05, 0.05), tail=(0.05, 0.05))
OTHER = Recording(words_per_minute=185, gain_db=-18.5, noise_db=-78, room=0.3, lead=(0.05, 0.05), tail=(0.05, 0.05))


@dataclass(frozen=True)
class Config:
    seed: str = "sewa"
    minutes: float = 30.0  # of sound in all; ours: with 10 minutes the CCC of valence is at chance
    recordings: int = 20  # ours: 12 to train on, 4 for development, 4 to test
    subject_share: float = 0.78  # share of turns that are the subject's; ours
    temperature: float = 0.55  # of the choice of a mood by affect: higher makes words less informative; ours
    laughter: float = 0.05  # share of the subject's turns with an event tag in the transcript; ours
    within: float = 1.75  # scales the spread of single turns: higher is harder; ours
    intensity: float = 1.0  # scales what affect does to the voice: lower is harder
    noise_db: float = -58.0  # floor of the whole recording, dB full scale; ours
    microphone_db: float = 2.0  # spread of the channel's colour between subjects; ours: they use laptops at home

    def __post_init__(self) -> None:
        if self.recordings < 3 or self.seconds < 10:
            raise ValueError(
                "recordings must be 3 or more (one per partition), and minutes must give each of them 10 seconds"
            )

    @property
    def seconds(self) -> float:
        """Length of one recording."""
        return self.minutes * 60 / self.recordings


@dataclass(frozen=True)
class Job:
    """One recording; `number` counts over all partitions."""

    name: str
    number: int


@dataclass(frozen=True)
class Turn:
    start: float  # seconds; the turn starts later only if the turn before lasts longer than planned
    subject: bool
    tokens: list[str]
    laughs: bool


def jobs(config: Config) -> list[Job]:
    held_out = [max(1, round(config.recordings * PARTITIONS[part])) for part in ("Devel", "Test")]
    sizes = zip(PARTITIONS, (config.recordings - sum(held_out), *held_out), strict=True)
    names = [f"{part}_{i:02d}" for part, size in sizes for i in range(1, size + 1)]
    return [Job(name, k) for k, name in enumerate(names)]


def affect(job: Job, config: Config) -> np.ndarray:
    """Latent arousal, valence, liking (T, 3) of a recording, every 0.1 s."""
    rng = generator(config.seed, "labels", job.name)
    return contours(rng, round(config.seconds * LABEL_RATE), Contours())


def plan(job: Job, config: Config) -> list[Turn]:
    """The turns of a recording; they depend on affect and on no acoustic setting."""
    truth, rng = affect(job, config), generator(config.seed, "text", job.name)
    margin = 2.0  # seconds left free at the end, because turns may last longer than planned
    turns: list[Turn] = []
    start = float(rng.uniform(0.3, 1.0))
    while True:
        subject = bool(rng.random() < config.subject_share)
        tokens = _say(truth[_frame(start, truth)], config, rng) if subject else pick(PARTNER, rng).split()
        laughs = bool(subject and rng.random() < config.laughter)
        end = start + 0.35 + 0.33 * len(tokens)  # duration of a turn at the neutral tempo, measured
        if end > config.seconds - margin:
            return turns
        turns.append(Turn(start, subject, tokens, laughs))
        start = end + float(rng.uniform(0.1, 0.8))


def _frame(seconds: float, truth: np.ndarray) -> int:
    return min(int(seconds * LABEL_RATE), len(truth) - 1)


def _say(now: np.ndarray, config: Config, rng: np.random.Generator) -> list[str]:
    """A sentence in the mood of a quadrant; quadrants near the affect `now` (3,) are more likely."""
    place = np.array([now[0], (now[1] + now[2]) / 2])
    distance = ((np.array(list(QUADRANTS.values())) - place) ** 2).sum(1)
    p = np.exp(-distance / config.temperature)
    mood = list(QUADRANTS)[int(rng.choice(len(p), p=p / p.sum()))]
    return fill(pick(TALK, rng), MOODS[mood], rng)


def run(job: Job, root: Path, config: Config, engine: Engine) -> None:
    truth = affect(job, config)
    sex = "mf"[job.number % 2]
    subject = draw_speaker(config.seed, f"subject {job.number}", sex, config.microphone_db)
    other = draw_speaker(config.seed, f"partner {job.number}", "fm"[job.number % 2], config.microphone_db)
    sound = np.zeros(round(config.seconds * RATE))
    spoken: list[tuple[Turn, float, Speech]] = []
    free = 0.0  # end of the turn before
    for k, turn in enumerate(plan(job, config)):
        rng = generator(config.seed, "acoustics", job.name, k)
        start = round(max(turn.start, free + 0.1) * RATE) / RATE
        chance = Style.of(WITHIN.vector() * rng.standard_normal(DIMENSIONS) * (config.within if turn.subject else 0.5))
        if turn.subject:
            style, course = _styles(truth, start, len(turn.tokens), config, chance)
            speech = render(engine, turn.tokens, "en-us", subject, style, SUBJECT, rng, course)
            spoken.append((turn, start, speech))
        else:
            speech = render(engine, turn.tokens, "en-us", other, chance, OTHER, rng)
        at = round(start * RATE)
        sound = np.pad(sound, (0, max(0, at + len(speech.samples) - len(sound))))  # a late last turn is not cut off
        sound[at : at + len(speech.samples)] += speech.samples
        free = start + speech.duration
    noise = generator(config.seed, "acoustics", job.name, "noise").standard_normal(len(sound))
    write_audio(root / "audio" / f"{job.name}.wav", sound + 10 ** (config.noise_db / 20) * noise, RATE)
    _write_turns(root, job, spoken)
    _write_labels(root, job, truth, config)


def _styles(truth: np.ndarray, start: float, n: int, config: Config, chance: Style) -> tuple[Style, list[Style]]:
    """The style of a turn from the affect at its start, and the change of style at each of its n words."""

    def voice(frame: int) -> np.ndarray:
        arousal, valence, _ = config.intensity * truth[frame]
        return arousal * AROUSAL.vector() + valence * VALENCE.vector()

    first = voice(_frame(start, truth))
    course = [Style.of(voice(_frame(start + 0.33 * i, truth)) - first) for i in range(n)]
    return Style.of(first + chance.vector()), course


def _write_turns(root: Path, job: Job, spoken: list[tuple[Turn, float, Speech]]) -> None:
    """The subject's turns and transcript, and the forced alignment in the format of the paper's public code."""
    turns, transcript, words = [], [], []
    for k, (turn, start, speech) in enumerate(spoken):
        end = start + speech.duration
        turns.append(f"{start:.2f};{end:.2f}")
        transcript.append(f"{start:.2f};{end:.2f};'{'<laughter> ' if turn.laughs else ''}{' '.join(turn.tokens)}'")
        words += [
            f"s{k}w{i:06d};{start + a:.4f};{start + b:.4f};{bare(token)}"
            for i, (token, (a, b)) in enumerate(zip(turn.tokens, speech.words, strict=True), start=1)
        ]
    write_lines(root / "turns" / f"{job.name}.csv", turns)
    write_lines(root / "transcriptions" / f"{job.name}.csv", transcript)
    write_lines(root / "segmentation" / f"{job.name}.csv", words)


def _write_labels(root: Path, job: Job, truth: np.ndarray, config: Config) -> None:
    """The gold standard as in AVEC 2017 (name; time; arousal; valence; liking, no header), and the trace of each
    rater."""
    raters = Raters()
    ratings = annotate(generator(config.seed, "labels", job.name, "raters"), truth, raters)
    gold = gold_standard(ratings, raters)
    times = [t / LABEL_RATE for t in range(len(truth))]
    rows = [f"'{job.name}';{t:.6f};{a:.6f};{v:.6f};{l:.6f}" for t, (a, v, l) in zip(times, gold, strict=True)]
    write_lines(root / "labels" / f"{job.name}.csv", rows)
    for r, rating in enumerate(ratings, start=1):
        rows = [f"{t:.1f};{a:.3f};{v:.3f};{l:.3f}" for t, (a, v, l) in zip(times, rating, strict=True)]
        write_lines(root / "annotators" / f"{job.name}_A{r}.csv", rows)

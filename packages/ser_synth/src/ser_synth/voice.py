"""Speakers, emotional styles, and the espeak voice file for a speaker in a style.

A style is a change relative to the same speaker's neutral speech. The directions of the changes follow Emofilt's rule
file (Burkhardt), Burkhardt & Sendlmeier 2000, Murray & Arnott 1993, Scherer 2003, Juslin & Laukka 2003 and Cahn 1990
(surprise). The sizes are ours. They were tuned once, so that the look-alike of EMO-DB is about as hard as EMO-DB for a
linear SVM on IS10 functionals, leaving one speaker out.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields

import numpy as np

from ser_synth.generators import generator


@dataclass(frozen=True)
class Style:
    tempo: float = 0.0  # log2 of the tempo factor
    f0: float = 0.0  # mean F0, semitones
    span: float = 0.0  # log2 of the F0 range factor
    level: float = 0.0  # dB
    tilt: float = 0.0  # dB per octave of voiced sound; > 0 tense and loud, < 0 lax and soft
    breath: float = 0.0  # aspiration noise, dB
    jitter: float = 0.0  # F0 perturbation, percent
    tremor: float = 0.0  # depth of the 4.5-7 Hz F0 tremor, semitones
    shimmer: float = 0.0  # amplitude perturbation, dB
    f1: float = 0.0  # shift of the first formant, percent
    spread: float = 0.0  # shift of all formants, percent: lips spread > 0, protruded < 0
    focus: float = 0.0  # semitones added on content words
    slope: float = 0.0  # semitones from first to last word, on top of the language's contour
    pause: float = 0.0  # log2 of the pause factor

    def vector(self) -> np.ndarray:
        return np.array(astuple(self))

    @classmethod
    def of(cls, vector: np.ndarray) -> Style:
        return cls(*map(float, vector))


DIMENSIONS = len(fields(Style))

_TABLE = """
              tempo    f0   span level  tilt breath jitter tremor shimmer  f1  spread focus slope pause
neutral         0      0    0     0     0     0     0      0     0        0     0     0     0     0
calm          -.12  -1.0  -.25   -3  -1.0     4     0      0     0       -3     0     0   -.5    .3
anger          .05   6.5   .65    8   4.5     0    .7      0    .5       15     0   3.0  -2.0   -.4
happiness      .05   6.8   .80    5   2.8     2    .2      0     0        9     4   2.5   1.0   -.3
fear           .28   6.5   .05    2   1.5     5   1.0     .5    .5        5     0    .2   1.5    .5
sadness       -.50  -1.0  -.45   -6  -2.5     9    .7    .25    .4       -4    -2   -.5  -1.5   1.2
disgust       -.42   2.0   .10    0   1.2     2    .8      0    .6        6    -3   1.0  -3.0    .6
boredom       -.22  -1.5  -.55   -3   -.8     3     0      0     0       -6    -1   -.8   -.8    .4
surprise       .08   6.5   .95    4   1.5     3     0      0     0        6     1   3.0   5.0   -.2
frustration    .02   2.5   .25    4   2.0     2    .5      0    .3        6     0   1.8  -2.0    .3
excitement     .18   6.0   .75    6   2.5     2    .2      0     0        9     3   2.5    .5   -.4
within        .085  1.05   .18  1.4   .60   1.6   .19   .085   .14      2.7   1.1   .55   .85   .27
personal      .065   .72   .12  .85   .48  1.35   .14    .05   .11      2.1    .8   .43   .64   .19
arousal        .18   3.8   .40  4.5   1.8    -2    .2      0     0        5     0   1.2     0   -.6
valence        .05    .8   .25    0    .3     0   -.2      0     0        2   3.0    .5   2.0   -.2
"""


def _parse(table: str) -> dict[str, Style]:
    head, *rows = (line.split() for line in table.strip().splitlines())
    return {name: Style(**dict(zip(head, map(float, values), strict=True))) for name, *values in rows}


STYLES = _parse(_TABLE)
WITHIN = STYLES.pop("within")  # standard deviation of single takes of one class by one speaker
PERSONAL = STYLES.pop("personal")  # standard deviation of a speaker's own way of doing a class
AROUSAL, VALENCE = STYLES.pop("arousal"), STYLES.pop("valence")  # change per unit of a continuous dimension


@dataclass(frozen=True)
class Population:
    """Distribution of speakers; ours, in the range of adult voices, tuned together with the table of styles."""

    f0: tuple[float, float] = (108.0, 190.0)  # Hz, men and women
    f0_sd: float = 1.6  # semitones
    span: float = 8.5  # 5-95 % range of F0, semitones
    span_sd: float = 0.2  # log2
    formants: tuple[float, float] = (1.0, 1.15)  # formant scale on espeak's male vocal tract, men and women
    formant_sd: float = 0.03  # of the whole tract, and again of each formant
    tempo_sd: float = 0.05  # log2
    tilt: float = -2.6  # dB per octave
    tilt_sd: float = 0.6
    breath: float = 2.0  # dB, not below 0
    breath_sd: float = 1.5
    strength_sd: float = 0.15  # expressivity, mean 1
    strength_range: tuple[float, float] = (0.6, 1.4)


@dataclass(frozen=True)
class Speaker:
    name: str
    seed: str  # of the corpus
    f0: float  # Hz
    span: float  # semitones
    formants: tuple[float, ...]  # factors of F1..F5
    tempo: float  # log2
    tilt: float  # dB per octave
    breath: float  # dB
    strength: float  # scales every emotion
    microphone: tuple[float, ...]  # colour of the recording channel, dB at MICROPHONE_HZ


MICROPHONE_HZ = (60.0, 150.0, 400.0, 1000.0, 2500.0, 5000.0, 9000.0)  # ours: knots about an octave and a half apart


def draw_speaker(seed: str, name: str, sex: str, microphone_db: float, population: Population | None = None) -> Speaker:
    """The speaker of this name in the corpus with this `seed`; `sex` is "f" or "m", `microphone_db` the channel's
    sd."""
    p = population or Population()
    rng = generator(seed, "speaker", name)
    woman = int(sex == "f")
    tract = p.formants[woman] * (1 + rng.normal(0, p.formant_sd))
    return Speaker(
        name=name,
        seed=seed,
        f0=p.f0[woman] * 2 ** (rng.normal(0, p.f0_sd) / 12),
        span=p.span * 2 ** rng.normal(0, p.span_sd),
        formants=tuple(tract * (1 + rng.normal(0, p.formant_sd, 5))),
        tempo=rng.normal(0, p.tempo_sd),
        tilt=rng.normal(p.tilt, p.tilt_sd),
        breath=max(0.0, rng.normal(p.breath, p.breath_sd)),
        strength=float(np.clip(rng.normal(1, p.strength_sd), *p.strength_range)),
        microphone=tuple(rng.normal(0, microphone_db, len(MICROPHONE_HZ))),
    )


# How strongly a take is acted: lognormal with this sd, in this range. Ours: some takes are only half acted.
ACTING_SD, ACTING_RANGE = 0.25, (0.45, 1.7)


def perform(
    speaker: Speaker, emotion: str, rng: np.random.Generator, intensity: float, within: float, personal: float
) -> Style:
    """One take of a class: the scaled mean of the class, plus the speaker's own way of acting it, plus chance.

    `intensity` scales the mean, `within` and `personal` the standard deviations WITHIN and PERSONAL.
    """
    acting = float(np.clip(rng.lognormal(0, ACTING_SD), *ACTING_RANGE))
    own = generator(speaker.seed, "personal", speaker.name, emotion).standard_normal(DIMENSIONS)
    chance = rng.standard_normal(DIMENSIONS)
    mean = STYLES[emotion].vector() * speaker.strength * intensity * acting
    return Style.of(mean + personal * PERSONAL.vector() * own + within * WITHIN.vector() * chance)


def voice_file(speaker: Speaker, style: Style) -> str:
    """The text of an espeak voice file: F0 and its range, formants and their widths, spectral slope of voiced sound."""
    span = float(np.clip(speaker.span * 2**style.span, 1, 20))  # semitones; beyond that, espeak's contours break
    low = round(np.clip(speaker.f0 * 2 ** ((style.f0 - 0.42 * span) / 12), 40, 420))  # the mean is at 42 % of the range
    lines = [f"pitch {low} {round(low * 2 ** (span / 12))}"]
    shifted_by_pitch = (
        1 + (low - 82) / 82 / 4
    )  # espeak's own scaling, undone here: otherwise a high voice becomes a child's
    opening = style.f1 / 100 * np.array([1, 1 / 3, 0.1, 0, 0])  # an open jaw raises F1 most
    factors = np.array(speaker.formants) * (1 + style.spread / 100) * (1 + opening) / shifted_by_pitch
    width = round(100 - np.clip(4 * style.tilt, -40, 30))  # percent; a tense voice has narrower formants
    lines += [f"formant {k} {round(100 * f)} 100 {width}" for k, f in enumerate(np.clip(factors, 0.5, 1.8), start=1)]
    hz = np.array([300, 800, 1600, 3200])
    slope = 10 ** ((speaker.tilt + style.tilt) * np.log2(hz / 800) / 20)
    amplitude = np.array([170, 150, 118, 105]) * slope  # espeak's own default curve, tilted about 800 Hz
    amplitude *= min(1, 250 / amplitude.max())  # the format's largest amplitude is 255
    lines.append("tone " + " ".join(f"{h} {round(a)}" for h, a in zip(hz, amplitude, strict=True)))
    return "\n".join(lines) + "\n"

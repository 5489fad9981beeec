"""From a style to sound: espeak commands set the prosody of each word, filters add voice quality and the recording.

Letters: N samples at espeak's rate, M samples of the output, K points of the control grid, F frequencies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft

from ser_synth.espeak import Engine, Take
from ser_synth.generators import generator
from ser_synth.texts import is_content
from ser_synth.voice import MICROPHONE_HZ, Speaker, Style, voice_file


@dataclass(frozen=True)
class Recording:
    """How a corpus was recorded. All values are ours; they were set by comparing eGeMAPS means with those of EMO-DB."""

    rate: int = 16000  # Hz
    words_per_minute: float = 180.0  # espeak's unit, of a neutral speaker
    gain_db: float = 0.0
    noise_db: float = -62.0  # noise floor, dB full scale
    room: float = 0.0  # strength of the reverberant tail
    lead: tuple[float, float] = (0.1, 0.1)  # silence before speech, seconds, drawn uniformly
    tail: tuple[float, float] = (0.1, 0.1)
    peak: float | None = None  # the peak is normalised to about this; None keeps the level, which is a cue to emotion
    peak_sd: float = 0.0


@dataclass(frozen=True)
class Prosody:
    """Random variation in the prosody of words; ours."""

    pitch_sd: float = 0.5  # semitones, scaled by the range of the style
    level_sd: float = 1.0  # dB
    tempo_sd: float = 0.06  # log2
    focus: tuple[float, float] = (0.4, 1.3)  # share of the style's focus that a content word gets
    declination_db: float = 1.0  # level lost from first to last word
    hesitation: float = 0.05  # probability of a pause before a word in neutral speech
    volume: float = 28.0  # espeak's unit of a word at 0 dB: loud words stay below full scale
    pause: float = 4.0  # espeak's unit of an average hesitation


@dataclass(frozen=True)
class Speech:
    """Samples (M,) in [-1, 1] at `rate` Hz and ``(start, end)`` in seconds of every token."""

    samples: np.ndarray
    rate: int
    words: list[tuple[float, float]]

    @property
    def duration(self) -> float:
        return len(self.samples) / self.rate


def render(
    engine: Engine,
    tokens: Sequence[str],
    language: str,
    speaker: Speaker,
    style: Style,
    recording: Recording,
    rng: np.random.Generator,
    course: Sequence[Style] | None = None,
) -> Speech:
    """Speaks tokens (words with their punctuation). `course` has one style per word, whose tempo, f0 and level are
    added."""
    rate = recording.words_per_minute * 2 ** (speaker.tempo + style.tempo)
    commands = _commands(tokens, language, speaker, style, recording, rng, course)
    seed = int(rng.integers(1, 2**30))
    take = engine.speak(tokens, language, voice_file(speaker, style), commands, round(rate), seed)
    return _record(take, speaker, style, recording, rng)


def _commands(
    tokens: Sequence[str],
    language: str,
    speaker: Speaker,
    style: Style,
    recording: Recording,
    rng: np.random.Generator,
    course: Sequence[Style] | None,
) -> list[str]:
    """Commands of each word: P pitch (50 is the voice's own, 50 units per octave), A loudness, S speed, B pause."""
    p, n = Prosody(), len(tokens)
    course = course or [Style()] * n
    content = np.array([is_content(token, language) for token in tokens])
    place = np.linspace(0, 1, n)
    semitones = (
        style.slope * (place - place.mean())
        + content * style.focus * rng.uniform(*p.focus, n)
        + rng.normal(0, p.pitch_sd, n) * 2**style.span
        + [c.f0 for c in course]
    )
    stress = content * (1 + 0.35 * max(0.0, style.focus))  # dB; louder where the pitch rises
    level = stress + rng.normal(0, p.level_sd, n) - p.declination_db * place + [c.level for c in course]
    tempo = speaker.tempo + style.tempo + rng.normal(0, p.tempo_sd, n) + [c.tempo for c in course]
    pauses = rng.random(n) < p.hesitation * 2 ** (1.3 * style.pause)  # pauses become more frequent rather than longer
    pauses[0] = False
    lengths = p.pause * 2**style.pause * rng.uniform(0.5, 1.8, n)
    # limits: what the library accepts; for loudness 5..70, where sound neither vanishes nor overflows
    pitch = np.clip(np.round(50 + semitones * 50 / 12), 0, 99).astype(int)
    volume = np.clip(np.round(p.volume * 10 ** (level / 20)), 5, 70).astype(int)
    speed = np.clip(np.round(recording.words_per_minute * 2**tempo), 80, 400).astype(int)
    breaks = np.clip(lengths, 1, 22).astype(int)
    return [
        f"\x01{pitch[i]}P\x01{volume[i]}A\x01{speed[i]}S" + (f"\x01{breaks[i]}B" if pauses[i] else "") for i in range(n)
    ]


def _record(take: Take, speaker: Speaker, style: Style, recording: Recording, rng: np.random.Generator) -> Speech:
    """Adds breath, channel and room in the spectrum, jitter, tremor and shimmer by warping time and gain, and noise."""
    x = take.pcm / 32768
    tail = 0.12 if recording.room else 0.0  # seconds of reverberation
    m = next_fast_len(len(x) + take.rate // 4, real=True)
    hz = np.fft.rfftfreq(m, 1 / take.rate)
    spectrum = rfft(x, m) + _aspiration(x, hz, m, speaker, style, rng)
    spectrum *= _channel(hz, m, take.rate, speaker, style, recording)
    y = 2 * irfft(spectrum, 2 * m)  # at twice the rate, so that linear interpolation below is accurate enough
    control, warped, gain_db = _perturb(len(x) / take.rate + tail, style, rng)
    source = np.interp(np.arange(int(warped[-1] * recording.rate)) / recording.rate, warped, control)
    y = np.interp(source * take.rate * 2, np.arange(len(y)), y)
    y *= 10 ** ((np.interp(source, control, gain_db) + style.level + recording.gain_db) / 20)
    lead, end = (int(rng.uniform(*pad) * recording.rate) for pad in (recording.lead, recording.tail))
    y = _set_level(np.pad(y, (lead, end)), recording, rng)
    offset = lead / recording.rate
    times = np.interp(np.array(take.words) / take.rate, control, warped) + offset
    return Speech(y, recording.rate, [(float(a), float(b)) for a, b in times])


def _set_level(y: np.ndarray, recording: Recording, rng: np.random.Generator) -> np.ndarray:
    loudest = float(np.abs(y).max()) or 1.0
    if recording.peak is not None:
        y = y * (float(np.clip(rng.normal(recording.peak, recording.peak_sd), 0.6, 0.99)) / loudest)
    elif loudest > 0.98:  # avoid clipping
        y = y * (0.98 / loudest)
    return y + 10 ** (recording.noise_db / 20) * rng.standard_normal(len(y))


def _aspiration(
    x: np.ndarray, hz: np.ndarray, m: int, speaker: Speaker, style: Style, rng: np.random.Generator
) -> np.ndarray:
    """Spectrum (F,) of noise above 1.5 kHz with the envelope of the voice (10 ms); one unit of breath is 1.6 dB."""
    half = 110  # samples, 5 ms
    power = np.cumsum(np.pad(x * x, (half + 1, half)))
    envelope = np.sqrt(np.maximum(power[2 * half + 1 :] - power[: -2 * half - 1], 0) / (2 * half + 1))
    level = 10 ** ((-35 + 1.6 * (speaker.breath + max(0.0, style.breath))) / 20)
    return rfft(envelope * rng.standard_normal(len(x)), m) * (level / (1 + np.exp(-(hz - 1500) / 400)))


def _channel(hz: np.ndarray, m: int, rate: int, speaker: Speaker, style: Style, recording: Recording) -> np.ndarray:
    """Response of vocal effort, microphone, high-pass (70 Hz), anti-aliasing low-pass and room at frequencies `hz`."""
    octaves = np.log2(np.maximum(hz, 40))
    db = np.interp(octaves, np.log2(MICROPHONE_HZ), speaker.microphone)
    db += 0.35 * style.tilt * np.clip(octaves - np.log2(1000), -3, 2.5)  # effort also tilts unvoiced sounds
    db -= 12 * np.log2(np.maximum(1, 70 / np.maximum(hz, 1)))
    cutoff = min(0.46 * recording.rate, 9800)  # espeak has nothing above 10 kHz
    response = 10 ** (db / 20) / (1 + np.exp((hz - cutoff) / 60))
    if recording.room:
        echo = generator(speaker.seed, "room").standard_normal(rate // 5)
        echo *= np.exp(-np.arange(len(echo)) / (0.035 * rate)) * recording.room * 0.05  # decays by e in 35 ms
        echo[0] = 1
        response = response * rfft(echo, m)
    return response


def _perturb(duration: float, style: Style, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source time, output time and gain in dB, each (K,) on a 200 Hz grid: jitter, tremor, drift of tempo, shimmer."""
    k = int(np.ceil(duration * 200)) + 1
    t = np.arange(k) / 200
    tremor, jitter, shimmer = max(0.0, style.tremor), max(0.15, 0.2 + style.jitter), max(0.1, style.shimmer)
    swing = np.sin(2 * np.pi * (rng.uniform(4.5, 7) * t + rng.random()))
    knots = np.arange(0, t[-1] + 0.5, 0.25)
    drift = np.interp(t, knots, rng.normal(0, 0.006, len(knots)))
    speed = 1 + jitter / 100 * rng.standard_normal(k) + (2 ** (tremor / 12) - 1) * swing + drift
    steps = 1 / np.clip(speed, 0.85, 1.18) / 200
    warped = np.concatenate([[0], np.cumsum(steps[:-1])])
    return t, warped, shimmer * rng.standard_normal(k) + 4 * tremor * swing

"""Continuous affect: latent contours of arousal, valence and liking, raters who follow them, and the gold standard.

Letters: T frames of 0.1 s, R raters, D = 3 dimensions. All parameters are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LABEL_RATE = 10  # frames per second: papers.md 1.5


@dataclass(frozen=True)
class Contours:
    """Distribution of the latent contours."""

    seconds: tuple[float, float, float] = (6.0, 8.0, 10.0)  # time constants of the three independent sources
    sd: tuple[float, float, float] = (0.38, 0.38, 0.30)  # within a recording
    mean: tuple[float, float, float] = (0.05, 0.08, 0.05)  # over recordings
    mean_sd: tuple[float, float, float] = (0.12, 0.15, 0.12)
    arousal_valence: float = 0.25  # correlation
    valence_liking: float = 0.65  # correlation of liking with what of valence is not arousal


@dataclass(frozen=True)
class Raters:
    """How raters follow a contour with a joystick: late, smoothed, each in their own way."""

    number: int = 6  # papers.md 1.5
    lag: tuple[float, float] = (1.2, 3.0)  # seconds
    smoothing: tuple[float, float] = (0.5, 1.2)  # seconds, time constant of the hand
    gain: tuple[float, float] = (0.4, 1.2)
    bias_sd: float = 0.12
    noise_sd: float = 0.22
    noise_seconds: float = 4.0  # time constant of the noise: raters drift slowly


def smooth_noise(rng: np.random.Generator, n: int, seconds: float) -> np.ndarray:
    """Noise (n,) after two one-pole low-pass filters of this time constant, with mean 0 and standard deviation 1."""
    from scipy.signal import lfilter

    settle = 60 * LABEL_RATE  # frames that are dropped, because they still depend on the start of the filters
    pole = np.exp(-1 / (LABEL_RATE * seconds))
    x = rng.standard_normal(n + settle)
    for _ in range(2):
        x = lfilter([1 - pole], [1, -pole], x)
    x = x[settle:] - x[settle:].mean()
    return x / (x.std() or 1.0)


def contours(rng: np.random.Generator, n: int, c: Contours) -> np.ndarray:
    """Latent arousal, valence, liking (T, D) in [-1, 1]."""
    a, v, l = (smooth_noise(rng, n, s) for s in c.seconds)
    mixed = np.stack([a, _mix(a, v, c.arousal_valence), _mix(v, l, c.valence_liking)], 1)
    return np.clip(mixed * c.sd + rng.normal(c.mean, c.mean_sd), -1, 1)


def _mix(x: np.ndarray, y: np.ndarray, correlation: float) -> np.ndarray:
    return correlation * x + np.sqrt(1 - correlation**2) * y


def annotate(rng: np.random.Generator, truth: np.ndarray, r: Raters) -> np.ndarray:
    """Ratings (R, T, D) of all raters, each with an own delay, smoothing, gain, bias and slow noise."""
    return np.stack([_rate(rng, truth, r) for _ in range(r.number)])


def _rate(rng: np.random.Generator, truth: np.ndarray, r: Raters) -> np.ndarray:
    n, dimensions = truth.shape
    lag = min(n, round(rng.uniform(*r.lag) * LABEL_RATE))
    late = np.concatenate([np.zeros((lag, dimensions)), truth])[:n]  # before the delay the joystick is at rest
    hand = np.exp(-np.arange(4 * LABEL_RATE) / (rng.uniform(*r.smoothing) * LABEL_RATE))
    hand /= hand.sum()
    smooth = np.stack([np.convolve(late[:, d], hand)[:n] for d in range(dimensions)], 1)
    wander = np.stack([smooth_noise(rng, n, r.noise_seconds) for _ in range(dimensions)], 1)
    gain, bias = rng.uniform(*r.gain, dimensions), rng.normal(0, r.bias_sd, dimensions)
    return np.clip(gain * smooth + bias + r.noise_sd * wander, -1, 1)


def gold_standard(ratings: np.ndarray, r: Raters) -> np.ndarray:
    """Gold standard (T, D) from ratings (R, T, D), which are moved back by the mean lag and averaged with weights.

    This is the evaluator weighted estimator: the weight of a rater is the correlation with the plain mean, at least 0.
    """
    n = ratings.shape[1]
    shift = min(n - 1, round(sum(r.lag) / 2 * LABEL_RATE))
    moved = np.concatenate([ratings[:, shift:], np.repeat(ratings[:, -1:], shift, 1)], 1)
    deviation = moved - moved.mean(1, keepdims=True)
    mean = deviation.mean(0)
    norm = np.sqrt((deviation**2).sum(1) * (mean**2).sum(0))
    weights = np.maximum(0, (deviation * mean).sum(1) / np.where(norm > 0, norm, 1)) + 1e-9  # (R, D); all 0: plain mean
    return np.einsum("rtd,rd->td", moved, weights / weights.sum(0))

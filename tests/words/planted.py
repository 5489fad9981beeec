"""Two spaces that are one, turned: text vectors in clusters, speech vectors the same after a rotation."""

from __future__ import annotations

import numpy as np
from scipy.linalg import expm

from ser.words.vectors import Vectors


def rotation(d: int, seed: int, angle: float | None = None) -> np.ndarray:
    """Orthogonal (d, d): any, or one whose largest angle is `angle` radians."""
    g = np.random.default_rng(seed + 100)
    if angle is None:
        return np.linalg.qr(g.normal(size=(d, d)))[0]
    a = g.normal(size=(d, d))
    a -= a.T
    return expm(a * angle / np.linalg.norm(a, 2))


def pair(n: int, d: int, q: np.ndarray, seed: int, noise: float = 0.0) -> tuple[Vectors, Vectors]:
    """Speech and text of n words: text ~ clusters of growing size, speech = Q^T text + noise, so that W = Q."""
    g = np.random.default_rng(seed)
    weights = np.arange(1, 6) / 15
    clusters = g.permutation(np.repeat(np.arange(5), (weights * n).astype(int) + 1))[:n]
    text = g.normal(size=(5, d))[clusters] + 0.5 * g.normal(size=(n, d)) * np.linspace(1.5, 0.5, d)
    speech = text @ q
    speech = speech + noise * np.linalg.norm(speech, axis=1, keepdims=True) * g.normal(size=(n, d)) / np.sqrt(d)
    words, counts = tuple(f"w{i}" for i in range(n)), np.arange(n, 0, -1)
    return Vectors(words, speech.astype(np.float32), counts), Vectors(words, text.astype(np.float32), counts)

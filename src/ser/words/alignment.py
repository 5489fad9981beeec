"""The map from the speech space S to the text space T (Chung et al. 2018, built on MUSE; papers.md 7.3).

Words are rows here: mapped = S W^T, which is the specification's W S with words as columns. `align` is unsupervised
but for ``dictionary: identical``; `identity` and `supervised` are its controls, and so is `align` of random vectors.
Letters: n words, d dimensions.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ser.errors import SerError
from ser.files import read_json, replacing, write_json
from ser.seeds import seed_of
from ser.words import adversary, csls
from ser.words.settings import Alignment
from ser.words.vectors import Vectors, unit


@dataclass(frozen=True)
class Normaliser:
    """Brings a space to the form that is aligned, for its types and for any token: `steps` "renorm" (length 1) and
    "center" (minus one of `centres` each, (c, d), the means of the types)."""

    steps: tuple[str, ...]
    centres: np.ndarray

    @classmethod
    def fit(cls, matrix: np.ndarray, steps: Sequence[str]) -> Normaliser:
        """From the vectors (n, d) of the types."""
        centres: list[np.ndarray] = []
        for i, step in enumerate(steps):
            if step == "center":
                partial = cls(tuple(steps[:i]), np.array(centres))
                centres.append(partial(matrix).mean(0, dtype=np.float64))
        return cls(tuple(steps), np.array(centres, dtype=np.float32).reshape(len(centres), matrix.shape[1]))

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Rows (n, d) float32, normalised."""
        centres = iter(self.centres)
        for step in self.steps:
            rows = rows - next(centres) if step == "center" else unit(rows)
        return np.asarray(rows, dtype=np.float32)


@dataclass(frozen=True)
class Aligned:
    """`w` (d, d) float32, what is done to either space before it, and how W came about, one row a step."""

    w: np.ndarray
    speech: Normaliser
    text: Normaliser
    history: tuple[dict[str, Any], ...] = ()

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Speech vectors (n, d), of types or tokens, in the text space."""
        return self.speech(rows) @ self.w.T


def align(
    speech: Vectors, text: Vectors, settings: Alignment, path: Path | None = None, device: str = "cpu"
) -> Aligned:
    """Adversarial training (unless ``epochs`` is 0), then refinement; the W of the best criterion.

    `path` is the checkpoint's, written each epoch and continued where it exists. Raises `SerError` for spaces of
    different size, for too small vocabularies, and with ``dictionary: identical`` for no word in common.
    """
    start = _identity(speech, text, settings)
    x, y = (torch.from_numpy(a).to(device) for a in (start.speech(speech.matrix), start.text(text.matrix)))
    w, history = (
        adversary.train(x, y, settings, path) if settings.epochs else (torch.from_numpy(start.w).to(device), [])
    )
    known = split(speech, text, settings)[0] if settings.dictionary == "identical" else None
    if known is not None and not len(known):
        raise SerError("no word in common", "alignment.dictionary", "Set dictionary: csls")
    w, more = _refine(x, y, w, settings, known)
    return dataclasses.replace(start, w=w.cpu().numpy(), history=(*history, *more))


def identity(speech: Vectors, text: Vectors, settings: Alignment) -> Aligned:
    """The control without a map: both spaces normalised, W = 1."""
    return _identity(speech, text, settings)


def supervised(speech: Vectors, text: Vectors, settings: Alignment) -> Aligned:
    """The control that knows the words: Procrustes once on the words both have, those held out left aside."""
    start = _identity(speech, text, settings)
    pairs, _ = split(speech, text, settings)
    if not len(pairs):
        raise SerError("no word in common", "alignment", "Give speech and text of one language")
    w = procrustes(start.speech(speech.matrix)[pairs[:, 0]], start.text(text.matrix)[pairs[:, 1]])
    return dataclasses.replace(start, w=w.astype(np.float32))


def procrustes(speech: np.ndarray, text: np.ndarray) -> np.ndarray:
    """The orthogonal W (d, d) float64 with the least sum of |W s - t|^2 over pairs of rows (n, d).

    U Sigma V^T = SVD(T S^T) in the specification's columns, W = U V^T.
    """
    u, _, vt = np.linalg.svd(text.T.astype(np.float64) @ speech.astype(np.float64))
    return u @ vt


def split(speech: Vectors, text: Vectors, settings: Alignment) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n, 2) in speech and text of the words both have: those a dictionary may hold, and those held out.

    Which ones depends on the words and the seed alone; a single word in common is not held out.
    """
    shared = speech.shared(text)
    keys = np.array([seed_of(settings.seed, "held out", speech.words[i]) for i in shared[:, 0]], dtype=np.int64)
    out = np.zeros(len(shared), dtype=bool)
    out[np.argsort(keys)[: int(settings.held_out * len(shared))]] = True
    return shared[~out], shared[out]


def save(folder: Path, aligned: Aligned, card: Mapping[str, Any]) -> None:
    """Writes ``alignment.safetensors`` and ``alignment.json``."""
    from safetensors.numpy import save_file

    arrays = {"w": aligned.w, "speech": aligned.speech.centres, "text": aligned.text.centres}
    with replacing(Path(folder) / "alignment.safetensors") as temporary:
        save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, temporary)
    history = list(aligned.history)
    write_json(Path(folder) / "alignment.json", {**card, "steps": list(aligned.speech.steps), "history": history})


def load(folder: Path) -> Aligned:
    """A saved map. Raises `SerError` for a folder that is missing or damaged."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = Path(folder) / "alignment.safetensors"
    card = read_json(Path(folder) / "alignment.json")
    try:
        arrays = load_file(path)
        speech, text = (Normaliser(tuple(card["steps"]), arrays[name]) for name in ("speech", "text"))
        return Aligned(arrays["w"], speech, text, tuple(card["history"]))
    except (OSError, SafetensorError, KeyError) as error:
        raise SerError(f"damaged alignment: {error}", path, "Remove the folder and make it anew") from error


def _identity(speech: Vectors, text: Vectors, settings: Alignment) -> Aligned:
    sizes = [space.matrix.shape for space in (speech, text)]
    if sizes[0][1] != sizes[1][1]:
        raise SerError(f"{sizes[0][1]} dimensions of speech, {sizes[1][1]} of text", "alignment", "Make them equal")
    if min(len(speech), len(text)) < 2:
        raise SerError(f"{len(speech)} words of speech, {len(text)} of text", "alignment", "Lower min_count")
    ours, theirs = (Normaliser.fit(space.matrix, settings.normalise) for space in (speech, text))
    return Aligned(np.eye(sizes[0][1], dtype=np.float32), ours, theirs)


def _refine(
    x: torch.Tensor, y: torch.Tensor, w: torch.Tensor, settings: Alignment, known: np.ndarray | None
) -> tuple[torch.Tensor, list[dict[str, Any]]]:
    """Rounds of dictionary and Procrustes from `w` on; the best one's W by the criterion, `w` included. `known` (n, 2)
    is the first round's dictionary, which then counts as better than `w`."""
    best, value = w, adversary.criterion(x, y, w, settings)
    history: list[dict[str, Any]] = [{"step": "start of refinement", "criterion": round(value, 6)}]
    for turn in range(settings.refinements):
        given = known if turn == 0 else None
        pairs = _dictionary(x, y, w, settings) if given is None else torch.from_numpy(given)
        s, t = x[pairs[:, 0]].cpu().numpy(), y[pairs[:, 1]].cpu().numpy()
        w = torch.from_numpy(procrustes(s, t)).to(x)
        now = adversary.criterion(x, y, w, settings)
        history.append({"step": f"refinement {turn + 1}", "criterion": round(now, 6), "pairs": len(pairs)})
        if now > value or given is not None:
            best, value = w, now
    return best, history


def _dictionary(x: torch.Tensor, y: torch.Tensor, w: torch.Tensor, settings: Alignment) -> torch.Tensor:
    """Pairs (n, 2): each speech word of the first ``rank`` and its nearest text word among as many."""
    mapped = torch.nn.functional.normalize(x[: settings.rank] @ w.T)
    target = torch.nn.functional.normalize(y[: settings.rank])
    found = csls.nearest(mapped, target, 1, settings.neighbours).columns[:, 0]
    return torch.stack([torch.arange(len(mapped), device=x.device), found], 1)

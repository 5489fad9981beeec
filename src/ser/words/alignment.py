"""The map W from the speech space S to the text space T (Chung et al. 2018, built on MUSE; papers.md 7.3).

`align` is unsupervised except with ``dictionary: identical``: a discriminator learns to tell mapped speech vectors from
text vectors while W learns to make that hard, then rounds of CSLS neighbours and Procrustes refine W. `identity` and
`supervised` are its controls, and so is `align` of random vectors.

Words are rows here: mapped = S W^T, which is W S in the specification, where words are columns.
Letters: n, m words of speech and text, d dimensions, B words of each space in a batch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy
from torch.nn.functional import normalize
from tqdm import tqdm

from ser.core.errors import SerError
from ser.core.files import read_json, write_json
from ser.core.seeds import seed_everything, seed_of
from ser.training import checkpoint
from ser.training.optimiser import SGD
from ser.words.config import Alignment
from ser.words.vectors import Vectors, load_arrays, save_arrays, unit

_BLOCK = 1024  # rows whose similarities are computed together: 40 MB with 10 000 words on the other side


@dataclass(frozen=True)
class Normaliser:
    """Prepares a space for the alignment: `steps` "renorm" (scale to length 1) and "center" (subtract one of `centres`
    (c, d), the means of the word types). Applies to types and to tokens."""

    steps: tuple[str, ...]
    centres: np.ndarray

    @classmethod
    def fit(cls, matrix: np.ndarray, steps: Sequence[str]) -> Normaliser:
        """From the vectors (n, d) of the word types."""
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
    """`w` (d, d) float32, the normalisation of each space before it, and how W was found, one row per step."""

    w: np.ndarray
    speech: Normaliser
    text: Normaliser
    history: tuple[dict[str, Any], ...] = ()

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Speech vectors (n, d), of types or tokens, mapped into the text space."""
        return self.speech(rows) @ self.w.T


def align(speech: Vectors, text: Vectors, config: Alignment, path: Path | None = None, device: str = "cpu") -> Aligned:
    """Adversarial training (unless ``n_epochs`` is 0) and refinement; the W with the best criterion.

    `path` is the file of the checkpoint, which is written after each epoch and continued where it exists; so its name
    must contain a fingerprint of the vectors and settings. Raises `SerError` for spaces of different dimensions, for
    vocabularies of fewer than two words, and, with ``dictionary: identical``, when the spaces share no word.
    """
    start = identity(speech, text, config)
    x, y = (torch.from_numpy(a).to(device) for a in (start.speech(speech.matrix), start.text(text.matrix)))
    w, history = train_adversarially(x, y, config, path) if config.n_epochs else (torch.from_numpy(start.w).to(x), [])
    pairs = split(speech, text, config)[0] if config.dictionary == "identical" else None
    if pairs is not None and not len(pairs):
        raise SerError("speech and text share no word", "alignment.dictionary", "Set dictionary: csls")
    w, more = refine(x, y, w, config, pairs)
    return dataclasses.replace(start, w=w.cpu().numpy(), history=(*history, *more))


def identity(speech: Vectors, text: Vectors, config: Alignment) -> Aligned:
    """The control without a map: both spaces normalised, W = 1."""
    sizes = [space.matrix.shape for space in (speech, text)]
    if sizes[0][1] != sizes[1][1]:
        raise SerError(f"{sizes[0][1]} dimensions of speech, {sizes[1][1]} of text", "alignment", "Make them equal")
    if min(len(speech), len(text)) < 2:
        raise SerError(f"{len(speech)} words of speech, {len(text)} of text", "alignment", "Lower min_count")
    first, second = (Normaliser.fit(space.matrix, config.normalize_embeddings) for space in (speech, text))
    return Aligned(np.eye(sizes[0][1], dtype=np.float32), first, second)


def supervised(speech: Vectors, text: Vectors, config: Alignment) -> Aligned:
    """The control that knows the words: Procrustes on the words that both spaces share, without those held out."""
    start = identity(speech, text, config)
    pairs, _ = split(speech, text, config)
    if not len(pairs):
        raise SerError("speech and text share no word", "alignment", "Give speech and text of the same language")
    w = procrustes(start.speech(speech.matrix)[pairs[:, 0]], start.text(text.matrix)[pairs[:, 1]])
    return dataclasses.replace(start, w=w.astype(np.float32))


def split(speech: Vectors, text: Vectors, config: Alignment) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n, 2) in speech and text of the words that both share: those a dictionary may contain, and those held out.

    The split depends on the words and the seed only. A single shared word is not held out.
    """
    shared = speech.shared(text)
    keys = np.array([seed_of(config.seed, "held out", speech.words[i]) for i in shared[:, 0]], dtype=np.int64)
    out = np.zeros(len(shared), dtype=bool)
    out[np.argsort(keys)[: int(config.held_out * len(shared))]] = True
    return shared[~out], shared[out]


# ---- adversarial training


def discriminator(dim: int, config: Alignment) -> nn.Sequential:
    """(2 B, d) -> (2 B, 1), the logit of "this is speech"; 4 405 249 parameters at d = 100."""
    return nn.Sequential(
        nn.Dropout(config.dis_input_dropout),
        nn.Linear(dim, config.dis_hid_dim),
        nn.LeakyReLU(config.dis_slope),
        nn.Linear(config.dis_hid_dim, config.dis_hid_dim),
        nn.LeakyReLU(config.dis_slope),
        nn.Linear(config.dis_hid_dim, 1),
    )


@dataclass
class Progress:
    """The state of the adversarial training; with W and the discriminator it is the checkpoint."""

    epoch: int = 0
    lr: float = 0.0  # learning rate of the map
    best: float = -2.0  # criterion; lower than any cosine
    dropped: bool = False  # has the criterion dropped before?
    history: list[dict[str, Any]] = field(default_factory=list)


class Adversaries:
    """The two networks that train against each other: the map `w` (d, d) and the discriminator.

    A loop of its own, because one step alternates between two optimisers.
    """

    def __init__(self, x: Tensor, y: Tensor, config: Alignment, path: Path | None) -> None:
        self.x, self.y, self.config, self.path = x, y, config, path
        seed_everything(seed_of(config.seed, "adversary", "weights"))
        self.w = torch.eye(x.shape[1], device=x.device)
        self.best = self.w.clone()
        self.discriminator = discriminator(x.shape[1], config).to(x.device)
        self.optimiser = SGD(self.discriminator.parameters(), config.lr)
        self.progress = Progress(lr=config.lr)
        speech, text = 1 - config.dis_smooth, config.dis_smooth
        labels = [speech] * config.batch_size + [text] * config.batch_size
        self.labels = torch.tensor(labels, device=x.device)[:, None]
        self._resume()

    def epoch(self) -> None:
        """One epoch of ``epoch_size`` words, its evaluation and its checkpoint."""
        p, config = self.progress, self.config
        torch.manual_seed(seed_of(config.seed, "adversary", "dropout", p.epoch))
        losses = torch.zeros(2, dtype=torch.float64)
        draws = self._draws()
        label = f"adversarial epoch {p.epoch + 1} of {config.n_epochs}"
        for ids in tqdm(draws, desc=label, unit="step", disable=None, leave=False):
            steps = [self.discriminator_step(i) for i in ids[:-1]]
            losses += torch.stack([torch.stack(steps).mean(), self.map_step(ids[-1])]).double().cpu()
        if not bool(torch.isfinite(losses).all() & torch.isfinite(self.w).all()):
            what = f"the losses are {losses.tolist()} in epoch {p.epoch + 1}"
            raise SerError(what, "alignment.lr", "Lower it")
        self.evaluate((losses / len(draws)).tolist())
        self._save()

    def _draws(self) -> Tensor:
        """The words of all batches of the epoch: (steps, discriminator steps + 1, 2, B)."""
        config = self.config
        rng = np.random.default_rng(seed_of(config.seed, "adversary", "epoch", self.progress.epoch))
        most = min(config.dis_most_frequent, len(self.x), len(self.y))
        shape = (max(1, config.epoch_size // config.batch_size), config.dis_steps + 1, 2, config.batch_size)
        return torch.from_numpy(rng.integers(most, size=shape, dtype=np.int32)).to(self.x.device)

    def discriminator_step(self, ids: Tensor) -> Tensor:
        """One step of the discriminator on the words `ids` (2, B); its loss."""
        self.discriminator.train()
        both = torch.cat([self.x[ids[0]] @ self.w.T, self.y[ids[1]]])
        loss = cross_entropy(self.discriminator(both), self.labels)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return loss.detach()

    def map_step(self, ids: Tensor) -> Tensor:
        """One step of W, with the labels exchanged; its loss."""
        self.discriminator.eval()  # as in MUSE: no dropout in this step
        w = self.w.requires_grad_()
        both = torch.cat([self.x[ids[0]] @ w.T, self.y[ids[1]]])
        loss = cross_entropy(self.discriminator(both), 1 - self.labels)
        (gradient,) = torch.autograd.grad(loss, w)
        self.w = orthogonalise(w.detach() - self.progress.lr * gradient, self.config.map_beta)
        return loss.detach()

    def evaluate(self, losses: list[float]) -> None:
        """Computes the criterion, keeps the best W and sets the next learning rate as MUSE does."""
        p, config = self.progress, self.config
        value = criterion(self.x, self.y, self.w, config)
        row = {"step": f"adversarial epoch {p.epoch + 1}", "criterion": round(value, 6)}
        p.history.append({**row, "discriminator_loss": round(losses[0], 6), "map_loss": round(losses[1], 6)})
        p.epoch, p.lr = p.epoch + 1, p.lr * config.lr_decay
        if value > p.best:
            p.best, self.best = value, self.w.clone()
        elif value < p.best:
            p.lr *= config.lr_shrink if p.dropped else 1.0
            p.dropped = True

    def _save(self) -> None:
        if self.path is not None:
            state = {"w": self.w, "best": self.best, "discriminator": self.discriminator.state_dict()}
            checkpoint.save(self.path, state | {"progress": vars(self.progress)})

    def _resume(self) -> None:
        state = checkpoint.load(self.path) if self.path else None
        if state is not None:
            self.w, self.best = state["w"].to(self.x), state["best"].to(self.x)
            self.discriminator.load_state_dict(state["discriminator"])
            self.progress = Progress(**state["progress"])


def train_adversarially(
    x: Tensor, y: Tensor, config: Alignment, path: Path | None = None
) -> tuple[Tensor, list[dict[str, Any]]]:
    """W (d, d) of the best epoch for spaces x (n, d) and y (m, d), most frequent words first, and one row per epoch.

    A stopped training continues after its last epoch and ends, on a CPU, with the same bytes. Raises `SerError` when a
    loss is not finite.
    """
    both = Adversaries(x, y, config, path)
    while both.progress.epoch < config.n_epochs and both.progress.lr >= config.min_lr:
        both.epoch()
    return both.best, both.progress.history


def orthogonalise(w: Tensor, beta: float) -> Tensor:
    """(1 + beta) W - beta (W W^T) W: a step towards the orthogonal matrices."""
    return (1 + beta) * w - beta * (w @ w.T) @ w


def criterion(x: Tensor, y: Tensor, w: Tensor, config: Alignment) -> float:
    """The unsupervised selection criterion: mean cosine between the most frequent speech words x (n, d), mapped, and
    their CSLS neighbours among as many text words y (m, d)."""
    mapped, target = normalize(x[: config.criterion] @ w.T), normalize(y[: config.criterion])
    found = nearest(mapped, target, 1, config.neighbours).columns[:, 0]
    return float((mapped * target[found]).sum(1).double().mean())


# ---- refinement


def refine(
    x: Tensor, y: Tensor, w: Tensor, config: Alignment, pairs: np.ndarray | None = None
) -> tuple[Tensor, list[dict[str, Any]]]:
    """Rounds of dictionary and Procrustes from `w` on; the W with the best criterion, `w` included, and one row per
    round. `pairs` (n, 2) is a known dictionary for the first round, whose result then replaces `w` in any case."""
    best, value = w, criterion(x, y, w, config)
    history: list[dict[str, Any]] = [{"step": "start of refinement", "criterion": round(value, 6)}]
    for number in range(config.n_refinement):
        known = pairs if number == 0 else None
        rows = _dictionary(x, y, w, config) if known is None else torch.from_numpy(known)
        s, t = x[rows[:, 0]].cpu().numpy(), y[rows[:, 1]].cpu().numpy()
        w = torch.from_numpy(procrustes(s, t)).to(x)
        now = criterion(x, y, w, config)
        history.append({"step": f"refinement {number + 1}", "criterion": round(now, 6), "pairs": len(rows)})
        if now > value or known is not None:
            best, value = w, now
    return best, history


def _dictionary(x: Tensor, y: Tensor, w: Tensor, config: Alignment) -> Tensor:
    """Pairs (n, 2): each of the ``dico_max_rank`` most frequent speech words and its CSLS neighbour among as many text
    words."""
    mapped = normalize(x[: config.dico_max_rank] @ w.T)
    found = nearest(mapped, normalize(y[: config.dico_max_rank]), 1, config.neighbours).columns[:, 0]
    return torch.stack([torch.arange(len(mapped), device=x.device), found], 1)


def procrustes(speech: np.ndarray, text: np.ndarray) -> np.ndarray:
    """The orthogonal W (d, d) float64 with the least sum of |W s - t|^2 over pairs of rows (n, d).

    U Sigma V^T = SVD(T S^T) with the specification's columns, W = U V^T.
    """
    u, _, vt = np.linalg.svd(text.T.astype(np.float64) @ speech.astype(np.float64))
    return u @ vt


# ---- CSLS


class Nearest(NamedTuple):
    """Scores and columns of the best, (n, top), best first."""

    scores: Tensor
    columns: Tensor


def nearest(x: Tensor, y: Tensor, top: int = 1, k: int | None = 10, block: int = _BLOCK) -> Nearest:
    """The `top` rows of y (m, d) nearest to each row of x (n, d), all of unit length; by cosine with `k` None.

    Otherwise by CSLS(x, y) = 2 cos(x, y) - r(x) - r(y), with r the mean cosine to the k nearest rows of the other
    space (papers.md 7.3), which demotes words that are a neighbour of everything.
    """
    top = min(top, len(y))
    if k is not None:
        own, other = mean_similarity(x, y, k, block), mean_similarity(y, x, k, block)
    found = []
    for first in range(0, len(x), block):
        scores = x[first : first + block] @ y.T
        if k is not None:
            scores = scores.mul_(2).sub_(own[first : first + block, None]).sub_(other)
        found.append(scores.topk(top, 1))
    return Nearest(torch.cat([f.values for f in found]), torch.cat([f.indices for f in found]))


def mean_similarity(x: Tensor, y: Tensor, k: int, block: int = _BLOCK) -> Tensor:
    """Mean cosine (n,) of each row of x (n, d) to its k nearest rows of y (m, d); to all of them when m < k."""
    k = min(k, len(y))
    return torch.cat([(part @ y.T).topk(k, 1).values.mean(1) for part in x.split(block)])


# ---- files


def save(folder: Path, aligned: Aligned, card: Mapping[str, Any]) -> None:
    """Writes ``alignment.safetensors`` and ``alignment.json``."""
    arrays = {"w": aligned.w, "speech": aligned.speech.centres, "text": aligned.text.centres}
    save_arrays(folder / "alignment.safetensors", **arrays)
    history = list(aligned.history)
    write_json(folder / "alignment.json", {**card, "steps": list(aligned.speech.steps), "history": history})


def load(folder: Path) -> Aligned:
    """A saved map. Raises `SerError` for a folder that is missing or damaged."""
    card = read_json(folder / "alignment.json")
    arrays = load_arrays(folder / "alignment.safetensors", "w", "speech", "text")
    speech, text = (Normaliser(tuple(card["steps"]), arrays[name]) for name in ("speech", "text"))
    return Aligned(arrays["w"], speech, text, tuple(card["history"]))

"""The network of Speech2Vec (papers.md 7.3): from a spoken word, the words around it.

Words of one length go through an LSTM together, so nothing is padded and no word changes another's numbers. Packed
sequences do the same and are several times slower on a CPU (benchmarks/speech2vec.py).
Letters: B pairs, U words in their centres, n words of one length T, F coefficients, d dimensions of the embedding.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ser.words.settings import Speech2Vec


def by_length(lengths: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Each length that occurs in `lengths` (B,), and the rows (n,) of its words."""
    for length in lengths.unique().tolist():
        yield length, (lengths == length).nonzero()[:, 0]


class Encoder(nn.Module):
    """One bidirectional LSTM layer, d / 2 units a direction."""

    def __init__(self, settings: Speech2Vec) -> None:
        super().__init__()
        self.lstm = nn.LSTM(settings.coefficients, settings.dim // 2, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x (U, T, F), lengths (U,) -> outputs (U, T, d), zero after a word's end, last hidden and last cell (U, d)."""
        found, order = [], []
        for length, rows in by_length(lengths):
            out, (h, c) = self.lstm(x[rows, :length])
            found.append(
                (nn.functional.pad(out, (0, 0, 0, x.shape[1] - length)), torch.cat([*h], 1), torch.cat([*c], 1))
            )
            order.append(rows)
        back = torch.cat(order).argsort()
        memory, h, c = (torch.cat(parts).index_select(0, back) for parts in zip(*found, strict=True))
        return memory, h, c


class Decoder(nn.Module):
    """One LSTM layer with dot-product attention over the encoder's outputs, teacher forcing, first input zero."""

    def __init__(self, settings: Speech2Vec) -> None:
        super().__init__()
        self.lstm = nn.LSTM(settings.coefficients, settings.dim, batch_first=True)
        self.combine = nn.Linear(2 * settings.dim, settings.dim)
        self.out = nn.Linear(settings.dim, settings.coefficients)

    def forward(self, y: Tensor, memory: Tensor, valid: Tensor, h: Tensor, c: Tensor) -> Tensor:
        """Predictions (n, T, F) of words y (n, T, F).

        `memory` (n, T', d) are the encoder's outputs, `valid` (n, T') which of them are frames of the centre; the state
        starts at `h`, `c` (n, d).
        """
        heard = torch.cat([torch.zeros_like(y[:, :1]), y[:, :-1]], 1)
        out, _ = self.lstm(heard, (h[None], c[None]))
        scores = (out @ memory.transpose(1, 2)).masked_fill(~valid[:, None], -torch.inf)
        both = torch.cat([out, scores.softmax(-1) @ memory], -1)
        return self.out(torch.tanh(self.combine(both)))


class Model(nn.Module):
    """Encoder, decoder, and the mean and spread (F,) by which frames are z-scored."""

    mean: Tensor
    spread: Tensor

    def __init__(self, settings: Speech2Vec) -> None:
        super().__init__()
        self.settings = settings
        self.encoder, self.decoder = Encoder(settings), Decoder(settings)
        self.register_buffer("mean", torch.zeros(settings.coefficients))
        self.register_buffer("spread", torch.ones(settings.coefficients))

    def fit(self, frames: Tensor) -> None:
        """Mean and spread of all frames (M, F), of the training words alone."""
        spread, mean = torch.std_mean(frames.double(), 0, correction=0)
        self.mean.copy_(mean)
        self.spread.copy_(torch.where(spread > 0, spread, 1.0))

    def embed(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Embeddings (U, d) of words x (U, T, F) as MFCC of `lengths` (U,) frames."""
        return self.encoder(self._scaled(x), lengths)[1]

    def forward(self, x: Tensor, x_lengths: Tensor, centre: Tensor, y: Tensor, y_lengths: Tensor) -> Tensor:
        """Squared error summed over all frames and coefficients of the neighbours y (B, T, F).

        `x` (U, T', F) are the centres, each encoded once, ``centre`` (B,) says whose neighbour each y is. Divided by
        B * `settings.frames` * F it is the mean over zero-padded words, as in the reference code.
        """
        memory, h, c = self.encoder(self._scaled(x), x_lengths)
        valid = torch.arange(memory.shape[1], device=x.device) < x_lengths[:, None]
        errors = []
        for length, rows in by_length(y_lengths):
            target, at = self._scaled(y[rows, :length]), centre[rows]
            made = self.decoder(target, *(t.index_select(0, at) for t in (memory, valid, h, c)))
            errors.append((made - target).square().sum())
        return torch.stack(errors).sum()

    def _scaled(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.spread

"""What is done to training batches only: speed, noise, frequency warping, SpecAugment, mixup and soft labels.

What is done to single utterances draws from a generator that is seeded by the name of the batch, so that a batch is the
same whenever, and on whatever device, it is prepared. Mixup draws from torch's generator, which the training seeds.
What is off draws nothing. Letters: B utterances, T frames, F bands, K classes, M masks of an utterance.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Generator, Tensor
from torch.nn import functional

from ser.core.recipe import Training
from ser.core.tasks import Batch


def augmented(x: Tensor, training: Training, generator: Generator, waveform: bool = False) -> Tensor:
    """The valid frames (T, F) of one utterance, stretched, noisy and warped. `waveform`: a row holds F consecutive
    samples of the signal. Another speed gives another T.
    """
    if training.speed:
        factor = 1 + training.speed * _symmetric(generator)
        x = at_speed(x.reshape(-1, 1), factor, x.shape[1]) if waveform else at_speed(x, factor)
    if training.noise and waveform:
        x = noisy(x, training.noise, generator)
    if training.frequency_warp:
        x = warp(x, 1 + training.frequency_warp * _symmetric(generator))
    return x


def _symmetric(generator: Generator) -> float:
    """Uniform between -1 and 1."""
    return 2 * float(torch.rand((), generator=generator)) - 1


def drawn_masks(lengths: list[int], bands: int, training: Training, generator: Generator) -> dict[str, Tensor]:
    """SpecAugment's masks of a batch of `lengths` valid frames: "time" and "frequency" -> (B, M, 2) first and last + 1.

    As in torchaudio's `mask_along_axis`, widths are uniform between 0 and the widest, and so are the places. Nothing
    for what is off. These few numbers are drawn on the CPU, so that a GPU sees the same masks.
    """
    found = {}
    if training.frequency_masks:
        sizes = torch.full((len(lengths), 1), float(bands))
        widest = sizes.clamp(max=training.frequency_width)
        found["frequency"] = _spans(sizes, widest, training.frequency_masks, generator)
    if training.time_masks:
        sizes = torch.tensor(lengths, dtype=torch.float32)[:, None]
        # in float64: 0.29 * 100 is 28.999999999999996 there, as in torchaudio, and 29 in float32
        widest = (sizes.double() * training.time_share).floor().clamp(max=training.time_width).float()
        found["time"] = _spans(sizes, widest, training.time_masks, generator)
    return found


def _spans(sizes: Tensor, widest: Tensor, masks: int, generator: Generator) -> Tensor:
    """(B, 1) sizes and widest masks -> (B, M, 2) int64."""
    drawn = torch.rand((len(sizes), masks, 2), generator=generator)
    width = drawn[..., 0] * widest
    start = (drawn[..., 1] * (sizes - width)).long()
    return torch.stack([start, start + width.long()], dim=2)


def lay(masks: dict[str, Tensor], x: Tensor) -> Tensor:
    """Frames (B, T, F) with the masks of `drawn_masks`, which are on the device of `x`, filled with 0: the mean after
    normalisation. It works in place: on a CPU copies of a batch would take most of the time.
    """
    for name, axis in (("frequency", 2), ("time", 1)):
        if name in masks:
            place = torch.arange(x.shape[axis], device=x.device)
            first, last = masks[name].unbind(2)
            hidden = ((place >= first[..., None]) & (place < last[..., None])).any(1)  # (B, T) or (B, F)
            x.mul_((~hidden).to(x.dtype).unsqueeze(3 - axis))
    return x


def at_speed(x: Tensor, factor: float, columns: int = 0) -> Tensor:
    """Rows (N, F) as if they had been spoken `factor` times as fast: row n takes the value at n * factor, interpolated
    linearly (Ko et al. 2015 resample the signal, which changes tempo and pitch; frames change their tempo alone).

    With `columns` the N values of a signal (N, 1) become rows (T, columns), the last one padded with zeros.
    """
    last = len(x) - 1
    position = torch.arange(max(1, round(len(x) / factor)), dtype=torch.float64) * factor
    below = position.long().clamp(max=last)
    share = (position - below).clamp(0, 1).to(x.dtype)[:, None]
    made = x[below] * (1 - share) + x[(below + 1).clamp(max=last)] * share
    return functional.pad(made.reshape(-1), (0, -len(made) % columns)).reshape(-1, columns) if columns else made


def noisy(x: Tensor, ratios: tuple[float, float], generator: Generator | None = None) -> Tensor:
    """A waveform (T, F) with white noise at a signal-to-noise ratio in dB between the two, uniform in dB."""
    ratio = ratios[0] + (ratios[1] - ratios[0]) * float(torch.rand((), generator=generator))
    return x + torch.randn(x.shape, generator=generator) * (x.square().mean() * 10 ** (-ratio / 10)).sqrt()


def warp(x: Tensor, factor: float) -> Tensor:
    """Vocal-tract-length perturbation of mel bands (T, F): band f takes the value at f * factor, which is interpolated
    linearly, and that of the last band beyond it.
    """
    last = x.shape[1] - 1
    position = (torch.arange(last + 1) * factor).clamp(max=last)
    below = position.long().clamp(max=max(last - 1, 0))
    share = (position - below).to(x.dtype)
    return x[:, below] * (1 - share) + x[:, (below + 1).clamp(max=last)] * share


def softened(batch: Batch, training: Training, weights: Tensor) -> Batch:
    """A training batch of classes with mixed inputs and soft labels, as `training` asks; `weights`: of classes, (K,).

    Mixup (Zhang et al. 2018) draws a share from Beta(mixup, mixup) per utterance and takes the larger part, so that
    the labels of the batch stay those of the larger part. Label smoothing (Szegedy et al. 2016) mixes in 1 / K.
    """
    if not (training.mixup or training.label_smoothing or training.class_weights):
        return batch
    soft = functional.one_hot(batch.targets, len(weights)).to(weights.dtype)
    inputs, lengths = batch.inputs, batch.lengths
    if training.mixup:
        share = torch.distributions.Beta(training.mixup, training.mixup).sample((len(soft),)).to(soft.device)
        share, other = torch.maximum(share, 1 - share), torch.randperm(len(soft), device=soft.device)
        inputs = {name: _mixed(x, x[other], share) for name, x in inputs.items()}
        lengths = {name: torch.maximum(n, n[other]) for name, n in lengths.items()}
        soft = _mixed(soft, soft[other], share)
    soft = soft * (1 - training.label_smoothing) + training.label_smoothing / len(weights)
    return replace(
        batch, inputs=inputs, lengths=lengths, soft=soft * weights, known={} if training.mixup else batch.known
    )


def _mixed(x: Tensor, other: Tensor, share: Tensor) -> Tensor:
    share = share.view(-1, *[1] * (x.dim() - 1))
    return share * x + (1 - share) * other


def class_weights(labels: Tensor, classes: int) -> Tensor:
    """(K,): n / (K n_k), so that every class has the same weight in the loss; 0 for classes without an example."""
    counts = torch.bincount(labels, minlength=classes)
    return torch.where(counts > 0, len(labels) / (classes * counts.clamp(min=1)), 0.0)

"""What is done to training batches only: speed, noise, frequency warping, SpecAugment, mixup and soft labels.

All of it draws from torch's generator, which the training seeds. What is off draws nothing. Letters: B utterances,
T frames, F bands, K classes.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from ser.core.recipe import Training
from ser.core.tasks import Batch


def augmented(x: Tensor, training: Training, waveform: bool = False) -> Tensor:
    """The valid frames (T, F) of one utterance, stretched, noisy, warped and masked. Masks are filled with 0, the mean
    after normalisation. `waveform`: a row holds F consecutive samples of the signal. Another speed gives another T.
    """
    if training.speed:
        factor = 1 + training.speed * (2 * float(torch.rand(())) - 1)
        x = at_speed(x.reshape(-1, 1), factor, x.shape[1]) if waveform else at_speed(x, factor)
    if training.noise and waveform:
        x = noisy(x, training.noise)
    if training.frequency_warp:
        x = warp(x, 1 + training.frequency_warp * (2 * float(torch.rand(())) - 1))
    if not (training.frequency_masks or training.time_masks):
        return x
    from torchaudio.functional import mask_along_axis

    spectrogram = x.T[None]  # torchaudio's order: (channel, F, T)
    for _ in range(training.frequency_masks):
        spectrogram = mask_along_axis(spectrogram, min(training.frequency_width, spectrogram.shape[1]), 0.0, axis=1)
    for _ in range(training.time_masks):
        spectrogram = mask_along_axis(spectrogram, training.time_width, 0.0, axis=2, p=training.time_share)
    return spectrogram[0].T


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


def noisy(x: Tensor, ratios: tuple[float, float]) -> Tensor:
    """A waveform (T, F) with white noise at a signal-to-noise ratio in dB between the two, uniform in dB."""
    ratio = ratios[0] + (ratios[1] - ratios[0]) * float(torch.rand(()))
    return x + torch.randn_like(x) * (x.square().mean() * 10 ** (-ratio / 10)).sqrt()


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
    return replace(batch, inputs=inputs, lengths=lengths, soft=soft * weights)


def _mixed(x: Tensor, other: Tensor, share: Tensor) -> Tensor:
    share = share.view(-1, *[1] * (x.dim() - 1))
    return share * x + (1 - share) * other


def class_weights(labels: Tensor, classes: int) -> Tensor:
    """(K,): n / (K n_k), so that every class has the same weight in the loss; 0 for classes without an example."""
    counts = torch.bincount(labels, minlength=classes)
    return torch.where(counts > 0, len(labels) / (classes * counts.clamp(min=1)), 0.0)

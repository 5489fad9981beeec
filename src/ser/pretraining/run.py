"""Pretrains an encoder from a manifest: data, cache and outputs around the training.

A run keeps its checkpoint and cost.json (times, memory, waiting for the loader: never in a tracked file) in
checkpoints/pretraining/<fingerprint>. A finished run is found there again, and only its outputs are written. Packed
features are in checkpoints/pretraining/features-<fingerprint>.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ser.core import caching, compute, plugins, weights
from ser.core.compute import Processes
from ser.core.errors import SerError
from ser.core.files import digest, replacing, replacing_folder, write_json
from ser.core.store import Store
from ser.corpora import manifest
from ser.models.layers import mockingjay
from ser.pretraining import data, sources
from ser.pretraining.encoder import Pretraining
from ser.pretraining.settings import Settings
from ser.pretraining.sources import FromAudio, FromStore
from ser.training import costs


def pretrain(
    settings: Settings,
    manifest_path: Path,
    root: Path | None,
    out_folder: Path,
    curve_path: Path,
    checkpoints: Path = caching.CHECKPOINTS,
    execution: Mapping[str, Any] | None = None,
    store: Path | None = None,
) -> dict[str, Any]:
    """Pretrains; writes ``encoder.safetensors``, ``head.safetensors``, ``card.json`` and ``samples.npz`` (sample
    reconstructions) to `out_folder` and the learning curve to `curve_path`; returns the card.

    `root` is the folder of the corpus. `store` is a packed feature store of it: with ``settings.cache`` it takes the
    place of the audio, and `root` may be None. `execution`: device, precision, jobs. Under `torchrun` every process
    calls this, and the first one writes. Raises `SerError` for a store of another feature, for a manifest with one
    speaker, for a loss that is not finite.
    """
    execution, manifest_path, checkpoints = dict(execution or {}), Path(manifest_path), Path(checkpoints)
    # one BLAS thread for the features, in this process as in a loader worker; torch has threads of its own
    with compute.threads(settings.threads, blas=1), compute.processes(execution.get("device", "auto")) as own:
        if own.device == "cpu":
            compute.deterministic()
        feature, table = _feature(settings), manifest.read(manifest_path)
        source = _source(settings, feature, table, root, store, checkpoints, own, compute.workers(execution))
        parts = data.parts(table, settings, source, feature)
        sizes = dataclasses.replace(settings.encoder, input=feature.dim)
        about = _about(settings, own, execution.get("precision", "auto"))
        folder = checkpoints / "pretraining" / fingerprint(settings, manifest_path, about, store, own.device)
        path, bfloat16 = folder / "checkpoint.pt", about["precision"] == "bfloat16"
        training = Pretraining(settings, sizes, parts, own, bfloat16=bfloat16, path=path)
        curve = training.fit()
        card = {**_corpus(settings, feature, table), **_outcome(settings, training, curve[-1]), **about}
        if own.rank == 0:
            _write(training, sizes, card, feature.frame_rate, Path(out_folder))
            _write_curve(curve, Path(curve_path))
            _write_cost(training, folder / "cost.json")
            print(summary(card), flush=True)
    return card


def summary(card: Mapping[str, Any]) -> str:
    """One line for a log."""
    return (
        f"{card['steps']} steps on {card['train_hours']:.2f} h of {card['corpus']}"
        + (" (SYNTHETIC)" if card["synthetic"] else "")
        + f": dev L1 {card['dev_l1']:.4f}, utterance mean {card['baseline_l1']:.4f}, {card['improvement']:.1%} better"
    )


def fingerprint(
    settings: Settings, manifest_path: Path, about: Mapping[str, Any], store: Path | None, device: str
) -> str:
    """The name of the folder of a run: code, settings, manifest, initial weights, versions and device."""
    inputs: dict[str, str | bytes | Path] = {"manifest": manifest_path}
    if settings.initial:
        inputs["initial"] = Path(settings.initial)
    if store is not None:
        inputs["store"] = Store(store).content
    numbers = {k: v for k, v in settings.numbers().items() if k != "initial"}  # the contents of the folder count
    modules = "ser.pretraining.encoder", f"ser.features.{settings.feature}"
    name = compute.device_name(device)
    return caching.fingerprint(*modules, settings=[numbers, dict(about)], inputs=inputs, device=name)


def features_fingerprint(settings: Settings, wanted: Mapping[str, Any], table: pd.DataFrame) -> str:
    """The name of a store of packed features: code and parameters of the feature, and the audio of the utterances."""
    modules = "ser.pretraining.sources", f"ser.features.{settings.feature}"
    audio = digest(list(table["pcm"]), list(table["utterance"]), size=64)
    return caching.fingerprint(*modules, settings=dict(wanted), inputs={"audio": audio})


def _feature(settings: Settings) -> Any:
    feature = plugins.build(plugins.load("features", settings.feature).Feature, settings.features, "features")
    if feature.level != "frame":
        raise SerError(f"{settings.feature} has one row per utterance", "feature", "Choose a frame-level feature")
    return feature


def _source(
    settings: Settings,
    feature: Any,
    table: pd.DataFrame,
    root: Path | None,
    store: Path | None,
    checkpoints: Path,
    own: Processes,
    jobs: int,
) -> FromAudio | FromStore:
    if not settings.cache:
        if root is None:
            hint = "Give one, or set cache: true and give a feature store"
            raise SerError("no folder of the corpus is given", "root", hint)
        return FromAudio(Path(root), feature)
    table = pd.concat(data.split(table, settings))
    wanted = {"feature": settings.feature, "params": dataclasses.asdict(feature)}
    if store is None:
        store = checkpoints / "pretraining" / f"features-{features_fingerprint(settings, wanted, table)}"
        if own.rank == 0 and not (store / "card.json").exists():
            if root is None:
                raise SerError("no folder of the corpus is given", "root", "Give one, or a feature store")
            sources.pack(table, FromAudio(Path(root), feature), wanted, store, jobs)
        own.total(torch.zeros(1, device=own.device))  # the others wait for the first
    found = Store(store)
    if digest({k: found.card.get(k) for k in wanted}) != digest(wanted):
        raise SerError("a store of another feature", store, "Extract it with the settings of this pretraining")
    found.lengths(table["utterance"])  # names the first one that is missing
    return FromStore(found)


def _about(settings: Settings, own: Processes, precision: str) -> dict[str, Any]:
    """How the run computes, which decides last digits."""
    return {
        "device": own.device.split(":")[0],
        "precision": compute.arithmetic(precision, own.device),
        "processes": own.world,
        "threads": settings.threads,
    }


def _corpus(settings: Settings, feature: Any, table: pd.DataFrame) -> dict[str, Any]:
    """The training data, for the card."""
    train, dev = data.split(table, settings)
    return {
        "corpus": "+".join(sorted(set(table["corpus"]))),
        "synthetic": manifest.is_synthetic(table),
        "feature": settings.feature,
        "features": dataclasses.asdict(feature),
        "train_hours": round(float(train["duration"].sum()) / 3600, 4),
        "train_utterances": len(train),
        "train_speakers": int(train["speaker"].nunique()),
        "dev_utterances": len(dev),
        "dev_speakers": sorted(set(dev["speaker"])),
    }


def _outcome(settings: Settings, training: Pretraining, last: Mapping[str, float]) -> dict[str, Any]:
    """What the weights are, for the card; no times and no paths, so that equal runs give equal bytes."""
    return {
        "steps": training.loop.progress.step,
        "frames_seen": training.frames,
        "dev_l1": round(last["dev_l1"], 6),
        "baseline_l1": round(last["baseline_l1"], 6),
        "improvement": round(1 - last["dev_l1"] / last["baseline_l1"], 6),
        "initial": Path(settings.initial).name,
        "settings": {k: v for k, v in settings.numbers().items() if k not in ("feature", "features", "initial")},
    }


def _write(
    training: Pretraining, sizes: mockingjay.Config, card: Mapping[str, Any], frame_rate: float, out: Path
) -> None:
    with replacing_folder(out) as folder:
        mockingjay.save_encoder(folder, training.model.encoder, sizes, card)
        weights.save(folder / "head.safetensors", training.model.head.state_dict())
        np.savez(folder / "samples.npz", **training.samples(), frame_rate=np.array(frame_rate))  # type: ignore[arg-type]


def _write_curve(curve: list[dict[str, float]], path: Path) -> None:
    table = pd.DataFrame(curve).astype({"step": int})
    table["lr"] = table["lr"].map("{:.4g}".format)
    with replacing(path) as temporary:
        table.round(5).to_csv(temporary, index=False, lineterminator="\n")


def _write_cost(training: Pretraining, path: Path) -> None:
    timing, frames = training.loop.timing, training.frames / max(1, training.loop.progress.step)  # frames per step
    if not timing.seconds:  # nothing was trained this time
        return
    cost = {
        "seconds": round(timing.seconds, 2),
        "steps": timing.steps,
        "frames_per_second": round(frames * (timing.steps - 1) / timing.seconds, 1),
        "loader_wait_share": round(timing.waiting / timing.seconds, 4),
        "peak_bytes": costs.peak_bytes(),
        "device": training.own.device,
        "workers": training.settings.workers,
    }
    write_json(path, cost)

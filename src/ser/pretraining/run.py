"""Pretrains an encoder: everything around the loop, as one plain function.

A run lies in checkpoints/pretraining/<fingerprint>: its checkpoint, and cost.json (times, memory, loader-wait share,
never in a tracked file). The fingerprint covers the settings, the manifest, the initial weights and the sources of
what computes; a finished run is found again and only writes its outs anew."""

from __future__ import annotations

import dataclasses
import importlib.util
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
import torch
from threadpoolctl import threadpool_limits

from ser import plugins
from ser import weights as weight_files
from ser.compute import workers
from ser.corpora import manifest
from ser.errors import SerError
from ser.files import digest, replacing, write_json
from ser.models.layers import mockingjay
from ser.pretraining import data, plots
from ser.pretraining.loop import Loop, Pretrainer, Processes, processes
from ser.pretraining.settings import Settings
from ser.seeds import seed_of
from ser.store import Store
from ser.training import memory
from ser.training.checkpoint import seed_everything

if TYPE_CHECKING:
    from collections.abc import Iterable

CHECKPOINTS = Path("checkpoints")


class Parts(NamedTuple):
    """What is trained on and judged by."""

    train: data.Batches
    dev: data.Batches
    train_frames: Any  # (n,) frames of each utterance, by which batches are planned
    dev_frames: Any
    frame_rate: float  # frames a second
    card: dict[str, Any]


def pretrain(
    settings: Settings,
    manifest_path: Path,
    root: Path | None,
    out_folder: Path,
    curve_path: Path,
    figure_path: Path | None = None,
    checkpoints: Path = CHECKPOINTS,
    execution: Mapping[str, Any] | None = None,
    store: Path | None = None,
) -> dict[str, Any]:
    """Pretrains; writes ``encoder.safetensors``, ``head.safetensors``, ``card.json`` to `out_folder`, the learning
    curve and the sample reconstructions; returns the card.

    `root` is the corpus's folder. `store` is a packed feature store of it: with ``settings.cache`` it takes the place
    of the audio, and `root` may be None. `execution`: the `run` block of params.yaml (device, precision, jobs). Under
    `torchrun` every process calls this; the first one writes. Raises `SerError` for a store of another feature, for a
    manifest with one speaker, for a loss that is not finite.
    """
    execution = dict(execution or {})
    if figure_path is not None and importlib.util.find_spec("matplotlib") is None:
        raise SerError("the figure needs matplotlib", figure_path, "Install it, or give no path for the figure")
    torch.set_num_threads(settings.threads)
    memory.keep()
    # one BLAS thread for the features, in this process as in a loader worker; torch has threads of its own
    with threadpool_limits(1, user_api="blas"), processes(execution.get("device", "auto")) as own:
        if own.device == "cpu":
            torch.use_deterministic_algorithms(True, warn_only=True)
        parts = _parts(settings, Path(manifest_path), root, store, Path(checkpoints), own, workers(execution))
        sizes = dataclasses.replace(settings.encoder, input=parts.train.dim)
        bfloat16 = _bfloat16(execution.get("precision", "auto"), own.device)
        about = {"device": own.device.split(":")[0], "precision": "bfloat16" if bfloat16 else "float32"}
        about |= {"processes": own.world, "threads": settings.threads}
        folder = Path(checkpoints) / "pretraining" / _fingerprint(settings, Path(manifest_path), about)
        loop = _loop(settings, sizes, parts, own, bfloat16, folder / "checkpoint.pt")
        history = loop.fit()
        card = {**_card(settings, parts.card, loop), **about}
        if own.rank == 0:
            _write(loop, sizes, card, history, Path(out_folder), Path(curve_path))
            _write_cost(loop, folder / "cost.json")
            if figure_path is not None:
                _figure(loop, parts, Path(figure_path), card)
            print(summary(card), flush=True)
    return card


def summary(card: Mapping[str, Any]) -> str:
    """One line for a log."""
    return (
        f"{card['steps']} steps on {card['train_hours']:.2f} h of {card['corpus']}"
        + (" (SYNTHETIC)" if card["synthetic"] else "")
        + f": dev L1 {card['dev_l1']:.4f}, utterance mean {card['baseline_l1']:.4f}, {card['improvement']:.1%} better"
    )


def _parts(
    settings: Settings, path: Path, root: Path | None, store: Path | None, checkpoints: Path, own: Processes, jobs: int
) -> Parts:
    table = manifest.read(path)
    feature = plugins.build(plugins.load("features", settings.feature).Feature, settings.features, "features")
    if feature.level != "frame":
        raise SerError(f"{settings.feature} has one row an utterance", "feature", "Choose a frame-level feature")
    train, dev = data.split(table, settings)
    source = _source(settings, feature, pd.concat([train, dev]), root, store, checkpoints, own, jobs)
    made = [data.Batches(items, source, settings, feature.dim) for items in (data.clips(train), data.clips(dev))]
    frames = [data.lengths(b.items, settings, feature.frame_rate) for b in made]
    card = {
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
    return Parts(made[0], made[1], frames[0], frames[1], feature.frame_rate, card)


def _source(
    settings: Settings,
    feature: Any,
    table: pd.DataFrame,
    root: Path | None,
    store: Path | None,
    checkpoints: Path,
    own: Processes,
    jobs: int,
) -> data.FromAudio | data.FromStore:
    if not settings.cache:
        if root is None:
            raise SerError("no folder of the corpus", "root", "Give one, or set cache: true and give a feature store")
        return data.FromAudio(Path(root), feature)
    wanted = {"feature": settings.feature, "params": dataclasses.asdict(feature)}
    if store is None:
        store = checkpoints / "pretraining" / f"features-{digest(wanted, list(table['pcm']), list(table['utterance']))}"
        if own.rank == 0 and not (store / "card.json").exists():
            if root is None:
                raise SerError("no folder of the corpus", "root", "Give one, or a feature store")
            data.pack(table, data.FromAudio(Path(root), feature), wanted, store, jobs)
        own.total(torch.zeros(1, device=own.device))  # the others wait for the first
    found = Store(store)
    if digest({k: found.card.get(k) for k in wanted}) != digest(wanted):
        raise SerError("a store of another feature", store, "Extract it with the settings of this pretraining")
    found.lengths(table["utterance"])  # names the first one that is missing
    return data.FromStore(found)


def _loop(
    settings: Settings, sizes: mockingjay.Config, parts: Parts, own: Processes, bfloat16: bool, path: Path
) -> Loop:
    seed_everything(seed_of(settings.seed, "initial"))
    model = Pretrainer(sizes)
    if settings.initial:
        start(model, Path(settings.initial), sizes)
    pin = own.device != "cpu"

    def train(first: int) -> Iterable[data.Batch]:
        items = data.train_items(parts.train_frames, settings, first, own.rank, own.world)
        return data.loader(parts.train, items, settings.workers, pin)

    def dev() -> Iterable[data.Batch]:
        items = data.dev_items(parts.dev_frames, settings, own.rank, own.world)
        return data.loader(parts.dev, items, settings.workers, pin)

    return Loop(model, settings, own, train, dev, bfloat16=bfloat16, path=path, label=f"pretraining {settings.feature}")


def start(model: Pretrainer, folder: Path, sizes: mockingjay.Config) -> None:
    """Initial weights from an earlier pretraining, head included, or from a converted checkpoint, which has none.

    Dropout may differ; raises `SerError` when the sizes do."""
    found, weights = mockingjay.load_encoder(folder)
    weight_files.check(weights, model.encoder.state_dict(), folder / "encoder.safetensors")
    same = ("heads", "activation", "layer_norm_eps")
    if any(getattr(found, k) != getattr(sizes, k) for k in same):
        raise SerError(f"{', '.join(same)} of the initial weights differ from these settings", folder / "card.json")
    model.encoder.load_state_dict(weights)
    head = folder / "head.safetensors"
    if head.exists():
        model.head.load_state_dict(weight_files.load(head, model.head.state_dict()))


def _bfloat16(precision: str, device: str) -> bool:
    return precision == "bfloat16" or (precision == "auto" and device != "cpu")


def _fingerprint(settings: Settings, path: Path, about: Mapping[str, Any]) -> str:
    from importlib.metadata import version

    package = Path(__file__).parents[1]
    names = (
        "pretraining/data",
        "pretraining/loop",
        "models/layers/mockingjay",
        "models/layers/attention",
        f"features/{settings.feature}",
    )
    sources = [package / f"{name}.py" for name in names]
    initial = sorted(Path(settings.initial).glob("*.safetensors")) if settings.initial else []
    numbers = {k: v for k, v in settings.numbers().items() if k != "initial"}  # where the weights lie changes nothing
    versions = [version(m) for m in ("numpy", "torch")]
    return digest(numbers, dict(about), versions, *[p.read_bytes() for p in (path, *initial, *sources)])


def _card(settings: Settings, corpus: Mapping[str, Any], loop: Loop) -> dict[str, Any]:
    """What the weights are; no times and no paths, so that equal runs give equal bytes."""
    last = loop.progress.history[-1]
    return {
        **corpus,
        "steps": loop.progress.step,
        "frames_seen": loop.progress.frames,
        "dev_l1": round(last["dev_l1"], 6),
        "baseline_l1": round(last["baseline_l1"], 6),
        "improvement": round(1 - last["dev_l1"] / last["baseline_l1"], 6),
        "initial": Path(settings.initial).name,
        "settings": {k: v for k, v in settings.numbers().items() if k not in ("feature", "features", "initial")},
    }


def _write(
    loop: Loop,
    sizes: mockingjay.Config,
    card: Mapping[str, Any],
    history: list[dict[str, float]],
    out_folder: Path,
    curve_path: Path,
) -> None:
    mockingjay.save_encoder(out_folder, loop.model.encoder, sizes, card)
    weight_files.save(out_folder / "head.safetensors", loop.model.head.state_dict())
    curve = pd.DataFrame(history).astype({"step": int})
    curve["lr"] = curve["lr"].map("{:.4g}".format)
    with replacing(curve_path) as temporary:
        curve.round(5).to_csv(temporary, index=False, lineterminator="\n")


def _write_cost(loop: Loop, path: Path) -> None:
    cost = loop.cost
    if not cost["seconds"]:  # nothing was trained this time
        return
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    write_json(
        path,
        {
            "seconds": round(cost["seconds"], 2),
            "steps": int(cost["steps"]),
            "frames_per_second": round(cost["frames"] / cost["seconds"], 1),
            "loader_wait_share": round(cost["waited"] / cost["seconds"], 4),
            "peak_bytes": peak,
            "device": loop.own.device,
            "workers": loop.settings.workers,
        },
    )


def _figure(loop: Loop, parts: Parts, path: Path, card: Mapping[str, Any]) -> None:
    batch = parts.dev[data.Item(0, plots.chosen(parts.dev_frames))]
    loop.model.eval().cpu()
    with torch.no_grad():
        predicted = loop.model.predict(batch)
    plots.reconstructions(batch, predicted, path, summary(card), parts.frame_rate)

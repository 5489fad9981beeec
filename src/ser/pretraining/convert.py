"""A public Mockingjay checkpoint as an encoder of ours.

    python -m ser.pretraining.convert CHECKPOINT FOLDER

Two layouts are known from the public code of Mockingjay and of s3prl, its successor: a dict with the encoder's weights
under ``Mockingjay`` and its sizes under ``Settings.Config.mockingjay``, or under ``Transformer`` and
``Config.transformer`` (later ``Upstream_Config.transformer``). Weights are named as in the first BERT port:
``input_representations.spec_transform``, ``encoder.layer.<n>.attention.self.query`` and so on; layer norms of the
oldest files have ``gamma`` and ``beta``. Their input is 80 log-mel bands with deltas every 12.5 ms, not P1's 160 bands
(papers.md 4.1): the card names the feature.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ser.core import weights
from ser.core.errors import SerError, run_command
from ser.features.logmel import Feature
from ser.models.layers.mockingjay import Config, Encoder, save_encoder

_STATES = ("Mockingjay", "Transformer")
_SETTINGS = (
    ("Settings", "Config", "mockingjay"),
    ("Config", "transformer"),
    ("Upstream_Config", "transformer"),
    ("Config", "mockingjay"),
)
_SIZES = {  # theirs: ours
    "hidden_size": "hidden",
    "num_hidden_layers": "layers",
    "num_attention_heads": "heads",
    "intermediate_size": "ffn",
    "hidden_dropout_prob": "dropout",
    "attention_probs_dropout_prob": "attention_dropout",
    "hidden_act": "activation",
    "layer_norm_eps": "layer_norm_eps",
    "initializer_range": "init_std",
}
_INPUT = {"spec_transform": "input", "LayerNorm": "norm"}
_LAYER = {
    "attention.output.dense": "out",
    "attention.output.LayerNorm": "attention_norm",
    "intermediate.dense": "up",
    "output.dense": "down",
    "output.LayerNorm": "ffn_norm",
}


def convert(path: Path, folder: Path) -> Config:
    """Reads the checkpoint at `path`, writes the encoder to `folder`, and returns its sizes.

    Nothing in the file is executed. Raises `SerError` when it is not a checkpoint, holds other objects than tensors and
    plain values, or stacks frames, and when a weight is missing, unknown or of another shape.
    """
    path = Path(path)
    states = _load(path)
    found = next((name for name in _STATES if isinstance(states.get(name), Mapping)), None)
    if found is None:
        raise SerError(
            f"no {' or '.join(_STATES)} among {', '.join(map(str, states)) or 'nothing'}", path, "Is it Mockingjay's?"
        )
    state = {_modern(name): tensor for name, tensor in states[found].items()}
    config = _config(states, state, path)
    tensors = _tensors(state, config, path)
    encoder = Encoder(config)
    weights.check(tensors, encoder.state_dict(), path)
    encoder.load_state_dict(tensors)
    feature = Feature(bands=80, deltas=1, window="hann", win=800, hop=200)  # papers.md 4.1, `mel80_delta`
    card: dict[str, Any] = {"converted": found}
    if config.input == feature.dim:
        card |= {"feature": "logmel", "features": dataclasses.asdict(feature)}
    save_encoder(folder, encoder, config, card)
    return config


def _load(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise SerError("no such checkpoint", path)
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):  # their command line is in the file too
            states = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a foreign file fails in many ways: UnpicklingError, KeyError, RuntimeError, EOFError
        raise SerError(
            f"not a checkpoint of tensors and plain values: {type(error).__name__} {str(error).splitlines()[:1]}",
            path,
            "With the software that wrote it, save a dict with only the keys Mockingjay (or Transformer) and Config",
        ) from error
    if not isinstance(states, Mapping):
        raise SerError(f"expected a dict, the checkpoint is a {type(states).__name__}", path)
    return states


def _modern(name: str) -> str:
    return re.sub(r"gamma$", "weight", re.sub(r"beta$", "bias", name))


def _config(states: Mapping[str, Any], state: Mapping[str, Tensor], path: Path) -> Config:
    """Sizes from the settings in the checkpoint, or else from the shapes, with 64 columns per head as in Mockingjay."""
    values: dict[str, Any] = {}
    for keys in _SETTINGS:
        block: Any = states
        for key in keys:
            block = block.get(key) if isinstance(block, Mapping) else None
        if isinstance(block, Mapping):
            values = dict(block)
            break
    stacked = int(values.get("downsample_rate", 1))
    if stacked != 1:
        raise SerError(f"it stacks {stacked} frames", path, "Take a checkpoint with downsample_rate 1 (MelBase)")
    sizes = {ours: values[theirs] for theirs, ours in _SIZES.items() if theirs in values}
    first = state.get("input_representations.spec_transform.weight")
    up = state.get("encoder.layer.0.intermediate.dense.weight")
    if first is None or up is None:
        raise SerError("no input_representations.spec_transform or encoder.layer.0", path, "Is it Mockingjay's?")
    layers = {m.group(1) for name in state if (m := re.match(r"encoder\.layer\.(\d+)\.", name))}
    shapes = {"hidden": first.shape[0], "layers": len(layers), "heads": max(1, first.shape[0] // 64)}
    sizes = {**shapes, "ffn": up.shape[0], **sizes, "input": first.shape[1]}
    if "layer_norm_eps" in sizes:
        sizes["layer_norm_eps"] = float(sizes["layer_norm_eps"])  # YAML reads 1e-12 as text
    if sizes.get("activation", "gelu") not in ("gelu", "swish"):
        raise SerError(f"activation {sizes['activation']!r} is not known here", path)
    try:
        return Config(**sizes)
    except (TypeError, ValueError) as error:
        raise SerError(f"its sizes do not fit: {error}", path) from error


def _tensors(state: Mapping[str, Tensor], config: Config, path: Path) -> dict[str, Tensor]:
    """Weights under our names; query, key and value one below the other, as the fused projection has them."""
    left = dict(state)

    def take(name: str) -> Tensor:
        try:
            return left.pop(name)
        except KeyError:
            raise SerError(f"no weight {name!r}", path, "Is it Mockingjay's?") from None

    tensors = {}
    for kind in ("weight", "bias"):
        for theirs, ours in _INPUT.items():
            tensors[f"{ours}.{kind}"] = take(f"input_representations.{theirs}.{kind}")
        for n in range(config.layers):
            layer = f"encoder.layer.{n}"
            projections = [take(f"{layer}.attention.self.{part}.{kind}") for part in ("query", "key", "value")]
            tensors[f"layers.{n}.qkv.{kind}"] = torch.cat(projections)
            for theirs, ours in _LAYER.items():
                tensors[f"layers.{n}.{ours}.{kind}"] = take(f"{layer}.{theirs}.{kind}")
    if left:
        raise SerError(f"weight {sorted(left)[0]!r} has no place in the encoder", path)
    return {name: tensor.float() for name, tensor in tensors.items()}


def main() -> None:
    if len(sys.argv) != 3:
        raise SerError("two arguments are needed", "convert", "python -m ser.pretraining.convert CHECKPOINT FOLDER")
    config = convert(Path(sys.argv[1]), Path(sys.argv[2]))
    print(f"{sys.argv[2]}: {config.layers} layers of {config.hidden}, input {config.input}")


if __name__ == "__main__":
    run_command(main)

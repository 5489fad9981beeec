from __future__ import annotations

import argparse

import pytest
import torch
from torch.nn import functional

from ser.core.errors import SerError
from ser.core.files import read_json
from ser.models.layers import mockingjay
from ser.pretraining.convert import convert

H, A, FFN, F = 16, 4, 24, 160
SIZES = {
    "downsample_rate": 1, "hidden_size": H, "num_hidden_layers": 2, "num_attention_heads": A, "hidden_act": "gelu",
    "intermediate_size": FFN, "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1,
    "initializer_range": 0.02, "layer_norm_eps": "1e-12",
}  # fmt: skip


def _state(legacy: bool = False) -> dict[str, torch.Tensor]:
    """Weights under the names of the public checkpoints."""
    generator = torch.Generator().manual_seed(0)
    shapes = {"input_representations.spec_transform": (H, F), "input_representations.LayerNorm": (H,)}
    for n in range(2):
        layer = f"encoder.layer.{n}"
        shapes |= {f"{layer}.attention.self.{part}": (H, H) for part in ("query", "key", "value")}
        shapes |= {f"{layer}.attention.output.dense": (H, H), f"{layer}.attention.output.LayerNorm": (H,)}
        shapes |= {f"{layer}.intermediate.dense": (FFN, H), f"{layer}.output.dense": (H, FFN)}
        shapes |= {f"{layer}.output.LayerNorm": (H,)}
    state = {}
    for name, shape in shapes.items():
        weight, bias = ("gamma", "beta") if legacy and "LayerNorm" in name else ("weight", "bias")
        state[f"{name}.{weight}"] = torch.randn(shape, generator=generator) * 0.3
        state[f"{name}.{bias}"] = torch.randn(shape[0], generator=generator) * 0.3
    return state


def _reference(state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """The encoder as BERT writes it: three projections, softmax, and a loop over heads, for one utterance (T, F)."""

    def linear(name: str, x: torch.Tensor) -> torch.Tensor:
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    def norm(name: str, x: torch.Tensor) -> torch.Tensor:
        return functional.layer_norm(x, (H,), state[f"{name}.weight"], state[f"{name}.bias"], 1e-12)

    p = torch.arange(len(x))[:, None] / 10000 ** (2 * (torch.arange(H) // 2) / H)
    table = torch.where(torch.arange(H) % 2 == 0, p.sin(), p.cos())
    h = norm("input_representations.LayerNorm", linear("input_representations.spec_transform", x) + table)
    for n in range(2):
        layer = f"encoder.layer.{n}"
        q, k, v = (linear(f"{layer}.attention.self.{part}", h) for part in ("query", "key", "value"))
        heads = []
        for a in range(A):
            s = slice(a * H // A, (a + 1) * H // A)
            heads.append(torch.softmax(q[:, s] @ k[:, s].T / (H / A) ** 0.5, 1) @ v[:, s])
        z = norm(
            f"{layer}.attention.output.LayerNorm", h + linear(f"{layer}.attention.output.dense", torch.cat(heads, 1))
        )
        inner = functional.gelu(linear(f"{layer}.intermediate.dense", z))
        h = norm(f"{layer}.output.LayerNorm", z + linear(f"{layer}.output.dense", inner))
    return h


@pytest.mark.parametrize(
    "wrap",
    [
        lambda: {
            "Mockingjay": _state(),
            "Settings": {"Config": {"mockingjay": SIZES}, "Paras": argparse.Namespace(a=1)},
        },
        lambda: {"Transformer": _state(), "Config": {"transformer": SIZES}, "Global_step": 500000},
        lambda: {"Transformer": _state(), "Config": {"runner": {}}, "Upstream_Config": {"transformer": SIZES}},
        lambda: {"Mockingjay": _state(legacy=True), "Settings": {"Config": {"mockingjay": SIZES}}},
    ],
    ids=["mockingjay", "s3prl", "s3prl-later", "legacy"],
)
def test_a_converted_encoder_computes_what_the_checkpoint_says(wrap, tmp_path):
    torch.save(wrap(), tmp_path / "states.ckpt")
    convert(tmp_path / "states.ckpt", tmp_path / "out")
    config, weights = mockingjay.load_encoder(tmp_path / "out")
    encoder = mockingjay.Encoder(config).eval()
    encoder.load_state_dict(weights)
    x = torch.randn(11, F, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(encoder(x[None])[0], _reference(_state(), x), rtol=1e-4, atol=1e-5)
    card = read_json(tmp_path / "out" / "card.json")
    assert (card["features"]["bands"], card["features"]["deltas"], card["features"]["hop"]) == (80, 1, 200)


def _broken(change):
    def make():
        states = {"Mockingjay": _state(), "Settings": {"Config": {"mockingjay": dict(SIZES)}}}
        change(states)
        return states

    return make


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("Mockingjay"), "no Mockingjay or Transformer among Settings"),
        (
            lambda s: s["Mockingjay"].pop("encoder.layer.1.output.dense.bias"),
            "no weight 'encoder.layer.1.output.dense.b",
        ),
        (lambda s: s["Mockingjay"].update(pooler=torch.zeros(3)), "weight 'pooler' has no place"),
        (
            lambda s: s["Settings"]["Config"]["mockingjay"].update(intermediate_size=48),
            r"has shape .*the sizes ask for",
        ),
        (lambda s: s["Settings"]["Config"]["mockingjay"].update(downsample_rate=3), "it stacks 3 frames"),
        (lambda s: s["Settings"]["Config"]["mockingjay"].update(hidden_act="relu"), "activation 'relu' is not known"),
        (lambda s: s["Settings"]["Config"]["mockingjay"].update(num_attention_heads=3), "its sizes do not fit"),
        (lambda s: s.update(Optimizer=pytest.raises), "not a checkpoint of tensors and plain values"),
    ],
)
def test_faults_are_named(change, message, tmp_path):
    torch.save(_broken(change)(), tmp_path / "states.ckpt")
    with pytest.raises(SerError, match=message):
        convert(tmp_path / "states.ckpt", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_no_checkpoint(tmp_path):
    with pytest.raises(SerError, match="no such checkpoint"):
        convert(tmp_path / "none", tmp_path / "out")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(SerError, match="not a checkpoint"):
        convert(tmp_path / "text", tmp_path / "out")

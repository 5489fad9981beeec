"""Names that other rooms still import from here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ser.errors import SerError
from ser.words.config import MODES as MODES
from ser.words.config import STREAMS as STREAMS
from ser.words.config import Config as Block

__all__ = ["MODES", "STREAMS", "Block", "check", "hears", "inputs"]


def hears(config: Mapping[str, Any]) -> bool:
    """Does the model `semantic` read the waveform with these values of `stream` and `fusion`?"""
    return config.get("stream") == "paralinguistic" or config.get("fusion") != "none"


def inputs(config: Mapping[str, Any], where: str = "models.semantic") -> dict[str, str]:
    """Inputs of the model `semantic` -> the stores below ``data/<study>/semantics/<name>`` that hold them, for an
    experiment's own values of `stream`, `mode`, `profile` and `turn_channels`. Raises `SerError` for a stream that has
    no such mode."""
    stream, mode = config.get("stream", "aligned"), config.get("mode", "token_aligned")
    modes = STREAMS.get(stream, MODES)
    if mode not in modes:
        raise SerError(f"stream {stream} needs to know the word", where, f"Set mode: {modes[0]}")
    found = {} if stream == "paralinguistic" else {"words": f"streams/{stream}-{mode}"}
    turns = config.get("turn_channels")
    if turns or (turns is None and config.get("profile") == "code"):
        found["turns"] = "streams/turns"
    return found


def check(config: Mapping[str, Any], extra: str, features: Mapping[str, str], where: str) -> None:
    """That an experiment of the model `semantic` gets what it reads, and waits for nothing else.

    `features`: name -> plugin of its features; `where`: its key. Raises `SerError` naming the key and the hint.
    """
    needed, made = inputs(config, f"{where}.config"), extra.startswith("semantics/")
    if needed and not made:
        what = f"it reads {' and '.join(needed)}, which the stage semantics makes"
        raise SerError(what, f"{where}.extra", "Write extra: semantics/<name>; stream: paralinguistic reads no words")
    if made and not needed:
        raise SerError("with stream paralinguistic it reads no word streams", f"{where}.extra", "Write extra: none")
    if hears(config) and "waveform" not in features.values():
        what = f"semantic hears a waveform, and there is none in {', '.join(features)}"
        raise SerError(what, f"{where}.feature", "Name a feature with feature: waveform")

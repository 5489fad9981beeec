"""Weights of models as safetensors files: nothing in such a file is ever executed.

Equal weights give equal bytes: the file holds no metadata, whose order would not be stable. What the weights are is
written to the JSON file beside them, the card.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ser.core.errors import SerError
from ser.core.files import replacing, repro, write_json

if TYPE_CHECKING:
    from torch import Tensor


def save(path: str | Path, tensors: Mapping[str, Tensor], card: Mapping[str, Any] | None = None) -> None:
    """Writes `tensors`, such as a ``state_dict()``, to `path`, and `card` to ``card.json`` in the same folder."""
    from safetensors.torch import save as to_bytes

    with replacing(path) as temporary:  # the library's own files can be read by nobody else
        temporary.write_bytes(to_bytes({name: t.detach().cpu().contiguous() for name, t in tensors.items()}))
    if card is not None:
        write_json(Path(path).with_name("card.json"), card)


def load(path: str | Path, expected: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """The tensors of a file. Raises `SerError` when it is missing or damaged, or when names or shapes differ from those
    of `expected`.
    """
    from safetensors.torch import load_file

    tensors = _read(Path(path), load_file)
    if expected is not None:
        check(tensors, expected, path)
    return tensors


def save_arrays(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes numpy arrays; unlike `save` it does not import torch."""
    from safetensors.numpy import save as to_bytes

    with replacing(path) as temporary:
        temporary.write_bytes(to_bytes({name: np.array(a, order="C") for name, a in arrays.items()}))


def load_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of a file. Raises `SerError` when it is missing or damaged."""
    from safetensors.numpy import load_file

    return _read(Path(path), load_file)


def _read(path: Path, load_file: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    from safetensors import SafetensorError

    if not path.exists():
        raise SerError("missing weights", path, f"Run the stage that makes them: {repro(path)}")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise SerError(
            f"damaged weights: {error}", path, f"Remove the folder and make it again: {repro(path)}"
        ) from error


def check(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], where: object) -> None:
    """Raises `SerError` naming the first weight that is missing, unknown or of another shape than expected."""
    for name in sorted(tensors.keys() ^ expected.keys()):
        raise SerError(f"weight {name!r} is {'missing' if name in expected else 'unknown'}", where)
    for name, tensor in tensors.items():
        found, wanted = tuple(tensor.shape), tuple(expected[name].shape)
        if found != wanted:
            raise SerError(f"weight {name!r} has shape {found}, the sizes ask for {wanted}", where)

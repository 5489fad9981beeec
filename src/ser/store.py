"""A packed store: every array of one (corpus, feature), or all audio of one corpus, in a folder of three files.

``array.npy``  rows of all utterances one after the other, (R, F), or (R,) for audio; opened by memory map
``index.csv``  utterance, offset, length (both in rows), in the order written
``card.json``  what it is: feature and its parameters, level, rate, frame_rate, dim, dtype, synthetic, content

Equal input gives equal bytes: no times, no paths, no host. Letters: R rows, F columns.
"""

from __future__ import annotations

import csv
import hashlib
import os
import shutil
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from ser.errors import SerError
from ser.files import digest, read_json, write_json

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ("utterance", "offset", "length")
_REPEAT = "Make it anew: remove the folder and run dvc repro"


class Writer:
    """Streams utterances into a new store; as a context manager it takes the place of `folder` only when all went well.

    `dim` is the number of columns F, None for one-dimensional rows (audio). `card` gets dim, dtype, rows, utterances
    and content added; more keys may be set on ``writer.card`` before the block ends. Memory stays flat.
    """

    def __init__(self, folder: str | Path, dim: int | None, dtype: str, card: Mapping[str, Any]) -> None:
        self.folder, self.dim, self.dtype, self.card = Path(folder), dim, np.dtype(dtype), dict(card)
        self._part = self.folder.with_name(f".{self.folder.name}.{os.getpid()}.part")
        self._index: dict[str, tuple[int, int]] = {}
        self._hash = hashlib.sha256()
        self._rows = 0

    def __enter__(self) -> Writer:
        shutil.rmtree(self._part, ignore_errors=True)
        self._part.mkdir(parents=True)
        self._file = (self._part / "array.npy").open("wb")
        self._header(self._file)
        return self

    def append(self, utterance: str, array: np.ndarray) -> None:
        """Adds an utterance: (T, F) or (F,) with a `dim`, else (N,). Raises `SerError` when it stands there already."""
        if utterance in self._index:
            raise SerError(f"utterance {utterance!r} stands twice", self.folder)
        rows = np.ascontiguousarray(array, dtype=self.dtype)
        if self.dim is not None:
            rows = rows.reshape(-1, self.dim)
        if rows.ndim > 2 or (self.dim is None and rows.ndim != 1):
            raise ValueError(f"{utterance}: shape {array.shape} does not fit rows of {self.dim}")
        data = rows.reshape(-1).view(np.uint8).data
        self._file.write(data)
        self._hash.update(data)
        self._index[utterance] = (self._rows, len(rows))
        self._rows += len(rows)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._file.seek(0)
                self._header(self._file)
            self._file.close()
            if kind is None:
                self._finish()
        finally:
            shutil.rmtree(self._part, ignore_errors=True)

    def _header(self, file: BinaryIO) -> None:
        # numpy leaves room for the first axis to grow: written again at the end, the header has the same length
        shape = (self._rows,) if self.dim is None else (self._rows, self.dim)
        npy.write_array_header_1_0(
            file, {"descr": npy.dtype_to_descr(self.dtype), "fortran_order": False, "shape": shape}
        )

    def _finish(self) -> None:
        with (self._part / "index.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(_COLUMNS)
            writer.writerows((u, *span) for u, span in self._index.items())
        index = (self._part / "index.csv").read_bytes()
        self.card.update(dim=self.dim, dtype=self.dtype.name, rows=self._rows, utterances=len(self._index))
        self.card["content"] = digest(self.dtype.str, self.dim, self._hash.hexdigest(), index, size=64)
        write_json(self._part / "card.json", self.card)
        old = self._part.with_suffix(".old")
        if self.folder.exists():
            os.replace(self.folder, old)
        os.replace(self._part, self.folder)
        shutil.rmtree(old, ignore_errors=True)


class Store:
    """Reads a store; nothing but the index is loaded, and a store travels between processes as its folder's name.

    ``card``: the mapping of card.json; ``content``: hash of array and index. Raises `SerError` for a folder
    that is missing or damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not (self.folder / "card.json").exists():
            raise SerError("no such store", self.folder, "Run the stage that makes it: dvc repro")
        self.card: dict[str, Any] = read_json(self.folder / "card.json")
        self.content: str = self.card["content"]
        self._spans = self._read_index()

    def __reduce__(self) -> tuple[type[Store], tuple[Path]]:
        return Store, (self.folder,)

    def __len__(self) -> int:
        return len(self._spans)

    def __contains__(self, utterance: object) -> bool:
        return utterance in self._spans

    def __getitem__(self, utterance: str) -> np.ndarray:
        """Read-only view: (T, F) at frame level, (F,) at utterance level, (N,) of audio."""
        offset, length = self._span(utterance)
        return self.array[offset] if self.card.get("level") == "utterance" else self.array[offset : offset + length]

    def read(self, utterance: str) -> np.ndarray:
        """Rows of an utterance, (T, F) or (N,), as a copy read from disk.

        Unlike a view it leaves no mapped pages behind: passing over a whole store keeps memory flat.
        """
        offset, length = self._span(utterance)
        array = self.array
        if not isinstance(array, np.memmap) or not length:
            return array[offset : offset + length]
        width = int(np.prod(array.shape[1:]))
        start = array.offset + offset * width * array.itemsize
        rows = np.fromfile(self.folder / "array.npy", array.dtype, length * width, offset=start)
        return rows.reshape(length, *array.shape[1:])

    def lengths(self, utterances: Iterable[str]) -> np.ndarray:
        """Rows of each utterance, (n,) int64."""
        return np.array([self._span(u)[1] for u in utterances], dtype=np.int64)

    def rows(self, utterances: Iterable[str]) -> np.ndarray:
        """Utterance-level features as a matrix (n, F), a copy in the order asked for."""
        if self.card.get("level") != "utterance":
            raise SerError(
                f"{self.card.get('feature')} has many rows an utterance",
                self.folder,
                "Choose a feature of utterance level",
            )
        return self.array[np.array([self._span(u)[0] for u in utterances], dtype=np.int64)]

    @property
    def utterances(self) -> list[str]:
        """Ids in the order written."""
        return list(self._spans)

    @cached_property
    def index(self) -> pd.DataFrame:
        """Columns utterance, offset, length."""
        import pandas as pd

        return pd.DataFrame([(u, *span) for u, span in self._spans.items()], columns=list(_COLUMNS))

    @cached_property
    def array(self) -> np.ndarray:
        """All rows, memory-mapped and read-only."""
        path = self.folder / "array.npy"
        try:
            array = np.load(path, mmap_mode="r" if self.card["rows"] else None)
        except (OSError, ValueError) as error:
            raise SerError(f"damaged store: {error}", path, _REPEAT) from error
        if len(array) != self.card["rows"]:
            raise SerError(f"damaged store: {len(array)} rows, its card says {self.card['rows']}", path, _REPEAT)
        return array

    def _span(self, utterance: str) -> tuple[int, int]:
        try:
            return self._spans[utterance]
        except KeyError:
            raise SerError(
                f"utterance {utterance!r} is not in the store",
                self.folder,
                "Run dvc repro, so that it is made from the present manifest",
            ) from None

    def _read_index(self) -> dict[str, tuple[int, int]]:
        path = self.folder / "index.csv"
        try:
            with path.open(newline="", encoding="utf-8") as file:
                lines = csv.reader(file)
                header = next(lines, None)
                spans = {utterance: (int(offset), int(length)) for utterance, offset, length in lines}
        except (OSError, ValueError) as error:
            raise SerError(f"damaged store: {error}", path, _REPEAT) from error
        end = max((offset + length for offset, length in spans.values()), default=0)
        if header != list(_COLUMNS) or end > self.card["rows"]:
            raise SerError("damaged store: index and card do not fit", path, _REPEAT)
        return spans

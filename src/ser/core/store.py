"""A packed store: all arrays of one feature of one corpus, or all audio of one corpus, in a folder of three files.

``array.npy``  rows of all utterances one after the other, (R, F), or (R,) for audio; read by memory map
``index.csv``  utterance, offset, length (both in rows), in the order written
``card.json``  feature and its parameters, level, rate, frame_rate, dim, dtype, synthetic, content

Equal inputs give equal bytes: there are no times, paths or names of machines in it. Letters: R rows, F columns.
"""

from __future__ import annotations

import csv
import hashlib
import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from ser.core.errors import SerError
from ser.core.files import digest, read_json, reading, replacing_folder, repro, write_json

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = ("utterance", "offset", "length")


class Writer:
    """Writes utterances to a new store one after the other, so that memory does not grow. It is a context manager, and
    the store takes the place of `folder` only when the block ends well.

    `dim` is the number of columns F, None for one-dimensional rows (audio). dim, dtype, rows, utterances and content
    are added to `card`; more keys may be set on ``writer.card`` before the block ends.
    """

    def __init__(self, folder: str | Path, dim: int | None, dtype: str, card: Mapping[str, Any]) -> None:
        self.folder, self.dim, self.dtype, self.card = Path(folder), dim, np.dtype(dtype), dict(card)
        self._open = ExitStack()
        self._index: dict[str, tuple[int, int]] = {}
        self._hash = hashlib.sha256()
        self._rows = 0

    def __enter__(self) -> Writer:
        self._part = self._open.enter_context(replacing_folder(self.folder))
        self._file = self._open.enter_context((self._part / "array.npy").open("wb"))
        self._header(self._file)
        return self

    def append(self, utterance: str, array: np.ndarray) -> None:
        """Adds an utterance: (T, F) or (F,) with a `dim`, else (N,). Raises `SerError` when it is there already."""
        if utterance in self._index:
            raise SerError(f"utterance {utterance!r} comes twice", self.folder)
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

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        with self._open:
            if error is not None:
                raise error
            self._file.seek(0)
            self._header(self._file)
            self._file.close()
            self._write_index_and_card()

    def _header(self, file: BinaryIO) -> None:
        # written again at the end with the final number of rows; numpy pads the header to the same length
        shape = (self._rows,) if self.dim is None else (self._rows, self.dim)
        npy.write_array_header_1_0(
            file, {"descr": npy.dtype_to_descr(self.dtype), "fortran_order": False, "shape": shape}
        )

    def _write_index_and_card(self) -> None:
        with (self._part / "index.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(_COLUMNS)
            writer.writerows((u, *span) for u, span in self._index.items())
        index = (self._part / "index.csv").read_bytes()
        self.card.update(dim=self.dim, dtype=self.dtype.name, rows=self._rows, utterances=len(self._index))
        self.card["content"] = digest(self.dtype.str, self.dim, self._hash.hexdigest(), index, size=64)
        write_json(self._part / "card.json", self.card)


class Store:
    """Reads a store. Only the index is loaded, and pickling keeps the name of the folder alone.

    ``card``: the mapping of card.json; ``content``: hash of array and index. Raises `SerError` for a folder that is
    missing or damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not (self.folder / "card.json").exists():
            raise SerError("no such store", self.folder, f"Run the stage that makes it: {repro(self.folder)}")
        self.card: dict[str, Any] = read_json(self.folder / "card.json")
        self.content: str = self.card["content"]
        with reading(self.folder / "index.csv", self._again):
            self._spans = self._read_index()

    @property
    def _again(self) -> str:
        return f"Remove the folder and make it again: {repro(self.folder)}"

    def verify(self) -> Store:
        """This store, after reading all of it. Raises `SerError` when it is not what was written."""
        with reading(self.folder, self._again), (self.folder / "array.npy").open("rb") as file:
            array = self.array
            file.seek(array.offset if isinstance(array, np.memmap) else file.seek(0, os.SEEK_END))
            index = (self.folder / "index.csv").read_bytes()
            data = hashlib.file_digest(file, "sha256").hexdigest()
            if digest(array.dtype.str, self.card["dim"], data, index, size=64) != self.content:
                raise ValueError("array and index are not those of the card")
        return self

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
        """Rows of an utterance, (T, F) or (N,), as a copy read from disk. Unlike a view it leaves no mapped pages in
        memory, so passing over a whole store costs little.
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
                f"{self.card.get('feature')} has many rows per utterance",
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
        with reading(path, self._again):
            array = np.load(path, mmap_mode="r" if self.card["rows"] else None)
        if len(array) != self.card["rows"]:
            raise SerError(f"damaged store: {len(array)} rows, {self.card['rows']} by its card", path, self._again)
        return array

    def _span(self, utterance: str) -> tuple[int, int]:
        try:
            return self._spans[utterance]
        except KeyError:
            raise SerError(
                f"utterance {utterance!r} is not in the store",
                self.folder,
                f"Make it again from the present manifest: {repro(self.folder)}",
            ) from None

    def _read_index(self) -> dict[str, tuple[int, int]]:
        path = self.folder / "index.csv"
        with path.open(newline="", encoding="utf-8") as file:
            lines = csv.reader(file)
            header = next(lines, None)
            spans = {utterance: (int(offset), int(length)) for utterance, offset, length in lines}
        end = max((offset + length for offset, length in spans.values()), default=0)
        if header != list(_COLUMNS) or end > self.card["rows"]:
            raise SerError("damaged store: index and card do not agree", path, self._again)
        return spans


class Arrays(Store):
    """Arrays in memory that are read as a store is: utterance -> (T, F), or (F,) at utterance level.

    `card` has at least ``level`` and ``dim``.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], card: Mapping[str, Any]) -> None:
        self.folder, self.card, self.content, self._spans = Path(), dict(card), "", {}
        rows = [np.atleast_2d(array) for array in arrays.values()]
        first = 0
        for utterance, own in zip(arrays, rows, strict=True):
            self._spans[utterance] = (first, len(own))
            first += len(own)
        self.array = np.concatenate(rows)

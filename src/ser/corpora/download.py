"""Downloads of corpora with checksum, resuming, progress bar and unpacking. Nothing unfinished ever looks complete.

The names of unfinished files end in `.part`, and every reader refuses a folder that has one. `.<archive>.done` is
written last.
"""

from __future__ import annotations

import os
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

from ser.core import files
from ser.core.errors import SerError
from ser.corpora import Card, Source
from ser.corpora.reading import PART

_CHUNK = 1 << 16  # bytes per read: at most this much is lost when the connection breaks
_GROWTH = 20  # ours: audio is packed to a half or a quarter, transcripts to a tenth
_SMALL = 10**9  # bytes that any archive may unpack to
_TIMEOUT = 30  # seconds without a byte until a connection counts as broken


def refuse(card: Card) -> None:
    """Raises `SerError` with the steps to get a corpus that cannot be downloaded."""
    raise SerError(f"{card.title} cannot be downloaded: {card.licence}", card.homepage or None, card.steps)


def fetch(
    card: Card, source: Source, root: str | Path, check: Callable[[Path], None] | None = None, attempts: int = 5
) -> None:
    """Downloads one archive of a corpus and unpacks it into `root`; does nothing when that has been done already.

    `check` gets the folder of the unpacked files before they are moved to their place and raises `SerError` when they
    are not the corpus; it serves archives without a published checksum. `attempts` (ours) is how often a broken
    connection is resumed. Raises `SerError` for a wrong checksum, an answer other than the file, no connection, and a
    broken archive.
    """
    root = Path(root)
    done = root / f".{source.filename}.done"
    if done.exists():
        return
    root.mkdir(parents=True, exist_ok=True)
    archive = _retrieve(card, source, root, attempts)
    unpacked = root / f".{source.filename}.unpacked{PART}"
    files.remove(unpacked, root)
    try:
        _unpack(archive, unpacked)
        if check:
            check(unpacked)
    except SerError:
        files.remove(archive, root)
        files.remove(unpacked, root)
        raise
    _install(unpacked, root)
    files.write_text(done, f"{source.url}\n{source.checksum or 'no published checksum'}\n")
    files.remove(archive, root)
    files.remove(unpacked, root)


def _retrieve(card: Card, source: Source, root: Path, attempts: int) -> Path:
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")
    by_hand = f"Try again, or download and unpack it by hand and run: ser link {card.name} PATH"
    resuming = _Resuming(root / f".{source.filename}.partial{PART}", attempts)
    name = f".{source.filename}{PART}"  # its name says unfinished as long as it is not unpacked
    try:
        return Path(pooch.retrieve(source.url, source.checksum, fname=name, path=root, downloader=resuming))
    except requests.HTTPError as error:
        status = "an error" if error.response is None else error.response.status_code
        raise SerError(f"download failed: the server answers {status}", source.url, by_hand) from error
    except requests.RequestException as error:
        hint = f"Check the network; what has arrived is kept. {by_hand}"
        raise SerError(f"download failed: {type(error).__name__}", source.url, hint) from error
    except ValueError as error:
        hint = "The file there has changed, or it was damaged on the way; the copy here is deleted. " + by_hand
        raise SerError(f"wrong checksum: the download is not {source.checksum}", source.url, hint) from error


class _Resuming:
    """A downloader for pooch that keeps what has arrived in `partial` and asks the server only for the rest."""

    def __init__(self, partial: Path, attempts: int) -> None:
        self.partial, self.attempts = partial, attempts

    def __call__(self, url: str, output_file: str, _pooch: object) -> None:
        import requests

        for left in reversed(range(self.attempts)):
            try:
                self._rest(url)
                break
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError):
                if not left:
                    raise
        os.replace(self.partial, output_file)

    def _rest(self, url: str) -> None:
        import requests
        from tqdm import tqdm

        have = self.partial.stat().st_size if self.partial.exists() else 0
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as answer:
            if answer.status_code == requests.codes.requested_range_not_satisfiable:
                if answer.headers.get("Content-Range", "").endswith(f"/{have}"):
                    return  # the whole file is here already
                self.partial.unlink()
                raise requests.ConnectionError("the file there has changed; start again")
            answer.raise_for_status()
            resumed = answer.status_code == requests.codes.partial_content
            have = have if resumed else 0  # a server that cannot resume sends the whole file
            rest = int(answer.headers["Content-Length"]) if "Content-Length" in answer.headers else None
            total, name = rest and have + rest, url.rsplit("/", 1)[-1]
            bar = tqdm(total=total, initial=have, desc=name, unit="B", unit_scale=True, disable=None)
            with self.partial.open("ab" if resumed else "wb") as file, bar:
                for chunk in answer.iter_content(_CHUNK):
                    file.write(chunk)
                    bar.update(len(chunk))
        if total is not None and self.partial.stat().st_size != total:
            raise requests.ConnectionError("the connection closed early")


def _unpack(archive: Path, to: Path) -> None:
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                _check_size(archive, (member.file_size for member in packed.infolist()))
                packed.extractall(to)
        else:
            with tarfile.open(archive) as packed_tar:
                _check_size(archive, (member.size for member in packed_tar))
                packed_tar.extractall(to, filter="data")
    except SerError:
        raise
    except Exception as error:  # damage, encryption or an unknown compression, by many names
        if isinstance(error, OSError) and error.filename:
            raise
        raise SerError(f"broken archive: {error}", archive, "It has been deleted; download it again") from error


def _check_size(archive: Path, sizes: Iterable[int]) -> None:
    """Stops before an archive fills the disk: its members may not have more than `_GROWTH` times its own size."""
    total, limit = 0, max(_SMALL, _GROWTH * archive.stat().st_size)
    for size in sizes:  # whose sum is checked as it grows, because reading all headers takes long, too
        total += size
        if total > limit:
            what = f"an archive that unpacks to more than {limit / 1e9:.1f} GB, which no audio does"
            raise SerError(what, archive, "It has been deleted; download it again")


def _install(unpacked: Path, root: Path) -> None:
    """Moves every entry to its place; merges folders that exist already (LibriSpeech/ of another subset)."""
    for entry in sorted(unpacked.iterdir()):
        target = root / entry.name
        if entry.is_dir() and target.is_dir():
            _install(entry, target)
        else:
            os.replace(entry, target)

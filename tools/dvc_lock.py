"""Repairs what a kill at the wrong moment leaves of DVC: an empty .dvc/tmp/rwlock, with which no `dvc repro` starts.

`make repro` runs it. The file is removed only when it is damaged and no DVC process works in this repository; then it
holds nothing that DVC needs.
"""

from __future__ import annotations

import json
from pathlib import Path

import psutil

from ser.core.errors import SerError, run_command


def repair(root: Path) -> bool:
    """Whether a damaged lock file was removed. Raises `SerError` while a DVC process works in `root`."""
    path = root / ".dvc" / "tmp" / "rwlock"
    try:
        json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    except ValueError:
        if found := _running(root):
            raise SerError(f"DVC runs here as process {found[0]}, and its lock file is damaged", path, "Wait") from None
        path.unlink(missing_ok=True)
        return True
    return False


def _running(root: Path) -> list[int]:
    """Processes of DVC whose working folder is in `root`. One that cannot be looked at counts, too."""
    found = []
    for process in psutil.process_iter():
        try:
            is_dvc = any(Path(word).name == "dvc" for word in process.cmdline()[:4])
            if is_dvc and Path(process.cwd()).is_relative_to(root.resolve()):
                found.append(process.pid)
        except psutil.AccessDenied:
            found += [process.pid] if "dvc" in process.name() else []
        except psutil.NoSuchProcess:
            continue
    return found


def main() -> None:
    if repair(Path()):
        print("removed the empty lock file that a killed DVC had left (.dvc/tmp/rwlock)")


if __name__ == "__main__":
    run_command(main)

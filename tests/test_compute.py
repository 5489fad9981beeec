"""Folders in shared memory of dead processes are removed, and no others."""

from __future__ import annotations

import os
import subprocess

from ser.core import compute


def test_shared_memory_of_dead_processes_is_swept(tmp_path, monkeypatch):
    monkeypatch.setattr(compute.tempfile, "gettempdir", lambda: str(tmp_path))
    dead = subprocess.Popen(["true"])
    dead.wait()
    names = {f"joblib_memmapping_folder_{pid}_ab_cd": pid for pid in (dead.pid, os.getpid())}
    for name in [*names, "joblib_memmapping_folder_x", f"other_folder_x_{dead.pid}"]:
        (tmp_path / name).mkdir()
        os.utime(tmp_path / name, (0, 0))
    young = tmp_path / f"joblib_memmapping_folder_{dead.pid}_young"
    young.mkdir()
    compute.sweep_shared_memory()
    left = {p.name for p in tmp_path.iterdir()}
    assert f"joblib_memmapping_folder_{dead.pid}_ab_cd" not in left
    assert len(left) == 4

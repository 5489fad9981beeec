"""What the work runs on: worker processes, device, precision, threads, and the processes of `torchrun`.

Light to import: torch is imported by the functions that need it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ser.core.errors import SerError
from ser.core.files import is_alive, remove

if TYPE_CHECKING:
    from torch import Tensor


def workers(execution: Mapping[str, Any] | None = None, device: str = "cpu") -> int:
    """Number of worker processes of a stage; no result depends on it.

    The environment variable SER_JOBS comes first, then ``run.jobs`` of params.yaml, and 0 means one worker per core,
    or one altogether on CUDA. Raises `SerError` when either is not a number of workers.
    """
    asked = os.environ.get("SER_JOBS")
    hint = "Give a number of workers, such as SER_JOBS=2, or 0 for one per core"
    try:
        jobs = int(asked) if asked else int((execution or {}).get("jobs", 0))
    except ValueError:
        raise SerError(f"SER_JOBS is {asked!r}", "environment", hint) from None
    if jobs < 0 and asked:
        raise SerError(f"SER_JOBS is {asked!r}", "environment", hint)
    if jobs < 0:
        raise SerError(f"a negative number of workers: {jobs}", "run.jobs", "Write 0 for one per core")
    if jobs:
        return jobs
    if device.startswith("cuda"):
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def sweep_shared_memory() -> None:
    """Removes the folders in shared memory in which joblib passed arrays to the workers of a process that is dead."""
    for root in {Path("/dev/shm"), Path(tempfile.gettempdir())}:
        for folder in root.glob("joblib_memmapping_folder_*"):
            with contextlib.suppress(OSError, ValueError):
                about, pid = folder.stat(), int(folder.name.split("_")[3])
                old = time.time() - about.st_mtime > 3600  # ours: containers may share memory and not process ids
                if old and about.st_uid == os.getuid() and not is_alive(pid):
                    remove(folder, root)


def device(setting: str) -> str:
    """``cuda`` or ``cpu``; ``auto`` means CUDA where there is a GPU. Raises `SerError` when CUDA is asked for and
    absent.
    """
    if setting == "cpu":
        return "cpu"
    if has_driver():  # torch takes seconds to import, in which the workers of a stage could have started
        import torch

        if torch.cuda.is_available():
            return "cuda"
    if setting == "cuda":
        raise SerError("there is no CUDA device on this machine", "run.device", "Set run.device: auto or cpu")
    return "cpu"


def has_driver() -> bool:
    """Whether there is a driver without which torch finds no GPU: that of NVIDIA, or the device file of AMD's."""
    if Path("/dev/kfd").exists():
        return True
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def device_name(device: str) -> str:
    """``cpu``, or the name of the GPU: two models of GPU give different last digits."""
    if device == "cpu":
        return device
    import torch

    return torch.cuda.get_device_name(device)


def bfloat16(precision: str, device: str) -> bool:
    """Whether the forward passes of a training run in bfloat16. ``auto``: on a GPU that computes in it they do. Raises
    `SerError` when it is asked for on a GPU that only imitates it, which is slower than float32.
    """
    if device == "cpu":
        return precision == "bfloat16"
    if precision == "float32":
        return False
    import torch

    able = torch.cuda.is_bf16_supported(including_emulation=False)
    if precision == "bfloat16" and not able:
        what = f"{device_name(device)} does not compute in bfloat16"
        raise SerError(what, "run.precision", "Set run.precision: auto or float32")
    return able


def arithmetic(precision: str, device: str) -> Literal["float32", "tf32", "bfloat16"]:
    """How a training computes, which it sets up for this process. Where ``auto`` finds no bfloat16, matrix products in
    float32 may be rounded to TF32 by a GPU that can; ``float32`` asks for the plain ones.
    """
    if bfloat16(precision, device):
        return "bfloat16"
    if device == "cpu":
        return "float32"
    import torch

    tf32 = precision == "auto"
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    return "tf32" if tf32 else "float32"


@contextlib.contextmanager
def threads(count: int, *, blas: int | None = None) -> Iterator[None]:
    """Uses `count` threads inside the block, in torch where it is imported, in BLAS and in OpenMP; with `blas`, that
    many in BLAS.

    Sums depend on the number of threads, so it is a setting of its own and not the number of cores.
    """
    from threadpoolctl import threadpool_limits

    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(count)
    with threadpool_limits(count if blas is None else {"blas": blas}):
        yield


def deterministic() -> None:
    """Makes torch choose algorithms whose results do not vary from run to run, where it has them.

    It warns of the others, and does not stop: on a GPU the gradients of padding by reflection (P2) and of adaptive
    pooling (P4) have no such algorithm. On a CPU all have one.
    """
    import torch

    # cuBLAS reads this when it starts; without it, it may divide a product in another way each time
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = False
    torch.set_deterministic_debug_mode("warn")  # use_deterministic_algorithms does the same, and imports the compiler
    # filling new tensors with NaN costs time, and no code here reads a tensor before it is written
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Processes:
    """This process among those that `torchrun` started; the only one without it."""

    rank: int = 0
    world: int = 1  # number of processes
    device: str = "cpu"

    def total(self, values: Tensor) -> Tensor:
        """The sum of `values` over all processes, in place."""
        if self.world > 1:
            from torch import distributed

            distributed.all_reduce(values)
        return values


@contextlib.contextmanager
def processes(setting: str) -> Iterator[Processes]:
    """Joins the processes of `torchrun` (gloo on CPU, nccl on CUDA) and leaves them again. `setting`: see `device`."""
    world, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    found = device(setting)
    if found == "cuda":
        import torch

        found = f"cuda:{os.environ.get('LOCAL_RANK', 0)}"
        torch.cuda.set_device(found)
    if world == 1:
        yield Processes(0, 1, found)
        return
    from torch import distributed

    distributed.init_process_group("nccl" if found != "cpu" else "gloo")
    try:
        yield Processes(rank, world, found)
    finally:
        distributed.destroy_process_group()

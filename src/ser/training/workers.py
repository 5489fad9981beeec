"""Who trains the folds of an experiment: processes of this machine (loky), jobs of Slurm (submitit), or the workers of
a dask cluster.

A job is one fold with one seed, and its result is a file that is found by its name. A backend therefore only maps a
function over jobs and may lose any of them: the next call trains those that have no file. No backend changes a number.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ser.core import caching, compute
from ser.core.errors import KEPT, SerError, end_with_parent, warn
from ser.core.files import digest, remove
from ser.training import gpus
from ser.training.fold import Job

PACKAGES = {"submitit": "submitit", "dask": "distributed"}  # backend -> the package that it needs
TIMEOUTS = 20  # ours: how often a job that needs more than its minutes goes back into the queue
Work = Callable[..., Any]
_EXECUTORS: dict[tuple[int, int], Any] = {}  # by the number of helpers and of threads
_IDLE = 10  # seconds, as joblib: a helper without work ends
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # read by libraries when they start


def each(work: Work, jobs: Sequence[Job], execution: Mapping[str, Any], modules: Sequence[str]) -> Iterator[Any]:
    """`work` of each job, in the order in which they end. `execution`: the block `run` of params.yaml; `modules`: those
    whose code a worker on another machine must share.
    """
    if not jobs:
        return
    if execution.get("backend", "loky") == "loky":
        yield from _loky(work, jobs, execution)
    else:
        yield from _sent(work, jobs, execution, modules, jobs[0].folder)


def device(setting: str, execution: Mapping[str, Any], modules: Sequence[str], folder: Path) -> tuple[str, str]:
    """The device of the workers, and its name. Where they are other machines, one of them is asked: the machine that
    starts the stage may have no GPU, or another one. `folder`: for the files of that question.
    """
    if setting == "cpu" or execution.get("backend", "loky") == "loky":
        return _device(setting)
    (found,) = _sent(_device, [setting], execution, modules, folder)
    return found


def _device(setting: str) -> tuple[str, str]:
    found = compute.device(setting)
    return found, compute.device_name(found)


@contextlib.contextmanager
def helpers(settings: Mapping[str, Any], execution: Mapping[str, Any], module: str, jobs: int) -> Iterator[None]:
    """Starts the helpers of `_loky` before this process imports torch, and lets them import `module`, so that all are
    ready at the same time. Where the device is not known without torch, they start later. An error in the block ends
    them.
    """
    count = min(compute.workers(execution), jobs) - 1
    known = settings["device"] == "cpu" or not compute.has_driver()
    if count < 1 or not known or execution.get("backend", "loky") != "loky":
        yield
        return
    executor = _helpers(count, int(settings["threads"]))
    ready = executor.submit(_import, module)
    try:
        yield
    except BaseException:
        _kill(executor)
        raise
    if not ready.done():  # there was nothing to do
        _kill(executor)


def _loky(work: Work, jobs: Sequence[Job], execution: Mapping[str, Any]) -> Iterator[Any]:
    """This process does its share, from the last job backwards, and helpers theirs, from the first on: a process less
    has to import torch, and none waits for another's start. `work` must leave alone what another process has claimed.
    """
    count = min(number(execution, jobs[0].device), len(jobs)) - 1
    if not count:
        yield from (work(job) for job in jobs)
        return
    executor, done = _helpers(count, int(jobs[0].settings["threads"])), False
    try:
        others = [executor.submit(_all, work, tuple(jobs)) for _ in range(count)]
        yield from (work(job) for job in reversed(jobs))
        for other in others:
            try:
                yield from other.result()
            except BrokenExecutor:  # the caller asks again for what is missing
                hint = "If it is killed again, use fewer workers, such as SER_JOBS=1"
                warn("a worker process was killed, perhaps for lack of memory", jobs[0].folder, hint)
        done = True
    finally:
        if not done:  # an error of one is the end of all
            _kill(executor)


def _import(module: str) -> None:
    """In a helper; the module itself cannot be sent back."""
    end_with_parent()
    importlib.import_module(module)


def _all(work: Work, jobs: Sequence[Job]) -> list[Any]:
    tqdm.set_lock(threading.RLock())  # its own lock for processes would be left behind by a helper that is ended
    return [work(job) for job in jobs]


def _helpers(count: int, threads: int) -> Any:
    """An executor of that many processes or, where one has been started already, of more. It is not the one that joblib
    keeps, because joblib would take it for its own.
    """
    from joblib.externals.loky import ProcessPoolExecutor

    for (processes, own_threads), executor in _EXECUTORS.items():
        if processes >= count and own_threads == threads and not (executor._flags.broken or executor._flags.shutdown):
            return executor
    environment = dict.fromkeys(_THREADS, str(threads))
    _EXECUTORS[count, threads] = ProcessPoolExecutor(count, timeout=_IDLE, env=environment)
    return _EXECUTORS[count, threads]


def _kill(executor: Any) -> None:
    """Ends the helpers at once. The executor's own way prints a traceback when a task has just been given to it."""
    for process in list((executor._processes or {}).values()):
        process.terminate()
    executor.shutdown(wait=True)


def number(execution: Mapping[str, Any], device: str) -> int:
    """Number of worker processes: the one that was asked for, or else one per core or per GPU."""
    workers = compute.workers(execution, device)
    if device != "cuda" or int(os.environ.get("SER_JOBS") or execution.get("jobs", 0)):
        return workers
    found = gpus.names()
    return len(gpus.numbers(found, found[0]))


@dataclass(frozen=True)
class Remote:
    """A function as it runs on another machine, or later: in the folder of the repository, and only by the code and the
    libraries of the stage that sent it, because its result is stored under their fingerprint.
    """

    work: Work
    root: Path
    modules: tuple[str, ...]
    code: str  # of the modules, where the stage was started
    keep: tuple[type[Exception], ...] = ()  # errors that are returned, for a backend that makes texts of them

    def __call__(self, *arguments: Any) -> Any:
        try:
            self.enter()
            return self.work(*arguments)
        except self.keep as error:
            return error

    def enter(self) -> None:
        """Goes to the folder of the repository. Raises `SerError` without it, and for other code."""
        host = socket.gethostname()
        if not self.root.is_dir():
            hint = "Give all machines the repository under the same path, such as on a shared file system"
            raise SerError(f"{host} has no folder {self.root}", "run.backend", hint)
        os.chdir(self.root)
        if _code(self.modules) != self.code:
            what = f"the worker on {host} has other code or other libraries than the stage that sent the work"
            raise SerError(what, "run.backend", "Give both the same environment, restart the workers, and run it again")

    def checkpoint(self, *arguments: Any) -> Any:
        """What submitit puts back into the queue when the time of a job is over: the same work, which continues at the
        checkpoint of its fold.
        """
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, *arguments)


def _code(modules: Sequence[str]) -> str:
    """In a process that lives for days, that of the code which it read first: digests stay in memory, as modules do."""
    return digest(caching.code(*modules), caching.versions(*modules))


def _sent(
    work: Work, tasks: Sequence[Any], execution: Mapping[str, Any], modules: Sequence[str], folder: Path
) -> Iterator[Any]:
    """`work` of each task on other machines."""
    backend = execution["backend"]
    if importlib.util.find_spec(PACKAGES[backend]) is None:
        what, hint = f"the package {PACKAGES[backend]} is not installed", "Run pip install --editable '.[cluster]'"
        raise SerError(what, f"run.backend: {backend}", hint)
    remote = Remote(work, Path.cwd(), tuple(modules), _code(modules))
    if backend == "dask":
        yield from _dask(remote, tasks, execution["scheduler"])
    else:
        yield from _submitit(replace(remote, keep=(SerError, OSError)), tasks, execution["slurm"], folder)


def _submitit(work: Remote, tasks: Sequence[Any], slurm: Mapping[str, Any], folder: Path) -> Iterator[Any]:
    """All tasks are one array of jobs. Where some jobs end without a result, the others are waited for first."""
    from submitit.helpers import as_completed

    missing = [command for command in ("sbatch", "srun", "scancel") if shutil.which(command) is None]
    if missing and not slurm["local"]:
        hint = "Start the stage on a machine of the cluster, or set run.slurm.local: true to try it on this one"
        raise SerError(f"there is no Slurm here: no command {missing[0]}", "run.backend: submitit", hint)
    folder.mkdir(parents=True, exist_ok=True)
    logs = Path(tempfile.mkdtemp(prefix="jobs-", dir=folder.absolute()))
    executor, lost = _executor(logs, slurm), []
    at_once = slurm["array"] if slurm["local"] else len(tasks)  # Slurm keeps to the bound of an array itself
    for start in range(0, len(tasks), at_once):
        jobs = _submitted(executor, work, tasks[start : start + at_once])
        try:
            for job in as_completed(jobs, poll_frequency=1):
                found = _result(job)
                if isinstance(found, Exception):
                    lost.append(found)
                else:
                    yield found
        finally:  # where the stage is interrupted; when it is killed, the jobs run on and leave their results
            for job in jobs:
                if not job.done():
                    job.cancel(check=False)
    if lost:
        raise _first(lost, len(tasks))
    remove(logs, folder)


def _executor(logs: Path, slurm: Mapping[str, Any]) -> Any:
    import submitit

    if slurm["local"]:
        local = submitit.LocalExecutor(logs, max_num_timeout=TIMEOUTS)
        local.update_parameters(timeout_min=slurm["minutes"])
        return local
    executor = submitit.SlurmExecutor(logs, max_num_timeout=TIMEOUTS)
    named = {key: slurm[key] for key in ("partition", "gres") if slurm[key]}
    executor.update_parameters(
        job_name="ser",
        time=slurm["minutes"],
        array_parallelism=slurm["array"],
        cpus_per_task=slurm["cpus"],
        mem=f"{slurm['memory_gb']}GB",
        additional_parameters=slurm["options"],
        **named,
    )
    return executor


def _submitted(executor: Any, work: Remote, tasks: Sequence[Any]) -> list[Any]:
    """The jobs. Raises `SerError` when Slurm does not take them."""
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    try:
        return executor.map_array(work, tasks)
    except (FailedJobError, FailedSubmissionError) as error:
        remove(executor.folder, executor.folder.parent)
        what = "Slurm refuses the jobs: " + (str(error).strip() or "no message").splitlines()[-1]
        raise SerError(what, "run.slurm", "Correct the options of this block") from error


def _result(job: Any) -> Any:
    """What a job returned, which may be an error; also an error for a job that ended without a result."""
    from submitit.core.utils import FailedJobError, UncompletedJobError

    try:
        return job.result()
    except FailedJobError as error:
        what = f"job {job.job_id} failed: {str(error).strip().splitlines()[-1]}"
    except UncompletedJobError:
        what = f"job {job.job_id} was killed before its work was done (state {job.state})"
    return SerError(what, job.paths.stderr, f"See that file; {KEPT}")


def _first(lost: Sequence[Exception], total: int) -> Exception:
    """The first error, and of how many jobs there are errors."""
    first = lost[0]
    if len(lost) == 1 or not isinstance(first, SerError):
        return first
    return SerError(f"{len(lost)} of {total} jobs were lost; the first: {first.what}", first.where, first.hint)


def _dask(work: Remote, tasks: Sequence[Any], scheduler: str) -> Iterator[Any]:
    """A task whose worker dies is given to another worker."""
    from distributed import KilledWorker, as_completed

    with _client(scheduler) as client:
        if not client.scheduler_info()["workers"]:
            warn("the dask cluster has no workers yet; the stage waits for them", scheduler)
        sent = [client.submit(_alone, work, task, pure=False) for task in tasks]
        try:
            for future in as_completed(sent):
                yield future.result()
        except KilledWorker as error:
            hint = f"Give the workers more memory: {KEPT}"
            raise SerError("several dask workers died of the same fold", scheduler, hint) from error
        except ModuleNotFoundError as error:
            hint = "Start the workers in the environment of this repository"
            raise SerError(f"a dask worker has no package {error.name}", scheduler, hint) from error
        finally:
            client.cancel([future for future in sent if not future.done()])


def _client(scheduler: str) -> Any:
    """Raises `SerError` when there is no scheduler at an address, or in the file that a scheduler has written."""
    from distributed import Client

    if scheduler.endswith(".json") and not Path(scheduler).exists():
        raise SerError("missing file", scheduler, "Start dask scheduler --scheduler-file with this file first")
    try:
        given = {"scheduler_file": scheduler} if scheduler.endswith(".json") else {"address": scheduler}
        return Client(**given)
    except (OSError, ValueError) as error:
        hint = "Start it with dask scheduler, and write its address into run.scheduler"
        raise SerError(f"no dask scheduler answers: {error}", scheduler, hint) from error


def _alone(work: Remote, task: Any) -> Any:
    """Raises `SerError` on a worker with several threads: two trainings in one process would share random numbers."""
    from distributed import get_worker

    if (threads := get_worker().state.nthreads) != 1:
        hint = "Start the workers with dask worker --nthreads 1 --nworkers N"
        raise SerError(f"a dask worker has {threads} threads, and a training needs a process of its own", None, hint)
    return work(task)

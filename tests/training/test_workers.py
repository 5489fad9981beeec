"""Folds on Slurm (submitit) and on a dask cluster: the bytes of loky, also when a job or a worker is killed."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ser.core import plugins
from ser.core.errors import SerError
from ser.core.files import claim, write_text
from ser.settings.schema import Run, Slurm
from ser.training import experiment, workers
from tests import toy
from tests.conftest import ROOT
from tests.test_docs import commands

OUTPUTS = ("predictions.csv", "curves.csv", "card.json")
LOCAL = {"backend": "submitit", "slurm": dataclasses.asdict(Slurm(local=True, array=4))}
SEEDS = (1, 2)
SETTINGS = toy.settings("svm", seeds=list(SEEDS))  # eight jobs: two rounds of four


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    """Submitit waits for the result of a job that has ended, because network file systems may show it late."""
    monkeypatch.setattr("submitit.core.core.Job._results_timeout_s", 1)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Inputs, and the outputs by loky with two workers."""
    files = toy.files(tmp_path_factory.mktemp("toy"), dev=False)
    experiment.run(SETTINGS, files, {"jobs": 2})
    return files, contents(files)


def contents(files) -> dict[str, bytes]:
    return {name: (files.predictions.parent / name).read_bytes() for name in OUTPUTS}


def elsewhere(files, folder: Path):
    """The same inputs, with new outputs and no finished folds. The card names the folder of the checkpoints alone."""
    out = folder / "out"
    named = {key: out / getattr(files, key).name for key in ("predictions", "curves", "card", "cost")}
    return replace(files, checkpoints=folder / "checkpoints", **named)


class Killer(threading.Thread):
    """Kills the process that trains one of the folds, once, as soon as it has begun."""

    def __init__(self, checkpoints: Path, job: str) -> None:
        super().__init__(daemon=True)
        self.checkpoints, self.job, self.killed = checkpoints, job, 0

    def run(self) -> None:
        end = time.monotonic() + 600
        while not self.killed and time.monotonic() < end:
            for path in self.checkpoints.glob(f"*/*/*/{self.job}.claim"):
                words = path.read_text().split()
                if len(words) > 1 and int(words[1]) != os.getpid():
                    self.killed = int(words[1])
                    os.kill(self.killed, signal.SIGKILL)
                    return
            time.sleep(0.002)


@dataclasses.dataclass(frozen=True)
class Slow:
    """A job that takes a moment; its file says which process did it."""

    path: Path
    settings: dict
    folder: Path = Path("folds")
    device: str = "cpu"


def do(job: Slow) -> None:
    with claim(job.path.with_suffix(".claim")) as mine:
        if mine and not job.path.exists():
            time.sleep(0.05)
            write_text(job.path, str(os.getpid()))


def do_or_die(job: Slow) -> None:
    """A helper is killed at the first job, as by a system without memory."""
    if job.path.name == "0" and multiprocessing.current_process().name != "MainProcess":
        os.kill(os.getpid(), signal.SIGKILL)
    do(job)


def jobs_in(folder: Path) -> list[Slow]:
    return [Slow(folder / str(i), {"threads": 1}) for i in range(20)]


def test_this_process_and_its_helpers_share_the_jobs(tmp_path):
    workers._helpers(1, 1).submit(workers._all, do, ()).result()  # it has started
    jobs = jobs_in(tmp_path)
    assert len(list(workers.each(do, jobs, {"jobs": 2}, ()))) == 2 * len(jobs)  # each asked for every job
    pids, own = [job.path.read_text() for job in jobs], str(os.getpid())
    assert set(pids) > {own}
    assert len(set(pids)) == 2
    assert pids == sorted(pids, key=own.__eq__)  # this process began at the end


def test_a_killed_helper_is_one_line_and_is_replaced(tmp_path, capsys):
    jobs = jobs_in(tmp_path)
    list(workers.each(do_or_die, jobs, {"jobs": 2}, ()))
    assert {job.path.read_text() for job in jobs} == {str(os.getpid())}
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: a worker process was killed, perhaps for lack of memory (folds). If it is")
    assert workers._helpers(1, 1).submit(os.getpid).result() != os.getpid()


def test_helpers_end_with_an_error_of_the_stage():
    seen = []

    def stage():
        with workers.helpers({"device": "cpu", "threads": 1}, {"jobs": 2}, "ser.models.majority", 4):
            seen.extend(workers._helpers(1, 1)._processes.values())
            assert seen[0].is_alive()
            raise SerError("wrong", None, None)

    with pytest.raises(SerError):
        stage()
    assert not seen[0].is_alive()


def test_no_helper_starts_for_one_worker_or_one_job(monkeypatch):
    monkeypatch.setattr(workers, "_helpers", lambda *_: pytest.fail("a helper was started"))
    settings = {"device": "auto", "threads": 1}
    for execution, jobs in (({"jobs": 1}, 4), ({"jobs": 2}, 1), ({"jobs": 2, "backend": "submitit"}, 4)):
        with workers.helpers(settings, execution, "ser.models.majority", jobs):
            pass


@pytest.mark.slow
def test_jobs_of_submitit_give_the_bytes_of_loky_also_after_one_was_killed(inputs, tmp_path):
    files, wanted = elsewhere(inputs[0], tmp_path), inputs[1]
    killer = Killer(files.checkpoints, "speaker-08-seed2")
    killer.start()
    with pytest.raises(SerError, match=r"job \d+ was killed before its work was done") as caught:
        experiment.run(SETTINGS, files, LOCAL)
    assert killer.killed
    assert "the same command continues" in str(caught.value)
    assert Path(caught.value.where).exists()  # its log
    finished = {path.name: path.stat().st_mtime_ns for path in files.checkpoints.rglob("*.npz")}
    assert len(finished) == len(toy.SPEAKERS) * len(SEEDS) - 1  # the others were waited for
    experiment.run(SETTINGS, files, LOCAL)
    assert contents(files) == wanted
    again = {path.name: path.stat().st_mtime_ns for path in files.checkpoints.rglob("*.npz")}
    assert {name: again[name] for name in finished} == finished  # they were not trained again


def test_an_error_in_a_job_of_submitit_is_its_own_line(inputs, tmp_path):
    files = elsewhere(inputs[0], tmp_path)
    files = replace(files, features={"frames": files.manifest.parent / "frames"})
    with pytest.raises(SerError) as by_submitit:
        experiment.run(toy.settings("svm", features=["frames"]), files, LOCAL)
    with pytest.raises(SerError) as by_loky:
        experiment.run(toy.settings("svm", features=["frames"]), files, {"jobs": 1})
    assert by_submitit.value.what == f"4 of 4 jobs were lost; the first: {by_loky.value.what}"


def test_a_worker_with_other_code_is_refused(inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "_code", lambda modules: "that of the stage")
    with pytest.raises(SerError, match="other code or other libraries"):
        experiment.run({**SETTINGS, "seeds": [1]}, elsewhere(inputs[0], tmp_path), LOCAL)


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """The commands of a Slurm that accepts every job and runs none. `sbatch` keeps the file that it was given."""
    commands = {
        "sbatch": f'cp "$1" {tmp_path}/sbatch.sh; echo "Submitted batch job 7"',
        "srun": "exit 1",
        "scancel": "exit 0",
        "squeue": "exit 0",
        "sacct": "echo 'JobID|State|NodeList'; for i in 0 1 2 3; do echo \"7_$i|CANCELLED|\"; done",
    }
    for name, line in commands.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "sbatch.sh"


def test_the_sbatch_file_has_the_options(inputs, tmp_path, cluster):
    options = Slurm("gpu", "gpu:a100:1", 90, 2, 3, 12, {"account": "speech", "qos": "long"})
    settings = {**SETTINGS, "seeds": [1]}
    files = elsewhere(inputs[0], tmp_path)
    with pytest.raises(SerError, match=r"4 of 4 jobs were lost; the first: job 7_0 was killed .*CANCELLED"):
        experiment.run(settings, files, {"backend": "submitit", "slurm": dataclasses.asdict(options)})
    lines = cluster.read_text().splitlines()
    for line in (
        "#SBATCH --job-name=ser",
        "#SBATCH --partition=gpu",
        "#SBATCH --gres=gpu:a100:1",
        "#SBATCH --time=90",
        "#SBATCH --array=0-3%2",
        "#SBATCH --cpus-per-task=3",
        "#SBATCH --mem=12GB",
        "#SBATCH --account=speech",
        "#SBATCH --qos=long",
    ):
        assert line in lines
    (command,) = [line for line in lines if line.startswith("srun")]
    assert sys.executable in command


def test_refused_jobs_are_one_line(inputs, tmp_path, cluster):
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.write_text("#!/bin/sh\necho 'sbatch: error: invalid partition specified: gpus' >&2\nexit 1\n")
    with pytest.raises(SerError, match=r"Slurm refuses the jobs: sbatch: error: invalid partition specified: gpus"):
        experiment.run(
            SETTINGS, elsewhere(inputs[0], tmp_path), {"backend": "submitit", "slurm": dataclasses.asdict(Slurm())}
        )
    assert not list((tmp_path / "checkpoints").rglob("jobs-*"))


def test_no_slurm_and_no_package_are_one_line_each(inputs, tmp_path, monkeypatch):
    files = elsewhere(inputs[0], tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SerError, match="there is no Slurm here: no command sbatch"):
        experiment.run(SETTINGS, files, {"backend": "submitit", "slurm": dataclasses.asdict(Slurm())})
    monkeypatch.setattr(workers.importlib.util, "find_spec", lambda name: None)
    for backend, package in workers.PACKAGES.items():
        with pytest.raises(SerError, match=f"the package {package} is not installed .*cluster"):
            experiment.run(SETTINGS, files, {"backend": backend, "slurm": {}, "scheduler": "tcp://head:8786"})


def test_work_that_is_over_its_time_is_queued_again_with_the_same_arguments():
    remote = workers.Remote(len, Path.cwd(), ("ser.core.seeds",), workers._code(["ser.core.seeds"]))
    queued = remote.checkpoint("four")
    assert queued.result() == 4


@pytest.fixture(scope="module")
def dask():
    """Two worker processes, as on two machines."""
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        yield cluster


def test_dask_gives_the_bytes_of_loky_also_when_a_worker_is_killed(inputs, tmp_path, dask):
    files, wanted = elsewhere(inputs[0], tmp_path), inputs[1]
    killer = Killer(files.checkpoints, "speaker-08-seed2")
    killer.start()
    experiment.run(SETTINGS, files, {"backend": "dask", "scheduler": dask.scheduler_address})
    assert killer.killed
    assert contents(files) == wanted


@pytest.mark.slow
def test_the_commands_of_the_page_start_a_cluster_that_gives_the_same_bytes(inputs, tmp_path):
    lines = [line for line in commands(ROOT / "docs/gpu_and_clusters.md") if line.startswith("dask ")]
    assert [line.split()[1] for line in lines] == ["scheduler", "worker"]
    settings, found = {**SETTINGS, "seeds": [1]}, []
    file, program = tmp_path / "scheduler.json", Path(sys.executable).with_name("dask")
    running = []
    try:
        for line in lines:
            running.append(subprocess.Popen([program, *line.split()[1:]], cwd=tmp_path, stderr=subprocess.DEVNULL))
            end = time.monotonic() + 120
            while not file.exists() and time.monotonic() < end:
                time.sleep(0.1)
        for name, execution in (("dask", {"backend": "dask", "scheduler": str(file)}), ("loky", {"jobs": 1})):
            files = elsewhere(inputs[0], tmp_path / name)
            experiment.run(settings, files, execution)
            found.append(contents(files))
    finally:
        for process in reversed(running):
            process.terminate()
            process.wait(30)
    assert found[0] == found[1]


def test_a_job_that_is_interrupted_is_queued_again(tmp_path):
    """As Slurm does when the time of a job is over, by a signal. The work waits until the job is started again."""
    import submitit

    executor = submitit.LocalExecutor(tmp_path / "jobs")
    executor.update_parameters(timeout_min=10)
    remote = workers.Remote(waits_once, Path.cwd(), ("ser.core.seeds",), workers._code(["ser.core.seeds"]))
    (job,) = executor.map_array(remote, [tmp_path / "begun"])
    end = time.monotonic() + 120
    while not (tmp_path / "begun").exists() and time.monotonic() < end:
        time.sleep(0.1)
    task = int((tmp_path / "begun").read_text())
    os.kill(task, signal.SIGUSR2)
    assert job.result() == "begun again"


def waits_once(mark: Path) -> str:
    if mark.exists():
        return "begun again"
    write_text(mark, str(os.getpid()))
    time.sleep(120)
    return "not interrupted"


def test_the_device_of_other_machines_is_asked_for(tmp_path, dask):
    execution = {"backend": "dask", "scheduler": dask.scheduler_address}
    assert workers.device("auto", execution, ["ser.core.compute"], tmp_path) == ("cpu", "cpu")
    with pytest.raises(SerError, match="there is no CUDA device"):
        workers.device("cuda", execution, ["ser.core.compute"], tmp_path)


def test_dask_workers_with_threads_and_a_missing_scheduler_are_one_line(inputs, tmp_path, monkeypatch):
    import distributed

    files = elsewhere(inputs[0], tmp_path)
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=2, processes=True, dashboard_address=None) as cluster,
        pytest.raises(SerError, match="has 2 threads"),
    ):
        experiment.run(SETTINGS, files, {"backend": "dask", "scheduler": cluster.scheduler_address})
    monkeypatch.setitem(distributed.config["distributed"]["comm"]["timeouts"], "connect", "2s")
    for address in ("tcp://127.0.0.1:9", "nonsense://x", "nowhere.json"):
        with pytest.raises(SerError, match=r"no dask scheduler answers|missing file"):
            experiment.run(SETTINGS, files, {"backend": "dask", "scheduler": address})


def test_the_block_of_the_run_is_checked():
    with pytest.raises(SerError, match=r"run\.slurm\.partitions"):
        plugins.build(Run, {"slurm": {"partitions": "gpu"}}, "run")
    with pytest.raises(SerError, match=r"minutes must be at least 1"):
        plugins.build(Run, {"slurm": {"minutes": 0}}, "run")
    with pytest.raises(SerError, match=r"needs the address of its scheduler"):
        plugins.build(Run, {"backend": "dask"}, "run")
    with pytest.raises(SerError, match=r"not one of the allowed values .*submitit"):
        plugins.build(Run, {"backend": "submiti"}, "run")

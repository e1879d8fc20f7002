"""Running schedulers and SLURM jobs: work done, workers and schedulers that do not play along."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import gettempdir

import psutil
import pytest
from distributed import Client
from distributed import Scheduler as DaskScheduler

from lowroad.execution.cluster_file import read_slurm
from lowroad.execution.clusters import ClusterError, Scheduler, Slurm
from lowroad.execution.events import Event
from lowroad.execution.slurm import SlurmJobs

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from chores import carry_out, notes, results  # noqa: E402

PATHS = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `dask scheduler` or `dask worker` as somebody else might have, and ends them."""
    processes: list[subprocess.Popen[bytes]] = []

    def do(*command: str, **environment: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", *command, "--scheduler-file", f"{tmp_path}/s.json"],
            env={**os.environ, "PYTHONPATH": PATHS, **environment},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        processes.append(process)
        return process

    yield do
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)


@pytest.fixture
def scheduler(start: Start, tmp_path: Path) -> str:
    """The address of a scheduler without workers."""
    start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    return address(tmp_path)


def address(folder: Path) -> str:
    """The address of the scheduler that has just been started, once it answers."""
    file = folder / "s.json"
    end = time.monotonic() + 60
    while not file.exists() and time.monotonic() < end:
        time.sleep(0.05)
    return str(json.loads(file.read_text())["address"])


def wait_for_workers(scheduler: str, number: int) -> None:
    with Client(scheduler) as client:
        client.wait_for_workers(number, timeout=60)


def worker(threads: int = 1) -> list[str]:
    options = {"nthreads": str(threads), "memory-limit": "1GB", "local-directory": gettempdir()}
    return ["worker", "--no-dashboard", *(f"--{name}={value}" for name, value in options.items())]


def test_a_scheduler_with_another_version_is_refused(
    scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lowroad.execution.clients.__version__", "0.0.0")
    with pytest.raises(ClusterError, match=r"has lowroad \d.*, this is 0\.0\.0: install the same"):
        carry_out(["first"], Scheduler(scheduler))


@pytest.mark.slow
def test_a_running_scheduler_does_the_tasks_and_stays(start: Start, scheduler: str) -> None:
    for _ in range(2):
        start(*worker())
    for _ in range(2):
        tasks = ["fail x", "memory", *(f"pid {i}" for i in range(6)), "sleep 1"]
        events = carry_out(tasks, Scheduler(scheduler))
        pids = {pid for task, pid in results(events).items() if task.startswith("pid")}
        assert len(results(events)) == 8
        assert 1 <= len(pids) <= 2
        assert os.getpid() not in pids
        assert all(psutil.pid_exists(pid) for pid in pids)
        assert results(events)["memory"] == [False, False, False, 10**9]
        # its dashboard is off, though dask has an address for it
        assert not any("http" in note for note in notes(events))


@pytest.mark.slow
def test_a_scheduler_without_workers_is_waited_for(start: Start, scheduler: str) -> None:
    def watch(event: Event) -> list[str]:
        if event.kind == "note":
            start(*worker())
        return []

    events = carry_out(["first"], Scheduler(scheduler), watch)
    (note,) = notes(events)
    assert note.startswith(f"no worker yet at {scheduler}; waiting")
    assert results(events) == {"first": "did first"}


@pytest.mark.slow
def test_workers_that_cannot_do_the_tasks_are_named_and_retired(
    start: Start, scheduler: str
) -> None:
    blind = [start(*worker(), BLIND="yes") for _ in range(2)]
    start(*worker())
    wait_for_workers(scheduler, 3)
    events = carry_out([*(f"job {i}" for i in range(9)), "fail x"], Scheduler(scheduler))
    assert results(events) == {f"job {i}": f"did job {i}" for i in range(9)}
    assert [event.task for event in events if event.kind == "failed"] == ["fail x"]
    assert notes(events) == ["a worker is not used: sees nothing"]  # equal reasons once
    for process in blind:
        process.wait(60)


@pytest.mark.slow
def test_without_a_worker_that_can_do_the_tasks_the_execution_ends(
    start: Start, scheduler: str
) -> None:
    start(*worker(), BLIND="yes")
    start(*worker(threads=2))
    wait_for_workers(scheduler, 2)
    with pytest.raises(ClusterError) as caught:
        carry_out([f"job {i}" for i in range(9)], Scheduler(scheduler))
    first, *reasons = sorted(str(caught.value).splitlines(), key=len)
    assert (first, reasons[0]) == ("sees nothing", "no worker is left that can do the tasks:")
    assert "has a worker of 2 threads" in reasons[1]
    assert f"`dask worker {scheduler} --nthreads 1 --nworkers 2`" in reasons[1]


@pytest.mark.slow
def test_a_worker_with_another_version_is_not_used(
    start: Start, scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(*worker())
    wait_for_workers(scheduler, 1)
    monkeypatch.setattr("lowroad.execution.dask.__version__", "77")
    with pytest.raises(ClusterError, match=r"run by 77: install the same version everywhere"):
        carry_out(["first"], Scheduler(scheduler))


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_scheduler_that_dies_is_no_fault_of_the_tasks(
    start: Start, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    process = start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    start(*worker())
    events: list[Event] = []

    def watch(event: Event) -> list[str]:
        events.append(event)
        if event.kind == "started":
            process.kill()
        return []

    with pytest.raises(ClusterError, match="lost the connection to the scheduler at tcp://127"):
        carry_out(["sleep 60", "sleep 61"], Scheduler(address(tmp_path)), watch)
    assert {event.kind for event in events} <= {"note", "started", "progress"}
    assert "Traceback" not in "".join(capfd.readouterr())


def test_a_scheduler_that_does_not_answer_is_an_error_that_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lowroad.execution.clients.SECONDS_TO_CONNECT", 0.5)
    with pytest.raises(ClusterError, match=r"no dask scheduler answers at tcp://127.0.0.1:9"):
        carry_out(["first"], Scheduler("tcp://127.0.0.1:9"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        ("{", "got no JSON"),
        ("{}", "with an address"),
        ("[]", "with an address"),
        ('{"address": 3}', "with an address"),
        ('{"address": "tcp://127.0.0.1:9"}', "no dask scheduler answers at tcp://127.0.0.1:9"),
    ],
)
def test_a_scheduler_file_that_cannot_be_used_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, message: str
) -> None:
    monkeypatch.setattr("lowroad.execution.clients.SECONDS_TO_CONNECT", 0.5)
    file = tmp_path / "s.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ClusterError, match=message):
        carry_out(["first"], Scheduler(str(file)))


SBATCH = """#!/bin/bash
# Stands in for SLURM: the job runs here at once, and its number is its process group.
script={folder}/job-$$.sh
cp "${@: -1}" "$script"
setsid bash "$script" >> {folder}/jobs.log 2>&1 &
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/bash
for job in "$@"; do kill -- -$job 2>/dev/null; done
true
"""
CLUSTER = """
jobs = {{ most = 2 }}

[job]
cores = 2
memory = "2 GB"
walltime = "00:20:00"
interface = "lo"
local_directory = "{folder}"
log_directory = "{folder}"
python = "{python}"
job_script_prologue = ["echo begun"]
worker_extra_args = ["--resources", "GPU=1"]
"""


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slurm:
    """A cluster file, and commands on the PATH that stand in for SLURM's."""
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        (tmp_path / name).write_text(text.replace("{folder}", str(tmp_path)))
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", PATHS)
    file = tmp_path / "cluster.toml"
    file.write_text(CLUSTER.format(folder=tmp_path, python=sys.executable))
    return read_slurm(file)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_slurm_jobs_do_the_tasks(slurm: Slurm, tmp_path: Path) -> None:
    deaths = set()

    def watch(event: Event) -> list[str]:
        running = [one for one in DaskScheduler._instances if one.status.name == "running"]
        deaths.update(one.allowed_failures for one in running)
        return []

    tasks = ["fail x", "memory", *(f"pid {i}" for i in range(6)), "sleep 2"]
    events = carry_out(tasks, slurm, watch)
    assert len(results(events)) == 8
    assert os.getpid() not in results(events).values()
    assert [event.error for event in events if event.kind == "failed"] == [
        "ValueError: asked to fail"
    ]
    assert deaths == {20}
    assert results(events)["memory"][:3] == [False, False, False]
    assert any("http://" in note and note.endswith("/status") for note in notes(events))
    log = (tmp_path / "jobs.log").read_text()
    assert "Start worker at" in log
    scripts = [file.read_text() for file in tmp_path.glob("job-*.sh")]
    assert scripts
    for script in scripts:
        lines = script.splitlines()
        assert {"#SBATCH --cpus-per-task=2", "#SBATCH -t 00:20:00"} <= set(lines)
        for line in (
            "echo begun",
            "export MALLOC_ARENA_MAX=1",
            "export MALLOC_TRIM_THRESHOLD_=2147483648",
            "export MALLOC_MMAP_THRESHOLD_=33554432",
        ):
            assert lines.index(line) < len(lines) - 1
        assert lines[-1].startswith(f"{sys.executable} -m distributed.cli.dask_worker tcp://")
        for option in (
            *("--nthreads 1", "--nworkers 2", "--nanny", "--memory-limit 0.93GiB"),
            *("--lifetime 900s", "--lifetime-stagger 150s", "--resources GPU=1"),
        ):
            assert f" {option} " in f"{lines[-1]} "


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_job_that_ends_is_followed_by_another(
    slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lowroad.execution.slurm.SECONDS_TO_COME_BACK", 1.0)
    jobs: list[int] = []

    def watch(event: Event) -> list[str]:
        if event.kind == "finished" and event.task == "pid 0":
            jobs.append(os.getpgid(event.result))
        if event.kind == "progress" and event.step > 30 and len(jobs) == 1:
            os.killpg(jobs[0], signal.SIGKILL)
            jobs.append(0)
        return []

    events = carry_out(["pid 0", "sleep 4", "pid 1"], dataclasses.replace(slurm, most=1), watch)
    assert len(jobs) == 2
    assert len(results(events)) == 3
    assert len(list(tmp_path.glob("job-*.sh"))) == 2


def test_there_are_as_many_jobs_as_there_is_work_for(slurm: Slurm, tmp_path: Path) -> None:
    (tmp_path / "sbatch").write_text("#!/bin/bash\necho Submitted batch job $$\n")
    with SlurmJobs(dataclasses.replace(slurm, least=1, most=4), {}) as jobs:

        def names_after(tasks: int, workers: dict[str, bool]) -> list[str]:
            jobs.adjust(tasks, workers)
            return [name.rpartition("-")[2] for name in jobs.worker_spec]

        at_work = {"slurm-1-0": True, "slurm-1-1": False}
        idle = {f"slurm-{job}-{i}": False for job in (0, 2) for i in range(2)}
        assert names_after(0, {}) == ["0"]  # least
        assert names_after(5, {}) == ["0", "1", "2"]  # of two processes each
        assert names_after(99, at_work | idle) == ["0", "1", "2", "3"]  # most
        assert names_after(6, at_work | idle) == ["0", "1", "2"]  # none is at work that is queued
        assert names_after(1, at_work | idle) == ["1"]


def test_a_job_refused_while_others_are_at_work_is_asked_for_again(
    slurm: Slurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second submission finds the queue full; the third is taken."""
    sbatch = "#!/bin/bash\necho x >> {0}/asked\n[ $(wc -l < {0}/asked) = 2 ] && exit 1\n"
    (tmp_path / "sbatch").write_text(f"{sbatch.format(tmp_path)}echo Submitted batch job $$\n")
    monkeypatch.setattr("lowroad.execution.slurm.SECONDS_TO_COME_BACK", 0.5)
    with SlurmJobs(dataclasses.replace(slurm, most=2), {}) as jobs:
        at_work = {"slurm-0-0": True, "slurm-0-1": True}
        deadline = time.monotonic() + 60
        asked = tmp_path / "asked"
        while not asked.exists() or asked.read_text().count("x") < 3:
            jobs.adjust(9, at_work)
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert len(jobs.worker_spec) == 2


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_job_that_sbatch_refuses_ends_the_execution(
    slurm: Slurm, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "sbatch").write_text("#!/bin/bash\necho 'error: invalid queue' >&2; exit 1\n")
    with pytest.raises(ClusterError, match=r"cluster\.toml: (?s:no job can.*invalid queue)"):
        carry_out(["first"], slurm)
    assert "Traceback" not in "".join(capfd.readouterr())


def test_slurm_without_sbatch_is_an_error_that_says_so(
    slurm: Slurm, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(ClusterError, match="there is no sbatch here"):
        carry_out(["first"], slurm)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ('interface = "lo9"', "lo9"),
        ('log_directory = "/dev/null/logs"', "/dev/null/logs"),
        ("scheduler_options = { prot = 1 }", "prot"),
    ],
)
def test_a_job_that_dask_refuses_is_an_error_that_names_the_file(
    slurm: Slurm, entry: str, message: str
) -> None:
    name = entry.partition(" ")[0]
    lines = slurm.file.read_text().splitlines()
    slurm.file.write_text(
        "\n".join([line for line in lines if not line.startswith(name)] + [entry])
    )
    with pytest.raises(ClusterError, match=rf"cluster\.toml: .*{message}"):
        carry_out(["first"], read_slurm(slurm.file))

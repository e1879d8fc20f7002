"""Cluster files: what they mean, and what is said about those that cannot be used."""

from __future__ import annotations

import inspect
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dask_jobqueue.core import Job, JobQueueCluster
from dask_jobqueue.slurm import SLURMJob
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lowroad.execution.cluster_file import ENTRIES, read_slurm

RIGHT = {"cores": "1", "memory": "'1 GB'", "walltime": "'30:00'"}


def write(folder: Path, text: str) -> Path:
    path = folder / "cluster.toml"
    path.write_text(text, encoding="utf-8")
    return path


def job(**entries: str) -> str:
    """A cluster file with these entries beside the needed ones."""
    return "[job]\n" + "\n".join(f"{name} = {value}" for name, value in (RIGHT | entries).items())


def test_a_byte_order_mark_is_no_part_of_it(tmp_path: Path) -> None:
    marked = read_slurm(write(tmp_path, "\ufeff" + job()))
    assert marked == read_slurm(write(tmp_path, job()))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("jobs = 3\n" + job(), "jobs = { least"),
        ("jobs = { least = 3, most = 2 }\n" + job(), "most"),
        ("jobs = { most = true }\n" + job(), "most >= 1 in jobs, got {'most': True}"),
        ("[job]\ncores = 1\nmemory = '1 GB'", r"\[job\] needs walltime"),
        (job(walltime="'a day'"), "walltime such as"),
        (job(walltime="'00:00:00'"), "walltime such as"),
        (job(walltime="0"), "walltime such as"),
        (job(walltime="true"), "walltime: expected a text, got True"),
        (job(queeue="'x'"), "has no setting queeue; did you mean .queue."),
        (job(banana="'x'"), "has no setting banana; known: account, cores"),
        (job(cores="'1'"), "cores: expected a number from 1 to 9999, got '1'"),
        (job(cores="0"), "cores: expected a number from 1"),
        (job(cores="true"), "cores: expected a number from 1"),
        (job(memory="'1 GBB'"), "memory: expected a size such as \"64GB\", got '1 GBB'"),
        (job(memory="'1e999 GB'"), "memory: expected a size"),
        (job(memory="'-1 GB'"), "memory: expected a size"),
        (job(queue="3"), "queue: expected a text, got 3"),
        (job(job_script_prologue="'module load x'"), "job_script_prologue: expected a list of"),
        (job(job_extra_directives="[1]"), "job_extra_directives: expected a list of texts"),
        (job(processes="4"), "processes: leave it out"),
        ("queue = 'normal'", "unknown: queue"),
        ("[job", "not a TOML file"),
        ("", r"a table \[job\]"),
    ],
)
def test_cluster_files_that_cannot_be_used_say_why(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read_slurm(write(tmp_path, text))
    assert str(caught.value).startswith(str(tmp_path / "cluster.toml"))


def test_cluster_files_that_cannot_be_read_say_why(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere\.toml: expected a cluster file: No such file"):
        read_slurm(tmp_path / "nowhere.toml")
    with pytest.raises(ValueError, match="expected a cluster file: Is a directory"):
        read_slurm(tmp_path)


@pytest.mark.parametrize(
    ("walltime", "seconds"),
    [
        ("'1-12:00:00'", 129600),
        ("'1-12'", 129600),
        ("'1-02:30'", 95400),
        ("12:00:00", 43200),
        ("'30:10'", 1810),
        ("'90'", 5400),
        ("90", 5400),
    ],
)
def test_walltimes_are_those_of_slurm(tmp_path: Path, walltime: str, seconds: int) -> None:
    slurm = read_slurm(write(tmp_path, job(walltime=walltime)))
    assert slurm.seconds == seconds
    assert slurm.job["walltime"] == walltime.strip("'")


def test_workers_end_before_their_slurm_job_is_killed(tmp_path: Path) -> None:
    slurm = read_slurm(write(tmp_path, job(walltime="'1-00:00:00'")))
    lifetime, stagger = slurm.lifetime
    assert lifetime + stagger < 24 * 3600
    assert lifetime - stagger > 23 * 3600
    assert str(slurm) == "up to 1 SLURM job"


def test_all_entries_are_parameters_of_dask_jobqueue() -> None:
    known = set()
    for kind in (SLURMJob, Job, JobQueueCluster):
        known |= inspect.signature(kind.__init__).parameters.keys()
    assert ENTRIES.keys() <= known


names = st.sampled_from([*ENTRIES, "queeue", "processes", "Cores", "x"])
scalars = (
    st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["1", "64GB", "1 GBB", "12:00:00", "1-12", "0", ""])
    | st.text(st.characters(codec="utf-8", exclude_characters="\x7f", min_codepoint=32))
)
values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(names, scalars, max_size=3)


def toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {toml(item)}" for name, item in value.items()) + "}"
    return repr(value)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=st.dictionaries(names, values, max_size=4), jobs=values, bare=st.booleans())
def test_no_cluster_file_gives_a_traceback(
    tmp_path: Path, entries: dict[str, Any], jobs: Any, bare: bool
) -> None:
    written = (
        "\n".join(f"{name} = {toml(value)}" for name, value in entries.items())
        if bare
        else job(**{name: toml(value) for name, value in entries.items()})
    )
    try:
        slurm = read_slurm(write(tmp_path, f"jobs = {toml(jobs)}\n{written}"))
    except ValueError:
        return
    assert slurm.lifetime[0] > 0
    taken = slurm.job.keys() - {"scheduler_options", "log_directory"}  # not here: makes a folder
    options = {name: slurm.job[name] for name in taken}
    SLURMJob("tcp://here:1", "a job", processes=1, **options).job_script()


def test_an_interrupt_still_raises_once_slurm_is_at_hand() -> None:
    code = (
        "import signal, lowroad.execution.slurm\n"
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )

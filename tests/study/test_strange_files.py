"""What may lie in a study's directory instead of its own files: other kinds, other content."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from lowroad.study.config import StudyConfig
from lowroad.study.heartbeat import alive
from lowroad.study.resolve import resolve_study
from lowroad.study.results import load_results
from lowroad.study.run import RunSummary
from lowroad.study.snapshot import SnapshotFile
from lowroad.study.status import status
from lowroad.study.store import DamagedRecordError, Store
from lowroad.study.study_file import StudyFileError
from lowroad.study.verify import verify
from lowroad.study.worker import perform

from .conftest import HERE, Finished, digests, prepared

pytestmark = pytest.mark.timeout(60)  # what blocks shall fail soon


def go_on(config: StudyConfig, directory: Path) -> RunSummary:
    return prepared(config, directory).execute(1, lambda progress, event: None)


@pytest.fixture
def copy(finished: Finished, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished.directory, tmp_path / "copy"))


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        here = Path.cwd()
        os.chdir(path.parent)  # a socket's address is short
        try:
            made.bind(path.name[-60:])
        finally:
            os.chdir(here)
    os.rename(path.parent / path.name[-60:], path)


def make_device(path: Path) -> None:
    try:
        os.mknod(path, 0o020666, os.makedev(1, 5))  # /dev/zero, which has no end
    except PermissionError:
        pytest.skip("needs the right to make devices")


KINDS: dict[str, Callable[[Path], Any]] = {
    "a named pipe": os.mkfifo,
    "a folder": lambda path: (path / "within").mkdir(parents=True),
    "a symbolic link": lambda path: path.symlink_to("/dev/zero"),
    "a link to itself": lambda path: path.symlink_to(path),
    "a socket": make_socket,
    "a device": make_device,
}


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def a_record(directory: Path, measurement: str) -> str:
    store = Store(directory)
    found = (
        name for name in sorted(store.hashes())
        if json.loads(store.read_attributes(name)["task"])["measurement"] == measurement
    )  # fmt: skip
    return next(found)


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_that_is_no_regular_file(
    tiny: StudyConfig, finished: Finished, copy: Path, kind: str
) -> None:
    store, name = Store(copy), a_record(copy, "path")
    remove(store.path(name))
    KINDS[kind](store.path(name))
    told = f"{store.path(name)}: damaged record: expected a regular file, got "
    told += "a symbolic link" if "link" in kind else kind
    assert status(resolve_study(tiny, HERE), copy).damaged == [told]
    assert verify(copy).damaged == [told]
    results = load_results(copy)
    assert (results.missing, results.damaged) == (1, (told,))
    with pytest.raises(DamagedRecordError, match="expected a regular file"):
        store.read(name)
    run = prepared(tiny, copy)
    assert "moved to" in run.notes[0]
    assert run.execute(1, lambda progress, event: None).performed == 1
    assert digests(copy) == finished.digests
    assert os.path.lexists(copy / "quarantine" / f"{name}.nc")
    assert verify(copy).damaged == []


PLACES = (
    "study.toml",
    "problems.json",
    "index.csv",
    "running/elsewhere.1.json",
    "failures/abc.txt",
    "snapshots/abc.pt",
    "snapshot of a run",
    "records/ab",
    "records",
    "failures",
    "snapshots",
    "running",
    "report.html",
    "answers.json",
)


@pytest.mark.parametrize("place", PLACES)
def test_whatever_stands_in_a_files_place_is_moved_before_the_first_task(
    tiny: StudyConfig, finished: Finished, copy: Path, place: str
) -> None:
    """Each kind in turn; the study is whole again after one run."""
    store = Store(copy)
    store.path(a_record(copy, "path")).unlink()
    for kind in ("a named pipe", "a folder", "a link to itself", "a file"):
        path = copy / place
        if place == "snapshot of a run":
            run = prepared(tiny, copy)
            path = store.snapshot_path(
                next(
                    t for t in run.schedule.done.values() if t.measurement == "training"
                ).trajectory
            )
        folder = path.suffix == ""
        if kind == ("a folder" if folder else "a file"):
            continue
        remove(path)
        path.parent.mkdir(exist_ok=True)
        KINDS.get(kind, Path.touch)(path)
        assert alive(store).runs == 0
        assert SnapshotFile(path).load() is None
        verify(copy)
        if place not in ("study.toml", "problems.json"):
            status(resolve_study(tiny, HERE), copy)
            load_results(copy)
        run = prepared(tiny, copy)
        moved = any(str(path) in note and "moved to" in note for note in run.notes)
        assert moved or place == "index.csv"  # which the status may have replaced
        assert not os.path.lexists(path) or path.is_file()
    assert run.execute(1, lambda progress, event: None).failed == []
    assert digests(copy) == finished.digests
    assert verify(copy).damaged == []


@pytest.mark.parametrize("kind", ["a named pipe", "a link to itself", "a file"])
def test_a_quarantine_that_is_none(tiny: StudyConfig, copy: Path, kind: str) -> None:
    store, name = Store(copy), a_record(copy, "path")
    KINDS.get(kind, Path.touch)(copy / "quarantine")
    store.path(name).write_bytes(b"damaged")
    assert go_on(tiny, copy).performed == 1
    assert sorted(os.listdir(copy / "quarantine")) == sorted([f"{name}.nc", "quarantine"])
    assert verify(copy).damaged == []


def listed(**changes: Any) -> Callable[[bytes], bytes]:
    return lambda content: json.dumps({**json.loads(content), **changes}).encode()


LISTS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "text": lambda content: b"x",
    "no utf-8": lambda content: b"\xff\xfe",
    "a number": lambda content: b"9" * 5000,
    "nothing": lambda content: b"null",
    "deep": lambda content: b"[" * 100_000,
    "cut short": lambda content: content[: len(content) // 2],
    "another number": lambda content: content.replace(b'"dimension": ', b'"dimension": 1'),
    "another name": lambda content: content.replace(b'"net"', b'"nut"'),
    "no problems": listed(problems={}, facts={}, sha256=None),
    "a list": listed(problems=[], sha256=None),
    "unknown facts": listed(facts={"net": {"a": 1}}, sha256=None),
    "a folder": listed(folder=3, sha256=None),
}


@pytest.mark.parametrize("kind", LISTS)
def test_a_list_of_problems_of_any_content(
    tiny: StudyConfig, finished: Finished, copy: Path, kind: str
) -> None:
    path = copy / "problems.json"
    whole = json.loads(path.read_bytes())
    path.write_bytes(LISTS[kind](path.read_bytes()))
    told = f"{path}: damaged; `lowroad run` of the study writes it anew"
    with pytest.raises(StudyFileError) as caught:
        load_results(copy)
    assert caught.value.problems == (told,)
    assert verify(copy).study_file == (told,)
    assert prepared(tiny, copy).tasks == []
    found = verify(copy)
    assert (found.study_file, found.damaged) == ((), [])
    assert json.loads(path.read_bytes())["problems"] == whole["problems"]
    assert digests(copy) == finished.digests


def rewrite(store: Store, name: str, change: Callable[[xr.Dataset], xr.Dataset]) -> None:
    """Write a record with other content as the store writes it: all its checksums fit."""
    record = store.read(name)
    dataset = xr.Dataset(
        {each: (record.dimensions[each], array) for each, array in record.arrays.items()},
        attrs={k: v for k, v in record.attributes.items() if k != "content_sha256"},
    )
    store.write(name, change(dataset))


def without_number(name: str) -> Callable[[xr.Dataset], xr.Dataset]:
    return lambda dataset: dataset.assign_attrs({name: "no number"})


CHANGES: dict[str, tuple[str, Callable[[xr.Dataset], xr.Dataset], str]] = {
    "no point": ("training", lambda d: d.drop_vars("train_point"), "lacks the variable train_p"),
    "no curve": ("training", lambda d: d.drop_vars("train_values"), "lacks the variable train_v"),
    "no value": ("training", without_number("train_value"), "lacks the number train_value"),
    "no seconds": ("training", without_number("seconds"), "lacks the number seconds"),
    "no origin": ("path", without_number("computed_from"), "what it was computed from"),
    "short point": ("training", lambda d: d.isel(parameter=slice(3)), "numbers along parameter"),
    "short end": ("path", lambda d: d.isel(parameter=slice(3)), "numbers along parameter"),
    "flat": ("path", lambda d: d.assign(profile=d["profile"].sum()), "expected the dimensions"),
    "no profile": ("path", lambda d: d.drop_vars("profile"), "lacks the variable profile"),
    "no height": ("path", without_number("height"), "lacks the number height"),
    "empty": ("path", lambda d: d.isel(t=slice(0)), "numbers along t, got 0"),
    "NaN": ("training", lambda d: d.assign(train_point=d["train_point"] * np.nan), "not finite"),
    "NaN at t": ("path", lambda d: d.assign(t=d["t"] * np.nan), "t is not finite"),
    "deep": ("path", lambda d: d.assign_attrs(computed_from="[" * 9999), "was computed from"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_record_of_other_content_is_named_and_computed_again(
    tiny: StudyConfig, finished: Finished, copy: Path, change: str
) -> None:
    measurement, do, told = CHANGES[change]
    store, name = Store(copy), a_record(copy, measurement)
    rewrite(store, name, do)
    assert any(str(store.path(name)) in line and told in line for line in verify(copy).damaged)
    status(resolve_study(tiny, HERE), copy)
    results = load_results(copy)
    assert any(str(store.path(name)) in line and told in line for line in results.damaged)
    run = prepared(tiny, copy)
    assert any(f"{store.path(name)}: damaged record" in note for note in run.notes)
    assert run.execute(1, lambda progress, event: None).failed == []
    assert digests(copy) == finished.digests
    assert verify(copy).damaged == []


def swap(store: Store, one: str, other: str) -> None:
    contents = [store.path(name).read_bytes() for name in (one, other)]
    store.path(one).write_bytes(contents[1])
    store.path(other).write_bytes(contents[0])


@pytest.mark.parametrize("other", ["training", "path"])
def test_swapped_records_are_never_used(
    tiny: StudyConfig, finished: Finished, copy: Path, other: str
) -> None:
    store, one = Store(copy), a_record(copy, "training")
    two = a_record(copy, other)
    if other == "training":
        two = next(
            name for name in sorted(store.hashes() - {one})
            if json.loads(store.read_attributes(name)["task"])["measurement"] == "training"
        )  # fmt: skip
    swap(store, one, two)
    lines = [
        f"{store.path(name)}: damaged record: it is the record of another task"
        for name in sorted((one, two))
    ]
    assert verify(copy).damaged == lines
    assert status(resolve_study(tiny, HERE), copy).damaged == lines
    results = load_results(copy)
    assert set(lines) >= set(results.damaged) != set()
    assert not {one, two} & results.records.keys()
    task = next(t for t in prepared(tiny, finished.directory).schedule.done.values() if t.records)
    if one in task.records:  # a worker that is handed a task from it refuses
        with pytest.raises(DamagedRecordError, match="another task"):
            perform(task, None, store, lambda step, value: None)  # type: ignore[arg-type]
    assert go_on(tiny, copy).failed == []
    assert digests(copy) == finished.digests
    assert verify(copy).damaged == []


def test_what_was_computed_from_another_content_is_computed_again(
    tiny: StudyConfig, finished: Finished, copy: Path
) -> None:
    """A run's record is exchanged, its paths are computed, and then it is what it was before."""
    store = Store(copy)
    path = a_record(copy, "path")
    run = next(iter(json.loads(store.read_attributes(path)["computed_from"])))
    before = store.path(run).read_bytes()
    rewrite(store, run, lambda d: d.assign(train_point=d["train_point"] * 2))
    store.path(path).unlink()
    go_on(tiny, copy)
    assert digests(copy)[path] != finished.digests[path]
    store.path(run).write_bytes(before)
    told = f"{store.path(path)}: computed from another content of record {run}"
    assert told in verify(copy).damaged
    assert any(f"another content of record {run}" in each for each in load_results(copy).damaged)
    go_on(tiny, copy)
    assert digests(copy) == finished.digests
    assert verify(copy).damaged == []


BEATS = (
    "[" * 100_000,
    '{"a": 1e999}',
    '{"a": NaN}',
    '{"a": -3}',
    '{"a": 1' + "0" * 400 + "}",
    '{"a": "1"}',
    "\udcff",
)


def test_heartbeats_of_any_name_and_content_do_no_harm(copy: Path, tiny: StudyConfig) -> None:
    store = Store(copy)
    store.running.mkdir(exist_ok=True)
    host = os.uname().nodename
    for number, text in enumerate(BEATS):
        path = store.running / f"elsewhere.{number}.json"
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    for name in ("9" * 30, "²", "0x1", "-1", ""):
        (store.running / f"{host}.{name}.json").write_text('{"a": 1}')
    found = status(resolve_study(tiny, HERE), copy)
    assert (found.runs, found.workers) == (0, 0)
    assert go_on(tiny, copy).failed == []


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("seconds", "inf"),
        ("seconds", "nan"),
        ("seconds", "-1"),
        ("seconds", "1e308"),
        ("bytes", "9" * 5000),
        ("summary", "{}"),
        ("summary", "[" * 9999),
        ("summary", '{"train_value": "low"}'),
        ("summary", '{"train_value": null}'),
        ("summary", "[]"),
    ],
)
def test_an_index_of_any_content_does_no_harm(
    tiny: StudyConfig, copy: Path, column: str, text: str
) -> None:
    import csv

    study = resolve_study(tiny, HERE)
    first = status(study, copy)
    with Store(copy).index_file.open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row[column] = text
    with Store(copy).index_file.open("w") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    assert status(study, copy) == first

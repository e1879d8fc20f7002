"""`lowroad status`, `verify`, `report` and `export`, as a user meets them."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import lowroad
import lowroad.report
from lowroad.cli.directory_commands import Style
from lowroad.plotting.style import STYLES

from .conftest import PROBLEM, call


def test_the_page_on_the_store_names_all_that_a_run_leaves(done: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "store.md").read_text()
    (layout,) = re.findall(r"^\| in `DIR` .+?\n\n", page, re.MULTILINE | re.DOTALL)
    cells = re.findall(r"^\|(.+?)\|", layout, re.MULTILINE)
    named = {name for cell in cells for name in re.findall(r"`([\w.]+)", cell)}
    left = {path.name for path in done.iterdir()}
    assert {"report.html", "answers.json", "figures"} <= left <= named


@pytest.mark.usefixtures("quick_report")
def test_what_is_stored_while_a_report_is_written_makes_it_old(done: Path, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(done, tmp_path / "copy"))
    record = next((directory / "records").glob("*/*.nc"))
    real = lowroad.report.write_report

    def write_report(*arguments: Any) -> Path:
        record.write_bytes(record.read_bytes())
        return real(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lowroad.report, "write_report", write_report)
        assert call("report", directory).code == 0
    result = call("run", directory / "study.toml", "--out", directory)
    assert "Writing the report" in result.out


@pytest.mark.usefixtures("quick_report")
def test_a_report_can_be_written_elsewhere(done: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in done.rglob("*")}
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    result = call("report", done, "--out", elsewhere)
    assert (result.code, result.errors) == (0, "")
    assert f"Report: {elsewhere / 'report.html'}" in result.out
    assert (elsewhere / "report.html").read_text() == "0 missing, screen"
    assert {path: path.stat().st_mtime_ns for path in done.rglob("*")} == before


@pytest.mark.usefixtures("quick_report")
def test_status_and_report(done: Path, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(done, tmp_path / "copy"))
    result = call("status", directory)
    assert (result.code, result.errors) == (0, "")
    assert "12 of 12 tasks stored" in result.out
    result = call("report", directory)
    assert (result.code, result.errors) == (0, "")
    assert (directory / "report.html").read_text() == "0 missing, screen"
    assert call("report", directory, "--style", "paper").code == 0
    assert (directory / "report.html").read_text() == "0 missing, paper"
    result = call("report", directory, "--style", "poster")
    assert result.code == 2
    assert {style.value for style in Style} == set(STYLES)
    assert "'poster' is not one of 'screen', 'paper'" in result.errors


@pytest.mark.usefixtures("quick_report")
def test_a_damaged_record_is_named_by_each_command(done: Path, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(done, tmp_path / "copy"))
    path = sorted((directory / "records").glob("*/*.nc"))[0]
    path.write_bytes(path.read_bytes()[:-1])
    result = call("report", directory)
    assert result.code == 0
    assert f"{path}: damaged record" in result.errors
    assert "tasks are not stored yet" in result.errors
    assert (directory / "report.html").read_text() != "0 missing, screen"
    result = call("run", directory / "study.toml", "--out", directory, "--workers", 1)
    assert result.code == 0
    assert f"{path}: damaged record" in result.errors
    assert f"moved to {directory / 'quarantine' / path.name}" in result.errors
    assert "12 tasks, 11 stored, 1 to do" in result.out


def test_verify_counts_what_is_sound_and_names_what_is_not(done: Path, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(done, tmp_path / "copy"))
    result = call("verify", directory)
    assert (result.code, result.errors) == (0, "")
    assert "12 records and 4 snapshots" in result.out
    paths = sorted((directory / "records").glob("*/*.nc"))[:2]
    for path in paths:
        path.write_bytes(path.read_bytes()[:-1])
    result = call("verify", directory)
    assert result.code == 1
    assert "10 records and 4 snapshots" in result.out
    assert all(f"{path}: damaged record: " in result.errors for path in paths)
    assert "2 damaged; `lowroad run` moves damaged records of its study" in result.errors
    assert "The study file" not in result.errors
    assert len(list((directory / "records").glob("*/*.nc"))) == 12


@pytest.mark.usefixtures("quick_report")
def test_verify_tells_how_to_mend_a_study_file(done: Path, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(done, tmp_path / "copy"))
    whole = (directory / "study.toml").read_bytes()
    (directory / "study.toml").write_text("name = 3")
    result = call("verify", directory)
    assert result.code == 1
    assert f"{directory / 'study.toml'}: name: expected a string" in result.errors
    assert f"--out {directory}, writes it anew" in result.errors
    assert "damaged" not in result.errors
    (tmp_path / "own.toml").write_bytes(whole)
    (tmp_path / "cli_problem.py").write_text(PROBLEM)
    assert call("run", tmp_path / "own.toml", "--out", directory).code == 0
    assert call("verify", directory).code == 0


def test_a_damaged_list_of_problems_is_named(done: Path, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(done, tmp_path / "copy"))
    (directory / "problems.json").write_text("{}")
    for command in (["status"], ["report"], ["export", "--csv", str(tmp_path / "csv")]):
        result = call(command[0], directory, *command[1:])
        assert result.code == 2
        assert result.errors == (
            f"{directory / 'problems.json'}: damaged; `lowroad run` of the study writes it anew\n"
        )
    assert "problems.json: damaged" in call("verify", directory).errors


def test_status_names_snapshots_that_can_be_deleted(done: Path, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(done, tmp_path / "copy"))
    path = directory / "snapshots" / f"{'0' * 64}.pt"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"0" * 1_234_567)
    result = call("status", directory)
    assert "1 snapshot (1.2 MB) of runs that are not in the study" in result.out
    assert f"\n  {path}\n" in result.out


def test_export_writes_tables_and_a_zarr_store(done: Path, tmp_path: Path) -> None:
    tables, store = tmp_path / "tables", tmp_path / "tiny.zarr"
    command = ["export", done, "--csv", tables, "--zarr", store]
    result = call(*command)
    assert (result.code, result.errors) == (0, "")
    for path in (tables / "runs.csv", tables / "paths.csv", store):
        assert f"Written: {path}" in result.out
    assert len((tables / "paths.csv").read_text().splitlines()) == 1 + 8
    assert (store / ".zmetadata").is_file()
    again = call(*command)
    assert again.code == 1
    assert f"{store} exists: remove it" in again.errors


def test_status_tells_who_is_at_work(done: Path, tmp_path: Path) -> None:
    directory = Path(shutil.copytree(done, tmp_path / "copy"))
    path = sorted((directory / "records").glob("*/*.nc"))[0]
    path.unlink()
    (directory / "running").mkdir(exist_ok=True)
    (directory / "running" / "elsewhere.7.json").write_text(f'{{"{path.stem}": 0.0}}')
    result = call("status", directory)
    assert (result.code, result.errors) == (0, "")
    assert "1 run under way with 1 task" in result.out


def test_data_shows_the_verified_files() -> None:
    result = call("data")
    assert result.code == 0
    assert result.out.count(": verified, sha256 ") == 4

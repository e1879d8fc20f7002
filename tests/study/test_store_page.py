"""docs/store.md: its example runs, and its table names what is in a study's directory."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from lowroad.study.results import read_resolved
from lowroad.study.store import Store

from .conftest import Finished

PAGE = (Path(__file__).parents[2] / "docs" / "store.md").read_text()


def test_the_example_reads_records_without_lowroad(finished: Finished) -> None:
    (code,) = re.findall(r"```python\n(.+?)```", PAGE, re.DOTALL)
    assert "lowroad" not in code
    code = code.replace("runs/quick", str(finished.directory))
    out = subprocess.check_output([sys.executable, "-W", "error", "-c", code], text=True)
    store = Store(finished.directory)
    told = {line.split()[0]: line for line in out.splitlines()}
    assert told.keys() == finished.digests.keys()
    _, study = read_resolved(finished.directory)
    points = study.config.settings("net").paths.own["points"]
    for name, line in told.items():
        attributes = store.read_attributes(name)
        assert f"{attributes['title']} {attributes['outcome']}" in line
        parameters = re.search(r"'parameter': (\d+)", line)
        assert parameters is not None
        assert int(parameters[1]) == study.facts["net"].dimension
        if "straight_height" in attributes:
            assert f"'t': {points}" in line


def test_the_page_names_everything_in_the_directory(finished: Finished) -> None:
    store = Store(finished.directory)
    places = {path.relative_to(store.directory).parts[0] for path in store.directory.rglob("*")}
    places |= {"quarantine", store.running.name, store.index_file.name}
    places |= {store.failure_path("x").parent.name, store.snapshot_path("x").parent.name}
    named = set(re.findall(r"^\| `([\w.]+)", PAGE, re.MULTILINE))
    assert places <= named

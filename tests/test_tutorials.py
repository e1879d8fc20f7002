"""The tutorials run from beginning to end; their cells assert the numbers of the text.

After a change: .venv/bin/jupyter-execute --inplace docs/tutorials/*.ipynb, in an activated .venv.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.ipynb"))


def kinds_of_outputs(notebook: nbformat.NotebookNode) -> list[set[str]]:
    """What each code cell shows: text, a picture."""
    return [
        {kind for output in cell.outputs for kind in output.get("data", {output.output_type})}
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def test_there_are_tutorials():
    assert [path.stem for path in TUTORIALS] == ["ase_cluster", "your_two_checkpoints"]


@pytest.mark.slow
@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_it_runs_and_shows_what_is_stored(path, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    notebook = nbformat.read(path, as_version=4)
    stored = kinds_of_outputs(notebook)
    assert {"stream"} in stored
    assert any("image/png" in kinds for kinds in stored)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert kinds_of_outputs(notebook) == stored


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_it_is_stored_with_its_outputs_and_without_this_machine(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    texts = [output.get("text", "") + str(output.get("data", {})) for output in outputs]
    texts += [cell.source for cell in notebook.cells]
    for text in texts:
        for place in ("/home/", "/root/", "/tmp/", "/usr/", "site-packages", str(ROOT)):
            assert place not in text

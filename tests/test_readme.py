"""The README's example runs as it is printed, with fewer epochs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

README = Path(__file__).parents[1] / "README.md"


def test_the_example_runs(capsys, tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert "epochs=20" in code
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {}
    exec(code.replace("epochs=20", "epochs=3"), scope)
    results, problem = scope["results"], scope["problem"]
    assert (tmp_path / "report" / "report.html").stat().st_size > 1_000_000
    for name in ("Adam", "SGD"):
        expected = sorted(problem.train.value(run.point) for run in scope[name.lower()])
        runs = results.table("training", "problem")
        own = runs["source"].values == name
        assert sorted(runs["train_value"].values[own]) == expected
    barriers = results.table("path", "problem")["barrier"].values
    assert str(np.array(barriers)) in capsys.readouterr().out

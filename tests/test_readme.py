"""The README's example runs as it is printed, on fewer images."""

from __future__ import annotations

import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_the_example_runs(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert "subset(10000, 1000" in code
    assert "iterations=60" in code
    scope: dict[str, object] = {}
    exec(code.replace("10000, 1000", "100, 10").replace("=60", "=15"), scope)
    height, barrier, length, outcome = capsys.readouterr().out.split(maxsplit=3)
    landscape, ends, found = scope["landscape"], scope["ends"], scope["found"]
    assert float(height) == found.height
    assert found.height < landscape.values(0.5 * (ends[0] + ends[1])[None]).item()
    assert float(barrier) >= 0.0
    assert float(length) > float((ends[1] - ends[0]).norm())
    assert outcome.strip() == found.outcome.value

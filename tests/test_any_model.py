"""The examples of models, data and losses of all kinds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples" / "any_model"


@pytest.mark.parametrize("name", ["residual", "transformer", "gpt", "vae", "pinn"])
def test_an_example_runs_with_at_most_five_lines_of_glue(name: str) -> None:
    file = EXAMPLES / f"{name}.py"
    _, _, rest = file.read_text(encoding="utf-8").partition("# begin glue\n")
    glue, _, _ = rest.partition("# end glue")
    assert 1 <= sum(bool(line.strip()) for line in glue.splitlines()) <= 5
    done = subprocess.run(
        [sys.executable, str(file)],
        capture_output=True,
        text=True,
        timeout=200,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    numbers = re.fullmatch(r"losses (\S+) and (\S+), path height (\S+)\n", done.stdout)
    assert numbers, done.stdout
    first, second, height = map(float, numbers.groups())
    assert height >= 0.999 * max(first, second)


def test_the_page_s_example_runs_and_its_value_is_the_plain_mean() -> None:
    page = (ROOT / "docs" / "any_model.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.+?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    for landscape in (names["landscape"], names["problem"].train):
        value = landscape.value(landscape.initial_point())
        outputs = landscape.module(names["times"])
        expected = (outputs - torch.sin(6 * names["times"])).square().mean()
        assert value == pytest.approx(float(expected.detach()), rel=1e-6)

"""The examples of models, data and losses of all kinds."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples" / "any_model"


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

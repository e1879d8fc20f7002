"""docs/settings.md is what docs/make_settings.py makes of the code."""

from __future__ import annotations

import runpy
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_up_to_date() -> None:
    made = runpy.run_path(str(DOCS / "make_settings.py"))["made"]()
    assert (DOCS / "settings.md").read_text(encoding="utf-8") == made, (
        "a setting has changed: run `python docs/make_settings.py`"
    )

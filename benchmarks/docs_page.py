"""The places in the docs that benchmarks fill with ``--write``."""

from __future__ import annotations

from pathlib import Path

from lowroad.study.files import write_atomically

DOCS = Path(__file__).parents[1] / "docs"


def write_between(page: str, name: str, text: str) -> None:
    """Put ``text`` between the comments ``begin name`` and ``end name`` of a page of the docs."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    before, rest = (DOCS / page).read_text().split(begin)
    _, after = rest.split(end)
    write_atomically(DOCS / page, f"{before}{begin}\n{text}\n{end}{after}".encode())

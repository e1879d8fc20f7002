from __future__ import annotations

from pathlib import Path

import pytest

from lowroad.report import write_report
from report.synthetic import MadeResults, make_results


@pytest.fixture
def results() -> MadeResults:
    return make_results()


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of a complete study's report, with the paper's claims."""
    directory = tmp_path_factory.mktemp("report")
    write_report(make_results(claims="lowroad.paper:claims"), directory)
    return directory


@pytest.fixture
def no_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without figures as files: drawing them takes most of a report's time."""
    monkeypatch.setattr("lowroad.report.page.save_figures", lambda *_: [])

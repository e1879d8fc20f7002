from __future__ import annotations

from pathlib import Path

import pytest

from lowroad.plotting import SurfacePaths
from lowroad.report import write_report
from lowroad.report.summary import paths_on_two_wells
from lowroad.study.results import StudyResults
from report.synthetic import make_results


@pytest.fixture(scope="session")
def results() -> StudyResults:
    return make_results()


@pytest.fixture(scope="session")
def surface() -> SurfacePaths:
    return paths_on_two_wells(0)


@pytest.fixture
def quick_surface(surface: SurfacePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figure 3 computed once for all tests that make many summaries of one seed."""
    monkeypatch.setattr("lowroad.report.summary.paths_on_two_wells", lambda seed: surface)


@pytest.fixture(scope="session")
def written(results: StudyResults, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of a complete study's report."""
    directory = tmp_path_factory.mktemp("report")
    write_report(results, directory)
    return directory

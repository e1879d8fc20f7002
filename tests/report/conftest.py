from __future__ import annotations

from pathlib import Path

import pytest

from lowroad.report import write_report
from lowroad.study.results import StudyResults
from report.synthetic import make_results


@pytest.fixture(scope="session")
def results() -> StudyResults:
    return make_results()


@pytest.fixture(scope="session")
def written(results: StudyResults, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Directory of a complete study's report."""
    directory = tmp_path_factory.mktemp("report")
    write_report(results, directory)
    return directory

"""A study of 60 + 40 images that runs in seconds, and its finished store."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lowroad.study.config import StudyConfig
from lowroad.study.run import prepare_run
from lowroad.study.store import Store
from lowroad.study.study_file import parse_study

TINY: dict[str, Any] = {
    "name": "tiny",
    "networks": ["FCP"],
    "data": {"train": 60, "test": 40},
    "train": {
        "seeds": 3,
        "keep": 2,
        "sgd": {"epochs": 2, "batch_size": 20},
        "lbfgs": {"iterations": 3},
    },
    "paths": {"pairs": 1, "points": 7, "terms": 2, "steps": 3, "batch_size": 30},
}


@pytest.fixture
def raw() -> dict[str, Any]:
    """The tiny study as nested dictionaries, free to change."""
    return copy.deepcopy(TINY)


@pytest.fixture(scope="session")
def tiny() -> StudyConfig:
    return parse_study(TINY)


@dataclass(frozen=True)
class Finished:
    directory: Path
    digests: dict[str, str]


@pytest.fixture(scope="session")
def finished(tiny: StudyConfig, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The tiny study, run to its end in this process without a break."""
    directory = tmp_path_factory.mktemp("finished") / "tiny"
    summary = prepare_run(tiny, directory).perform(1, lambda tally, event: None)
    assert (summary.performed, summary.failed, summary.waiting) == (14, [], 0)
    return Finished(directory, digests(directory))


MEASURED: dict[str, Any] = TINY | {
    "planes": {"pairs": 1, "resolution": 5, "images": 30},
    "sharpness": {"runs": 1, "images": 20, "eigenvalues": 2, "samples": 3},
}


@pytest.fixture(scope="session")
def measured_config() -> StudyConfig:
    """The tiny study with planes and sharpness."""
    return parse_study(copy.deepcopy(MEASURED))


@pytest.fixture(scope="session")
def measured(measured_config: StudyConfig, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    directory = tmp_path_factory.mktemp("measured") / "tiny"
    summary = prepare_run(measured_config, directory).perform(1, lambda tally, event: None)
    assert (summary.performed, summary.failed, summary.waiting) == (14 + 4, [], 0)
    return Finished(directory, digests(directory))


def digests(directory: Path) -> dict[str, str]:
    """The content checksum of every record, by hash."""
    store = Store(directory)
    return {name: store.read_attributes(name)["content_sha256"] for name in store.hashes()}

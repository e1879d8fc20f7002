"""A study of a small network that runs in a second, and its finished store."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lowroad.study.config import StudyConfig
from lowroad.study.run import PreparedRun, prepare_run
from lowroad.study.store import Store
from lowroad.study.study_file import parse_study

HERE = Path(__file__).parent
TINY: dict[str, Any] = {
    "name": "tiny",
    "problems": {"net": {"from": "tiny_network_problem:net"}},
    "optimizers": {
        "sgd": {"method": "sgd", "epochs": 2, "batch_size": 20},
        "lbfgs": {"method": "lbfgs", "iterations": 3},
    },
    "train": {"seeds": 3, "keep": 2},
    "paths": {"pairs": 1, "points": 7, "terms": 2, "steps": 3, "batch_size": 15},
    "metrics": {"solutions": False},
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


def prepared(config: StudyConfig, directory: Path, **more: Any) -> PreparedRun:
    """A run of a study whose modules are in this folder."""
    return prepare_run(config, directory, HERE, **more)


@pytest.fixture(scope="session")
def finished(tiny: StudyConfig, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The tiny study, run to its end in this process without a break."""
    directory = tmp_path_factory.mktemp("finished") / "tiny"
    summary = prepared(tiny, directory).execute(1, lambda progress, event: None)
    assert (summary.performed, summary.failed, summary.waiting) == (14, [], 0)
    return Finished(directory, digests(directory))


MEASURED: dict[str, Any] = TINY | {
    "planes": {"pairs": 1, "resolution": 5},
    "sharpness": {"runs": 1, "eigenvalues": 2, "vectors": 3},
    "metrics": {"solutions": True},
}


@pytest.fixture(scope="session")
def measured_config() -> StudyConfig:
    """The tiny study with planes, sharpness and metrics."""
    return parse_study(copy.deepcopy(MEASURED))


@pytest.fixture(scope="session")
def measured(measured_config: StudyConfig, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    directory = tmp_path_factory.mktemp("measured") / "tiny"
    summary = prepared(measured_config, directory).execute(1, lambda progress, event: None)
    assert (summary.failed, summary.waiting) == ([], 0)
    return Finished(directory, digests(directory))


def digests(directory: Path) -> dict[str, str]:
    """The content checksum of every record, by hash."""
    store = Store(directory)
    return {name: store.read_attributes(name)["content_sha256"] for name in store.hashes()}

"""The studies that come along besides the paper's: all they name is found and fits."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from lowroad.study.resolve import resolve_study
from lowroad.study.resolved import Study
from lowroad.study.study_file import StudyFileError, read_study

ROOT = Path(__file__).parents[2]


def resolved(path: Path) -> Study:
    return resolve_study(read_study(path), path.parent)


@pytest.fixture(autouse=True)
def own_modules(monkeypatch):
    """Modules of a study's folder are forgotten again."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in ("mywork", "sam"):
        sys.modules.pop(name, None)


def test_six_optimizers(mnist):
    config = resolved(ROOT / "studies" / "optimizers.toml").config
    settings = config.settings("FCP")
    assert len(config.sets("FCP", ("train", "test"), validation=False)) == 12
    assert (settings.train.seeds, settings.train.keep) == (8, 6)
    others = [second for first, second in settings.paths.between if first == "sgd"]
    assert sorted([*others, "sgd"]) == sorted(settings.optimizers)


def test_cluster():
    study = resolved(ROOT / "examples" / "cluster_study" / "study.toml")
    facts, settings = study.facts["LJ13"], study.config.settings("LJ13")
    assert (facts.dimension, facts.merges, facts.aligns) == (39, True, True)
    assert settings.paths.pairs == settings.train.keep * (settings.train.keep - 1) // 2


def test_own_network_needs_its_checkpoints(tmp_path):
    folder = tmp_path / "own_study"
    shutil.copytree(
        ROOT / "examples" / "own_study", folder, ignore=shutil.ignore_patterns("checkpoints")
    )
    with pytest.raises(StudyFileError, match=r"checkpoints.mine.files: no file matches"):
        resolved(folder / "study.toml")

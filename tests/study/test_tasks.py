from __future__ import annotations

import hashlib
import json
import pickle
import subprocess
import sys
from typing import Any

import pytest

from lowroad.study.config import DataSettings, LbfgsSettings, PathSettings, SgdSettings
from lowroad.study.tasks import PathTask, TrainingTask, canonical_json, derived_seed

TRAINING: dict[str, Any] = {
    "network": "FCP",
    "activation": "softplus",
    "data": DataSettings(train=5000, test=2000),
    "study_seed": 7,
    "seed": 3,
    "settings": SgdSettings(learning_rate=0.1, epochs=20, batch_size=64),
}
PATH: dict[str, Any] = {
    "network": "FCP",
    "activation": "softplus",
    "data": DataSettings(train=5000, test=2000),
    "study_seed": 7,
    "weights": "sgd_test",
    "landscape": "train",
    "seeds": (0, 3),
    "records": ("a" * 64, "b" * 64),
    "settings": PathSettings(pairs=2, batch_size=500),
}
# Names of records in people's stores: these may change only together with the tasks' VERSION.
TRAINING_HASH = "e91db25e4403cfbc17b7b0fe0d7d1945bb33dec716365bb76530e84df97523ce"
PATH_HASH = "c5a93e86ba3b29525ebdc756c515bf2609d2b6e79f2ae1081403956d51912a2a"


def test_hashes_are_those_of_stores_that_exist() -> None:
    assert TrainingTask(**TRAINING).hash == TRAINING_HASH
    assert PathTask(**PATH).hash == PATH_HASH


def test_a_hash_is_the_sha256_of_canonical_json() -> None:
    task = PathTask(**PATH)
    text = json.dumps(task.determinants(), sort_keys=True, separators=(",", ":"))
    assert task.hash == hashlib.sha256(text.encode()).hexdigest()


def test_a_hash_is_the_same_in_another_process() -> None:
    code = "import pickle, sys; print(pickle.load(sys.stdin.buffer).hash)"
    task = TrainingTask(**TRAINING)
    out = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(task), capture_output=True, check=True
    )
    assert out.stdout.decode().strip() == TRAINING_HASH


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("network", "LSTM"),
        ("activation", "relu"),
        ("data", DataSettings(train=5000, test=1990)),
        ("study_seed", 8),
        ("seed", 4),
        ("settings", SgdSettings(learning_rate=0.1, epochs=21, batch_size=64)),
        ("settings", LbfgsSettings()),
    ],
)
def test_whatever_determines_a_training_run_changes_its_hash(change: str, value: Any) -> None:
    assert TrainingTask(**{**TRAINING, change: value}).hash != TRAINING_HASH


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("weights", "sgd_train"),
        ("landscape", "test"),
        ("records", ("b" * 64, "a" * 64)),
        ("settings", PathSettings(pairs=2, batch_size=500, smoothness=0.02)),
        ("settings", PathSettings(pairs=2)),
    ],
)
def test_whatever_determines_a_path_changes_its_hash(change: str, value: Any) -> None:
    assert PathTask(**{**PATH, change: value}).hash != PATH_HASH


def test_the_number_of_pairs_does_not_change_a_path() -> None:
    settings = PathSettings(pairs=20, batch_size=500)
    assert PathTask(**{**PATH, "settings": settings}).hash == PATH_HASH


def test_whole_numbers_and_fractions_are_the_same_setting() -> None:
    one, same = SgdSettings(learning_rate=1), SgdSettings(learning_rate=1.0)
    assert canonical_json(one.model_dump()) == canonical_json(same.model_dump())


def test_both_optimizers_begin_at_the_same_weights_and_seeds_differ() -> None:
    sgd = TrainingTask(**TRAINING)
    lbfgs = TrainingTask(**{**TRAINING, "settings": LbfgsSettings()})
    other = TrainingTask(**{**TRAINING, "seed": 4})
    use = "initial weights"
    assert sgd.generator_seed(use) == lbfgs.generator_seed(use)
    assert len({sgd.generator_seed(use), other.generator_seed(use), sgd.generator_seed("x")}) == 3


def test_derived_seeds_keep_their_parts_apart() -> None:
    assert derived_seed("a", "b") != derived_seed("ab")
    assert derived_seed(1, 12) != derived_seed(11, 2)
    assert all(0 <= derived_seed(i) < 2**63 for i in range(100))
    assert len({derived_seed(i) for i in range(1000)}) == 1000

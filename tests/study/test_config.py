from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from lowroad.models import MODELS
from lowroad.study.config import NETWORKS, StudyConfig
from lowroad.study.study_file import StudyFileError, parse_study


def problems(raw: dict[str, Any]) -> list[str]:
    with pytest.raises(StudyFileError) as caught:
        parse_study(raw)
    return list(caught.value.problems)


def test_defaults_are_the_papers_numbers() -> None:
    config = parse_study({"name": "paper"})
    assert config.networks == ("FCP", "LeNet", "Autoencoder", "LSTM")
    assert (config.data.train, config.data.test) == (60_000, 10_000)
    assert (config.train.seeds, config.train.keep) == (75, 48)
    assert (config.train.sgd.learning_rate, config.train.sgd.epochs) == (0.1, 80)
    assert config.train.sgd.batch_size == 64
    assert (config.train.lbfgs.iterations, config.train.lbfgs.history) == (1000, 10)
    assert (config.train.lbfgs.evaluations, config.train.lbfgs.first_step) == (6, 0.2)
    assert (config.paths.points, config.paths.terms, config.paths.steps) == (51, 10, 100)
    assert (config.paths.learning_rate, config.paths.batch_size) == (1e-3, None)


def test_networks_are_those_that_there_are() -> None:
    assert set(NETWORKS) == set(MODELS)


def test_a_config_is_frozen(tiny: StudyConfig) -> None:
    with pytest.raises(ValidationError):
        tiny.seed = 1  # type: ignore[misc]


def test_a_networks_table_overrides_only_what_it_names(raw: dict[str, Any]) -> None:
    raw["network"] = {"LSTM": {"train": {"lbfgs": {"iterations": 60}}, "paths": {"points": 9}}}
    config = parse_study(raw)
    own, other = config.settings("LSTM"), config.settings("FCP")
    assert (own.train.lbfgs.iterations, own.paths.points) == (60, 9)
    assert own.train.lbfgs.history == other.train.lbfgs.history
    assert (own.train.seeds, own.train.sgd) == (3, other.train.sgd)
    assert (other.train.lbfgs.iterations, other.paths.points) == (3, 7)


def test_each_problem_is_named_with_its_place_and_what_came() -> None:
    assert problems(
        {
            "seed": -1,
            "networks": ["FCP", "LeNett", "lstm"],
            "activation": "reLu",
            "data": {"train": 1.5, "test": True},
            "paths": {"pairs": "many", "learning_rate": float("nan")},
            "analysis": {"gamma": "wide"},
        }
    ) == [
        'name: missing; expected a line such as name = "quick"',
        "seed: expected greater than or equal to 0, got -1",
        "networks[1]: expected 'FCP', 'LeNet', 'Autoencoder' or 'LSTM', got \"LeNett\"; "
        'did you mean "LeNet"?',
        "networks[2]: expected 'FCP', 'LeNet', 'Autoencoder' or 'LSTM', got \"lstm\"; "
        'did you mean "LSTM"?',
        "activation: expected 'softplus' or 'relu', got \"reLu\"; did you mean \"relu\"?",
        "data.train: expected a whole number, got 1.5",
        "data.test: expected a whole number, got true",
        'paths.pairs: expected a whole number, got "many"',
        "paths.learning_rate: expected a finite number, got nan",
        'analysis.gamma: expected "1/D", "median" or a positive number, got "wide"',
    ]


@pytest.mark.parametrize(
    ("place", "suggestion"),
    [
        (("train", "sgd", "epoch"), 'did you mean "epochs"?'),
        (("trian",), 'did you mean "train"?'),
        (("epochs",), 'did you mean "train.sgd.epochs"?'),
        (("train", "epoch"), 'did you mean "train.sgd.epochs"?'),
        (("network", "LSTM", "paths", "point"), 'did you mean "points"?'),
        (("data", "zzz"), "known here: train, test"),
    ],
)
def test_an_unknown_key_gets_the_nearest_known_name(
    place: tuple[str, ...], suggestion: str
) -> None:
    raw: dict[str, Any] = {"name": "a"}
    table = raw
    for part in place[:-1]:
        table = table.setdefault(part, {})
    table[place[-1]] = 1
    assert problems(raw) == [f"{'.'.join(place)}: no such setting; {suggestion}"]


def test_a_mistake_in_train_is_said_once_in_spite_of_overrides(raw: dict[str, Any]) -> None:
    raw["train"]["seeds"] = "many"
    raw["network"] = {"LSTM": {"paths": {"points": 9}}, "FCP": {"train": {"keep": 2}}}
    assert problems(raw) == ['train.seeds: expected a whole number, got "many"']


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"train": {"seeds": 2, "keep": 3}}, "train.keep: expected at most train.seeds = 2"),
        ({"train": {"keep": 1}}, "train.keep: expected greater than or equal to 2, got 1"),
        ({"paths": {"pairs": 2}}, "paths.pairs: expected at most 1, the number of different"),
        ({"paths": {"points": 2}}, "paths.points: expected greater than or equal to 3, got 2"),
        ({"paths": {"terms": 6}}, "paths.terms: expected at most paths.points - 2 = 5"),
        ({"paths": {"batch_size": 41}}, "paths.batch_size: expected at most 40, the smaller of"),
        ({"train": {"sgd": {"batch_size": 61}}}, "train.sgd.batch_size: expected at most data."),
        ({"data": {"train": 60_001}}, "data.train: expected less than or equal to 60000"),
        ({"data": {"train": 55_000}}, "data.train: expected at most 54210, or all 60000"),
        ({"data": {"test": 9_000}}, "data.test: expected at most 8920, or all 10000"),
        ({"networks": ["FCP", "FCP"]}, "networks: expected each network once"),
        ({"networks": []}, "networks: "),
        (
            {"network": {"FCP": {"train": {"keep": 4}}}},
            "network.FCP.train.keep: expected at most train.seeds = 3",
        ),
        ({"name": "a/b"}, "name: expected to match pattern"),
        ({"name": "a\n"}, "name: expected to match pattern"),
    ],
)
def test_settings_that_do_not_fit_are_refused(
    raw: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    for key, value in change.items():
        raw[key] = {**raw.get(key, {}), **value} if isinstance(value, dict) else value
    assert any(line.startswith(message) for line in problems(raw)), problems(raw)


def test_numbers_of_images_that_can_be_balanced(mnist: Any) -> None:
    least = [int(part.labels.bincount().min()) for part in (mnist.train, mnist.test)]
    for part, most in zip(("train", "test"), least, strict=True):
        parse_study({"name": "a", "data": {part: 10 * most}})
        assert problems({"name": "a", "data": {part: 10 * most + 1}})

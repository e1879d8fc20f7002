"""What a problem refuses, and its splits."""

from __future__ import annotations

import pytest
import torch

from lowroad.landscapes import AnaPot, FunctionLandscape, LennardJones, MullerBrown
from lowroad.problems import Problem
from lowroad.problems.problem import TAKEN
from lowroad.study.measurements.metric import METRIC
from lowroad.study.netcdf import NETCDFS_OWN, PROVENANCE


def start(generator):
    return torch.zeros(2, dtype=torch.float64)


def made(**changes):
    return Problem(**{"train": MullerBrown(), "start": start, **changes})


def test_splits():
    train, test = MullerBrown(), AnaPot()
    both = made(train=train, test=test)
    assert both.splits == ("train", "test")
    assert both.landscape("train") is train
    assert both.landscape("test") is test
    assert made(train=train, validation=test).splits == ("train",)
    with pytest.raises(ValueError, match="expected a split among train, got 'test'"):
        made().landscape("test")
    with pytest.raises(ValueError, match="expected a split among train, test, got 'all'"):
        both.landscape("all")


@pytest.mark.parametrize(
    ("field", "value", "error", "message"),
    [
        ("train", torch.nn.Linear(2, 2), TypeError, "train: expected a landscape.*got Linear"),
        ("train", None, TypeError, "train: expected a landscape.*got NoneType"),
        ("test", 3, TypeError, "test: expected a landscape.*got int"),
        ("test", LennardJones(2), ValueError, "test: .* 2 components .* got 6"),
        ("validation", LennardJones(2), ValueError, "validation: .* 2 components .* got 6"),
        ("start", None, TypeError, "start: expected a function, got NoneType"),
        ("start", torch.zeros(2), TypeError, "start: expected a function, got Tensor"),
        ("align", 1, TypeError, "align: expected a function, got int"),
        ("same", True, TypeError, "same: expected a function, got bool"),
        ("metrics", ["error"], TypeError, "metrics: expected functions .* by name.*got list"),
        ("metrics", {"error": 0.1}, TypeError, r"metrics\['error'\]: expected a function"),
        ("metrics", {"value": start}, ValueError, "choose another name"),
        ("metrics", {"seconds": start}, ValueError, '"seconds" is what a record itself has'),
        ("metrics", {"seed": start}, ValueError, '"seed" is what a record itself has'),
        ("metrics", {"top/1": start}, ValueError, "expected a name without .* got 'top/1'"),
        ("metrics", {"_norm": start}, ValueError, "expected a name without .* got '_norm'"),
        ("metrics", {"": start}, ValueError, "expected a name without .* got ''"),
        ("metrics", {1: start}, ValueError, "expected a name without .* got 1"),
        ("quantity", None, TypeError, "quantity: expected a string, got NoneType"),
        ("unit", 1, TypeError, "unit: expected a string, got int"),
        ("lower_bound", float("nan"), ValueError, "lower_bound: expected a finite number"),
        ("lower_bound", "0", ValueError, "lower_bound: expected a finite number or None, got '0'"),
    ],
)
def test_refusals(field, value, error, message):
    with pytest.raises(error, match=message):
        made(**{field: value})


def test_metrics_cannot_have_the_names_of_what_stands_beside_them():
    labels = {"problem", "set", "seed", "split", METRIC.row, *METRIC.numbers}
    written = {"title", "task", "computed_from", *PROVENANCE, *NETCDFS_OWN}
    assert labels | written == TAKEN


def test_other_types_of_numbers_are_refused():
    single = FunctionLandscape(lambda x: (x**2).sum(), 2, torch.float32)
    with pytest.raises(ValueError, match=r"test: .*float64.*got 2 of torch.float32"):
        made(test=single)


def test_a_metric_may_have_a_fields_name():
    assert made(metrics={"start": lambda landscape, point: 1.0}).start is start

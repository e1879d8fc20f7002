"""Optimizers by name: how they are found, what can be set, and what is refused before any work."""

from __future__ import annotations

import importlib.metadata
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from lowroad.importing import import_object
from lowroad.landscapes import FunctionLandscape
from lowroad.optimizers import StrongWolfe, lbfgs, optimize, settings_of, sgd, train
from lowroad.optimizers.line_searches import LINE_SEARCHES, line_search_options
from lowroad.optimizers.method import check_settings
from lowroad.seeds import derived_seed
from optimizers.optimizer_cases import (
    Sam,
    assert_same,
    bowl_problem,
    gradient_descent,
    network_problem,
    seeded,
)

CASES_MODULE = Sam.__module__


def needs(problem, start, generator, report, rate, *, steps=3, resume=None):
    return start


def takes_anything(problem, start, generator, report, **options):
    return start


def test_sgd_and_lbfgs_by_name_are_the_functions():
    problem = network_problem()
    start = problem.start(seeded(1))
    (direct,) = sgd(
        problem.train,
        start[None],
        generators=[seeded()],
        learning_rate=0.2,
        epochs=3,
        batch_size=8,
        momentum=0.5,
        weight_decay=0.01,
        validation=problem.test,
    )
    settings = {
        "learning_rate": 0.2,
        "epochs": 3,
        "batch_size": 8,
        "momentum": 0.5,
        "weight_decay": 0.01,
    }
    assert_same(optimize("sgd", problem, start, seeded(), settings=settings), direct)
    direct = lbfgs(
        problem.train,
        start,
        line_search=StrongWolfe(c2=0.4, budget=7),
        iterations=12,
        history=4,
        validation=problem.test,
    )
    settings = {
        "line_search": "strong_wolfe",
        "c2": 0.4,
        "budget": 7,
        "iterations": 12,
        "history": 4,
    }
    assert_same(optimize("lbfgs", problem, start, seeded(), settings=settings), direct)


@pytest.mark.parametrize("name", LINE_SEARCHES)
def test_lbfgs_takes_a_line_search_by_name(name):
    problem = network_problem()
    start = problem.start(seeded(1))
    by_name = lbfgs(problem.train, start, line_search=name, iterations=8)
    assert_same(
        by_name, lbfgs(problem.train, start, line_search=LINE_SEARCHES[name](), iterations=8)
    )


def test_early_stopping_selects_on_the_validation_landscape():
    problem = bowl_problem()
    problem.test = FunctionLandscape(lambda x: (x - 1).square().sum(1), 2)
    problem.validation = FunctionLandscape(lambda x: (x - 2).square().sum(1), 2)
    start = torch.zeros(2, dtype=torch.float64)
    result = optimize("sgd", problem, start, seeded(), settings={"learning_rate": 0.01})
    assert result.validation_point.tolist() == pytest.approx([2.0, 2.0], abs=0.05)


def test_a_schedule_of_sgd_is_that_of_the_torch_class():
    problem = network_problem()
    start = problem.start(seeded(1))
    common = {
        "epochs": 4,
        "batch_size": 8,
        "scheduler": "torch.optim.lr_scheduler.ExponentialLR",
        "scheduler_options": {"gamma": 0.5},
    }
    settings = {"learning_rate": 0.3, "momentum": 0.9, **common}
    scheduled = optimize("sgd", problem, start, seeded(), settings=settings)
    (by_callable,) = sgd(
        problem.train,
        start[None],
        generators=[seeded()],
        learning_rate=lambda epoch: 0.3 * 0.5**epoch,
        momentum=0.9,
        epochs=4,
        batch_size=8,
    )
    assert scheduled.history.values == pytest.approx(by_callable.history.values, rel=1e-9)


@pytest.mark.parametrize(
    "method", [Sam, f"{CASES_MODULE}.Sam", f"{CASES_MODULE}:Sam", "registered_sam"]
)
def test_a_class_is_found_by_path_by_name_or_as_it_is(method, monkeypatch):
    register(monkeypatch, registered_sam=f"{CASES_MODULE}:Sam")
    problem = network_problem()
    start = problem.start(seeded(1))
    settings = {"options": {"lr": 0.2}, "epochs": 2}
    result = optimize(method, problem, start, seeded(), settings=settings)
    assert_same(result, optimize(Sam, problem, start, seeded(), settings=settings))


@pytest.mark.parametrize("method", [gradient_descent, f"{CASES_MODULE}:gradient_descent", "mine"])
def test_a_function_is_found_by_path_by_name_or_as_it_is(method, monkeypatch):
    register(monkeypatch, mine=f"{CASES_MODULE}:gradient_descent")
    problem = network_problem()
    start = problem.start(seeded(1))
    result = optimize(method, problem, start, seeded(), settings={"epochs": 3})
    assert result.iterations == 3
    assert settings_of(method) == {"rate": 0.2, "epochs": 6}


def register(monkeypatch, **paths):
    found = [
        importlib.metadata.EntryPoint(name, path, "lowroad.optimizers")
        for name, path in paths.items()
    ]
    monkeypatch.setitem(optimize.__globals__, "entry_points", lambda group: found)


def test_settings_and_their_defaults():
    assert settings_of("sgd")["learning_rate"] == 0.1
    assert settings_of("torch.optim.Adam") == settings_of(Sam)
    for name in LINE_SEARCHES:
        assert (
            settings_of("lbfgs", {"line_search": name}).items()
            >= {**line_search_options(name)}.items()
        )
    assert settings_of("lbfgs", {"line_search": StrongWolfe()})["iterations"] == 1000
    assert settings_of(needs) == {"rate": None, "steps": 3}
    assert settings_of(takes_anything) == {}
    for method in ("sgd", "lbfgs", "torch.optim.Adam"):
        check_settings(method, settings_of(method))
    check_settings(takes_anything, {"whatever": 3})


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("sdg", {}, 'method: there is no optimizer "sdg"; did you mean "sgd"'),
        (
            "adam",
            {},
            'method: there is no optimizer "adam"; known: sgd, lbfgs; others.*torch.optim.Adam',
        ),
        ("torch.optim.Addam", {}, 'method: .* has no "Addam"; did you mean "Adam"'),
        ("nowhere.at_all.Adam", {}, 'method: there is no module "nowhere"'),
        ("nowhere:function", {}, 'method: there is no module "nowhere"'),
        ("torch.nn.Linear", {}, "method: expected a class with the interface of torch.optim"),
        ("math:pi", {}, "method: .* class or a function, got 'math:pi', which is float"),
        ("os.environ", {}, "method: .* class or a function, got 'os.environ', which is _Environ"),
        ("os.path.join", {}, r"method: .* got os.path.join\(a, \*p\): a function of a library"),
        ("shutil:copytree", {}, r"method: .* got shutil:copytree\(src, dst, .*of a library that"),
        ("numpy.linspace", {}, r"method: .*linspace\(start, stop, .* write one of your own that"),
        ("scipy.optimize.minimize", {}, r"method: .*minimize\(fun, x0, .* a function of a library"),
        ("torch.nn.functional.mse_loss", {}, "method: .*mse_loss.* a function of a library"),
        ("builtins.print", {}, "method: .*print.* a function of a library"),
        ("math:sqrt", {}, r"method: expected a function \(problem, start, generator, report"),
        (3, {}, "method: expected an optimizer class or a function, got 3"),
        ("sgd", {"learning_rat": 1}, '^learning_rat: sgd has no .* did you mean "learning_rate"'),
        ("sgd", {"zzz": 1}, "^zzz: sgd has no such setting; known: learning_rate, "),
        ("sgd", {"learning_rate": -0.1}, "^learning_rate: expected a positive number .* got -0.1"),
        ("sgd", {"learning_rate": None}, "^learning_rate: expected a positive number .* got None"),
        ("sgd", {"epochs": 0}, "^epochs: expected a whole number of at least 1, got 0"),
        ("sgd", {"epochs": True}, "^epochs: expected a whole number of at least 1, got True"),
        ("sgd", {"batch_size": "all"}, "^batch_size: .* or \"full\", got 'all'"),
        ("sgd", {"momentum": 1}, r"^momentum: expected a number in \[0, 1\), got 1"),
        ("sgd", {"weight_decay": -1}, "^weight_decay: expected a number of at least 0, got -1"),
        ("sgd", {"patience": 0}, "^patience: expected a whole number of at least 1, got 0"),
        ("sgd", {"scheduler": "torch.nn.Linear"}, "^scheduler: expected a class of torch.optim.lr"),
        ("sgd", {"scheduler": "nowhere.at.All"}, '^scheduler: there is no module "nowhere"'),
        (
            "sgd",
            {"scheduler": "torch.optim.lr_scheduler.StepLR"},
            "^scheduler_options: StepLR cannot be made with {}: .*step_size",
        ),
        (
            "torch.optim.Adam",
            {
                "scheduler": "torch.optim.lr_scheduler.OneCycleLR",
                "scheduler_options": {"max_lr": 0.1, "total_steps": 10},
            },
            "^scheduler_options: OneCycleLR fails after epoch 11: .*total steps",
        ),
        ("sgd", {"scheduler_options": {"gamma": 1}}, "^scheduler_options: expected a scheduler"),
        ("lbfgs", {"iterations": 0}, "^iterations: expected a whole number of at least 1"),
        ("lbfgs", {"line_search": "wolfe"}, 'line_search: .*; did you mean "strong_wolfe"'),
        ("lbfgs", {"c1": 0.1}, "^c1: lbfgs has no such setting"),
        ("lbfgs", {"line_search": "strong_wolfe", "c1": 0.95}, "^c1: expected c1 below c2"),
        ("sgd", {"lr": 1}, '^lr: sgd has no such setting; did you mean "learning_rate"'),
        ("sgd", {"options": {"lr": 1}}, "^options: sgd .*; write its settings beside the method"),
        ("lbfgs", {"lr": 1}, "^lr: lbfgs .*; leave it out, since the line search finds the length"),
        ("lbfgs", {"max_iter": 9}, '^max_iter: lbfgs .*; did you mean "iterations"'),
        ("torch.optim.Adam", {"epoch": 1}, '^epoch: .*; did you mean "epochs"'),
        ("torch.optim.Adam", {"zzz": 1}, "^zzz: .* no such setting; known: options, "),
        ("torch.optim.Adam", {"lr": 1e-3}, r"^lr: .* no such setting; write options = { lr = "),
        ("torch.optim.Adam", {"learning_rate": 1e-3}, r"^learning_rate: .* options = { lr = "),
        ("torch.optim.Adam", {"eps": 1e-3, "options": {}}, r"^eps: .* write options = { eps = "),
        ("torch.optim.Adam", {"options": {"learning_rate": 1}}, '^options.learning.*mean "lr"'),
        (needs, {"rate": 1, "options": 2}, "^options: needs has no such setting; known: "),
        ("torch.optim.Adam", {"options": 3}, "^options: expected a table, got 3"),
        ("torch.optim.Adam", {"options": {"beta": 1}}, '^options.beta: .* did you mean "betas"'),
        ("torch.optim.Adam", {"options": {"lr": -1.0}}, "^options: Adam .* Invalid learning rate"),
        (needs, {}, "^rate: missing; needs needs it"),
        (needs, {"rate": 1, "step": 2}, '^step: needs has no .*did you mean "steps"'),
    ],
)
def test_refuses_before_any_work(method, settings, message):
    problem = bowl_problem()
    for refused in (
        lambda: check_settings(method, settings),
        lambda: optimize(method, problem, torch.zeros(2).double(), seeded(), settings=settings),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            refused()
        assert "\n" not in str(caught.value)


def test_every_wrong_setting_has_its_line():
    with pytest.raises(ValueError, match="epochs") as caught:
        check_settings("sgd", {"epochs": -1, "learning_rate": 0, "mometum": 0.9})
    assert len(str(caught.value).splitlines()) == 3
    with pytest.raises(ValueError, match="epochs") as caught:
        check_settings("torch.optim.Adam", {"epochs": 0, "options": {"beats": 1, "l": 2}})
    assert len(str(caught.value).splitlines()) == 3


def test_an_import_path_says_what_is_wrong(tmp_path, monkeypatch):
    (tmp_path / "raising_module.py").write_text("raise RuntimeError('on purpose')\n")
    (tmp_path / "needing_module.py").write_text("import not_installed_anywhere\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert import_object("math:pi") == import_object("math.pi")
    for path, message in (
        ("function", 'expected an import path such as "module:function"'),
        ("a:", "expected an import path"),
        ("..a", "expected an import path"),
        (".a:b", "expected an import path"),
        ("math:pie", 'the module "math" has no "pie"; did you mean "pi"'),
        ("no_such_module:f", 'no module "no_such_module".*a file no_such_module.py beside the'),
        ("needing_module:f", "No module named 'not_installed_anywhere'"),
    ):
        with pytest.raises(ImportError, match=message):
            import_object(path)
    with pytest.raises(RuntimeError, match="on purpose"):
        import_object("raising_module:f")


def test_train_takes_the_starts_and_shuffles_of_a_study():
    problem = network_problem()
    settings = {"learning_rate": 0.2, "epochs": 2, "batch_size": 8}
    found = train(problem, "sgd", seeds=[0, 3], seed=5, name="mlp", **settings)
    assert len(found) == 2

    def generator(use):
        return torch.Generator().manual_seed(derived_seed(5, "mlp", use, 3))

    start = problem.start(generator("initial weights"))
    shuffling = generator("shuffling")
    assert_same(optimize("sgd", problem, start, shuffling, settings=settings), found[1])
    # the same starts for every optimizer
    other = train(problem, "torch.optim.Adam", seeds=4, seed=5, name="mlp", epochs=1)
    assert len(other) == 4
    assert other[3].history.values[0] == found[1].history.values[0]
    assert len({each.history.values[0] for each in other}) == 4


def test_numbers_of_numpy_are_numbers():
    problem = bowl_problem()
    expected = train(problem, "sgd", seeds=2, seed=1, epochs=3, learning_rate=0.125)
    found = train(
        problem, "sgd", seeds=np.arange(2), seed=np.int64(1), epochs=np.int32(3),
        learning_rate=np.float32(0.125),
    )  # fmt: skip
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one.point, other.point)
    assert len(train(problem, "sgd", seeds=np.int64(2), epochs=1)) == 2


def test_train_refuses_bad_input_before_any_start():
    def start(generator):
        raise AssertionError("nothing is to be drawn")

    problem = SimpleNamespace(**{**vars(bowl_problem()), "start": start})
    with pytest.raises(ValueError, match="at least one seed, got 0"):
        train(problem, "sgd", seeds=0)
    with pytest.raises(ValueError, match=r"whole numbers as seed and seeds, got 0 and \[0\.5\]"):
        train(problem, "sgd", seeds=[0.5])
    with pytest.raises(ValueError, match="epochs: expected a whole number"):
        train(problem, "sgd", epochs=0)

"""What is measured along the paths and among many checkpoints, against torch's own numbers."""

from __future__ import annotations

import copy
import json
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim.swa_utils import update_bn
from typer.testing import CliRunner

from lowroad.analysis import merge_tree
from lowroad.cli import app
from lowroad.connect import Options, connect, load_metrics, parse_finder
from lowroad.connect.named import check_metrics
from lowroad.connect.records import above_mean
from lowroad.landscapes import MullerBrown, NetworkLandscape
from lowroad.paths import StringFinder
from lowroad.plotting.style import three_figures

LINE = parse_finder("straight", ["points=11"])


def normalized():
    return nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def data(seed, n=60):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(n, 5, generator=generator)
    return inputs, (inputs[:, 0] + inputs[:, 1] ** 2).clamp(0, 2.99).long()


def landscape(make=normalized, seed=0):
    return NetworkLandscape(make().eval(), *data(seed), "cross_entropy", chunk=60)


def trained(make=normalized, seed=0):
    torch.manual_seed(seed)
    module, (inputs, labels) = make(), data(0)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.02)
    for _ in range(40):
        optimizer.zero_grad()
        F.cross_entropy(module(inputs), labels).backward()
        optimizer.step()
    return module.eval()


def saved(folder, modules):
    files = [folder / f"{number}.pt" for number in range(len(modules))]
    for file, module in zip(files, modules, strict=True):
        torch.save(module.state_dict(), file)
    return files


def errors(module, inputs, labels):
    return float((module(inputs).argmax(1) != labels).double().mean())


def test_both_splits_with_statistics_of_the_training_data(tmp_path):
    modules = [trained(seed=seed) for seed in (1, 2)]
    options = Options(
        reestimate_batch_norm=True, test=landscape(seed=7), metrics=load_metrics(["error"])
    )
    (record,) = connect(saved(tmp_path, modules), landscape(), LINE, tmp_path / "out", options)
    train, test = data(0), data(7)
    for k, t in enumerate(record["t"].values):
        middle = copy.deepcopy(modules[0])
        for p, q in zip(middle.parameters(), modules[1].parameters(), strict=True):
            p.data.lerp_(q.data, float(t))
        update_bn([train[0]], middle.train())
        middle.eval()
        expected = {
            "straight_profile": F.cross_entropy(middle(train[0]), train[1]).item(),
            "straight_test_loss": F.cross_entropy(middle(test[0]), test[1]).item(),
            "straight_train_error": errors(middle, *train),
            "straight_test_error": errors(middle, *test),
        }
        for name, value in expected.items():
            assert record[name].values[k] == pytest.approx(value, rel=1e-4), (name, t)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    errors_along = record["straight_test_error"].values
    assert summary["linear_barriers"]["test_error"] == pytest.approx(
        errors_along.max() - (errors_along[0] + errors_along[-1]) / 2
    )
    assert set(summary["linear_barriers"]) == {
        "train_loss", "test_loss", "train_error", "test_error",
    }  # fmt: skip


def test_the_barrier_of_linear_mode_connectivity():
    """Ends at 1 and 3, top at 7: 7 − 2 by Frankle et al. 2020 and Ainsworth et al. 2023."""
    assert above_mean(np.array([1.0, 4.0, 7.0, 6.0, 3.0])) == 5.0
    assert above_mean(np.array([1.0, 2.0, 3.0])) == 1.0  # a slope has one, by this definition


def test_an_accuracy_has_the_barrier_of_its_error(tmp_path):
    """What the accuracy loses between two networks is what the error gains."""
    modules = [trained(seed=seed) for seed in (1, 2)]
    options = Options(reestimate_batch_norm=True, metrics=load_metrics(["error", "accuracy"]))
    (record,) = connect(saved(tmp_path, modules), landscape(), LINE, tmp_path / "out", options)
    barriers = json.loads((tmp_path / "out" / "summary.json").read_text())["linear_barriers"]
    fall = record["straight_train_accuracy"].values
    assert barriers["train_accuracy"] == pytest.approx((fall[0] + fall[-1]) / 2 - fall.min())
    assert barriers["train_accuracy"] == pytest.approx(barriers["train_error"])
    assert barriers["train_error"] > 0.03


def test_many_checkpoints(tmp_path):
    surface = MullerBrown()
    points = [minimum.point for minimum in surface.minima]
    files = [tmp_path / f"{name}.npy" for name in "abc"]
    for file, point in zip(files, points, strict=True):
        np.save(file, point.numpy())
    records = connect(files, surface, StringFinder(images=15), tmp_path / "out")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["checkpoints"] == ["a.npy", "b.npy", "c.npy"]
    found = np.array(summary["barriers"]["path found"])
    straight = np.array(summary["barriers"]["straight line"])
    assert np.array_equal(found, found.T)
    assert (found <= straight + 0.6).all()  # on their grids
    # from minimum to saddle, by the published stationary points; b lies between a and c or beyond
    heights = [surface.value(point) for point in points]
    saddles = sorted(saddle.value for saddle in surface.saddles)
    tree = merge_tree(heights, [(0, 1), (0, 2), (1, 2)], [
        found[i, j] + max(heights[i], heights[j]) for i, j in ((0, 1), (0, 2), (1, 2))
    ])  # fmt: skip
    assert [merge.level for merge in tree.merges] == pytest.approx(saddles, abs=0.6)
    assert [(r.attrs["first"], r.attrs["second"]) for r in records] == [
        ("a.npy", "b.npy"), ("a.npy", "c.npy"), ("b.npy", "c.npy"),
    ]  # fmt: skip
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        "barriers.png", "disconnectivity.png", "paths", "report.html", "summary.json",
    }  # fmt: skip
    page = (tmp_path / "out" / "report.html").read_text()
    for said in ("What lies between 3 checkpoints", "Barriers of all pairs", "b.npy – c.npy"):
        assert said in page
    assert not re.search(r'src="http|href="http', page.split("<script>")[0])


def test_more_pairs_than_are_told_one_by_one(tmp_path):
    files = saved(tmp_path, [trained(lambda: nn.Linear(5, 3), seed) for seed in range(4)])
    connect(files, landscape(lambda: nn.Linear(5, 3)), LINE, tmp_path / "out")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    barriers = np.array(summary["barriers"]["straight line"])[np.triu_indices(4, 1)]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "of 6 pairs." in page
    assert f"median {three_figures(float(np.median(barriers)))}" in page.replace("\u00a0", " ")


def test_names_that_do_not_tell_files_apart(tmp_path):
    files = []
    for run, minimum in zip(("one", "two", "three"), MullerBrown().minima, strict=True):
        (tmp_path / run).mkdir()
        files.append(tmp_path / run / "last.npy")
        np.save(files[-1], minimum.point.numpy())
    records = connect(files, MullerBrown(), LINE, tmp_path / "out")
    assert records[0].attrs["first"] == "one/last.npy"
    files.append(tmp_path / "again.npy")
    np.save(files[-1], MullerBrown().minima[0].point.numpy())
    with pytest.raises(ValueError, match=r"one/last.npy and .*again.npy hold the same point"):
        connect(files, MullerBrown(), LINE, tmp_path / "none")


class Headed(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU())
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.backbone(x))


def with_frozen_backbone(seed, dtype=torch.float32):
    """Two heads on one backbone, which is stored in another precision."""
    torch.manual_seed(9)
    module = Headed()
    module.backbone[1].running_mean.normal_()
    state = {
        name: tensor.to(dtype) if tensor.is_floating_point() else tensor
        for name, tensor in module.state_dict().items()
    }
    torch.manual_seed(seed)
    module.head.reset_parameters()
    return state | {f"head.{name}": t for name, t in module.head.state_dict().items()}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_only_the_head_between_two_that_share_a_backbone(tmp_path, dtype):
    files = [tmp_path / "a.ckpt", tmp_path / "b.bin"]
    states = [with_frozen_backbone(seed, dtype) for seed in (1, 2)]
    for file, state in zip(files, states, strict=True):
        torch.save({"net": {f"module.{k}": v for k, v in state.items()}, "acc": 0.9}, file)
    surface = landscape(Headed)  # a backbone of its own, which the files' replaces
    options = Options(trainable=("head.*",), test=landscape(Headed, 7))
    (record,) = connect(files, surface, LINE, tmp_path / "out", options)
    for k, state in ((0, states[0]), (-1, states[1])):
        module = Headed().eval()
        module.load_state_dict(state)
        for name, (inputs, labels) in {"profile": data(0), "test_loss": data(7)}.items():
            expected = F.cross_entropy(module(inputs), labels).item()
            assert record[f"straight_{name}"].values[k] == pytest.approx(expected, rel=1e-5)
    assert record.attrs["straight_length"] == pytest.approx(
        float(
            sum(
                (states[0][n].double() - states[1][n].double()).square().sum()
                for n in ("head.weight", "head.bias")
            )
        )
        ** 0.5,
        rel=1e-5,
    )
    states[1]["backbone.0.weight"] = states[1]["backbone.0.weight"] * (1 + 1e-6)
    torch.save(states[1] | {"backbone.0.bias": states[1]["backbone.0.bias"] + 1}, files[1])
    with pytest.raises(ValueError, match=r"backbone\.0\.bias.*: not trainable, and different in"):
        connect(files, surface, LINE, tmp_path / "none", options)
    assert not (tmp_path / "none").exists()


MODULE = """
import torch
from lowroad import NetworkLandscape
from torch import nn

def make(seed=0, width=4, data=0):
    torch.manual_seed(seed)
    g = torch.Generator().manual_seed(data)
    net = nn.Sequential(nn.Linear(3, width), nn.Tanh(), nn.Linear(width, 2))
    return NetworkLandscape(net, torch.randn(20, 3, generator=g), torch.ones(20).long(),
                            "cross_entropy")

def landscape():
    return make()

def test():
    return make(data=1)

def wide():
    return make(width=5)

def norm(landscape, point):
    return point.norm()

def nothing(landscape, point):
    pass

def whole(landscape, point):
    return point

def nan(landscape, point):
    return float("nan")

def breaks(landscape, point):
    return landscape.no_such_thing

def fails():
    return {}["no data here"]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "measured_example.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for seed, name in enumerate("abc"):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        torch.save({"ema": net.state_dict(), "last": net.state_dict()}, f"{name}.pt")
    return tmp_path


def run(*arguments):
    common = ["--landscape", "measured_example:landscape", "--finder", "straight", "--key", "ema"]
    return CliRunner().invoke(app, ["connect", *arguments, *common])


def test_the_options_of_the_command(folder):
    done = run(
        "a.pt", "b.pt", "c.pt", "--test", "measured_example:test", "--metric", "error",
        "--metric", "measured_example:norm", "--trainable", "0.*", "--trainable", "2.*",
        "--align",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "a.pt: ema" in done.output
    assert "Barriers, path found, aligned" in done.output
    summary = json.loads((folder / "lowroad-connect" / "summary.json").read_text())
    assert len(summary["pairs"]) == 3
    assert {"train_norm", "test_error, aligned"} <= set(summary["pairs"][0]["linear_barriers"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--metric", "measured_example:nothing"],
            "metric nothing to return a number, it returned",
        ),
        (["--metric", "measured_example:whole"], r"a number, it returned Tensor \[26\] on the tra"),
        (["--metric", "measured_example:nan"], "a number, it returned float nan"),
        (["--metric", "measured_example:breaks"], r"(?s)breaks failed on .*no_such_thing.*line \d"),
        (["--metric", "f1"], "expected a metric among error, accuracy, or package.module:function"),
        (["--test", "measured_example:wide"], "--test: expected a landscape over the same 26 par"),
        (["--test", "measured_example:fails"], r"(?s)fails\(\) failed: KeyError.*measured_example"),
        (["--trainable", "haed.*"], r"names of trainable parameters \(0.weight, .* got 'haed"),
        (["c.pt", "--save-path", "x.safetensors"], "--save-path: expected two checkpoints, got 3"),
        (["--set", "points=1000000000"], "^points: expected points to be at most 100000"),
        (["--set", f"points={'9' * 5000}"], "^points: expected a setting, got 5000 characters"),
        (["--set", f"points={'9' * 90}"], "^points: expected points to be at most 100000"),
        (["--set", "points=[[[[]]]]"], "^points: expected points to be a whole number"),
        (["--out", "a.pt/none"], "a.pt"),
    ],
)
def test_refusals_before_any_search(folder, monkeypatch, arguments, message):
    monkeypatch.setattr("lowroad.connect.command.StraightLine.find", None)
    refused = run("a.pt", "b.pt", *arguments)
    assert refused.exit_code in (1, 2), refused.output
    assert not isinstance(refused.exception, TypeError | AttributeError), refused.exception
    assert re.search(message, refused.output), refused.output
    assert not (folder / "lowroad-connect").exists()


def test_one_checkpoint_is_not_enough(folder):
    assert run("a.pt").exit_code == 2
    assert "expected at least two checkpoints, got 1" in run("a.pt").output


def test_a_metric_of_lowroad_s_own_fails_without_a_traceback():
    batches = [(torch.randn(4, 3), torch.ones(4), torch.zeros(4).long())]
    loss = NetworkLandscape(nn.Linear(3, 2), batches, objective=lambda m, b: m(b[0]).mean())
    metrics = load_metrics(["accuracy"])
    with pytest.raises(ValueError, match=r"accuracy failed on the train data.*module:func") as told:
        check_metrics(metrics, {"train": loss}, loss.initial_point())
    assert "Traceback" not in str(told.value)

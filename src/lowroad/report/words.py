"""The report's sentences, made from the numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from lowroad.analysis import ClaimResult, Verdict
from lowroad.analysis.evidence import SEPARATED_AUC
from lowroad.plotting.style import scientific, shorter, three_figures
from lowroad.report.summary import NetworkSummary, Summary
from lowroad.study.config import PathSettings
from lowroad.study.results import WEIGHT_SET_LABELS, WEIGHT_SETS

__all__ = [
    "LANDSCAPE_NAMES",
    "budget",
    "by_value",
    "claim_summary",
    "counted",
    "duration",
    "gamma_words",
    "interval",
    "listing",
    "missing_parts",
    "paths_behind",
    "runs_behind",
    "runs_trained",
    "short_answers",
    "training_settings",
]

LANDSCAPE_NAMES = {"train": "training", "test": "test"}


def listing(names: Iterable[str]) -> str:
    """Join names as a sentence does.

    >>> listing(["FCP"]), listing(["FCP", "LSTM"]), listing(["A", "B", "C"])
    ('FCP', 'FCP and LSTM', 'A, B and C')
    """
    words = list(names)
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def counted(number: int, name: str) -> str:
    """Number and name, the name in the plural unless there is one.

    >>> counted(1, "path"), counted(0, "run")
    ('1 path', '0 runs')
    """
    return f"{number} {name}" if number == 1 else f"{number:,} {name}s"


def interval(estimate: float, low: float, high: float) -> str:
    """A number with its 95% interval.

    >>> interval(0.5, 0.25, 0.75), interval(2.0, float("nan"), float("nan"))
    ('0.500 [0.250, 0.750]', '2.00 [no interval]')
    """
    if np.isnan(estimate):
        return "–"
    ends = "no interval"
    if np.isfinite([low, high]).all():
        ends = f"{three_figures(low)}, {three_figures(high)}"
    return f"{three_figures(estimate)} [{ends}]"


def _in_how_many(names: Sequence[str], of: Sequence[str], summary: Summary) -> str:
    """In which of the measured networks something is so."""
    count = len(of)
    if count < len(summary.networks) or count == 1:
        everywhere, nowhere = f"in {listing(of)}", f"in none measured ({listing(of)})"
    else:
        number = {2: "both", 3: "all three", 4: "all four"}.get(count, f"all {count}")
        everywhere, nowhere = f"in {number} networks", "in none of the networks"
    if len(names) in (0, count):
        return everywhere if names else nowhere
    rest = [name for name in of if name not in names]
    return f"in {listing(names)}, but not in {listing(rest)}"


def short_answers(summary: Summary) -> list[str]:
    """The study's answers in sentences; what was not measured has none."""
    makers: tuple[Callable[[Summary], str | None], ...] = (
        _training_losses,
        _test_losses,
        lambda summary: _barriers(summary, "train"),
        lambda summary: _barriers(summary, "test"),
        _distances,
        _separation,
    )
    return [answer for maker in makers if (answer := maker(summary)) is not None]


def _mean(network: NetworkSummary, weight_set: str) -> float:
    finite = network.minima(weight_set)
    finite = finite[np.isfinite(finite)]
    return float(finite.mean()) if len(finite) else float("nan")


def _training_losses(summary: Summary) -> str | None:
    ratios = {
        network.name: _mean(network, "sgd_train") / bfgs
        for network in summary.networks
        if (bfgs := _mean(network, "lbfgs_train")) > 0
    }
    ratios = {name: ratio for name, ratio in ratios.items() if np.isfinite(ratio)}
    if not ratios:
        return None
    lower = [name for name, ratio in ratios.items() if ratio > 1]
    text = (
        "L-BFGS-GSS reached a lower mean training loss than SGD "
        f"{_in_how_many(lower, list(ratios), summary)}"
    )
    factors = [f"{_factor(ratios[name])} in {name}" for name in lower]
    return f"{text}: lower by a factor of {listing(factors)}." if lower else f"{text}."


def _factor(ratio: float) -> str:
    return f"{ratio:.1e}" if ratio >= 1e5 else shorter(float(f"{ratio:.2g}"))


def _test_losses(summary: Summary) -> str | None:
    ratios = {
        network.name: _mean(network, "lbfgs_test") / sgd
        for network in summary.networks
        if (sgd := _mean(network, "sgd_test")) > 0
    }
    ratios = {name: ratio for name, ratio in ratios.items() if np.isfinite(ratio) and ratio > 0}
    if not ratios:
        return None
    parts = [f"{_factor(ratio)} in {name}" for name, ratio in ratios.items()]
    return f"The mean lowest test loss of L-BFGS-GSS is that of SGD times {listing(parts)}."


def _barriers(summary: Summary, landscape: str) -> str | None:
    parts = []
    for kind, words in (("train", "training weights"), ("test", "test weights")):
        lower, measured = [], []
        for network in summary.networks:
            sgd = network.heights(f"sgd_{kind}", landscape)
            bfgs = network.heights(f"lbfgs_{kind}", landscape)
            sgd, bfgs = sgd[np.isfinite(sgd)], bfgs[np.isfinite(bfgs)]
            if len(sgd) and len(bfgs):
                measured.append(network.name)
                if np.median(sgd) < np.median(bfgs):
                    lower.append(network.name)
        if measured:
            parts.append(f"{_in_how_many(lower, measured, summary)} for {words}")
    if not parts:
        return None
    return (
        f"On the {LANDSCAPE_NAMES[landscape]} landscape the median path is lower between SGD "
        f"solutions than between BFGS solutions {' and '.join(parts)}."
    )


def _distances(summary: Summary) -> str | None:
    pair = ("sgd_test", "lbfgs_train")
    farther, measured = [], []
    for network in summary.networks:
        table = network.distances.get(pair)
        if table is None:
            continue
        measured.append(network.name)
        medians = [
            float(np.median(table["distance"].values[table["set"].values == name])) for name in pair
        ]
        if medians[1] > medians[0]:
            farther.append(network.name)
    if not measured:
        return None
    return (
        "BFGS train vectors lie farther from the common origin than SGD test vectors "
        f"{_in_how_many(farther, measured, summary)}."
    )


def _separation(summary: Summary) -> str | None:
    pair = ("sgd_test", "lbfgs_train")
    measured = [n.name for n in summary.networks if (*pair, "rbf") in n.projections]
    if not measured:
        return None
    separated = {}
    for kernel in ("rbf", "linear"):
        separated[kernel] = [
            network.name
            for network in summary.networks
            if network.name in measured
            and network.projections[*pair, kernel]["auc"].values[0] >= SEPARATED_AUC
        ]
    rbf, linear = (_in_how_many(names, measured, summary) for names in separated.values())
    return (
        "The first component of RBF kernel PCA separates SGD test from BFGS train vectors (area "
        f"under the ROC curve at least {SEPARATED_AUC}) {rbf}; that of linear PCA separates them "
        f"{linear}."
    )


def claim_summary(claim: ClaimResult) -> str:
    """What was measured on a claim, in a sentence or two."""
    by_verdict = {
        verdict: [item for item in claim.evidence if item.verdict is verdict] for verdict in Verdict
    }
    total = len(claim.evidence)
    parts = []
    if total:
        parts.append(f"{len(by_verdict[Verdict.HOLDS])} of {counted(total, 'comparison')} agree")
    everyone = {item.network for item in claim.evidence}
    for verdict, words in ((Verdict.FAILS, "contradict"), (Verdict.OPEN, "undecided")):
        if items := by_verdict[verdict]:
            names = dict.fromkeys(item.network for item in items)
            where = "" if set(names) == everyone and len(everyone) > 1 else f" ({listing(names)})"
            parts.append(f"{len(items)} {words}{where}")
    if claim.unmeasured:
        parts.append(f"not in this study: {listing(claim.unmeasured)}")
    return "; ".join(parts) + "."


def by_value(values: dict[str, str]) -> str:
    """Say a value once where all networks share it, else name by name."""
    if len(set(values.values())) == 1:
        return next(iter(values.values()))
    groups: dict[str, list[str]] = {}
    for name, value in values.items():
        groups.setdefault(value, []).append(name)
    return "; ".join(f"{value} ({listing(names)})" for value, names in groups.items())


def budget(summary: Summary) -> str:
    """What each path was given, which its height belongs to."""
    config = summary.results.config
    return by_value({name: _budget(config.settings(name).paths) for name in config.networks})


def _budget(paths: PathSettings) -> str:
    images = "all images" if paths.batch_size is None else f"{paths.batch_size:,} images"
    return (
        f"{counted(paths.steps, 'Adam step')} of rate {shorter(paths.learning_rate)} on {images} "
        f"each, {counted(paths.terms, 'sine term')}, {counted(paths.points, 'point')}, "
        f"λ = {shorter(paths.smoothness)}"
    )


def runs_behind(summary: Summary, landscape: str | None = None) -> str:
    """How many runs, or how many paths on a landscape, stand behind a figure."""
    values = {}
    for network in summary.networks:
        if landscape is None:
            numbers = [len(network.runs[optimizer]) for optimizer in ("sgd", "lbfgs")]
            names = ["SGD", "L-BFGS"]
        else:
            numbers = [len(network.paths[name, landscape]) for name in WEIGHT_SETS]
            names = [WEIGHT_SET_LABELS[name] for name in WEIGHT_SETS]
        noun = "kept run" if landscape is None else "path"
        if len(set(numbers)) == 1:
            each = "each optimizer" if landscape is None else "each weight set"
            values[network.name] = f"{counted(numbers[0], noun)} of {each}"
        else:
            parts = [f"{number} {name}" for number, name in zip(numbers, names, strict=True)]
            values[network.name] = f"{noun}s: {listing(parts)}"
    return by_value(values)


def gamma_words(summary: Summary, pair: tuple[str, str]) -> str:
    """Which γ the RBF kernel used for two sets, with its numbers."""
    rule = str(summary.results.config.analysis.gamma)
    numbers = {
        network.name: float(network.projections[*pair, "rbf"].attrs["gamma"])
        for network in summary.networks
        if (*pair, "rbf") in network.projections
    }
    meanings = {
        "1/D": "γ = 1/D, one over the number of parameters",
        "median": "γ = 1/(2m²) with m the median distance of two vectors",
    }
    text = meanings.get(rule, f"γ = {rule}")
    if rule in meanings and numbers:
        parts = [f"{scientific(number)} for {name}" for name, number in numbers.items()]
        text += f" ({listing(parts)})"
    return text


def missing_parts(summary: Summary) -> list[str]:
    """What the study planned and does not have, one line a group; empty when it is complete."""
    config = summary.results.config
    lines = []
    for network in summary.networks:
        settings = config.settings(network.name)
        parts = []
        for optimizer, label in (("sgd", "SGD"), ("lbfgs", "L-BFGS")):
            have, planned = network.trained[optimizer], settings.train.seeds
            if have < planned:
                parts.append(f"{planned - have} of {counted(planned, f'{label} run')}")
        for landscape, name in LANDSCAPE_NAMES.items():
            have = sum(len(network.paths[key, landscape]) for key in WEIGHT_SETS)
            planned = settings.paths.pairs * len(WEIGHT_SETS)
            if have < planned:
                parts.append(
                    f"{planned - have} of {counted(planned, 'path')} on the {name} landscape"
                )
        have = sum(len(found) for found in network.sharpness.values())
        planned = settings.sharpness.runs * len(WEIGHT_SETS)
        if have < planned:
            points = counted(planned, "point")
            parts.append(f"the sharpness of {planned - have} of {points}")
        if parts:
            lines.append(f"{network.name}: {listing(parts)}")
    return lines


def runs_trained(summary: Summary) -> str:
    """How many runs there are and how many of them are kept."""
    values = {}
    for network in summary.networks:
        parts = {
            f"{counted(network.trained[optimizer], 'random start')}, "
            f"{len(network.runs[optimizer])} kept": label
            for optimizer, label in (("lbfgs", "L-BFGS-GSS"), ("sgd", "SGD"))
        }
        if len(parts) == 1:
            values[network.name] = f"{next(iter(parts))}, for each optimizer"
        else:
            values[network.name] = "; ".join(f"{label}: {text}" for text, label in parts.items())
    return by_value(values)


def training_settings(summary: Summary) -> str:
    """What each training run was given."""
    config = summary.results.config
    values: dict[str, str] = {}
    for name in config.networks:
        train = config.settings(name).train
        values[name] = (
            f"SGD: {counted(train.sgd.epochs, 'epoch')}, rate {shorter(train.sgd.learning_rate)}, "
            f"batches of {train.sgd.batch_size}; L-BFGS-GSS: "
            f"{counted(train.lbfgs.iterations, 'iteration')}, history {train.lbfgs.history}, "
            f"{train.lbfgs.evaluations} losses a line search"
        )
    return by_value(values)


def paths_behind(summary: Summary) -> str:
    """How many paths there are, on both landscapes."""
    values = {}
    for network in summary.networks:
        numbers = sorted({len(paths) for paths in network.paths.values()})
        each = " to ".join(str(number) for number in dict.fromkeys((numbers[0], numbers[-1])))
        values[network.name] = f"{each} for each weight set on each landscape"
    return by_value(values)


def duration(seconds: float) -> str:
    """A time for people.

    >>> duration(42.3), duration(150.0), duration(7500.0)
    ('42 s', '2.5 min', '2.1 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"

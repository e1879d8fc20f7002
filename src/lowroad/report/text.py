"""Words and numbers of the report: lists, counts, intervals, settings, what is behind a figure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from lowroad.plotting.style import scientific, shorter, three_figures
from lowroad.study.measurements import MEASUREMENTS

if TYPE_CHECKING:
    from lowroad.report.view import View
    from lowroad.study.references import Facts

__all__ = [
    "SPLIT_NAMES",
    "budgets",
    "by_value",
    "counted",
    "duration",
    "interval",
    "listing",
    "missing_parts",
    "optimizers",
    "outcome_counts",
    "paths_behind",
    "problem_facts",
    "runs_behind",
    "runs_trained",
    "settings_text",
    "value_text",
]

SPLIT_NAMES = {"train": "training", "test": "test", "validation": "validation"}


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


def value_text(number: float, facts: Facts) -> str:
    """A value of a problem: with three figures where it has a lower bound, else with seven.

    Energies differ in their last figures, and have no zero that a ratio could refer to.
    """
    if facts.lower_bound is not None or not np.isfinite(number):
        return scientific(number)
    return f"{number:.7g}".replace("-", "−")


def by_value(values: Mapping[str, str]) -> str:
    """Say a value once where all problems share it, else problem by problem.

    >>> by_value({"A": "4 runs", "B": "4 runs"}), by_value({"A": "4 runs", "B": "2 runs"})
    ('4 runs', '4 runs (A); 2 runs (B)')
    """
    groups: dict[str, list[str]] = {}
    for name, value in values.items():
        groups.setdefault(value, []).append(name)
    if len(groups) == 1:
        return next(iter(groups))
    return "; ".join(f"{value} ({listing(names)})" for value, names in groups.items())


def duration(seconds: float) -> str:
    """A time for people.

    >>> duration(42.3), duration(150.0), duration(7500.0)
    ('42 s', '2.5 min', '2.1 h')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def outcome_counts(outcomes: Iterable[str]) -> str:
    """How runs or searches ended.

    >>> outcome_counts(["converged", "budget spent", "converged"])
    '2 × converged; 1 × budget spent'
    """
    counts = Counter(map(str, outcomes)).most_common()
    return "; ".join(f"{count:,} × {outcome}" for outcome, count in counts)


def settings_text(settings: Mapping[str, Any], prefix: str = "") -> str:
    """Settings as one line.

    >>> settings_text({"epochs": 80, "batch_size": 64, "options": {"lr": 0.001}})
    'epochs 80, batch size 64, lr 0.001'
    """
    parts = []
    for key, value in settings.items():
        name = key.replace("_", " ")
        if isinstance(value, Mapping):
            parts.append(settings_text(value))
        elif isinstance(value, float):
            parts.append(f"{name} {shorter(value)}")
        elif isinstance(value, list | tuple):
            parts.append(f"{name} {listing(map(str, value))}")
        else:
            parts.append(f"{name} {value}")
    return ", ".join(part for part in parts if part)


def problem_facts(view: View, problem: str) -> str:
    """What a problem is: dimension, what its value is, how many samples it has."""
    facts = view.results.facts[problem]
    parts = [f"{facts.dimension:,} parameters", facts.quantity]
    if facts.unit:
        parts[-1] += f" in {facts.unit}"
    samples = [
        f"{count:,} {SPLIT_NAMES.get(split, split)}"
        for split, count in facts.samples.items()
        if count > 1
    ]
    if samples:
        parts.append(f"{listing(samples)} samples")
    return ", ".join(parts)


def optimizers(view: View) -> list[tuple[str, str]]:
    """Each optimizer with its method and settings, and each table of checkpoints."""
    config = view.results.config
    lines = []
    sources: dict[str, dict[str, str]] = {}
    for problem in view.results.problems:
        known = config.optimizers_of(problem)
        for source in view.results.sources(problem):
            label = view.results.label(source)
            if source in known:
                chosen = dict(view.results.chosen.get((problem, source), known[source].own))
                if view.results.facts[problem].samples.get("train", 1) == 1:
                    chosen.pop("batch_size", None)  # there is nothing to cut
                method, own = known[source].method, settings_text(chosen)
                text = f"{method}: {own}" if own else method
            else:
                given = view.runs(problem, source).sizes["run"]
                text = f"{counted(given, 'solution')} given, none trained"
            sources.setdefault(label, {})[problem] = text
    for label, texts in sources.items():
        lines.append((label, by_value(texts)))
    return lines


def budgets(view: View) -> str:
    """How paths were searched, which their heights belong to."""
    values = {}
    for problem in view.results.problems:
        paths = view.results.config.settings(problem).paths
        own = settings_text(paths.own)
        values[problem] = f"{paths.finder}: {own}" if own else f"{paths.finder}, default settings"
    return by_value(values)


def runs_trained(view: View) -> str:
    """How many runs are stored and how many of them are kept; empty where none was planned."""
    values = {}
    for problem in view.results.problems:
        parts: dict[str, list[str]] = {}
        for source in view.results.config.optimizers_of(problem):
            stored = view.runs(problem, source).sizes["run"]
            kept = view.runs(problem, source, kept=True).sizes["run"]
            text = f"{counted(stored, 'run')}, {kept} kept"
            parts.setdefault(text, []).append(view.results.label(source))
        if len(parts) == 1:
            values[problem] = f"{next(iter(parts))}, of each optimizer"
        elif parts:
            values[problem] = "; ".join(f"{listing(who)}: {text}" for text, who in parts.items())
    return by_value(values) if values else ""


def runs_behind(view: View) -> str:
    """How many kept runs, or solutions that were given, stand behind a figure."""
    values = {}
    for problem in view.results.problems:
        counts: dict[int, list[str]] = {}
        for source in view.results.sources(problem):
            kept = view.runs(problem, source, kept=True).sizes["run"]
            counts.setdefault(kept, []).append(view.results.label(source))
        if view.results.config.checkpoints_of(problem):
            values[problem] = _of_each(counts, "solution", "each source")
        else:
            values[problem] = _of_each(counts, "kept run", "each optimizer")
    return by_value(values)


def paths_behind(view: View, split: str) -> str:
    """How many paths within sets stand behind a figure."""
    values = {}
    for problem in view.results.problems:
        counts: dict[int, list[str]] = {}
        for name in view.results.sets(problem):
            number = view.paths(problem, split, name).sizes["path"]
            counts.setdefault(number, []).append(view.results.set_label(name))
        values[problem] = _of_each(counts, "path", "each weight set")
    return by_value(values)


def _of_each(counts: Mapping[int, list[str]], noun: str, each: str) -> str:
    if len(counts) == 1:
        return f"{counted(next(iter(counts)), noun)} of {each}"
    return "; ".join(f"{counted(n, noun)} of {listing(who)}" for n, who in counts.items())


def missing_parts(view: View) -> list[str]:
    """What the study planned and does not have, one line for each problem that lacks something."""
    results, lines = view.results, []
    for problem in results.problems:
        own = Counter(t.measurement for t in results.tasks if t.problem.label == problem)
        parts = [
            f"{planned - own[name]:,} of {planned:,} {measurement.what}"
            for name, measurement in MEASUREMENTS.items()
            if (planned := measurement.number(results.plan, problem)) > own[name]
        ]
        if parts:
            lines.append(f"{problem}: {listing(parts)}")
    return lines

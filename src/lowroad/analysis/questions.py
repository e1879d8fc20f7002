"""Questions that compare two weight sets: effect size, interval, rank test and verdict."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from itertools import count
from operator import attrgetter
from zlib import crc32

import numpy as np
import scipy  # its submodules are imported when they are used

from lowroad.analysis import questions_measured as of
from lowroad.analysis.comparisons import Interval, holm, smallest_p_value
from lowroad.analysis.kernel_pca import KERNELS
from lowroad.analysis.questions_measured import Measured
from lowroad.analysis.questions_samples import Asked, Pair, ProblemSamples

__all__ = ["MEDIUM_DELTA", "QUESTIONS", "SIGNIFICANCE", "Answer", "Finding", "Question", "ask_all"]

_SETS = ("first", "second")
SIGNIFICANCE = 0.05
MEDIUM_DELTA = 0.33
_LEFT_OPEN = "the interval leaves it open"
MOST_RUNS = 1000  # to which the number that would decide is sought


class Finding(Enum):
    """What the samples say: which one is lower, or yes or no."""

    FIRST_LOWER = "first lower"
    SECOND_LOWER = "second lower"
    ALIKE = "alike"
    YES = "yes"
    NO = "no"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Question:
    """A question about two weight sets, or about one.

    Attributes:
        name: Its key in `QUESTIONS`.
        title: A heading.
        statement: What "first lower" says, or "yes", of the sets {first} and {second}.
        rule: How it is of.
        measure: Gives the statistic of the samples; None where they are absent.
        by: "split" or "kernel" where it is asked for each of these.
        compared: What the two samples are, where they are not the two sets: then "first lower" is
            said of the first of these.
        sets: How many sets it is about.
        asked: Whether `ask_all` asks it unless told otherwise.
    """

    name: str
    title: str
    statement: str
    rule: str
    measure: Callable[[Asked], Measured | None]
    by: str = ""
    compared: Pair = _SETS
    sets: int = 2
    asked: bool = True


@dataclass(frozen=True)
class Answer:
    """What the samples say to a question about two weight sets of a problem.

    Attributes:
        question: Key in `QUESTIONS`.
        problem: The problem.
        first: The first set.
        second: The second set.
        split: The split, where the question is asked for each.
        kernel: The kernel, likewise.
        statistic: What the effect size is, e.g. "Cliff’s δ", positive where the first is higher.
        interval: The effect size with its 95% interval.
        p_value: Of the test; NaN where there is none.
        p_corrected: The same by Holm's correction over all pairs of sets that were asked together.
        smallest_p: The smallest corrected p-value that samples of these sizes can give.
        test: Name of the test.
        sizes: Sizes of the samples, finite numbers only.
        medians: Their medians.
        verdict: What follows.
        reason: Why it is undecided; empty where it is not.
        runs_needed: Where the interval leaves it open, about how many runs (or paths) in each set
            would decide it, if the effect stayed as measured (`runs_that_decide`), None for more
            than a thousand; else the least number with which the test could decide.
    """

    question: str
    problem: str
    first: str
    second: str
    split: str
    kernel: str
    statistic: str
    interval: Interval
    p_value: float
    p_corrected: float
    smallest_p: float
    test: str
    sizes: tuple[int, ...]
    medians: tuple[float, ...]
    verdict: Finding
    reason: str
    runs_needed: int | None


_RANKS = (
    f"Cliff’s δ with its bootstrap interval and a rank test; lower where p < {SIGNIFICANCE} and "
    f"the interval excludes 0, alike where it excludes |δ| ≥ {MEDIUM_DELTA}"
)
_PATHS = _RANKS + "; the bootstrap draws runs, not pairs"
_CONVERGED = (
    "; only paths whose finder stopped by its own criterion, or which the last half of the steps "
    f"lowered by less than {of.CONVERGED_FALL:.0%}"
)
_CONNECTED = (
    f"connected: at most {of.CONNECTED_FRACTION:.0%} of the straight line’s barrier is left; the "
    "fraction of such paths with its Clopper–Pearson interval lies above one half, or below it; "
    "“no” means not found within this budget"
)
_height, _barrier = attrgetter("heights"), attrgetter("barriers")
_paths, _steps = of.ranks_of_paths, of.ranks_by_step
_apart, _one_start = "different starts", "one start"


def _lower(name: str, title: str, what: str, measure: of.Measure, rule: str = _RANKS,
           by: str = "", asked: bool = True) -> Question:  # fmt: skip
    statement = f"{{first}} has a lower {what} than {{second}}"
    return Question(name, title, statement, rule, measure, by, asked=asked)


def _across(same_start: bool) -> list[Question]:
    ending, starts = ("_one_start", _one_start) if same_start else ("", _apart)
    return [
        Question(
            "between" + ending, f"Barriers between the sets against those within, {starts}",
            "Barriers between {first} and {second} are lower than those within them",
            f"{_PATHS}; barriers within both sets are pooled; ends between have {starts}",
            of.between_and_within(same_start=same_start), "split", ("between", "within"),
        ),
        Question(
            "connected" + ending, f"Connected to each other, {starts}",
            "{first} and {second} are connected", f"{_CONNECTED}; ends with {starts}",
            of.connected(same_start=same_start), "split", ("path", "straight line"),
        ),
    ]  # fmt: skip


_TABLE = (
    _lower("training_value", "Training value", "training value",
           of.ranks_of_solutions(lambda each: each.values.get("train", ()))),
    _lower("test_value", "Test value", "test value",
           of.ranks_of_solutions(lambda each: each.values.get("test", ()))),
    Question(
        "comparable", "Comparable test values", "{first} and {second} have comparable test values",
        "the ratio of the mean test values, with its bootstrap interval, lies within a factor of "
        f"{of.COMPARABLE_RATIO:g}; without a lower bound, their difference within "
        f"{of.COMPARABLE_SPREADS:g} standard deviation", of.comparable,
    ),
    _lower("overfit", "Rise of the test value after its minimum", "rise of the test value",
           of.ranks_of_solutions(lambda each: each.rises)),
    _lower("path_height", "Path heights", "path height", _paths(_height), _PATHS, "split"),
    _lower("barrier", "Barriers", "barrier", _paths(_barrier), _PATHS, "split"),
    _lower("path_height_converged", "Path heights, converged", "path height once converged",
           _paths(_height, only_converged=True), _PATHS + _CONVERGED, "split"),
    _lower("barrier_converged", "Barriers, converged", "barrier once converged",
           _paths(_barrier, only_converged=True), _PATHS + _CONVERGED, "split"),
    *_across(same_start=False),
    *_across(same_start=True),
    _lower("distance", "Vector lengths", "distance from the common origin", of.distances),
    Question(
        "centroids", "Separation of the centroids", "{first} and {second} are apart",
        "the separation of the centroids, corrected for the noise of few runs, with its jackknife "
        f"interval, is at least {of.SMALL_SEPARATION} of the vectors’ spread",
        of.centroids,
    ),
    Question(
        "kernel", "Separation by kernel PCA", "The kernel separates {first} from {second}",
        "the area under the ROC curve of the first component, with its bootstrap interval, is at "
        f"least {of.SEPARATED_AUC}", of.kernel_area, "kernel",
    ),
    _lower("sharpness", "Sharpness", "largest eigenvalue of the Hessian",
           of.ranks_of_solutions(lambda each: each.sharpness)),
    _lower("height_lines", "Straight lines", "height of straight lines", _steps(0.0), _PATHS,
           "split", False),
    _lower("height_quarter", "Path heights, early", "path height after a quarter of the steps",
           _steps(0.25), _PATHS, "split", False),
    _lower("height_end", "Path heights, lowest", "lowest path height of all steps", _steps(1.0),
           _PATHS, "split", False),
    Question(
        "steep_rise", "Steep rise of the test value", "The test value of {first} rises steeply",
        "the median of last value / lowest value, with its bootstrap interval, is at least "
        f"{of.STEEP_RISE}", of.steep_rise, sets=1, asked=False,
    ),
    Question(
        "paths_converged", "Converged paths", "The paths of {first} have converged",
        "the median path fell by less than "
        f"{of.CONVERGED_FALL:.0%} in the last half of the steps", of.paths_converged, "split",
        sets=1, asked=False,
    ),
)  # fmt: skip

QUESTIONS = {question.name: question for question in _TABLE}
"""All questions by name."""


def ask_all(
    samples: ProblemSamples,
    pairs: Iterable[Pair],
    generator: np.random.Generator,
    questions: Iterable[str] | None = None,
) -> tuple[Answer, ...]:
    """Ask questions about pairs of weight sets of one problem.

    The p-values of one question (on one split, with one kernel) are corrected over all pairs by
    Holm's method, so pairs of training weights and pairs of test weights are best asked apart.
    Where both sets have the same starts, and these are so many that the signed-rank test could
    reach p < 0.05 after the correction, it is Wilcoxon's test of the differences; else it is the
    Mann-Whitney test, which is on the safe side where values of one start are alike. Paths of one
    run are not independent: the interval takes that into account, the p-value does not; a verdict
    needs both.

    Args:
        samples: What is known of the problem. Questions whose samples are absent are not answered.
        pairs: Pairs of names of sets; each is answered once, whichever set comes first.
        generator: For the bootstrap. An answer does not depend on the other pairs' draws.
        questions: Keys of `QUESTIONS`; all about two sets that are not special by default.

    Returns:
        The answers, by question, split or kernel, and pair.

    Raises:
        ValueError: If a pair names a set that is absent, or one set twice.
        KeyError: If there is no question of a name.

    Source: Holm 1979, Scand. J. Statist. 6, 65; Cliff 1993, Psychol. Bull. 114, 494.

    >>> from lowroad.analysis import SetSamples
    >>> low, high = ({"train": np.arange(6.0) + start} for start in (0, 9))
    >>> samples = ProblemSamples(sets={"a": SetSamples(values=low), "b": SetSamples(values=high)})
    >>> [answer] = ask_all(samples, [("a", "b")], np.random.default_rng(0))
    >>> answer.question, answer.verdict.value, round(answer.p_corrected, 4), answer.runs_needed
    ('training_value', 'first lower', 0.0022, 4)
    """
    family: list[Pair] = []
    for pair in pairs:
        if len(set(pair)) != 2 or not set(pair) <= samples.sets.keys():
            raise ValueError(
                f"expected pairs of two different sets among {', '.join(samples.sets)}; got {pair}"
            )
        one, two = pair
        if (one, two) not in family and (two, one) not in family:
            family.append((one, two))
    if questions is None:
        questions = [name for name, question in QUESTIONS.items() if question.asked]
    seed = int(generator.integers(2**63))
    splits = dict.fromkeys(split for each in samples.sets.values() for split in each.paths)
    splits |= dict.fromkeys(split for paths in samples.between.values() for split in paths)
    parts: dict[str, Sequence[str]] = {"": [""], "split": [*splits], "kernel": KERNELS}
    answers: list[Answer] = []
    for question in (QUESTIONS[name] for name in questions):
        for part in parts[question.by]:
            found = {}
            for pair in family:
                # in one order, so that exchanged names give the mirrored answer
                one, two = sorted(pair)
                chance = chance_of(seed, question.name, part, one, two)
                measured = question.measure(Asked(samples, one, two, part, chance))
                if measured is not None:
                    turned = pair != (one, two) and question.compared == _SETS
                    found[pair] = _mirrored(measured) if turned else measured
            answers += _answers(question, samples.name, part, found)
    return tuple(answers)


def chance_of(seed: int, *names: str) -> np.random.Generator:
    """Return a comparison's own random numbers, whatever other comparisons are made."""
    return np.random.default_rng([seed, crc32("\n".join(names).encode())])


def _mirrored(found: Measured) -> Measured:
    ends = [found.interval.estimate, found.interval.low, found.interval.high]
    estimate, *ends = map(found.mirrored, ends)
    if found.mirrored is not float:
        ends.reverse()
    return replace(
        found, interval=Interval(estimate, *ends), sizes=found.sizes[::-1],
        medians=found.medians[::-1],
    )  # fmt: skip


def _answers(
    question: Question, problem: str, part: str, found: dict[Pair, Measured]
) -> list[Answer]:
    number = max(1, sum(np.isfinite(each.p_value) for each in found.values()))
    for pair, each in found.items():
        if each.paired is not None and number * smallest_p_value(each.paired[1]) < SIGNIFICANCE:
            p_value, starts = each.paired
            test = "Wilcoxon’s signed-rank test of equal starts"
            found[pair] = replace(each, p_value=p_value, test=test, tested=(starts,))
    answers = []
    split, kernel = (part if question.by == by else "" for by in ("split", "kernel"))
    corrected = holm([each.p_value for each in found.values()])
    for (pair, each), p_value in zip(found.items(), corrected, strict=True):
        smallest = min(1.0, number * smallest_p_value(*each.tested))
        samples = len(each.tested)
        least = next(
            n for n in count(1) if number * smallest_p_value(*[n] * samples) < SIGNIFICANCE
        )
        verdict, reason = _verdict(each, float(p_value), smallest)
        needed: int | None = least
        if reason == _LEFT_OPEN:
            needed = runs_that_decide(each, partial(_is_decided, number=number))
            many = f"more than {MOST_RUNS:,}" if needed is None else f"about {needed}"
            reason += f"; {many} in each set would decide it, if the effect stayed"
        answers.append(
            Answer(
                question.name, problem, *pair, split, kernel, each.statistic, each.interval,
                each.p_value, float(p_value), smallest, each.test, each.sizes, each.medians,
                verdict, reason, needed,
            )
        )  # fmt: skip
    return answers


def _is_decided(found: Measured, number: int) -> bool:
    p_values = (min(1.0, number * p) for p in (found.p_value, smallest_p_value(*found.tested)))
    return _verdict(found, *p_values)[0] is not Finding.UNDECIDED


def runs_that_decide(found: Measured, decided: Callable[[Measured], bool]) -> int | None:
    """Return about how many runs (or paths) in each sample would decide what is undecided.

    The number n at which `decided` would say so if the estimate stayed as it is, while the
    interval's ends drew nearer to it by the factor √(m / n), where m is the harmonic mean of the
    samples' sizes, and the test's normal deviate grew by √(n / m). Such a study decides in about
    half of all cases, since the estimate does not stay.

    Returns:
        The number; None where it is above `MOST_RUNS`, or nothing is known of the samples.

    >>> found = Measured("δ", Interval(0.2, -0.1, 0.5), 0.2, "U", (20, 20), (20, 20))
    >>> runs_that_decide(found, lambda each: each.interval.low > 0)
    46
    """
    known = found.interval.low, found.interval.high, found.interval.estimate
    if not min(found.tested) or not np.isfinite(known).all():
        return None
    size = len(found.tested) / sum(1 / n for n in found.tested)
    deviate = scipy.stats.norm.isf(found.p_value / 2)

    def would(n: int) -> bool:
        shrunk = (size / n) ** 0.5
        low, high, estimate = known
        ends = (estimate + shrunk * (end - estimate) for end in (low, high))
        scaled = replace(
            found, interval=Interval(estimate, *ends), tested=(n,) * len(found.tested),
            p_value=2 * float(scipy.stats.norm.sf(deviate / shrunk)), sizes=(n,) * len(found.sizes),
        )  # fmt: skip
        return decided(scaled)

    numbers = range(int(size) + 1, MOST_RUNS + 1)
    place = bisect_left(numbers, True, key=would)
    return numbers[place] if place < len(numbers) else None


def _verdict(found: Measured, p_value: float, smallest_p: float) -> tuple[Finding, str]:
    low, high, region = found.interval.low, found.interval.high, found.region
    verdict, reason = Finding.UNDECIDED, _LEFT_OPEN
    if not min(found.sizes):
        reason = "no finite numbers"
    elif smallest_p >= SIGNIFICANCE:
        reason = "too few for the test to decide"
    elif not np.isfinite([low, high]).all():
        reason = "no interval"
    elif region is not None:
        if region[0] <= low and high < region[1] and p_value < SIGNIFICANCE:
            verdict = Finding.YES
        elif high < region[0] or low >= region[1]:
            verdict = Finding.NO
    elif p_value < SIGNIFICANCE and (low > 0 or high < 0):
        verdict = Finding.SECOND_LOWER if low > 0 else Finding.FIRST_LOWER
    elif low > -MEDIUM_DELTA and high < MEDIUM_DELTA:
        verdict = Finding.ALIKE
    return verdict, reason if verdict is Finding.UNDECIDED else ""

"""Published claims: the answers that they expect to questions, and whether they hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from enum import Enum
from functools import partial
from typing import Any

import numpy as np

from lowroad.analysis.comparisons import Interval, smallest_p_value
from lowroad.analysis.questions import (
    MEDIUM_DELTA,
    QUESTIONS,
    SIGNIFICANCE,
    Finding,
    chance_of,
    runs_that_decide,
)
from lowroad.analysis.questions_measured import Measured
from lowroad.analysis.questions_samples import Asked, ProblemSamples

__all__ = [
    "Claim", "ClaimResult", "Claims", "Evidence", "Expectation", "Published", "Verdict",
    "judge_claims",
]  # fmt: skip


class Verdict(Enum):
    """What the runs say about a claim."""

    HOLDS = "holds"
    FAILS = "does not hold"
    OPEN = "not enough runs"


@dataclass(frozen=True)
class Expectation:
    """One comparison that a claim is about.

    Attributes:
        text: What is compared, in words.
        question: Key in `QUESTIONS`.
        first: The first weight set.
        second: The second one; "" for questions about one set.
        finding: The answer that is said to be given, or not to be given.
        problems: Whether it is given, by problem.
        part: The split or the kernel, where the question is asked for each.
        refutable: Whether another answer contradicts the claim, or leaves it open.
    """

    text: str
    question: str
    first: str
    second: str
    finding: Finding
    problems: Mapping[str, bool]
    part: str = ""
    refutable: bool = True

    def __post_init__(self) -> None:
        if self.question not in QUESTIONS:
            near = get_close_matches(self.question, QUESTIONS, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(QUESTIONS)}"
            raise ValueError(f"a claim asks {self.question!r}, which is not a question; {hint}")
        if not isinstance(self.finding, Finding) or self.finding is Finding.UNDECIDED:
            raise ValueError(f"a claim expects a Finding that decides, not {self.finding!r}")


@dataclass(frozen=True)
class Claim:
    """A claim.

    Attributes:
        number: Its number.
        statement: The claim in words.
        rule: How it is judged.
        expectations: The comparisons it is about.
        published: Whether it is a publication's claim, or one that was added to those.
    """

    number: int
    statement: str
    rule: str
    expectations: tuple[Expectation, ...]
    published: bool = True


@dataclass(frozen=True)
class Published:
    """A publication and its numbers.

    Attributes:
        reference: Authors, year, title.
        url: Where it is.
        values: Mean lowest values by problem and weight set.
        weights: Mean and standard deviation of all components, by problem and weight set.
    """

    reference: str
    url: str
    values: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    weights: Mapping[str, Mapping[str, tuple[float, float]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Claims:
    """What `[report] claims` of a study file names: claims, and what is published with them.

    Attributes:
        claims: The claims.
        published: Numbers that are shown beside the study's own.
        figures: Further figures of the report, `lowroad.report.figures.Figure` objects.
    """

    claims: tuple[Claim, ...] = ()
    published: Published | None = None
    figures: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        for claim in self.claims:
            if not isinstance(claim, Claim):
                raise TypeError(f"claims must be Claim objects; got {type(claim).__name__}")


@dataclass(frozen=True)
class Evidence:
    """One measured comparison behind a claim.

    Attributes:
        problem: The problem.
        question: What is compared, in words.
        expected: Whether the claim says yes or no to it.
        statistic: What the number is, e.g. "Cliff’s δ".
        interval: The number with its 95% interval.
        p_value: Of the test, NaN where there is none; not corrected.
        sizes: Sizes of the samples.
        verdict: Whether the claim's answer holds.
        runs_needed: Where that is open, about how many runs (or paths) in each set would decide
            it, if the effect stayed as measured (`runs_that_decide`); None where it is decided, or
            where they are too many or cannot be told.
    """

    problem: str
    question: str
    expected: bool
    statistic: str
    interval: Interval
    p_value: float
    sizes: tuple[int, ...]
    verdict: Verdict
    runs_needed: int | None


@dataclass(frozen=True)
class ClaimResult:
    """A claim with its evidence.

    Attributes:
        number: The claim's number.
        statement: The claim in words.
        rule: How it is judged.
        evidence: The comparisons.
        unmeasured: Problems of the claim that this study does not contain.
        verdict: Holds when every comparison agrees and no problem is missing; does not hold
            when one comparison contradicts; otherwise there are not enough runs.
        published: Whether it is a publication's claim.
    """

    number: int
    statement: str
    rule: str
    evidence: tuple[Evidence, ...]
    unmeasured: tuple[str, ...]
    verdict: Verdict
    published: bool


def judge_claims(
    claims: Claims, samples: Mapping[str, ProblemSamples], generator: np.random.Generator
) -> tuple[ClaimResult, ...]:
    """Judge claims on the runs of a study.

    That a set is lower than another is answered with *yes* when the Mann-Whitney test has p < 0.05
    and the interval of Cliff's delta lies on that side of zero, with *no* when the interval
    excludes a medium effect (|delta| >= 0.33) on that side, else not at all; also not when the
    samples are so small that no result could reach p < 0.05. A threshold is answered by the
    interval. The p-values are not corrected for the number of comparisons. Sets that hold the same
    points are compared once.

    Args:
        claims: The claims.
        samples: By problem; problems that a claim does not name are passed over.
        generator: For the bootstrap.

    Returns:
        The results in the claims' order.

    >>> expected = Expectation("b above a", "training_value", "b", "a", Finding.SECOND_LOWER,
    ...                        {"p": True})
    >>> claims = Claims((Claim(1, "a is lower.", "ranks", (expected,)),))
    >>> judge_claims(claims, {"p": ProblemSamples()}, np.random.default_rng(0))[0].verdict.value
    'not enough runs'
    """
    results = []
    seed = int(generator.integers(2**63))
    for claim in claims.claims:
        named = dict.fromkeys(name for each in claim.expectations for name in each.problems)
        missing = tuple(name for name in named if name not in samples)
        evidence: list[Evidence] = []
        for name in named:
            if name in samples:
                evidence += _evidence(claim.expectations, name, samples[name], seed)
        verdict = _together(evidence, missing)
        results.append(
            ClaimResult(claim.number, claim.statement, claim.rule, tuple(evidence), missing,
                        verdict, claim.published)
        )  # fmt: skip
    return tuple(results)


def _evidence(
    expectations: Sequence[Expectation],
    problem: str,
    samples: ProblemSamples,
    seed: int,
) -> list[Evidence]:
    evidence, seen = [], set()
    for each in expectations:
        if problem not in each.problems:
            continue
        points = [samples.same_points.get(name, name) for name in (each.first, each.second)]
        key = (each.question, each.part, each.finding, *points)
        if key in seen:
            continue
        seen.add(key)
        chance = chance_of(seed, problem, each.question, each.part, each.first, each.second)
        asked = Asked(samples, each.first, each.second, each.part, chance)
        found = QUESTIONS[each.question].measure(asked)
        text, nan = each.text, float("nan")
        if found is None:
            found = Measured("–", Interval(nan, nan, nan), nan, "", (0,), (0, 0))
        if points[0] == points[1]:
            text += " (the same points)"
            found = Measured(
                found.statistic, Interval(0.0, 0.0, 0.0), 1.0, "", found.sizes, found.sizes
            )
        expected = each.problems[problem]
        answer = _agrees(found, each.finding)
        verdict = Verdict.HOLDS if answer is expected else Verdict.FAILS
        # where equal points should differ, the runs have ended too early to say
        undecided = answer is None or (points[0] == points[1] and answer is not expected)
        if undecided or (verdict is Verdict.FAILS and not each.refutable):
            verdict = Verdict.OPEN
        needed = None
        if answer is None and points[0] != points[1]:
            needed = runs_that_decide(found, partial(_is_answer, asked=each.finding))
        evidence.append(
            Evidence(problem, text, expected, found.statistic, found.interval, found.p_value,
                     found.sizes, verdict, needed)
        )  # fmt: skip
    return evidence


def _is_answer(found: Measured, asked: Finding) -> bool:
    return _agrees(found, asked) is not None


def _agrees(found: Measured, asked: Finding) -> bool | None:
    """Whether the samples give an answer; None where they do not say."""
    low, high = found.interval.low, found.interval.high
    if smallest_p_value(*found.tested) >= SIGNIFICANCE or not np.isfinite([low, high]).all():
        return None
    if found.region is not None:
        inside = found.region[0] <= low and high < found.region[1]
        if not inside and not (high < found.region[0] or low >= found.region[1]):
            return None
        return inside if asked is Finding.YES else not inside
    if asked is Finding.ALIKE:
        if low > -MEDIUM_DELTA and high < MEDIUM_DELTA:
            return True
        return False if found.p_value < SIGNIFICANCE and (low > 0 or high < 0) else None
    if asked is Finding.FIRST_LOWER:
        low, high = -high, -low
    if found.p_value < SIGNIFICANCE and low > 0:
        return True
    return False if high < MEDIUM_DELTA else None


def _together(evidence: Sequence[Evidence], missing: Sequence[str]) -> Verdict:
    verdicts = {item.verdict for item in evidence}
    if Verdict.FAILS in verdicts:
        return Verdict.FAILS
    if not evidence or missing or Verdict.OPEN in verdicts:
        return Verdict.OPEN
    return Verdict.HOLDS

"""What the page says to the questions and on published claims: sentences, matrices, tables."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from lowroad.analysis import (
    QUESTIONS,
    Answer,
    ClaimResult,
    Published,
    Verdict,
    ask_all,
    judge_claims,
)
from lowroad.analysis.questions import SIGNIFICANCE
from lowroad.plotting.style import three_figures
from lowroad.report.findings import Asked, Findings, findings_of, verdict_text
from lowroad.report.samples import samples_of
from lowroad.report.text import interval, listing
from lowroad.report.views import Group, TableView

if TYPE_CHECKING:
    from lowroad.analysis import Interval
    from lowroad.report.view import View

__all__ = ["Answers", "Cell", "ClaimView", "Matrix", "answer", "as_plain"]

RULE = (
    f"p < {SIGNIFICANCE} after Holm’s correction for the number of pairs, and the interval of the "
    "effect size agrees"
)


@dataclass(frozen=True)
class Cell:
    """A verdict in a matrix: its kind for the style sheet, a symbol, words, and the numbers."""

    kind: str
    symbol: str
    text: str
    title: str = ""


@dataclass(frozen=True)
class Matrix:
    """Verdicts as rows and columns.

    Attributes:
        title: What it is called.
        choice: By what the reader chooses it among the others.
        corner: What the rows are.
        labels: The columns.
        lines: Each row's label and cells.
        notes: How the verdicts come about.
        table: The same in numbers.
    """

    title: str
    choice: Mapping[str, str]
    corner: str
    labels: Sequence[str]
    lines: Sequence[tuple[str, Sequence[Cell]]]
    notes: Sequence[str]
    table: TableView


@dataclass(frozen=True)
class ClaimView:
    """A claim as the page shows it."""

    number: int
    published: bool
    statement: str
    measured: str
    verdict: str
    table: TableView


@dataclass(frozen=True)
class Answers:
    """Everything that the study says to the questions, and on published claims.

    Attributes:
        asked: All answers.
        findings: The most important ones in sentences.
        matrices: All of them as matrices of verdicts.
        published: The publication that the study is compared with, if any.
        claims: Its claims, judged.
        claim_views: The same for the page.
    """

    asked: tuple[Asked, ...]
    findings: Findings
    matrices: list[Matrix]
    published: Published | None
    claims: tuple[ClaimResult, ...]
    claim_views: list[ClaimView]

    @property
    def tally(self) -> dict[str, int]:
        """How many of the published claims have each verdict."""
        counts = Counter(claim.verdict for claim in self.claims if claim.published)
        return {verdict.value: counts[verdict] for verdict in Verdict} if counts else {}


def answer(view: View) -> Answers:
    """Ask all questions about all pairs of weight sets, and judge the claims that a study names.

    Pairs are of sets that are selected alike; a set with one point for each run belongs to every
    selection. Chance comes from the study's seed only.
    """
    claims = view.claims
    expected = [
        (each.first, each.second)
        for claim in (claims.claims if claims else ())
        for each in claim.expectations
    ]
    asked: list[Asked] = []
    samples = {}
    for number, problem in enumerate(view.results.problems):
        families = _families(view, problem)
        pairs = [*expected, *(pair for family in families.values() for pair in family)]
        samples[problem] = samples_of(view, problem, dict.fromkeys(pairs))
        for place, (selection, family) in enumerate(families.items()):
            chance = np.random.default_rng([view.results.config.seed, number, place])
            found = ask_all(samples[problem], family, chance)
            asked += [Asked(each, selection) for each in found]
    judged: tuple[ClaimResult, ...] = ()
    if claims is not None:
        judged = judge_claims(claims, samples, np.random.default_rng(view.results.config.seed))
    return Answers(
        tuple(asked),
        findings_of(view, asked),
        _matrices(view, asked),
        claims.published if claims else None,
        judged,
        [_claim_view(claim) for claim in judged],
    )


def _families(view: View, problem: str) -> dict[str, list[tuple[str, str]]]:
    """Pairs of sets of different sources that are selected alike, by selection."""
    sets = view.results.sets(problem)
    families = {}
    for selection in dict.fromkeys(each.selection for each in sets if each.selection) or [""]:
        alike = [each for each in sets if each.selection in (selection, "")]
        pairs = [(str(one), str(two)) for one, two in combinations(alike, 2)]
        if pairs:
            families[selection] = pairs
    return families


def _matrices(view: View, asked: Sequence[Asked]) -> list[Matrix]:
    """One matrix for each question, problem and selection; one for each selection of two sets."""
    if not asked:
        return []
    groups: dict[tuple[str, str, str], list[Asked]] = {}
    for each in asked:
        groups.setdefault((each.answer.problem, each.selection, each.title(view)), []).append(each)
    if all(len(group) == 1 for group in groups.values()):
        return _by_problem(view, asked)
    return [
        _of_pairs(view, problem, selection, title, group)
        for (problem, selection, title), group in groups.items()
    ]


def _of_pairs(
    view: View, problem: str, selection: str, title: str, group: Sequence[Asked]
) -> Matrix:
    """All pairs of sets: the row compared with the column."""
    sets = [str(each) for each in view.results.sets(problem)]
    names = {name for each in group for name in (each.answer.first, each.answer.second)}
    order = [name for name in sets if name in names]
    known: dict[tuple[str, str], Cell] = {}
    for each in group:
        found, pair = each.answer, (each.answer.first, each.answer.second)
        known[pair] = _cell(found, first="lower", second="higher")
        known[pair[::-1]] = _cell(found, first="higher", second="lower")
    blank, missing = Cell("self", "–", ""), Cell("none", "", "not measured")
    lines = [
        (view.label(row), [blank if row == c else known.get((row, c), missing) for c in order])
        for row in order
    ]
    return Matrix(
        f"{title}, {problem}",
        {"problem": problem, "weights": selection, "question": title},
        "",
        [view.label(name) for name in order],
        lines,
        [f"Measured: {QUESTIONS[group[0].answer.question].rule}."],
        _numbers(view, title, group),
    )


def _by_problem(view: View, asked: Sequence[Asked]) -> list[Matrix]:
    """Two sets only: questions as rows, problems as columns."""
    matrices = []
    for selection in dict.fromkeys(each.selection for each in asked):
        own = [each for each in asked if each.selection == selection]
        problems = [p for p in view.results.problems if any(e.answer.problem == p for e in own)]
        known = {(each.title(view), each.answer.problem): each.answer for each in own}
        missing = Cell("none", "", "not measured")
        lines = []
        for title in dict.fromkeys(each.title(view) for each in own):
            cells = []
            for problem in problems:
                found = known.get((title, problem))
                if found is None:
                    cells.append(missing)
                    continue
                names = (view.results.label(_source(n)) for n in (found.first, found.second))
                cells.append(_cell(found, *(f"{name} lower" for name in names)))
            lines.append((title, cells))
        sets = dict.fromkeys(view.label(n) for e in own for n in (e.answer.first, e.answer.second))
        matrices.append(
            Matrix(
                listing(sets), {"weights": selection}, "Question", problems, lines, [],
                _numbers(view, f"Answers for {listing(sets)}", own, titles=True),
            )
        )  # fmt: skip
    return matrices


def _source(name: str) -> str:
    return name.partition("/")[0]


def _cell(found: Answer, first: str, second: str) -> Cell:
    """The cell of an answer; `first` and `second` say which set is the lower one."""
    kind, symbol, words = verdict_text(found, first, second)
    numbers = _measure(found.statistic, found.interval)
    if not math.isnan(found.p_corrected):
        numbers += f", p = {three_figures(found.p_corrected)} corrected"
    return Cell(kind, symbol, words, f"{numbers}; {found.reason}" if found.reason else numbers)


def _measure(statistic: str, found: Interval) -> str:
    return f"{statistic} {interval(found.estimate, found.low, found.high)}"


def _numbers(view: View, name: str, group: Sequence[Asked], titles: bool = False) -> TableView:
    groups: dict[str, list[list[str]]] = {}
    for each in group:
        found = each.answer
        labels = [view.label(found.first), view.label(found.second)]
        _, _, words = verdict_text(found, *(f"{label} lower" for label in labels))
        row = [
            f"{labels[0]} – {labels[1]}",
            _measure(found.statistic, found.interval),
            three_figures(found.p_corrected),
            " + ".join(map(str, found.sizes)),
            f"{words}: {found.reason}" if found.reason else words,
        ]
        if titles:
            row = [each.title(view), *row[1:]]
        groups.setdefault(found.problem, []).append(row)
    return TableView(
        name,
        "In brackets the 95% interval; δ is positive where the first is higher. p is corrected by "
        "Holm’s method for the number of pairs.",
        ["Question" if titles else "Sets", "Measured", "p", "n", "Verdict"],
        [Group(problem, rows) for problem, rows in groups.items()],
    )


def _claim_view(claim: ClaimResult) -> ClaimView:
    says = "Paper says" if claim.published else "Claimed"
    rows = [
        [
            item.problem,
            item.question,
            _measure(item.statistic, item.interval),
            three_figures(item.p_value),
            " + ".join(map(str, item.sizes)),
            "yes" if item.expected else "no",
            item.verdict.value + (f": about {item.runs_needed}" if item.runs_needed else ""),
        ]
        for item in claim.evidence
    ]
    needed = (
        " Where runs are too few: about how many in each set would decide, if the effect stayed."
    )
    needed = needed if any(item.runs_needed for item in claim.evidence) else ""
    table = TableView(
        f"Comparisons behind claim {claim.number}",
        f"Judged by: {claim.rule}. In brackets the 95% interval; p of the rank test, not "
        f"corrected for the number of comparisons.{needed}",
        ["Problem", "Comparison", "Measured", "p", "n", says, "Verdict"],
        [Group("", rows)],
    )
    return ClaimView(
        claim.number, claim.published, claim.statement, _measured(claim), claim.verdict.value, table
    )


def _measured(claim: ClaimResult) -> str:
    """What was measured on a claim, in a sentence."""
    found = Counter(item.verdict for item in claim.evidence)
    everywhere = {item.problem for item in claim.evidence}
    parts = []
    if total := len(claim.evidence):
        noun = "comparison agrees" if total == 1 else "comparisons agree"
        parts.append(f"{found[Verdict.HOLDS]} of {total} {noun}")
    for verdict, words in ((Verdict.FAILS, "contradict"), (Verdict.OPEN, "undecided")):
        names = dict.fromkeys(item.problem for item in claim.evidence if item.verdict is verdict)
        if names:
            where = "" if set(names) == everywhere and len(names) > 1 else f" ({listing(names)})"
            parts.append(f"{found[verdict]} {words}{where}")
    if claim.unmeasured:
        parts.append(f"not in this study: {listing(claim.unmeasured)}")
    return "; ".join(parts) + "."


def as_plain(value: Any) -> Any:
    """Something that JSON has a form for; numbers that are not finite become null."""
    if isinstance(value, Asked):
        return as_plain({"weights": value.selection, **asdict(value.answer)})
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {key: as_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_plain(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return as_plain(asdict(value))
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

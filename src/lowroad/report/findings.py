"""The most important answers of a study as sentences; what was not measured has none."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowroad.analysis import QUESTIONS, Answer, Finding
from lowroad.plotting.style import three_figures
from lowroad.report.text import SPLIT_NAMES, listing
from lowroad.study.labels import WeightSet

if TYPE_CHECKING:
    from lowroad.report.view import View

__all__ = ["Asked", "Findings", "findings_of", "verdict_text"]

_LOWER = {
    "training_value": "{low} reaches a lower training {quantity} than {high}",
    "test_value": "{low} reaches a lower test {quantity} than {high}",
    "overfit": "the test {quantity} of {low} rises less after its minimum than that of {high}",
    "barrier": "barriers between solutions of {low} are lower than between those of {high}{on}",
    "between": "barriers between {first} and {second} are {low} than those within them{on}",
    "distance": "weight vectors of {low} are shorter than those of {high}, seen from their common "
    "origin",
    "sharpness": "solutions of {low} are flatter than those of {high}",
}
_YES = {
    "connected": ("{first} and {second} are connected{on}",
                  "no path without a barrier was found between {first} and {second}{on} "
                  "within this budget"),
    "kernel": ("RBF kernel PCA separates {first} from {second}",
               "RBF kernel PCA does not separate {first} from {second}"),
}  # fmt: skip
_YES_WORDS = {
    "comparable": ("comparable", "not comparable"),
    "connected": ("connected", "not found"),
    "centroids": ("apart", "not apart"),
    "kernel": ("separated", "not separated"),
}
_HELD_OUT = ("test_value", "overfit")
_MOST_NAMED = 3  # other sets that are named; more are counted


@dataclass(frozen=True)
class Asked:
    """An answer, and by what the points of its weight sets are selected."""

    answer: Answer
    selection: str

    @property
    def name(self) -> str:
        """The question without "_one_start"."""
        return self.answer.question.removesuffix("_one_start")

    def title(self, view: View) -> str:
        """The question's heading, with what a value of the problem is."""
        found, parts = self.answer, [QUESTIONS[self.answer.question].title]
        if found.split and view.on(found.split):
            parts.append(f"{SPLIT_NAMES[found.split]} landscape")
        if found.kernel:
            parts.append("RBF kernel" if found.kernel == "rbf" else f"{found.kernel} kernel")
        return _in_words(", ".join(parts), view.results.facts[found.problem].quantity)

    def topic(self, view: View) -> str:
        """The question's subject within a sentence."""
        title = QUESTIONS[self.answer.question].title.partition(",")[0]
        words = _in_words(title, view.results.facts[self.answer.problem].quantity)
        return words[0].lower() + words[1:]


@dataclass(frozen=True)
class Findings:
    """What was found, and what is to be known of it, in sentences."""

    found: list[str]
    notes: list[str]


def _in_words(text: str, quantity: str) -> str:
    """Say what a value is.

    >>> _in_words("Comparable test values", "loss"), _in_words("Training value", "energy")
    ('Comparable test losses', 'Training energy')
    """
    plural = f"{quantity[:-1]}ies" if quantity.endswith("y") else quantity + "s"
    plural = f"{quantity}es" if quantity.endswith("s") else plural
    return re.sub(r"\bvalue\b", quantity, re.sub(r"\bvalues\b", plural, text))


def verdict_text(found: Answer, first: str, second: str) -> tuple[str, str, str]:
    """Kind, symbol and words of a verdict.

    Args:
        found: The answer.
        first: The words where the first set is the lower one.
        second: The words where the second one is.
    """
    compared, verdict = QUESTIONS[found.question].compared, found.verdict
    if compared != ("first", "second"):
        first, second = (f"{name} lower" for name in compared)
    if verdict in (Finding.FIRST_LOWER, Finding.SECOND_LOWER):
        words = first if verdict is Finding.FIRST_LOWER else second
        low = words.endswith("lower")
        return ("lower", "▼", words) if low else ("higher", "▲", words)
    if verdict in (Finding.YES, Finding.NO):
        name = found.question.removesuffix("_one_start")
        yes, no = _YES_WORDS.get(name, ("yes", "no"))
        return ("lower", "✓", yes) if verdict is Finding.YES else ("higher", "✗", no)
    if verdict is Finding.ALIKE:
        return "same", "≈", "alike"
    return "open", "○", "too few" if found.reason.startswith("too few") else "undecided"


def findings_of(view: View, asked: Sequence[Asked]) -> Findings:
    """The headlines of all answers."""
    alone = [name for name in view.results.problems if len(view.results.sets(name)) == 1]
    notes = []
    if alone:
        notes.append(f"Nothing can be compared in {listing(alone)}: there is one weight set only.")
    order = list(QUESTIONS)
    main = [each for each in asked if _is_headline(view, each)]
    main.sort(key=lambda each: order.index(each.answer.question))
    groups: dict[tuple[str, ...], list[Asked]] = {}
    for each in main:
        found = each.answer
        many = sum(other.title(view) == each.title(view) and other.answer.problem == found.problem
                   for other in main) > 1  # fmt: skip
        key = (each.title(view), each.answer.question, found.problem if many else "")
        groups.setdefault(key, []).append(each)
    found_sentences = [
        sentence
        for (title, _, problem), group in groups.items()
        for sentence in (_ranking(view, title, problem, group) if problem else _pairs(view, group))
    ]
    notes += _too_few(view, main)
    if not asked and len(alone) < len(view.results.problems):
        notes.append("There is no answer yet: not enough runs with a finite result are stored.")
    elif main and not found_sentences:
        notes.insert(0, "No comparison of two sets is decided by these runs.")
    return Findings(found_sentences, notes)


def _is_headline(view: View, each: Asked) -> bool:
    """Whether an answer belongs on top: each landscape with the points that are selected on it."""
    found = each.answer
    if each.name not in {*_LOWER, *_YES} or found.kernel not in ("", "rbf"):
        return False
    selections = {s.selection for s in view.results.sets(found.problem)}
    held_out = next((s for s in ("test", "validation") if s in selections), "")
    on_test = found.split == "test" or each.name in _HELD_OUT
    main = held_out if on_test and held_out else ("train" if "train" in selections else "")
    return each.selection in (main, "")


def _pairs(view: View, group: Sequence[Asked]) -> list[str]:
    """One pair of sets in each problem: a sentence for each finding, with the problems."""
    sentences: dict[str, list[str]] = {}
    for each in group:
        if (text := _sentence(view, each.answer)) is not None:
            place = f"{each.answer.problem} ({_effect(each.answer)})"
            sentences.setdefault(text, []).append(place)
    return [
        f"{text[0].upper()}{text[1:]} in {listing(where)}." for text, where in sentences.items()
    ]


def _sentence(view: View, found: Answer) -> str | None:
    name = found.question.removesuffix("_one_start")
    labels = [view.results.label(WeightSet.of(each).source) for each in (found.first, found.second)]
    words = {
        "first": labels[0],
        "second": labels[1],
        "quantity": view.results.facts[found.problem].quantity,
        "on": view.on(found.split) if found.split else "",
    }
    if found.verdict in (Finding.YES, Finding.NO):
        return _YES[name][found.verdict is Finding.NO].format(**words) + _starts(found)
    if found.verdict not in (Finding.FIRST_LOWER, Finding.SECOND_LOWER):
        return None
    first_lower = found.verdict is Finding.FIRST_LOWER
    words["low"], words["high"] = labels if first_lower else reversed(labels)
    if name == "between":
        words["low"] = "lower" if first_lower else "higher"
    return _LOWER[name].format(**words) + _starts(found)


def _starts(found: Answer) -> str:
    return ", where both began at one start," if found.question.endswith("_one_start") else ""


def _effect(found: Answer) -> str:
    name, estimate = found.statistic, found.interval.estimate
    if name == "Cliff’s δ":
        return f"δ = {three_figures(-abs(estimate))}"
    return f"{name} = {three_figures(estimate)}"


def _ranking(view: View, title: str, problem: str, group: Sequence[Asked]) -> list[str]:
    """Many pairs of sets: how many others each set is lower than, or what is so of how many."""
    answers = [each.answer for each in group]
    label = {
        n: view.results.label(WeightSet.of(n).source) for a in answers for n in (a.first, a.second)
    }
    compared = QUESTIONS[answers[0].question].compared == ("first", "second")
    if compared and not any(a.verdict in (Finding.YES, Finding.NO) for a in answers):
        lower = [
            (a.first, a.second) if a.verdict is Finding.FIRST_LOWER else (a.second, a.first)
            for a in answers
            if a.verdict in (Finding.FIRST_LOWER, Finding.SECOND_LOWER)
        ]
        if not lower:
            return []
        parts = [
            f"{label[name]} is lower than "
            + _of_others([label[than] for one, than in lower if one == name], len(label) - 1)
            for name, _ in Counter(one for one, _ in lower).most_common()
        ]
        return [f"{title} in {problem}: {'; '.join(parts)}."]
    found: dict[str, list[str]] = {}
    for a in answers:
        _, _, words = verdict_text(a, "", "")
        if a.verdict not in (Finding.UNDECIDED, Finding.ALIKE):
            found.setdefault(words, []).append(f"{label[a.first]} and {label[a.second]}")
    parts = [
        f"{len(pairs)} of {len(answers)} pairs {words}"
        + (f" ({'; '.join(pairs)})" if len(pairs) <= 3 else "")
        for words, pairs in found.items()
    ]
    return [f"{title} in {problem}: {'; '.join(parts)}."] if parts else []


def _of_others(names: Sequence[str], others: int) -> str:
    """Which of the others; how many where they are many.

    >>> _of_others(["a"], 2), _of_others(["a", "b"], 2)
    ('a', 'both others')
    >>> _of_others(["a", "b", "c"], 3), _of_others(["a", "b", "c"], 5)
    ('all 3 others', '3')
    """
    if len(names) < others or others == 1:
        return listing(names) if others <= _MOST_NAMED else str(len(names))
    return "both others" if others == 2 else f"all {others} others"


def _too_few(view: View, main: Iterable[Asked]) -> list[str]:
    """Which headlines would need how many runs or paths."""
    most: dict[tuple[str, str, str], int] = {}  # a question asked in several ways counts once
    for each in main:
        found = each.answer
        if found.reason.startswith("too few"):
            key = each.topic(view), found.problem, "paths" if found.split else "runs"
            most[key] = max(most.get(key, 0), found.runs_needed or 0)
    topics: dict[tuple[str, str], dict[str, None]] = {}
    for (topic, problem, unit), number in most.items():
        topics.setdefault((f"{number} {unit} of each set", problem), {})[topic] = None
    problems: dict[tuple[str, str], list[str]] = {}
    for (text, problem), about in topics.items():
        problems.setdefault((text, listing(about)), []).append(problem)
    parts = [
        f"{about} in {listing(where)} ({text} are needed at least)"
        for (text, about), where in problems.items()
    ]
    return [f"Too few to be decided: {'; '.join(parts)}."] if parts else []

from __future__ import annotations

import numpy as np
import pytest

from lowroad.analysis import (
    Claim,
    Claims,
    Expectation,
    Finding,
    PathSamples,
    ProblemSamples,
    SetSamples,
    Verdict,
    judge_claims,
)

LOW, HIGH = np.linspace(1.0, 2.0, 8), np.linspace(3.0, 4.0, 8)


def problem(first: np.ndarray, second: np.ndarray, **more: object) -> ProblemSamples:
    sets = {
        name: SetSamples(values={"train": values}, rises=values, **more)
        for name, values in (("a", first), ("b", second))
    }
    return ProblemSamples(name="p", sets=sets)


def verdicts(samples: ProblemSamples, *expected: Expectation) -> list[Verdict]:
    claims = Claims((Claim(1, "So it is.", "by ranks", expected),))
    (result,) = judge_claims(claims, {"p": samples}, np.random.default_rng(0))
    return [item.verdict for item in result.evidence]


def lower(finding: Finding, expected: bool = True) -> Expectation:
    return Expectation("b against a", "training_value", "a", "b", finding, {"p": expected})


@pytest.mark.parametrize(
    ("first", "second", "holds", "fails"),
    [
        (LOW, HIGH, [Finding.FIRST_LOWER], [Finding.SECOND_LOWER, Finding.ALIKE]),
        (HIGH, LOW, [Finding.SECOND_LOWER], [Finding.FIRST_LOWER, Finding.ALIKE]),
        (np.tile(LOW, 30), np.tile(LOW, 30), [Finding.ALIKE],
         [Finding.FIRST_LOWER, Finding.SECOND_LOWER]),
    ],
)  # fmt: skip
def test_each_finding_is_confirmed_and_refuted(first, second, holds, fails):
    samples = problem(first, second)
    assert verdicts(samples, *map(lower, holds)) == [Verdict.HOLDS] * len(holds)
    assert verdicts(samples, *map(lower, fails)) == [Verdict.FAILS] * len(fails)
    contrary = [lower(each, expected=False) for each in fails]
    assert verdicts(samples, *contrary) == [Verdict.HOLDS] * len(fails)


def test_p_values_of_claims_are_not_corrected_and_not_of_pairs():
    """Five starts: the signed ranks could not decide, the ranks of two samples can."""
    samples = problem(LOW[:5], HIGH[:5], seeds=range(5))
    claims = Claims((Claim(1, "So it is.", "by ranks", (lower(Finding.FIRST_LOWER),)),))
    (result,) = judge_claims(claims, {"p": samples}, np.random.default_rng(0))
    assert result.evidence[0].p_value == pytest.approx(2 / 252)
    assert result.verdict is Verdict.HOLDS


def test_a_threshold_is_answered_by_the_interval():
    expected = Expectation("rises", "steep_rise", "b", "", Finding.YES, {"p": True})
    assert verdicts(problem(LOW, HIGH), expected) == [Verdict.HOLDS]
    assert verdicts(problem(LOW, LOW / 2), expected) == [Verdict.FAILS]
    assert verdicts(problem(LOW, HIGH[:5]), expected) == [Verdict.OPEN]  # 2 / 2⁵ > 0.05
    energies = ProblemSamples(sets=problem(LOW, HIGH).sets, lower_bound=None)
    assert verdicts(energies, expected) == [Verdict.OPEN]


def test_an_expectation_that_cannot_be_refuted_stays_open():
    high = PathSamples(heights=HIGH, pairs=[(i, i + 1) for i in range(8)])
    low = PathSamples(heights=LOW, pairs=[(i, i + 1) for i in range(8)])
    sets = {"a": SetSamples(paths={"train": high}), "b": SetSamples(paths={"train": low})}
    samples = ProblemSamples(sets=sets)
    for refutable, verdict in ((True, Verdict.FAILS), (False, Verdict.OPEN)):
        expected = Expectation(
            "a below b", "path_height", "a", "b", Finding.FIRST_LOWER, {"p": True}, "train",
            refutable,
        )  # fmt: skip
        assert verdicts(samples, expected) == [verdict]


def test_a_claim_names_its_problems():
    expected = Expectation(
        "a", "training_value", "a", "b", Finding.FIRST_LOWER, {"p": True, "q": True}
    )
    claims = Claims((Claim(3, "So it is.", "by ranks", (expected,), published=False),))
    samples = {"p": problem(LOW, HIGH), "other": problem(HIGH, LOW)}
    (result,) = judge_claims(claims, samples, np.random.default_rng(0))
    assert (result.number, result.published, result.unmeasured) == (3, False, ("q",))
    assert [item.problem for item in result.evidence] == ["p"]
    assert result.verdict is Verdict.OPEN
    (refuted,) = judge_claims(claims, {"p": problem(HIGH, LOW)}, np.random.default_rng(0))
    assert refuted.verdict is Verdict.FAILS


def test_an_interval_does_not_depend_on_what_else_is_judged():
    expected = Expectation(
        "a", "training_value", "a", "b", Finding.FIRST_LOWER, {"p": True, "q": True}
    )
    claims = Claims((Claim(1, "So it is.", "by ranks", (expected,)),))
    mixed = problem(LOW, np.linspace(0.0, 3.0, 8))
    alone, beside = (
        judge_claims(claims, samples, np.random.default_rng(0))[0].evidence[-1].interval
        for samples in ({"q": mixed}, {"p": problem(LOW, HIGH), "q": mixed})
    )
    assert alone == beside
    assert -1.0 < alone.low < alone.high < 1.0


def test_bad_claims_are_refused():
    with pytest.raises(ValueError, match="did you mean 'sharpness'"):
        Expectation("x", "sharpnes", "a", "b", Finding.FIRST_LOWER, {"p": True})
    with pytest.raises(ValueError, match="a Finding that decides"):
        Expectation("x", "sharpness", "a", "b", Finding.UNDECIDED, {"p": True})
    with pytest.raises(TypeError, match="claims must be Claim objects; got str"):
        Claims(("a is lower",))

"""Each line search by itself, on functions of one variable."""

from __future__ import annotations

import math

import pytest
import scipy.optimize
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lowroad.optimizers import (
    Backtracking,
    Bracket,
    Brent,
    GoldenSection,
    HagerZhang,
    LineFunction,
    StrongWolfe,
    golden_section,
)
from lowroad.optimizers.golden_section import bracket_minimum
from lowroad.optimizers.line_search import Trial
from lowroad.optimizers.strong_wolfe import cubic_minimum
from optimizers.made_landscapes import SEARCHES

GOLDEN = (math.sqrt(5) - 1) / 2
every_search = pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)


class Watch:
    """φ from a function and its derivative, with its trials recorded."""

    def __init__(self, function, derivative):
        self.function, self.derivative = function, derivative
        self.trials = []

    def line_function(self):
        def value(alpha):
            self.trials.append(alpha)
            return self.function(alpha)

        def value_and_slope(alpha):
            slope = self.derivative(alpha)
            return value(alpha), slope, lambda: slope * one

        one = torch.ones(1, dtype=torch.float64)
        return LineFunction(one, value, value_and_slope, self.function(0.0))

    def search(self, line_search, first=1.0):
        function = self.line_function()
        step = line_search.search(function, self.function(0.0), self.derivative(0.0), first)
        return step, function


@st.composite
def functions(draw):
    """φ with φ'(0) < 0, and φ'; with values that are not finite, cliffs, ripples and flat parts."""
    scale = 10.0 ** draw(st.floats(-8, 8))  # where the minimum is
    depth = 10.0 ** draw(st.floats(-8, 8))
    kind = draw(
        st.sampled_from(
            ["bowl", "quartic", "plateau", "ripple", "falling", "domain", "cliff", "step"]
        )
    )
    edge = scale * 10.0 ** draw(st.floats(-6, 2))
    bad = draw(st.sampled_from([math.inf, math.nan, -math.inf]))

    def of(u):
        if kind == "quartic":
            return (u - 1) ** 4 - u, 4 * (u - 1) ** 3 - 1
        if kind == "plateau":
            return 1 - 1 / (1 + (u - 1) ** 2), 2 * (u - 1) / (1 + (u - 1) ** 2) ** 2
        if kind == "ripple":
            return (u - 1) ** 2 + math.sin(30 * u) / 40 - u, 2 * (u - 1) + 0.75 * math.cos(
                30 * u
            ) - 1
        if kind == "falling":
            return -u, -1.0
        if kind == "step":
            return (u - 1) ** 2 + (math.floor(100 * u) % 2) / 10, 2 * (u - 1)
        return (u - 1) ** 2, 2 * (u - 1)

    def function(alpha):
        if kind == "domain" and alpha > edge:
            return bad
        try:
            value = of(alpha / scale)[0]
        except (OverflowError, ValueError):
            return math.inf
        return depth * value + (1e3 * depth if kind == "cliff" and alpha > edge else 0.0)

    def derivative(alpha):
        if kind == "domain" and alpha > edge:
            return bad
        try:
            return depth / scale * of(alpha / scale)[1]
        except (OverflowError, ValueError):
            return math.nan

    return function, derivative


@every_search
@settings(max_examples=150)
@given(made=functions(), exponent=st.floats(-6, 1))
def test_a_search_returns_a_lower_step_or_none_within_its_budget(search, made, exponent):
    watch = Watch(*made)
    step, function = watch.search(search, first=10.0**exponent)
    assert len(watch.trials) <= search.budget
    value = made[0](0.0)
    values = [h if math.isfinite(h) else math.inf for h in map(made[0], watch.trials)]
    if step.alpha == 0.0:
        assert min(values) >= value
        assert step.value == value
    else:
        assert step.value == made[0](step.alpha) < value
        assert step.alpha in watch.trials
    assert function.best.value == min([value, *values])


@every_search
def test_one_evaluation_is_enough_of_a_budget(search):
    import dataclasses

    watch = Watch(lambda a: (a - 1) ** 2, lambda a: 2 * (a - 1))
    step, _ = watch.search(dataclasses.replace(search, budget=1))
    assert watch.trials == [step.alpha]


@every_search
@pytest.mark.parametrize("budget", [0, -3, 2.5, math.nan])
def test_refuses_a_budget_of_nothing(search, budget):
    with pytest.raises(ValueError, match=f"at least one evaluation per search, got {budget}"):
        type(search)(budget=budget)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GoldenSection(first_step=0.0), "positive first step, got 0.0"),
        (lambda: GoldenSection(first_step=math.inf), "positive first step, got inf"),
        (lambda: GoldenSection(tolerance=-1.0), "tolerance of at least 0, got -1.0"),
        (lambda: Brent(first_step=-1.0), "positive first_step, got -1.0"),
        (lambda: Brent(tolerance=0.0), "positive tolerance, got 0.0"),
        (lambda: StrongWolfe(c1=0.0), "c1 between 0 and 1, got 0.0"),
        (lambda: StrongWolfe(c2=1.0), "c2 between 0 and 1, got 1.0"),
        (lambda: StrongWolfe(c1=0.5, c2=0.4), "c1 below c2, got 0.5 and 0.4"),
        (lambda: HagerZhang(delta=0.5), "delta below 1/2 and below sigma, got 0.5 and 0.9"),
        (lambda: HagerZhang(sigma=0.05), "got 0.1 and 0.05"),
        (lambda: HagerZhang(epsilon=-1.0), "epsilon of at least 0, got -1.0"),
        (lambda: Backtracking(c1=2.0), "c1 between 0 and 1, got 2.0"),
        (lambda: Bracket(0.0, 0.0, 1.0, 0.0), "low < middle < high, got 0.0, 0.0, 1.0"),
    ],
)
def test_refuses_bad_settings(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# ---- golden section


@settings(max_examples=100)
@given(
    low=st.floats(-1e3, 1e3),
    width=st.floats(1e-2, 1e3),
    where=st.floats(0.01, 0.99),
    at=st.floats(0.01, 0.99),
    evaluations=st.integers(5, 40),
)
def test_golden_section_anywhere_on_the_line(low, width, where, at, evaluations):
    high, middle = low + width, low + where * width
    target = low + at * width
    calls = []

    def function(x):
        calls.append(x)
        return abs(x - target) ** 1.5

    value = function(middle)
    if value > min(function(low), function(high)):
        return  # no bracket
    calls.clear()
    found = golden_section(function, Bracket(low, middle, high, value), evaluations)
    assert all(low < x < high for x in calls)
    assert len(calls) <= evaluations
    # the bracket shrinks by 0.618 per evaluation once its parts are in the golden ratio
    bound = width * GOLDEN ** (evaluations - 1) * max(where, 1 - where) / (1 - GOLDEN)
    floor = 4e-16 * max(abs(low), abs(high))
    assert abs(found.alpha - target) <= max(bound, floor)
    assert found.value == min([value, *map(function, calls.copy())])


def test_golden_section_takes_the_points_that_scipy_takes():
    calls = []

    def function(x):
        calls.append(x)
        return math.cosh(x - 7.3)

    low, high = 5.0, 9.0
    middle = low + (1 - GOLDEN) * (high - low)
    golden_section(function, Bracket(low, middle, high, math.cosh(middle - 7.3)), 20)
    ours = calls.copy()
    calls.clear()
    scipy.optimize.golden(function, brack=(low, middle, high), tol=1e-6)
    first = next(i for i, x in enumerate(calls) if abs(x - ours[0]) < 1e-6)
    # SciPy's ratio has eight digits
    assert ours == pytest.approx(calls[first : first + 20], abs=1e-6)


def test_golden_section_stops_at_its_tolerances():
    calls = []

    def function(x):
        calls.append(x)
        return (x - 2) ** 2 + 5

    bracket = Bracket(1.0, 1.5, 4.0, 5.25)
    golden_section(function, bracket, 100, width=0.1)
    assert 3.0 * GOLDEN ** len(calls) <= 0.1 < 3.0 * GOLDEN ** (len(calls) - 4)
    calls.clear()
    found = golden_section(function, bracket, 100, difference=1e-2)
    assert len(calls) < 12
    assert found.value - 5 < 5e-2


@pytest.mark.parametrize(
    ("minimum", "trials"),
    [
        (0.15, [0.2, 0.8]),  # lower at once, and the first expansion rises
        (0.7, [0.2, 0.8, 1.6]),
        (2.0, [0.2, 0.8, 1.6, 3.2]),
        (0.05, [0.2, 0.2 * 0.381966011]),  # not lower: contract to 0.382 of it
        (0.01, [0.2, 0.2 * 0.381966011, 0.2 * 0.381966011**2, 0.2 * 0.381966011**3]),
    ],
)
def test_the_bracket_is_found_as_in_algorithm_1(minimum, trials):
    watch = Watch(lambda a: abs(a - minimum), lambda a: -1.0)
    bracket, left = bracket_minimum(watch.line_function(), minimum, 0.2, 6)
    assert watch.trials == pytest.approx(trials)
    assert left == 6 - len(trials)
    assert bracket.low < minimum < bracket.high


def test_the_papers_search_by_hand():
    # φ = (α − 1)²: 0.2 is lower, 0.8 too, 1.6 is not: golden section in [0.2, 0.8, 1.6] with three
    watch = Watch(lambda a: (a - 1) ** 2, lambda a: 2 * (a - 1))
    step, _ = watch.search(GoldenSection())
    section = 2 - (1 + math.sqrt(5)) / 2
    fourth = 0.8 + section * 0.8  # 1.1056, lower than φ(0.8)
    fifth = fourth + section * (1.6 - fourth)  # 1.294, not lower
    sixth = fourth - section * (fourth - 0.8)  # 0.9889, the lowest
    assert watch.trials == pytest.approx([0.2, 0.8, 1.6, fourth, fifth, sixth])
    assert step.alpha == pytest.approx(sixth)


# ---- Brent


@settings(max_examples=60)
@given(minimum=st.floats(0.01, 50.0), skew=st.floats(-1, 1))
def test_brent_finds_what_scipys_brent_finds(minimum, skew):
    def function(a):
        u = a - minimum
        return u**2 * math.exp(skew * u / (1 + abs(u))) + 0.1 * math.cosh(u / 20)

    watch = Watch(function, lambda a: -1.0)
    step, _ = watch.search(Brent(budget=100, tolerance=1e-8))
    bracket, _ = bracket_minimum(Watch(function, None).line_function(), function(0.0), 1.0, 100)
    if bracket.value in (function(bracket.low), function(bracket.high)):
        return  # SciPy takes no bracket with two equal values
    theirs = scipy.optimize.minimize_scalar(
        function, (bracket.low, bracket.middle, bracket.high), method="brent", tol=1e-10
    )
    assert step.alpha == pytest.approx(theirs.x, rel=1e-6)
    assert len(watch.trials) < 40


# ---- backtracking


def test_backtracking_interpolates_by_a_parabola_then_by_a_cubic():
    # φ = 1 − α + 5 α²: after α = 1 the parabola through φ(0), φ'(0), φ(1) is φ itself
    watch = Watch(lambda a: 1 - a + 5 * a**2, lambda a: -1 + 10 * a)
    step, _ = watch.search(Backtracking())
    assert watch.trials == pytest.approx([1.0, 0.1])
    assert step.value == pytest.approx(0.95)
    # φ = 1 − α + 300 α³: first the parabola's 1/600 is kept at 1/10; then the cubic is φ itself,
    # with its minimum at 1/√900
    watch = Watch(lambda a: 1 - a + 300 * a**3, lambda a: -1 + 900 * a**2)
    watch.search(Backtracking(c1=0.5))
    assert watch.trials == pytest.approx([1.0, 0.1, 1 / 30])


def test_backtracking_halves_where_a_value_is_not_finite():
    watch = Watch(lambda a: math.nan if a > 0.3 else 1 - a, lambda a: -1.0)
    step, _ = watch.search(Backtracking())
    assert watch.trials == [1.0, 0.5, 0.25]
    assert step.alpha == 0.25


@settings(max_examples=60)
@given(curvature=st.floats(1e-3, 1e5), c1=st.floats(1e-4, 0.49))
def test_backtracking_meets_the_armijo_condition(curvature, c1):
    watch = Watch(lambda a: -a + curvature * a**2 / 2, lambda a: -1 + curvature * a)
    step, _ = watch.search(Backtracking(c1=c1))
    assert step.value <= -c1 * step.alpha
    assert len(watch.trials) <= 8


# ---- Wolfe


@settings(max_examples=100)
@given(
    minimum=st.floats(1e-4, 1e4),
    power=st.sampled_from([1.5, 2.0, 4.0]),
    c2=st.sampled_from([0.01, 0.1, 0.9]),
)
def test_strong_wolfe_conditions_hold(minimum, power, c2):
    def function(a):
        return abs(a / minimum - 1) ** power

    def derivative(a):
        u = a / minimum - 1
        return math.copysign(power * abs(u) ** (power - 1) / minimum, u)

    step, _ = Watch(function, derivative).search(StrongWolfe(c2=c2, budget=40))
    assert step.value <= 1 + 1e-4 * step.alpha * derivative(0.0)
    assert abs(derivative(step.alpha)) <= c2 * abs(derivative(0.0))


@settings(max_examples=100)
@given(minimum=st.floats(1e-4, 1e4), power=st.sampled_from([1.5, 2.0, 4.0]))
def test_hager_zhang_conditions_hold(minimum, power):
    def function(a):
        return abs(a / minimum - 1) ** power

    def derivative(a):
        u = a / minimum - 1
        return math.copysign(power * abs(u) ** (power - 1) / minimum, u)

    slope = derivative(0.0)
    step, _ = Watch(function, derivative).search(HagerZhang(budget=40))
    assert derivative(step.alpha) >= 0.9 * slope
    wolfe = step.value <= 1 + 0.1 * step.alpha * slope
    assert wolfe or derivative(step.alpha) <= (2 * 0.1 - 1) * slope


def test_hager_zhang_bisects_back_from_a_value_that_is_not_finite():
    watch = Watch(
        lambda a: math.inf if a > 0.3 else (a - 0.2) ** 2,
        lambda a: math.nan if a > 0.3 else 2 * (a - 0.2),
    )
    step, _ = watch.search(HagerZhang())
    assert watch.trials[:3] == [1.0, 0.5, 0.25]
    assert step.value < 0.04


@pytest.mark.timeout(20)
def test_hager_zhang_ends_where_floats_cannot_separate_its_bracket():
    # flat, with slopes that contradict it: no trial is ever lower, and the budget is never spent
    watch = Watch(lambda a: 1.0, lambda a: -1.0 if a < 0.3 else 1.0)
    step, _ = watch.search(HagerZhang(budget=10_000))
    assert step.alpha == 0.0
    assert len(watch.trials) < 200


@settings(max_examples=60)
@given(a=st.floats(-5, 5), b=st.floats(0.1, 5), c=st.floats(-3, 3), d=st.floats(0.1, 3))
def test_the_cubic_minimum_is_that_of_the_cubic(a, b, c, d):
    # p = d (x³/3 − (r + s) x²/2 + r s x) with its maximum at r and minimum at s = r + b
    r, s = a, a + b

    def trial(x):
        value = d * (x**3 / 3 - (r + s) * x**2 / 2 + r * s * x)
        return Trial(x, value, d * (x - r) * (x - s))

    assert cubic_minimum(trial(c), trial(c + 1.3)) == pytest.approx(s, abs=1e-5)
    assert cubic_minimum(trial(c + 1.3), trial(c)) == pytest.approx(s, abs=1e-5)


def test_no_cubic_through_a_value_that_is_not_finite():
    infinite = Trial(1.0, math.inf, math.nan)
    assert math.isnan(cubic_minimum(Trial(0.0, 1.0, -1.0), infinite))

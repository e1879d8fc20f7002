from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest, mannwhitneyu, norm, wilcoxon

from lowroad.analysis import (
    KERNELS,
    QUESTIONS,
    Answer,
    Finding,
    PathSamples,
    ProblemSamples,
    SetSamples,
    ask_all,
    centroid_distances,
    heights_by_step,
    kernel_pca,
    rise_after_minimum,
)
from lowroad.analysis.comparisons import Interval
from lowroad.analysis.questions import runs_that_decide
from lowroad.analysis.questions_measured import Measured

AB = [("a", "b")]


def generator() -> np.random.Generator:
    return np.random.default_rng(29)


def sets(*samples: object, kind: str = "values", **more: object) -> dict[str, SetSamples]:
    """Sets a, b, … with these training and test values, rises or eigenvalues."""
    named = zip("abcdefg", samples, strict=False)
    if kind == "values":
        return {n: SetSamples(values={"train": s, "test": s}, **more) for n, s in named}
    return {n: SetSamples(**{kind: s}, **more) for n, s in named}


def ask(samples: ProblemSamples, question: str, pairs: list = AB) -> list[Answer]:
    return list(ask_all(samples, pairs, generator(), [question]))


def one(samples: ProblemSamples, question: str) -> Answer:
    (answer,) = ask(samples, question)
    return answer


def everything(unit: float = 1.0, bound: float | None = 0.0) -> ProblemSamples:
    """Two sets of twelve solutions with all that can be measured, values in another unit."""
    drawn = np.random.default_rng(3)
    made, points = {}, {}
    for shift, name in enumerate("ab"):
        pairs = np.array([(i, (i + 1 + j) % 12) for i in range(12) for j in range(3)])
        heights = unit * drawn.lognormal(shift / 2, 0.4, 36)
        histories = [([0, 10, 20, 40], [9 * h, 2 * h, 1.02 * h, h]) for h in heights]
        made[name] = SetSamples(
            seeds=range(12),
            values={s: unit * drawn.lognormal(shift / 2, 0.4, 12) for s in ("train", "test")},
            rises=drawn.lognormal(shift, 0.4, 12) * (unit if bound is None else 1),
            sharpness=unit * drawn.lognormal(shift, 0.4, 12),
            paths={
                split: PathSamples(
                    heights=heights, barriers=heights / 2, straight_barriers=5 * heights,
                    pairs=pairs, curves=heights_by_step(histories),
                )
                for split in ("train", "test")
            },
        )  # fmt: skip
        points[name] = drawn.normal(shift, 1.0, (12, 30))
    pairs = np.array([(i, j) for i in range(12) for j in (i, (i + 3) % 12)])
    barriers = unit * drawn.lognormal(0, 0.4, 24)
    between = PathSamples(
        heights=barriers + unit, barriers=barriers, straight_barriers=50 * barriers, pairs=pairs,
        same_start=pairs[:, 0] == pairs[:, 1],
    )  # fmt: skip
    starts = np.arange(12), np.arange(12)
    return ProblemSamples(
        name="p", sets=made, between={("a", "b"): {"train": between, "test": between}},
        distances={("a", "b"): centroid_distances(points["a"], points["b"], ("a", "b"), starts)},
        projections={("a", "b", k): kernel_pca(points, k, "median") for k in KERNELS},
        lower_bound=bound,
    )  # fmt: skip


def same(one: object, two: object) -> bool:
    return np.array_equal(np.atleast_1d(one), np.atleast_1d(two), equal_nan=True)


def test_every_question_is_answered_on_each_split_and_with_each_kernel():
    answers = ask_all(everything(), AB, generator())
    asked = [question for question in QUESTIONS.values() if question.asked]
    numbers = {"": 1, "split": 2, "kernel": 4}
    assert len(answers) == sum(numbers[question.by] for question in asked)
    for answer in answers:
        assert 0 <= answer.p_value <= answer.p_corrected <= 1
        assert answer.interval.low <= answer.interval.estimate <= answer.interval.high
        assert (answer.verdict is Finding.UNDECIDED) == bool(answer.reason)
        said = QUESTIONS[answer.question].statement.format(first="SGD", second="Adam")
        assert "SGD" in said


def test_exchanged_names_give_the_mirrored_answers():
    samples = everything()
    exchanged = {
        Finding.FIRST_LOWER: Finding.SECOND_LOWER,
        Finding.SECOND_LOWER: Finding.FIRST_LOWER,
    }
    forwards = ask_all(samples, AB, generator())
    backwards = ask_all(samples, [("b", "a")], generator())
    for there, back in zip(forwards, backwards, strict=True):
        assert (back.first, back.second, back.p_corrected) == ("b", "a", there.p_corrected)
        ends = back.interval.low, back.interval.estimate, back.interval.high
        mine = there.interval.low, there.interval.estimate, there.interval.high
        if QUESTIONS[there.question].compared != ("first", "second"):
            assert ends == mine
            assert (back.verdict, back.medians) == (there.verdict, there.medians)
            continue
        assert back.verdict is exchanged.get(there.verdict, there.verdict)
        assert same(back.medians, there.medians[::-1])
        assert back.sizes == there.sizes[::-1]
        if there.statistic == "ratio":
            assert ends == pytest.approx([1 / end for end in mine[::-1]], rel=1e-14)
        elif there.statistic == "Cliff’s δ":
            assert ends == tuple(-end for end in mine[::-1])
        else:
            assert ends == mine


@pytest.mark.parametrize("bound", [0.0, None])
@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_another_unit_changes_no_answer(unit, bound):
    plain = ask_all(everything(bound=bound), AB, generator())
    other = ask_all(everything(unit, bound), AB, generator())
    for one_answer, two in zip(plain, other, strict=True):
        assert two.verdict is one_answer.verdict
        assert two.p_value == pytest.approx(one_answer.p_value, rel=1e-6)
        assert vars(two.interval) == pytest.approx(vars(one_answer.interval), rel=1e-9)


def test_an_energy_may_be_shifted():
    samples = everything(bound=None)
    shifted = replace(
        samples,
        sets={
            name: replace(
                own,
                values={split: np.asarray(each) - 7.0 for split, each in own.values.items()},
                paths={
                    split: replace(
                        paths, heights=np.asarray(paths.heights) - 7.0, curves=paths.curves - 7.0
                    )
                    for split, paths in own.paths.items()
                },
            )
            for name, own in samples.sets.items()
        },
    )
    for there, here in zip(
        ask_all(samples, AB, generator()), ask_all(shifted, AB, generator()), strict=True
    ):
        assert here.verdict is there.verdict
        assert vars(here.interval) == pytest.approx(vars(there.interval), rel=1e-9)


def test_differences_replace_ratios_without_a_lower_bound():
    first, second = generator().normal(-5.0, 1.0, (2, 40))
    found = one(ProblemSamples(sets=sets(first, second), lower_bound=None), "comparable")
    spread = np.sqrt((first.var(ddof=1) + second.var(ddof=1)) / 2)
    assert found.statistic == "difference / spread"
    assert found.interval.estimate == pytest.approx((first.mean() - second.mean()) / spread)
    assert found.verdict is Finding.YES
    tests = (
        mannwhitneyu(first, second + spread, alternative="less").pvalue,
        mannwhitneyu(first, second - spread, alternative="greater").pvalue,
    )
    assert found.p_value == max(tests)
    apart = ProblemSamples(sets=sets(first + 9, second), lower_bound=None)
    assert one(apart, "comparable").verdict is Finding.NO
    assert rise_after_minimum([-3.0, -5.0, -4.5], None) == 0.5
    assert rise_after_minimum([3.0, 2.0, 5.0], 1.0) == 4.0


def test_values_count_from_their_lower_bound():
    first, second = generator().uniform(1, 2, (2, 20))
    plain = ProblemSamples(sets=sets(first, 2 * second))
    shifted = ProblemSamples(sets=sets(first + 4, 2 * second + 4), lower_bound=4.0)
    one_ratio, two = one(plain, "comparable").interval, one(shifted, "comparable").interval
    assert vars(one_ratio) == pytest.approx(vars(two), rel=1e-12)
    assert one_ratio.estimate == pytest.approx(first.mean() / (2 * second).mean())


def test_where_starts_are_shared_the_test_is_of_pairs():
    drawn = generator()
    first = drawn.lognormal(0, 1, 14)
    second = first + drawn.uniform(0, 0.1, 14)
    samples = ProblemSamples(sets=sets(first, second, seeds=range(14)))
    paired = one(samples, "training_value")
    assert paired.p_value == wilcoxon(first - second).pvalue
    assert "signed-rank" in paired.test
    turned = dict(samples.sets) | {
        "b": SetSamples(values={"train": second[::-1]}, seeds=range(13, -1, -1))
    }
    assert one(replace(samples, sets=turned), "training_value").p_value == paired.p_value
    ranks = mannwhitneyu(first, second).pvalue
    for others in (
        sets(first, second),
        sets(first, second, seeds=range(14), own_starts=True),
        {"a": samples.sets["a"], "b": SetSamples(values={"train": second}, seeds=range(1, 15))},
    ):
        found = one(ProblemSamples(sets=others), "training_value")
        assert (found.p_value, found.test) == (ranks, "Mann–Whitney test")


def test_six_runs_against_six_of_six_optimizers_can_just_decide():
    made = [np.arange(6.0) + 10 * place for place in range(6)]
    samples = ProblemSamples(sets=sets(*made, seeds=range(6)))
    pairs = [(one, two) for one in "abcdef" for two in "abcdef" if one < two]
    answers = ask(samples, "training_value", pairs)
    # 2 / C(12, 6) for each of 15 pairs; 2 / 2⁶ of the signed ranks would not do
    assert [answer.p_corrected for answer in answers] == pytest.approx([15 * 2 / 924] * 15)
    assert {answer.verdict for answer in answers} == {Finding.FIRST_LOWER}
    assert {answer.runs_needed for answer in answers} == {6}
    five = ProblemSamples(sets=sets(*(each[:5] for each in made), seeds=range(5)))
    answers = ask(five, "training_value", pairs)
    assert {answer.verdict for answer in answers} == {Finding.UNDECIDED}
    assert {answer.reason for answer in answers} == {"too few for the test to decide"}
    assert one(five, "training_value").verdict is Finding.FIRST_LOWER  # a single pair
    assert one(five, "training_value").runs_needed == 4


@pytest.mark.parametrize("shift", [0.5, 0.6, 0.7])
def test_how_many_runs_would_decide(shift):
    """Against Noether 1987 with a power of one half: n = (2/3) 1.96² / δ² in each sample."""
    low = norm.ppf((np.arange(16) + 0.5) / 16)
    samples = ProblemSamples(sets=sets(low, low + shift))
    answer = one(samples, "training_value")
    assert answer.verdict is Finding.UNDECIDED
    noether = 2 / 3 * 1.96**2 / answer.interval.estimate**2
    assert answer.runs_needed == pytest.approx(noether, rel=0.25)
    assert answer.reason.endswith(
        f"about {answer.runs_needed} in each set would decide it, if the effect stayed"
    )


def test_no_number_of_runs_decides_what_lies_at_the_threshold():
    at = Measured("area", Interval(0.9, 0.8, 1.0), 0.01, "", (9, 9), (9, 9), region=(0.9, 2.0))
    assert runs_that_decide(at, lambda each: each.interval.low > 0.9) is None
    unknown = replace(at, interval=Interval(0.9, np.nan, np.nan))
    assert runs_that_decide(unknown, lambda each: True) is None


def test_the_correction_is_over_the_pairs_of_one_question():
    drawn = generator()
    samples = ProblemSamples(sets=sets(*(drawn.normal(k / 2, 1.0, 9) for k in range(3))))
    pairs = [("a", "b"), ("a", "c"), ("c", "b"), ("b", "a")]  # the last is the first
    answers = ask(samples, "training_value", pairs)
    assert [(answer.first, answer.second) for answer in answers] == pairs[:3]
    p_values = sorted(answer.p_value for answer in answers)
    smallest = min(answers, key=lambda answer: answer.p_value)
    assert smallest.p_corrected == pytest.approx(min(1.0, 3 * p_values[0]))
    alone = one(samples, "training_value")
    assert alone.p_corrected == alone.p_value == answers[0].p_value
    assert alone.interval == answers[0].interval  # the draws do not depend on other pairs


@pytest.mark.parametrize("size", [1, 2, 3])
def test_few_runs_leave_every_comparison_open(size):
    samples = ProblemSamples(sets=sets(np.arange(size), np.arange(size) + 10.0))
    for question in ("training_value", "test_value", "comparable"):
        found = one(samples, question)
        assert found.verdict is Finding.UNDECIDED
        assert found.reason == "too few for the test to decide"
        assert found.sizes == (size, size)


def test_ties_and_equal_values_are_alike():
    constant = ProblemSamples(sets=sets(np.ones(8), np.ones(8), seeds=range(8)))
    found = one(constant, "training_value")
    assert (found.interval.estimate, found.p_value, found.verdict) == (0, 1, Finding.ALIKE)
    assert one(constant, "comparable").verdict is Finding.YES
    energy = replace(constant, lower_bound=None)
    assert one(energy, "comparable").interval.estimate == 0.0
    at_bound = ProblemSamples(sets=sets(np.zeros(8), np.zeros(8)))  # 0 / 0
    assert one(at_bound, "comparable").verdict is Finding.UNDECIDED
    tied = ProblemSamples(sets=sets(np.repeat([1.0, 2.0], 30), np.repeat([1.0, 2.0], 30)))
    assert one(tied, "training_value").verdict is Finding.ALIKE


def test_numbers_that_are_not_finite_are_left_out():
    low, high = np.arange(8.0), np.arange(8.0) + 20
    bad = ProblemSamples(sets=sets(np.append(low, np.nan), np.append(high, np.inf)))
    found = one(bad, "training_value")
    assert (found.sizes, found.verdict) == ((8, 8), Finding.FIRST_LOWER)
    none = ProblemSamples(sets=sets(np.full(4, np.nan), high))
    for question in ("training_value", "comparable"):
        found = one(none, question)
        assert (found.verdict, found.reason) == (Finding.UNDECIDED, "no finite numbers")
        assert np.isnan(found.p_corrected)
    # what could not be tested does not count for the correction of the others
    three = ProblemSamples(sets=sets(low, high, np.full(8, np.nan)))
    answers = ask(three, "training_value", [("a", "b"), ("a", "c")])
    assert answers[0].p_corrected == answers[0].p_value
    assert (answers[0].smallest_p, answers[0].runs_needed) == (pytest.approx(2 / 12870), 4)


def test_what_was_not_measured_has_no_answer():
    empty = ProblemSamples(sets={"a": SetSamples(), "b": SetSamples()})
    assert ask_all(empty, AB, generator()) == ()
    half = ProblemSamples(sets={"a": SetSamples(sharpness=[1.0]), "b": SetSamples()})
    assert ask_all(half, AB, generator()) == ()
    assert ask_all(empty, [], generator()) == ()


def test_sharpness_and_rises_by_the_rank_test():
    first, second = generator().lognormal(0, 1, (2, 20))
    for kind, question in (("sharpness", "sharpness"), ("rises", "overfit")):
        found = one(ProblemSamples(sets=sets(first, second + 9, kind=kind)), question)
        assert found.p_value == mannwhitneyu(first, second + 9).pvalue
        assert found.medians == (np.median(first), np.median(second + 9))
        assert found.verdict is Finding.FIRST_LOWER


def paths(level: float, **more: object) -> SetSamples:
    pairs = [(i, j) for i in range(6) for j in range(i)]
    heights = level + np.linspace(0, 0.5, 15)
    own = {"heights": heights, "barriers": heights, "pairs": pairs} | more
    return SetSamples(paths={"train": PathSamples(**own)})


def test_only_converged_paths_where_this_is_asked():
    fell = heights_by_step([([0, 50, 100], [9.0, 5.0, 1.0 if k < 7 else 4.9]) for k in range(15)])
    flags = np.arange(15) == 0
    samples = ProblemSamples(
        sets={"a": paths(1.0, curves=fell, converged=flags), "b": paths(2.0, converged=flags < 2)}
    )
    found = one(samples, "path_height_converged")
    assert found.sizes == (1 + 8, 15)  # by the flag, or by its fall in the last half
    assert found.verdict is Finding.FIRST_LOWER
    assert one(samples, "path_height").sizes == (15, 15)
    # without a lower bound, as a fraction of the whole fall: 0.1 of 4.1 is little, 4 of 8 is not
    assert one(replace(samples, lower_bound=None), "barrier_converged").sizes == (9, 15)
    never = ProblemSamples(sets={"a": paths(1.0), "b": paths(2.0)})
    assert one(never, "barrier_converged").reason == "no finite numbers"


def between(barriers: np.ndarray, lines: float = 100.0) -> PathSamples:
    pairs = np.array([(i, j) for i in range(6) for j in range(6)])
    return PathSamples(
        barriers=barriers, straight_barriers=np.full(36, lines), pairs=pairs,
        same_start=pairs[:, 0] == pairs[:, 1],
    )  # fmt: skip


def test_barriers_between_against_those_within():
    barriers = np.where(np.eye(6).ravel() > 0, 0.1, 5.0 + np.arange(36) / 100)
    made = {"a": paths(1.0), "b": paths(2.0)}
    samples = ProblemSamples(sets=made, between={("a", "b"): {"train": between(barriers)}})
    found = one(samples, "between")
    assert found.sizes == (30, 30)  # both sets' are pooled, equal starts are kept apart
    assert (found.interval.estimate, found.verdict) == (1.0, Finding.SECOND_LOWER)
    apart = one(samples, "between_one_start")
    assert apart.sizes == (6, 30)
    assert (apart.interval.estimate, apart.verdict) == (-1.0, Finding.FIRST_LOWER)
    unmarked = replace(between(barriers), same_start=())
    others = replace(samples, between={("a", "b"): {"train": unmarked}})
    assert one(others, "between").sizes == (36, 30)
    assert ask(others, "between_one_start") == []


def test_connected_where_little_of_the_straight_lines_barrier_is_left():
    barriers = np.full(36, 4.0)  # of 100
    barriers[1:6] = [6.0, 6.0, np.nan, 6.0, 5.0]
    samples = ProblemSamples(
        sets={"a": SetSamples(), "b": SetSamples()},
        between={("a", "b"): {"train": between(barriers)}},
    )
    found = one(samples, "connected")
    exact = binomtest(26, 29, 0.5).proportion_ci(0.95, method="exact")
    assert found.interval.estimate == 26 / 29
    assert (found.interval.low, found.interval.high) == (exact.low, exact.high)
    assert (found.sizes, found.verdict) == ((29,), Finding.YES)
    same_start = one(samples, "connected_one_start")
    assert (same_start.interval.estimate, same_start.sizes) == (1.0, (6,))
    # 6 of 6: 2 / 2⁶, and the interval starts at 0.025^(1/6)
    assert same_start.p_value == pytest.approx(2 / 64)
    assert same_start.interval.low == pytest.approx(0.025 ** (1 / 6))
    high = {("a", "b"): {"train": between(np.full(36, 60.0))}}
    assert one(replace(samples, between=high), "connected").verdict is Finding.NO
    level = {("a", "b"): {"train": between(np.full(36, 1e-9), lines=-1.0)}}
    assert one(replace(samples, between=level), "connected").verdict is Finding.YES


def test_centroids_and_kernels():
    drawn = generator()
    far = {"a": drawn.normal(0, 1, (12, 40)), "b": drawn.normal(2, 1, (12, 40))}
    near = {"a": drawn.normal(0, 1, (60, 40)), "b": drawn.normal(0, 1, (60, 40))}
    for points, expected in ((far, Finding.YES), (near, Finding.NO)):
        samples = ProblemSamples(
            sets={"a": SetSamples(), "b": SetSamples()},
            distances={("b", "a"): centroid_distances(points["b"], points["a"], ("b", "a"))},
            projections={("a", "b", "linear"): kernel_pca(points, "linear")},
        )
        assert one(samples, "centroids").verdict is expected
        found = one(samples, "kernel")
        assert (found.kernel, found.verdict) == ("linear", expected)
        area = float(samples.projections["a", "b", "linear"]["auc"][0])
        assert found.interval.estimate == pytest.approx(area, abs=1e-12)


def test_lengths_are_compared_set_by_set():
    shell = generator().normal(size=(24, 50))
    shell /= np.linalg.norm(shell, axis=1, keepdims=True)
    table = centroid_distances(shell[:12], 2 * shell[12:], ("a", "b"))
    samples = ProblemSamples(
        sets={"a": SetSamples(seeds=range(12)), "b": SetSamples(seeds=range(12))},
        distances={("a", "b"): table},
    )
    found = one(samples, "distance")
    assert (found.verdict, found.interval.estimate) == (Finding.FIRST_LOWER, -1.0)
    assert "signed-rank" in found.test


def test_bad_input_is_refused():
    samples = ProblemSamples(sets=sets([1.0], [2.0]))
    with pytest.raises(ValueError, match="two different sets among a, b; got"):
        ask_all(samples, [("a", "c")], generator())
    with pytest.raises(ValueError, match="two different sets"):
        ask_all(samples, [("a", "a")], generator())
    with pytest.raises(KeyError, match="nothing"):
        ask_all(samples, AB, generator(), ["nothing"])
    with pytest.raises(ValueError, match=r"each of the solutions.*2 seeds, 3 train values"):
        SetSamples(seeds=[1, 2], values={"train": [1.0, 2.0, 3.0]})
    with pytest.raises(ValueError, match=r"each of the paths.*3 heights, 2 pairs"):
        PathSamples(heights=[1.0, 2.0, 3.0], pairs=[(0, 1), (1, 2)])

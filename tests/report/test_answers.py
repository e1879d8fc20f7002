from __future__ import annotations

import numpy as np
import pytest

from lowroad.analysis import Claims
from lowroad.report.answers import Answers, answer
from lowroad.report.samples import samples_of
from lowroad.report.tables import (
    barrier_table,
    distance_table,
    height_table,
    kept_table,
    kernel_table,
    metric_table,
    sharpness_table,
    step_table,
    tree_table,
    value_table,
    weight_table,
)
from lowroad.report.view import View
from lowroad.study.study_file import StudyFileError
from report.synthetic import MadeResults, change, make_results

SIX = ("sgd", "momentum", "adam", "rmsprop", "lbfgs", "sam")


def asked(results: MadeResults) -> Answers:
    return answer(View(results))


def test_two_optimizers_are_compared_in_sentences(results):
    found = asked(results).findings.found
    assert found[0] == (
        "L-BFGS-GSS reaches a lower training loss than SGD in FCP (δ = −1.00) and LSTM (δ = −1.00)."
    )
    assert any(s.startswith("Barriers between solutions of SGD are lower than") for s in found)


def test_opposite_findings_are_two_sentences(results):
    change(results, "training", "LSTM", train_value=lambda values: 1 / values)
    found = asked(results).findings.found
    assert found[:2] == [
        "L-BFGS-GSS reaches a lower training loss than SGD in FCP (δ = −1.00).",
        "SGD reaches a lower training loss than L-BFGS-GSS in LSTM (δ = −1.00).",
    ]


def test_many_optimizers_are_ranked():
    found = asked(make_results(("mlp",), SIX)).findings.found
    assert found[0] == (
        "Training loss in mlp: sam is lower than all 5 others; L-BFGS-GSS is lower than 4; rmsprop "
        "is lower than 3; adam is lower than 2; momentum is lower than 1."
    )


def test_too_few_runs_say_how_many_are_needed():
    answers = asked(make_results(keep=3, pairs=3, seeds=3))
    assert answers.findings.found == []
    first, note = answers.findings.notes
    assert first == "No comparison of two sets is decided by these runs."
    assert note.startswith("Too few to be decided: training loss, test loss")
    assert "in FCP and LSTM (4 runs of each set are needed at least)" in note


def test_one_set_is_compared_with_nothing():
    alone = make_results(("a",), ("sgd",), test=False, between=False)
    answers = asked(alone)
    assert (answers.asked, answers.matrices, answers.claims) == ((), [], ())
    assert answers.findings.notes == ["Nothing can be compared in a: there is one weight set only."]


def test_nothing_stored_has_no_answer():
    empty = make_results(without=("training", "path", "metric", "sharpness"), missing=9)
    answers = asked(empty)
    assert answers.asked == ()
    assert answers.findings.notes == [
        "There is no answer yet: not enough runs with a finite result are stored."
    ]


def test_values_that_are_not_finite_are_no_answers(results):
    for problem in results.problems:
        nothing = {"train_value": np.zeros_like, "test_value": np.zeros_like}
        change(results, "training", problem, **{n: lambda v: v * np.nan for n in nothing})
    assert not [s for s in asked(results).findings.found if "training loss than" in s]


def test_matrices_hold_every_pair_once_for_each_selection():
    answers = asked(make_results(("mlp",), SIX))
    titles = {(each.choice["weights"], each.choice["question"]) for each in answers.matrices}
    assert len(titles) == len(answers.matrices)
    training = next(m for m in answers.matrices if m.title == "Training loss, mlp")
    assert len(training.labels) == 6
    first, (_, second) = training.lines[0][1], training.lines[1]
    assert (first[0].text, first[1].text, second[0].text) == ("", "higher", "lower")
    assert "δ" in first[1].title


def test_two_sets_have_questions_as_rows_and_problems_as_columns(results):
    train, test = asked(results).matrices
    assert [train.choice, test.choice] == [{"weights": "train"}, {"weights": "test"}]
    assert train.labels == ["FCP", "LSTM"]
    title, cells = train.lines[0]
    assert (title, cells[0].text) == ("Training loss", "L-BFGS-GSS lower")
    assert any(title.startswith("Barriers between the sets") for title, _ in train.lines)


def test_energies_are_compared_without_a_lower_bound():
    results = make_results(("a",), test=False, lower_bound=None, quantity="energy")
    answers = asked(results)
    assert answers.findings.found[0].startswith("L-BFGS-GSS reaches a lower training energy")
    assert len(answers.matrices) == 1


def test_the_papers_claims_are_judged_on_its_problems():
    results = make_results(("FCP", "LeNet", "Autoencoder", "LSTM"), claims="lowroad.paper:claims")
    answers = asked(results)
    assert answers.claims[0].verdict.value == "holds"
    assert sum(answers.tally.values()) == 9
    assert answers.claim_views[0].measured == "4 of 4 comparisons agree."
    fewer = asked(make_results(("FCP",), claims="lowroad.paper:claims"))
    assert fewer.claim_views[0].measured == (
        "1 of 1 comparison agrees; not in this study: LeNet, Autoencoder and LSTM."
    )


def test_claims_of_another_kind_are_refused():
    with pytest.raises(StudyFileError, match=r"report\.claims: expected math:pi to be a .*Claims"):
        asked(make_results(claims="math:pi"))
    assert Claims().claims == ()


def test_samples_are_those_of_the_results(results):
    view = View(results)
    samples = samples_of(view, "FCP", [("sgd/test", "lbfgs/train")])
    runs = view.runs("FCP", "sgd", kept=True)
    own = samples.sets["sgd/train"]
    np.testing.assert_array_equal(own.values["train"], runs["train_value"].values)
    steps = runs["train_step"].values
    np.testing.assert_array_equal(
        own.values["test"], runs["test_values"].values[np.arange(6), steps]
    )
    np.testing.assert_array_equal(own.sharpness[3:], np.nan)
    assert len(own.paths["train"].heights) == 6
    assert set(samples.between) == {("sgd/train", "lbfgs/train"), ("sgd/test", "lbfgs/test")}
    assert set(samples.distances) == {("sgd/test", "lbfgs/train")}
    assert samples.same_points == {}
    results.vectors["FCP", "sgd/test"] = results.vectors["FCP", "sgd/train"]
    assert samples_of(View(results), "FCP", []).same_points == {"sgd/test": "sgd/train"}


def test_tables_have_a_row_for_each_set_and_published_numbers_on_demand(results):
    view = View(results)
    pair = view.all_pairs[0]
    tables = [
        value_table(view), weight_table(view), metric_table(view), height_table(view, "train"),
        barrier_table(view, "test"), step_table(view, "train"), tree_table(view, "test"),
        distance_table(view, pair), kernel_table(view, pair, {"rbf": "RBF", "linear": "PCA"}),
        sharpness_table(view), kept_table(view),
    ]  # fmt: skip
    for table in tables:
        assert table is not None
        assert [group.heading for group in table.groups] == ["FCP", "LSTM"]
        for group in table.groups:
            assert all(len(row) == len(table.header) for row in group.rows)
            assert all(cell for row in group.rows for cell in row)
    assert len({table.name for table in tables}) == len(tables)
    published = make_results(claims="lowroad.paper:claims")
    with_paper = value_table(View(published), View(published).claims.published)
    assert with_paper.header[-1] == "Paper"
    assert with_paper.groups[0].rows[2][-1] == "1.26e-08"


def test_values_that_are_not_finite_are_counted(results):
    change(results, "training", "FCP", train_value=lambda v: np.where(v == v.min(), np.nan, v))
    rows = {row[0]: row for row in value_table(View(results)).groups[0].rows}
    assert rows["L-BFGS-GSS train"][-1] == "5 (+1 not finite)"

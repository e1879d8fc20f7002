from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from lowroad.analysis.weights import centroid_distances, weight_statistics


def test_statistics_are_those_of_all_numbers_in_one_row():
    generator = np.random.default_rng(0)
    sets = {
        "a": generator.normal(3.0, 0.1, (5, 700)).astype(np.float32),
        "b": generator.normal(-1.0, 2.0, (3, 700)),
    }
    table = weight_statistics(sets)
    for name, vectors in sets.items():
        row = vectors.astype(np.float64).ravel()
        assert table["mean"].sel(set=name).item() == pytest.approx(row.mean(), rel=1e-13)
        assert table["standard_deviation"].sel(set=name).item() == pytest.approx(
            row.std(), rel=1e-12
        )
    assert table["vectors"].values.tolist() == [5, 3]
    assert table.attrs == {"ddof": 0, "dimension": 700}


def test_single_precision_numbers_with_a_large_mean_keep_their_deviation():
    # In float32 the squares would lose the deviation altogether: 1e8 against 1e-2.
    vectors = np.tile(np.array([9999.875, 10000.125], dtype=np.float32), (2, 500))
    table = weight_statistics({"a": vectors})
    assert table["standard_deviation"].item() == pytest.approx(0.125, rel=1e-12)


def test_distances_by_hand():
    # Centroids (0, 0) and (4, 0); the origin is (2, 0).
    found = centroid_distances(
        [[0.0, 3.0], [0.0, -3.0]], [[4.0, 0.0], [4.0, 0.0], [4.0, 0.0]], ("sgd", "lbfgs")
    )
    root = np.sqrt(13.0)
    np.testing.assert_allclose(found["distance"], [root, root, 2.0, 2.0, 2.0])
    assert found["set"].values.tolist() == ["sgd", "sgd", "lbfgs", "lbfgs", "lbfgs"]
    assert found["run"].values.tolist() == [0, 1, 0, 1, 2]
    assert found["separation"].item() == 4.0
    assert found["centroid_distance"].values.tolist() == [2.0, 2.0]
    np.testing.assert_allclose(found["spread"], [np.sqrt(18.0), 0.0])
    # 16 - 18 / 2 - 0 / 3
    assert found["separation_squared_unbiased"].item() == pytest.approx(7.0, abs=1e-12)
    assert found["relative"].item() == pytest.approx(7.0 / 9.0, rel=1e-12)


def test_unbiased_separation_is_unbiased_where_the_plain_one_is_not():
    generator = np.random.default_rng(11)
    unbiased, plain = [], []
    for _ in range(400):
        first = generator.normal(0.0, 1.0, (4, 50))
        second = generator.normal(0.1, 2.0, (6, 50))
        found = centroid_distances(first, second)
        unbiased.append(found["separation_squared_unbiased"].item())
        plain.append(found["separation"].item() ** 2)
    truth = 50 * 0.1**2
    error = np.std(unbiased) / np.sqrt(400)
    assert abs(np.mean(unbiased) - truth) < 4 * error
    assert np.mean(plain) == pytest.approx(truth + 50 / 4 + 200 / 6, rel=0.05)


def test_jackknife_error_against_recomputed_leave_one_out():
    generator = np.random.default_rng(2)
    first, second = generator.normal(size=(5, 8)), generator.normal(1.0, 1.5, size=(4, 8))

    def relative(one: np.ndarray, two: np.ndarray) -> float:
        difference = one.mean(axis=0) - two.mean(axis=0)
        variances = [rows.var(axis=0, ddof=1).sum() for rows in (one, two)]
        unbiased = difference @ difference - variances[0] / len(one) - variances[1] / len(two)
        return unbiased / np.mean(variances)

    found = centroid_distances(first, second)
    assert found["relative"].item() == pytest.approx(relative(first, second), rel=1e-10)
    left_out = [relative(np.delete(first, i, axis=0), second) for i in range(5)]
    left_out += [relative(first, np.delete(second, i, axis=0)) for i in range(4)]
    variance = 8 / 9 * np.sum((left_out - np.mean(left_out)) ** 2)
    assert found["relative_error"].item() == pytest.approx(np.sqrt(variance), rel=1e-9)
    assert found["relative_by_start"].shape == (9,)


def sets_with_shared_starts(generator, runs, shared, shift):
    """Two sets of vectors, each a start and what training adds; the starts of the last ones of the
    first set are those of the first ones of the second."""
    apart = runs - shared
    starts = generator.normal(size=(runs + apart, 60))
    first = starts[:runs] + generator.normal(size=(runs, 60))
    second = starts[apart:] + generator.normal(shift, 1.0, size=(runs, 60))
    return first, second, (range(runs), range(apart, apart + runs))


def test_vectors_of_one_start_are_no_evidence_of_a_common_centre():
    """Half of the variance comes from shared starts: only pairs of other starts are unbiased."""
    generator = np.random.default_rng(5)
    aware, unaware = [], []
    for _ in range(300):
        first, second, starts = sets_with_shared_starts(generator, runs=5, shared=3, shift=0.2)
        found = centroid_distances(first, second, starts=starts)
        aware.append(found["separation_squared_unbiased"].item())
        unaware.append(centroid_distances(first, second)["separation_squared_unbiased"].item())
    truth, shared = 60 * 0.2**2, 60
    assert abs(np.mean(aware) - truth) < 4 * np.std(aware) / np.sqrt(300)
    # three of the 25 pairs share their start, each 2 · 60 closer in squares than the others
    assert np.mean(unaware) == pytest.approx(truth - 3 / 25 * 2 * shared, rel=0.2)


def test_jackknife_error_is_that_of_repeated_draws_with_shared_starts():
    generator = np.random.default_rng(6)
    errors, relative = [], []
    for _ in range(150):
        first, second, starts = sets_with_shared_starts(generator, runs=20, shared=15, shift=1.0)
        found = centroid_distances(first, second, starts=starts)
        errors.append(found["relative_error"].item())
        relative.append(found["relative"].item())
    assert np.mean(errors) == pytest.approx(np.std(relative), rel=0.2)


def test_distances_of_pairs_with_one_start_and_with_others():
    found = centroid_distances([[0.0], [10.0]], [[13.0], [1.0], [4.0]], starts=([7, 8], [8, 7, 9]))
    assert found["same_start"].item() == pytest.approx(np.sqrt((3**2 + 1**2) / 2))
    others = [13.0, 4.0, 9.0, 6.0]
    assert found["other_start"].item() == pytest.approx(np.sqrt(np.mean(np.square(others))))
    assert np.isnan(centroid_distances([[0.0]], [[1.0]])["same_start"].item())
    with pytest.raises(ValueError, match="a start for each of the 1 and 2 vectors"):
        centroid_distances([[0.0]], [[1.0], [2.0]], starts=([0], [0]))


def test_few_vectors_give_what_they_can():
    found = centroid_distances([[0.0, 0.0]], [[2.0, 0.0]])
    assert found["distance"].values.tolist() == [1.0, 1.0]
    assert np.isnan(found["spread"].values).all()
    assert np.isnan(found["relative"].item())
    two = centroid_distances(np.eye(2), -np.eye(2))
    assert np.isfinite(two["relative"].item())
    assert np.isnan(two["relative_error"].item())


def test_bad_sets_are_refused():
    with pytest.raises(ValueError, match="at least one named set"):
        weight_statistics({})
    with pytest.raises(ValueError, match="at least one vector; it holds none"):
        weight_statistics({"a": np.empty((0, 3))})
    with pytest.raises(ValueError, match=r"shape \[n, d\]"):
        weight_statistics({"a": np.ones(3)})
    with pytest.raises(ValueError, match="must be finite"):
        centroid_distances([[1.0, np.inf]], [[1.0, 1.0]])
    with pytest.raises(ValueError, match="one dimension d"):
        centroid_distances([[1.0]], [[1.0, 1.0]])
    with pytest.raises(ValueError, match="two different names"):
        centroid_distances([[1.0]], [[1.0]], ("a", "a"))


@pytest.mark.parametrize("offset", [0.0, 1e4, 1e6])
def test_centroids_far_from_the_origin(offset):
    generator = np.random.default_rng(0)
    one, two = (offset + 1e-3 * generator.normal(size=(12, 1000)) for _ in range(2))
    found = centroid_distances(one, two)
    squares = cdist(one - offset, two - offset, "sqeuclidean").mean()
    variances = [((x - x.mean(0)) ** 2).sum() / (len(x) - 1) for x in (one, two)]
    expected = squares - sum(variances)
    assert float(found["separation_squared_unbiased"]) == pytest.approx(expected, abs=1e-10)

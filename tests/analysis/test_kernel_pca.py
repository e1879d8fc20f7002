from __future__ import annotations

from decimal import Decimal, getcontext
from operator import mul

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform
from sklearn.decomposition import PCA, KernelPCA
from sklearn.metrics import roc_auc_score

from lowroad.analysis.kernel_pca import (
    KERNELS,
    choose_gamma,
    gram_matrix,
    kernel_pca,
    roc_auc,
    squared_distances,
)

SKLEARN_NAMES = {"rbf": "rbf", "polynomial": "poly", "sigmoid": "sigmoid", "linear": "linear"}


@pytest.fixture
def sets() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(5)
    return {
        "sgd": generator.normal(0.0, 0.3, (9, 40)),
        "lbfgs": generator.normal(0.1, 0.6, (7, 40)),
    }


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("gamma", ["1/D", 0.02])
def test_equals_sklearn_on_the_raw_vectors(sets, kernel, gamma):
    found = kernel_pca(sets, kernel, gamma, components=3)

    vectors = np.concatenate(list(sets.values()))
    model = KernelPCA(
        n_components=3,
        kernel=SKLEARN_NAMES[kernel],
        gamma=1 / 40 if gamma == "1/D" else gamma,
        eigen_solver="dense",
    )
    oracle = model.fit_transform(vectors)
    for column, expected in zip(found["projection"].values.T, oracle.T, strict=True):
        flip = np.sign(column @ expected)
        np.testing.assert_allclose(column, flip * expected, rtol=1e-9, atol=1e-11)


def test_explained_fraction_of_the_linear_kernel_is_that_of_pca(sets):
    found = kernel_pca(sets, "linear", components=4)
    oracle = PCA().fit(np.concatenate(list(sets.values()))).explained_variance_ratio_
    np.testing.assert_allclose(found["explained"], oracle[:4], rtol=1e-10)


def test_components_point_from_the_first_set_to_the_second(sets):
    for kernel in KERNELS:
        found = kernel_pca(sets, kernel)
        first = found["projection"].values[found["set"].values == "sgd"]
        second = found["projection"].values[found["set"].values == "lbfgs"]
        assert (first.mean(axis=0) <= second.mean(axis=0)).all()


def test_sign_and_order_do_not_depend_on_the_order_of_the_runs(sets):
    found = kernel_pca(sets)
    turned = kernel_pca({name: vectors[::-1] for name, vectors in sets.items()})
    for name in sets:
        one = found["projection"].values[found["set"].values == name]
        two = turned["projection"].values[turned["set"].values == name]
        np.testing.assert_allclose(one, two[::-1], atol=1e-10)


def test_one_set_alone_has_no_auc_and_a_positive_largest_projection(sets):
    found = kernel_pca({"sgd": sets["sgd"]})
    assert "auc" not in found
    for column in found["projection"].values.T:
        assert column[np.abs(column).argmax()] > 0


def test_long_single_precision_vectors_lose_nothing():
    generator = np.random.default_rng(0)
    vectors = (1.0 + 1e-3 * generator.normal(size=(12, 60_000))).astype(np.float32)
    oracle = vectors.astype(np.float64)
    np.testing.assert_allclose(gram_matrix(vectors), oracle @ oracle.T, rtol=1e-13)
    found = kernel_pca({"a": vectors[:6], "b": vectors[6:]}, "rbf", "median")
    expected = KernelPCA(n_components=2, kernel="rbf", gamma=found.attrs["gamma"])
    expected.fit(oracle)
    # Distances of 0.35 between vectors of length 245: 1e-16 * 245^2 / 0.35^2 = 5e-11 at best.
    trace = np.abs(KernelPCA(kernel="rbf", gamma=found.attrs["gamma"]).fit(oracle).eigenvalues_)
    np.testing.assert_allclose(found["explained"], expected.eigenvalues_ / trace.sum(), rtol=1e-7)


def test_median_gamma_is_that_of_scipys_distances(sets):
    vectors = np.concatenate(list(sets.values()))
    expected = 1 / (2 * np.median(pdist(vectors)) ** 2)
    assert choose_gamma("median", squared_distances(vectors), 40) == pytest.approx(
        expected, rel=1e-12
    )
    found = kernel_pca(sets, "rbf", "median")
    assert found.attrs["gamma"] == pytest.approx(expected, rel=1e-12)
    assert found.attrs["gamma_rule"] == "median"


def test_two_shells_are_separated_by_rbf_and_not_by_linear():
    # No direction is preferred: the shells differ only in radius, so no plane parts them.
    generator = np.random.default_rng(3)
    directions = generator.normal(size=(80, 2000))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    shells = {"small": 1.0 * directions[:40], "large": 2.0 * directions[40:]}
    rbf = kernel_pca(shells, "rbf", "median")
    linear = kernel_pca(shells, "linear")
    assert rbf["auc"].sel(component=1).item() == 1.0
    assert linear["auc"].sel(component=1).item() < 0.75


def test_auc_is_sklearns(sets):
    generator = np.random.default_rng(1)
    first, second = generator.integers(0, 6, 20), generator.integers(2, 9, 15)
    labels = np.repeat([0, 1], [20, 15])
    expected = roc_auc_score(labels, np.concatenate([first, second]))
    assert roc_auc(first, second) == pytest.approx(expected, abs=1e-12)
    found = kernel_pca(sets)
    labels = (found["set"].values == "lbfgs").astype(int)
    for component in (1, 2):
        area = roc_auc_score(labels, found["projection"].sel(component=component))
        expected = max(area, 1 - area)
        assert found["auc"].sel(component=component).item() == pytest.approx(expected)


def test_what_is_used_is_said(sets):
    polynomial = kernel_pca(sets, "polynomial")
    assert polynomial.attrs["gamma"] == 1 / 40
    assert (polynomial.attrs["degree"], polynomial.attrs["coef0"]) == (3, 1.0)
    assert np.isnan(kernel_pca(sets, "linear").attrs["gamma"])
    assert polynomial["run"].values.tolist() == [*range(9), *range(7)]
    assert polynomial["component"].values.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"kernel": "cosine"}, "kernel must be one of rbf, polynomial"),
        ({"gamma": "1/d"}, "gamma must be '1/D', 'median' or a positive number"),
        ({"gamma": -1.0}, "gamma must be"),
        ({"components": 16}, "components must be 1 to 15"),
    ],
)
def test_bad_settings_are_refused(sets, arguments, message):
    with pytest.raises(ValueError, match=message):
        kernel_pca(sets, **arguments)


def test_bad_vectors_are_refused(sets):
    with pytest.raises(ValueError, match="at least three"):
        kernel_pca({"a": np.ones((1, 3)), "b": np.zeros((1, 3))})
    with pytest.raises(ValueError, match="one dimension d"):
        kernel_pca({"a": np.ones((3, 3)), "b": np.ones((3, 4))})
    with pytest.raises(ValueError, match=r"vectors \[1\] are not"):
        kernel_pca({"a": np.array([[1.0, 2.0], [np.nan, 0.0]]), "b": np.ones((2, 2))})
    with pytest.raises(ValueError, match="all of them are equal"):
        kernel_pca({"a": np.ones((3, 2))}, "rbf", "median")


def test_equal_vectors_give_zeros():
    found = kernel_pca({"a": np.ones((2, 3)), "b": np.ones((2, 3))})
    assert np.abs(found["projection"].values).max() < 1e-7
    assert (found["explained"].values == 0).all()


def test_median_gamma_passes_over_equal_vectors():
    """Six runs that end in one point, and one that does not: their distance 5 is the median."""
    sets = {"a": np.zeros((4, 2)), "b": np.array([[0.0, 0.0], [0.0, 0.0], [3.0, 4.0]])}
    found = kernel_pca(sets, "rbf", "median")
    assert found.attrs["gamma"] == pytest.approx(1 / 50)
    assert found["auc"].values.tolist() == [pytest.approx(2 / 3), 0.5]  # (4 x 2 / 2 + 4) / 12


SLOPES = {"rbf": 2.0, "polynomial": 3.0, "sigmoid": 1 / np.cosh(1) ** 2}


@pytest.mark.parametrize("kernel", SLOPES)
def test_small_vectors_lose_no_digits(sets, kernel):
    """To first order each kernel is linear in gamma x.y, with its slope at 0."""
    factor = 1e-10
    found = kernel_pca({name: factor * x for name, x in sets.items()}, kernel, 1.0)
    linear = kernel_pca(sets, "linear")
    scale = factor * np.sqrt(SLOPES[kernel])
    np.testing.assert_allclose(found["projection"] / scale, linear["projection"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(found["explained"], linear["explained"], rtol=1e-9)


@pytest.mark.parametrize("kernel", ["polynomial", "sigmoid"])
def test_a_common_offset_costs_no_digits_of_products(kernel):
    """In rational numbers and to 60 digits: tanh is 1 - 1e-33 here."""
    noise = np.round(np.random.default_rng(0).normal(size=(8, 3)), 3)
    vectors, gamma = noise + 64.0, 0.003
    found = kernel_pca({"a": vectors[:4], "b": vectors[4:]}, kernel, gamma)
    getcontext().prec = 60
    rows = [[Decimal(number) for number in row] for row in vectors.tolist()]
    values = [[Decimal(gamma) * sum(map(mul, x, y)) + 1 for y in rows] for x in rows]
    function = (
        (lambda v: v**3) if kernel == "polynomial" else (lambda v: 1 - 2 / ((2 * v).exp() + 1))
    )
    exact = [[function(v) for v in row] for row in values]
    means = [sum(row) / 8 for row in exact]
    middle = sum(means) / 8
    centred = [
        [float(exact[i][j] - means[i] - means[j] + middle) for j in range(8)] for i in range(8)
    ]
    sizes = np.linalg.eigvalsh(np.array(centred) / np.abs(centred).max())[::-1]
    np.testing.assert_allclose(found["explained"], sizes[:2] / np.abs(sizes).sum(), rtol=1e-6)


def test_nothing_is_said_where_the_kernel_has_no_digits(sets):
    """tanh is 1 everywhere; all exp(-gamma d^2) are 0: any direction is the first; overflow."""
    far = {name: x + 1e5 for name, x in sets.items()}
    saturated = kernel_pca(far, "sigmoid", "1/D")
    assert np.isnan(saturated["auc"]).all()
    assert np.isnan(saturated["projection"]).all()
    narrow = kernel_pca(sets, "rbf", 1e9)
    assert np.isnan(narrow["auc"]).all()
    np.testing.assert_allclose(narrow["explained"], 1 / 15)
    huge = kernel_pca({name: 1e200 * x for name, x in sets.items()}, "linear")
    assert np.isnan(huge["auc"]).all()


def test_equal_vectors_of_two_sets_have_equal_projections(sets):
    for kernel in KERNELS:
        found = kernel_pca({"a": sets["sgd"], "b": sets["sgd"]}, kernel)
        assert found["auc"].sel(component=1).item() == 0.5


@pytest.mark.parametrize("offset", [0.0, 1e4, 1e6, -1e9])
@pytest.mark.parametrize("spread", [1e-3, 1e3])
def test_a_common_offset_costs_no_digits(offset, spread):
    """Distances, and what follows from them, are those without the offset."""
    noise = np.random.default_rng(0).normal(size=(8, 1000))
    shifted = offset + spread * noise
    exact = pdist(shifted - offset, "sqeuclidean")  # the subtraction is exact here
    np.testing.assert_allclose(squared_distances(shifted), squareform(exact), rtol=1e-10)
    for kernel in ("rbf", "linear"):
        near, far = (
            kernel_pca({"one": x[:4], "two": x[4:]}, kernel, "median")
            for x in (shifted - offset, shifted)
        )
        np.testing.assert_allclose(
            far["projection"], near["projection"], rtol=0,
            atol=1e-6 * float(abs(near["projection"]).max()),
        )  # fmt: skip


def test_near_pairs_far_from_the_mean_are_exact():
    """Two tight clusters a million apart: a difference of two squares would be all rounding."""
    noise = 1e-3 * np.random.default_rng(0).normal(size=(6, 50))
    rows = noise + np.where(np.arange(6) < 3, -1e6, 1e6)[:, None]
    exact = squareform(pdist(rows, "sqeuclidean"))
    np.testing.assert_allclose(squared_distances(rows), exact, rtol=1e-12)

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor, nn
from torch.func import functional_call, hessian

from lowroad.analysis import CurvatureProduct, sharpness
from lowroad.analysis.sharpness import largest_eigenpairs
from lowroad.landscapes import BatchNormLandscape, MullerBrown, NetworkLandscape
from lowroad.paper.networks import MODELS


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tiny(inputs: int, hidden: int, chunk: int = 17) -> NetworkLandscape:
    """A classifier in float64 on 40 samples in uneven chunks."""
    generator = seeded(1)
    torch.manual_seed(2)
    model = nn.Sequential(nn.Linear(inputs, hidden), nn.Tanh(), nn.Linear(hidden, 3)).double()
    data = torch.randn(40, inputs, dtype=torch.float64, generator=generator)
    return NetworkLandscape(
        model, data, torch.randint(3, (40,), generator=generator), "cross_entropy", chunk=chunk
    )


def whole_hessian(landscape: NetworkLandscape, point: Tensor) -> np.ndarray:
    """By torch.func, from the plain mean loss of all samples at once."""

    def loss(vector: Tensor) -> Tensor:
        outputs = functional_call(
            landscape.module, landscape.parameters_at(vector), (landscape.inputs,)
        )
        return nn.functional.cross_entropy(outputs, landscape.targets)

    return hessian(loss)(point).numpy()


@pytest.mark.parametrize("hidden", [4, 20])  # 35 parameters: all of H; 163: Lanczos
def test_against_the_whole_hessian_in_float64(hidden):
    landscape = tiny(4, hidden)
    point = landscape.initial_point() + 0.3
    exact = np.linalg.eigvalsh(whole_hessian(landscape, point))[::-1]
    found = sharpness(landscape, point, eigenvalues=6, samples=200, generator=seeded())
    np.testing.assert_allclose(found.eigenvalues, exact[:6], rtol=1e-6)
    if hidden == 4:
        assert found.trace == pytest.approx(exact.sum(), rel=1e-10)
        assert (found.trace_error, found.products) == (0.0, landscape.dimension)
    else:
        assert 0 < found.trace_error < 0.05 * exact.sum()
        assert abs(found.trace - exact.sum()) < 4 * found.trace_error


@pytest.mark.parametrize("unit", [1.0, 1e-9, 1e9])
def test_a_quadratic_loss_has_the_curvature_of_its_data_everywhere(unit):
    """Mean squared error of a linear layer: H = 2/n XᵀX, with few eigenvalues that stand out."""
    scales = unit * torch.tensor([9.0, 5.0, 4.0] + [0.1] * 117, dtype=torch.float64)
    inputs = torch.randn(30, 120, dtype=torch.float64, generator=seeded()) * scales
    model = nn.Linear(120, 1, bias=False).double()
    landscape = NetworkLandscape(model, inputs, torch.zeros(30, 1).double(), "mean_squared_error")
    exact = np.linalg.eigvalsh((inputs.T @ inputs).numpy())[::-1] / 15
    for point in (torch.zeros(120), torch.randn(120, generator=seeded(1))):
        found = sharpness(landscape, point.double(), eigenvalues=3, generator=seeded())
        np.testing.assert_allclose(found.eigenvalues, exact[:3], rtol=1e-8)
        assert 0 < found.trace_error < 1e-3 * exact.sum()  # what stands out is known exactly
        assert abs(found.trace - exact.sum()) < 4 * found.trace_error


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rank", [40, 2])
@pytest.mark.parametrize("which", ["LA", "LM"])
def test_equal_eigenvalues_are_all_found(dtype, rank, which):
    """Mean squared error of a linear layer with m outputs: H = 2/nm XᵀX ⊗ I, each m times."""
    inputs = torch.randn(40, rank, dtype=torch.float64, generator=seeded())
    inputs = inputs @ torch.randn(rank, 60, dtype=torch.float64, generator=seeded(1))
    landscape = NetworkLandscape(
        nn.Linear(60, 3, bias=False).to(dtype), inputs.to(dtype), torch.zeros(40, 3, dtype=dtype),
        "mean_squared_error",
    )  # fmt: skip
    exact = np.linalg.eigvalsh((inputs.T @ inputs).numpy())[::-1].repeat(3) / 60
    product = CurvatureProduct(landscape, landscape.initial_point())
    values, vectors = largest_eigenpairs(product, 7, seeded(2), which)
    np.testing.assert_allclose(values, exact[:7], rtol=2e-4, atol=1e-5 * exact[0])
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(7), atol=1e-12)
    moved = np.stack([product(column) for column in vectors.T], 1)
    np.testing.assert_allclose(moved, values * vectors, atol=2e-3 * exact[0])


def test_second_derivatives_that_are_not_finite_are_named():
    """|w| has none at 0."""
    landscape = NetworkLandscape(
        nn.Linear(120, 1, bias=False).double(),
        [(torch.ones(2, 120).double(),)],
        objective=lambda module, batch: module(batch[0]).mean() + module.weight.norm(),
    )
    with pytest.raises(ArithmeticError, match="not finite at the point: 120 of the 120"):
        sharpness(landscape, torch.zeros(120).double(), generator=seeded())


def test_the_error_of_the_trace_is_its_standard_error():
    landscape = tiny(4, 20, chunk=40)
    point = landscape.initial_point()
    exact = np.trace(whole_hessian(landscape, point))
    found = [
        sharpness(landscape, point, eigenvalues=1, samples=8, generator=seeded(seed))
        for seed in range(25)
    ]
    scores = [(each.trace - exact) / each.trace_error for each in found]
    assert abs(np.mean(scores)) < 0.75  # Student's t with 7 degrees: 1.18 / sqrt(25) = 0.24
    assert 0.8 < np.std(scores) < 1.7


def test_the_same_generator_gives_the_same_numbers_and_leaves_the_landscape_alone():
    landscape = tiny(4, 20)
    point = landscape.initial_point()
    before = landscape.value(point + 1)
    first, second = (sharpness(landscape, point, generator=seeded(5)) for _ in range(2))
    np.testing.assert_array_equal(first.eigenvalues, second.eigenvalues)
    assert (first.trace, first.trace_error) == (second.trace, second.trace_error)
    assert landscape.value(point + 1) == before


@pytest.mark.parametrize("name", list(MODELS))
def test_the_papers_networks_by_differences_of_gradients(name):
    model = MODELS[name]
    generator = seeded(3)
    images = torch.rand(20, 784, generator=generator)
    labels = torch.randint(10, (20,), generator=generator)
    targets = labels if model.loss == "cross_entropy" else images
    module = model(generator=generator).double()
    landscape = NetworkLandscape(module, images.double(), _double(targets), model.loss)
    point = landscape.initial_point()

    def product(vector: np.ndarray) -> np.ndarray:
        v = torch.from_numpy(vector.ravel())
        steps = torch.stack([point + 1e-4 * v, point - 1e-4 * v])
        first, second = landscape.values_and_gradients(steps)[1]
        return ((first - second) / 2e-4).numpy()

    operator = LinearOperator((len(point),) * 2, matvec=product, dtype=np.float64)
    theirs = eigsh(operator, k=2, which="LA", tol=1e-5, return_eigenvectors=False)[::-1]
    found = sharpness(landscape, point, eigenvalues=2, samples=2, generator=seeded())
    np.testing.assert_allclose(found.eigenvalues, theirs, rtol=1e-4)


def _double(targets: Tensor) -> Tensor:
    return targets.double() if targets.is_floating_point() else targets


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"eigenvalues": 0}, ValueError, "expected 1 to 163 eigenvalues"),
        ({"eigenvalues": 164}, ValueError, "expected 1 to 163 eigenvalues"),
        ({"samples": 1}, ValueError, "at least two samples"),
        ({"point": torch.full((163,), torch.nan).double()}, ValueError, "not finite"),
        ({"point": torch.zeros(162).double()}, ValueError, "163"),
        ({"landscape": MullerBrown()}, TypeError, "of a network, got MullerBrown"),
    ],
)
def test_what_does_not_fit_is_refused(changes, error, words):
    landscape = tiny(4, 20)
    arguments = {"landscape": landscape, "point": landscape.initial_point()} | changes
    with pytest.raises(error, match=words):
        sharpness(**arguments, generator=seeded())


def test_statistics_that_follow_the_weights_are_held_at_the_point():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)).double().eval()
    inputs = torch.rand(8, 3, generator=seeded()).double()
    fixed = NetworkLandscape(model, inputs, torch.zeros(8, 3).double(), "mean_squared_error")
    landscape = BatchNormLandscape(fixed)
    point = landscape.initial_point() + 0.5
    found = sharpness(landscape, point, eigenvalues=3, generator=seeded())
    landscape.value(point)
    held = fixed.with_buffers(dict(landscape.module.named_buffers()))
    expected = sharpness(held, point, eigenvalues=3, generator=seeded())
    np.testing.assert_allclose(found.eigenvalues, expected.eigenvalues, rtol=1e-10)


@pytest.mark.parametrize("width", [1.0, 0.0])
def test_zero_and_degenerate_hessians(width):
    """H = 2 c I exactly (c = 0 too): Lanczos ends after one step."""
    model = nn.Linear(150, 150, bias=False).double()
    inputs = width * torch.eye(150, dtype=torch.float64)
    landscape = NetworkLandscape(
        model, inputs, torch.zeros(150, 150).double(), "mean_squared_error"
    )
    found = sharpness(landscape, landscape.initial_point(), generator=seeded())
    each = 2 * width / 150**2
    np.testing.assert_allclose(found.eigenvalues, [each] * 5, rtol=1e-10)
    assert abs(found.trace - each * 150**2) <= 4 * found.trace_error
    assert found.trace_error <= 1e-3 * each * 150**2


class Square(torch.autograd.Function):
    """x² with a backward pass of its own and no forward derivative."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return 2 * x * gradient


class Squares(nn.Module):
    def forward(self, x):
        return Square.apply(x)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.out = nn.Linear(4, 3)

    def forward(self, x):
        x = x.unflatten(1, (3, 4))
        fused = nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True)
        return self.out(self.attention(x, x, fused)[0].mean(1))


class Cells(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.cells, self.out = kind(4, 3, batch_first=True), nn.Linear(3, 3)

    def forward(self, x):
        return self.out(self.cells(x.unflatten(1, (3, 4)))[0][:, -1])


class Words(nn.Module):
    """Embeddings of three words, whose gradients PyTorch keeps sparse."""

    def __init__(self):
        super().__init__()
        self.words, self.out = nn.Embedding(5, 4, sparse=True), nn.Linear(4, 3)

    def forward(self, x):
        numbers = x[:, :3].abs().mul(2).long().clamp_max(4)
        return self.out(self.words(numbers).prod(1))


LAYERS = {
    "sparse embeddings": Words,
    "attention": Attention,
    "an encoder layer": lambda: nn.Sequential(
        nn.Unflatten(1, (3, 4)), nn.TransformerEncoderLayer(4, 2, 5, 0.0, batch_first=True),
        nn.Flatten(), nn.Linear(12, 3),
    ),
    "an LSTM": lambda: Cells(nn.LSTM),
    "a GRU": lambda: Cells(nn.GRU),
    "a function with its own backward pass": lambda: nn.Sequential(
        nn.Linear(12, 4), Squares(), nn.Linear(4, 3)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("matrix", ["hessian", "gauss_newton"])
def test_products_with_layers_of_every_kind(name, matrix):
    """Against differences of gradients, and of outputs with the loss's own second derivative."""
    torch.manual_seed(0)
    module = LAYERS[name]().double().eval()
    inputs, targets = torch.randn(9, 12).double(), torch.randint(0, 3, (9,))
    landscape = NetworkLandscape(module, inputs, targets, "cross_entropy", chunk=4)
    point = landscape.initial_point()
    v = torch.randn(len(point), dtype=torch.float64)
    step = 1e-5
    if matrix == "hessian":
        ends = torch.stack([point + step * v, point - step * v])
        first, second = landscape.values_and_gradients(ends)[1]
        expected = (first - second) / (2 * step)
    else:
        moved = (landscape.outputs(point + step * v) - landscape.outputs(point - step * v)) / (
            2 * step
        )
        chances = landscape.outputs(point).softmax(1)
        curved = chances * (moved - (chances * moved).sum(1, keepdim=True)) / len(inputs)
        outputs = functional_call(landscape.module, landscape.parameters_at(point), (inputs,))
        expected = torch.zeros_like(point)
        for k in range(len(point)):
            unit = torch.zeros_like(point)
            unit[k] = step
            by_k = (landscape.outputs(point + unit) - landscape.outputs(point - unit)) / (2 * step)
            expected[k] = (by_k * curved).sum()
        assert outputs.shape == (9, 3)
    found = CurvatureProduct(landscape, point, matrix)(v.numpy())
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("matrix", ["hessian", "gauss_newton"])
def test_products_are_those_of_curvlinops(matrix):
    from curvlinops import GGNLinearOperator, HessianLinearOperator

    landscape = tiny(4, 8, chunk=40)
    point = landscape.initial_point()
    landscape.module.load_state_dict(landscape.parameters_at(point))
    kind = HessianLinearOperator if matrix == "hessian" else GGNLinearOperator
    operator = kind(
        landscape.module, nn.CrossEntropyLoss(), list(landscape.module.parameters()),
        [(landscape.inputs, landscape.targets)], check_deterministic=False,
    )  # fmt: skip
    v = torch.randn(len(point), generator=seeded(), dtype=torch.float64)
    theirs = (operator @ v).detach().numpy()
    np.testing.assert_allclose(
        CurvatureProduct(landscape, point, matrix)(v.numpy()), theirs, rtol=1e-9, atol=1e-12
    )


def test_gauss_newton_is_the_hessian_of_a_linear_network():
    landscape = NetworkLandscape(
        nn.Linear(30, 4).double(), torch.randn(20, 30, generator=seeded()).double(),
        torch.randint(4, (20,), generator=seeded()), "cross_entropy",
    )  # fmt: skip
    point = torch.randn(landscape.dimension, generator=seeded(), dtype=torch.float64)
    found = [
        sharpness(landscape, point, matrix=matrix, samples=2, generator=seeded())
        for matrix in ("hessian", "gauss_newton")
    ]
    np.testing.assert_allclose(found[0].eigenvalues, found[1].eigenvalues, rtol=1e-6)
    with pytest.raises(ValueError, match="'hessian' or 'gauss_newton', got 'fisher'"):
        sharpness(landscape, point, matrix="fisher", generator=seeded())


def test_gauss_newton_needs_outputs_in_one_tensor():
    landscape = NetworkLandscape(
        nn.LSTM(3, 4, batch_first=True), torch.randn(6, 2, 3), torch.randn(6, 2, 4),
        lambda outputs, targets: (outputs[0] - targets).square().mean(),
    )  # fmt: skip
    point = landscape.initial_point()
    with pytest.raises(TypeError, match=r"returns one tensor, got tuple: take matrix='hessian'"):
        sharpness(landscape, point, matrix="gauss_newton", generator=seeded())

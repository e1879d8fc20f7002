"""How sharp a minimum is: the largest eigenvalues of the loss's Hessian, and its trace."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh
from torch import Tensor, nn

from lowroad.landscapes import BatchNormLandscape, NetworkLandscape

__all__ = ["Sharpness", "sharpness"]

SMALL = 100  # parameters up to which the whole Hessian is made
TOLERANCE = 1e-4  # relative, of the eigenvalues


@dataclass(frozen=True)
class Sharpness:
    """Curvature of a network's loss at a point.

    Attributes:
        eigenvalues: The k largest eigenvalues of the Hessian [k], the largest first.
        trace: Its trace, the sum of all eigenvalues: exact for small networks, else an estimate.
        trace_error: The estimate's standard error; 0 where the trace is exact.
        products: How many products of the Hessian with a vector were taken.
    """

    eigenvalues: NDArray[np.float64]
    trace: float
    trace_error: float
    products: int


def sharpness(
    landscape: NetworkLandscape,
    point: Tensor,
    *,
    eigenvalues: int = 5,
    samples: int = 30,
    generator: torch.Generator,
) -> Sharpness:
    """Return the largest eigenvalues and the trace of the Hessian H of a network's mean loss.

    The eigenvalues come from ARPACK's Lanczos iteration. The trace is their sum plus Hutchinson's
    mean of vᵀ P H P v over random signs v, where P projects out their eigenvectors (the deflation
    of Hutch++): where few eigenvalues stand out, its error is small. A product H v costs about
    four gradients; five eigenvalues take some 30 to 60 of them. An eigenvalue that is exactly
    multiple may be counted once, as Lanczos iterations do. Networks of up to 100 parameters get
    all of H and the exact trace. For a part of the data, make the landscape of that part.

    Args:
        landscape: The network's loss. Its module must be one that PyTorch differentiates twice.
        point: Where [d], usually a minimum.
        eigenvalues: k, how many.
        samples: How many random vectors the trace takes, at least two.
        generator: Where they come from, and the first vector of the iteration.

    Raises:
        ModuleNotFoundError: If curvlinops is missing; the extra `lowroad[hessian]` installs it.
        TypeError: If the landscape is not a network's, or the point is of another type.
        ValueError: If the point does not fit or is not finite, fewer than one eigenvalue or more
            than d are asked for, there are fewer than two samples, or batch norm's statistics
            follow the weights (H then is not that of a mean over samples).
        ArithmeticError: If the iteration does not converge.

    Source: Ghorbani, Krishnan & Xiao 2019 (Hessians of networks); Meyer et al. 2021, Hutch++.

    >>> inputs = torch.tensor([[1.0, 0.0], [0.0, 3.0]], dtype=torch.float64)
    >>> targets = torch.zeros(2, 1, dtype=torch.float64)
    >>> model = nn.Linear(2, 1, bias=False).double()
    >>> bowl = NetworkLandscape(model, inputs, targets, "mean_squared_error")
    >>> found = sharpness(bowl, torch.zeros(2).double(), eigenvalues=2, generator=torch.Generator())
    >>> found.eigenvalues.tolist(), found.trace  # of 2/n XᵀX
    ([9.0, 1.0], 10.0)
    """
    if not isinstance(landscape, NetworkLandscape):
        raise TypeError(f"expected the landscape of a network, got {type(landscape).__name__}")
    if isinstance(landscape, BatchNormLandscape):
        raise ValueError(
            "expected fixed statistics of batch norm: with those that follow the weights the loss "
            "is not a mean over samples; use NetworkLandscape"
        )
    landscape.check_points(point[None])
    if not bool(torch.isfinite(point).all()):
        raise ValueError("expected a finite point, got components that are not finite")
    d = landscape.dimension
    if not 1 <= eigenvalues <= d:
        raise ValueError(
            f"expected 1 to {d} eigenvalues, the parameters' number; got {eigenvalues}"
        )
    if samples < 2:
        raise ValueError(f"expected at least two samples, got {samples}")
    product = _Product(landscape, point)
    if d <= SMALL or eigenvalues == d:
        whole = np.stack([product(column) for column in np.eye(d)])
        values = np.linalg.eigvalsh((whole + whole.T) / 2)[::-1]
        return Sharpness(
            values[:eigenvalues].astype(np.float64), float(np.trace(whole)), 0.0, product.count
        )
    first = torch.randn(d, dtype=torch.float64, generator=generator, device=generator.device)
    try:
        values, vectors = eigsh(
            LinearOperator((d, d), matvec=product, dtype=np.float64),
            k=eigenvalues, which="LA", v0=first.cpu().numpy(), tol=TOLERANCE,
        )  # fmt: skip
    except ArpackError as error:
        raise ArithmeticError(f"the eigenvalues did not converge: {error}") from error
    estimates = []
    for _ in range(samples):
        signs = torch.randint(2, (d,), generator=generator, device=generator.device)
        v = 2.0 * signs.cpu().numpy() - 1.0
        v -= vectors @ (vectors.T @ v)
        estimates.append(float(v @ product(v)))
    return Sharpness(
        eigenvalues=values[::-1].astype(np.float64),
        trace=float(values.sum() + np.mean(estimates)),
        trace_error=float(np.std(estimates, ddof=1) / np.sqrt(samples)),
        products=product.count,
    )


class _Summed(nn.Module):
    """A summed loss in the form that curvlinops asks for."""

    reduction = "sum"

    def __init__(self, loss: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return self.loss(outputs, targets)


def require_curvlinops() -> None:
    """Raise ModuleNotFoundError with advice where curvlinops is not installed."""
    try:
        import curvlinops  # noqa: F401
    except ImportError as error:
        raise ModuleNotFoundError(
            "sharpness needs curvlinops, which is not installed: pip install 'lowroad[hessian]'"
        ) from error


class _Product:
    """v ↦ H v, from float64 to float64 whatever the network's type is."""

    def __init__(self, landscape: NetworkLandscape, point: Tensor) -> None:
        require_curvlinops()
        from curvlinops import HessianLinearOperator

        module = copy.deepcopy(landscape.module)
        module.load_state_dict(landscape.parameters_at(point), strict=False)
        self._operator = HessianLinearOperator(
            module,
            _Summed(landscape.loss),
            [parameter for parameter in module.parameters() if parameter.requires_grad],
            list(landscape.chunks()),
            check_deterministic=False,  # the landscape has refused all randomness
            num_data=landscape.samples,
        )
        self._like, self._samples = point, landscape.samples
        self.count = 0

    def __call__(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        self.count += 1
        # oneDNN's recurrent layers have no forward derivative, PyTorch's own have
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "TF32", UserWarning)  # of the switch itself
            with torch.backends.mkldnn.flags(enabled=False):
                product = self._operator @ torch.from_numpy(vector.ravel()).to(self._like)
        return product.detach().double().cpu().numpy() / self._samples

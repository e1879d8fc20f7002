"""Points between two networks whose units have the variance that the ends' units have."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lowroad.landscapes.network import NetworkLandscape

_Layer = nn.Linear | nn.modules.conv._ConvNd
_Moments = tuple[Tensor, Tensor]


def repair(landscape: NetworkLandscape, start: Tensor, end: Tensor, t: float = 0.5) -> Tensor:
    """Return the point (1 − t) start + t end with each unit's mean and deviation restored.

    Between two networks the units' responses partly cancel and lose their variance, layer by layer.
    Each linear and convolutional layer but the last, in the order in which they run, is rescaled so
    that over the data each of its outputs z has

        mean(z) = (1 − t) mean_start(z) + t mean_end(z),    the same for the standard deviation,

    by w ← w σ*/σ and b ← μ* + (b − μ) σ*/σ. A unit that does not vary keeps its weights. Networks
    with batch norm have this from re-estimated statistics: use `BatchNormLandscape` for them.

    Args:
        landscape: of the network, for its module and data.
        start: [d].
        end: [d], best aligned to the start (`weight_matching`).
        t: the position on the straight line, from 0 to 1.

    Raises:
        ValueError: when a layer has no trainable bias, the network has batch norm, t is outside of
            [0, 1], or the points do not fit.
        TypeError: when the landscape is not that of a network.

    Source: Jordan et al. 2023, "REPAIR", arXiv:2211.08403, Section 3.

    >>> net = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1, bias=False))
    >>> inputs = torch.tensor([[1.0], [3.0]])
    >>> loss = NetworkLandscape(net, inputs, torch.ones(2, 1), "mean_squared_error")
    >>> start, end = torch.tensor([1.0, 0, 1]), torch.tensor([-1.0, 0, 1])
    >>> repair(loss, start, end)[:2]  # halfway nothing varies: there is nothing to scale
    tensor([0., 0.])
    """
    if not isinstance(landscape, NetworkLandscape):
        raise TypeError(f"expected the landscape of a network, got {type(landscape).__name__}")
    if not 0 <= t <= 1:
        raise ValueError(f"expected t from 0 to 1, got {t}")
    for point in (start, end):
        landscape.check_points(point[None])
    names = _layers(landscape)
    first, second = (_moments(landscape, point.detach(), names) for point in (start, end))
    point = torch.lerp(start.detach(), end.detach(), t)
    for name in names:
        mean, deviation = _moments(landscape, point, [name])[name]
        wanted = [torch.lerp(a, b, t) for a, b in zip(first[name], second[name], strict=True)]
        factor = torch.where(deviation > 0, wanted[1] / deviation.clamp_min(1e-300), 1.0)
        parameters = {key: value.clone() for key, value in landscape.parameters_at(point).items()}
        weight, bias = parameters[f"{name}.weight"], parameters[f"{name}.bias"]
        weight *= _shaped(factor.to(weight), landscape.module.get_submodule(name), weight)
        moved = wanted[0] + (bias.double() - mean) * factor
        bias.copy_(torch.where(deviation > 0, moved, bias.double()))
        point = torch.cat([value.reshape(-1) for value in parameters.values()])
    return point


def _shaped(factor: Tensor, layer: nn.Module, weight: Tensor) -> Tensor:
    """Return a factor for each unit [units] in a shape that multiplies the layer's weight."""
    if isinstance(layer, nn.modules.conv._ConvTransposeNd):  # inputs first, then a group's units
        groups = factor.view(layer.groups, -1)
        factor = groups.repeat_interleave(len(weight) // layer.groups, 0)
    return factor.view(*factor.shape, *[1] * (weight.ndim - factor.ndim))


def _layers(landscape: NetworkLandscape) -> list[str]:
    """Return the names of the layers to rescale in the order in which they run."""
    order: list[str] = []
    _run(landscape, landscape.initial_point(), lambda name, _: order.append(name), one_chunk=True)
    names = list(dict.fromkeys(order))[:-1]
    parameters = landscape.parameters_at(landscape.initial_point())
    modules = dict(landscape.module.named_modules())
    if any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in modules.values()):
        raise ValueError(
            "the network has batch norm, whose re-estimated statistics repair it: use a "
            "BatchNormLandscape"
        )
    for name in names:
        if not {f"{name}.weight", f"{name}.bias"} <= parameters.keys():
            raise ValueError(f"expected a trainable weight and bias of {name}, to rescale it by")
    return names


def _moments(landscape: NetworkLandscape, point: Tensor, names: list[str]) -> dict[str, _Moments]:
    """Return mean and standard deviation of each output of some layers over the data."""
    sums: dict[str, list[Tensor]] = {name: [] for name in names}
    kept: dict[str, Tensor] = {}

    def add(name: str, outputs: Tensor) -> None:
        if name in sums:
            x = outputs.double()
            shift = kept.setdefault(name, x.mean(0))  # keeps the digits of a small deviation
            x = x - shift
            sums[name].append(
                torch.stack([torch.full_like(shift, len(x)), x.sum(0), (x**2).sum(0)])
            )

    _run(landscape, point, add)
    result = {}
    for name, parts in sums.items():
        count, total, squares = torch.stack(parts).sum(0)
        mean = total / count
        result[name] = (kept[name] + mean, (squares / count - mean**2).clamp_min(0).sqrt())
    return result


@torch.no_grad()
def _run(
    landscape: NetworkLandscape,
    point: Tensor,
    record: Callable[[str, Tensor], None],
    one_chunk: bool = False,
) -> None:
    """Call `record(name, outputs [n, units])` for each linear or convolutional layer that runs."""

    def hook_of(name: str) -> Callable[[nn.Module, object, Tensor], None]:
        def hook(layer: nn.Module, _: object, outputs: Tensor) -> None:
            units = outputs.movedim(1, -1) if not isinstance(layer, nn.Linear) else outputs
            record(name, units.flatten(0, -2))

        return hook

    handles = [
        layer.register_forward_hook(hook_of(name))
        for name, layer in landscape.module.named_modules()
        if isinstance(layer, _Layer)
    ]
    try:
        landscape.respond(point, one_chunk)
    finally:
        for handle in handles:
            handle.remove()

"""Error against evaluations, for every finder and for ASE's elastic band, on every surface.

    python benchmarks/paths_surfaces.py            # prints the tables of docs/paths.md
    python benchmarks/paths_surfaces.py --plot docs/paths_surfaces.png

The error is the refined maximum of the *continuous* path minus the known lowest pass, over the
pass's height above the lower end. ASE's images get the same spline and the same refinement. A
search's cost is what it evaluated, values and gradients together, without the final measurement.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace

import numpy as np
import torch

from lowroad.landscapes import (
    LENNARD_JONES_7,
    AnaPot,
    CurvyValley,
    Evaluations,
    LennardJones,
    MullerBrown,
    SeparableValley,
    TwoWells,
    aligned,
)
from lowroad.paths import (
    BezierPathFinder,
    ElasticBandFinder,
    FourierPathFinder,
    ImageChainFinder,
    PolygonalChainFinder,
    StraightLine,
    StringFinder,
)
from lowroad.paths.found_path import measure
from lowroad.paths.images import through_images

CLOSE = 1e-4  # of the pass's height above the lower end: 1e-2 on Müller-Brown
CHAIN_STEPS = [*range(1, 20), 22, 25, 28, 32, 36, 40, 50, 70, 100, 150, 200]
CURVE_STEPS = [*range(10, 110, 10), 150, 200]
FINDERS = {
    "straight line": StraightLine(),
    "Fourier, total (the paper's)": FourierPathFinder(learning_rate=0.01),
    "Fourier, max flux": FourierPathFinder(objective="max_flux"),
    "Bézier, max flux": BezierPathFinder(terms=10, objective="max_flux"),
    "chain, max flux": PolygonalChainFinder(terms=12, objective="max_flux"),
    "elastic band": ElasticBandFinder(),
    "elastic band by FIRE": ElasticBandFinder(optimizer="fire"),
    "string": StringFinder(),
}


def lennard_jones() -> LennardJones:
    cluster = LennardJones(7)
    start = LENNARD_JONES_7[0].point
    end = aligned(start, LENNARD_JONES_7[1].point, torch.Generator().manual_seed(0))
    cluster.ends, cluster.lowest_height = (start, end), -15.444734
    return cluster


SURFACES = {
    "two wells": TwoWells(),
    "Müller-Brown": MullerBrown(),
    "curvy valley": CurvyValley(),
    "AnaPot": AnaPot(),
    "valley, d = 100": SeparableValley(100),
    "LJ7, 1 to 2": lennard_jones(),
}


@dataclass
class Curve:
    """Costs and errors of one finder on one surface, in order of the cost."""

    costs: list[int]
    errors: list[float]

    @property
    def first(self) -> int | None:
        """The cost at which the error first is small."""
        close = [c for c, e in zip(self.costs, self.errors, strict=True) if abs(e) < CLOSE]
        return close[0] if close else None

    @property
    def stays(self) -> int | None:
        """The cost from which on the error is small."""
        far = [i for i, e in enumerate(self.errors) if not abs(e) < CLOSE]
        after = far[-1] + 1 if far else 0
        return self.costs[after] if after < len(self.costs) else None


def error(surface, refined_height: float) -> float:
    floor = float(surface.values(torch.stack(surface.ends)).min())
    return (refined_height - surface.lowest_height) / (surface.lowest_height - floor)


def ours(finder, surface) -> Curve:
    """Searches of growing budgets; every search is deterministic, so a longer one goes on."""
    curve = Curve([], [])
    if isinstance(finder, StraightLine):
        found = finder.find(surface, *surface.ends)
        return Curve([0], [error(surface, found.refined_height)])
    chain = isinstance(finder, ImageChainFinder)
    for steps in CHAIN_STEPS if chain else CURVE_STEPS:
        found = replace(finder, steps=steps).find(surface, *surface.ends)
        history = found.history
        curve.costs.append(int(history.gradient_evaluations[-1] + history.value_evaluations[-1]))
        curve.errors.append(error(surface, found.refined_height))
        if found.outcome.converged and history.steps[-1] < steps:
            break
    return curve


def ases(surface, spring: float, images: int = 11) -> Curve:
    """ASE's climbing band: improved tangent, FIRE, as it comes."""
    from ase import Atoms
    from ase.calculators.calculator import Calculator, all_changes
    from ase.mep import NEB
    from ase.optimize import FIRE

    # a point of any dimension as positions in space, filled up with coordinates that nothing feels
    atoms_count = -(-surface.dimension // 3)
    calls = [0]

    class OnSurface(Calculator):
        implemented_properties = ("energy", "forces")

        def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
            super().calculate(atoms, properties, system_changes)
            calls[0] += 1
            x = torch.from_numpy(self.atoms.positions.reshape(-1)[: surface.dimension].copy())
            value, gradient = surface.value_and_gradient(x)
            forces = np.zeros(3 * atoms_count)
            forces[: surface.dimension] = -gradient.numpy()
            self.results = {"energy": value, "forces": forces.reshape(-1, 3)}

    start, end = surface.ends
    chain = []
    for fraction in torch.linspace(0, 1, images).tolist():
        positions = np.zeros(3 * atoms_count)
        positions[: surface.dimension] = torch.lerp(start, end, fraction).numpy()
        atoms = Atoms(f"H{atoms_count}", positions=positions.reshape(-1, 3))
        atoms.calc = OnSurface()
        chain.append(atoms)
    band = NEB(chain, k=spring, climb=True, method="improvedtangent")
    curve = Curve([], [])

    def record():
        x = np.stack([a.positions.reshape(-1)[: surface.dimension] for a in chain])
        path = through_images(torch.from_numpy(x))
        found = measure(surface, Evaluations(), path, 51, 20, None, None)
        curve.costs.append(calls[0] - 2)  # without the ends
        curve.errors.append(error(surface, found.refined_height))

    optimizer = FIRE(band, logfile=None)
    optimizer.attach(record)
    optimizer.run(fmax=1e-3, steps=200)
    return curve


def best_of_ase(surface) -> Curve:
    """The spring constant is not scaled to the surface: take the best of four."""
    curves = [ases(surface, spring) for spring in (0.1, 1.0, 10.0, 100.0)]
    return min(curves, key=lambda c: (c.stays is None, c.stays or 0, abs(c.errors[-1])))


def table(curves: dict[tuple[str, str], Curve], names: list[str]) -> str:
    rows = ["| finder | " + " | ".join(SURFACES) + " |", "|---" * (len(SURFACES) + 1) + "|"]
    for name in names:
        cells = []
        for surface in SURFACES:
            curve = curves[name, surface]
            first, stays = (
                "–" if cost is None else f"{cost:,}" for cost in (curve.first, curve.stays)
            )
            cells.append(f"{first}, {stays} ({curve.errors[-1]:.0e})")
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def plot(curves: dict[tuple[str, str], Curve], names: list[str], path: str) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(13, 7.5), sharex=True, sharey=True)
    colours = [
        "#888888",
        "#0072B2",
        "#D55E00",
        "#E69F00",
        "#56B4E9",
        "#009E73",
        "#80C9A8",
        "#CC79A7",
        "#000000",
    ]
    for axis, surface in zip(axes.flat, SURFACES, strict=True):
        for colour, name in zip(colours, names, strict=True):
            curve = curves[name, surface]
            if name == "straight line":
                axis.axhline(abs(curve.errors[0]), color=colour, lw=1, ls=":", label=name)
                continue
            sizes = np.maximum(np.abs(curve.errors), 1e-8)
            style = "--" if name.startswith("ASE") else "-"
            axis.plot(curve.costs, sizes, style, color=colour, lw=1.4, label=name)
        axis.axhline(CLOSE, color="#bbbbbb", lw=0.8)
        axis.set(title=surface, xscale="log", yscale="log", xlim=(8, 2e4), ylim=(1e-8, 30))
    for axis in axes[1]:
        axis.set_xlabel("values and gradients evaluated")
    for axis in axes[:, 0]:
        axis.set_ylabel("error of the highest point")
    figure.legend(
        *axes.flat[0].get_legend_handles_labels(), loc="lower center", ncols=5, frameon=False
    )
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", help="where to write the figure")
    arguments = parser.parse_args()
    curves = {}
    for surface_name, surface in SURFACES.items():
        for name, finder in FINDERS.items():
            curves[name, surface_name] = ours(finder, surface)
        curves["ASE's elastic band", surface_name] = best_of_ase(surface)
    names = [*FINDERS, "ASE's elastic band"]
    print(f"Evaluations until the error is below {CLOSE:g} first, for good (error at the end):\n")
    print(table(curves, names))
    if arguments.plot:
        plot(curves, names, arguments.plot)


if __name__ == "__main__":
    main()

"""Paths over the Müller-Brown surface, drawn flat, in space and as profiles.

    python examples/draw_paths.py [--out FOLDER]

Writes surface.png and profiles.png (matplotlib), and scene.html (plotly, to be turned).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lowroad import ElasticBandFinder, FourierPathFinder, MullerBrown, StraightLine
from lowroad.plotting import profile_figure, surface_figure, surface_scene

FINDERS = {
    "straight line": StraightLine(),
    "elastic band": ElasticBandFinder(),
    "Fourier, max flux": FourierPathFinder(objective="max_flux"),
    "Fourier, total": FourierPathFinder(learning_rate=0.01),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path())
    folder = parser.parse_args().out
    folder.mkdir(parents=True, exist_ok=True)

    surface = MullerBrown()
    paths = {name: finder.find(surface, *surface.ends) for name, finder in FINDERS.items()}
    for name, found in paths.items():
        print(f"{name:18} highest point {found.refined_height:9.4f}, length {found.length:.3f}")
    print(f"{'lowest pass':18} height        {surface.lowest_height:9.4f}")

    surface_figure(surface, paths).savefig(folder / "surface.png", dpi=160)
    profile_figure(paths, against="length").savefig(folder / "profiles.png", dpi=160)
    surface_scene(surface, paths).write_html(folder / "scene.html")


if __name__ == "__main__":
    main()

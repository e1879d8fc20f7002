"""Paths between two points of a landscape, and finders of low ones."""

from lowroad.paths.curve import CurveFinder
from lowroad.paths.finder import PathFinder
from lowroad.paths.found_path import FoundPath, History
from lowroad.paths.fourier import FourierPathFinder
from lowroad.paths.path import Path
from lowroad.paths.straight import StraightLine

__all__ = [
    "CurveFinder",
    "FoundPath",
    "FourierPathFinder",
    "History",
    "Path",
    "PathFinder",
    "StraightLine",
]

"""Paths between two points of a landscape, and finders of low ones."""

from lowroad.paths.bezier import BezierPathFinder
from lowroad.paths.curve import CurveFinder
from lowroad.paths.elastic_band import ElasticBandFinder
from lowroad.paths.finder import PathFinder
from lowroad.paths.found_path import FoundPath, History
from lowroad.paths.fourier import FourierPathFinder
from lowroad.paths.image_chain import ImageChainFinder
from lowroad.paths.path import Path
from lowroad.paths.polygonal_chain import PolygonalChainFinder
from lowroad.paths.saddle import Saddle, refine_saddle
from lowroad.paths.straight import StraightLine
from lowroad.paths.string import StringFinder

__all__ = [
    "BezierPathFinder",
    "CurveFinder",
    "ElasticBandFinder",
    "FoundPath",
    "FourierPathFinder",
    "History",
    "ImageChainFinder",
    "Path",
    "PathFinder",
    "PolygonalChainFinder",
    "Saddle",
    "StraightLine",
    "StringFinder",
    "refine_saddle",
]

"""`lowroad connect`: the paths between checkpoints of a user's own model."""

from lowroad.connect.command import Options, connect
from lowroad.connect.named import load_landscape, load_metrics, parse_finder
from lowroad.connect.results import table
from lowroad.problems.checkpoints import read_point

__all__ = [
    "Options",
    "connect",
    "load_landscape",
    "load_metrics",
    "parse_finder",
    "read_point",
    "table",
]

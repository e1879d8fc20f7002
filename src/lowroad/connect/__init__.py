"""`lowroad connect`: the path between two checkpoints of a user's own model."""

from lowroad.connect.command import connect, load_landscape, parse_finder
from lowroad.connect.results import table
from lowroad.problems.checkpoints import read_point

__all__ = ["connect", "load_landscape", "parse_finder", "read_point", "table"]

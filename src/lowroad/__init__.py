"""Low-height paths and wide valleys in loss and energy landscapes."""

__version__ = "0.1.0"

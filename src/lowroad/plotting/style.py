"""How weight sets and paths look in every figure, and how numbers are written."""

from __future__ import annotations

import html
import math
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = [
    "HEIGHT_COLORS",
    "LINE_COLORS",
    "LINE_HEIGHT",
    "MARKERS",
    "NAME_WIDTH",
    "SOURCE_COLORS",
    "STRAIGHT_COLOR",
    "STYLES",
    "TITLE_WIDTH",
    "PathStyle",
    "SetStyle",
    "draw_legend",
    "drawing",
    "new_figure",
    "path_styles",
    "plotly_text",
    "say_nothing_here",
    "scientific",
    "set_styles",
    "shorter",
    "three_figures",
    "wrapped",
]


NAME_WIDTH = 24  # letters of a line of a name beside a panel
TITLE_WIDTH = 50  # and above it
LINE_HEIGHT = 0.12  # inches of such a line


@dataclass(frozen=True)
class SetStyle:
    """Look of a weight set: told apart by colour, and by marker, hatch and dash without colour.

    Attributes:
        label: Its name for people.
        color: A colour that colour-blind people can tell from the others.
        marker: Matplotlib's name of the marker.
        symbol: Plotly's name of the same marker.
        hatch: Hatching of bars.
        dash: Matplotlib's line style.
        plotly_dash: Plotly's name of the same line style.
    """

    label: str
    color: str
    marker: str
    symbol: str
    hatch: str
    dash: str
    plotly_dash: str

    @property
    def plotly_label(self) -> str:
        """The label as text of plotly."""
        return plotly_text(self.label)


# Okabe and Ito's palette, with a grey that is seen on black and on white in place of black.
SOURCE_COLORS = (
    *("#D55E00", "#0072B2", "#009E73", "#CC79A7"),
    *("#E69F00", "#56B4E9", "#8C8C8C", "#B8A800"),
)
_MARKERS = ("o", "s", "D", "^", "v", "P", "X", "p")
_SYMBOLS = (
    *("circle", "square", "diamond", "triangle-up"),
    *("triangle-down", "cross", "x", "pentagon"),
)
_SELECTIONS = {
    "": ("", "-", "solid"),
    "train": ("", "-", "solid"),
    "test": ("///", "--", "dash"),
    "validation": ("///", "--", "dash"),
    "last": ("...", ":", "dot"),
}


def set_styles(
    names: Iterable[str], labels: Mapping[str, str] | None = None
) -> dict[str, SetStyle]:
    """Looks for named sets, in their order.

    What stands before a "/" in a name is its source, which gives colour and marker; what stands
    behind it ("train", "test", "last") gives dash and hatch. Test sets have lighter colours.

    Args:
        names: The sets.
        labels: What they are called for people; themselves where it is not said.

    Raises:
        ValueError: If there are more than eight sources: nobody can tell more colours apart.

    >>> styles = set_styles(["Adam/train", "Adam/test", "SGD/train"])
    >>> styles["Adam/train"].color != styles["SGD/train"].color, styles["Adam/test"].dash
    (True, '--')
    """
    names = list(dict.fromkeys(names))
    sources = list(dict.fromkeys(name.partition("/")[0] for name in names))
    if len(sources) > len(SOURCE_COLORS):
        raise ValueError(
            f"at most {len(SOURCE_COLORS)} sources can be told apart in a figure, got "
            f"{len(sources)}: {', '.join(sources)}; show them in several figures"
        )
    styles = {}
    for name in names:
        source, _, selection = name.partition("/")
        place = sources.index(source)
        hatch, dash, plotly_dash = _SELECTIONS.get(selection, _SELECTIONS[""])
        color = SOURCE_COLORS[place]
        styles[name] = SetStyle(
            (labels or {}).get(name, name),
            _lighter(color) if plotly_dash == "dash" else color,
            _MARKERS[place],
            _SYMBOLS[place],
            hatch,
            dash,
            plotly_dash,
        )
    return styles


def _lighter(color: str) -> str:
    """A colour two fifths of the way to white."""
    parts = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(part + 0.4 * (255 - part)):02X}" for part in parts)


# For the paths over the two-dimensional surface: three smoothness values and the straight line.
LINE_COLORS = ("#0072B2", "#009E73", "#CC79A7")
STRAIGHT_COLOR = "#D55E00"


@dataclass(frozen=True)
class PathStyle:
    """Look of a path: told apart by colour, and by dash and marker without colour.

    Attributes:
        color: A colour of Okabe and Ito's palette.
        dash: Matplotlib's line style.
        plotly_dash: Plotly's name of the same line style.
        marker: Matplotlib's name of the marker.
        symbol: Plotly's name of the same marker.
    """

    color: str
    dash: str
    plotly_dash: str
    marker: str
    symbol: str


_STRAIGHT = (
    PathStyle(STRAIGHT_COLOR, "--", "dash", "v", "triangle-down"),
    PathStyle(STRAIGHT_COLOR, ":", "dot", "<", "triangle-left"),
)
_PATHS = (
    PathStyle(LINE_COLORS[0], "-", "solid", "o", "circle"),
    PathStyle(LINE_COLORS[1], "-.", "dashdot", "s", "square"),
    PathStyle(LINE_COLORS[2], "-", "solid", "^", "triangle-up"),
    PathStyle("#E69F00", "-.", "dashdot", "D", "diamond"),
    PathStyle("#56B4E9", "-", "solid", "P", "cross"),
    PathStyle("#000000", ":", "dot", "X", "x"),
)


# Marks of kinds of points on a map, white with a black edge, as matplotlib and plotly name them:
# minima and saddles first. Plotly has all four in space too.
MARKERS = (("o", "circle"), ("D", "diamond"), ("s", "square"), ("P", "cross"))

# From low to high. Greys, so that the paths alone have colours; not to black, which hides them.
HEIGHT_COLORS = ("#ffffff", "#6e6e6e")


def path_styles(straight: Mapping[str, bool]) -> dict[str, PathStyle]:
    """Looks for named paths: straight lines in one colour and broken, the others each its own.

    Raises:
        ValueError: If more than two paths are straight lines, or more than six are not.

    >>> styles = path_styles({"line": True, "band": False})
    >>> styles["line"].dash, styles["band"].color
    ('--', '#0072B2')
    """
    styles: dict[str, PathStyle] = {}
    for kind, looks in ((True, _STRAIGHT), (False, _PATHS)):
        names = [name for name, is_straight in straight.items() if is_straight == kind]
        if len(names) > len(looks):
            what = "straight lines" if kind else "paths beside straight lines"
            raise ValueError(f"at most {len(looks)} {what} fit in one picture, got {names}")
        styles |= dict(zip(names, looks, strict=False))
    return styles


_SETTINGS: dict[Any, Any] = {
    "font.size": 8.0,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.0,
    "legend.fontsize": 7.5,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "hatch.linewidth": 0.5,
    "lines.linewidth": 1.2,
    "savefig.dpi": 200,
    "legend.frameon": False,
    "pdf.fonttype": 42,
}

STYLES: dict[str, dict[Any, Any]] = {
    "screen": _SETTINGS,
    "paper": {
        **_SETTINGS,
        # a journal's letters, which come with matplotlib, and some that they lack: ⁻⁶
        "font.family": ["STIXGeneral", "DejaVu Serif"],
        "mathtext.fontset": "stix",
        "axes.spines.top": True,
        "axes.spines.right": True,
        "axes.linewidth": 0.5,
        "xtick.direction": "in",
        "ytick.direction": "in",
        "lines.linewidth": 1.0,
        "savefig.dpi": 600,
    },
}
_style = ContextVar("_style", default="screen")


@contextmanager
def drawing(style: str | None = None) -> Iterator[None]:
    """Apply a style's settings for a while; the caller's settings come back afterwards.

    Every figure of this package that is made inside has the style; without a name, that of the
    `drawing` around this one, or "screen".

    Args:
        style: "screen", or "paper" for an article: serif letters, axes with four sides, pictures
            of 600 dots an inch.

    Raises:
        ValueError: for another name.

    >>> with drawing("paper"):
    ...     matplotlib.rcParams["font.family"][0]
    'STIXGeneral'
    """
    name = _style.get() if style is None else style
    if name not in STYLES:
        raise ValueError(f"expected a style among {', '.join(STYLES)}, got {style!r}")
    token = _style.set(name)
    try:
        with matplotlib.rc_context(STYLES[name]):
            yield
    finally:
        _style.reset(token)


def new_figure(rows: int, columns: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """Return a figure without a window and its axes in reading order; sizes in inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.ravel())


def say_nothing_here(axes: Axes, text: str) -> None:
    """Write into empty axes what is missing."""
    axes.set(xticks=[], yticks=[])
    axes.text(
        0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color="0.35", wrap=True
    )


def draw_legend(figure: Figure, entries: Mapping[str, Artist]) -> None:
    """Draw a figure's legend above it, in as many columns, four at most, as its width holds.

    The figure grows by the legend's third and further lines.
    """
    if entries:
        size = matplotlib.rcParams["legend.fontsize"]
        column = size * (5 + 0.6 * max(map(len, entries)))  # the mark, the gaps, and letters
        columns = min(4, max(1, int(72 * figure.get_figwidth() / column)))
        more = max(0, -(-len(entries) // columns) - 2)
        figure.set_figheight(figure.get_figheight() + 1.3 * LINE_HEIGHT * more)
        figure.legend(
            list(entries.values()), list(entries), loc="outside upper center", ncols=columns
        )


def plotly_text(name: str) -> str:
    """A name in plotly's language, which has tags, entities, equations and, in hovers, variables.

    >>> plotly_text("lr<0.1 & <b>, %{x} $y$")
    'lr&lt;0.1 &amp; &lt;b&gt;, %&#123;x} &#36;y&#36;'
    """
    return html.escape(name, quote=False).replace("%{", "%&#123;").replace("$", "&#36;")


def wrapped(name: str, width: int) -> list[str]:
    """Lines of a name, of at most so many characters: beside a panel it must leave it room.

    >>> wrapped("Adam, learning rate 0.001", 20)
    ['Adam, learning rate', '0.001']
    """
    return textwrap.wrap(name, width) or [name]


def scientific(number: float) -> str:
    """Write a number as the paper's tables do, with a true minus sign.

    >>> scientific(1.2649e-8), scientific(-0.00144), scientific(float("nan"))
    ('1.26e-08', '−1.44e-03', '–')
    """
    if math.isnan(number):
        return "–"
    if math.isinf(number):
        return "∞" if number > 0 else "−∞"
    return f"{number:.2e}".replace("-", "−", 1) if number < 0 else f"{number:.2e}"


def three_figures(number: float) -> str:
    """Write a number with three figures, zeros too, for columns of a table.

    >>> three_figures(0.11), three_figures(2.0), three_figures(123.4), three_figures(2e-7)
    ('0.110', '2.00', '123', '2.00e-07')
    """
    if not math.isfinite(number) or (number != 0 and not 1e-3 <= abs(number) < 1e5):
        return scientific(number)
    text = f"{number:#.3g}".rstrip(".")
    return (f"{number:.0f}" if "e" in text else text).replace("-", "−")


def shorter(number: float) -> str:
    """Write a number with three figures, without an exponent where it stays short.

    >>> shorter(0.12345), shorter(41.27), shorter(1e-7), shorter(-2.0), shorter(1234567.0)
    ('0.123', '41.3', '1.00e-07', '−2', '1.23e+06')
    """
    if not math.isfinite(number) or (number != 0 and not 1e-3 <= abs(number) < 1e5):
        return scientific(number)
    text = f"{number:.3g}"
    if "e" in text:
        text = f"{number:.0f}"
    return text.replace("-", "−")

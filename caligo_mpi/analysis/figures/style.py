"""How figures look: colors that everybody can tell apart, on light and on dark ground.

Colors are those of Okabe and Ito (Color Universal Design, 2008).
"""

from __future__ import annotations

import importlib.util
import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ...errors import EnvironmentProblem

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

Plot = Callable[..., "Axes"]

BLUE = "#0072b2"
ORANGE = "#e69f00"
GREEN = "#009e73"
PURPLE = "#cc79a7"
YELLOW = "#f0e442"
RED = "#d55e00"
SKY = "#56b4e9"
#: Bases Z and X have these everywhere.
BASIS = {"Z": BLUE, "X": RED}
#: Text and lines, what is less important, and the ground.  A page replaces them by its own.
INK = "#1b1b1d"
FAINT = "#8a8a8e"
GROUND = "#ffffff"

#: What a page's style sheet calls these colors.
_VARIABLES = {
    INK: "--ink",
    FAINT: "--faint",
    GROUND: "--ground",
    BLUE: "--blue",
    ORANGE: "--orange",
    GREEN: "--green",
    PURPLE: "--purple",
    YELLOW: "--yellow",
    RED: "--red",
    SKY: "--sky",
}

_SETTINGS: Any = {
    "font.size": 10,
    "font.family": "sans-serif",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "grid.color": FAINT,
    "grid.alpha": 0.25,
    "axes.grid": False,
    "svg.fonttype": "none",
    "lines.linewidth": 1.5,
    "figure.constrained_layout.use": True,
    "axes.formatter.limits": (-4, 5),
    "legend.frameon": False,
}


#: Points of a line above the axes, and the size of small letters.
_LINE = 11
_SMALL = 7.8
#: Names in a line of a key, and points of each.
_NAMES = 3
_NAME_WIDTH = 82
#: Decades of an axis from which on only powers of ten are told.
_DECADES = 1.5

MISSING = (
    "figures need matplotlib, which is not installed: python -m pip install 'caligo-mpi[report]'"
)


def can_draw() -> bool:
    """Whether matplotlib is there."""
    return importlib.util.find_spec("matplotlib") is not None


def require_drawing() -> None:
    """`EnvironmentProblem` where matplotlib is missing."""
    if not can_draw():
        raise EnvironmentProblem(MISSING)


@contextmanager
def styled() -> Iterator[Any]:
    """The style, for as long as a figure is made; gives matplotlib.  `EnvironmentProblem` where that is missing."""
    require_drawing()
    import matplotlib

    with matplotlib.rc_context(_SETTINGS):
        yield matplotlib


def new_axes(width: float = 4.4, height: float = 3.0) -> Axes:
    """Axes of a figure of its own, in inches, which nothing has to close."""
    from matplotlib.figure import Figure as NewFigure

    drawn = NewFigure(figsize=(width, height))
    return drawn.subplots()


def figure(height: float = 3.0) -> Callable[[Callable[[Any, Axes], None]], Plot]:
    """Make a function that draws into axes one that makes them where none are given."""

    def around(draw: Callable[[Any, Axes], None]) -> Plot:
        @wraps(draw)
        def plot(data: Any, ax: Axes | None = None) -> Axes:
            with styled():
                if ax is None:
                    ax = new_axes(height=height)
                draw(data, ax)
            return ax

        return plot

    return around


def label(ax: Axes, title: str, x: str, y: str) -> None:
    """The title and what the axes show, with units."""
    ax.set_title(title)
    ax.set_xlabel(x)
    ax.set_ylabel(y)


def beside(
    ax: Axes,
    text: str,
    spot: tuple[Any, Any],
    shift: tuple[float, float],
    **style: Any,
) -> None:
    """Text so many points to the right of a spot and above it."""
    ax.annotate(
        text,
        spot,
        shift,
        textcoords="offset points",
        **style,
    )


def note(ax: Axes, text: str, *, above: int = 0) -> None:
    """How to read a figure, between its title and its axes; ``above`` so many lines for something else."""
    beside(
        ax,
        text,
        (0, 1),
        (0, 3 + _LINE * above),
        xycoords="axes fraction",
        fontsize=_SMALL,
        color=FAINT,
    )
    more_lines = text.count("\n") + above
    title = ax.get_title(loc="left")
    ax.set_title(title, pad=16 + _LINE * more_lines)


def key(ax: Axes, names: Sequence[tuple[str, str]]) -> int:
    """Names in their colors above the axes, as far left as they go; how many lines they take."""
    lines = -(-len(names) // _NAMES)
    for place, (name, color) in enumerate(names):
        line, column = divmod(place, _NAMES)
        beside(
            ax,
            name,
            (0, 1),
            (_NAME_WIDTH * column, 3 + _LINE * (lines - 1 - line)),
            xycoords="axes fraction",
            fontsize=8.5,
            color=color,
        )
    return lines


def line_note(ax: Axes, value: float, text: str) -> None:
    """A name for a horizontal line, above its beginning."""
    spot = (0.02, value)
    beside(
        ax,
        text,
        spot,
        (0, 3),
        xycoords=("axes fraction", "data"),
        fontsize=8,
    )


def large_numbers(ax: Axes) -> None:
    """Metric prefixes on the horizontal axis: 200 k, 1 M."""
    from matplotlib.ticker import EngFormatter

    few_ticks(ax.xaxis)
    ax.xaxis.set_major_formatter(EngFormatter())


def few_ticks(axis: Axis) -> None:
    """So few round numbers on an axis that they stand apart."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))


def few_decades(axis: Axis, values: Any) -> None:
    """Numbers on a logarithmic axis: 1, 2, 5 of each decade, of many decades only 1; large ones with prefixes."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter, StrMethodFormatter

    decades = np.log10(np.max(values) / np.min(values))
    shown = (1, 2, 5) if decades < _DECADES else (1,)
    axis.set_major_locator(LogLocator(subs=shown))
    is_large = np.min(values) >= 1
    axis.set_major_formatter(EngFormatter() if is_large else StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def svg(ax: Axes, *, name: str) -> str:
    """The figure as an ``<svg>`` element for a page that has the colors' variables.

    ``name`` keeps the names within it apart from those of other figures.
    """
    drawn = cast("Figure", ax.get_figure())
    said_of_itself = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    out = io.StringIO()
    with styled() as matplotlib, matplotlib.rc_context({"svg.hashsalt": name}):
        drawn.savefig(out, format="svg", metadata=said_of_itself)
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(
        r"<metadata>.*?</metadata>",
        "",
        text,
        flags=re.DOTALL,
    )
    text = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{name}-", text)
    for color, variable in _VARIABLES.items():
        text = text.replace(color, f"var({variable})")
    scaled = r'<svg \1 role="img">'
    return re.sub(
        r'<svg [^>]*?(viewBox="[^"]*")[^>]*>',
        scaled,
        text,
        count=1,
    )


def save(ax: Axes, path: Any) -> None:
    """The figure as a file on white ground; its ending says PNG, SVG or PDF."""
    drawn = cast("Figure", ax.get_figure())
    with styled():
        drawn.savefig(path, dpi=200, facecolor=GROUND)

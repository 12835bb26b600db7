"""tanh and sigmoid, and the two formulas for tanh that deck 1 prints and that are another function."""

from typing import Any

import numpy as np

from . import style
from .tower import slope

WRONG = (style.VERMILION, "--"), (style.ORANGE, "-.")  # lines of the two printed formulas
FORMULAS = {
    "printed: (1 - e^-2x) / (1 + e^2x)": lambda x: (1 - np.exp(-2 * x)) / (1 + np.exp(2 * x)),
    "printed: 1 - 2 sigmoid(2x)": lambda x: 1 - 2 / (1 + np.exp(-2 * x)),
    "2 sigmoid(2x) - 1": lambda x: 2 / (1 + np.exp(-2 * x)) - 1,
}


def draw_formulas(axes: Any) -> None:
    """tanh and sigmoid with their slopes, and what is printed."""
    x = np.linspace(-4, 4, 161)
    for name, y, color, line in (
        ("tanh", np.tanh(x), style.BLUE, "-"),
        ("slope of tanh", slope("tanh", x), style.BLUE, ":"),
        ("sigmoid", 1 / (1 + np.exp(-x)), style.GREEN, "-"),
        ("slope of sigmoid", slope("sigmoid", x), style.GREEN, ":"),
        *((name, FORMULAS[name](x), *look) for name, look in zip(FORMULAS, WRONG, strict=False)),
    ):
        axes.plot(x, y, color=color, linestyle=line, marker="", label=name)
    axes.set(title="tanh, sigmoid, and two formulas that are no tanh", xlabel="x", ylim=(-3, 1.1))
    axes.legend(loc="lower right")

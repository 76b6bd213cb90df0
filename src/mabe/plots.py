"""Pictures of a run: ethograms, training curves, the confusion matrix, F1 per class.

Classes keep one colour everywhere: the first class (background or base) is grey, the others follow the
Okabe-Ito palette, which colour-blind readers can tell apart.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

COLOURS = ("#d9d9d9", "#0072b2", "#e69f00", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#f0e442")
UNKNOWN_COLOUR = "#ffffff"


def ethogram(
    path: Path,
    *,
    truth: np.ndarray,
    predicted: np.ndarray,
    fps: float,
    names: Sequence[str],
    title: str,
) -> None:
    """A recording's classes over time (s), truth above prediction; unknown frames (-1) are white.

    truth, predicted: int (T,).
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    colours = ListedColormap([UNKNOWN_COLOUR, *(COLOURS[i % len(COLOURS)] for i in range(len(names)))])
    seconds = len(truth) / fps
    figure, axes = figure_of((11, 2.3), 2, 1, sharex=True)
    for ax, labels, row in zip(axes, (truth, predicted), ("truth", "prediction"), strict=True):
        ax.imshow(
            labels[None, :] + 1,
            aspect="auto",
            cmap=colours,
            vmin=-0.5,
            vmax=len(names) + 0.5,
            interpolation="nearest",
            extent=(0, seconds, 0, 1),
        )
        ax.set_yticks([])
        ax.set_ylabel(row, rotation=0, ha="right", va="center")
    axes[1].set_xlabel("time (s)")
    axes[0].set_title(title, loc="left", fontsize=10)
    patches = [Patch(facecolor=COLOURS[i % len(COLOURS)], label=name) for i, name in enumerate(names)]
    figure.legend(handles=patches, loc="outside right center", frameon=False, fontsize=9)
    save(figure, path)


def curves(path: Path, runs: Sequence[tuple[Sequence[dict[str, Any]], int]]) -> None:
    """Loss and every recorded score per epoch, training and validation on one axis; the best epoch is marked.

    runs: of each the records of mabe.training.loop, one per epoch, and the best epoch. Several have thin lines.
    """
    names = list(runs[0][0][0]["val"])
    style = {"linewidth": 0.8} if len(runs) > 1 else {}
    figure, axes = figure_of((4 * len(names), 3.2), 1, len(names))
    for ax, name in zip(axes, names, strict=True):
        for number, (history, best_epoch) in enumerate(runs):
            epochs = [record["epoch"] for record in history]
            marker = "o" if len(epochs) == 1 else None  # a line through one point cannot be seen
            for part, colour in (("train", COLOURS[1]), ("val", COLOURS[3])):
                values = [record[part][name] for record in history]
                label = None if number else part
                ax.plot(epochs, values, color=colour, label=label, marker=marker, **style)
            label = None if number else "best epoch"
            ax.axvline(best_epoch, color="#888888", linewidth=1, linestyle=":", label=label)
        ax.set_xlabel("epoch")
        ax.set_ylabel(name)
        ax.spines[["top", "right"]].set_visible(False)
        if name != "loss":
            ax.set_ylim(0, 1)
    axes[-1].legend(frameon=False)
    save(figure, path)


def confusion(path: Path, matrix: np.ndarray, names: Sequence[str]) -> None:
    """Confusion matrix (C, C), rows truth, as shares of the true class with the frame counts beneath."""
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    figure, ax = figure_of((1.1 * len(names) + 1.6, 1.0 * len(names) + 1.2))
    ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for i in range(len(names)):
        for j in range(len(names)):
            colour = "white" if share[i, j] > 0.55 else "black"
            ax.text(
                j, i, f"{share[i, j]:.2f}\n{matrix[i, j]:,}", ha="center", va="center", color=colour, size=8
            )
    ax.set_xticks(range(len(names)), names, rotation=30, ha="right")
    ax.set_yticks(range(len(names)), names)
    ax.set_xlabel("predicted")
    ax.set_ylabel("truth")
    save(figure, path)


def bars(path: Path, values: dict[str, float], colours: Sequence[str], label: str) -> None:
    """Horizontal bars with their values, e.g. F1 per class."""
    figure, ax = figure_of((6, 0.45 * len(values) + 0.9))
    drawn = ax.barh(list(values), list(values.values()), color=list(colours))
    ax.bar_label(drawn, fmt="%.3f", padding=3, fontsize=9)
    ax.invert_yaxis()
    ax.set_xlim(0, 1.08)
    ax.set_xlabel(label)
    ax.spines[["top", "right"]].set_visible(False)
    save(figure, path)


def class_colour(class_id: int) -> str:
    """The colour of a class in every picture."""
    return COLOURS[class_id % len(COLOURS)]


def figure_of(size: tuple[float, float], *shape: int, **options: Any) -> tuple[Any, Any]:
    """A figure of `size` in inches and its axes. It needs no screen; matplotlib is imported where one is drawn."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    return figure, figure.subplots(*shape, **options)


def save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)

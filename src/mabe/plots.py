"""Pictures of a run: ethograms, training curves, the confusion matrix, F1 per class, and the scores of actions.

Classes keep one colour everywhere: the first class (background or base) is grey, the others follow the
Okabe-Ito palette, which colour-blind readers can tell apart.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # no screen on a cluster

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

COLOURS = ("#d9d9d9", "#0072b2", "#e69f00", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#f0e442")
UNKNOWN_COLOUR = "#ffffff"

Bars = Sequence[tuple[str, float, float]]


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
    colours = ListedColormap([UNKNOWN_COLOUR, *(COLOURS[i % len(COLOURS)] for i in range(len(names)))])
    seconds = len(truth) / fps
    figure, axes = plt.subplots(2, 1, figsize=(11, 2.3), sharex=True, layout="constrained")
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
    _save(figure, path)


def curves(path: Path, history: Sequence[dict[str, Any]], best_epoch: int) -> None:
    """Loss and every recorded score per epoch, training and validation on one axis; the best epoch is marked.

    history: the records of mabe.training.loop, one per epoch.
    """
    epochs = [record["epoch"] for record in history]
    names = list(history[0]["val"])
    marker = "o" if len(epochs) == 1 else None  # a line through one point cannot be seen
    figure, axes = plt.subplots(1, len(names), figsize=(4 * len(names), 3.2), layout="constrained")
    for ax, name in zip(axes, names, strict=True):
        for part, colour in (("train", COLOURS[1]), ("val", COLOURS[3])):
            values = [record[part][name] for record in history]
            ax.plot(epochs, values, color=colour, label=part, marker=marker)
        ax.axvline(best_epoch, color="#888888", linewidth=1, linestyle=":", label="best epoch")
        ax.set_xlabel("epoch")
        ax.set_ylabel(name)
        ax.spines[["top", "right"]].set_visible(False)
        if name != "loss":
            ax.set_ylim(0, 1)
    axes[-1].legend(frameon=False)
    _save(figure, path)


def confusion(path: Path, matrix: np.ndarray, names: Sequence[str]) -> None:
    """Confusion matrix (C, C), rows truth, as shares of the true class with the frame counts beneath."""
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    figure, ax = plt.subplots(figsize=(1.1 * len(names) + 1.6, 1.0 * len(names) + 1.2), layout="constrained")
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
    _save(figure, path)


def bars(path: Path, values: dict[str, float], colours: Sequence[str], label: str) -> None:
    """Horizontal bars with their values, e.g. F1 per class."""
    figure, ax = plt.subplots(figsize=(6, 0.45 * len(values) + 0.9), layout="constrained")
    drawn = ax.barh(list(values), list(values.values()), color=list(colours))
    ax.bar_label(drawn, fmt="%.3f", padding=3, fontsize=9)
    ax.invert_yaxis()
    ax.set_xlim(0, 1.08)
    ax.set_xlabel(label)
    ax.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def class_colour(class_id: int) -> str:
    """The colour of a class in every picture."""
    return COLOURS[class_id % len(COLOURS)]


def pair_ethogram(
    path: Path, pairs: Mapping[str, tuple[Bars, Bars]], *, seconds: float, names: Sequence[str], title: str
) -> None:
    """Actions of each ordered pair over time (s), truth above prediction.

    pairs: by the pair's name, true and predicted (action, start, stop) in seconds; names: of all actions, which give
    the colours.
    """
    figure, ax = plt.subplots(figsize=(11, 1.2 + 0.5 * len(pairs)), layout="constrained")
    shown = set()
    for row, (truth, predicted) in enumerate(pairs.values()):
        ax.axhline(row + 0.5, color="#888888", linewidth=0.5)
        for bouts, top in ((truth, row + 0.1), (predicted, row + 0.52)):
            for action, start, stop in bouts:
                colour = action_colour(names.index(action))
                ax.broken_barh([(start, stop - start)], (top, 0.38), facecolor=colour)
                shown.add(action)
    ax.set_xlim(0, seconds)
    ax.set_ylim(len(pairs), 0)
    ax.set_yticks(np.arange(len(pairs)) + 0.5, list(pairs), fontsize=8)
    ax.set_xlabel("time (s)")
    ax.set_title(f"{title}: truth above prediction", loc="left", fontsize=10)
    patches = [Patch(facecolor=action_colour(names.index(name)), label=name) for name in sorted(shown)]
    figure.legend(handles=patches, loc="outside right center", frameon=False, fontsize=8)
    _save(figure, path)


def scores_by_action(path: Path, scores: Mapping[str, Sequence[float]], label: str) -> None:
    """A bar for the mean score of each action, and a dot for each laboratory that has it."""
    figure, ax = plt.subplots(figsize=(6, 0.32 * len(scores) + 0.9), layout="constrained")
    ax.barh(list(scores), [np.mean(of) for of in scores.values()], color=COLOURS[6])
    for row, of in enumerate(scores.values()):
        ax.plot(of, [row] * len(of), "o", color=COLOURS[1], markersize=3.5, clip_on=False)
        ax.text(1.04, row, f"{np.mean(of):.2f}", va="center", fontsize=8)
    ax.invert_yaxis()
    ax.set_xlim(0, 1.12)
    ax.set_xticks(np.linspace(0, 1, 6))
    ax.set_xlabel(label)
    ax.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def precision_recall(path: Path, curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """A small picture per action: precision over recall at rising thresholds, (n,) each."""
    columns = min(6, len(curves))
    rows = -(-len(curves) // columns)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(1.7 * columns + 0.4, 1.7 * rows + 0.4),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    for ax, (name, (precision, recall)) in zip(axes.flat, curves.items(), strict=False):
        ax.plot(recall, precision, color=COLOURS[1], marker=".", markersize=3, linewidth=1)
        ax.set_title(name, fontsize=8)
        ax.set_xlim(0, 1.02)
        ax.set_ylim(0, 1.02)
        ax.set_xticks((0, 0.5, 1), ("0", "0.5", "1"))
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
    for ax in axes.flat[len(curves) :]:
        ax.set_visible(False)
    figure.supxlabel("recall", fontsize=9)
    figure.supylabel("precision", fontsize=9)
    _save(figure, path)


def reliability(path: Path, curves: Mapping[str, tuple[np.ndarray, np.ndarray]], overall: str) -> None:
    """The share of frames on which an action happens over its predicted probability; curves: probability and share,
    (n,) each, thin lines but for that named `overall`. On the diagonal they are equal.
    """
    figure, ax = plt.subplots(figsize=(4.6, 4.4), layout="constrained")
    ax.plot([0, 1], [0, 1], color="#888888", linewidth=1, linestyle=":")
    for name, (p, share) in curves.items():
        whole = name == overall
        style: dict[str, Any] = {
            "color": COLOURS[3],
            "linewidth": 2,
            "marker": "o",
            "label": name,
            "zorder": 3,
        }
        ax.plot(p, share, **style if whole else {"color": COLOURS[6], "linewidth": 0.7, "alpha": 0.8})
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    ax.set_xlabel("predicted probability")
    ax.set_ylabel("share of frames with the action")
    ax.legend(frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def action_colour(number: int) -> Any:
    """The colour of an action, by its number among all: 40 differ."""
    return plt.get_cmap("tab20" if number % 40 < 20 else "tab20b")(number % 20)


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)

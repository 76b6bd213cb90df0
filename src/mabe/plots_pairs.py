"""Pictures of the actions of ordered pairs: ethograms, F, precision over recall, and reliability."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mabe.plots import COLOURS, figure_of, save

Bars = Sequence[tuple[str, float, float]]
"""Action, start and stop (s) of bouts."""


def pair_ethogram(
    path: Path, pairs: Mapping[str, tuple[Bars, Bars]], *, seconds: float, names: Sequence[str], title: str
) -> None:
    """Actions of each ordered pair over time (s), truth above prediction.

    pairs: by the pair's name, true and predicted (action, start, stop) in seconds; names: of all actions, which give
    the colours.
    """
    figure, ax = figure_of((11, 1.2 + 0.5 * len(pairs)))
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
    from matplotlib.patches import Patch

    patches = [Patch(facecolor=action_colour(names.index(name)), label=name) for name in sorted(shown)]
    figure.legend(handles=patches, loc="outside right center", frameon=False, fontsize=8)
    save(figure, path)


def scores_by_action(path: Path, scores: Mapping[str, Sequence[float]], label: str) -> None:
    """A bar for the mean score of each action, and a dot for each laboratory that has it."""
    figure, ax = figure_of((6, 0.32 * len(scores) + 0.9))
    ax.barh(list(scores), [np.mean(of) for of in scores.values()], color=COLOURS[6])
    for row, of in enumerate(scores.values()):
        ax.plot(of, [row] * len(of), "o", color=COLOURS[1], markersize=3.5, clip_on=False)
        ax.text(1.04, row, f"{np.mean(of):.2f}", va="center", fontsize=8)
    ax.invert_yaxis()
    ax.set_xlim(0, 1.12)
    ax.set_xticks(np.linspace(0, 1, 6))
    ax.set_xlabel(label)
    ax.spines[["top", "right"]].set_visible(False)
    save(figure, path)


def importance(path: Path, gain: Mapping[str, float], most: int = 25) -> None:
    """A bar for each of the inputs with the largest share of what the splits of boosted trees gained."""
    largest = dict(sorted(gain.items(), key=lambda item: -item[1])[:most])
    figure, ax = figure_of((6.5, 0.25 * len(largest) + 0.9))
    ax.barh(list(largest), list(largest.values()), color=COLOURS[1])
    ax.invert_yaxis()
    ax.tick_params(axis="y", labelsize=8)
    ax.set_xlabel("share of the gain")
    ax.spines[["top", "right"]].set_visible(False)
    save(figure, path)


def precision_recall(path: Path, curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """A small picture per action: precision over recall at rising thresholds, (n,) each."""
    if not curves:
        curves = {"no action happens": (np.zeros(0), np.zeros(0))}
    columns = min(6, len(curves))
    rows = -(-len(curves) // columns)
    size = (1.7 * columns + 0.4, 1.7 * rows + 0.4)
    figure, axes = figure_of(size, rows, columns, sharex=True, sharey=True, squeeze=False)
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
    save(figure, path)


def reliability(path: Path, curves: Mapping[str, tuple[np.ndarray, np.ndarray]], overall: str) -> None:
    """The share of frames on which an action happens over its predicted probability; curves: probability and share,
    (n,) each, thin lines but for that named `overall`. On the diagonal they are equal.
    """
    figure, ax = figure_of((4.6, 4.4))
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
    save(figure, path)


def blend(path: Path, scores: Mapping[float, float], chosen: float, parts: tuple[str, str]) -> None:
    """mabe_f over the weight of the first of two parts; the chosen weight is marked."""
    figure, ax = figure_of((5, 3.2))
    ax.plot(list(scores), list(scores.values()), color=COLOURS[1], marker="o", markersize=4)
    ax.axvline(chosen, color="#888888", linewidth=1, linestyle=":")
    ax.set_xlabel(f"weight of {parts[0]}; 0 is {parts[1]} alone")
    ax.set_ylabel("mabe_f")
    ax.spines[["top", "right"]].set_visible(False)
    save(figure, path)


def action_colour(number: int) -> Any:
    """The colour of an action, by its number among all: 40 differ."""
    from matplotlib import colormaps

    return colormaps["tab20" if number % 40 < 20 else "tab20b"](number % 20)

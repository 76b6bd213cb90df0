"""Pictures: what they show is where it should be."""

import matplotlib.colors
import matplotlib.image
import numpy as np
import pytest

from mabe import plots, plots_pairs


def pixels(path):
    return (matplotlib.image.imread(path)[..., :3] * 255).round().astype(int)


def pixel(colour):
    return [int(colour[i : i + 2], 16) for i in (1, 3, 5)]


def share_of(image, colour):
    return (np.abs(image - pixel(colour)).max(-1) <= 2).mean()


def test_ethogram_shows_truth_above_prediction(tmp_path):
    path = tmp_path / "e.png"
    truth, predicted = np.full(100, 1), np.full(100, 2)
    plots.ethogram(
        path, truth=truth, predicted=predicted, fps=10, names=("none", "a", "b", "c"), title="lab/1"
    )
    image = pixels(path)
    upper, lower = np.array_split(image, 2)
    assert share_of(upper, plots.class_colour(1)) > 0.2 > share_of(lower, plots.class_colour(1))
    assert share_of(lower, plots.class_colour(2)) > 0.2 > share_of(upper, plots.class_colour(2))


def test_ethogram_leaves_unknown_frames_white(tmp_path):
    shares = []
    for label in (-1, 1):
        path = tmp_path / f"{label}.png"
        labels = np.full(50, label)
        plots.ethogram(path, truth=labels, predicted=labels, fps=5, names=("none", "a"), title="")
        shares.append(share_of(pixels(path), plots.class_colour(1)))
    assert shares[0] < 0.01 < 0.2 < shares[1]


def test_curves_confusion_and_bars_are_drawn(tmp_path):
    history = [
        {
            "epoch": e,
            "train": {"loss": 1 / e, "f1_macro": 0.1 * e},
            "val": {"loss": 2 / e, "f1_macro": 0.05 * e},
        }
        for e in (1, 2, 3)
    ]
    plots.curves(tmp_path / "curves.png", [(history, 3)])
    plots.confusion(tmp_path / "confusion.png", np.array([[5, 1], [0, 0]]), ("a", "b"))
    plots.bars(
        tmp_path / "bars.png", {"a": 0.5, "b": 1.0}, [plots.class_colour(0), plots.class_colour(1)], "F1"
    )
    curves = pixels(tmp_path / "curves.png")
    assert share_of(curves, plots.class_colour(1)) > 0
    assert share_of(curves, plots.class_colour(3)) > 0
    bars = pixels(tmp_path / "bars.png")
    assert share_of(bars, plots.class_colour(1)) == pytest.approx(
        2 * share_of(bars, plots.class_colour(0)), rel=0.1
    )
    assert len(np.unique(pixels(tmp_path / "confusion.png").reshape(-1, 3), axis=0)) > 10


def test_curves_of_one_epoch_can_be_seen(tmp_path):
    """A line through one point has no length: it needs a marker. The legend is in the right half."""
    train, val = ({"loss": loss, "f1_macro": 0.5} for loss in (0.2, 0.8))
    plots.curves(tmp_path / "c.png", [([{"epoch": 1, "train": train, "val": val}], 1)])
    picture = matplotlib.image.imread(tmp_path / "c.png")[..., :3]
    left = picture[:, : picture.shape[1] // 2]
    for colour in (plots.COLOURS[1], plots.COLOURS[3]):
        rgb = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        assert (abs(left - rgb) < 0.02).all(-1).sum() > 10


def test_the_ethogram_of_pairs_shows_truth_above_prediction(tmp_path):
    pairs = {"mouse1 → mouse2": ([("b", 0.0, 10.0)], [("a", 0.0, 10.0)])}
    plots_pairs.pair_ethogram(tmp_path / "e.png", pairs, seconds=10.0, names=("a", "b"), title="lab/1")
    image = pixels(tmp_path / "e.png")[:, :800]  # the legend is to the right
    colours = [matplotlib.colors.to_hex(plots_pairs.action_colour(number)) for number in (0, 1)]
    a, b = ((np.abs(image - pixel(colour)).max(-1) <= 2).any(1).nonzero()[0] for colour in colours)
    assert b.max() < a.min()


def test_forty_actions_have_forty_colours():
    assert len({plots_pairs.action_colour(number) for number in range(40)}) == 40


def test_a_score_has_a_bar_for_its_mean_and_a_dot_for_each_laboratory(tmp_path):
    plots_pairs.scores_by_action(tmp_path / "one.png", {"a": [0.5]}, "F")
    plots_pairs.scores_by_action(tmp_path / "three.png", {"a": [0.1, 0.5, 0.9]}, "F")
    one, three = (pixels(tmp_path / name) for name in ("one.png", "three.png"))
    assert share_of(three, plots.COLOURS[1]) > 2 * share_of(one, plots.COLOURS[1]) > 0
    assert share_of(three, plots.COLOURS[6]) == pytest.approx(share_of(one, plots.COLOURS[6]), rel=0.1)


def test_pictures_of_no_action_are_drawn(tmp_path):
    """Of validation recordings in which none happens that was looked for."""
    plots_pairs.precision_recall(tmp_path / "curves.png", curves={})
    plots_pairs.scores_by_action(tmp_path / "scores.png", scores={}, label="F")
    for path in tmp_path.iterdir():
        assert matplotlib.image.imread(path).min() < 0.5  # axes at least

"""A run's loss and PSNR against steps, as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path

LOSS_COLOUR, PSNR_COLOUR = "#d55e00", "#0072b2"  # Okabe-Ito


def draw(path: Path, history: Sequence[Mapping[str, float]], best_step: int) -> None:
    """Writes a PNG: the training loss on a logarithmic scale above the PSNR on held-out clips, the best one marked."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    losses = [(record["step"], record["loss"]) for record in history if "loss" in record]
    values = [(record["step"], record["val_psnr"]) for record in history if "val_psnr" in record]
    figure, (above, below) = plt.subplots(2, 1, figsize=(7, 5.5), sharex=True, layout="constrained")
    if losses:
        marker = "o" if len(losses) == 1 else None  # a line through one point cannot be seen
        above.plot(*zip(*losses, strict=True), color=LOSS_COLOUR, linewidth=1.2, marker=marker)
        above.set_yscale("log")
    above.set_ylabel("training loss")
    if values:
        below.plot(*zip(*values, strict=True), color=PSNR_COLOUR, linewidth=1.2, marker="o", markersize=3.5)
        best = dict(values)[best_step]
        below.axhline(best, color=PSNR_COLOUR, linewidth=0.8, linestyle=":")
        below.annotate(
            f"{best:.2f} dB at step {best_step:,}", (0.99, best), xycoords=("axes fraction", "data"),
            xytext=(0, -4), textcoords="offset points", ha="right", va="top", fontsize=9,
        )  # fmt: skip
    below.set_ylabel("PSNR on held-out clips (dB)")
    below.set_xlabel("optimiser step")
    for ax in (above, below):
        ax.grid(color="#e5e5e5", linewidth=0.6)
        ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)
    plt.close(figure)

"""evaluate: the best weights on the held-out clips, as numbers, tables, pictures and side-by-side videos."""

import pandas as pd

from runs.atomic import atomic_dir
from runs.hardware import choose_device, device_name, tune
from stages.common import HISTORY, read_json, run, write_json
from stages.video.common import ANNOTATION, DETAILS, METRICS, PLOTS, RECONSTRUCTED, TRAINED
from taehv import annotations, curves, evaluate, figures, initial, params, weights

HEADLINE = ("psnr", "ssim", "temporal_psnr", "lpips", "bicubic_psnr", "encode_fps", "decode_fps")
"""What of an evaluation DVC shows and compares; lpips only where its package is installed."""


def main() -> None:
    settings = params.load(params.EvaluateParams)
    trained = params.load(params.TrainParams)
    device = choose_device(params.load(params.ComputeParams).device)
    tune(device)
    model = weights.read(TRAINED / "best.safetensors", trained.variant).to(device)
    untrained = initial.untrained(trained).eval().to(device)
    clips = annotations.read(ANNOTATION).val
    result = evaluate.evaluate(model, untrained, clips, settings)
    facts = {"height": settings.height, "width": settings.width, "device": device_name(device)}
    details = result.summary() | evaluate.costs(model, settings) | facts

    by_clip, by_frame = evaluate.tables(result.scored)
    with atomic_dir(PLOTS) as temporary:
        pd.DataFrame(by_clip).to_csv(temporary / "clips.csv", index=False)
        pd.DataFrame(by_frame).to_csv(temporary / "frames.csv", index=False)
        curves.draw(temporary / "curves.png", **read_json(TRAINED / HISTORY))
        figures.over_time(
            temporary / "psnr.png",
            [clip.values["psnr"] for clip in result.scored],
            [clip.values["bicubic_psnr"] for clip in result.scored],
        )
        if result.shown:
            figures.grid(temporary / "grid.png", result.shown)
    with atomic_dir(RECONSTRUCTED) as temporary:
        for clip in result.shown:
            figures.abreast(temporary / f"{clip.name}.mp4", clip)
    write_json(DETAILS / "evaluate.json", details)
    headline = {name: details[name] for name in HEADLINE if details[name] is not None}
    write_json(METRICS / "evaluate.json", headline)


if __name__ == "__main__":
    run(main)

"""Where the video pipeline's files are in its folder, video/, from which its stages are run."""

from pathlib import Path

CLIP_FIGURES = Path("data/clips.json")
ANNOTATION = Path("data/annotation.json")
RECONSTRUCTED = Path("data/reconstructed")
TRAINED = Path("models/train")
TRAINING = "training.json"  # in it: the run's figures
EXPORTED = Path("models/export")
METRICS = Path("metrics")
LIVE = METRICS / "live"
PLOTS = METRICS / "plots"
EVALUATION = PLOTS / "evaluation.json"

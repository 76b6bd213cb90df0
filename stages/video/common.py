"""Where the video pipeline's files are in its folder, video/, from which its stages are run."""

from pathlib import Path

ANNOTATION = Path("data/annotation.json")
RECONSTRUCTED = Path("data/reconstructed")
TRAINED = Path("models/train")
EXPORTED = Path("models/export")
METRICS = Path("metrics")
DETAILS = METRICS / "details"
LIVE = METRICS / "live"
PLOTS = METRICS / "plots"

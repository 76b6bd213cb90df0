"""Where the video pipeline's files are."""

from pathlib import Path

CLIPS = Path("data/video/clips")
ANNOTATION = Path("data/video/annotation.json")
RECONSTRUCTED = Path("data/video/reconstructed")
TRAINED = Path("models/video/train")
EXPORTED = Path("models/video/export")
METRICS = Path("metrics/video")
LIVE = METRICS / "live"
PLOTS = METRICS / "plots"

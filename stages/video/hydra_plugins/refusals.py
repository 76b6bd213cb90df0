"""Found by Hydra through `hydra.plugins_path` of video/.dvc/config, within DVC's process."""

import sys
from pathlib import Path
from typing import Any

CODE = Path(__file__).resolve().parents[3]
sys.path.append(str(CODE))

from stages.composition import Refusals  # noqa: E402
from stages.video import check  # noqa: E402


class VideoRefusals(Refusals):
    root = CODE / "video"

    def check(self, values: dict[str, Any]) -> None:
        check.check(values)

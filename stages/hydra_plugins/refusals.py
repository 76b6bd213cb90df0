"""Found by Hydra through `hydra.plugins_path` of .dvc/config, within DVC's process."""

import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT))

from stages import check  # noqa: E402
from stages.composition import Refusals  # noqa: E402


class PoseRefusals(Refusals):
    root = ROOT

    def check(self, values: dict[str, Any]) -> None:
        check.check(values)

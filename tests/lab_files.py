"""The real files of laboratories, where they are at hand beside the repository."""

from pathlib import Path

import numpy as np
import pytest

from mabe.data.formats import pose
from mabe.data.formats.pose import Pose
from mabe.errors import InputError

_SHARED = [folder / "shared" / "data" for folder in Path(__file__).parents]
SHARED = next((folder for folder in _SHARED if folder.exists()), _SHARED[0])
FORMATS = SHARED / "formats"


def needs(path: Path) -> pytest.MarkDecorator:
    """Skips a test where `path` is not at hand."""
    return pytest.mark.skipif(
        not path.exists(), reason=f"{path.relative_to(SHARED)} is not in ../shared/data"
    )


def same_pose(found: Pose, expected: Pose, atol: float = 0.0) -> None:
    """Two poses are the same but for rounding."""
    assert (found.individuals, found.bodyparts) == (expected.individuals, expected.bodyparts)
    assert found.first_frame == expected.first_frame
    np.testing.assert_allclose(found.xy, expected.xy, rtol=0, atol=atol)
    assert (found.likelihood is None) == (expected.likelihood is None)
    if found.likelihood is not None and expected.likelihood is not None:
        np.testing.assert_allclose(found.likelihood, expected.likelihood, rtol=0, atol=atol)


def refused(path: Path, says: str) -> None:
    """Reading the pose file says in one sentence, which begins with its path, what is wrong."""
    with pytest.raises(InputError, match=says) as caught:
        pose.read(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)

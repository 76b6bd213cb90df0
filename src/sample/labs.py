"""The invented laboratories of the sample: what they film, track and annotate."""

from dataclasses import dataclass
from functools import cache

from mabe.ethogram import ClassScheme, class_scheme

SHARES: tuple[float, ...] = (0.50, 0.24, 0.12, 0.14)
"""Share of the frames that each class of the mabe4 scheme takes, which the director steers towards."""


@cache
def mabe4() -> ClassScheme:
    """The classes that the episodes are of."""
    return class_scheme("mabe4")


@dataclass(frozen=True, kw_only=True)
class Lab:
    """One laboratory. Every one lists actions of all the classes of mabe4."""

    name: str
    fps: float
    """Hz."""
    px_per_cm: float
    arena: tuple[float, float]
    """Width and height (cm)."""
    shape: str
    """"rectangular" or "circular"."""
    mice: int
    parts: tuple[str, ...]
    """Tracked body parts, by their source names."""
    actions: tuple[str, ...]
    """Annotated actions; the only ones that appear in behaviors_labeled and in annotation files. Single recordings
    leave some of them out."""
    brief: tuple[str, ...] = ()
    """Those that last some tenths of a second here."""
    missing: str
    """How a keypoint that was not found is written: "absent" (no row), "nan" or "zero"."""
    jitter_px: float
    """Standard deviation of the tracking noise (px)."""
    lost: float
    """How often keypoints are lost or misplaced, 1 where tracking is good."""
    annotator_s: float
    """Standard deviation of the ends of bouts (s)."""
    frame_dtype: str
    """Type of start_frame and stop_frame in annotation files."""
    strain: str
    tracking: str

    def lists(self, action: str) -> bool:
        return action in self.actions

    def of_class(self, class_id: int) -> tuple[str, ...]:
        """The annotated actions of a class of mabe4."""
        return tuple(a for a in self.actions if mabe4().class_id(a) == class_id)


_EARS = ("ear_left", "ear_right")
_PAWS = ("forepaw_left", "forepaw_right", "hindpaw_left", "hindpaw_right")
_HEADPIECE = tuple(
    f"headpiece_{level}{end}{side}"
    for level in ("bottom", "top")
    for end in ("back", "front")
    for side in ("left", "right")
)

# The part sets are those of the competition: CalMS21's 7, 5, 18 with a headpiece, 14, 4 with head and no
# nose, 7 with lateral_* for the hips, and 8.
LABS: tuple[Lab, ...] = (
    Lab(
        name="CuriousOtter",
        fps=30.0,
        px_per_cm=18.3,
        arena=(40.0, 30.0),
        shape="rectangular",
        mice=2,
        parts=(*_EARS, "hip_left", "hip_right", "neck", "nose", "tail_base"),
        actions=(
            "approach", "attack", "attemptmount", "chase", "escape", "follow", "intromit", "mount", "rear",
            "sniff", "sniffface", "sniffgenital",
        ),
        missing="nan",
        jitter_px=0.9,
        lost=1.0,
        annotator_s=0.08,
        frame_dtype="int32",
        strain="C57Bl/6J",
        tracking="MARS",
    ),
    Lab(
        name="PatientHeron",
        fps=25.0,
        px_per_cm=14.4,
        arena=(50.0, 50.0),
        shape="rectangular",
        mice=2,
        parts=("body_center", *_EARS, "nose", "tail_base"),
        actions=("approach", "attack", "chase", "follow", "mount", "selfgroom", "sniff", "sniffgenital"),
        missing="absent",
        jitter_px=0.9,
        lost=3.0,
        annotator_s=0.10,
        frame_dtype="int16",
        strain="CD-1 (ICR)",
        tracking="DeepLabCut",
    ),
    Lab(
        name="NimbleBadger",
        fps=30.0,
        px_per_cm=12.0,
        arena=(60.0, 60.0),
        shape="rectangular",
        mice=4,
        parts=(
            "body_center", *_EARS, *_HEADPIECE, "lateral_left", "lateral_right", "neck", "nose", "tail_base",
            "tail_midpoint", "tail_tip",
        ),
        actions=(
            "approach", "attack", "avoid", "chase", "follow", "intromit", "mount", "rear", "sniff",
            "sniffface", "sniffgenital",
        ),
        missing="absent",
        jitter_px=0.7,
        lost=2.0,
        annotator_s=0.10,
        frame_dtype="int16",
        strain="BTBR",
        tracking="DeepLabCut",
    ),
    Lab(
        name="DrowsyMarten",
        fps=40.0,
        px_per_cm=27.5,
        arena=(30.0, 30.0),
        shape="rectangular",
        mice=2,
        parts=(
            "body_center", *_EARS, *_PAWS, "nose", "spine_1", "spine_2", "tail_base", "tail_middle_1",
            "tail_middle_2", "tail_tip",
        ),
        actions=(
            "approach", "attack", "chase", "defend", "escape", "follow", "intromit", "mount", "rear",
            "selfgroom", "sniff", "sniffgenital",
        ),
        brief=("attack", "chase"),
        missing="nan",
        jitter_px=1.6,
        lost=1.0,
        annotator_s=0.04,
        frame_dtype="int32",
        strain="C57Bl/6J",
        tracking="SLEAP",
    ),
    Lab(
        name="GentleWombat",
        fps=30.0,
        px_per_cm=11.0,
        arena=(48.0, 48.0),
        shape="circular",
        mice=3,
        parts=(*_EARS, "head", "tail_base"),
        actions=("approach", "attack", "attemptmount", "avoid", "chase", "follow", "mount", "sniff"),
        missing="zero",
        jitter_px=1.1,
        lost=4.0,
        annotator_s=0.12,
        frame_dtype="int16",
        strain="129/SvEvTac",
        tracking="DeepLabCut",
    ),
    Lab(
        name="BraveTern",
        fps=20.0,
        px_per_cm=32.0,
        arena=(35.0, 25.0),
        shape="rectangular",
        mice=2,
        parts=("body_center", *_EARS, "lateral_left", "lateral_right", "nose", "tail_base"),
        actions=("attack", "attemptmount", "chase", "escape", "mount", "sniff", "sniffface", "sniffgenital"),
        missing="nan",
        jitter_px=1.8,
        lost=2.0,
        annotator_s=0.10,
        frame_dtype="int16",
        strain="C57Bl/6N",
        tracking="custom HRnet",
    ),
    Lab(
        name="QuietLemur",
        fps=24.4,
        px_per_cm=16.0,
        arena=(45.0, 45.0),
        shape="circular",
        mice=3,
        parts=("body_center", *_EARS, "lateral_left", "lateral_right", "nose", "tail_base", "tail_tip"),
        actions=(
            "approach", "attack", "chase", "follow", "mount", "intromit", "rear", "selfgroom", "sniff",
            "sniffface", "sniffgenital",
        ),
        missing="absent",
        jitter_px=1.2,
        lost=4.0,
        annotator_s=0.10,
        frame_dtype="int32",
        strain="BALB/c",
        tracking="DeepLabCut",
    ),
)  # fmt: skip

"""Body parts by name: the slots of the store, their aliases, and the smaller skeletons of V1-V4.

The same slot means the same body part in every laboratory; a part that a laboratory does not track is
missing there, never another part's value.
"""

from mabe.errors import InputError

MAX_MICE = 4

# fmt: off
SLOTS: tuple[str, ...] = (
    "nose", "ear_left", "ear_right", "head", "neck", "body_center", "spine_1", "spine_2",
    "forepaw_left", "forepaw_right", "hindpaw_left", "hindpaw_right", "hip_left", "hip_right",
    "tail_base", "tail_middle_1", "tail_middle_2", "tail_tip",
)
# fmt: on
SLOT: dict[str, int] = {name: i for i, name in enumerate(SLOTS)}

# Source name -> slot. Several source parts of one recording that fall on one slot are averaged.
SLOT_OF_PART: dict[str, int] = {
    **SLOT,
    "lateral_left": SLOT["hip_left"],
    "lateral_right": SLOT["hip_right"],
    "tail_midpoint": SLOT["tail_middle_2"],
    **{
        f"headpiece_{level}{end}{side}": SLOT["head"]
        for level in ("bottom", "top")
        for end in ("front", "back")
        for side in ("left", "right")
    },
    # DeepLabCut names of the resident-intruder rats
    "top": SLOT["head"],
    "body": SLOT["body_center"],
    "tail": SLOT["tail_base"],
    "tail-m": SLOT["tail_middle_1"],
    "tail-e": SLOT["tail_tip"],
}

# A skeleton of k keypoints: for each, the slots to take it from, the first that is present winning.
# The seven are CalMS21's, with the stand-ins that laboratories without that part have.
SKELETONS: dict[int, tuple[tuple[str, ...], ...]] = {
    18: tuple((name,) for name in SLOTS),
    7: (
        ("nose", "head"),
        ("ear_left",),
        ("ear_right",),
        ("neck", "body_center", "spine_1"),
        ("hip_left",),
        ("hip_right",),
        ("tail_base",),
    ),
}

MIRROR: dict[str, str] = {
    name: name.replace("_left", "_right") if name.endswith("_left") else name.replace("_right", "_left")
    for name in SLOTS
}


def slot_of_part(part: str) -> int:
    """Slot index of a source body part; InputError for a name nobody mapped."""
    try:
        return SLOT_OF_PART[part]
    except KeyError:
        raise InputError(
            f"unknown body part {part!r}: known are {', '.join(sorted(SLOT_OF_PART))}; "
            "add it to SLOT_OF_PART in mabe/skeleton.py"
        ) from None


def skeleton(num_keypoints: int) -> tuple[tuple[str, ...], ...]:
    """The keypoints of a skeleton, each as its slot names in order of preference."""
    if num_keypoints not in SKELETONS:
        raise InputError(
            f"num_keypoints is {num_keypoints}: there are skeletons of {sorted(SKELETONS)} keypoints"
        )
    return SKELETONS[num_keypoints]


def keypoint_names(num_keypoints: int) -> tuple[str, ...]:
    """The name of each keypoint of a skeleton (that of its preferred slot)."""
    return tuple(slots[0] for slots in skeleton(num_keypoints))

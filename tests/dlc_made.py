"""DeepLabCut tracks and Caltech annotations, written by tests."""

import gzip
from pathlib import Path

ANNOTATION = """Caltech Behavior Annotator - Annotation File

Configuration file:
base\tz

S1:\tstart\tend\ttype
-----------------------------
{bouts}
"""


def dlc_text(rows: list[str], individuals=("individual1", "individual2"), bodyparts=("top", "tail")) -> str:
    columns = [(i, b, c) for i in individuals for b in bodyparts for c in ("x", "y", "likelihood")]
    header = [
        ",".join(["scorer"] + ["net"] * len(columns)),
        ",".join(["individuals"] + [c[0] for c in columns]),
        ",".join(["bodyparts"] + [c[1] for c in columns]),
        ",".join(["coords"] + [c[2] for c in columns]),
    ]
    return "\n".join(header + rows) + "\n"


ROWS = [
    "0" + "," * 12,
    "1,10.5,20.5,0.9,11,21,0.9,,,1.0,13,23,0.2",
    "3,0.0,0.0,1.0,0.0,21,0.9,12,,0.9,13,23,0.9",
]


def write_rats(root: Path, number=7, rows=ROWS, bouts="1 2 base\n3 4 social", suffix=".csv") -> Path:
    (root / "dlc_csv").mkdir(parents=True, exist_ok=True)
    (root / "annotations").mkdir(exist_ok=True)
    (root / "annotations" / f"{number}_annot.txt").write_text(ANNOTATION.format(bouts=bouts))
    path = root / "dlc_csv" / f"{number}DLC_net{suffix}"
    data = dlc_text(rows).encode()
    path.write_bytes(gzip.compress(data) if suffix.endswith("gz") else data)
    return path

"""Annotation files as their programs write them, small, and what the tests of their readers share."""

from pathlib import Path

import pandas as pd
import pytest

DATA = Path(__file__).parents[2] / "shared" / "data"
FORMATS, RATS = DATA / "formats", DATA / "rats" / "annotations"
needs_formats = pytest.mark.skipif(
    not (FORMATS.exists() and RATS.exists()), reason="the real files are not at ../shared/data"
)

V7 = """Observation id,obs 1,,,,,,,
,,,,,,,,
Media file(s),,,,,,,,
,,,,,,,,
Player #1,C:\\videos\\day 1\\mice.avi,,,,,,,
,,,,,,,,
Observation date,2021-06-15 13:41:51,,,,,,,
,,,,,,,,
Description,,,,,,,,
,,,,,,,,
Time offset (s),0.0,,,,,,,
,,,,,,,,
independent variables,,,,,,,,
variable,value,,,,,,,
,,,,,,,,
Time,Media file path,Total length,FPS,Subject,Behavior,Behavioral category,Comment,Status
"""
V8 = (
    "Observation id,Observation date,Description,Observation duration,Observation type,Source,Time offset (s),"
    "Media duration (s),FPS,Subject,Behavior,Behavioral category,Modifier #1,Behavior type,Time,Media file name,"
    "Image index,Image file path,Comment\n"
)
AGGREGATED = (
    "Observation id,Observation date,Description,Observation type,Source,Time offset (s),Coding duration,"
    "Media duration (s),FPS (frame/s),Subject,Observation duration by subject by observation,Behavior,"
    "Behavioral category,Modifier #1,Behavior type,Start (s),Stop (s),Duration (s),Media file name,"
    "Image index start,Image index stop,Image file path start,Image file path stop,Comment start,Comment stop\n"
)


def v7(*events: tuple[float, str, str, str], fps: str = "30.0") -> str:
    """BORIS 7's tabular events: time, subject, behaviour, status."""
    media = "C:\\videos\\day 1\\mice.avi"
    rows = [
        f"{time},{media},190.000,{fps},{subject},{behaviour},,,{status}"
        for time, subject, behaviour, status in events
    ]
    return V7 + "".join(f"{row}\n" for row in rows)


def v8(
    *events: tuple[float, str, str, str],
    name: str = "obs 1",
    source: str = "player #1:videos/mice.mp4",
    duration: str = "12.5",
    offset: str = "0.000",
    length: str = "60.000",
    fps: str = "25.000",
    modifiers: tuple[str, ...] = (),
) -> str:
    """The rows of BORIS 8's tabular events: time, subject, behaviour, type; modifiers: one of each event."""
    return "".join(
        f"{name},2023-05-09 17:15:54,,{duration},Media file(s),{source},{offset},{length},{fps},{subject},{behaviour},,"
        f"{modifier},{kind},{time},videos/mice.mp4,NA,NA,\n"
        for (time, subject, behaviour, kind), modifier in zip(
            events, modifiers or [""] * len(events), strict=True
        )
    )


def aggregated(*bouts: tuple[str, str, str, str, str], name: str = "obs 1", duration: str = "60.000") -> str:
    """The rows of BORIS's aggregated events: subject, behaviour, type, start, stop."""
    return "".join(
        f"{name},2023-05-09 17:15:54,,Media file,player #1:mice.mp4,0.0,{duration},60.000,25.000,{subject},9,"
        f"{behaviour},Not defined,,{kind},{start},{stop},NA,mice.mp4,,,,,,\n"
        for subject, behaviour, kind, start, stop in bouts
    )


def listed(bouts: pd.DataFrame) -> list[tuple[str, str, float, float]]:
    """subject, behaviour, start and stop of every bout; none has a target."""
    assert set(bouts["target"]) <= {""}
    return list(bouts[["subject", "behaviour", "start", "stop"]].itertuples(index=False, name=None))


def saved(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path

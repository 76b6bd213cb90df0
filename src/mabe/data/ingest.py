"""From a data source to the recording store (mabe/data/store.py).

Its arrays come from `mabe.data.store_arrays`; here are the tables of recordings and bouts, splits and folds, and what
somebody should know of the data.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from mabe.data import checks, report
from mabe.data.bouts import bouts_table, unseen_table
from mabe.data.folds import NONE, assign_folds
from mabe.data.readers import open_source
from mabe.data.recording import Entry
from mabe.data.source import check_video_ids, entries_of
from mabe.data.splits import assign, together
from mabe.data.store import MANIFEST_COLUMNS
from mabe.data.store_arrays import Written, write_recordings
from mabe.data.table_files import write_table
from mabe.errors import InputError
from mabe.params import IngestParams


def ingest(
    params: IngestParams,
    out: Path,
    workers: int | None = None,
    tell: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Writes the store to the directory `out` and returns the metrics.

    workers: threads; None takes one per core. tell: called with each line of the summary.
    InputError where the source as a whole is wrong, and for a single recording if on_error is "stop".
    The findings (`mabe.data.report`) are in report.json of the store; the metrics count them. bouts_clipped counts
    bouts, bouts_clipped_in recordings.
    """
    source = open_source(params)
    listed = entries_of(source)
    entries = [e for e in listed if e.set == "test" or e.labelled or params.include_unlabelled]
    if not any(e.labelled for e in entries):
        raise InputError(
            f"{params.data_dir} holds no labelled recording: add annotations or correct data_dir"
        )
    check_video_ids(entries)
    quarantined: dict[str, str] = {}

    def fail(entry: Entry, reason: str) -> None:
        if params.on_error == "stop":
            raise InputError(f"{reason} (on_error: quarantine would leave {entry.id} out)")
        quarantined[entry.id] = reason

    written = write_recordings(source, entries, out, params, fail, workers)
    if not any(w.place.entry.labelled for w in written):
        raise InputError(
            f"every labelled recording of {params.data_dir} was quarantined, the first because of: "
            f"{min(quarantined.items())[1]}"
        )

    manifest = _manifest(written, params, left_out=quarantined)
    bouts, bout_metrics = bouts_table(manifest, [w.bouts for w in written])
    labelled = [w.place.entry.labelled for w in written]
    manifest["fold"] = assign_folds(
        manifest.assign(labelled=labelled), bouts, count=params.num_folds, seed=params.seed
    )
    write_table(manifest, out / "manifest.parquet")
    write_table(bouts, out / "bouts.parquet")
    actions = checks.actions_table(manifest, bouts)
    actions.to_csv(out / "actions.csv", index=False)
    write_table(unseen_table(manifest, [w.unseen for w in written]), out / "unseen.parquet")
    findings = {
        **{name: dict.fromkeys(getattr(source, name), "") for name in report.OF_SOURCE},
        "unlabelled": dict.fromkeys(
            (e.id for e in listed if e.set == "train" and not e.labelled),
            "" if params.include_unlabelled else "left out",
        ),
        **report.of_recordings({w.row["recording"]: w.notes for w in written}),
        "no_bouts": dict.fromkeys((w.row["recording"] for w in written if _no_bouts(w)), ""),
        **checks.of_actions(actions),
        "labels_end_early": report.labels_end_early(manifest, _last_stops(written)),
        "bouts_clipped_in": dict.fromkeys(bout_metrics.pop("bouts_clipped_in"), ""),
        "quarantined": dict(sorted(quarantined.items())),
    }
    (out / "report.json").write_text(report.in_full(findings))
    tracked, missing, interpolated = (
        sum(getattr(w, n) for w in written) for n in ("tracked", "missing", "interpolated")
    )
    metrics = {
        "source": params.data_source,
        **report.describe(manifest, missing / max(tracked, 1), interpolated / max(tracked, 1)),
        **bout_metrics,
        "counts": report.in_short(findings),
    }
    if tell is not None:
        for line in [*report.lines(metrics, findings), *checks.lines(actions)]:
            tell(line)
    return metrics


def _no_bouts(written: Written) -> bool:
    """Whether somebody annotated the recording and saw nothing."""
    return written.bouts is not None and written.bouts.empty


def _last_stops(written: list[Written]) -> dict[str, int]:
    """The last stop_frame of each recording with bouts, before they are cut."""
    marked = [w for w in written if w.bouts is not None and len(w.bouts)]
    return {w.row["recording"]: int(w.bouts["stop_frame"].max()) for w in marked if w.bouts is not None}


def _manifest(written: list[Written], params: IngestParams, left_out: dict[str, str]) -> pd.DataFrame:
    """MANIFEST_COLUMNS, sorted by set and start."""
    from mabe.data.schemas import MANIFEST

    manifest = pd.DataFrame([w.row for w in written])
    manifest["labelled"] = [w.place.entry.labelled for w in written]
    manifest["group"] = together(manifest["pose_hash"], manifest["group"])
    given = {w.row["recording"]: w.place.entry.split for w in written if w.place.entry.split is not None}
    manifest["split"], manifest["fold"] = "test", NONE
    train = manifest["set"] == "train"
    manifest.loc[train, "split"] = assign(
        manifest.loc[train, ["recording", "lab", "group", "labelled"]],
        val_fraction=params.val_fraction,
        seed=params.seed,
        split_file=params.split_file,
        given=given,
        left_out=left_out,
    )
    return MANIFEST.validate(manifest[list(MANIFEST_COLUMNS)].astype(MANIFEST_COLUMNS))

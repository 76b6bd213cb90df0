"""The score of the MABe 2025 competition: F over frames, per action, averaged over laboratories.

Bouts are intervals, and every count is a sum of interval lengths: nothing is spelt out frame by frame. All
bouts of all videos go through one sweep over their sorted starts and stops.
"""

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd

SUBMISSION_COLUMNS = ("video_id", "agent_id", "target_id", "action", "start_frame", "stop_frame")
SOLUTION_COLUMNS = (*SUBMISSION_COLUMNS, "lab_id", "behaviors_labeled")
_FRAME_COLUMNS = ("start_frame", "stop_frame")
_LARGEST = 2**53  # frames are summed as float64, which holds whole numbers up to here exactly


def score(solution: pd.DataFrame, submission: pd.DataFrame, beta: float = 1.0) -> float:
    """The competition's score, 0 to 1: the mean over labs of the mean F over actions. See `score_table`."""
    table = score_table(solution, submission, beta)
    return float(table.groupby("lab_id")["f"].mean().mean())


def score_table(solution: pd.DataFrame, submission: pd.DataFrame, beta: float = 1.0) -> pd.DataFrame:
    """A row per lab and action that counts: lab_id, action, tp, fp, fn (frames) and f, which `score` averages.

    `solution` has SOLUTION_COLUMNS, `submission` SUBMISSION_COLUMNS; frames are [start_frame, stop_frame).
    `behaviors_labeled` is a JSON list of "agent,target,action"; the first row of a video in a lab decides.

    - Submission rows of videos outside the solution are ignored, and so are those whose "agent,target,action" is
      not, letter for letter, in their video's behaviors_labeled: "'mouse1','mouse2','attack'" lists nothing that a
      row can name. Ids are compared as text, so 1.0 is not 1; a row without an id is ignored.
    - Frames of one video, agent, target and action are a set: bouts that overlap count once.
    - Per lab and action, frames are pooled over videos and pairs;
      f = (1 + b²) tp / ((1 + b²) tp + b² fn + fp), or 0 if there are none (F-measure, van Rijsbergen 1979).
    - The actions of a lab are those with a row in the solution and those with a row in the submission that is
      not ignored: one that was never labelled has f = 0.

    ValueError: an empty table (also a submission without predictions: callers decide what that means), a
    missing column or value, frame numbers that are not whole or too large, video_id that reads as 1.0 in one table
    only, behaviors_labeled that is no list of text, or two actions on one frame of the same agent and target.
    AssertionError: a bout whose start is after its stop (an empty bout is allowed).
    """
    _check(solution, submission)
    bouts = _encode(solution, submission)
    predicted = ~bouts.is_truth
    clash = first_clash(
        bouts.pair[predicted], bouts.key[predicted], bouts.start[predicted], bouts.stop[predicted]
    )
    if clash is not None:
        row = submission.iloc[int(bouts.row[predicted][clash[0]])]
        raise ValueError(
            "Multiple predictions for the same frame from one agent/target pair: "
            f"video {row['video_id']}, agent {row['agent_id']}, target {row['target_id']}, frame {clash[2]}"
        )
    tp, fp, fn = _pooled(bouts)
    b2 = beta**2
    whole = (1 + b2) * tp + b2 * fn + fp
    f = np.divide((1 + b2) * tp, whole, out=np.zeros(len(tp)), where=whole > 0)
    table = pd.DataFrame(
        {"lab_id": bouts.lab_names, "action": bouts.action_names, "tp": tp, "fp": fp, "fn": fn, "f": f}
    )
    return table.sort_values(["lab_id", "action"], ignore_index=True)


def first_clash(
    pair: np.ndarray, key: np.ndarray, start: np.ndarray, stop: np.ndarray
) -> tuple[int, int, int] | None:
    """Two bouts (indices) of one `pair` but different `key` that share a frame, and that frame; None if none.

    All arrays are (n,) integers; a key (pair and action) belongs to one pair.

    The official scorer walks through the rows in order: a row's frames that its own key does not hold yet must
    not be held by another key of the pair. The order decides only which row is blamed. Take a frame that two
    keys of a pair both name: whichever key comes to it second does not hold it yet and finds it taken. And
    without such a frame nothing is ever taken by another key. So the frames of each key may be merged first.
    """
    filled = np.flatnonzero(stop > start)
    if filled.size == 0:
        return None
    order = filled[np.argsort(_sort_key(key[filled], start[filled]))]
    # Merge the bouts of each key: one begins a new interval unless an earlier one of the key reaches it.
    k, begin, end = key[order], start[order], stop[order]
    reach = _running_max(k, end)
    opens = np.ones(order.size, dtype=bool)
    opens[1:] = (k[1:] != k[:-1]) | (begin[1:] > reach[:-1])
    first = np.flatnonzero(opens)
    row, begin, end = order[first], begin[first], reach[np.append(first[1:], order.size) - 1]
    # The intervals of a key are disjoint now. Those of a pair are, if each ends before the next begins.
    by_pair = np.argsort(_sort_key(pair[row], begin))
    row, begin, end = row[by_pair], begin[by_pair], end[by_pair]
    overlaps = (pair[row[1:]] == pair[row[:-1]]) & (begin[1:] < end[:-1])
    if not overlaps.any():
        return None
    i = int(np.argmax(overlaps))
    return int(row[i]), int(row[i + 1]), int(begin[i + 1])


@dataclass(frozen=True, kw_only=True)
class _Bouts:
    """Every bout that counts, of both tables, as integer codes (n,)."""

    is_truth: np.ndarray
    pair: np.ndarray  # lab, video, agent and target
    key: np.ndarray  # pair and action
    pool: np.ndarray  # lab and action: what counts are pooled over
    start: np.ndarray
    stop: np.ndarray
    row: np.ndarray  # position in its table
    lab_names: np.ndarray  # lab of each pool
    action_names: np.ndarray  # action of each pool


def _check(solution: pd.DataFrame, submission: pd.DataFrame) -> None:
    if len(solution) == 0 or len(submission) == 0:
        raise ValueError("Missing solution or submission data")
    tables = (("Solution", solution, SOLUTION_COLUMNS), ("Submission", submission, SUBMISSION_COLUMNS))
    for name, table, columns in tables:
        for column in columns:
            if column not in table.columns:
                raise ValueError(f"{name} is missing column {column}")
        # behaviors_labeled may be missing in a video's later rows; a submission row without an id is ignored.
        needed = (*SUBMISSION_COLUMNS, "lab_id") if table is solution else _FRAME_COLUMNS
        for column in needed:
            missing = table[column].isna().to_numpy()
            if missing.any():
                raise ValueError(
                    f"{name} has a row without {column}: row {int(np.argmax(missing))}, counted from 0"
                )
        for column in _FRAME_COLUMNS:
            _check_frames(name, column, table[column])
    for name, table, _ in tables:
        late = (table["start_frame"] > table["stop_frame"]).to_numpy()
        if late.any():
            raise AssertionError(f"{name} row {int(np.argmax(late))}: start_frame is after stop_frame")
        length = table["stop_frame"].to_numpy(np.int64) - table["start_frame"].to_numpy(np.int64)
        if length.sum(dtype=np.float64) > _LARGEST:
            row = int(np.argmax(length))
            raise ValueError(
                f"{name}: the bouts have more frames than can be counted, row {row} alone {length[row]}: "
                "correct the frame numbers"
            )
    # 1.0 would never equal 1, and every row would be dropped as one of an unknown video.
    fractional = {name: pd.api.types.is_float_dtype(table["video_id"]) for name, table, _ in tables}
    if fractional["Solution"] != fractional["Submission"]:
        name, other = sorted(fractional, key=lambda n: not fractional[n])
        raise ValueError(
            f"{name} column video_id must not hold fractional numbers: 1 there reads as 1.0 (an empty cell does "
            f"that), which is not the 1 of the {other.lower()}"
        )
    without = np.flatnonzero(submission["action"].isna())
    if without.size:
        videos = submission["video_id"].iloc[without].astype(str)
        known = without[videos.isin(solution["video_id"].astype(str))]
        if known.size:
            raise ValueError(f"Submission has a row without action: row {known[0]}, counted from 0")


def _check_frames(name: str, column: str, values: pd.Series) -> None:
    """ValueError unless all are whole numbers that a float64 holds exactly, in which lengths are summed."""
    if not pd.api.types.is_integer_dtype(values.infer_objects()):
        numbers = pd.to_numeric(values, errors="coerce").to_numpy(np.float64)
        with np.errstate(invalid="ignore"):
            unfit = ~np.isfinite(numbers) | (numbers != np.floor(numbers)) | (np.abs(numbers) > _LARGEST)
        row = int(np.argmax(unfit))  # 0 where all are whole but written as 10.0
        raise ValueError(
            f"{name} column {column} must hold whole numbers: row {row}, counted from 0, holds "
            f"{str(values.iloc[row])[:40]}"
            + ("" if unfit.any() else ", which must be written without a fraction")
        )
    large = ((values > _LARGEST) | (values < -_LARGEST)).to_numpy()
    if large.any():
        row = int(np.argmax(large))
        raise ValueError(
            f"{name} column {column} holds {values.iloc[row]} in row {row}, counted from 0: no frame number is "
            f"beyond {_LARGEST} (2^53)"
        )


def ignored(solution: pd.DataFrame, submission: pd.DataFrame) -> np.ndarray:
    """bool (n,): which rows of the submission `score_table` ignores. Errors as there."""
    _check(solution, submission)
    bouts = _encode(solution, submission)
    result = np.ones(len(submission), dtype=bool)
    result[bouts.row[~bouts.is_truth]] = False
    return result


def _encode(solution: pd.DataFrame, submission: pd.DataFrame) -> _Bouts:
    """Both tables as integer codes, without the submission rows that are ignored."""
    n = len(solution)
    named = submission[["video_id", "agent_id", "target_id"]].notna().all(axis=1).to_numpy()
    named_rows = np.flatnonzero(named)
    if not named.all():
        submission = submission[named]
    lab, labs = pd.factorize(solution["lab_id"])
    video, _ = _codes(solution["video_id"], submission["video_id"])
    agent, agents = _codes(solution["agent_id"], submission["agent_id"])
    target, targets = _codes(solution["target_id"], submission["target_id"])

    # A scene is one video in one lab: a video that two labs annotated counts in both.
    scene = _combine(lab, video[:n])
    _, first = np.unique(scene, return_index=True)
    scenes = pd.DataFrame({"video": video[first], "scene": scene[first]})
    used = pd.DataFrame({"video": video[n:], "row": np.arange(len(submission))}).merge(scenes, on="video")
    row, scene_of_row = used["row"].to_numpy(), used["scene"].to_numpy()
    action, actions = _codes(solution["action"], submission["action"])

    # What a row says, "agent,target,action", has a code: the row counts if its scene lists it.
    said = _combine(_combine(agent[n:], target[n:]), action[n:])
    _, example = np.unique(said, return_index=True)
    parts = (agents[agent[n:][example]], targets[target[n:][example]], actions[action[n:][example]])
    code_of_text, texts = pd.factorize(
        np.array([",".join(p) for p in zip(*parts, strict=True)], dtype=object)
    )
    listed = _listed(solution["behaviors_labeled"], first, {text: i for i, text in enumerate(texts)})
    counts = np.isin(scene_of_row * len(texts) + code_of_text[said[row]], listed)
    row, scene_of_row = row[counts], scene_of_row[counts]

    def over_both(codes: np.ndarray) -> np.ndarray:
        return np.concatenate([codes[:n], codes[n:][row]])

    all_scenes, all_actions = np.concatenate([scene, scene_of_row]), over_both(action)
    pair = _combine(_combine(all_scenes, over_both(agent)), over_both(target))
    lab_of_scene = lab[first]  # scene codes count up from 0, so first is indexed by scene
    pool = _combine(lab_of_scene[all_scenes], all_actions)
    _, member = np.unique(pool, return_index=True)
    return _Bouts(
        is_truth=np.arange(n + row.size) < n,
        pair=pair,
        key=_combine(pair, all_actions),
        pool=pool,
        start=_frames(solution["start_frame"], submission["start_frame"], row),
        stop=_frames(solution["stop_frame"], submission["stop_frame"], row),
        row=np.concatenate([np.arange(n), named_rows[row]]),
        lab_names=np.asarray(labs)[lab_of_scene[all_scenes[member]]],
        action_names=actions[all_actions[member]],
    )


def _pooled(bouts: _Bouts) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(tp, fp, fn) frames of each pool, int64.

    A sweep over each key's starts and stops, in order: between two neighbours the number of open bouts of
    either table is constant. It is 0 after a key's last stop, so the keys need no separation.
    """
    n = bouts.key.size
    truth = bouts.is_truth.astype(np.int64)
    position = np.concatenate([bouts.start, bouts.stop])
    order = np.argsort(_sort_key(np.tile(bouts.key, 2), position))
    position, bout = position[order], order % n
    opens = np.where(order < n, 1, -1)
    in_truth = np.cumsum(opens * truth[bout]) > 0
    in_prediction = np.cumsum(opens * (1 - truth[bout])) > 0
    length = np.diff(position, append=position[-1])
    pool, pools = bouts.pool[bout], len(bouts.lab_names)

    def frames(where: np.ndarray) -> np.ndarray:
        # float64 sums of whole numbers are exact below 2**53
        return np.bincount(pool[where], weights=length[where], minlength=pools).astype(np.int64)

    return (
        frames(in_truth & in_prediction),
        frames(~in_truth & in_prediction),
        frames(in_truth & ~in_prediction),
    )


def _codes(first: pd.Series, second: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Codes of both columns' values, one after the other, compared as text; and the text of each code."""
    parts = [pd.factorize(column) for column in (first, second)]
    text = np.concatenate([np.asarray(values, dtype=object).astype(str) for _, values in parts])
    code_of_text, names = pd.factorize(text.astype(object))
    codes = np.concatenate([parts[0][0], parts[1][0] + len(parts[0][1])])
    return code_of_text[codes], names


def _combine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Codes 0, 1, .. in order of appearance of the pairs (a, b) of two arrays of codes."""
    return pd.factorize(a.astype(np.int64) * (int(b.max(initial=0)) + 1) + b)[0]


def _frames(solution: pd.Series, submission: pd.Series, row: np.ndarray) -> np.ndarray:
    return np.concatenate([solution.to_numpy(dtype=np.int64), submission.to_numpy(dtype=np.int64)[row]])


def _sort_key(group: np.ndarray, values: np.ndarray) -> np.ndarray:
    """int64 numbers in the order of (group, value): numpy sorts one such array several times faster than two."""
    low, high = int(values.min()), int(values.max())
    if (int(group.max()) + 1) * (high - low + 1) >= 2**63:
        _, values = np.unique(values, return_inverse=True)  # ranks fit
        low, high = 0, int(values.max())
    return group.astype(np.int64) * (high - low + 1) + (values - low)


def _running_max(group: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Largest value so far within each group; `group` is sorted."""
    key = _sort_key(group, values)  # a later group exceeds every earlier one
    largest = np.where(key == np.maximum.accumulate(key), np.arange(key.size), 0)
    return values[np.maximum.accumulate(largest)]


def _listed(labelled: pd.Series, first: np.ndarray, code_of: dict[str, int]) -> np.ndarray:
    """int64 (m,): scene · len(code_of) + code, for each text with a code that a scene's behaviors_labeled lists.

    first: the row of `labelled` that decides for each scene.
    """
    parsed: dict[str, np.ndarray] = {}
    codes = []
    for row, text in zip(first, labelled.iloc[first], strict=True):
        if text not in parsed:
            known = {code_of[entry] for entry in _behaviours(text, int(row)) if entry in code_of}
            parsed[text] = np.array(sorted(known), dtype=np.int64)
        codes.append(parsed[text])
    scenes = np.repeat(np.arange(len(codes)), [len(of_scene) for of_scene in codes])
    return scenes * len(code_of) + np.concatenate(codes)


def _behaviours(text: object, row: int) -> list[str]:
    """The entries of the solution's behaviors_labeled in `row`, as they are written."""
    if pd.isna(text):
        raise ValueError(
            f"Solution has a row without behaviors_labeled: row {row}, counted from 0, the first of its video, "
            "which decides"
        )
    try:
        entries = json.loads(text)  # type: ignore[arg-type]
    except (TypeError, ValueError, RecursionError):  # an endless number is a ValueError, a deep nest the last
        entries = None
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise ValueError(
            f"behaviors_labeled is not a JSON list of text: solution row {row}, counted from 0, holds "
            f"{str(text)[:60]!r}"
        )
    return entries

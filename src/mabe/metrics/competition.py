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


def score(solution: pd.DataFrame, submission: pd.DataFrame, beta: float = 1.0) -> float:
    """The competition's score, 0 to 1: the mean over labs of the mean F over actions. See `score_table`."""
    table = score_table(solution, submission, beta)
    return float(table.groupby("lab_id")["f"].mean().mean())


def score_table(solution: pd.DataFrame, submission: pd.DataFrame, beta: float = 1.0) -> pd.DataFrame:
    """A row per lab and action that counts: lab_id, action, tp, fp, fn (frames) and f, which `score` averages.

    `solution` has SOLUTION_COLUMNS, `submission` SUBMISSION_COLUMNS; frames are [start_frame, stop_frame).
    `behaviors_labeled` is a JSON list of "agent,target,action"; single quotes in it are dropped, and a video's
    first row decides.

    - Submission rows of videos outside the solution, or outside their video's behaviors_labeled, are ignored.
    - Frames of one video, agent, target and action are a set: bouts that overlap count once.
    - Per lab and action, frames are pooled over videos and pairs;
      f = (1 + b²) tp / ((1 + b²) tp + b² fn + fp), or 0 if there are none (F-measure, van Rijsbergen 1979).
    - The actions of a lab are those with a row in the solution and those with a row in the submission that is
      not ignored: one that was never labelled has f = 0.

    ValueError: an empty table (also a submission without predictions: callers decide what that means), a
    missing column or value, frame numbers that are not whole, or two actions on one frame of the same agent
    and target. AssertionError: a bout whose start is after its stop (an empty bout is allowed).
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
            if table[column].isna().any():
                raise ValueError(f"{name} has a row without {column}")
        for column in ("start_frame", "stop_frame"):
            if not pd.api.types.is_integer_dtype(table[column].infer_objects()):
                raise ValueError(f"{name} column {column} must hold whole numbers")
        # 1.0 would never equal 1, and every row would be dropped as one of an unknown video.
        if pd.api.types.is_float_dtype(table["video_id"]):
            raise ValueError(f"{name} column video_id must not hold fractional numbers")
    for name, table, _ in tables:
        late = (table["start_frame"] > table["stop_frame"]).to_numpy()
        if late.any():
            raise AssertionError(f"{name} row {int(np.argmax(late))}: start_frame is after stop_frame")


def _encode(solution: pd.DataFrame, submission: pd.DataFrame) -> _Bouts:
    """Both tables as integer codes, without the submission rows that are ignored."""
    n = len(solution)
    lab, labs = pd.factorize(solution["lab_id"])
    video, _ = _codes(solution["video_id"], submission["video_id"])
    agent, agents = _codes(solution["agent_id"], submission["agent_id"])
    target, targets = _codes(solution["target_id"], submission["target_id"])
    action, actions = _codes(solution["action"], submission["action"])

    # A scene is one video in one lab: a video that two labs annotated counts in both.
    scene = _combine(lab, video[:n])
    _, first = np.unique(scene, return_index=True)
    listed = _whitelist(solution["behaviors_labeled"].iloc[first], agents, targets, actions)
    scenes = pd.DataFrame({"video": video[first], "scene": scene[first]})
    used = pd.DataFrame({"video": video[n:], "row": np.arange(len(submission))}).merge(scenes, on="video")
    row = used["row"].to_numpy()

    # One coding of (scene, agent, target, action) over the solution, the submission and the whitelist.
    def over_all(codes: np.ndarray, column: int) -> np.ndarray:
        return np.concatenate([codes[:n], codes[n:][row], listed[:, column]])

    all_scenes = np.concatenate([scene, used["scene"].to_numpy(), listed[:, 0]])
    pair = _combine(_combine(all_scenes, over_all(agent, 1)), over_all(target, 2))
    all_actions = over_all(action, 3)
    key = _combine(pair, all_actions)
    allowed = np.zeros(key.max() + 1, dtype=bool)
    allowed[key[n + row.size :]] = True

    is_truth = np.arange(n + row.size) < n
    keep = np.flatnonzero(is_truth | allowed[key[: n + row.size]])
    lab_of_scene = lab[first]  # scene codes count up from 0, so first is indexed by scene
    pool = _combine(lab_of_scene[all_scenes[keep]], all_actions[keep])
    _, member = np.unique(pool, return_index=True)
    return _Bouts(
        is_truth=is_truth[keep],
        pair=pair[keep],
        key=key[keep],
        pool=pool,
        start=_frames(solution["start_frame"], submission["start_frame"], row)[keep],
        stop=_frames(solution["stop_frame"], submission["stop_frame"], row)[keep],
        row=np.concatenate([np.arange(n), row])[keep],
        lab_names=np.asarray(labs)[lab_of_scene[all_scenes[keep][member]]],
        action_names=actions[all_actions[keep][member]],
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
    return pd.factorize(a.astype(np.int64) * (int(b.max()) + 1) + b)[0]


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


def _whitelist(
    labelled: pd.Series, agents: np.ndarray, targets: np.ndarray, actions: np.ndarray
) -> np.ndarray:
    """int64 (m, 4): scene, agent, target and action codes of each scene's behaviors_labeled.

    Entry i of `labelled` is scene i's. What occurs in neither table is left out.
    """
    code_of = [{str(name): i for i, name in enumerate(names)} for names in (agents, targets, actions)]
    parsed: dict[str, np.ndarray] = {}
    for text in labelled:
        if text not in parsed:
            entries = [entry.split(",") for entry in _behaviours(text)]
            codes = [
                [codes[name] for codes, name in zip(code_of, entry, strict=True)]
                for entry in entries
                if len(entry) == 3 and all(name in codes for codes, name in zip(code_of, entry, strict=True))
            ]
            parsed[text] = np.array(codes, dtype=np.int64).reshape(-1, 3)
    of_scene = [parsed[text] for text in labelled]
    scenes = np.repeat(np.arange(len(of_scene)), [len(codes) for codes in of_scene])
    return np.column_stack([scenes, np.concatenate(of_scene)])


def _behaviours(text: str) -> list[str]:
    try:
        entries = json.loads(text)
    except (TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"behaviors_labeled is not a JSON list: {text!r}") from error
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        raise ValueError(f"behaviors_labeled is not a JSON list of text: {text!r}")
    return [entry.replace("'", "") for entry in entries]

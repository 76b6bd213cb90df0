"""What is annotated of the subjects of a store, at the frames of their recordings: what decoders are learnt from."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from mabe.data.store import Store
from mabe.ethogram import UNKNOWN, ClassScheme
from mabe.labels import frame_labels


class Truth:
    """What is annotated of subjects, at the frames of their recordings."""

    def __init__(self, store: Store, scheme: ClassScheme) -> None:
        self.scheme = scheme
        self._of_pair = dict(list(store.bouts.groupby(["recording", "agent", "target"])))
        self._of_recording = dict(list(store.bouts.groupby("recording")))
        self._unseen = dict(list(store.unseen.groupby(["recording", "agent", "target"])))
        self._none = store.bouts.iloc[:0]

    def scored(self, subject: pd.Series) -> np.ndarray:
        """bool (native_frames,): the annotated frames, but for those of ignored classes, which only the competition
        scores."""
        first, frames = subject["first_frame"], subject["native_frames"]
        annotated = (subject["annotated_start"], subject["annotated_stop"])
        if self.scheme.ignored and not self.scheme.competition:
            bouts = self._of_recording.get(subject["recording"], self._none)
            place = {"first_frame": first, "frames": frames, "annotated": annotated}
            return frame_labels(bouts, scheme=self.scheme, **place) != UNKNOWN
        at = np.arange(first, first + frames)
        return (at >= annotated[0]) & (at < annotated[1])

    def states(self, subject: pd.Series, actions: Sequence[str]) -> np.ndarray:
        """int8 (native_frames, actions): 1 where an action happens, 0 where not, UNKNOWN on frames not scored."""
        scored = self.scored(subject)
        states = np.where(scored, 0, UNKNOWN).astype(np.int8)[:, None].repeat(len(actions), axis=1)
        bouts = self.bouts(subject)
        first = subject["first_frame"]
        for start, stop, action in bouts[["start_frame", "stop_frame", "action"]].itertuples(index=False):
            if action in actions:
                rows = slice(start - first, stop - first)
                states[rows, actions.index(action)][scored[rows]] = 1
        key = (subject["recording"], subject["agent"], subject["target"])
        if key in self._unseen:
            for start, stop, action in self._unseen[key][["start_frame", "stop_frame", "action"]].itertuples(
                index=False
            ):
                if action in actions:
                    states[start - first : stop - first, actions.index(action)] = UNKNOWN
        return states

    def bouts(self, subject: pd.Series) -> pd.DataFrame:
        """The store's of a subject, of listed actions."""
        bouts = self._of_pair.get((subject["recording"], subject["agent"], subject["target"]), self._none)
        return bouts[bouts["action"].isin(subject["listed"])]

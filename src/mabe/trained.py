"""A trained model of any kind, as evaluate and export need it: a network, boosted trees, or several of these."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol, TypedDict, Unpack, cast

import numpy as np
import pandas as pd
import safetensors.torch
import torch
from torch import nn

from mabe import plots, plots_pairs
from mabe.boosting import saved as trees_file
from mabe.boosting.saved import SavedTrees
from mabe.boosting.trees import Trees
from mabe.data.pairs import in_both_orders
from mabe.errors import InputError
from mabe.members import members_of, parts_of, place_of
from mabe.models import MODELS
from mabe.params import KINDS as KINDS_OF_PARAMS
from mabe.params import AnyModelParams, BoostingParams, TrainParams, parse
from mabe.predict import predict
from mabe.tasks import restore
from mabe.tasks.pairs import Pairs
from mabe.tasks.saved import SavedModel, check_params, load_model
from mabe.tasks.task import Task

Pictures = dict[str, Callable[[Path], None]]
"""What draws each picture, by the name of its file."""


class Where(TypedDict):
    """How a network is applied; boosting reads neither."""

    stride: int | None
    """Frames between windows; None means half a window."""
    device: torch.device


class Trained(Protocol):
    """A trained model."""

    @property
    def params(self) -> AnyModelParams:
        """What it was trained with."""

    @property
    def model(self) -> Any:
        """What computes its predictions."""

    def task(self, rows: pd.DataFrame | None = None, files: Mapping[str, Path] | None = None) -> Task:
        """Its task, on the recordings of manifest `rows`; files: see `mabe.tasks.restore`."""

    def predict(
        self, task: Task, frames: np.ndarray, subjects: pd.DataFrame, **where: Unpack[Where]
    ) -> Iterator[np.ndarray]:
        """Yields float32 (frames, O), the probabilities of each of `subjects`, rows of `task.subjects`, in their order.

        frames: what `task.frames` gives.
        """

    def pictures(self) -> tuple[dict[str, pd.DataFrame], Pictures]:
        """Tables and pictures of what was learnt, by the names of their files."""

    def write(self, directory: Path) -> dict[str, Any]:
        """Writes what it weighs into `directory`; what of the card is its own."""


@dataclass(frozen=True)
class Network:
    """See `Trained`."""

    WEIGHTS = "model.safetensors"

    saved: SavedModel
    history: dict[str, Any] | None = None
    """What training wrote of its epochs, where that is at hand."""

    @property
    def params(self) -> TrainParams:
        return self.saved.params

    @cached_property
    def model(self) -> nn.Module:
        return self.saved.network()

    def task(self, rows: pd.DataFrame | None = None, files: Mapping[str, Path] | None = None) -> Task:
        return restore(self.saved.card, self.params, rows, files)

    def predict(
        self, task: Task, frames: np.ndarray, subjects: pd.DataFrame, **where: Unpack[Where]
    ) -> Iterator[np.ndarray]:
        length = self.params.sequence_length
        run = partial(
            predict,
            self.model,
            task,
            frames,
            length=length,
            gap=self.params.frame_gap,
            stride=where["stride"] or max(1, length // 2),
            device=where["device"],
            amp=self.params.amp,
        )
        return (
            in_both_orders(subjects, task.subjects, task.names, run)
            if isinstance(task, Pairs)
            else run(subjects)
        )

    def pictures(self) -> tuple[dict[str, pd.DataFrame], Pictures]:
        return self.pictures_of([self])

    @staticmethod
    def pictures_of(members: Sequence["Network"]) -> tuple[dict[str, pd.DataFrame], Pictures]:
        histories = [member.history for member in members if member.history is not None]
        runs = [(history["epochs"], history["best_epoch"]) for history in histories]
        return {}, {"curves.png": partial(plots.curves, runs=runs)}

    def write(self, directory: Path) -> dict[str, Any]:
        state = {k: v.contiguous() for k, v in self.saved.state.items()}
        safetensors.torch.save_file(state, str(directory / self.WEIGHTS))
        return {"input_dim": self.saved.input_dim}

    @classmethod
    def load(cls, directory: Path, params: TrainParams) -> "Network":
        saved = load_model(directory / "best.pt", params)
        return cls(saved, json.loads((directory / "history.json").read_text()))

    @classmethod
    def read(cls, directory: Path, card: dict[str, Any]) -> "Network":
        """What `write` wrote."""
        state = safetensors.torch.load_file(str(directory / cls.WEIGHTS))
        params = _params(TrainParams, card)
        found = cls(SavedModel(state=state, params=params, input_dim=card["input_dim"], card=card["task"]))
        try:
            _ = found.model
        except RuntimeError:
            raise InputError(
                f"{directory / cls.WEIGHTS} is not of the configuration of its card: export both again"
            ) from None
        return found


@dataclass(frozen=True)
class Boosted:
    """See `Trained`."""

    WEIGHTS = trees_file.FILE

    saved: SavedTrees

    @property
    def params(self) -> BoostingParams:
        return self.saved.params

    @property
    def model(self) -> Trees:
        return self.saved.trees

    def task(self, rows: pd.DataFrame | None = None, files: Mapping[str, Path] | None = None) -> Task:
        return restore(self.saved.card, self.params, rows, files)

    def predict(
        self, task: Task, frames: np.ndarray, subjects: pd.DataFrame, **where: Unpack[Where]
    ) -> Iterator[np.ndarray]:
        del where  # of networks
        pairs = cast(Pairs, task)
        run = partial(self.model.predict, pairs, frames)
        return in_both_orders(subjects, pairs.subjects, pairs.names, run)

    def pictures(self) -> tuple[dict[str, pd.DataFrame], Pictures]:
        return self.pictures_of([self])

    @staticmethod
    def pictures_of(members: Sequence["Boosted"]) -> tuple[dict[str, pd.DataFrame], Pictures]:
        table = members[0].model.gain()
        if len(members) > 1:
            gains = pd.concat([member.model.gain() for member in members]).groupby("input", sort=False)[
                "gain"
            ]
            table = gains.mean().sort_values(ascending=False, kind="stable").reset_index()
        gain = dict(zip(table["input"], table["gain"], strict=True))
        return {"importance.csv": table}, {"importance.png": partial(plots_pairs.importance, gain=gain)}

    def write(self, directory: Path) -> dict[str, Any]:
        trees_file.save(directory / self.WEIGHTS, self.saved)
        return {}

    @classmethod
    def load(cls, directory: Path, params: BoostingParams) -> "Boosted":
        saved = trees_file.load(directory / cls.WEIGHTS)
        check_params(directory / cls.WEIGHTS, saved.params, params)
        return cls(saved)

    @classmethod
    def read(cls, directory: Path, card: dict[str, Any]) -> "Boosted":
        saved = trees_file.load(directory / cls.WEIGHTS)
        check_params(directory / cls.WEIGHTS, saved.params, _params(BoostingParams, card))
        return cls(saved)


@dataclass(frozen=True)
class Ensemble:
    """See `Trained`: a model for each fold, of a blend one of each part and fold, whose probabilities are averaged."""

    params: AnyModelParams
    members: tuple[Trained, ...]
    """In the order of `mabe.members.members_of`."""
    weights: Mapping[str, float]
    """Of each part, together 1: its members share it."""

    @property
    def model(self) -> tuple[Any, ...]:
        return tuple(member.model for member in self.members)

    def task(self, rows: pd.DataFrame | None = None, files: Mapping[str, Path] | None = None) -> Task:
        """That of the first member, with all that any member has learnt to tell."""
        cards = [member.task().card() for member in self.members]
        card, trained = cards[0], [of.get("trained", {}) for of in cards]
        if "trained" in card:
            labs = sorted({lab for of in trained for lab in of})
            union = {lab: sorted({action for of in trained for action in of.get(lab, ())}) for lab in labs}
            card = card | {"trained": union}
        return restore(card, self.members[0].params, rows, files)

    def predict(
        self, task: Task, frames: np.ndarray, subjects: pd.DataFrame, **where: Unpack[Where]
    ) -> Iterator[np.ndarray]:
        each = len(self.members) // len(self.weights)
        counted = [member for member in self.members if self.weights[member.params.model_type] > 0]
        shares = [np.float32(self.weights[member.params.model_type] / each) for member in counted]
        tracks = [_predict(member, task, frames, subjects, **where) for member in counted]
        for found in zip(*tracks, strict=True):
            yield np.sum([share * p for share, p in zip(shares, found, strict=True)], axis=0)

    def out_of_fold(
        self, task: Task, frames: np.ndarray, subjects: pd.DataFrame, **where: Unpack[Where]
    ) -> dict[str, list[np.ndarray]]:
        """float16 (frames, O) of each of `subjects`, by each part: of the member that its recording was held out from.

        Arguments are those of `predict`; subjects has a column fold. Half precision, as they are kept: what is scored
        is what is in the file.
        """
        found: dict[str, list[np.ndarray]] = {part: [np.empty(0)] * len(subjects) for part in self.weights}
        for member in self.members:
            places = np.flatnonzero(subjects["fold"].isin(member.params.folds or ()))
            if len(places):
                of = subjects.iloc[places]
                tracks = _predict(member, task, frames, of, **where)
                for place, p in zip(places, tracks, strict=True):
                    found[member.params.model_type][place] = p.astype(np.float16)
        return found

    def pictures(self) -> tuple[dict[str, pd.DataFrame], Pictures]:
        tables: dict[str, pd.DataFrame] = {}
        pictures: Pictures = {}
        for part in self.weights:
            members = [member for member in self.members if member.params.model_type == part]
            more_tables, more_pictures = KINDS[MODELS[part].kind].pictures_of(members)
            tables |= more_tables
            pictures |= more_pictures
        return tables, pictures

    def write(self, directory: Path) -> dict[str, Any]:
        entries = []
        for member in self.members:
            folder = directory / place_of(member.params, self.params)
            folder.mkdir(parents=True)
            own = {"params": asdict(member.params), "task": member.task().card()}
            entries.append(own | member.write(folder))
        return {"members": entries, "weights": dict(self.weights)}

    @classmethod
    def load(cls, directory: Path, params: AnyModelParams) -> "Ensemble":
        """Its parts count alike, until predictions tell what they are worth."""
        members = [
            KINDS[MODELS[of.model_type].kind].load(directory / place_of(of, params), of)
            for of in members_of(params)
        ]
        parts = parts_of(params)
        return cls(params, tuple(members), dict.fromkeys(parts, 1 / len(parts)))

    @classmethod
    def read(cls, directory: Path, card: dict[str, Any]) -> "Ensemble":
        """What `write` wrote, from the folders that its parameters tell."""
        params: AnyModelParams = _params(KINDS_OF_PARAMS[MODELS[card["params"]["model_type"]].kind], card)
        members = [
            KINDS[MODELS[of.model_type].kind].read(directory / place_of(of, params), entry)
            for of, entry in zip(members_of(params), card["members"], strict=True)
        ]
        return cls(params, tuple(members), card["weights"])


def _params(cls: type, card: Mapping[str, Any]) -> Any:
    """What the model of a card was trained with; InputError if it is of a version with other parameters."""
    try:
        return parse(cls, card["params"])
    except InputError as error:
        raise InputError(
            f"the model was exported by another version of the code ({error}): export it again"
        ) from None


def _predict(
    member: Trained, task: Task, frames: np.ndarray, subjects: pd.DataFrame, **where: Unpack[Where]
) -> Iterator[np.ndarray]:
    """What a member predicts of subjects of `task`, which are its own in all but what it has learnt."""
    own = task.like(member.task().card(), member.params)
    return member.predict(own, frames, subjects, **where)


KINDS: dict[str, Any] = {"network": Network, "boosting": Boosted}
"""The class of each kind of model, see `mabe.models.Model`. Beside the methods of `Trained` it has WEIGHTS, the name
of the file that `write` writes, pictures_of several models, and the class methods of `load` and `read`."""


def load(directory: Path, params: AnyModelParams) -> Trained:
    """What train left in `directory`; InputError if there is none that was trained with `params`."""
    if params.folds is not None:
        return Ensemble.load(directory, params)
    return KINDS[MODELS[params.model_type].kind].load(directory, params)


def read(directory: Path, card: dict[str, Any]) -> Trained:
    """What `Trained.write` left in `directory`; card: with what it returned, params and task."""
    if card["params"].get("folds") is not None:
        return Ensemble.read(directory, card)
    return KINDS[MODELS[card["params"]["model_type"]].kind].read(directory, card)

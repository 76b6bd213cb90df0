"""The models that a run trains: one, or one for each fold, and of a blend one of each of its parts for each fold."""

import dataclasses

from mabe.models import MODELS
from mabe.params import KINDS, AnyModelParams, keys


def parts_of(params: AnyModelParams) -> tuple[str, ...]:
    """The model types that a run trains."""
    return MODELS[params.model_type].parts or (params.model_type,)


def members_of(params: AnyModelParams) -> list[AnyModelParams]:
    """What each model is trained with: of every part the folds one after the other, a fold each."""
    found = []
    for part in parts_of(params):
        cls = KINDS[MODELS[part].kind]
        own = cls(**{name: getattr(params, name) for name in keys(cls)} | {"model_type": part})
        found += [
            dataclasses.replace(own, folds=None if fold is None else (fold,))
            for fold in params.folds or (None,)
        ]
    return found


def place_of(member: AnyModelParams, whole: AnyModelParams) -> str:
    """The folder of a member's files within those of the whole run; "" for a run of one model without folds."""
    fold = "" if member.folds is None else f"fold_{member.folds[0]}"
    return f"{member.model_type}/{fold}" if MODELS[whole.model_type].parts else fold

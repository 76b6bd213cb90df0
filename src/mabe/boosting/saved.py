"""Boosted trees as one file: a zip of texts, the card and LightGBM's text of each classifier. Reading it runs no code.

LightGBM itself believes what such a text says of its own structure, so that is checked first, and nothing is taken
for a number or a separator that LightGBM takes for something else.
"""

import dataclasses
import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mabe.boosting.trees import Texts, Trees
from mabe.errors import InputError
from mabe.params import BoostingParams, parse

FILE = "trees.zip"
CARD = "card.json"
MOST_BYTES = 2**31  # of all texts together
EPOCH = (1980, 1, 1, 0, 0, 0)  # so that the same trees are the same bytes
HEADER = ("tree", "version", "num_class", "num_tree_per_iteration", "label_index", "max_feature_idx", "objective",
          "feature_names", "feature_infos", "tree_sizes")  # fmt: skip
NODES = ("split_feature", "split_gain", "threshold", "decision_type", "left_child", "right_child")
LEAVES = ("leaf_value", "leaf_weight", "leaf_count")
INNER = ("internal_value", "internal_weight", "internal_count")
TREE = ("Tree", "num_leaves", "num_cat", *NODES, *LEAVES, *INNER, "is_linear", "shrinkage")
"""What stands before the = of each line of LightGBM's text, of the classifier and of each tree."""
INTEGER = re.compile("-?[0-9]{1,9}")
REAL = re.compile(r"-?([0-9]{1,20}(\.[0-9]{1,20})?(e[+-][0-9]{1,3})?|inf|nan)")
RANGE = re.compile(rf"none|\[{REAL.pattern}:{REAL.pattern}\]")  # of an input
NUMERIC = re.compile("0|2|4|6|8|10")  # decisions that compare a number, wherever a missing one goes
KINDS = {"split_feature": INTEGER, "decision_type": NUMERIC, "left_child": INTEGER, "right_child": INTEGER,
         "leaf_count": INTEGER, "internal_count": INTEGER}  # fmt: skip
"""Of the items of a tree's lists; the others are REAL."""


@dataclass(frozen=True, kw_only=True)
class SavedTrees:
    """All that is needed to predict."""

    trees: Trees
    params: BoostingParams
    card: dict[str, Any]
    """See `mabe.tasks.task.Task.card`."""


def save(path: Path | str, saved: SavedTrees) -> None:
    """Writes the file; equal models are equal bytes."""
    heads = {lab: sorted(of) for lab, of in sorted(saved.trees.heads.items())}
    values, columns = dataclasses.asdict(saved.params), list(saved.trees.columns)
    card = {"params": values, "task": saved.card, "columns": columns, "heads": heads}
    texts = [saved.trees.heads[lab][action] for lab, of in heads.items() for action in of]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in zip(_names(heads), [json.dumps(card), *texts], strict=True):
            archive.writestr(zipfile.ZipInfo(name, EPOCH), text, zipfile.ZIP_DEFLATED)


def load(path: Path | str) -> SavedTrees:
    """What `save` wrote; InputError if there is no file, or none such."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > MOST_BYTES:
                raise ValueError(f"its texts have more than {MOST_BYTES:,} bytes")
            card = json.loads(archive.read(CARD))
            columns, heads = tuple(card["columns"]), card["heads"]
            names = _names(heads)
            if archive.namelist() != names:
                raise ValueError("it holds other files than its card names")
            texts = (archive.read(name).decode() for name in names[1:])
            found: Texts = {}
            for lab, of in heads.items():
                found[lab] = {action: next(texts) for action in of}
                for text in found[lab].values():
                    check_text(text, len(columns))
        params = parse(BoostingParams, card["params"])
        trees = Trees(columns=columns, windows_s=params.tree_windows_s, heads=found)
        return SavedTrees(trees=trees, params=params, card=card["task"])
    except FileNotFoundError:
        raise InputError(f"there is no model {path}: run `dvc repro train`") from None
    except MemoryError:
        raise
    except Exception as error:  # damage to the archive's structure can surface as any kind
        raise InputError(
            f"{path} is damaged or no model of this repository ({type(error).__name__}: {error}): train it anew"
        ) from error


def _names(heads: dict[str, list[str]]) -> list[str]:
    return [CARD, *(f"{number:05d}.txt" for number in range(sum(len(of) for of in heads.values())))]


def check_text(text: str, columns: int) -> None:
    """ValueError unless `text` is LightGBM's of a binary classifier on so many columns, with every tree as long as it
    says, each node's children after it, and every leaf and column one that there is.
    """
    if not text.isascii() or "\r" in text:
        raise ValueError("a classifier has characters that LightGBM does not write")
    header, *blocks = text.removesuffix("end of trees\n").split("\nTree=")
    values = _values(header, HEADER)
    names = " ".join(f"input{i}" for i in range(columns))
    fixed = {"num_class": "1", "num_tree_per_iteration": "1", "label_index": "0"}
    fixed |= {"max_feature_idx": str(columns - 1), "objective": "binary sigmoid:1", "feature_names": names}
    if any(values[name] != value for name, value in fixed.items()) or not text.endswith("\nend of trees\n"):
        raise ValueError("a classifier is of another kind, or of other inputs")
    # The line break before each tree's name was taken by the split, but for the last one's.
    sizes = [len(f"Tree={block}\n") for block in blocks[:-1]] + [len(f"Tree={blocks[-1]}")]
    if values["tree_sizes"] != " ".join(map(str, sizes)):
        raise ValueError("a classifier has not the size that it says")
    _items("the inputs", values["feature_infos"], RANGE, columns)
    for number, block in enumerate(blocks):
        _check_tree(number, _values(f"Tree={block}", TREE), columns)


def _values(text: str, names: tuple[str, ...]) -> dict[str, str]:
    lines = [line.partition("=") for line in text.strip("\n").split("\n")]
    if tuple(name for name, *_ in lines) != names:
        raise ValueError("a classifier has other lines than LightGBM writes")
    return {name: value for name, _, value in lines}


def _items(what: str, text: str, kind: re.Pattern[str], count: int) -> list[str]:
    """The items of a list of `count`; ValueError if it is of another length, or an item of another kind."""
    found = text.split(" ") if text else []
    if len(found) != count:
        raise ValueError(f"{what}: {len(found)} items, not {count}")
    for item in found:
        if not kind.fullmatch(item):
            raise ValueError(f"{what}: {item[:40]!r} is not what stands there")
    return found


def _check_tree(number: int, values: dict[str, str], columns: int) -> None:
    what = f"tree {number}"
    if (values["Tree"], values["num_cat"], values["is_linear"]) != (str(number), "0", "0"):
        raise ValueError(f"{what} is of another kind")
    _items(what, values["shrinkage"], REAL, 1)
    leaves = int(_items(what, values["num_leaves"], INTEGER, 1)[0])
    nodes = leaves - 1
    counts = dict.fromkeys((*NODES, *INNER), nodes) | dict.fromkeys(LEAVES, leaves)
    if nodes == 0:
        counts["leaf_weight"] = 0  # LightGBM writes none of a tree that splits nothing
    lists = {name: _items(what, values[name], KINDS.get(name, REAL), count) for name, count in counts.items()}
    for i, children in enumerate(zip(lists["left_child"], lists["right_child"], strict=True)):
        if not all(i < child < nodes or -leaves <= child < 0 for child in map(int, children)):
            raise ValueError(f"{what} has a node that leads nowhere")
    if not all(0 <= int(column) < columns for column in lists["split_feature"]):
        raise ValueError(f"{what} asks for an input that there is not")

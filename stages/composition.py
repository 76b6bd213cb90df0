"""Refusals while `dvc exp run` composes params.yaml: a run that is refused has changed no file.

DVC composes before it writes, and Hydra then calls each plugin that it finds under `hydra.plugins_path` of .dvc/config
(stages/hydra_plugins). A pipeline's plugin is a class of two lines: its root and its check.
"""

import sys
from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from dvc.cli import parse_args
from dvc.exceptions import DvcException
from dvc.utils.cli_parse import to_path_overrides
from dvc.utils.hydra import get_hydra_sweeps, to_hydra_overrides
from hydra import compose, initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath
from hydra.errors import HydraException, MissingConfigException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf
from omegaconf.errors import InterpolationKeyError, OmegaConfBaseException

from runs import InputError, RunError
from runs.parameters import check_names, read_yaml
from runs.text import one_line

PARAMS = "params.yaml"


class Refused(DvcException):
    """A run that would fail. DVC prints the message as its error, and ends with 255."""


class Refusals(SearchPathPlugin):
    """Composes what the command line asks for, before DVC does, and raises Refused if it is no valid params.yaml."""

    root: ClassVar[Path]
    """Directory of the pipeline's .dvc, params.yaml and conf/."""
    _done = False  # Hydra calls the plugin again for each composition, also for those that it makes itself

    @abstractmethod
    def check(self, values: dict[str, Any]) -> None:
        """InputError or RunError if `values`, all of a params.yaml, are not valid."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        if type(self)._done or not by_command_line():
            return
        type(self)._done = True
        if Path.cwd().resolve() != self.root:
            raise Refused(
                f"`dvc exp run` writes {PARAMS} into the folder that it is called from, but the pipeline reads "
                f"{self.root / PARAMS}: call it from {self.root}"
            )
        try:
            for overrides in combinations(sys.argv[1:]):
                self.check(composed(self.root / "conf", overrides))
        except (InputError, RunError) as error:
            raise Refused(str(error)) from None


def by_command_line() -> bool:
    """Whether this is the command `dvc`, whose arguments say what it composes, and no program that imports DVC."""
    return Path(sys.argv[0]).stem in ("dvc", "__main__")


def combinations(arguments: list[str]) -> list[list[str]]:
    """The overrides of params.yaml in the arguments of `dvc exp run`, a list for each combination of a sweep.

    InputError for those of another file, which DVC would change without a check.
    """
    by_file = to_path_overrides(parse_args(arguments).set_param or [])
    for path in by_file:
        if path != PARAMS:
            raise InputError(
                f"-S sets parameters of {PARAMS} alone: leave out `{path}:`, or change that file in an editor"
            )
    return [sweep[PARAMS] for sweep in get_hydra_sweeps({PARAMS: by_file.get(PARAMS, [])})]


def composed(conf: Path, overrides: list[str]) -> dict[str, Any]:
    """The values that conf/ composes to; InputError in one line if Hydra cannot."""
    defaults = read_yaml(conf / "config.yaml")["defaults"]
    groups = {name for entry in defaults if isinstance(entry, dict) for name in entry}
    with initialize_config_dir(str(conf), version_base=None):
        try:
            known = {str(name) for name in compose("config")} | groups
            for override in to_hydra_overrides(overrides):
                name, _, part = override.key_or_group.partition(".")
                if not override.is_add():  # a key that conf/ does not have: the check of the values says it
                    check_names([name], known)
                if part and name in known:
                    raise InputError(
                        f"parameter {name} is one value and has no part {part}: set {name} itself"
                    )
            config = compose("config", overrides=list(overrides))
            OmegaConf.resolve(config)
        except MissingConfigException as error:
            group, _, name = str(error.missing_cfg_file).rpartition("/")
            if not error.options:
                raise InputError(one_line(error)) from None
            raise InputError(
                f"there is no {group} {name!r}: choose one of {', '.join(error.options)}"
            ) from None
        except InputError:
            raise
        except InterpolationKeyError as error:
            raise InputError(
                f"{one_line(error)}: what the shell is to write out, as $HOME, stands outside single quotes"
            ) from None
        except (HydraException, OmegaConfBaseException, ValueError) as error:
            raise InputError(one_line(error.__cause__ or error)) from None
    values = OmegaConf.to_container(config)
    assert isinstance(values, dict)
    return {str(name): value for name, value in values.items()}

"""Speech emotion recognition: four papers, one pipeline."""

from importlib import import_module
from importlib.metadata import version
from typing import Any

__version__ = version("ser")  # from pyproject.toml, so that a new version makes no cached result again


def load(folder: Any, device: str = "auto") -> Any:
    """The model of a package, a folder that `dvc repro` makes of a trained experiment: ``load(folder)(signal, rate)``
    gives its scores. See `ser.packages.model.Model`.
    """
    # by its name: every module is below this one, and an import would make all cached results depend on packages
    return import_module("ser.packages.model").load(folder, device)

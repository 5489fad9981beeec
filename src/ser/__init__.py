"""Speech emotion recognition: four papers, one pipeline."""

from importlib.metadata import version

__version__ = version("ser")  # from pyproject.toml, so that a new version makes no cached result again

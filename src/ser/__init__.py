"""Speech emotion recognition: four papers, one pipeline."""

__version__ = "0.2.0"

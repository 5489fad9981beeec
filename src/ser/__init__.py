"""Speech emotion recognition: four papers, one pipeline."""

__version__ = "0.1.0"

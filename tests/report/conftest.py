"""The made-up predictions of the tests of the evaluation."""

from tests.evaluation.conftest import affect, emotions, make_affect, make_emotions

__all__ = ["affect", "emotions", "make_affect", "make_emotions"]

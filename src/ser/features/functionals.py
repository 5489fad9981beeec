"""Functionals of a whole utterance by openSMILE: one row an utterance (papers.md 5.1).

Licence: openSMILE is free for private, academic and other non-commercial use only (audEERING GmbH); a product needs a
licence from them. The code of this project is MIT, these features are not covered by it.
"""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from ser.features import _spectrum

# configuration below opensmile's folder of configurations, number of functionals
_SETS = {
    "is10": ("is09-13/IS10_paraling_compat.conf", 1582),  # Interspeech 2010 paralinguistic challenge
    "is09": ("is09-13/IS09_emotion.conf", 384),  # Interspeech 2009 emotion challenge
    "egemapsv02": ("egemaps/v02/eGeMAPSv02.conf", 88),  # extended Geneva set
}
_LOCK = threading.Lock()


@dataclass(frozen=True)
class Feature:
    """The numbers of ``opensmile.Smile.process_signal``; NaN in every column for a clip too short (IS10: 50 ms)."""

    level: ClassVar[str] = "utterance"
    frame_rate: ClassVar[None] = None

    set: Literal["is10", "is09", "egemapsv02"] = "is10"
    rate: int = 16000  # Hz

    @property
    def dim(self) -> int:
        return _SETS[self.set][1]

    def extract(self, signal: np.ndarray, rate: int) -> np.ndarray:
        """(N,) -> (dim,) float32. Raises `SerError` for an empty signal or another rate."""
        signal = _spectrum.checked(signal, rate, self.rate)
        with _LOCK:  # one object serves all threads, each call runs an engine of its own
            smile = _smile(self.set)
        return np.asarray(smile(signal, rate), dtype=np.float32).reshape(-1)

    def columns(self) -> list[str]:
        """openSMILE's names of the `dim` columns."""
        return list(_smile(self.set).feature_names)


@lru_cache
def _smile(name: str) -> Any:
    import opensmile

    # the caller learns of a clip that is too short from its NaN, with the utterance's name
    warnings.filterwarnings("ignore", message="Segment too short, filling with NaN", category=UserWarning)
    folder = Path(opensmile.__file__).parent / "core" / "config"
    return opensmile.Smile(str(folder / _SETS[name][0]), feature_level="func")

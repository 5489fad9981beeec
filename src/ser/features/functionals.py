"""Functionals of a whole utterance by openSMILE: one row per utterance (papers.md 5.1).

Licence: openSMILE is free for private, academic and other non-commercial use only (audEERING GmbH); a product needs a
licence from them. The MIT licence of this project does not cover it.
"""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from ser.features import spectrum

Set = Literal["is10", "is09", "egemapsv02"]
SIZES: dict[Set, int] = {  # number of functionals
    "is10": 1582,  # Interspeech 2010 paralinguistic challenge
    "is09": 384,  # Interspeech 2009 emotion challenge
    "egemapsv02": 88,  # extended Geneva set
}
_FILES: dict[Set, str] = {  # in the folder of opensmile's configurations
    "is10": "is09-13/IS10_paraling_compat.conf",
    "is09": "is09-13/IS09_emotion.conf",
    "egemapsv02": "egemaps/v02/eGeMAPSv02.conf",
}
_LOCK = threading.Lock()


@dataclass(frozen=True)
class Feature:
    """The numbers of ``opensmile.Smile.process_signal``; NaN in every column for a clip that is too short (IS10: 50
    ms).

    `sets` takes the place of `set` where several are wanted: their columns follow each other in the order given.
    """

    level: ClassVar[str] = "utterance"
    frame_rate: ClassVar[None] = None

    set: Set = "is10"
    sets: tuple[Set, ...] = ()
    rate: int = 16000  # Hz

    @property
    def dim(self) -> int:
        return sum(SIZES[name] for name in self._names())

    def extract(self, signal: np.ndarray, rate: int) -> np.ndarray:
        """(N,) -> (dim,) float32. Raises `SerError` for an empty signal or another rate."""
        signal = spectrum.checked(signal, rate, self.rate)
        with _LOCK:  # one object serves all threads; each call runs its own engine
            engines = [_smile(name) for name in self._names()]
        return np.concatenate([np.asarray(smile(signal, rate), dtype=np.float32).reshape(-1) for smile in engines])

    def columns(self) -> list[str]:
        """openSMILE's names of the `dim` columns."""
        return [column for name in self._names() for column in _smile(name).feature_names]

    def _names(self) -> tuple[Set, ...]:
        return self.sets or (self.set,)


@lru_cache
def _smile(name: Set) -> Any:
    import opensmile

    # a clip that is too short is reported by the caller, with the utterance's name, because its row is NaN
    warnings.filterwarnings("ignore", message="Segment too short, filling with NaN", category=UserWarning)
    folder = Path(opensmile.__file__).parent / "core" / "config"
    return opensmile.Smile(str(folder / _FILES[name]), feature_level="func")

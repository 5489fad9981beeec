"""Random generators named after what they decide: no draw depends on the order of work or on other kinds of draws."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(seed: str, purpose: str, *key: object) -> np.random.Generator:
    """A generator for one purpose ("labels", "text", "acoustics", ...) of one item of the corpus with this `seed`.

    Labels and text have their own generators, because retuning the acoustics must not change them.
    """
    name = "/".join(map(str, (seed, purpose, *key)))
    state = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "little")
    return np.random.Generator(np.random.PCG64(state))

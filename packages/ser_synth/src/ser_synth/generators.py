"""Random generators named by what they decide: no draw depends on the order of work or on draws of another kind."""

from __future__ import annotations

import hashlib

import numpy as np


def generator(seed: str, purpose: str, *key: object) -> np.random.Generator:
    """A generator for one purpose ("labels", "text", "acoustics", ...) of one item of the corpus grown from `seed`.

    Labels and text have generators of their own: retuning the acoustics must not change what is said or felt.
    """
    name = "/".join(map(str, (seed, purpose, *key)))
    state = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "little")
    return np.random.Generator(np.random.PCG64(state))

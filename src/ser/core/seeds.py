"""Seeds derive from names, never from the order in which jobs happen to run."""

from __future__ import annotations

import hashlib
import random


def seed_of(*names: object) -> int:
    """A 63-bit seed from any names, such as (experiment seed, fold, purpose); the same on every machine."""
    text = "\0".join(str(n) for n in names)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def seed_everything(seed: int) -> None:
    """Seeds the global generators of torch, numpy and Python. Our own draws use generators with seeds of their own;
    models draw initial weights and dropout from torch's.
    """
    import numpy as np
    import torch

    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)

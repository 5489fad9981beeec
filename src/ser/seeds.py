"""Seeds derive from names, never from the order in which jobs happen to run."""

from __future__ import annotations

import hashlib


def seed_of(*names: object) -> int:
    """A 63-bit seed from any names, such as (experiment seed, fold, purpose); the same on every machine."""
    text = "\0".join(str(n) for n in names)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1

"""Freed memory is kept for the next step instead of being returned to the system."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of glibc's <malloc.h>
_LIMIT = 2**30  # bytes; ours: above the largest tensor of a step


def keep() -> bool:
    """Makes glibc keep freed blocks of up to 1 GiB; returns False if the C library is another one.

    A step on a CPU allocates and frees the same tensors of some ten MB each time. By default each block is returned to
    the system, and its pages are mapped and zeroed again. Without that, at paper size, a step of the
    pretraining is 1.15 times as fast (benchmarks/pretraining.py), one of the autoencoder 1.4 times
    (benchmarks/autoencoder.py). No number changes.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LIMIT) and mallopt(_TRIM_THRESHOLD, _LIMIT))

"""One error type for everything that the user can fix."""

from __future__ import annotations


class SynthError(Exception):
    """A fault in one line: what is wrong, in brackets where, then what to do about it."""

    def __init__(self, what: str, where: object = None, hint: str = "") -> None:
        text = " ".join(what.split()).rstrip(".") + (f" ({where})" if where is not None else "") + "."
        super().__init__(f"{text} {hint.rstrip('.')}." if hint else text)

"""One error type for everything a user can mend: what is wrong, where, and the mend, on one line."""

from __future__ import annotations

import sys
from collections.abc import Callable


class SerError(Exception):
    """A fault a user can mend.

    Printed as ``error: WHAT (WHERE). MEND`` without a traceback; WHERE names a file, a line or a key.
    """

    def __init__(self, what: str, where: object = None, mend: str | None = None) -> None:
        text = " ".join(str(what).split()).rstrip(".")
        if where is not None:
            text += f" ({where})"
        text += "."
        if mend:
            text += " " + " ".join(mend.split()).rstrip(".") + "."
        super().__init__(text)

    def __reduce__(self):  # crosses process boundaries with its final text
        return _rebuild, (str(self),)


def _rebuild(text: str) -> SerError:
    error = SerError.__new__(SerError)
    Exception.__init__(error, text)
    return error


def door(function: Callable[[], object]) -> None:
    """Runs a stage or a command; a `SerError` becomes one line on stderr and exit status 1."""
    try:
        function()
    except SerError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("stopped; finished work is kept, the same command continues", file=sys.stderr)
        sys.exit(130)

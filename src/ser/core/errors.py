"""One error for everything the user can fix: one line that names what is wrong, where, and what to do. And how commands
and their worker processes end.
"""

from __future__ import annotations

import ctypes
import errno
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

KEPT = "finished work is kept, and the same command continues it"
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # a full disk, a used-up quota, a limit on the size of files
SHOWN = 30  # errors that are printed at once


class SerError(Exception):
    """An error the user can fix, printed as ``error: WHAT (WHERE). HINT`` without a traceback. WHERE names a file, a
    line or a key.
    """

    @property
    def errors(self) -> list[SerError]:
        """The single errors: this one, or those that a `CombinedError` holds."""
        return [self]

    def __init__(self, what: str, where: object = None, hint: str | None = None) -> None:
        self.what, self.hint = what, hint
        self.where = None if where is None else str(where)
        text = " ".join(str(what).split()).rstrip(".")
        if self.where:
            text += f" ({self.where})"
        text += "."
        if hint:
            sentence = " ".join(hint.split()).rstrip(".")
            text += f" {sentence}" + ("" if sentence.endswith(("?", "!")) else ".")
        super().__init__(text)

    def __reduce__(self):  # pickled by worker processes
        return SerError, (self.what, self.where, self.hint)


class TrainingError(SerError):
    """A training that failed by itself: its loss is not finite, or it does not get beyond chance."""

    def __reduce__(self):  # pickled by worker processes
        return TrainingError, (self.what, self.where, self.hint)


class CombinedError(SerError):
    """Several errors, printed one per line, so that a user can correct all of them at once."""

    def __init__(self, errors: Sequence[SerError]) -> None:
        first = errors[0]
        super().__init__(first.what, first.where, first.hint)
        self._errors = list(errors)

    @property
    def errors(self) -> list[SerError]:
        return self._errors

    def __str__(self) -> str:
        return "\n".join(str(error) for error in self._errors)

    def __reduce__(self):  # pickled by worker processes
        return CombinedError, (self._errors,)


class Faults:
    """Collects errors: checks run inside ``with faults:`` one after the other, and `stop` raises all they found."""

    def __init__(self) -> None:
        self.found: list[SerError] = []

    def __enter__(self) -> Faults:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> bool:
        if isinstance(error, SerError):
            self.found += error.errors
            return True
        return False

    def stop(self) -> None:
        """Raises what was found: a `SerError`, or a `CombinedError` where there is more than one."""
        if self.found:
            raise self.found[0] if len(self.found) == 1 else CombinedError(self.found)


def warn(what: str, where: object = None, hint: str | None = None) -> None:
    """Prints a line about something that does not stop the work, in the form of an error."""
    print(f"warning: {SerError(what, where, hint)}", file=sys.stderr)


def arguments(*names: str) -> list[str]:
    """The arguments of a script, one for each of `names`. Raises `SerError` that shows how to call it."""
    given = sys.argv[1:]
    if len(given) != len(names):
        script = sys.argv[0]
        what = f"{len(names)} argument{'s' * (len(names) != 1)} expected, got {len(given)}"
        raise SerError(what, script, f"Usage: python {script} {' '.join(names)}")
    return given


class _Terminated(BaseException):
    """SIGTERM has arrived."""


def run_command(function: Callable[[], object]) -> None:
    """Runs a stage or a command. An error the user can fix becomes one line on stderr and exit status 1: `SerError`,
    files that cannot be read or written, a worker process that was killed, and text that is not UTF-8. SIGINT and
    SIGTERM are one line, too. A stage that DVC has started ends with DVC.
    """
    if "DVC_STAGE" in os.environ:
        bind_to_parent(signal.SIGTERM)
    try:
        with _terminating():
            function()
            sys.stdout.flush()
    except SerError as error:
        _stop(error)
    except UnicodeDecodeError as error:
        what = f"text that is not UTF-8: byte {error.object[error.start]:#04x} at {error.start} ({error.reason})"
        _stop(SerError(what, None, "Save the file as UTF-8"))
    except BrokenPipeError:  # the reader of our output has ended, as in `ser corpora | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left in the buffer goes nowhere
        sys.exit(141)  # as a shell reports SIGPIPE
    except OSError as error:
        if error.filename is None and error.errno not in FULL:  # no file that a user could look at: an error of ours
            raise
        hint = f"Make room: {KEPT}" if error.errno in FULL else None
        _stop(_unwritable(error) or SerError(error.strerror or type(error).__name__, error.filename, hint))
    except KeyboardInterrupt:
        print(f"stopped; {KEPT}", file=sys.stderr)
        sys.exit(130)
    except _Terminated:
        print(f"terminated; {KEPT}", file=sys.stderr)
        sys.exit(143)
    except RuntimeError as error:
        if type(error).__name__ != "TerminatedWorkerError":  # of joblib, which is not imported for its name
            raise
        what = "a worker process was killed, most likely because the memory is full"
        _stop(SerError(what, None, f"Use fewer workers, such as SER_JOBS=1: {KEPT}"))


def _unwritable(error: OSError) -> SerError | None:
    """The line about a folder in which nothing can be written, as in a container; None where that is not the fault."""
    if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS) or not error.filename:
        return None
    path = os.path.abspath(os.fsdecode(error.filename))
    if os.path.exists(path) and not os.access(path, os.R_OK):  # it was read
        return None
    folder = path
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    if os.access(folder, os.W_OK) or not os.access(folder, os.X_OK):
        return None
    hint = f"Let the user {os.geteuid()} write there, and in a container mount it without read-only: {KEPT}"
    return SerError(f"nothing can be written in this folder: {error.strerror}", folder, hint)


@contextmanager
def _terminating() -> Iterator[None]:
    """Raises `_Terminated` in the block when SIGTERM arrives."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise _Terminated

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def end_with_parent() -> None:
    """Called at the start of the work of a worker process: however the main process ends, this one ends with it. Does
    nothing in the main process.
    """
    if multiprocessing.current_process().name != "MainProcess":
        bind_to_parent()


def bind_to_parent(number: int = signal.SIGKILL) -> None:
    """Sends this process a signal when its parent ends: on Linux the kernel does, elsewhere a thread that looks once a
    second.
    """
    parent = os.getppid()
    if sys.platform != "linux":
        if all(thread.name != "parent" for thread in threading.enumerate()):  # a worker calls this before every job
            threading.Thread(target=_watch, args=(parent, number), name="parent", daemon=True).start()
        return
    ctypes.CDLL(None).prctl(1, number)  # 1: PR_SET_PDEATHSIG
    if os.getppid() != parent:  # it ended before the call
        os.kill(os.getpid(), number)


def _watch(parent: int, number: int) -> None:
    while os.getppid() == parent:  # an orphan gets another parent
        time.sleep(1)
    os.kill(os.getpid(), number)


def _stop(error: SerError) -> None:
    for single in error.errors[:SHOWN]:
        print(f"error: {single}", file=sys.stderr)
    if len(error.errors) > SHOWN:
        print(f"error: and {len(error.errors) - SHOWN} more", file=sys.stderr)
    sys.exit(1)

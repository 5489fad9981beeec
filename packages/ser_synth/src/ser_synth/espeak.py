"""libespeak-ng of the package `espeakng-loader`, called through ctypes: from tokens to samples and word times, in
memory.

A take depends only on its arguments, not on what was spoken before, although the library keeps some state between
takes. Every voice made here therefore has `flutter 0` (otherwise an index survives) and `roughness 8` (beyond its
table, so that a cycle counter is never read). Levels are so low that the automatic gain control, which has a memory,
too, does nothing. The library's noise generator is seeded before each take. Flutter, jitter, shimmer and breath are
added afterwards (`rendering`).

The library is not thread-safe and has global state: there is one `Engine` per process, made after the fork and started
once.
"""

from __future__ import annotations

import ctypes
import functools
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ser_synth.errors import SynthError
from ser_synth.timing import Event, Interval, phone_intervals, word_intervals

LANGUAGES = ("en", "de")
LONGEST_HOME = 120  # bytes; the library stores 160 characters of its data path and appends file names to it
_VOICES, _GERMANIC = Path("espeak-ng-data/voices/!v"), Path("lang/gmw")
# speak_lib.h
_RATE, _VOLUME, _PITCH, _RANGE, _WORD_GAP = 1, 2, 3, 4, 7  # espeak_PARAMETER
_END, _WORD, _PHONEME = 0, 1, 7  # espeak_EVENT_TYPE
_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: samples go to the callback, before espeak_Synth returns
# 100, 200 and 500 ms give the same samples; the default (60 ms) sometimes loses words, and 1 s changes pauses
_BUFFER_MS = 200
_OPTIONS = 0x0001 | 0x0002 | 0x8000  # phoneme events, named in IPA; return instead of exit() on bad data
_UTF8, _CHARACTER = 1, 1  # text encoding; unit of the start position
# espeak's units: 50 is the voice's own pitch and range; at volume 28 the gain control does nothing, at 60 it acts
_NEUTRAL = {_PITCH: 50, _RANGE: 50, _VOLUME: 28, _WORD_GAP: 0}
_VOICE = "ser"  # name of the one voice file, rewritten for every take
_PURE = f"language variant\nname {_VOICE}\nflutter 0\nroughness 8\n"


@dataclass(frozen=True)
class Take:
    """What was spoken: mono int16 samples (N,) at `rate` Hz, and the samples [start, end) of every token."""

    pcm: np.ndarray
    rate: int
    words: list[Interval]


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


def locate() -> tuple[Path, Path]:
    """The shared library and the data folder of the wheel; raises `SynthError` when it is not installed."""
    try:
        import espeakng_loader
    except ImportError as error:
        hint = "Install it: pip install espeakng-loader==0.2.4"
        raise SynthError("synthetic corpora need espeak-ng", "module espeakng_loader", hint) from error
    return Path(espeakng_loader.get_library_path()), Path(espeakng_loader.get_data_path())


class Engine:
    """The synthesizer of this process; `engine` makes it once, because the library does not survive a second start."""

    def __init__(self, home: Path) -> None:
        self._library, self._data = locate()
        self._pid = os.getpid()
        self._home = home
        self._lib: ctypes.CDLL | None = None
        self.rate = 0  # Hz
        self.version = ""
        self._chunks: list[np.ndarray] = []
        self._events: list[Event] = []
        self._callback = _CALLBACK(self._collect)  # an attribute, because C holds only a pointer to it
        self._phones_alone: dict[tuple[str, str], int] = {}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Keeps the library's data in a temporary folder, always the same one, while the block runs."""
        if os.getpid() != self._pid:
            raise RuntimeError("an Engine does not survive a fork: make one in each process")
        try:
            _copy_data(self._data, self._home)
            self._lib = self._lib or self._start()
            yield
        finally:
            shutil.rmtree(self._home, ignore_errors=True)

    def _start(self) -> ctypes.CDLL:
        try:
            lib = ctypes.CDLL(str(self._library))
        except OSError as error:
            hint = "It needs glibc 2.29 or later (Debian 11, Ubuntu 20.04)"
            raise SynthError(f"espeak-ng does not load: {error}", self._library, hint) from error
        lib.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
        lib.espeak_Synth.argtypes = [
            *(ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int),
            *(ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p),
        ]
        lib.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
        lib.espeak_Info.argtypes, lib.espeak_Info.restype = [ctypes.c_void_p], ctypes.c_char_p
        self.rate = int(lib.espeak_Initialize(_SYNCHRONOUS, _BUFFER_MS, os.fsencode(self._home), _OPTIONS))
        if self.rate <= 0:
            hint = "Reinstall it: pip install --force-reinstall espeakng-loader==0.2.4"
            raise SynthError("espeak-ng does not start", self._data, hint)
        lib.espeak_SetSynthCallback(self._callback)
        self.version = lib.espeak_Info(None).decode().split()[0]
        return lib

    def speak(
        self,
        tokens: Sequence[str],
        language: str,
        voice: str,
        commands: Sequence[str],
        rate: int,
        seed: int,
    ) -> Take:
        """Speaks tokens (words with their punctuation).

        `voice` is the text of a voice file; `commands` has one string of embedded commands per token, such as
        "\\x0160P\\x01120S" (pitch 60, 120 words per minute), which are valid from that token on; `rate` (words per
        minute) is valid before. Sentences must be shorter than 60 tokens, because the library silently ignores commands
        after about 250. Raises `SynthError` when a token has no interval.
        """
        text, spans = "", []
        for token, command in zip(tokens, commands, strict=True):
            start = len(text)
            text += command + token
            spans.append((start, len(text)))
            text += " "
        pcm, events = self._synthesize(text.rstrip(), language, voice, rate, seed)
        words = word_intervals(events, spans, len(pcm), lambda i: self._count_phones(tokens[i], language))
        return Take(pcm, self.rate, words)

    def _count_phones(self, token: str, language: str) -> int:
        key = (token.lower(), language)
        if key not in self._phones_alone:
            pcm, events = self._synthesize(token, language, "", rate=175, seed=1)
            self._phones_alone[key] = max(1, len(phone_intervals(events, len(pcm))))
        return self._phones_alone[key]

    def _synthesize(self, text: str, language: str, voice: str, rate: int, seed: int) -> tuple[np.ndarray, list[Event]]:
        lib = self._lib
        if lib is None or not self._home.exists():
            raise RuntimeError("the engine speaks only inside `with engine.running()`")
        (self._home / _VOICES / _VOICE).write_text(_PURE + voice, encoding="utf-8")
        if lib.espeak_ng_SetVoiceByName(f"{language}+{_VOICE}".encode()):
            raise SynthError(f"espeak-ng has no voice for {language!r}", None, f"Known: {', '.join(LANGUAGES)}")
        for parameter, value in {_RATE: rate, **_NEUTRAL}.items():
            lib.espeak_SetParameter(parameter, value, 0)
        lib.espeak_ng_SetRandSeed(seed)
        self._chunks, self._events = [np.zeros(0, np.int16)], []
        data = text.encode()
        if lib.espeak_Synth(data, len(data) + 1, 0, _CHARACTER, 0, _UTF8, None, None):
            raise SynthError("espeak-ng failed to speak", text)
        return np.concatenate(self._chunks), self._events

    def _collect(self, samples, count: int, events) -> int:
        """The library's callback: takes a buffer of samples and the events in it, and returns 0 to continue."""
        if samples and count:
            self._chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        i = 0
        while events[i].type != _END:
            event = events[i]
            if event.type in (_WORD, _PHONEME):
                is_word = event.type == _WORD
                phone = "" if is_word else event.id.string.decode("utf-8", "replace")
                self._events.append(Event(is_word, event.sample, event.text_position - 1, phone))
            i += 1
        return 0


_engine: Engine | None = None


@contextmanager
def engine(folder: Path | None = None) -> Iterator[Engine]:
    """The engine of this process, ready to speak inside the block.

    The first call makes it and decides where its data is while it runs: in its own folder inside `folder`, so that the
    owner of `folder` can clean up after a killed process.
    """
    global _engine
    _engine = _engine or Engine(folder / str(os.getpid()) if folder else short_path())
    with _engine.running():
        yield _engine


@functools.cache
def short_path() -> Path:
    """A free path for a temporary folder, always the same within a process; not in TMPDIR when that path is too
    long."""
    for base in (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp"), Path.home()):
        if os.access(base, os.W_OK) and len(os.fsencode(base.absolute())) <= LONGEST_HOME - 40:
            return base.absolute() / f".ser-espeak-{secrets.token_hex(8)}"
    raise SynthError("no temporary folder with a short path", f"TMPDIR={tempfile.gettempdir()}", "Set TMPDIR=/tmp")


def _copy_data(data: Path, home: Path) -> None:
    """Copies the 0.9 MB of data that LANGUAGES need into `home` and adds an empty folder for voice files.

    The library finds voice files only beside its data, but the folder of the wheel may be read-only and its path too
    long.
    """
    target = home / "espeak-ng-data"
    home.mkdir(mode=0o700, parents=True)
    (home / _VOICES).mkdir(parents=True)
    (target / _GERMANIC).mkdir(parents=True)
    for name in ("phontab", "phondata", "phonindex", "intonations", *(f"{language}_dict" for language in LANGUAGES)):
        shutil.copyfile(data / name, target / name)
    for path in (data / _GERMANIC).iterdir():
        if path.name.split("-")[0] in LANGUAGES:
            shutil.copyfile(path, target / _GERMANIC / path.name)

"""``ser demo``: a page on this machine that predicts what the microphone hears, or an audio file, with a package.

Only Python's own HTTP server, on 127.0.0.1, and one page with all that it needs in it: nothing is asked of, or sent to,
another machine. A browser shows other sites at the same time, so a request counts only if it names this server as its
host and, where it brings audio, comes from this page.
"""

from __future__ import annotations

import json
import re
import secrets
import tempfile
import threading
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from ser.core.errors import SerError
from ser.corpora import audio
from ser.corpora.manifest import LABEL_RATE
from ser.packages import contents, recordings
from ser.packages.model import Model
from ser.packages.recordings import LONGEST, Recording, Window

HOST, PORT = "127.0.0.1", 8765
BYTES = 64 << 20  # ours: largest upload; `LONGEST` of 48 kHz stereo in 16 bits are 55 MiB
PATIENCE = 30.0  # s without a byte, after which a connection is closed
SIZE, HOP, COLUMNS = 2.0, 0.5, 120  # ours: windows of the scores over time, in seconds, and how many at most
POINTS = 600  # of the waveform
HALF = 0.5  # of the corpus: the first threshold is the confidence that this share reaches
SECTIONS = ("Limits", "The law")  # of the card, that the page shows


class Server(ThreadingHTTPServer):
    """Serves the page of a package. `port` 0 is any free one. Raises `SerError` when the port is taken."""

    daemon_threads = True

    def __init__(self, folder: str | Path, port: int = PORT) -> None:
        self.model, self.card, self.busy = Model(folder), _card(Path(folder)), threading.Lock()
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            raise SerError(f"the port cannot be used: {error}", port, "Name another one: --port") from error
        self.hosts = {f"{name}:{self.server_port}" for name in (HOST, "localhost")}

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_port}/"


def run(folder: str | Path, port: int = PORT) -> None:
    """Serves the page until the process is stopped."""
    with Server(folder, port) as server:
        print(f"{server.model.contents.name}: {server.url} (this machine only; Ctrl-C ends it)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


def answer(model: Model, path: Path) -> dict[str, Any]:
    """What is shown of an audio file: its seconds, peaks of the waveform (n, 2), the scores of the `whole` (K,), and
    `columns`, the scores over time (w, K), with their `times` (w, 2) in seconds.

    Raises `SerError` for audio that cannot be predicted.
    """
    seconds = recordings.duration(path)
    if seconds > LONGEST:
        hint = "Predict long recordings with: ser predict PACKAGE FILE --window 3"
        raise SerError(f"{seconds:.0f} s are too long for this page, which takes {LONGEST:.0f} s", None, hint)
    signal, rate, _ = audio.decode(path)
    seconds = len(signal) / rate
    whole = model.predict([model.read(signal, rate)], [seconds])[0]
    found = {"seconds": seconds, "peaks": _peaks(signal)}
    if model.contents.kind == "continuous":
        times = [(k / LABEL_RATE, (k + 1) / LABEL_RATE) for k in range(len(whole))]
        return {**found, "whole": None, "times": times, "columns": whole.round(4).tolist()}
    times = recordings.parts(Recording(path, "", 0.0, seconds), Window(SIZE, max(HOP, seconds / COLUMNS)))
    pieces = [signal[round(start * rate) : round(end * rate)] for start, end in times]
    scores = model.predict([model.read(p, rate) for p in pieces], [len(p) / rate for p in pieces])
    return {**found, "whole": whole.round(4).tolist(), "times": times, "columns": np.round(scores, 4).tolist()}


def _peaks(signal: np.ndarray) -> list[list[float]]:
    """Least and greatest sample of at most `POINTS` equal parts of a signal (N,)."""
    parts = np.array_split(signal, min(POINTS, len(signal)))
    return [[round(float(p.min()), 4), round(float(p.max()), 4)] for p in parts]


def _card(folder: Path) -> dict[str, str]:
    """HTML of the `SECTIONS` of the model card. Raises `SerError` for a package whose card lacks one of them."""
    path = folder / contents.CARD
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    parts = dict(re.findall(r"^## (.+)\n([\s\S]*?)(?=^## |\Z)", text, flags=re.M))
    for name in SECTIONS:
        if not parts.get(name, "").strip():
            raise SerError(f"the model card has no section {name!r}, which the page must show", path, contents.AGAIN)
    return {name: _html(parts[name]) for name in SECTIONS}


def _html(markdown: str) -> str:
    """The little Markdown of a card: paragraphs, lists with ``-``, and code in backquotes."""
    blocks = []
    for block in re.split(r"\n\s*\n", markdown.strip()):
        text = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(block, quote=False))
        items = re.split(r"^- ", text, flags=re.M)
        rest = "".join(f"<li>{item.strip()}</li>" for item in items[1:])
        blocks.append(f"<ul>{rest}</ul>" if rest else f"<p>{text}</p>")
    return "\n".join(blocks)


def _page(server: Server, nonce: str) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    about = server.model.contents
    half = next((row for row in about.coverage if row[0] == HALF), None)
    facts = {
        "outputs": about.outputs,
        "kind": about.kind,
        "coverage": about.coverage,
        "threshold": half[2] if half else HALF,
        "bytes": BYTES,
        "seconds": LONGEST,
        "size": SIZE,
    }
    folder = Path(__file__).parent / "page"
    environment = Environment(loader=FileSystemLoader(folder), undefined=StrictUndefined, autoescape=True)
    return environment.get_template("page.html").render(
        about=about, card=server.card, facts=facts, half=half, nonce=nonce
    )


class _Handler(BaseHTTPRequestHandler):
    """``GET /`` is the page, ``POST /predict`` with the bytes of an audio file gives `answer` as JSON."""

    server: Server
    timeout = PATIENCE
    server_version, sys_version = "ser", ""

    def do_GET(self) -> None:
        if self.headers.get("Host") not in self.server.hosts:
            return self._refuse(HTTPStatus.FORBIDDEN, "this address is not that of the page")
        if self.path != "/":
            return self._refuse(HTTPStatus.NOT_FOUND, "there is only the page /")
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}' blob:; style-src 'nonce-{nonce}'; connect-src 'self'; "
            "media-src blob:; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        self._send(HTTPStatus.OK, "text/html; charset=utf-8", _page(self.server, nonce).encode(), policy)

    def do_POST(self) -> None:
        host = self.headers.get("Host")
        if host not in self.server.hosts or self.headers.get("Origin") != f"http://{host}":
            return self._refuse(HTTPStatus.FORBIDDEN, "only the page itself may send audio")
        if self.path != "/predict":
            return self._refuse(HTTPStatus.NOT_FOUND, "audio goes to /predict")
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"\d{1,15}", length):
            return self._refuse(HTTPStatus.LENGTH_REQUIRED, "the length of the audio is not given")
        if int(length) > BYTES:
            what = f"the file has {int(length) >> 20} MiB; this page takes {BYTES >> 20} MiB"
            return self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, what)
        with tempfile.NamedTemporaryFile(prefix="ser-demo-") as file:
            left = int(length)
            while left and (block := self.rfile.read(min(left, 1 << 16))):
                file.write(block)
                left -= len(block)
            file.flush()
            if left:
                return self._refuse(HTTPStatus.BAD_REQUEST, "the upload was cut off")
            try:
                with self.server.busy:  # one at a time: a prediction uses all cores by itself
                    found = answer(self.server.model, Path(file.name))
            except SerError as error:  # without its place, which is a temporary file
                return self._refuse(HTTPStatus.UNPROCESSABLE_ENTITY, str(SerError(error.what, None, error.hint)))
        self._send(HTTPStatus.OK, "application/json", json.dumps(found).encode())

    def _refuse(self, status: HTTPStatus, what: str) -> None:
        self.close_connection = True  # what is left of the request is not read
        self._send(status, "application/json", json.dumps({"error": what}).encode())

    def _send(self, status: HTTPStatus, kind: str, body: bytes, policy: str = "default-src 'none'") -> None:
        self.send_response(status)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Content-Security-Policy", policy),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Cache-Control", "no-store"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: the terminal is for errors."""

"""`ser demo`: what its server accepts and answers, and the page in a browser with a recording as its microphone."""

from __future__ import annotations

import http.client
import json
import shutil
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import soundfile

import ser
from ser.core.errors import SerError
from ser.packages import demo
from tests.conftest import ROOT
from tests.packages.browser import CHROMIUM, Browser
from tests.packages.test_predict import RATE, tone


@pytest.fixture
def served(package):
    """Starts the server of a package; each ends with the test."""
    servers = []

    def serve(name: str = "svm") -> demo.Server:
        server = demo.Server(package(name), 0)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def ask(server: demo.Server, method: str, path: str, body: bytes | None = None, **headers: str | None):
    """Status, headers and body of an answer to a request as the page makes it, except for the given headers."""
    host = f"127.0.0.1:{server.server_port}"
    sent = {"Host": host, "Origin": f"http://{host}", "Content-Length": str(len(body or b""))}
    sent |= {key.replace("_", "-"): value for key, value in headers.items()}
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    connection.putrequest(method, path, skip_host=True)
    for key, value in sent.items():
        if value is not None:
            connection.putheader(key, value)
    connection.endheaders(body)
    response = connection.getresponse()
    found = response.status, dict(response.getheaders()), response.read()
    connection.close()
    return found


def predicted(server: demo.Server, body: bytes) -> tuple[int, dict]:
    status, _, text = ask(server, "POST", "/predict", body)
    return status, json.loads(text)


def wav(tmp_path, signal, rate=RATE, **options) -> bytes:
    soundfile.write(tmp_path / "sent.wav", signal, rate, **options)
    return (tmp_path / "sent.wav").read_bytes()


def test_the_page_is_whole_and_loads_nothing(served):
    status, headers, body = ask(served(), "GET", "/")
    page = body.decode()
    assert status == 200
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert not [word for word in ("https:", "src=", "url(", "@import") if word in page]
    for shown in ("SYNTHETIC".title(), "Art. 5(1)(f)", "Art. 50(3)", "a high confidence there means nothing"):
        assert shown in page


def test_the_page_says_below_which_confidence_it_is_not_sure_and_what_that_means(served, package):
    import dataclasses

    server = served()
    coverage = ((0.5, 0.884, 0.6374), (1.0, 0.772, 0.2))
    server.model.contents = dataclasses.replace(server.model.contents, coverage=coverage)
    page = " ".join(ask(server, "GET", "/")[2].decode().split())
    assert 'Below a confidence of 63 % the answer is "Not sure"' in page
    assert (
        "50 % reach that confidence, and 88 % of these were classified correctly. Of the whole corpus it was 77 %"
        in page
    )
    server.model.contents = dataclasses.replace(server.model.contents, coverage=())
    assert "is not calibrated, so what that threshold is worth is not known" in ask(server, "GET", "/")[2].decode()


def test_an_answer_is_what_predict_gives(served, package, tmp_path):
    server, signal = served(), tone(3.3)
    status, found = predicted(server, wav(tmp_path, signal))
    assert status == 200
    model = ser.load(package("svm"))
    decoded, rate = soundfile.read(tmp_path / "sent.wav")
    wanted = {row["label"]: row["score"] for row in model(decoded, rate)}
    np.testing.assert_allclose(found["whole"], [wanted[c] for c in model.contents.outputs], atol=1e-4)
    assert found["times"] == [[0, 2], [0.5, 2.5], [1, 3], [pytest.approx(1.3), pytest.approx(3.3)]]
    last = {row["label"]: row["score"] for row in model(decoded[round(1.3 * RATE) :], rate)}
    np.testing.assert_allclose(found["columns"][-1], [last[c] for c in model.contents.outputs], atol=1e-4)
    assert len(found["peaks"]) == demo.POINTS
    assert np.ptp(found["peaks"]) == pytest.approx(np.ptp(decoded), abs=1e-3)


def test_continuous_labels_have_a_column_every_tenth_of_a_second(served, tmp_path):
    status, found = predicted(served("semantic"), wav(tmp_path, tone(2.0)))
    assert (status, found["whole"], len(found["columns"])) == (200, None, 20)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://example.org"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": None}, 403),
        ({"Host": "example.org"}, 403),
        ({"Host": "example.org", "Origin": "http://example.org"}, 403),
        ({"Content_Length": None}, 411),
        ({"Content_Length": "-1"}, 411),
        ({"Content_Length": str(demo.BYTES + 1)}, 413),
    ],
)
def test_only_the_page_itself_may_send_and_only_so_much(served, tmp_path, headers, status):
    found, _, text = ask(served(), "POST", "/predict", wav(tmp_path, tone(0.5)), **headers)
    assert found == status
    assert json.loads(text)["error"]


def test_another_host_or_path_gets_no_page(served):
    server = served()
    assert ask(server, "GET", "/", Host="example.org")[0] == 403
    assert ask(server, "GET", "/../ser.yaml")[0] == 404
    assert ask(server, "POST", "/", b"")[0] == 404
    assert ask(server, "GET", "/", Host=f"localhost:{server.server_port}")[0] == 200


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("empty", "audio file of 0 bytes"),
        ("text", "not a readable audio file"),
        ("nan", "NaN or infinite"),
        ("short", "too short: at least 0.1 s"),
        ("none", "without samples"),
        ("long", "400 s are too long for this page"),
    ],
)
def test_bad_audio_is_one_line(served, tmp_path, name, line):
    bodies = {
        "empty": lambda: b"",
        "text": lambda: b"this is no audio",
        "nan": lambda: wav(tmp_path, np.array([0.1, np.nan] * 8000), 16000, subtype="FLOAT"),
        "short": lambda: wav(tmp_path, tone(0.05)),
        "none": lambda: wav(tmp_path, np.zeros(0)),
        "long": lambda: wav(tmp_path, np.zeros(400 * 8000), 8000, subtype="PCM_U8"),
    }
    status, found = predicted(served(), bodies[name]())
    assert status == 422
    assert line in found["error"]
    assert "\n" not in found["error"]
    assert "/tmp" not in found["error"]


def test_a_package_without_the_law_and_a_taken_port_are_one_line(served, package, tmp_path):
    folder = tmp_path / "package"
    shutil.copytree(package("svm"), folder)
    card = (folder / "README.md").read_text()
    (folder / "README.md").write_text(card.replace("## The law", "## Law"))
    with pytest.raises(SerError, match="no section 'The law'"):
        demo.Server(folder, 0)
    command = [sys.executable, "-m", "ser", "demo", str(package("svm")), "--port", str(served().server_port)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: the port cannot be used")
    assert len(ended.stderr.splitlines()) == 1


@pytest.fixture
def browser(tmp_path):
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    soundfile.write(tmp_path / "microphone.wav", tone(20.0, 48000), 48000)
    with Browser(tmp_path / "profile", tmp_path / "microphone.wav") as found:
        yield found


def asked_of_the_network(browser) -> set[str]:
    """Addresses other than those of the page and of data in it."""
    sent = {e["params"]["request"]["url"] for e in browser.events if e.get("method") == "Network.requestWillBeSent"}
    return {url for url in sent if not url.startswith(("data:", "blob:"))}


def complaints(browser) -> list:
    return [e for e in browser.events if e.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown")]


def test_the_microphone_in_a_browser(served, browser):
    server = served()
    browser.open(server.url)
    browser.run("document.querySelector('#record').click()")
    browser.until("parseFloat(document.querySelector('#record-text').textContent.slice(5)) > 1.2")
    browser.run("document.querySelector('#record').click()")
    browser.until("!document.querySelector('#result').hidden")
    assert 1.2 < browser.run("shown.seconds") < 15
    assert browser.run("Math.max(...shown.peaks.flat())") > 0.05  # the recording arrived, not silence
    whole = browser.run("shown.whole")
    threshold = (
        "document.querySelector('#threshold').value = {}; decide(); document.querySelector('#class').textContent"
    )
    best = server.model.contents.outputs[int(np.argmax(whole))]
    assert browser.run(threshold.format(0)) == best
    assert browser.run(threshold.format(1)) == "Not sure"
    assert browser.run("document.querySelectorAll('#chart .cell').length") == 7 * len(browser.run("shown.times"))
    assert asked_of_the_network(browser) == {server.url, f"{server.url}predict"}
    assert not complaints(browser)


def test_files_in_a_browser(served, browser, tmp_path):
    browser.open(served().url)
    (tmp_path / "notes.wav").write_text("this is no audio")
    browser.choose("#file", tmp_path / "notes.wav")
    line = browser.until("document.querySelector('#status.error') && document.querySelector('#status').textContent")
    assert line.startswith("notes.wav: not a readable audio file")
    assert browser.run("document.querySelector('#result').hidden")
    soundfile.write(tmp_path / "a.flac", tone(2.5, 48000, 2), 48000)
    browser.choose("#file", tmp_path / "a.flac")
    browser.until("!document.querySelector('#result').hidden")
    assert browser.run("document.querySelector('#name').textContent") == "a.flac, 2.5 s"
    browser.call("Emulation.setDeviceMetricsOverride", width=360, height=700, deviceScaleFactor=2, mobile=True)
    time.sleep(0.5)
    assert browser.run("document.documentElement.scrollWidth") <= 360

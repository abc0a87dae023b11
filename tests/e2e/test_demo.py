"""`sluice demo` as a newcomer meets it: what it prints works as printed, and its page works in a real browser."""

import asyncio
import json
import os
import subprocess
import time
from pathlib import Path

import pytest
import websockets

from demo import Demo

HERE = Path(__file__).resolve().parent
SCREENSHOTS = Path(os.environ.get("SLUICE_SCREENSHOTS", "."))


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    demo = Demo(tmp_path_factory.mktemp("demo"))
    yield demo
    demo.stop()


def tls(demo):
    import ssl
    return ssl.create_default_context(cafile=str(demo.certificate))


def test_no_key_is_written(demo):
    assert "BEGIN CERTIFICATE" in demo.certificate.read_text()
    for path in demo.folder.rglob("*"):
        if path.is_file():
            assert "PRIVATE KEY" not in path.read_text(errors="replace")


def test_curl_line_as_printed(demo):
    line = demo.line("--cacert")
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=20, cwd=demo.folder)
    said = done.stdout + done.stderr
    assert "401" in said and "WWW-Authenticate" in said or "Bearer" in said, said


def test_python_line_as_printed(demo):
    """The interactive client of python3-websockets, fed by hand."""
    line = demo.line("SSL_CERT_FILE")
    process = subprocess.Popen(["bash", "-c", line], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True, cwd=demo.folder)
    time.sleep(2)
    process.stdin.write("hello from a terminal\n")
    process.stdin.flush()
    time.sleep(1)
    said, _ = process.communicate(timeout=20)
    assert "Connected to" in said and "hello from a terminal" in said, said
    assert "< " in said, said


def test_demo_route_alternates(demo):
    async def talk():
        names, numbers = [], []
        async with websockets.connect(demo.url("/demo"), ssl=tls(demo)) as socket:
            for n in range(4):
                await socket.send(f"message {n}")
                answer = json.loads(await asyncio.wait_for(socket.recv(), 10))
                assert answer["text"] == f"message {n}"
                names.append(answer["backend"])
                numbers.append(answer["n"])
        assert names[0] == names[2] != names[1] == names[3]
        assert all(isinstance(number, int) for number in numbers)
    asyncio.run(talk())


def test_echo_route_is_octet_exact(demo):
    async def talk():
        async with websockets.connect(demo.url("/echo"), ssl=tls(demo)) as socket:
            for message in (os.urandom(50_000), "grüße", b""):
                await socket.send(message)
                assert await asyncio.wait_for(socket.recv(), 10) == message
    asyncio.run(talk())


def test_without_a_token(demo):
    async def talk():
        with pytest.raises(websockets.InvalidStatusCode) as refused:
            async with websockets.connect(f"wss://localhost:{demo.port}/echo", ssl=tls(demo)):
                pass
        assert refused.value.status_code == 401
    asyncio.run(talk())


def test_browser(demo):
    environment = dict(os.environ, DEMO_PAGE=demo.page, DEMO_SHOTS=str(SCREENSHOTS), DEMO_CA=str(demo.certificate))
    done = subprocess.run(["node", "browser.mjs"], env=environment, capture_output=True, text=True, timeout=110, cwd=HERE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_second_start_is_quick(tmp_path):
    begin = time.monotonic()
    demo = Demo(tmp_path)
    assert time.monotonic() - begin < 8
    demo.stop()

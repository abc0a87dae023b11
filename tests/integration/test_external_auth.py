"""External checks: a service is asked by a sub-request as nginx' auth_request and Traefik's ForwardAuth send it."""

import contextlib
import http.server
import json
import threading
import time
import urllib.error
import urllib.request

import pytest

from certs import Authority, server_context
from evil import Backend, label
from gateway import BASE, wait_for
from ports import free_port
from rawws import upgrade_request


class Service:
    """Says yes to `Bearer good-NAME`, no to anything else; `mode` makes it misbehave."""

    def __init__(self, context=None):
        self.asked, self.mode, self.cache = [], "", ""
        service = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                service.asked.append((self.path, dict(self.headers.items())))
                if service.mode == "hang":
                    time.sleep(3)
                if service.mode.isdigit():
                    return self.reply(int(service.mode))
                word = self.headers.get("Authorization", "").removeprefix("Bearer ")
                if not word.startswith("good-"):
                    return self.reply(401, {"WWW-Authenticate": 'Bearer realm="sso"', "X-Internal": "1"}, b"who are you?")
                fields = {"X-Auth-User": word.removeprefix("good-"), "X-Internal": "1"}
                if service.cache:
                    fields["Cache-Control"] = service.cache
                self.reply(200, fields)

            def reply(self, status, fields={}, body=b""):
                self.send_response(status)
                for name, value in {**fields, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                with contextlib.suppress(OSError):  # who asked may have gone
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(10)


@pytest.fixture
def service():
    made = Service()
    yield made
    made.stop()


@pytest.fixture
def backend():
    with Backend(label("a")) as made:
        yield made


def config(backend, url, more=""):
    return BASE + f"""
[auth.sso]
type = "external"
url = "{url}"
response_headers = ["X-Auth-User"]
subject_header = "X-Auth-User"
timeout = "1s"
{more}
[[route]]
path = "/*"
auth = "sso"
backend = "app"
[backend.app]
servers = ["ws://127.0.0.1:{backend.port}"]
"""


def bearer(word):
    return [("Authorization", f"Bearer {word}")]


def status(gateway, fields, listener="plain"):
    with gateway.client(listener=listener) as client:
        return client.upgrade("/room?x=1", fields)


@pytest.mark.parametrize("listener", ["plain", "tls"])
def test_yes_and_no(fresh_gateway, backend, service, listener):
    gateway = fresh_gateway(config(backend, f"http://127.0.0.1:{service.port}/verify?app=1"))
    with gateway.connect("/room?x=1", bearer("good-ann"), listener=listener) as client:
        client.send_text("hi")
        assert client.recv_text() == "a:hi"
        assert gateway.admin_json("/api/v1/connections")["connections"][0]["subject"] == "ann"
    assert backend.wait_peer().head.get("X-Auth-User") == "ann"
    assert backend.wait_peer().head.get("X-Internal") is None
    path, fields = service.asked[0]
    assert path == "/verify?app=1"
    assert fields["X-Forwarded-Uri"] == fields["X-Original-URI"] == "/room?x=1"
    assert fields["X-Forwarded-Method"] == "GET" and fields["X-Forwarded-For"] == "127.0.0.1"
    assert fields["X-Forwarded-Proto"] == ("https" if listener == "tls" else "http")
    assert fields["X-Forwarded-Host"] == "localhost"
    head = status(gateway, bearer("bad"), listener)
    assert head.status == 401 and head.get("WWW-Authenticate") == 'Bearer realm="sso"' and head.get("X-Internal") is None
    assert backend.count == 1, "the backend hears of nobody else"
    assert gateway.metric("sluice_auth_total", method="external", result="ok") == 1
    assert gateway.metric("sluice_auth_total", method="external", reason="auth_denied") == 1


def test_kept_answers(fresh_gateway, backend, service):
    gateway = fresh_gateway(config(backend, f"http://127.0.0.1:{service.port}/"), workers=1)
    service.cache = "max-age=60"
    for _ in range(4):
        assert status(gateway, bearer("good-ann")).status == 101
    assert status(gateway, bearer("good-bob")).status == 101
    assert len(service.asked) == 2


def test_fails_closed(fresh_gateway, backend, service):
    gateway = fresh_gateway(config(backend, f"http://127.0.0.1:{service.port}/"), workers=1)
    for mode in ("500", "302", "404"):
        service.mode = mode
        head = status(gateway, bearer("good-ann"))
        assert head.status == 503 and int(head.get("Retry-After")) >= 1
    service.mode = "hang"
    begun = time.monotonic()
    assert status(gateway, bearer("good-ann")).status == 503
    assert 0.9 <= time.monotonic() - begun < 2.5
    service.mode = ""
    assert status(gateway, bearer("good-ann")).status == 101
    service.mode = "500"
    for _ in range(5):
        assert status(gateway, bearer("good-ann")).status == 503
    asked = len(service.asked)
    service.mode = ""
    assert status(gateway, bearer("good-ann")).status == 503, "its circuit is open"
    assert len(service.asked) == asked
    wait_for(lambda: status(gateway, bearer("good-ann")).status == 101, 10, "it is asked again")
    assert gateway.metric("sluice_rejects_total", stage="auth", reason="auth_unavailable") >= 10


def test_nobody_there(fresh_gateway, backend):
    gateway = fresh_gateway(config(backend, f"http://127.0.0.1:{free_port()}/"))
    assert status(gateway, bearer("good-ann")).status == 503
    gateway = fresh_gateway(config(backend, "http://no-such-host.invalid/"))
    assert status(gateway, bearer("good-ann")).status == 503
    assert backend.count == 0


def test_over_verified_tls(fresh_gateway, backend, authority, tmp_path):
    service = Service(server_context(authority.issue("sso", ["sso.test"], folder=tmp_path)))
    try:
        url = f"https://127.0.0.1:{service.port}/verify"
        good = fresh_gateway(config(backend, url, f'tls = {{ ca = "{authority.path}", server_name = "sso.test" }}'))
        assert status(good, bearer("good-ann")).status == 101
        other = Authority(tmp_path / "other")
        for tls in (f'tls = {{ ca = "{other.path}", server_name = "sso.test" }}',
                    f'tls = {{ ca = "{authority.path}", server_name = "other.test" }}', ""):
            assert status(fresh_gateway(config(backend, url, tls)), bearer("good-ann")).status == 503
        assert len(service.asked) == 1
    finally:
        service.stop()


def test_who_leaves_meanwhile(fresh_gateway, backend, service):
    gateway = fresh_gateway(config(backend, f"http://127.0.0.1:{service.port}/"))
    service.mode = "hang"
    for _ in range(30):
        client = gateway.client()
        client.send(upgrade_request("/x", bearer("good-ann")))
        client.close()
    wait_for(lambda: gateway.metric("sluice_connections") == 0, 10, "everybody is gone")
    service.mode = ""
    wait_for(lambda: status(gateway, bearer("good-ann")).status == 101, 10, "others are served")


def test_live_connections_are_asked_about_again(fresh_gateway, backend, service):
    gateway = fresh_gateway(config(backend, f"http://127.0.0.1:{service.port}/", 'recheck = "1s"'))
    with gateway.connect("/x", bearer("good-ann")) as client:
        wait_for(lambda: len(service.asked) >= 3, 10, "asked again")
        client.send_text("hi")
        assert client.recv_text() == "a:hi"
        service.mode = "403"
        client.expect_close(4403, timeout=10)
    assert gateway.wait_access(event="ws_close", close_code=4403, reason="auth_forbidden")


def test_plain_requests_are_checked_too(fresh_gateway, service):
    class Site(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps({"user": self.headers.get("X-Auth-User")}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    site.daemon_threads = True
    thread = threading.Thread(target=site.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        text = config(type("B", (), {"port": site.server_address[1]}), f"http://127.0.0.1:{service.port}/")
        gateway = fresh_gateway(text.replace("ws://", "http://"))
        def get(word):
            request = urllib.request.Request(f"http://127.0.0.1:{gateway.port('plain')}/page")
            request.add_header("Authorization", f"Bearer {word}")
            request.add_header("X-Auth-User", "root")
            with contextlib.closing(urllib.request.urlopen(request, timeout=10)) as answer:
                return json.load(answer)
        assert get("good-ann") == {"user": "ann"}
        with pytest.raises(urllib.error.HTTPError) as refused:
            get("bad")
        assert refused.value.code == 401 and refused.value.read() == b"who are you?"
    finally:
        site.shutdown()
        site.server_close()
        thread.join(10)

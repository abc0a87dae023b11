"""A plain listener beside one with TLS: the redirect to https, and the folder of ACME challenges up to the new certificate."""

import os

import pytest

from evil import Backend, label
from gateway import BASE, wait_for
from test_reload import renew, served

CHALLENGES = "/.well-known/acme-challenge/"


def config(backend, plain):
    return BASE + plain + f"""
[[route]]
path = "/*"
backend = "app"
[backend.app]
servers = ["ws://127.0.0.1:{backend.port}"]
"""


@pytest.fixture(scope="module")
def backend(backends):
    return backends(Backend(label("a")))


@pytest.fixture
def gateway(fresh_gateway, backend, tmp_path):
    webroot = tmp_path / "webroot"
    webroot.mkdir()
    gateway = fresh_gateway(config(backend, f'redirect = "https"\nacme_folder = "{webroot}"\n'))
    gateway.webroot = webroot
    return gateway


def ask(gateway, path, method="GET", fields=(), host="localhost", listener="plain"):
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}"] + [f"{name}: {value}" for name, value in fields]
    with gateway.client(listener) as client:
        return client.request(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))


def put(gateway, token, content):
    """As certbot and lego do in webroot mode."""
    folder = gateway.webroot / ".well-known" / "acme-challenge"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / token).write_text(content)


def test_a_redirect_leads_to_the_listener_with_tls(gateway):
    port = gateway.port("tls")
    for method in ("GET", "HEAD", "DELETE"):
        head = ask(gateway, "/a/../x?y=1", method)
        assert head.status == 308 and head.get("Location") == f"https://localhost:{port}/x?y=1"
        assert head.get("Connection") == "close"
    with gateway.client() as client:
        assert client.upgrade("/ws?y=1", host="gw.test:80").get("Location") == f"https://gw.test:{port}/ws?y=1"
    assert gateway.wait_access(status=308, method="DELETE")["path"] == "/x?y=1"
    with gateway.connect("/x", listener="tls") as client:
        client.send_text("?")
        assert client.recv_text() == "a:?"


def test_a_host_that_is_none_is_not_redirected(gateway):
    for host in ("user@evil.test", "evil.test/x", "a b", "", "evil.test:99999", "evil.test#"):
        head = ask(gateway, "/", host=host)
        assert head.status == 400 and head.get("Location") is None, host


def test_a_redirect_port_of_its_own(fresh_gateway, backend):
    gateway = fresh_gateway(config(backend, 'redirect = "https"\nredirect_port = 443\n'))
    assert ask(gateway, "/x", host="gw.test:8080").get("Location") == "https://gw.test/x"


def test_challenges_are_served_and_nothing_else(gateway):
    assert ask(gateway, CHALLENGES + "token").status == 404
    put(gateway, "token", "token.thumbprint")
    head = ask(gateway, CHALLENGES + "token")
    assert (head.status, head.body, head.get("Content-Type")) == (200, b"token.thumbprint", "text/plain")
    head = ask(gateway, CHALLENGES + "%74oken", host="chat.example.com:80")
    assert (head.status, head.body) == (200, b"token.thumbprint")
    (gateway.webroot / "secret").write_text("secret")
    os.symlink(gateway.webroot / "secret", gateway.webroot / ".well-known" / "acme-challenge" / "link")
    os.mkfifo(gateway.webroot / ".well-known" / "acme-challenge" / "pipe")
    put(gateway, "dot.ted", "x")
    put(gateway, "large", "x" * 65537)
    for path, status in (("link", 404), ("pipe", 404), ("dot.ted", 404), ("large", 404), ("", 404), ("../../secret", 308),
                         ("%2e%2e/%2e%2e/secret", 308), ("..%2fsecret", 400), ("a/b", 404), ("%00", 400)):
        head = ask(gateway, CHALLENGES + path)
        assert head.status == status, path
        assert b"secret" not in head.body if status != 308 else True
    assert ask(gateway, CHALLENGES + "token", "POST").status == 405
    assert gateway.metric("sluice_rejects_total", stage="route", reason="no_route") >= 6


def test_without_a_redirect_the_routes_serve_the_rest(fresh_gateway, backend, tmp_path):
    gateway = fresh_gateway(config(backend, f'acme_folder = "{tmp_path}"\n'))
    gateway.webroot = tmp_path
    put(gateway, "token", "print")
    assert ask(gateway, CHALLENGES + "token").body == b"print"
    with gateway.connect("/x") as client:
        client.send_text("?")
        assert client.recv_text() == "a:?"
    assert ask(gateway, CHALLENGES + "token", listener="tls").status == 426, "the other listener has no folder"


def test_a_renewal_from_the_challenge_to_the_new_certificate(gateway, authority):
    before = served(gateway)
    put(gateway, "first", "first.print")
    # The authority asks from several places at once.
    assert {ask(gateway, CHALLENGES + "first").body for _ in range(4)} == {b"first.print"}
    (gateway.webroot / ".well-known" / "acme-challenge" / "first").unlink()
    new = renew(gateway, authority)
    wait_for(lambda: served(gateway) == new, 10, "the new certificate, without a signal")
    assert new != before and ask(gateway, CHALLENGES + "first").status == 404
    with gateway.connect("/x", listener="tls") as client:
        client.send_text("?")
        assert client.recv_text() == "a:?"

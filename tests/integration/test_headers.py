"""Header rules and strip_prefix of a route, through the real binary to a backend that tells what it was sent."""

import json

import pytest

import tokens
from evil import Backend, answer, head_teller
from gateway import AUTH, BASE


def config(backend, route, path="/*", more=""):
    return BASE + f"""
[[route]]
path = "{path}"
backend = "app"
{route}
[backend.app]
servers = ["ws://127.0.0.1:{backend.port}"]
{more}
"""


@pytest.fixture(scope="module")
def teller(backends):
    return backends(Backend(head_teller))


def told(gateway, path="/x", fields=()):
    """The request line and the fields that the backend was sent."""
    with gateway.connect(path, fields) as client:
        head = json.loads(client.recv_text())
    return head[0][1], head[1:]


def values(fields, name):
    return [value for other, value in fields if other.lower() == name.lower()]


def test_request_headers(fresh_gateway, teller):
    gateway = fresh_gateway(config(teller, """
request_headers = { set = { X-Tenant = "acme", X-Client = "{client_ip}", Host = "app.internal" }, remove = ["Origin", "Cookie"] }
"""))
    line, fields = told(gateway, fields=[("X-Tenant", "evil"), ("x_tenant", "evil"), ("Origin", "https://a.test"),
                                         ("Cookie", "a=b"), ("X-App", "1"), ("Via", "1.1 evil")])
    assert values(fields, "X-Tenant") == ["acme"] and values(fields, "X-Client") == ["127.0.0.1"]
    assert values(fields, "Host") == ["app.internal"] and values(fields, "X-Forwarded-Host") == ["localhost"]
    assert values(fields, "Origin") == values(fields, "Cookie") == []
    assert values(fields, "X-App") == ["1"] and values(fields, "Via") == ["1.1 sluice"]


def test_a_claim_in_a_request_header(fresh_gateway, teller):
    gateway = fresh_gateway(config(teller, """
auth = "users"
request_headers = { set = { X-Room = "room {claim:room}" } }
""", more=AUTH))
    bearer = lambda **claims: [("Authorization", "Bearer " + tokens.mint(tokens.claims(**claims))), ("X-Room", "forged")]
    assert values(told(gateway, fields=bearer(room="blue"))[1], "X-Room") == ["room blue"]
    assert values(told(gateway, fields=bearer())[1], "X-Room") == []
    with gateway.client() as client:
        assert client.upgrade("/x", bearer(room="blue\r\nX-Admin: 1")).status == 403
    assert gateway.metric("sluice_rejects_total", stage="auth", reason="bad_claim") == 1


def test_response_headers(fresh_gateway):
    with Backend(answer(b"HTTP/1.1 404 Not Found\r\nServer: app\r\nX-Seen: no\r\nContent-Length: 0\r\n\r\n")) as backend:
        gateway = fresh_gateway(config(backend, """
response_headers = { set = { X-Seen = "{client_ip}", X-Frame-Options = "DENY" }, remove = ["Server"] }
"""))
        with gateway.client() as client:
            head = client.upgrade("/x")
        assert head.status == 404 and head.all("X-Seen") == ["127.0.0.1"]
        assert head.get("X-Frame-Options") == "DENY" and head.get("Server") is None


def test_response_headers_in_the_101(fresh_gateway, teller):
    gateway = fresh_gateway(config(teller, 'response_headers = { set = { Strict-Transport-Security = "max-age=60" } }'))
    with gateway.connect("/x", listener="tls") as client:
        assert client.response.get("Strict-Transport-Security") == "max-age=60"


def test_strip_prefix(fresh_gateway, teller):
    gateway = fresh_gateway(config(teller, 'strip_prefix = "/api"', path="/api/*"))
    line, fields = told(gateway, "/api/v1/chat?room=1", [("X-Forwarded-Prefix", "/evil")])
    assert line == "GET /v1/chat?room=1 HTTP/1.1" and values(fields, "X-Forwarded-Prefix") == ["/api"]
    count = teller.count
    for path, status in (("/api%2e/admin", 404), ("/api/../admin", 404), ("/api/%2e%2e/admin", 404), ("/api/..%2fadmin", 400),
                         ("/api/..;/admin", 400), ("/apix", 404), ("/api", 404)):
        with gateway.client() as client:
            assert client.upgrade(path).status == status, path
    assert teller.count == count
    assert gateway.wait_access(status=101)["path"] == "/api/v1/chat?room=1"


def test_a_reload_changes_the_rules(fresh_gateway, teller):
    gateway = fresh_gateway(config(teller, 'request_headers = { set = { X-A = "one" } }'))
    assert values(told(gateway)[1], "X-A") == ["one"]
    gateway.write_config(config(teller, 'request_headers = { set = { X-A = "two" } }'))
    gateway.reload()
    assert values(told(gateway)[1], "X-A") == ["two"]

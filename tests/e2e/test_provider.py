"""Keys of a real OpenID provider, found by discovery: its tokens, its rotations, its restarts, and tokens of other parties."""

import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest

from certs import server_context
from evil import Backend, head_teller
from gateway import BASE, wait_for
from provider import Provider
from tokens import b64


@pytest.fixture(scope="module")
def backend():
    with Backend(head_teller) as running:
        yield running


@pytest.fixture
def provider(authority, tmp_path):
    with Provider(tmp_path / "provider", authority) as running:
        yield running


def config(provider, backend, authority, auth=""):
    return BASE + f"""
[auth.users]
type = "jwt"
algorithms = ["RS256", "ES256", "EdDSA"]
discovery = true
issuer = "{provider.issuer}"
audience = "chat"
jwks_ca = "{authority.path}"
jwks_allow = ["127.0.0.0/8", "::1/128"]
forward = {{ sub = "X-User-Id", scope = "X-Scope", client_id = "X-Client" }}
leeway = "0s"
{auth}
[[route]]
path = "/chat"
auth = "users"
backend = "teller"
[backend.teller]
servers = ["ws://127.0.0.1:{backend.port}"]
"""


@pytest.fixture
def gateway(fresh_gateway, provider, backend, authority):
    return loaded(fresh_gateway(config(provider, backend, authority)))


def loaded(gateway):
    wait_for(lambda: gateway.metric("sluice_jwks_refresh_total", auth="users", result="ok") >= 1, 10, "the provider's keys")
    return gateway


def bearer(token):
    return [("Authorization", f"Bearer {token}")]


def refused(gateway, token):
    """(status, reason, fault) of a handshake with it."""
    with gateway.client() as client:
        head = client.upgrade("/chat", bearer(token))
    assert head.status != 101, "it was let in"
    line = gateway.wait_access(id=head.get("X-Request-Id"))
    return head.status, line["reason"], line.get("error")


def test_tokens_of_every_algorithm(gateway, provider, backend):
    for algorithm in ("RS256", "ES256", "EdDSA"):
        token = provider.token(algorithm)
        with gateway.connect("/chat", bearer(token)) as client:
            fields = {name.lower(): value for name, value in json.loads(client.recv_text())}
        assert (fields["x-user-id"], fields["x-client"], fields["x-scope"]) == ("machine", "machine", "chat")
        assert "authorization" not in fields and token not in json.dumps(fields)
        assert gateway.wait_access(event="ws_open", status=101)["subject"] == "machine"


def test_tokens_that_are_for_somebody_else(gateway, provider):
    assert refused(gateway, provider.token(audience="chatter")) == (401, "bad_token", "aud")
    head, body, signature = provider.token().split(".")
    assert refused(gateway, f"{head}.{body}.{b64(bytes(64))}") == (401, "bad_token", "signature")
    assert refused(gateway, f"{head}.{provider.token(audience='chatter').split('.')[1]}.{signature}") == (401, "bad_token", "signature")


def test_tokens_of_another_issuer_with_the_same_keys(gateway, provider, authority, tmp_path):
    """Two tenants of one provider often share its keys."""
    other = Provider(tmp_path / "other", authority, start=False)
    other.keys.write_bytes(provider.keys.read_bytes())
    with other:
        other.start()
        assert refused(gateway, other.token()) == (401, "bad_token", "iss")


def test_tokens_of_another_provider(gateway, provider, authority, tmp_path):
    """Its keys have the same ids as ours."""
    with Provider(tmp_path / "other", authority, issuer=provider.issuer) as other:
        assert refused(gateway, other.token()) == (401, "bad_token", "signature")


def seconds_until_accepted(gateway, token):
    began = time.monotonic()

    def accepted():
        with gateway.client() as client:
            return client.upgrade("/chat", bearer(token)).status == 101
    wait_for(accepted, 10, "the new key")
    return time.monotonic() - began


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_a_rotation_is_seen_within_five_seconds(gateway, provider, algorithm):
    before = provider.token(algorithm)
    with gateway.connect("/chat", bearer(before)) as client:
        client.recv_text()
        provider.rotate()
        after = provider.token(algorithm)
        assert after.split(".")[0] != before.split(".")[0], "another key has signed"
        assert seconds_until_accepted(gateway, after) <= 5
        assert seconds_until_accepted(gateway, before) <= 1, "old and new overlap"
        client.send_text("still here")
        assert client.recv_text() == "still here"


def test_a_key_that_was_dropped_serves_no_longer(gateway, provider):
    before = provider.token()
    check = provider.token()
    provider.rotate()
    provider.drop()
    assert seconds_until_accepted(gateway, provider.token()) <= 5
    assert refused(gateway, before)[:2] == (401, "unknown_key"), "never seen here, and signed by a key that is gone"
    assert refused(gateway, check)[:2] == (401, "unknown_key")


def test_a_provider_that_is_away_and_comes_back(gateway, provider):
    held = provider.token()
    live = gateway.connect("/chat", bearer(held))
    live.recv_text()
    provider.stop()
    assert seconds_until_accepted(gateway, held) <= 1, "nobody needs it for a key that is known"
    provider.start()
    assert seconds_until_accepted(gateway, provider.token()) <= 1, "the same keys as before"
    provider.stop()
    provider.keys.unlink()
    provider.start()
    provider.rotate()
    assert seconds_until_accepted(gateway, provider.token()) <= 5, "others, of which it has yet to hear"
    live.send_text("still here")
    assert live.recv_text() == "still here"
    live.close()


def test_a_provider_that_comes_later_than_the_gateway(fresh_gateway, backend, authority, tmp_path):
    provider = Provider(tmp_path / "provider", authority, start=False)
    gateway = fresh_gateway(config(provider, backend, authority))
    wait_for(lambda: sum(value for name, value in gateway.metrics().items()
                         if name.startswith("sluice_jwks_refresh_total") and 'result="ok"' not in name) >= 1, 10, "a fetch in vain")
    some = f"{b64(json.dumps({'alg': 'ES256', 'kid': 'some'}).encode())}.e30.{b64(bytes(64))}"
    assert refused(gateway, some)[:2] == (503, "keys_unavailable"), "the gateway is at fault, not the token"
    with provider:
        provider.start()
        assert seconds_until_accepted(gateway, provider.token()) <= 10


def test_a_connection_ends_when_its_token_does(gateway, provider):
    token = provider.token(seconds=3)
    with gateway.connect("/chat", bearer(token)) as client:
        client.recv_text()
        client.expect_close(4401, 10)
    assert refused(gateway, token) == (401, "token_expired", "exp")


# ---- people
class Told:
    """Whom the provider tells that a session has ended: takes every POST, by HTTPS."""

    def __init__(self, authority, folder):
        self.tokens = []
        told = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                told.tokens += form.get("logout_token", [])
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        folder.mkdir()
        context = server_context(authority.issue("told", ["localhost", "127.0.0.1"], folder=folder))
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://localhost:{self.server.server_address[1]}/logout"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def told(authority, tmp_path):
    receiver = Told(authority, tmp_path / "told")
    yield receiver
    receiver.stop()


def test_who_logs_in_and_out(fresh_gateway, backend, authority, tmp_path, told):
    """The code flow with its ID token; and a logout token is nobody's ticket, though the same keys have signed it."""
    with Provider(tmp_path / "provider", authority, logout=told.url) as provider:
        gateway = loaded(fresh_gateway(config(provider, backend, authority)))
        person = provider.login("alice")
        with gateway.connect("/chat", bearer(person.id_token)) as client:
            assert ["X-User-Id", "alice"] in json.loads(client.recv_text())
        person.logout()
        logout_token, = wait_for(lambda: told.tokens, 5, "the logout token")
        body = json.loads(base64.urlsafe_b64decode(logout_token.split(".")[1] + "=="))
        assert (body["iss"], body["aud"], body["sub"]) == (provider.issuer, "chat", "alice") and body["sid"]
        assert refused(gateway, logout_token) == (401, "bad_token", "typ")


def test_who_logs_out_at_the_provider_is_logged_out_here(fresh_gateway, backend, authority, tmp_path):
    """Back-Channel Logout from end to end: the provider calls, and the connections of that person end; nobody else's do."""
    provider = Provider(tmp_path / "provider", authority, start=False)
    gateway = fresh_gateway(config(provider, backend, authority, 'endpoints = { logout = "/logout" }'), start=False)
    provider.logout = f"https://localhost:{gateway.port('tls')}/logout"
    gateway.start()
    with provider:
        provider.start()
        wait_for(lambda: gateway.metric("sluice_jwks_refresh_total", auth="users", result="ok") >= 1, 20, "the provider's keys")
        alice, bob = provider.login("alice"), provider.login("bob")
        hers = [gateway.connect("/chat", bearer(alice.id_token)) for _ in range(3)]
        his = gateway.connect("/chat", bearer(bob.id_token))
        for client in (*hers, his):
            client.recv_text()
        began = time.monotonic()
        alice.logout()
        for client in hers:
            client.expect_close(4403, 5)
        assert time.monotonic() - began < 2, "a page of the provider, and one second"
        his.send_text("still here")
        assert his.recv_text() == "still here"
        assert refused(gateway, alice.id_token)[:2] == (403, "revoked")
        audit, = wait_for(lambda: [event for event in gateway.events() if event.get("action") == "logout"], 5, "its line in the log")
        assert audit["closed"] == 3 and alice.id_token not in json.dumps(audit)
        again = provider.login("alice")
        with gateway.connect("/chat", bearer(again.id_token)) as client:
            assert ["X-User-Id", "alice"] in json.loads(client.recv_text())

"""Back-channel logout: the issuer says that somebody has logged out, and the connections of that session end."""

import json
import time
import urllib.parse

import pytest

import tokens
from certs import server_context
from evil import Backend, frame_echo
from gateway import AUTH, BASE, wait_for
from keyserver import KeyServer
from posts import answer, post
from wire import CLOSE

EVENT = "http://schemas.openid.net/event/backchannel-logout"


def config(port):
    auth = AUTH.replace("forward =", 'endpoints = { logout = "/logout", listener = ["tls", "plain"] }\nforward =')
    return BASE.replace("[admin]", '[revocation]\nfile = "revocations"\n[admin]') + auth + f"""
[[route]]
path = "/*"
auth = "users"
backend = "echo"
[backend.echo]
servers = ["ws://127.0.0.1:{port}"]
"""


@pytest.fixture(scope="module")
def echo(backends):
    return backends(Backend(frame_echo))


@pytest.fixture(scope="module")
def shared(start_gateway, echo):
    return start_gateway(config(echo.port), workers=2)


@pytest.fixture
def gateway(fresh_gateway, echo):
    return fresh_gateway(config(echo.port), workers=2)


JTI = iter(range(10 ** 9))


def logout_token(header=None, **changes):
    now = int(time.time())
    body = {"iss": tokens.ISSUER, "aud": tokens.AUDIENCE, "iat": now, "exp": now + 120, "jti": f"logout-{next(JTI)}", "sid": "s-1",
            "sub": "alice", "events": {EVENT: {}}}
    body.update(changes)
    return tokens.mint({name: value for name, value in body.items() if value is not None}, header=header or {"typ": "logout+jwt"})


def say(gateway, token, expected=200, content_type="application/x-www-form-urlencoded", listener="plain"):
    with gateway.client(listener) as client:
        body = urllib.parse.urlencode({"logout_token": token}).encode()
        status, head, said = answer(client, post("/logout", body, [("Content-Type", content_type)]))
        assert status == expected, (status, said)
        assert head.get("Cache-Control") == "no-store"
        if status == 400:
            assert said == {"error": "invalid_request"}
        return said


def come(gateway, **claims):
    # Of a few seconds ago: `iat` has whole seconds, and a token of the second of the logout counts as one from before.
    claims.setdefault("iat", int(time.time()) - 3)
    return gateway.connect("/x", [("Authorization", f"Bearer {tokens.mint(tokens.claims(**claims))}")])


def refused(gateway, **claims):
    with gateway.client() as client:
        return client.upgrade("/x", [("Authorization", f"Bearer {tokens.mint(tokens.claims(**claims))}")]).status


def expect_closed(client):
    opcode, payload = client.recv_message(timeout=3)
    assert opcode == CLOSE and payload == (4403).to_bytes(2, "big") + b"logout"


def expect_open(client):
    client.send_text("still here")
    assert client.recv_text() == "still here"


def test_a_session_ends_and_the_next_one_begins(gateway):
    mine = [come(gateway, sid="s-1", sub="alice") for _ in range(6)]
    other_session = come(gateway, sid="s-2", sub="alice")
    nobody = come(gateway, sub="alice")
    began = time.monotonic()
    assert say(gateway, logout_token()) == b""
    for client in mine:
        expect_closed(client)
    assert time.monotonic() - began < 2
    expect_open(other_session)
    expect_open(nobody)
    assert refused(gateway, sid="s-1", iat=int(time.time()) - 2) == 403, "an old token of the session"
    assert refused(gateway, sid="s-1", iat=int(time.time()) + 2) == 101, "a new login"
    line = wait_for(lambda: [e for e in gateway.events() if e.get("action") == "logout"], 5, "audit line")[0]
    assert (line["event"], line["kind"], line["value"], line["issuer"]) == ("audit", "sid", "s-1", tokens.ISSUER)
    assert line["closed"] == 6 and line["by"] == "127.0.0.1"
    assert gateway.metric("sluice_logout_total", result="done") == 1


def test_without_a_session_it_is_all_of_the_subject(gateway):
    mine = [come(gateway, sid="s-1", sub="alice"), come(gateway, sub="alice")]
    other = come(gateway, sid="s-1", sub="bob")
    say(gateway, logout_token(sid=None))
    for client in mine:
        expect_closed(client)
    expect_open(other)


def test_it_outlives_a_restart(gateway):
    say(gateway, logout_token(sub=None))
    gateway.stop()
    gateway.start()
    assert refused(gateway, sid="s-1", iat=int(time.time()) - 60) == 403
    assert gateway.metric("sluice_revocations") == 1


def test_a_token_is_taken_once(gateway):
    token = logout_token()
    say(gateway, token)
    client = come(gateway, sid="s-1", iat=int(time.time()) + 2)
    for _ in range(6):  # whatever worker it comes to
        say(gateway, token, 400)
    expect_open(client)
    assert gateway.metric("sluice_logout_total", result="refused") == 6
    assert gateway.metric("sluice_rejects_total", reason="bad_logout") == 6
    gateway.reload()
    say(gateway, token, 400)


@pytest.mark.parametrize("changes", [
    {"iss": "https://evil.example.com/"}, {"iss": None}, {"aud": "other"}, {"aud": None}, {"jti": None}, {"iat": None},
    {"iat": 1}, {"exp": 1}, {"nonce": "n"}, {"events": None}, {"events": {}}, {"events": {EVENT: True}}, {"events": [EVENT]},
    {"sub": None, "sid": None}, {"sid": 7}, {"header": {"typ": "at+jwt"}}, {"header": {"typ": "dpop+jwt"}}, {"header": {"alg": "none"}},
], ids=str)
def test_what_is_no_logout(shared, changes):
    with come(shared, sid="s-1") as client:
        say(shared, logout_token(**changes), 400)
        expect_open(client)


def test_keys_that_are_fetched_are_waited_for(fresh_gateway, echo, authority):
    old, new = tokens.private_key("ES256"), tokens.private_key("ES256")
    certificate = authority.issue("keys", ["localhost", "127.0.0.1"])
    with KeyServer(server_context(certificate)) as server:
        server.keys(old=old)
        text = config(echo.port).replace('algorithms = ["HS256"]', 'algorithms = ["ES256"]').replace(
            'secret_file = "hs256.secret"', f'jwks_url = "{server.url()}"\njwks_ca = "{authority.path}"\njwks_allow = ["127.0.0.0/8"]')
        gateway = fresh_gateway(text, workers=2)
        wait_for(lambda: gateway.metric("sluice_jwks_refresh_total", result="ok") >= 1, 10, "the first set of keys")
        server.keys(old=old, new=new)
        claims = tokens.claims(sid="s-1", iat=int(time.time()) - 3)
        client = gateway.connect("/x", [("Authorization", "Bearer " + tokens.mint(claims, algorithm="ES256", key=old, header={"kid": "old"}))])
        for kid, status in (("new", 200), ("none", 400)):
            now = int(time.time())
            body = {"iss": tokens.ISSUER, "aud": tokens.AUDIENCE, "iat": now, "exp": now + 60, "jti": kid, "sid": "s-1", "events": {EVENT: {}}}
            say(gateway, tokens.mint(body, algorithm="ES256", key=new, header={"kid": kid, "typ": "logout+jwt"}), status)
        expect_closed(client)


def test_what_is_no_form(gateway):
    client = come(gateway, sid="s-1")
    say(gateway, logout_token(), 400, "application/json")
    say(gateway, tokens.mint(tokens.claims(sid="s-1")), 400)
    say(gateway, "x" * 65_000, 400)
    with gateway.client() as poster:
        assert answer(poster, post("/logout", b"x" * 65_537))[0] == 413
    with gateway.client() as poster:
        assert answer(poster, post("/logout", b"", method="GET"))[0] == 405
    expect_open(client)
    assert gateway.metric("sluice_revocations") == 0


def test_a_logout_token_opens_nothing(gateway):
    for header in ({"typ": "logout+jwt"}, {"typ": "JWT"}, {"typ": ...}):
        with gateway.client() as client:
            assert client.upgrade("/x", [("Authorization", f"Bearer {logout_token(header)}")]).status == 401

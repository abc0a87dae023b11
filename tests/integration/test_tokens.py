"""The token check: claims that go upstream, refusal by close, expiry, every algorithm, and that no token leaks. What tokens and
carriers are refused, and why, is test_token_table.py."""

import json
import re
import time

import pytest

import tokens
from evil import Backend, head_teller
from gateway import AUTH, BASE, wait_for
from rawws import check_101
from tokens import AUDIENCE, ISSUER, SECRET, claims, mint, private_key, public_pem
from wire import TEXT

CANARY = "canary-0f7a1c"


@pytest.fixture(scope="module")
def backend(backends):
    return backends(Backend(head_teller))


@pytest.fixture(scope="module")
def gateway(start_gateway, backend):
    return start_gateway(BASE + AUTH + f"""
[auth.scoped]
type = "jwt"
algorithms = ["HS256", "HS384", "HS512"]
secret_file = "hs256.secret"
issuer = "{ISSUER}"
audience = "{AUDIENCE}"
from = ["header:Authorization"]
require = {{ scope = "chat" }}
forward = {{ sub = "X-User-Id", scope = "X-User-Scope", roles = "X-Roles", level = "X-Level", admin = "X-Admin" }}
leeway = "0s"
[[route]]
path = "/chat"
auth = "users"
backend = "teller"
[[route]]
path = "/scoped"
auth = "scoped"
backend = "teller"
[[route]]
path = "/soft"
auth = "users"
backend = "teller"
reject = "close"
[[route]]
path = "/softscoped"
auth = "scoped"
backend = "teller"
reject = "close"
[backend.teller]
servers = ["ws://127.0.0.1:{backend.port}"]
""")


def bearer(token):
    return [("Authorization", f"Bearer {token}")]


def told(client):
    opcode, payload = client.recv_message()
    assert opcode == TEXT
    fields = json.loads(payload)
    return fields[0][1], fields[1:]


def values(fields, name):
    return [value for key, value in fields if key.lower() == name.lower()]


def answer(gateway, path="/chat", fields=()):
    with gateway.client() as client:
        return client.upgrade(path, fields)


# ---- refusals
def test_all_faults_look_alike(gateway):
    """What is wrong with a token is for the log, not for its bearer."""
    bodies = set()
    for token in ("not.a.token", mint(key=b"x" * 40), mint(claims(iss="https://id.example.com")), mint(claims(aud="chatter")),
                  mint(header={"alg": "nOnE"})):
        head = answer(gateway, "/chat", bearer(token))
        body = re.sub(rb"[0-9a-f]{8,}", b"ID", head.body)
        bodies.add((body, head.get("WWW-Authenticate")))
    assert len(bodies) == 1, bodies


# ---- required claims, forwarded claims
def test_forwarded_claims(gateway):
    body = claims(scope="read chat", roles=["a", "b"], level=7, admin=True)
    with gateway.connect("/scoped", bearer(mint(body))) as client:
        _, fields = told(client)
        seen = {name: values(fields, name) for name in ("X-User-Id", "X-User-Scope", "X-Roles", "X-Level", "X-Admin")}
        assert seen == {"X-User-Id": ["alice"], "X-User-Scope": ["read chat"], "X-Roles": ["a b"], "X-Level": ["7"],
                        "X-Admin": ["true"]}


# ---- reject = "close"
@pytest.mark.parametrize("path, token, code", [("/soft", None, 4401), ("/soft", "bad", 4401), ("/softscoped", "good", 4403)])
def test_reject_by_close(gateway, backend, path, token, code):
    count = backend.count
    fields = bearer({"bad": "x.y.z", "good": mint()}[token]) if token else []
    with gateway.client() as client:
        check_101(client.upgrade(path, fields))
        client.expect_close(code)
        client.send_close(code)
        client.expect_end()
    assert backend.count == count
    assert gateway.wait_access(event="ws_close", close_code=code)


def test_foreign_origin_by_close(gateway, backend):
    count = backend.count
    with gateway.client() as client:
        check_101(client.upgrade("/soft", bearer(mint()) + [("Origin", "https://evil.example")]))
        client.expect_close(4403)
    assert backend.count == count
    assert gateway.wait_access(event="ws_close", close_code=4403, route="/soft")["reason"] == "origin"


def test_reject_by_close_lets_good_tokens_through(gateway):
    with gateway.connect("/soft", bearer(mint())) as client:
        told(client)
        client.send_text("hello")
        assert client.recv_text() == "hello"


# ---- expiry of a live connection
@pytest.fixture(scope="module")
def short(start_gateway, backend):
    common = f"""
type = "jwt"
algorithms = ["HS256"]
secret_file = "hs256.secret"
from = ["header:Authorization"]
leeway = "0s"
"""
    return start_gateway(BASE + f"""
[auth.closing]
{common}
[auth.coded]
{common}
expiry_close_code = 4999
[auth.keeping]
{common}
on_expiry = "keep"
[[route]]
path = "/closing"
auth = "closing"
backend = "teller"
[[route]]
path = "/coded"
auth = "coded"
backend = "teller"
[[route]]
path = "/keeping"
auth = "keeping"
backend = "teller"
[backend.teller]
servers = ["ws://127.0.0.1:{backend.port}"]
""")


@pytest.mark.parametrize("path, code", [("/closing", 4401), ("/coded", 4999)])
def test_expiry_closes(short, backend, path, code):
    expires = int(time.time()) + 3
    with short.connect(path, bearer(mint(claims(exp=expires)))) as client:
        told(client)
        client.send_text("before")
        assert client.recv_text() == "before"
        client.expect_close(code, 10)
        assert time.time() >= expires - 0.1
        client.send_close(code)
        client.expect_end()
    assert backend.wait_peer(-1).done.wait(5)
    line = short.wait_access(event="ws_close", close_code=code)
    assert line["close_initiator"] == "gateway"


def test_expiry_may_keep(short):
    with short.connect("/keeping", bearer(mint(claims(exp=int(time.time()) + 2)))) as client:
        told(client)
        time.sleep(3.2)
        client.send_text("after")
        assert client.recv_text() == "after"


# ---- asymmetric keys
ASYMMETRIC = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


@pytest.fixture(scope="module")
def keys():
    rsa = private_key("RS256")
    return {name: rsa if name[:2] in ("RS", "PS") else private_key(name) for name in ASYMMETRIC}


@pytest.fixture(scope="module")
def asymmetric(start_gateway, backend, keys, tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    text = ""
    for name in ASYMMETRIC:
        (folder / f"{name}.pem").write_bytes(public_pem(keys[name]))
        text += f"""
[auth.{name.lower()}]
type = "jwt"
algorithms = ["{name}"]
public_key_file = "{folder}/{name}.pem"
from = ["header:Authorization"]
[[route]]
path = "/{name}"
auth = "{name.lower()}"
backend = "teller"
"""
    text += f"""
[backend.teller]
servers = ["ws://127.0.0.1:{backend.port}"]
"""
    return start_gateway(BASE + text)


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_algorithm(asymmetric, keys, algorithm):
    asymmetric.connect(f"/{algorithm}", bearer(mint(algorithm=algorithm, key=keys[algorithm]))).close()
    changed = mint(algorithm=algorithm, key=keys[algorithm])[:-6] + "AAAAAA"
    assert answer(asymmetric, f"/{algorithm}", bearer(changed)).status == 401
    other = private_key(algorithm)
    assert answer(asymmetric, f"/{algorithm}", bearer(mint(algorithm=algorithm, key=other))).status == 401


# ---- nothing leaks (T18)
def test_no_token_in_log_metric_or_admin(gateway, backend):
    """Good and bad tokens by every carrier; then nothing that the gateway says may hold a part of one."""
    good = mint(claims(sub="alice", jti=CANARY, note=CANARY))
    bad = mint(claims(jti=CANARY), key=b"y" * 40)
    tokens_used = [good, bad]
    live = []
    for token in tokens_used:
        for path, fields in ((f"/chat?access_token={token}&x=1", []), ("/chat", bearer(token)),
                             ("/chat", [("Cookie", f"session={token}"), ("Origin", "http://localhost")]),
                             ("/chat", [("Sec-WebSocket-Protocol", f"bearer, {token}")]),
                             (f"/nowhere?access_token={token}", []), (f"/chat%00?access_token={token}", [])):
            client = gateway.client()
            head = client.upgrade(path, fields)
            assert token not in head.raw.decode("latin-1") + head.body.decode("latin-1")
            live.append(client)
    said = gateway.log_text() + json.dumps(gateway.access())
    for path in ("/metrics", "/api/v1/status", "/api/v1/backends", "/api/v1/connections"):
        said += gateway.admin(path)[1].decode()
    for client in live:
        client.close()
    time.sleep(0.3)
    said += gateway.log_text() + (gateway.folder / "access.log").read_text()
    for token in tokens_used:
        for part in token.split("."):
            assert part[:24] not in said or part == token.split(".")[0], f"{part[:24]} leaked"
        assert token not in said and token.split(".")[2] not in said
    assert CANARY not in said
    assert SECRET.decode() not in said


def test_access_log_says_who(gateway):
    with gateway.connect("/chat", bearer(mint(claims(sub="carol")))) as client:
        told(client)
    line = gateway.wait_access(event="ws_open", route="/chat", auth_method="jwt")
    assert "subject" in line


def test_auth_metrics(gateway):
    before = gateway.metric("sluice_rejects_total", stage="auth")
    assert answer(gateway).status == 401
    wait_for(lambda: gateway.metric("sluice_rejects_total", stage="auth") > before, 3, "auth reject counted")
    assert any(series.startswith("sluice_auth_total") for series in gateway.metrics())

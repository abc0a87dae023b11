"""Every row of the table of tokens and carriers (token_rows.py) through the handshake of the real binary: the answer, the reason in the
log, what the backend was told, and that nothing of a credential went any further."""

import collections
import inspect
import json
import re

import pytest

from certs import server_context
from evil import Backend, head_teller
from gateway import AUTH, BASE, wait_for
from keyserver import KeyServer
from rawws import check_101
from token_rows import FIRST, ROWS, SECOND, Bad, Closed, Good
from token_world import API_KEY_FILE, EC256, KEYS, REVOKED, key_set
from tokens import AUDIENCE, ISSUER, jwk, public_pem
from wire import TEXT

TOKEN = "an-admin-token-0123456789"


def config(port: int, keys: KeyServer, authority) -> str:
    def auth(name: str, *lines: str) -> str:
        return f'[auth.{name}]\ntype = "jwt"\n' + "\n".join(lines) + "\n"

    def route(path: str, names: str, more: str = "") -> str:
        return f'[[route]]\npath = "{path}"\nauth = {names}\nbackend = "teller"\n{more}\n'

    forward, parties = 'forward = { sub = "X-User-Id" }', f'issuer = "{ISSUER}"\naudience = "{AUDIENCE}"'
    secret = 'secret_file = "hs256.secret"'
    fetched = f'jwks_ca = "{authority.path}"\njwks_allow = ["127.0.0.0/8"]\nalgorithms = ["ES256"]'
    text = BASE.replace('"127.0.0.1:@admin@"', '"127.0.0.1:@admin@"\ntoken_file = "admin.token"') + AUTH
    text += route("/hs", '"users"') + route("/soft", '"users"', 'reject = "close"') + route("/mixed", '["users", "machines"]')
    text += auth("hsall", 'algorithms = ["HS256", "HS384", "HS512"]', secret, forward) + route("/hsall", '"hsall"')
    text += auth("strict", 'algorithms = ["HS256"]', secret, parties, 'leeway = "0s"', 'max_lifetime = "1h"', 'require = { scope = "chat" }',
                 'forward = { sub = "X-User-Id", scope = "X-Scope", level = "X-Level", admin = "X-Admin" }') + route("/strict", '"strict"')
    text += auth("order", 'algorithms = ["HS256"]', secret, forward,
                 'from = ["cookie:session", "header:X-Token", "header:Authorization"]') + route("/order", '"order"')
    for name in KEYS:
        text += auth(f"pem-{name.lower()}", f'algorithms = ["{name}"]', f'public_key_file = "{name}.pem"', forward)
        text += route(f"/{name}", f'"pem-{name.lower()}"')
    text += auth("set", 'algorithms = ["RS256", "PS256", "ES256", "ES384", "EdDSA"]', 'jwks_file = "set.json"', forward) + route("/set", '"set"')
    text += auth("one", 'algorithms = ["ES256"]', 'jwks_file = "one.json"', forward) + route("/one", '"one"')
    text += auth("fetched", f'jwks_url = "{keys.url()}"', fetched, forward) + route("/fetched", '"fetched"')
    text += auth("unloaded", f'jwks_url = "{keys.url("/none")}"', fetched) + route("/unloaded", '"unloaded"')
    text += auth("first", 'algorithms = ["HS256"]', secret, f'issuer = "{FIRST}"', forward)
    text += auth("second", 'algorithms = ["ES256"]', 'public_key_file = "ES256.pem"', f'issuer = "{SECOND}"', 'forward = { sub = "X-Second" }')
    text += route("/two", '["first", "second"]')
    return text + f"""
[auth.machines]
type = "api_key"
keys_file = "keys.toml"
forward = {{ sub = "X-Client" }}
failures = "off"
[[route]]
path = "/open"
backend = "teller"
[backend.teller]
servers = ["ws://127.0.0.1:{port}"]
"""


@pytest.fixture(scope="module")
def backend(backends):
    return backends(Backend(head_teller))


@pytest.fixture(scope="module")
def canary(backends):
    """What tokens name as the place of their keys. Whoever comes here has believed one."""
    return backends(Backend(head_teller))


@pytest.fixture(scope="module")
def gateway(start_gateway, authority, backend):
    with KeyServer(server_context(authority.issue("keys", ["localhost", "127.0.0.1"]))) as keys:
        keys.keys(p256=EC256)
        gateway = start_gateway(config(backend.port, keys, authority), start=False)
        for name, key in KEYS.items():
            (gateway.folder / f"{name}.pem").write_bytes(public_pem(key))
        only = jwk(EC256, "ES256", "")
        del only["kid"]
        for file, text in (("set.json", json.dumps(key_set())), ("one.json", json.dumps({"keys": [only]})), ("keys.toml", API_KEY_FILE),
                           ("admin.token", TOKEN)):
            (gateway.folder / file).write_text(text)
            (gateway.folder / file).chmod(0o600)
        gateway.start()
        gateway.admin_token = TOKEN
        for what in ({"jti": REVOKED}, {"sub": REVOKED}, {"claim": {"name": "room", "value": REVOKED}}):
            status, body = gateway.admin("/api/v1/revoke", "POST", {"Content-Type": "application/json"},
                                         json.dumps({**what, "ttl": "1h"}).encode())
            assert status == 200, body
        wait_for(lambda: gateway.metric("sluice_jwks_refresh_total", auth="fetched", result="ok") >= 1, 10, "the fetched keys")
        yield gateway


def credentials(request) -> list:
    """Every word of the request that is long enough to be (a part of) a credential."""
    text = request.path.partition("?")[2] + " " + " ".join(value for _, value in request.fields)
    for sign in '.,;=&?%"+~{}: \t':
        text = text.replace(sign, " ")
    return [word for word in text.split() if len(word) >= 20]


@pytest.fixture(scope="module")
def expected():
    """How often each reason was met."""
    return collections.Counter()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.group}-{row.name}".encode("ascii", "replace").decode().replace("\x00", "0"))
def test_row(gateway, backend, canary, expected, row):
    request = row.request(*([canary.port] if inspect.signature(row.request).parameters.get("canary") else []))
    reached, error = backend.count, ""
    with gateway.client() as client:
        head = client.upgrade(request.path, request.fields)
        if isinstance(row.verdict, Good):
            accepted(client, head, row.verdict, request)
        else:
            expected[row.verdict.reason] += 1
            if isinstance(row.verdict, Closed):
                check_101(head)
                client.expect_close(row.verdict.code)
            else:
                error = refused(gateway, head, row.verdict)
            assert backend.count == reached, "nothing may reach a backend"
    print(f"{row.group:12} {row.name.encode('unicode_escape').decode()[:64]:64} {head.status} "
          f"{getattr(row.verdict, 'reason', 'accepted'):16} {error}")


def accepted(client, head, verdict: Good, request) -> None:
    check_101(head)
    if verdict.chosen:
        assert head.all("Sec-WebSocket-Protocol") == [verdict.chosen]
    opcode, payload = client.recv_message()
    assert opcode == TEXT
    (_, line), *fields = json.loads(payload)
    for name, value in verdict.seen.items():
        assert [text for key, text in fields if key.lower() == name.lower()] == ([] if value is None else [value]), (name, fields)
    if verdict.line:
        assert line == verdict.line
    if "Authorization" not in verdict.seen or verdict.seen["Authorization"] is None:
        for part in credentials(request):
            assert part not in line and part not in json.dumps(fields), "the backend was sent a part of the credential"
    for known in ("x_user_id", "x.user.id"):
        assert known not in [key.lower() for key, _ in fields]


def refused(gateway, head, verdict: Bad) -> str:
    assert head is not None, "closed without an answer"
    id = head.get("X-Request-Id")
    line = gateway.wait_access(id=id) if id else gateway.wait_access(reason=verdict.reason)
    assert (head.status, line["reason"]) == (verdict.status, verdict.reason), line
    assert (line["status"], line["event"]) == (verdict.status, "http")
    assert f"({verdict.reason})".encode() in head.body and len(head.body) < 100, "an answer says no more than the reason"
    if verdict.error:
        assert line["error"] == verdict.error
    if verdict.status == 401:
        challenge = head.get("WWW-Authenticate", "")
        assert challenge.startswith("Bearer ") and ('error="invalid_token"' in challenge) == (verdict.reason != "no_token")
    return line.get("error", "")


def test_nobody_went_where_a_token_sent_them(gateway, canary):
    """After the rows: the gateway has asked for keys where its configuration says, and nowhere else."""
    assert canary.count == 0


def test_every_refusal_was_counted_under_its_reason(gateway, expected):
    def counted():
        series = {name: value for name, value in gateway.metrics().items() if name.startswith("sluice_rejects_total")}
        return {re.search('reason="([a-z_]+)"', name)[1]: value for name, value in series.items() if value}
    wait_for(lambda: sum(counted().values()) >= sum(expected.values()), 5, "all of them")
    assert counted() == expected


def test_the_table_is_as_long_as_it_should_be():
    assert len({(row.group, row.name) for row in ROWS}) == len(ROWS), "two rows of one name"
    assert len(ROWS) >= 150
    print(f"{len(ROWS)} rows")

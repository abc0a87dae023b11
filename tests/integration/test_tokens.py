"""The token check: carriers, algorithms, claims, refusals, expiry, what goes upstream, and that no token leaks."""

import json
import re
import time

import pytest

import tokens
from evil import Backend, head_teller
from gateway import AUTH, BASE, wait_for
from rawws import check_101
from tokens import AUDIENCE, ISSUER, SECRET, b64, claims, jwk, mint, private_key, public_pem
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


# ---- carriers
def test_authorization_header(gateway):
    with gateway.connect("/chat", bearer(mint())) as client:
        _, fields = told(client)
        assert values(fields, "X-User-Id") == ["alice"]
        assert values(fields, "Authorization") == []


def test_scheme_is_case_insensitive(gateway):
    gateway.connect("/chat", [("Authorization", f"bearer {mint()}")]).close()


def test_cookie(gateway):
    token = mint()
    fields = [("Cookie", f"theme=dark; session={token}; lang=de"), ("Origin", "http://localhost")]
    with gateway.connect("/chat", fields) as client:
        _, fields = told(client)
        assert values(fields, "Cookie") == ["theme=dark; lang=de"]


def test_cookie_is_skipped_for_other_sites(gateway):
    """A cookie comes along from any page: without `origins` only the gateway's own host may use it."""
    cookie = [("Cookie", f"session={mint()}")]
    assert answer(gateway, "/chat", cookie + [("Origin", "https://evil.example")]).status in (401, 403)
    assert answer(gateway, "/chat", cookie).status == 401, "without an Origin nobody knows which page it was"
    with gateway.client() as client:
        check_101(client.upgrade("/chat", cookie + [("Origin", "http://localhost")], host="localhost"))


def test_query(gateway):
    with gateway.connect(f"/chat?a=1&access_token={mint()}&b=2") as client:
        line, _ = told(client)
        assert line == "GET /chat?a=1&b=2 HTTP/1.1"
    with gateway.connect(f"/chat?access_token={mint()}") as client:
        assert told(client)[0] == "GET /chat HTTP/1.1"


def test_subprotocol(gateway):
    with gateway.client() as client:
        head = check_101(client.upgrade("/chat", [("Sec-WebSocket-Protocol", f"bearer, {mint()}, chat.v2")]))
        assert head.all("Sec-WebSocket-Protocol") == ["chat.v2"]
        assert values(told(client)[1], "Sec-WebSocket-Protocol") == ["chat.v2"]


def test_subprotocol_alone_answers_the_marker(gateway):
    with gateway.client() as client:
        head = check_101(client.upgrade("/chat", [("Sec-WebSocket-Protocol", f"bearer, {mint()}")]))
        assert head.all("Sec-WebSocket-Protocol") == ["bearer"]
        assert values(told(client)[1], "Sec-WebSocket-Protocol") == []


def test_all_carriers_are_removed_upstream(gateway):
    token = mint()
    fields = bearer(token) + [("Cookie", f"session={token}")]
    with gateway.connect(f"/chat?access_token={token}", fields) as client:
        line, got = told(client)
        assert token not in line and token not in json.dumps(got)


def test_first_carrier_decides(gateway):
    good = mint()
    head = answer(gateway, f"/chat?access_token={good}", bearer("not.a.token"))
    assert head.status == 401


def test_one_carrier_twice(gateway):
    token = mint()
    assert answer(gateway, "/chat", bearer(token) * 2).status == 400
    assert answer(gateway, f"/chat?access_token={token}&access_token={token}").status == 400


# ---- refusals
def test_no_token(gateway, backend):
    count = backend.count
    head = answer(gateway)
    assert head.status == 401 and backend.count == count
    challenge = head.get("WWW-Authenticate")
    assert challenge.startswith("Bearer") and "error=" not in challenge


def test_other_scheme_is_no_token(gateway):
    head = answer(gateway, "/chat", [("Authorization", "Basic dXNlcjpwYXNz")])
    assert head.status == 401


BAD = {
    "garbage": lambda: "not.a.token",
    "empty": lambda: "",
    "two parts": lambda: mint().rsplit(".", 1)[0],
    "four parts": lambda: mint() + ".x",
    "many dots": lambda: "." * 5000,
    "json form": lambda: json.dumps({"payload": "x", "signatures": []}).replace(" ", ""),
    "padding": lambda: mint() + "=",
    "bad octets": lambda: mint() + "%",
    "signature changed": lambda: mint()[:-4] + ("AAAA" if mint()[-4:] != "AAAA" else "BBBB"),
    "signature empty": lambda: mint(signature=b""),
    "signature short": lambda: mint(signature=b"x" * 31),
    "other secret": lambda: mint(key=b"x" * 40),
    "alg none": lambda: mint(header={"alg": "none"}, signature=b""),
    "alg None": lambda: mint(header={"alg": "None"}, signature=b""),
    "alg nOnE": lambda: mint(header={"alg": "nOnE"}),
    "alg empty": lambda: mint(header={"alg": ""}),
    "alg null": lambda: mint(header={"alg": None}),
    "alg list": lambda: mint(header={"alg": ["HS256"]}),
    "alg missing": lambda: mint(header={"alg": ...}),
    "alg HS384 not listed": lambda: mint(algorithm="HS384"),
    "alg lower case": lambda: mint(header={"alg": "hs256"}),
    "crit b64": lambda: mint(header={"crit": ["b64"], "b64": False}),
    "crit empty": lambda: mint(header={"crit": []}),
    "b64 false": lambda: mint(header={"b64": False}),
    "zip": lambda: mint(header={"zip": "DEF"}),
    "typ other": lambda: mint(header={"typ": "JOSE"}),
    "header no object": lambda: mint(raw_header=b'["HS256"]'),
    "header twice alg": lambda: mint(raw_header=b'{"alg":"none","alg":"HS256"}'),
    "body no object": lambda: mint(raw_body=b"[]"),
    "body no json": lambda: mint(raw_body=b"{"),
    "body not utf-8": lambda: mint(raw_body=b'{"sub":"\xff"}'),
    "sub twice": lambda: mint(raw_body=json.dumps(claims()).encode()[:-1] + b',"sub":"root"}'),
    "deep": lambda: mint(raw_body=json.dumps(claims()).encode()[:-1] + b',"d":' + b"[" * 40 + b"]" * 40 + b"}"),
    "exp missing": lambda: mint(claims(exp=None)),
    "exp past": lambda: mint(claims(exp=int(time.time()) - 60)),
    "exp string": lambda: mint(claims(exp="9999999999")),
    "exp negative": lambda: mint(claims(exp=-1)),
    "exp exponent": lambda: mint(raw_body=json.dumps(claims(exp=7)).encode().replace(b'"exp": 7', b'"exp": 1e400')),
    "exp huge exponent": lambda: mint(raw_body=json.dumps(claims(exp=7)).encode().replace(b'"exp": 7', b'"exp": 1e1000000000')),
    "nbf future": lambda: mint(claims(nbf=int(time.time()) + 120)),
    "iss other": lambda: mint(claims(iss="https://id.example.com")),
    "iss missing": lambda: mint(claims(iss=None)),
    "aud other": lambda: mint(claims(aud="chatter")),
    "aud part": lambda: mint(claims(aud="cha")),
    "aud missing": lambda: mint(claims(aud=None)),
    "aud list of others": lambda: mint(claims(aud=["a", "b"])),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_token(gateway, backend, name):
    count = backend.count
    head = answer(gateway, "/chat", bearer(BAD[name]()))
    assert backend.count == count
    assert head.status == 401 or (name == "empty" and head.status in (400, 401)), (head.status, head.body)
    if name != "empty":
        assert 'error="invalid_token"' in head.get("WWW-Authenticate")
    assert re.fullmatch(rb"[ -~\r\n]{0,256}", head.body)


def test_all_faults_look_alike(gateway):
    """What is wrong with a token is for the log, not for its bearer."""
    bodies = set()
    for name in ("garbage", "other secret", "iss other", "aud other", "alg nOnE"):
        head = answer(gateway, "/chat", bearer(BAD[name]()))
        body = re.sub(rb"[0-9a-f]{8,}", b"ID", head.body)
        bodies.add((body, head.get("WWW-Authenticate")))
    assert len(bodies) == 1, bodies


def test_oversized_token(gateway):
    assert answer(gateway, "/chat", bearer("a" * 20000)).status in (401, 431)


@pytest.mark.parametrize("change", [dict(aud=["other", AUDIENCE]), dict(nbf=int(time.time()) - 5),
                                    dict(exp=int(time.time()) + 5), dict(extra={"a": [1, 2, {"b": None}]})])
def test_good_claims(gateway, change):
    gateway.connect("/chat", bearer(mint(claims(**change)))).close()


def test_leeway(gateway):
    """Thirty seconds by default, none where the configuration says none."""
    late = int(time.time()) - 15
    gateway.connect("/chat", bearer(mint(claims(exp=late)))).close()
    assert answer(gateway, "/scoped", bearer(mint(claims(exp=late, scope="chat")))).status == 401


# ---- required claims, forwarded claims
def test_required_claim(gateway):
    head = answer(gateway, "/scoped", bearer(mint()))
    assert head.status == 403 and 'error="insufficient_scope"' in head.get("WWW-Authenticate", "")
    assert answer(gateway, "/scoped", bearer(mint(claims(scope="chatter")))).status == 403
    gateway.connect("/scoped", bearer(mint(claims(scope="read chat")))).close()
    gateway.connect("/scoped", bearer(mint(claims(scope=["chat", "x"])))).close()


def test_forwarded_claims(gateway):
    body = claims(scope="read chat", roles=["a", "b"], level=7, admin=True)
    with gateway.connect("/scoped", bearer(mint(body))) as client:
        _, fields = told(client)
        seen = {name: values(fields, name) for name in ("X-User-Id", "X-User-Scope", "X-Roles", "X-Level", "X-Admin")}
        assert seen == {"X-User-Id": ["alice"], "X-User-Scope": ["read chat"], "X-Roles": ["a b"], "X-Level": ["7"],
                        "X-Admin": ["true"]}


@pytest.mark.parametrize("sub", ["a\r\nX-Admin: 1", "tab\there", "grüße", {"a": 1}, [1, ["x"]]])
def test_claim_that_is_no_header_value(gateway, backend, sub):
    count = backend.count
    head = answer(gateway, "/scoped", bearer(mint(claims(sub=sub, scope="chat"))))
    assert head.status in (401, 403) and backend.count == count


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_hmac_algorithms(gateway, algorithm):
    gateway.connect("/scoped", bearer(mint(claims(scope="chat"), algorithm=algorithm))).close()


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
    (folder / "jwks.json").write_text(json.dumps({"keys": [jwk(keys[n], n, f"key-{n}") for n in
                                                           ("RS256", "ES256", "ES384", "EdDSA")]}))
    text += f"""
[auth.set]
type = "jwt"
algorithms = ["RS256", "ES256", "ES384", "EdDSA"]
jwks_file = "{folder}/jwks.json"
from = ["header:Authorization"]
[[route]]
path = "/set"
auth = "set"
backend = "teller"
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


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_public_key_is_no_hmac_secret(asymmetric, keys, algorithm):
    for secret in (public_pem(keys[algorithm]), public_pem(keys[algorithm]).rstrip(b"\n"),
                   json.dumps(jwk(keys[algorithm], algorithm, "k")).encode()):
        assert answer(asymmetric, f"/{algorithm}", bearer(mint(key=secret))).status == 401


def test_algorithm_is_pinned_to_the_key(asymmetric, keys):
    assert answer(asymmetric, "/RS256", bearer(mint(algorithm="PS256", key=keys["RS256"]))).status == 401
    assert answer(asymmetric, "/ES256", bearer(mint(algorithm="RS256", key=keys["RS256"]))).status == 401


def test_ecdsa_signatures_of_odd_shape(asymmetric, keys):
    n = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    order = n.to_bytes(32, "big")
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    good = mint(algorithm="ES256", key=keys["ES256"])
    der = keys["ES256"].sign(good.rsplit(".", 1)[0].encode(), ec.ECDSA(hashes.SHA256()))
    for signature in (bytes(64), order * 2, order + b"\1" * 32, b"\1" * 32 + order, b"\1" * 63, b"\1" * 65, der):
        forged = good.rsplit(".", 1)[0] + "." + b64(signature)
        assert answer(asymmetric, "/ES256", bearer(forged)).status == 401


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "ES384", "EdDSA"])
def test_key_set(asymmetric, keys, algorithm):
    kid = {"kid": f"key-{algorithm}"}
    asymmetric.connect("/set", bearer(mint(algorithm=algorithm, key=keys[algorithm], header=kid))).close()
    wrong = {"kid": "key-RS256" if algorithm != "RS256" else "key-ES256"}
    assert answer(asymmetric, "/set", bearer(mint(algorithm=algorithm, key=keys[algorithm], header=wrong))).status == 401


@pytest.mark.parametrize("header", [{"kid": "unknown"}, {"kid": "../../dev/null"}, {"kid": "' OR 1=1"},
                                    {"kid": "\r\nDEL x"}, {"kid": 7}, {"kid": "k" * 500}])
def test_key_ids_that_name_nothing(asymmetric, keys, header):
    assert answer(asymmetric, "/set", bearer(mint(algorithm="RS256", key=keys["RS256"], header=header))).status == 401


def test_keys_in_the_token_are_never_used(asymmetric, keys):
    """CVE-2018-0114 and its kin: the token brings its own key, or an address of one."""
    mine = private_key("RS256")
    contacted = Backend(head_teller)
    address = f"http://127.0.0.1:{contacted.port}/keys"
    for header in ({"jwk": jwk(mine, "RS256", "mine"), "kid": "mine"}, {"jku": address}, {"x5u": address},
                   {"jku": address, "kid": "key-RS256"}):
        assert answer(asymmetric, "/set", bearer(mint(algorithm="RS256", key=mine, header=header))).status == 401
    assert contacted.count == 0
    contacted.stop()


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

"""One-time tickets: a credential is exchanged for one, which opens one connection and no more."""

import base64
import json
import threading
import time

import pytest

import tokens
from evil import Backend, frame_echo
from gateway import AUTH, BASE, wait_for
from posts import answer, post

PAGE = "https://chat.example.com"
FROM = '"cookie:session"]'


def config(port, endpoints=""):
    auth = AUTH.replace(FROM, '"cookie:session", "ticket:ticket"]').replace(
        "forward =", f'endpoints = {{ ticket = "/tickets", origins = ["{PAGE}"]{endpoints} }}\nforward =')
    return BASE + auth + f"""
[auth.keys]
type = "api_key"
keys_file = "keys.toml"
from = ["header:X-API-Key", "query:machine-key", "ticket:ticket"]
endpoints = {{ ticket = "/key-tickets" }}
[[route]]
path = "/members"
auth = ["users", "keys"]
backend = "echo"
[[route]]
path = "/others"
auth = "keys"
backend = "echo"
[[route]]
path = "/closing"
auth = "users"
reject = "close"
backend = "echo"
[backend.echo]
servers = ["ws://127.0.0.1:{port}"]
"""


@pytest.fixture(scope="module")
def echo(backends):
    return backends(Backend(frame_echo))


def start(fresh_gateway, echo, endpoints=""):
    gateway = fresh_gateway(config(echo.port, endpoints), start=False, workers=2)
    import hashlib
    digest = hashlib.sha256(b"a-key-of-a-machine-0123456789abcdef").hexdigest()
    (gateway.folder / "keys.toml").write_text(f'[[key]]\nname = "machine"\nsha256 = "{digest}"\n')
    (gateway.folder / "keys.toml").chmod(0o600)
    return gateway.start()


@pytest.fixture(scope="module")
def gateway(start_gateway, echo):
    return start(start_gateway, echo)


def bearer(**claims):
    return [("Authorization", f"Bearer {tokens.mint(tokens.claims(**claims))}")]


def ticket(gateway, fields=None, path="/tickets", listener="tls", **how):
    with gateway.client(listener) as client:
        status, _, body = answer(client, post(path, b"", bearer() if fields is None else fields, **how))
        assert status == 200, body
        return body["ticket"]


def opening(gateway, text, path="/members", **how):
    with gateway.client("tls", **how) as client:
        return client.upgrade(f"{path}?ticket={text}").status


def refusals(gateway, reason="bad_ticket"):
    return gateway.metric("sluice_rejects_total", reason=reason)


def test_a_ticket_opens_one_connection(gateway):
    issued, used = (gateway.metric("sluice_tickets_total", result=what) for what in ("issued", "used"))
    before = refusals(gateway)
    with gateway.client("tls") as client:
        status, head, body = answer(client, post("/tickets", b"", bearer(sub="anna", jti="j-1")))
        assert status == 200 and body["expires_in"] == 30
        assert head.get("Content-Type") == "application/json" and head.get("Cache-Control") == "no-store"
        assert len(base64.urlsafe_b64decode(body["ticket"] + "=")) == 32, "256 bits"
    with gateway.connect(f"/members?ticket={body['ticket']}&room=1", listener="tls") as client:
        client.send_text("hello")
        assert client.recv_text() == "hello"
        line = gateway.wait_access(event="ws_open", subject="anna")
        assert line["path"] == "/members?ticket=[redacted]&room=1" and line["auth_method"] == "jwt"
    assert opening(gateway, body["ticket"]) == 401
    assert refusals(gateway) == before + 1
    assert gateway.metric("sluice_tickets_total", result="issued") == issued + 1
    assert gateway.metric("sluice_tickets_total", result="used") == used + 1
    assert body["ticket"] not in gateway.log_text() + json.dumps(gateway.access())


def test_who_got_one_is_written_down(gateway):
    ticket(gateway, bearer(sub="greta"))
    line = wait_for(lambda: [e for e in gateway.events() if e.get("event") == "audit" and e.get("subject") == "greta"], 5, "audit line")[0]
    assert (line["action"], line["auth"], line["by"]) == ("ticket", "users", "127.0.0.1")


def test_the_backend_sees_who_it_is_and_no_ticket(gateway, echo):
    text = ticket(gateway, bearer(sub="ben"))
    with gateway.connect(f"/members?a=1&ticket={text}&b=2", listener="tls"):
        heads = [peer.head for peer in echo.snapshot() if peer.head]
    seen = next(head for head in heads if head.get("X-User-Id") == "ben")
    assert seen.target == "/members?a=1&b=2" and text.encode() not in seen.raw


def test_of_two_who_bring_the_same_ticket_one_comes_in(gateway):
    for _ in range(15):
        text = ticket(gateway)
        barrier = threading.Barrier(4)
        statuses = []

        def come():
            with gateway.client("tls") as client:
                barrier.wait(10)
                statuses.append(client.upgrade(f"/members?ticket={text}").status)

        threads = [threading.Thread(target=come) for _ in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join(20)
        assert sorted(statuses) == [101, 401, 401, 401]


@pytest.mark.parametrize("text", ["", "x", "A" * 43, "A" * 4000, "%00", "..%2f"])
def test_what_is_no_ticket(gateway, text):
    assert opening(gateway, text) == 401


def test_a_bad_ticket_is_not_made_good_by_a_later_carrier(gateway):
    with gateway.client("tls") as client:
        assert client.upgrade("/members?ticket=" + "A" * 43).status == 401
    with gateway.client("tls") as client:  # an earlier one decides
        assert client.upgrade("/members?ticket=" + "A" * 43, bearer()).status == 101
    with gateway.client("tls") as client:
        assert client.upgrade(f"/members?ticket={'A' * 43}&ticket={'A' * 43}").status == 400


def test_reject_by_close_says_4401(gateway):
    with gateway.client("tls") as client:
        assert client.upgrade("/closing?ticket=" + "A" * 43).status == 101
        _, close = client.until_close()
        assert close.payload[:2] == (4401).to_bytes(2, "big") and close.payload[2:] == b"bad_ticket"


def test_a_ticket_is_of_its_own_auth(gateway):
    text = ticket(gateway, [("X-API-Key", "a-key-of-a-machine-0123456789abcdef")], "/key-tickets")
    assert opening(gateway, text, "/closing") == 101  # accepted to be closed
    text = ticket(gateway)
    assert opening(gateway, text, "/others") == 401
    text = ticket(gateway, [("X-API-Key", "a-key-of-a-machine-0123456789abcdef")], "/key-tickets")
    assert opening(gateway, text, "/others") == 101
    text = ticket(gateway, [("X-API-Key", "a-key-of-a-machine-0123456789abcdef")], "/key-tickets")
    assert opening(gateway, text, "/members") == 101


@pytest.mark.parametrize("fields,reason,status", [
    ([], "no_token", 401),
    ([("Authorization", "Bearer x")], "bad_token", 401),
    (bearer(exp=1), "token_expired", 401),
])
def test_no_ticket_without_a_good_credential(gateway, fields, reason, status):
    before = refusals(gateway, reason)
    with gateway.client("tls") as client:
        got, head, body = answer(client, post("/tickets", b"", fields))
        assert got == status and b"ticket" not in body
        assert head.get("WWW-Authenticate").startswith("Bearer")
    assert refusals(gateway, reason) == before + 1


def test_guessing_goes_no_faster_here(gateway):
    for status in [401] * 10 + [429] * 2:
        with gateway.client("plain", source="127.0.0.77") as client:
            assert answer(client, post("/key-tickets", b"", [("X-API-Key", "a-wrong-key-0123456789abcdef0123456789")]))[0] == status
    with gateway.client("plain", source="127.0.0.77") as client:
        assert answer(client, post("/key-tickets", b"", [("X-API-Key", "a-key-of-a-machine-0123456789abcdef")]))[0] == 429


@pytest.mark.parametrize("path, status", [("/key-tickets", 200), ("/nowhere", 404)])
def test_what_is_a_credential_anywhere_is_written_down_nowhere(gateway, path, status):
    with gateway.client("tls") as client:
        assert answer(client, post(f"{path}?machine-key=a-key-of-a-machine-0123456789abcdef"))[0] == status
    assert gateway.wait_access(path=f"{path}?machine-key=[redacted]")["status"] == status
    assert "a-key-of-a-machine" not in gateway.log_text() + json.dumps(gateway.access())


def test_a_ticket_buys_no_ticket(gateway):
    text = ticket(gateway)
    with gateway.client("tls") as client:
        assert answer(client, post(f"/tickets?ticket={text}"))[0] == 401
    assert opening(gateway, text) == 101, "and is not used up by the attempt"


def test_what_a_ticket_stands_for_ends_with_its_token(gateway):
    with gateway.client("tls") as client:
        soon = bearer(exp=int(time.time()) - 25)  # 5 s of the leeway are left
        status, _, body = answer(client, post("/tickets", b"", soon))
    assert status == 200 and 1 <= body["expires_in"] <= 5


def test_a_late_ticket(fresh_gateway, echo):
    gateway = start(fresh_gateway, echo, ', ticket_ttl = "1s"')
    text = ticket(gateway)
    time.sleep(1.1)
    assert opening(gateway, text) == 401
    assert refusals(gateway) == 1


def test_a_ticket_of_another_address(fresh_gateway, echo):
    gateway = start(fresh_gateway, echo, ", ticket_bind_ip = true")
    assert opening(gateway, ticket(gateway)) == 101
    text = ticket(gateway)
    assert opening(gateway, text, source="127.0.0.9") == 401
    assert opening(gateway, text) == 401, "it is used up"


def test_tickets_outlive_a_reload(gateway):
    text = ticket(gateway)
    gateway.reload()
    assert opening(gateway, text) == 101


# ---- the endpoint as a resource of HTTP


def test_a_connection_serves_one_request_after_the_other(gateway):
    with gateway.client("plain") as client:
        seen = set()
        for how in ({}, {"chunks": 3}, {"chunks": 1}, {}):
            status, head, body = answer(client, post("/tickets", b'{"any": "body"}', bearer(), **how))
            assert status == 200 and head.get("Connection") is None
            seen.add(body["ticket"])
        assert len(seen) == 4
        client.send(post("/tickets", b"x" * 10, bearer()) + post("/tickets", b"", bearer()))  # pipelined
        for _ in range(2):
            head = client.read_head()
            assert head.status == 200
            client.read_body(head)


def test_a_body_octet_by_octet(gateway):
    for data in (post("/tickets", b"0123456789", bearer()), post("/tickets", b"0123456789", bearer(), chunks=4)):
        with gateway.client("plain") as client:
            for i in range(len(data)):
                client.send(data[i:i + 1])
            assert client.read_head().status == 200


def test_bodies_are_bounded(gateway):
    with gateway.client("plain") as client:
        assert answer(client, post("/tickets", b"", bearer(), length=8193))[0] == 413
    with gateway.client("plain") as client:
        assert answer(client, post("/tickets", b"x" * 8192, bearer()))[0] == 200
    with gateway.client("plain") as client:
        client.send(post("/tickets", b"x" * 8193, bearer(), chunks=1000))
        assert client.read_head().status == 413
    with gateway.client("plain") as client:
        client.send(post("/tickets", b"", bearer() + [("Expect", "100-continue")], length=3))
        assert client.read_head().status == 100
        client.send(b"abc")
        assert client.read_head().status == 200


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_post_alone(gateway, method):
    with gateway.client("plain") as client:
        status, head, _ = answer(client, post("/tickets", b"", bearer(), method=method))
        assert status == 405 and head.get("Allow") == "POST"


def test_only_exactly_that_path(gateway):
    for path in ("/tickets/", "/tickets/x", "/Tickets"):
        with gateway.client("plain") as client:
            assert answer(client, post(path, b"", bearer()))[0] == 404
    with gateway.client("plain") as client:
        assert answer(client, post("/a/../tickets?x=1", b"", bearer()))[0] == 200, "by its canonical form, as a route's"


def test_pages_of_named_origins_alone(gateway):
    page = [("Origin", PAGE)]
    with gateway.client("tls") as client:
        status, head, body = answer(client, post("/tickets", b"", page + [
            ("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "authorization")], method="OPTIONS"))
        assert status == 204 and not body
        assert head.get("Access-Control-Allow-Origin") == PAGE and head.get("Access-Control-Allow-Methods") == "POST"
        assert "Authorization" in head.get("Access-Control-Allow-Headers") and head.get("Vary") == "Origin"
        status, head, body = answer(client, post("/tickets", b"", bearer() + page))  # on the same connection
        assert status == 200 and head.get("Access-Control-Allow-Origin") == PAGE
    with gateway.client("tls") as client:
        status, head, _ = answer(client, post("/tickets", b"", page))  # a page reads why not, too
        assert status == 401 and head.get("Access-Control-Allow-Origin") == PAGE
    for origin in ("https://evil.example.com", "https://chat.example.com.evil.test", "null", "http://chat.example.com",
                   "https://chat.example.com:8443", "*"):
        for method in ("POST", "OPTIONS"):
            with gateway.client("tls") as client:
                fields = bearer() + [("Origin", origin), ("Access-Control-Request-Method", "POST")]
                status, head, _ = answer(client, post("/tickets", b"", fields, method=method))
                assert status == 403 and head.get("Access-Control-Allow-Origin") is None


def test_a_cookie_needs_an_origin(gateway):
    cookie = [("Cookie", f"session={tokens.mint(tokens.claims())}")]
    with gateway.client("tls") as client:
        assert answer(client, post("/tickets", b"", cookie))[0] == 401
    with gateway.client("tls") as client:
        assert answer(client, post("/tickets", b"", cookie + [("Origin", PAGE)]))[0] == 200

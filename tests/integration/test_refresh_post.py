"""POST /refresh: a live connection, on whatever worker, stands on a newer credential of the same subject."""

import json
import time

import pytest

import tokens
from evil import Backend, frame_echo
from gateway import AUTH, BASE, wait_for
from posts import answer, post
from wire import CLOSE


def config(port):
    auth = AUTH.replace('"cookie:session"]', '"cookie:session", "ticket:ticket"]').replace(
        "forward =", 'leeway = "0s"\nendpoints = { refresh = "/refresh", ticket = "/tickets" }\nforward =')
    other = auth.replace("[auth.users]", "[auth.others]").replace("header:Authorization", "header:X-Token").replace(
        "/refresh", "/other-refresh").replace("/tickets", "/other-tickets")
    return BASE + auth + other + f"""
[[route]]
path = "/*"
auth = "users"
backend = "echo"
[[route]]
path = "/open"
backend = "echo"
[backend.echo]
servers = ["ws://127.0.0.1:{port}"]
"""


@pytest.fixture(scope="module")
def gateway(start_gateway, backends):
    return start_gateway(config(backends(Backend(frame_echo)).port), workers=2)


def bearer(lives=3600, name="Authorization", **claims):
    claims["exp"] = int(time.time()) + lives
    token = tokens.mint(tokens.claims(**claims))
    return [(name, f"Bearer {token}" if name == "Authorization" else token)]


def open_one(gateway, lives=3600, **claims):
    client = gateway.connect("/x", bearer(lives, **claims))
    return client, client.response.get("X-Request-Id")


def refresh(gateway, body, fields, expected=200, path="/refresh"):
    with gateway.client() as client:
        status, head, said = answer(client, post(path, body if isinstance(body, bytes) else json.dumps(body).encode(), fields))
        assert status == expected, (status, said)
        return said


def expect_open(client):
    client.send_text("still here")
    assert client.recv_text() == "still here"


def test_connections_of_both_workers_live_on(gateway):
    # More than one worker's: of so many, all on one would come once in 2^15.
    opened = [open_one(gateway, 3, sub="ann", jti=f"t{i}") for i in range(16)]
    assert len({name for _, name in opened}) == 16
    for _, name in opened[:-1]:
        said = refresh(gateway, {"connection": name}, bearer(sub="ann"))
        assert said["expires"].endswith("Z")
    last, _ = opened[-1]
    opcode, payload = last.recv_message(timeout=6)
    assert opcode == CLOSE and payload[:2] == (4401).to_bytes(2, "big"), "who was not refreshed ends"
    for client, _ in opened[:-1]:
        expect_open(client)
    line = next(e for e in gateway.events() if e.get("action") == "refresh")
    assert line["subject"] == "ann" and line["id"] == opened[0][1] and line["by"] == "127.0.0.1"
    for client, _ in opened:
        client.close()


def test_whose_it_is_cannot_be_found_out(gateway):
    client, name = open_one(gateway, sub="ann")
    unknown = refresh(gateway, {"connection": "0" * 32}, bearer(sub="ben"), 404)
    assert refresh(gateway, {"connection": name}, bearer(sub="ben"), 404) == unknown
    assert refresh(gateway, {"connection": name}, bearer(sub=None), 404) == unknown
    assert refresh(gateway, {"connection": name}, bearer(name="X-Token", sub="ann"), 404, "/other-refresh") == unknown
    expect_open(client)
    client.close()


def test_a_bad_credential_is_refused_as_everywhere(gateway):
    client, name = open_one(gateway, sub="ann")
    refresh(gateway, {"connection": name}, [], 401)
    refresh(gateway, {"connection": name}, bearer(-60, sub="ann"), 401)
    refresh(gateway, {"connection": name}, [("Authorization", "Bearer x")], 401)
    with gateway.client() as poster:
        ticket = answer(poster, post("/tickets", b"", bearer(sub="ann")))[2]["ticket"]
    refresh(gateway, {"connection": name}, [], 401, f"/refresh?ticket={ticket}")
    client.close()


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"x", b'{"connection": 7}', b'{"connection": ""}', b'{"connection": "a", "b": 1}',
                                  b'{"connection": "a", "connection": "b"}', b'{"connection": "' + b"a" * 257 + b'"}'], ids=repr)
def test_what_names_no_connection(gateway, body):
    refresh(gateway, body, bearer(sub="ann"), 400)


def test_the_old_token_is_no_more_and_the_new_one_is_known(gateway):
    client, name = open_one(gateway, sub="ann", jti="old")
    refresh(gateway, {"connection": name}, bearer(sub="ann", jti="new"))
    assert "old" not in json.dumps(gateway.admin_json("/api/v1/connections?claim=jti:old")["connections"])
    found = gateway.admin_json("/api/v1/connections?claim=jti:new")["connections"]
    assert [one["id"] for one in found] == [name]
    client.close()


def test_only_who_may_refresh_is_told_the_id(gateway):
    with gateway.connect("/open") as client:
        assert client.response.get("X-Request-Id") is None
    with gateway.connect("/x", bearer(sub="ann")) as client:
        name = client.response.get("X-Request-Id")
        assert gateway.wait_access(event="ws_open", id=name)

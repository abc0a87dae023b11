"""Live connections and the end of their tokens: the warning, the Close, and a fresh token in a message of the client's. The real
binary, with a client that was written by others."""

import asyncio
import json
import time

import pytest
import websockets

import tokens
from evil import Backend, echo
from gateway import AUTH, BASE, wait_for

ADMIN = "an-admin-token-0123456789"


def config(port):
    base = BASE.replace('bind = "127.0.0.1:@admin@"', 'bind = "127.0.0.1:@admin@"\ntoken_file = "admin.token"')
    more = """leeway = "0s"
warn_before = "2s"
expiry_close_reason = "sign in again"
refresh = { in_band = true }
"""
    return base + AUTH + more + f"""
[[route]]
path = "/chat"
auth = "users"
backend = "echo"
[backend.echo]
servers = ["ws://127.0.0.1:{port}"]
"""


@pytest.fixture(scope="module")
def backend(backends):
    return backends(Backend(lambda peer: echo(peer)))


@pytest.fixture
def gateway(fresh_gateway, backend):
    backend.forget()
    made = fresh_gateway(config(backend.port), start=False)
    token = made.folder / "admin.token"
    token.write_text(ADMIN + "\n")
    token.chmod(0o600)
    made.admin_token = ADMIN
    made.start()
    return made


def token(lives, **changes):
    return tokens.mint(tokens.claims(exp=int(time.time()) + lives, **changes))


def brings(text):
    return json.dumps({"type": "auth", "token": text})


def session(gateway, lives, act):
    async def whole():
        how = {"ssl": gateway.tls(), "extra_headers": {"Authorization": "Bearer " + token(lives, jti="first")}}
        async with websockets.connect(f"wss://localhost:{gateway.port('tls')}/chat", **how) as client:
            return await asyncio.wait_for(act(client), 30)
    return asyncio.run(whole())


async def closed(client):
    with pytest.raises(websockets.ConnectionClosed):
        while True:
            await client.recv()
    return client.close_code, client.close_reason


def test_the_client_is_warned_and_then_closed(gateway):
    async def act(client):
        assert json.loads(await client.recv()) == {"type": "expiring"}
        warned = time.time()
        assert await closed(client) == (4401, "sign in again")
        return time.time() - warned
    assert 1 < session(gateway, 4, act) < 4


def test_a_fresh_token_keeps_it_open(gateway, backend):
    async def act(client):
        expires = int(time.time()) + 3600
        await client.send("before")
        await client.send(brings(tokens.mint(tokens.claims(exp=expires, jti="second"))))
        await client.send("after")
        got = [await client.recv() for _ in range(3)]
        answer = next(text for text in got if text.startswith("{"))
        assert json.loads(answer) == {"type": "auth", "ok": True, "expires": expires}
        assert [text for text in got if text != answer] == ["before", "after"]
        await asyncio.sleep(4)
        await client.send("still here")
        assert await client.recv() == "still here"
        # Who revokes the first token means another connection.
        body = json.dumps({"jti": "first", "ttl": "1m"}).encode()
        status, said = gateway.admin("/api/v1/revoke", "POST", {"Content-Type": "application/json"}, body)
        assert status == 200 and json.loads(said)["closed"] == 0
        body = json.dumps({"jti": "second"}).encode()
        status, said = gateway.admin("/api/v1/revoke", "POST", {"Content-Type": "application/json"}, body)
        assert status == 200 and json.loads(said)["closed"] == 1
        assert await closed(client) == (4403, "revoked")
    session(gateway, 3, act)
    assert backend.wait_peer().messages == [b"before", b"after", b"still here"]
    audit = wait_for(lambda: [line for line in gateway.events() if line.get("action") == "refresh"], 5, "audit line")
    assert [line["result"] for line in audit] == ["ok"]
    assert audit[0]["subject"] == "alice" and audit[0]["by"] == "127.0.0.1" and "expires" in audit[0]
    assert gateway.metric("sluice_auth_refresh_total", result="ok") == 1


def test_a_token_of_somebody_else_changes_nothing(gateway):
    async def act(client):
        await client.send(brings(token(3600, sub="mallory")))
        assert json.loads(await client.recv()) == {"type": "auth", "ok": False, "reason": "refresh_denied"}
        await client.send(brings("nonsense"))
        assert json.loads(await client.recv()) == {"type": "auth", "ok": False, "reason": "refresh_busy"}
        await asyncio.sleep(1.1)
        await client.send(brings("nonsense"))
        while True:
            said = json.loads(await client.recv())
            if said["type"] == "auth":
                break
        assert said["reason"] == "bad_token"
        return await closed(client)
    assert session(gateway, 5, act) == (4401, "sign in again")
    assert gateway.metric("sluice_auth_refresh_total", result="refused") == 3


def test_a_reload_does_not_forget_whom_it_knows(gateway):
    async def act(client):
        gateway.reload()
        await client.send(brings(token(3600)))
        assert json.loads(await client.recv())["ok"] is True
        await asyncio.sleep(4)
        await client.send("on")
        return await client.recv()
    assert session(gateway, 3, act) == "on"

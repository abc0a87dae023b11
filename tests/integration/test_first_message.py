"""Credentials where a browser can put them: in the first message, and in Kubernetes' subprotocol. The real binary, with a client
that was written by others, over TLS and without."""

import asyncio
import base64
import json

import pytest
import websockets

import tokens
from evil import Backend, echo
from gateway import AUTH, BASE, wait_for
from rawws import SAMPLE_KEY, check_101
from wire import CONT, PONG, TEXT, frame

LATE = AUTH.replace('from = ["header:Authorization", "query:access_token", "subprotocol:bearer", "cookie:session"]',
                    'from = ["header:Authorization", "kubernetes", "first_message"]\n'
                    'first_message = { deadline = "1s", max = "2KiB" }')


def config(port):
    return BASE + LATE + f"""
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
    return fresh_gateway(config(backend.port))


def url(gateway, listener):
    return f"{'wss' if listener == 'tls' else 'ws'}://localhost:{gateway.port(listener)}/chat"


def session(gateway, listener, act, **how):
    if listener == "tls":
        how["ssl"] = gateway.tls()

    async def whole():
        async with websockets.connect(url(gateway, listener), open_timeout=10, **how) as client:
            return await asyncio.wait_for(act(client), 20)
    return asyncio.run(whole())


async def closed(client):
    with pytest.raises(websockets.ConnectionClosed):
        await client.recv()
    return client.close_code, client.close_reason


@pytest.mark.parametrize("listener", ["plain", "tls"])
@pytest.mark.parametrize("in_object", [False, True])
def test_the_first_message_lets_the_client_in(gateway, backend, listener, in_object):
    token = tokens.mint(tokens.claims(sub="ann"))

    async def act(client):
        assert backend.count == 0
        await client.send(json.dumps({"type": "auth", "token": token}) if in_object else token)
        await client.send("hello")
        await client.send(b"x" * 100_000)
        return [await client.recv(), await client.recv()]
    assert session(gateway, listener, act) == ["hello", b"x" * 100_000]
    peer = backend.wait_peer()
    assert peer.messages == [b"hello", b"x" * 100_000]
    assert peer.head.get("X-User-Id") == "ann"
    assert token.encode() not in backend.octets()
    line = gateway.wait_access(event="ws_close")
    assert line["subject"] == "ann" and line["messages_in"] == 2
    assert token not in gateway.log_text() + json.dumps(gateway.access())


@pytest.mark.parametrize("said, code", [("nonsense", 4401), (b"binary", 4401), ("{}", 4401), ("x" * 3000, 1009), (None, 4401)],
                         ids=["token", "binary", "object", "large", "silence"])
def test_others_are_closed_and_the_backend_hears_nothing(gateway, backend, said, code):
    async def act(client):
        if said is not None:
            await client.send(said)
        return await closed(client)
    reason = {"nonsense": "bad_token", None: "first_message_timeout", "x" * 3000: "too_big"}.get(said, "bad_first_message")
    assert session(gateway, "plain", act) == (code, reason)
    assert backend.count == 0
    assert gateway.metric("sluice_rejects_total", reason=reason) == 1
    assert gateway.wait_access(event="ws_close")["close_code"] == code


def test_pings_are_answered_and_fragments_joined(gateway):
    client = gateway.client()
    check_101(client.upgrade("/chat"), SAMPLE_KEY)
    token = tokens.mint().encode()
    client.send(frame(TEXT, token[:50], fin=False) + frame(9, b"there?") + frame(CONT, token[50:]) + frame(TEXT, b"on"), pieces=7, pause=0.01)
    assert client.recv_frame().opcode == PONG
    assert client.recv_text() == "on"
    client.close()


def test_a_request_with_a_credential_needs_no_message(gateway):
    client = gateway.connect("/chat", [("Authorization", "Bearer " + tokens.mint())])
    client.send_text("at once")
    assert client.recv_text() == "at once"
    client.close()


def test_a_drain_waits_for_nobody_who_has_not_said_who_it_is(gateway):
    client = gateway.connect("/chat")
    gateway.signal(15)
    client.expect_close(1001)
    assert gateway.wait_exit(5) == 0


def test_kubernetes_form(gateway, backend):
    token = tokens.mint(tokens.claims(sub="pod"))
    name = "base64url.bearer.authorization.k8s.io." + base64.urlsafe_b64encode(token.encode()).rstrip(b"=").decode()

    async def act(client):
        await client.send("hello")
        return await client.recv()
    with pytest.raises(websockets.InvalidStatusCode) as refused:
        session(gateway, "tls", act, subprotocols=[name])
    assert refused.value.status_code == 401
    assert backend.count == 0
    assert session(gateway, "tls", act, subprotocols=[name, "v4.channel.k8s.io"]) == "hello"
    peer = backend.wait_peer()
    assert peer.head.all("Sec-WebSocket-Protocol") == ["v4.channel.k8s.io"]
    assert peer.head.get("X-User-Id") == "pod"
    assert name.encode() not in backend.octets()
    wait_for(lambda: gateway.access(), 5, "access lines")
    assert name not in gateway.log_text() + json.dumps(gateway.access())

"""Clients that nobody here wrote, over TLS, to backends that nobody here wrote."""

import asyncio
import os
import subprocess
from pathlib import Path

import pytest
import websockets

import tokens
from rawws import check_101
from wire import TEXT, frame

HERE = Path(__file__).resolve().parent


def run(command, environment, timeout=120):
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout, cwd=HERE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok " in done.stdout and "FAILED" not in done.stdout


def test_npm_ws(client_environment):
    run(["node", "client_ws.mjs"], client_environment)


def test_undici(client_environment):
    run(["node", "client_undici.mjs"], client_environment)


def test_beast(gateway):
    client = os.environ.get("SLUICE_BEAST_CLIENT")
    assert client and os.path.exists(client), "the Beast client was not built"
    run([client, str(gateway.port("tls")), str(gateway.authority.path), tokens.mint()], dict(os.environ))


# ---- python3-websockets
def connect(gateway, path, **how):
    how.setdefault("extra_headers", {"Authorization": "Bearer " + tokens.mint()})
    how.setdefault("max_size", 64 << 20)
    return websockets.connect(f"wss://localhost:{gateway.port('tls')}{path}", ssl=gateway.tls(), **how)


@pytest.mark.parametrize("path", ["/chat", "/python"])
@pytest.mark.parametrize("compression", ["deflate", None])
def test_python_websockets(gateway, path, compression):
    async def talk():
        async with connect(gateway, path, compression=compression, subprotocols=["chat.v1", "chat.v2"]) as socket:
            assert socket.subprotocol == "chat.v2"
            assert bool(socket.extensions) == (compression is not None)
            for message in ("grüße 😀", b"\x00\xff" * 40000, "", "x" * 300_000, os.urandom(1 << 20)):
                await socket.send(message)
                assert await socket.recv() == message
            await socket.send(["in ", "three ", "fragments"])
            assert await socket.recv() == "in three fragments"
            await asyncio.wait_for(await socket.ping(b"beat"), 5)
            await asyncio.gather(*(socket.send(str(n)) for n in range(300)))
            assert [int(await socket.recv()) for _ in range(300)] == list(range(300))
            await socket.close(4123, "finished")
            assert (socket.close_code, socket.close_reason) == (4123, "finished")
    asyncio.run(asyncio.wait_for(talk(), 60))


@pytest.mark.parametrize("path", ["/chat", "/python"])
def test_python_websockets_is_closed(gateway, path):
    async def talk():
        async with connect(gateway, path) as socket:
            await socket.send("close 4321")
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await socket.recv()
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4321, "as you wish")
    asyncio.run(asyncio.wait_for(talk(), 30))


def test_python_websockets_is_refused(gateway):
    async def talk(path, headers, status):
        with pytest.raises(websockets.InvalidStatusCode) as refused:
            async with connect(gateway, path, extra_headers=headers):
                pass
        assert refused.value.status_code == status
    asyncio.run(talk("/chat", {}, 401))
    asyncio.run(talk("/chat", {"Authorization": "Bearer nonsense"}, 401))
    asyncio.run(talk("/nowhere", {}, 404))
    asyncio.run(talk("/down", {}, 503))


def test_many_python_clients(gateway):
    async def one(n):
        async with connect(gateway, "/chat") as socket:
            for k in range(10):
                await socket.send(f"{n}/{k}")
                assert await socket.recv() == f"{n}/{k}"

    async def all_of_them():
        await asyncio.gather(*(one(n) for n in range(60)))
    asyncio.run(asyncio.wait_for(all_of_them(), 60))


# ---- nginx as a backend
@pytest.mark.parametrize("path", ["/nginx", "/nginx-tls"])
def test_nginx_as_backend(gateway, path):
    async def talk():
        async with connect(gateway, path, extra_headers={}) as socket:
            for message in ("hello", os.urandom(2 << 20), "x" * 500_000):
                await socket.send(message)
                assert await socket.recv() == message
            await socket.close(1000)
    asyncio.run(asyncio.wait_for(talk(), 30))


def test_refusal_of_nginx_is_relayed(gateway):
    with gateway.client("tls") as client:
        head = client.upgrade("/denied")
        assert head.status == 403
        client.expect_end()


# ---- Redis behind the bridge
def test_redis_through_the_bridge(gateway):
    """A request need not be a message, nor a message one request; what comes back are octets in binary frames."""
    async def talk():
        async with connect(gateway, "/redis", subprotocols=["binary"]) as socket:
            assert socket.subprotocol == "binary"

            async def read(size):
                octets = b""
                while len(octets) < size:
                    message = await asyncio.wait_for(socket.recv(), 10)
                    assert isinstance(message, bytes)
                    octets += message
                return octets
            blob = os.urandom(1 << 20)
            await socket.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % len(blob) + blob[:700_000])
            await socket.send(blob[700_000:] + b"\r\nGET k\r\n")
            answer = b"+OK\r\n$%d\r\n" % len(blob) + blob + b"\r\n"
            assert await read(len(answer)) == answer
            await socket.send("QUIT\r\n")
            assert await read(5) == b"+OK\r\n"
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd.code == 1000
    asyncio.run(asyncio.wait_for(talk(), 30))


# ---- curl, as people probe
def test_curl(gateway):
    base = ["curl", "-sS", "--cacert", str(gateway.authority.path), "--http1.1", "-o", "/dev/null", "-w", "%{http_code}"]
    url = f"https://localhost:{gateway.port('tls')}"
    upgrade = ["-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Version: 13", "-H",
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    def status(*more):
        return subprocess.run(base + list(more), capture_output=True, text=True, timeout=20).stdout
    assert status(url + "/chat") == "426"
    assert status(url + "/nowhere") == "404"
    assert status(*upgrade, url + "/chat") == "401"
    assert status("--http2", url + "/chat") == "426"

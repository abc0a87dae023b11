"""Two hundred reloads under two thousand live connections: none is closed, no message is lost on either side."""

import asyncio
import resource
import signal
import time

from crowd import CountingEcho, Member
from gateway import BASE, SLOWER
from ports import free_port

CLIENTS, RELOADS = 2000 // SLOWER, 200 // SLOWER


def test_reload_under_load(fresh_gateway):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard >= 8192, "this test needs descriptors"
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    backend_port = free_port()
    gateway = fresh_gateway(BASE + f"""
[[route]]
path = "/ws"
backend = "echo"
[backend.echo]
servers = ["ws://127.0.0.1:{backend_port}"]
balance = "least_connections"
""", workers=2)
    asyncio.run(scenario(gateway, backend_port))


async def scenario(gateway, backend_port):
    loop = asyncio.get_running_loop()
    echo = CountingEcho()
    await echo.start(backend_port)
    crowd = [Member() for _ in range(CLIENTS)]
    tls = gateway.tls()
    listeners = []
    for at in range(0, CLIENTS, 50):
        await asyncio.gather(*(member.connect(gateway.port("tls") if index % 10 == 0 else gateway.port("plain"), "/ws",
                                              tls=tls if index % 10 == 0 else None)
                               for index, member in enumerate(crowd[at:at + 50])))
        # At once: who does not read does not answer pings.
        listeners += [asyncio.ensure_future(member.listen()) for member in crowd[at:at + 50]]
    assert echo.live == CLIENTS

    stop = asyncio.Event()

    async def talk():
        at = 0
        while not stop.is_set():
            for member in crowd[at:at + 50]:
                member.send(b"%d" % member.sent)
            at = (at + 50) % CLIENTS
            await asyncio.sleep(0.01)

    talker = asyncio.ensure_future(talk())
    reloads = lambda: loop.run_in_executor(None, gateway.reloads)
    done = 0
    for _ in range(RELOADS):
        gateway.signal(signal.SIGHUP)
        deadline = time.monotonic() + 10
        while (now := await reloads()) <= done:
            assert time.monotonic() < deadline, f"reload {_} not counted"
            await asyncio.sleep(0.005)
        done = now
    stop.set()
    await talker
    for member in crowd:  # and each client once more, through whatever is configured now
        member.send(b"%d" % member.sent)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and any(m.received < m.sent for m in crowd):
        await asyncio.sleep(0.05)

    closed = [member for member in crowd if member.ended or member.close_code is not None]
    assert closed == [], f"{len(closed)} of {CLIENTS} connections closed"
    assert [m.wrong for m in crowd if m.wrong] == []
    sent, received = sum(m.sent for m in crowd), sum(m.received for m in crowd)
    assert sent == received == echo.messages, (sent, echo.messages, received)
    assert echo.live == CLIENTS and echo.connections == CLIENTS
    metrics = await loop.run_in_executor(None, gateway.metrics)
    assert metrics["sluice_config_last_reload_successful"] == 1
    for listener in listeners:
        listener.cancel()
    for member in crowd:
        member.hang_up()
    echo.server.close()

"""Gentle rebalance: after a scale-out sessions of the old servers are closed, no more than needed, and come back elsewhere.
Every other client comes by TLS, and a reload in the middle forgets nothing."""

import asyncio
import random
import struct

from crowd import read_frame
from fake_dns import Dns
from gateway import BASE, wait_for
from ports import free_port
from rawws import upgrade_request
from wire import CLOSE, TEXT, accept_key, frame

CLIENTS = 200


class Echo:
    """An echo on a loopback address of its own that knows how many sessions it has."""

    def __init__(self, host):
        self.host, self.live = host, 0

    async def start(self, port):
        self.server = await asyncio.start_server(self.serve, self.host, port, backlog=1024)

    async def serve(self, reader, writer):
        counted = False
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            key = [line.split(b":", 1)[1].strip() for line in head.split(b"\r\n")
                   if line.lower().startswith(b"sec-websocket-key:")][0].decode()
            writer.write((f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          f"Sec-WebSocket-Accept: {accept_key(key)}\r\n\r\n").encode())
            self.live += 1
            counted = True
            while True:
                opcode, payload = await read_frame(reader)
                writer.write(frame(opcode, payload, mask=None))
                await writer.drain()
                if opcode == CLOSE:
                    return
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.live -= counted
            writer.close()


class Client:
    """Comes back whenever it is closed with 1012. Every message that it has sent must have been answered by then."""

    def __init__(self, gateway, listener, path, tally):
        self.port, self.path, self.tally, self.listener = gateway.port(listener), path, tally, listener
        self.how = {"ssl": gateway.tls(), "server_hostname": "localhost"} if listener == "tls" else {}

    async def run(self):
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port, **self.how)
            writer.write(upgrade_request(self.path))
            assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
            self.tally["open"] += 1
            talk = asyncio.ensure_future(self.talk(writer))
            try:
                while True:
                    opcode, payload = await read_frame(reader)
                    if opcode == TEXT:
                        self.tally["answers"] += 1
                    if opcode == CLOSE:
                        break
                code, = struct.unpack("!H", payload[:2])
                for what in (code, self.listener):
                    self.tally[what] = self.tally.get(what, 0) + 1
                self.tally["reason"] = payload[2:]
                writer.write(frame(CLOSE, payload[:2]))
                await writer.drain()
            finally:
                talk.cancel()
                self.tally["open"] -= 1
                writer.close()
            await asyncio.sleep(random.uniform(0.1, 1.0))

    async def talk(self, writer):
        while True:
            writer.write(frame(TEXT, b"tick"))
            await writer.drain()
            await asyncio.sleep(random.uniform(0.5, 1.5))


def config(dns, port, balance, survive="", rebalance='{ threshold = "10%", rate = "50/s" }'):
    return BASE.replace("[server]\n", f'[server]\nresolvers = ["{dns.address}"]\n') + f"""
[[route]]
path = "/*"
backend = "app"
{survive}
[backend.app]
servers = ["dns+ws://app.test:{port}"]
balance = {balance}
rebalance = {rebalance}
"""


async def until(condition, timeout, what):
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while not condition():
        assert loop.time() < deadline, f"{what}: not within {timeout} s"
        await asyncio.sleep(0.1)


def scale_out(fresh_gateway, balance, path, check, survive=""):
    """Two servers with all clients, then four; `check` is called when nothing moves any more."""
    async def run():
        port = free_port()
        servers = [Echo(f"127.0.0.{number}") for number in (1, 2, 3, 4)]
        for server in servers:
            await server.start(port)
        with Dns() as dns:
            dns.set("app.test", ["127.0.0.1", "127.0.0.2"], ttl=1)
            gateway = fresh_gateway(config(dns, port, balance, survive), workers=2)
            up = lambda: gateway.admin_json("/api/v1/backends")["backends"][0]["up"]
            shed = lambda: gateway.metric("sluice_backend_rebalanced_total", backend="app")
            wait_for(lambda: up() == 2, 10, "two servers")
            tally = {"open": 0, "answers": 0}
            clients = [asyncio.ensure_future(Client(gateway, ("plain", "tls")[number % 2], path(number), tally).run())
                       for number in range(CLIENTS)]
            await until(lambda: tally["open"] == CLIENTS, 60, "every client is there")
            await asyncio.sleep(3)
            assert shed() == 0 or balance != '"round_robin"'
            before = shed()
            dns.set("app.test", [server.host for server in servers], ttl=1)
            await until(lambda: up() == 4, 30, "four servers")
            await until(lambda: shed() > before, 30, "sessions are moved")
            gateway.write_config(config(dns, port, balance, survive, '{ threshold = "10%", rate = "60/s" }'))
            await asyncio.get_running_loop().run_in_executor(None, gateway.reload)
            assert gateway.metric("sluice_config_last_reload_successful") == 1
            quiet = [0, -1]

            def settled():
                quiet[0] = quiet[0] + 1 if shed() == quiet[1] and tally["open"] == CLIENTS else 0
                quiet[1] = shed()
                return quiet[0] >= 30
            await until(settled, 120, "nothing moves any more")
            check(servers, shed() - before, tally, gateway)
            assert survive or tally["plain"] > 0 < tally["tls"], "clients of both listeners"
            for client in clients:
                client.cancel()
            results = await asyncio.gather(*clients, return_exceptions=True)
            assert all(isinstance(result, asyncio.CancelledError) for result in results), results[:3]
    asyncio.run(run())


def test_four_servers_are_even_after_no_more_closes_than_needed(fresh_gateway):
    def check(servers, closes, tally, gateway):
        live = [server.live for server in servers]
        mean = CLIENTS / len(servers)
        print(f"live {live}, closes {closes}")
        assert sum(live) == CLIENTS
        assert max(live) < mean * 1.1 and min(live) > mean * 0.9, live
        least = CLIENTS / 2
        assert least * 0.9 <= closes <= least * 1.05, closes
        assert tally[1012] == closes and tally["reason"] == b"rebalance"
        assert [code for code in tally if isinstance(code, int)] == [1012]
        assert gateway.metric("sluice_backend_imbalance", backend="app") < 0.1
        started = [event for event in gateway.events() if event["event"] == "rebalance_started"]
        assert len(started) == 1
    scale_out(fresh_gateway, '"round_robin"', lambda number: "/x", check)


def test_keys_move_only_to_servers_that_won_them(fresh_gateway):
    def check(servers, closes, tally, gateway):
        live = [server.live for server in servers]
        print(f"live {live}, closes {closes}")
        # Who moved, moved to a new server, once.
        assert live[2] > 0 and live[3] > 0 and live[2] + live[3] == closes == tally[1012]
        assert closes < CLIENTS * 0.75
    scale_out(fresh_gateway, '{ policy = "consistent_hash", key = "query:room" }', lambda number: f"/x?room={number}", check)


def test_clients_that_survive_are_moved_and_not_closed(fresh_gateway):
    def check(servers, shed, tally, gateway):
        live = [server.live for server in servers]
        mean = CLIENTS / len(servers)
        print(f"live {live}, shed {shed}")
        assert sum(live) == CLIENTS
        assert max(live) < mean * 1.1 and min(live) > mean * 0.9, live
        assert CLIENTS / 2 * 0.9 <= shed <= CLIENTS / 2 * 1.05, shed
        assert [code for code in tally if isinstance(code, int)] == [], "no client was closed"
        metrics = gateway.metrics()

        def total(name, label=""):
            return sum(value for series, value in metrics.items() if series.startswith(name + "{") and label in series)
        assert total("sluice_revivals_total", 'result="moved"') == total("sluice_revivals_total") == shed
        assert total("sluice_closes_total") == total("sluice_messages_dropped_total") == 0
        taken, heard = (total("sluice_messages_total", f'direction="{way}"') for way in ("in", "out"))
        assert taken > CLIENTS and taken - heard < CLIENTS, "every message is answered, but those under way"
    scale_out(fresh_gateway, '"least_connections"', lambda number: "/x", check, "[route.survive]")

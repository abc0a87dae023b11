"""A client that survives the loss of its server, over plain and TLS listeners, per connection and per message: what a reload
changes for whom, and that a lost server's place is free."""

import collections

import pytest

from evil import Backend, label
from gateway import BASE, wait_for
from wire import CONT, PING, PONG, TEXT, frame

HOLD = 'in_flight = "hold"\nretry = "10ms"\ntimeout = "60s"'


def config(servers, survive=HOLD, unit="connection", route="", backend=""):
    entries = ", ".join(f'{{ url = "ws://127.0.0.1:{one.port}"{more} }}' for one, more in servers.items())
    return BASE + f"""
[[route]]
name = "app"
path = "/ws"
backend = "app"
{route}
{"[route.survive]" if survive else ""}
{survive}
[backend.app]
servers = [{entries}]
balance = {{ unit = "{unit}", policy = "round_robin" }}
{backend}
"""


@pytest.fixture(params=["connection", "message"])
def unit(request):
    return request.param


@pytest.fixture
def server():
    with Backend(label("a"), name="a") as backend:
        yield backend


def says(client, text):
    client.send_text(text)
    return client.recv_text()


def revivals(gateway, **labels):
    return gateway.metric("sluice_revivals_total", route="app", **labels)


def lose(gateway, server):
    """Its server ends, and the client is known to look for another in vain."""
    failed = lambda: gateway.metric("sluice_backend_connect_total", backend="app", result="failed")
    before = failed()
    server.stop()
    wait_for(lambda: failed() > before, 10, "nobody answers")
    assert gateway.metric("sluice_websocket_connections") == 1


def test_a_reload_while_clients_live(fresh_gateway, server, listener, unit):
    """Who came before it survives as it was told; who came after it has what the new configuration says: here, nothing."""
    gateway = fresh_gateway(config({server: ""}, unit=unit))
    with gateway.connect("/ws", listener=listener) as old:
        assert says(old, "1") == "a:1"
        gateway.write_config(config({server: ""}, "", unit))
        gateway.reload()
        assert says(old, "2") == "a:2" and server.count == 1
        with gateway.connect("/ws", listener=listener) as new:
            assert says(new, "1") == "a:1"
            server.stop()
            new.expect_close(1011)
        old.send_text("3")
        server.start()
        assert old.recv_text() == "a:3"
        assert says(old, "4") == "a:4"
    assert revivals(gateway) == revivals(gateway, result="revived") == 1


def test_a_reload_while_a_client_has_no_server(fresh_gateway, server, listener, unit):
    gateway = fresh_gateway(config({server: ""}, unit=unit))
    with gateway.connect("/ws", listener=listener) as old:
        assert says(old, "1") == "a:1"
        lose(gateway, server)
        old.send_text("2")
        old.send(frame(TEXT, b"3, in", fin=False))
        gateway.write_config(config({server: ""}, 'timeout = "100ms"\nclose_code = 4444', unit))
        gateway.reload()
        old.send(frame(PING, b"still here?") + frame(CONT, b" parts"))
        assert old.recv_frame().opcode == PONG
        assert revivals(gateway) == 0
        server.start()
        assert [old.recv_text(), old.recv_text()] == ["a:2", "a:3, in parts"]
        # Once more, together with one for whom the new configuration holds.
        with gateway.connect("/ws", listener=listener) as new:
            assert says(new, "1") == "a:1"
            server.stop()
            new.expect_close(4444)
        old.send_text("4")
        server.start()
        assert old.recv_text() == "a:4"
    assert revivals(gateway, result="revived") == 2 and revivals(gateway, result="timeout") == 1
    assert gateway.metric("sluice_messages_dropped_total", route="app") == 0


def test_a_reload_that_takes_a_server_out(fresh_gateway, server, listener):
    """Its clients are moved to the one that stays, between two messages."""
    with Backend(label("b")) as other:
        gateway = fresh_gateway(config({server: "", other: ""}, route='on_server_down = "close"'))
        clients = [gateway.connect("/ws", listener=listener) for _ in range(4)]
        names = [says(client, "1")[0] for client in clients]
        assert collections.Counter(names) == {"a": 2, "b": 2}
        left = clients[names.index("a")]
        left.send(frame(TEXT, b"be", fin=False))
        wait_for(lambda: any(peer.frames[-1].payload == b"be" for peer in server.snapshot()), 5, "half of it")
        gateway.write_config(config({other: ""}, route='on_server_down = "close"'))
        gateway.reload()
        wait_for(lambda: revivals(gateway, result="moved") == 1, 20, "one has moved")
        left.send(frame(CONT, b"gun"))
        assert left.recv_text() == "a:begun"
        wait_for(lambda: revivals(gateway, result="moved") == 2, 20, "both have moved")
        assert [says(client, "2") for client in clients] == ["b:2"] * 4
        assert all(peer.done.wait(10) and peer.close_code == 1001 for peer in server.snapshot())
        assert gateway.metric("sluice_messages_dropped_total", route="app") == 0
        for client in clients:
            client.close()


@pytest.mark.parametrize("limit", ["server", "backend"])
def test_who_has_lost_its_server_takes_no_place_of_it(fresh_gateway, server, unit, limit):
    """Else a server that was full when it was restarted could take none of its clients back."""
    servers = {server: ", max_connections = 1" if limit == "server" else ""}
    gateway = fresh_gateway(config(servers, unit=unit, backend="max_connections = 1" if limit == "backend" else ""))
    with gateway.connect("/ws") as client:
        assert says(client, "1") == "a:1"
        server.stop()
        wait_for(lambda: gateway.metric("sluice_backend_connections", backend="app") == 0, 5, "it has no connection")
        server.start()
        assert says(client, "2") == "a:2"

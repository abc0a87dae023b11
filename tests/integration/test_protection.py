"""Protection of backends: limits, clients that wait, the circuit breaker, backups and slow start, with real servers."""

import collections
import json
import threading

import pytest

from evil import Backend, answer, label
from gateway import BASE, wait_for
from ports import free_port
from rawws import RawClient
from wire import accept_key


def config(servers, more="", route=""):
    return BASE + f"""
[[route]]
path = "/*"
backend = "app"
{route}
[backend.app]
servers = {servers}
{more}
"""


@pytest.fixture
def labelled():
    made = [Backend(label(name), name=name) for name in "ab"]
    yield made
    for backend in made:
        backend.stop()


def entry(port, more=""):
    return f'{{ url = "ws://127.0.0.1:{port}"{more} }}'


def which(client):
    client.send_text("?")
    return client.recv_text().partition(":")[0]


def refusal(gateway):
    with gateway.client() as client:
        head = client.upgrade("/x")
        return head.status, head.get("Retry-After"), head.body.decode()


def test_a_full_server_and_a_full_backend_say_so(fresh_gateway, labelled):
    a, b = (backend.port for backend in labelled)
    gateway = fresh_gateway(config(f"[{entry(a, ', max_connections = 2')}, {entry(b, ', max_connections = 1')}]"))
    clients = [gateway.connect("/x") for _ in range(3)]
    assert collections.Counter(which(client) for client in clients) == {"a": 2, "b": 1}
    status, retry, body = refusal(gateway)
    assert status == 503 and retry and "server_limit" in body
    assert gateway.metric("sluice_rejects_total", reason="server_limit") == 1
    clients.pop().close()
    wait_for(lambda: gateway.metric("sluice_backend_connections") == 2, 10, "one has gone")
    clients.append(gateway.connect("/x"))
    for client in clients:
        client.close()


def test_a_backend_as_a_whole(fresh_gateway, labelled):
    gateway = fresh_gateway(config(f"[{', '.join(entry(one.port) for one in labelled)}]", "max_connections = 2"))
    clients = [gateway.connect("/x") for _ in range(2)]
    assert "backend_limit" in refusal(gateway)[2]
    backend = gateway.admin_json("/api/v1/backends")["backends"][0]
    assert backend["connections"] == 2 and backend["max_connections"] == 2
    for client in clients:
        client.close()


def page_or_echo(peer):
    """A page that leaves the connection open, or a WebSocket."""
    head = peer.read_head()
    if head.get("Upgrade"):
        peer.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
                  + accept_key(head.get("Sec-WebSocket-Key")).encode() + b"\r\n\r\n")
    else:
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage")
    peer.read_until_end(60)


def test_an_idle_connection_makes_room_for_one_in_use(fresh_gateway):
    def get():
        with RawClient(gateway.port("plain")) as client:
            client.send(b"GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return client.read_until_end(10)
    with Backend(page_or_echo) as backend:
        gateway = fresh_gateway(config(f'[{{ url = "http://127.0.0.1:{backend.port}", max_connections = 1 }}]'), workers=1)
        assert get().endswith(b"page")
        assert not backend.wait_peer(0).done.is_set(), "it rests"
        with gateway.connect("/x"):
            assert backend.wait_peer(0).done.wait(10), "one at a time"
            assert b"(server_limit)" in get()
        assert backend.count == 2


def waiting(gateway):
    return gateway.metric("sluice_backend_pending", backend="app")


def test_clients_wait_for_a_place(fresh_gateway, labelled):
    gateway = fresh_gateway(config(f"[{entry(labelled[0].port, ', max_connections = 1')}]",
                                   'pending = { max = 1, timeout = "60s" }'))
    first = gateway.connect("/x")
    opened = []
    thread = threading.Thread(target=lambda: opened.append(gateway.connect("/x")))
    thread.start()
    wait_for(lambda: waiting(gateway) == 1, 10, "a client waits")
    assert "pending_full" in refusal(gateway)[2]
    assert not opened
    first.close()
    thread.join(20)
    assert opened and which(opened[0]) == "a"
    wait_for(lambda: waiting(gateway) == 0, 10, "nobody waits")
    opened[0].close()


def test_clients_of_all_workers_wait_in_one_line(fresh_gateway, labelled):
    gateway = fresh_gateway(config(f"[{entry(labelled[0].port, ', max_connections = 1')}]",
                                   'pending = { max = 50, timeout = "60s" }'), workers=3)
    first = gateway.connect("/x")
    served = []

    def come(number):
        with gateway.connect("/x"):
            served.append(number)
    threads = [threading.Thread(target=come, args=(number,)) for number in range(12)]
    for number, thread in enumerate(threads):
        thread.start()
        wait_for(lambda: waiting(gateway) == number + 1, 10, "it waits")
    first.close()
    for thread in threads:
        thread.join(30)
    assert served == list(range(12))


def test_who_leaves_gives_its_place_up(fresh_gateway, labelled):
    gateway = fresh_gateway(config(f"[{entry(labelled[0].port, ', max_connections = 1')}]",
                                   'pending = { max = 2, timeout = "300s" }'))
    first = gateway.connect("/x")
    for tls in (None, gateway.tls()):
        with RawClient(gateway.port("tls" if tls else "plain"), tls=tls) as client:
            client.send(b"GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
            wait_for(lambda: waiting(gateway) == 1, 10, "it waits")
        wait_for(lambda: waiting(gateway) == 0, 10, "it has left")
    assert gateway.metric("sluice_rejects_total", reason="client_lost") == 2
    assert gateway.wait_access(reason="client_lost")["status"] == 400
    first.close()


def test_waiting_has_an_end(fresh_gateway, labelled):
    gateway = fresh_gateway(config(f"[{entry(labelled[0].port, ', state = ' + chr(34) + 'down' + chr(34))}]",
                                   'pending = { max = 5, timeout = "300ms" }'))
    status, retry, body = refusal(gateway)
    assert status == 503 and retry and "pending_timeout" in body


def test_clients_are_held_while_the_server_restarts(fresh_gateway):
    port = free_port()
    gateway = fresh_gateway(config(f"[{entry(port)}]", 'pending = { max = 50, timeout = "60s" }'))
    opened = []
    threads = [threading.Thread(target=lambda: opened.append(gateway.connect("/x"))) for _ in range(5)]
    for thread in threads:
        thread.start()
    wait_for(lambda: waiting(gateway) == 5, 10, "all wait")
    with Backend(label("late"), port=port):
        for thread in threads:
            thread.join(20)
        assert len(opened) == 5
        assert {which(client) for client in opened} == {"late"}
        for client in opened:
            client.close()


def test_the_circuit_breaker_opens_and_closes(fresh_gateway):
    port = free_port()
    gateway = fresh_gateway(config(f"[{entry(port)}]",
                                   'circuit_breaker = { failures = 3, open = "1s", probes = 1 }\nretries = 0'))
    state = lambda: gateway.metric("sluice_circuit_breaker_state", backend="app")
    assert state() == 0
    for _ in range(3):
        assert refusal(gateway)[0] == 503
    assert "circuit_open" in refusal(gateway)[2]
    with Backend(label("back"), port=port):
        wait_for(lambda: refusal(gateway)[0] == 101, 20, "a probe has closed it")
        wait_for(lambda: state() == 0, 5, "closed")
        assert gateway.admin_json("/api/v1/backends")["backends"][0]["circuit_breaker"] == "closed"


def test_a_backup_serves_only_while_it_must(fresh_gateway, labelled):
    a, b = labelled
    gateway = fresh_gateway(config(f"[{entry(a.port)}, {entry(b.port, ', backup = true')}]",
                                   'health = { interval = "100ms", rise = 1, fall = 1 }'))
    for _ in range(4):
        with gateway.connect("/x") as client:
            assert which(client) == "a"
    a.stop_listening()

    def served_by():
        with gateway.client() as client:
            return which(client) if client.upgrade("/x").status == 101 else None
    wait_for(lambda: served_by() == "b", 20, "the backup serves")
    a.start()
    wait_for(lambda: served_by() == "a", 20, "the primary serves again")


def test_a_server_that_recovers_starts_slowly(fresh_gateway, labelled):
    a, b = labelled
    gateway = fresh_gateway(config(f"[{entry(a.port)}, {entry(b.port)}]", 'slow_start = "300s"'))
    path = f"/api/v1/backends/app/servers/ws%3A%2F%2F127.0.0.1%3A{a.port}/state"
    for state in ("drain", "ready"):
        assert gateway.admin(path, "PUT", {"Content-Type": "application/json"},
                             json.dumps({"state": state}).encode())[0] == 200
    seen = collections.Counter()
    for _ in range(33):
        with gateway.connect("/x") as client:
            seen[which(client)] += 1
    assert seen["a"] <= 6 and seen["b"] >= 27, seen
    server = gateway.admin_json("/api/v1/backends")["backends"][0]["servers"][0]
    assert server["weight_percent"] < 50


def test_half_of_the_cluster_answers_faults(fresh_gateway, labelled):
    bad = Backend(answer(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"), name="bad")
    with bad:
        gateway = fresh_gateway(config(f"[{entry(bad.port)}, {entry(labelled[0].port)}]"))
        statuses = collections.Counter(refusal(gateway)[0] for _ in range(20))
        assert statuses == {503: 3, 101: 17}
        states = {one["url"]: one["state"] for one in gateway.admin_json("/api/v1/backends")["backends"][0]["servers"]}
        assert states[f"ws://127.0.0.1:{bad.port}"] == "ejected"

"""Protection of backends: limits, clients that wait, the circuit breaker, backups and slow start, with real servers; over
plain and TLS listeners, and across a reload."""

import collections
import json
import threading

import pytest

from evil import Backend, answer, label
from gateway import COMMANDED, wait_for
from ports import free_port
from rawws import RawClient
from wire import accept_key


def config(servers, more="", route=""):
    return COMMANDED + f"""
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


def refusal(gateway, listener="plain"):
    with gateway.client(listener) as client:
        head = client.upgrade("/x")
        return head.status, head.get("Retry-After"), head.body.decode()


def states(gateway):
    return {one["url"]: one["state"] for one in gateway.admin_json("/api/v1/backends")["backends"][0]["servers"]}


def test_a_full_server_and_a_full_backend_say_so(fresh_gateway, labelled, listener):
    a, b = (backend.port for backend in labelled)
    gateway = fresh_gateway(config(f"[{entry(a, ', max_connections = 2')}, {entry(b, ', max_connections = 1')}]"))
    clients = [gateway.connect("/x", listener=listener) for _ in range(3)]
    assert collections.Counter(which(client) for client in clients) == {"a": 2, "b": 1}
    status, retry, body = refusal(gateway, listener)
    assert status == 503 and retry and "server_limit" in body
    assert gateway.metric("sluice_rejects_total", reason="server_limit") == 1
    clients.pop().close()
    wait_for(lambda: gateway.metric("sluice_backend_connections") == 2, 10, "one has gone")
    clients.append(gateway.connect("/x", listener=listener))
    for client in clients:
        client.close()


def test_a_backend_as_a_whole(fresh_gateway, labelled, listener):
    def limited(most):
        return config(f"[{', '.join(entry(one.port) for one in labelled)}]", f"max_connections = {most}")
    gateway = fresh_gateway(limited(2))
    clients = [gateway.connect("/x", listener=listener) for _ in range(2)]
    assert "backend_limit" in refusal(gateway, listener)[2]
    backend = gateway.admin_json("/api/v1/backends")["backends"][0]
    assert backend["connections"] == 2 and backend["max_connections"] == 2
    gateway.write_config(limited(3))
    gateway.reload()
    clients.append(gateway.connect("/x", listener=listener))
    assert "backend_limit" in refusal(gateway, listener)[2], "those who were there before count on"
    assert all(which(client) in "ab" for client in clients)
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


class Waiters:
    """Clients that shake hands while the gateway makes them wait; each is its thread's until that has ended."""

    def __init__(self, gateway, listener, count):
        self.opened = []
        connect = lambda: self.opened.append(gateway.connect("/x", listener=listener, timeout=60))
        self.threads = [threading.Thread(target=connect, daemon=True) for _ in range(count)]
        for thread in self.threads:
            thread.start()
        wait_for(lambda: waiting(gateway) == count, 10, "all wait")

    def served_by(self):
        for thread in self.threads:
            thread.join(20)
        assert len(self.opened) == len(self.threads)
        names = [which(client) for client in self.opened]
        for client in self.opened:
            client.close()
        return set(names)


def test_clients_wait_for_a_place(fresh_gateway, labelled, listener):
    def seats(most):
        return config(f"[{entry(labelled[0].port, ', max_connections = 1')}]", f'pending = {{ max = {most}, timeout = "60s" }}')
    gateway = fresh_gateway(seats(2))
    first = gateway.connect("/x", listener=listener)
    waiters = Waiters(gateway, listener, 1)
    gateway.write_config(seats(1))
    gateway.reload()
    assert waiting(gateway) == 1, "who waits is not forgotten"
    assert "pending_full" in refusal(gateway, listener)[2], "and counts where the new configuration lets one wait"
    assert not waiters.opened and which(first) == "a"
    first.close()
    assert waiters.served_by() == {"a"}
    wait_for(lambda: waiting(gateway) == 0, 10, "nobody waits")


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


def test_a_reload_takes_up_who_waits(fresh_gateway, labelled, listener):
    def in_state(state):
        return config(f"[{entry(labelled[0].port, f', state = {chr(34)}{state}{chr(34)}')}]",
                      'pending = { max = 5, timeout = "60s" }')
    gateway = fresh_gateway(in_state("down"))
    waiters = Waiters(gateway, listener, 3)
    gateway.write_config(in_state("ready"))
    gateway.reload()
    assert waiters.served_by() == {"a"}


def test_waiting_has_an_end(fresh_gateway, labelled, listener):
    gateway = fresh_gateway(config(f"[{entry(labelled[0].port, ', state = ' + chr(34) + 'down' + chr(34))}]",
                                   'pending = { max = 5, timeout = "300ms" }'))
    status, retry, body = refusal(gateway, listener)
    assert status == 503 and retry and "pending_timeout" in body


def test_clients_are_held_while_the_server_restarts(fresh_gateway, listener):
    port = free_port()
    gateway = fresh_gateway(config(f"[{entry(port)}]", 'pending = { max = 50, timeout = "60s" }'))
    waiters = Waiters(gateway, listener, 5)
    gateway.reload()
    assert waiting(gateway) == 5
    with Backend(label("late"), port=port):
        assert waiters.served_by() == {"late"}


def test_the_circuit_breaker_opens_and_closes(fresh_gateway, listener):
    port = free_port()
    gateway = fresh_gateway(config(f"[{entry(port)}]",
                                   'circuit_breaker = { failures = 3, open = "1s", probes = 1 }\nretries = 0'))
    state = lambda: gateway.metric("sluice_circuit_breaker_state", backend="app")
    assert state() == 0
    for _ in range(3):
        assert refusal(gateway, listener)[0] == 503
    assert "circuit_open" in refusal(gateway, listener)[2]
    with Backend(label("back"), port=port):
        wait_for(lambda: refusal(gateway, listener)[0] == 101, 20, "a probe has closed it")
        wait_for(lambda: state() == 0, 5, "closed")
        assert gateway.admin_json("/api/v1/backends")["backends"][0]["circuit_breaker"] == "closed"


def test_an_open_circuit_stays_open_over_a_reload(fresh_gateway, labelled, listener):
    a = labelled[0]

    def breaker(length):
        return config(f"[{entry(a.port)}]",
                      f'circuit_breaker = {{ failures = 3, open = "{length}", probes = 1 }}\nretries = 0')
    gateway = fresh_gateway(breaker("1h"))
    state = lambda: gateway.metric("sluice_circuit_breaker_state", backend="app")
    live = gateway.connect("/x", listener=listener)
    a.stop_listening()
    for _ in range(3):
        assert refusal(gateway, listener)[0] == 503
    assert state() == 2
    a.start()
    gateway.reload()
    assert state() == 2 and "circuit_open" in refusal(gateway, listener)[2], "the server would take everybody by now"
    gateway.write_config(breaker("10ms"))
    gateway.reload()
    assert refusal(gateway, listener)[0] == 101 and state() == 0, "its time is over by the new configuration"
    assert which(live) == "a"
    live.close()


def test_a_backup_serves_only_while_it_must(fresh_gateway, labelled, listener):
    a, b = labelled
    gateway = fresh_gateway(config(f"[{entry(a.port)}, {entry(b.port, ', backup = true')}]",
                                   'health = { interval = "100ms", rise = 1, fall = 1 }\nejection = { base = "500ms" }'))
    for _ in range(4):
        with gateway.connect("/x", listener=listener) as client:
            assert which(client) == "a"
    a.stop_listening()

    def served_by():
        with gateway.client(listener) as client:
            return which(client) if client.upgrade("/x").status == 101 else None
    wait_for(lambda: served_by() == "b", 20, "the backup serves")
    gateway.reload()
    assert served_by() == "b"
    a.start()
    wait_for(lambda: served_by() == "a", 20, "the primary serves again")


def test_a_server_that_recovers_starts_slowly(fresh_gateway, labelled, listener):
    a, b = labelled
    gateway = fresh_gateway(config(f"[{entry(a.port)}, {entry(b.port)}]", 'slow_start = "300s"'))
    path = f"/api/v1/backends/app/servers/ws%3A%2F%2F127.0.0.1%3A{a.port}/state"
    for state in ("drain", "ready"):
        assert gateway.admin(path, "PUT", {"Content-Type": "application/json"},
                             json.dumps({"state": state}).encode())[0] == 200
    seen = collections.Counter()
    for turn in range(33):
        if turn == 16:
            gateway.reload()
        with gateway.connect("/x", listener=listener) as client:
            seen[which(client)] += 1
    assert seen["a"] <= 6 and seen["b"] >= 27, seen
    server = gateway.admin_json("/api/v1/backends")["backends"][0]["servers"][0]
    assert server["weight_percent"] < 50


def test_half_of_the_cluster_answers_faults(fresh_gateway, labelled, listener):
    bad = Backend(answer(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy"), name="bad")
    with bad:
        gateway = fresh_gateway(config(f"[{entry(bad.port)}, {entry(labelled[0].port)}]", 'ejection = { base = "60s" }'))
        statuses = collections.Counter(refusal(gateway, listener)[0] for _ in range(20))
        assert statuses == {503: 3, 101: 17}
        assert states(gateway)[f"ws://127.0.0.1:{bad.port}"] == "ejected"
        gateway.reload()
        assert states(gateway)[f"ws://127.0.0.1:{bad.port}"] == "ejected"
        assert {refusal(gateway, listener)[0] for _ in range(8)} == {101}

"""Faults of servers, with the numbers of security.md §4: F1 killed, F2 reset, F3 an end without Close, F5 no answer, F6 no
connection, F7 a slow reader, F30 all down, F31 answers that are faults. F4 is in test_tcp_reach, F9 and F10 in test_discovery.

What has begun towards a client cannot be taken back: inside a frame it is cut, at a frame boundary it gets Close 1011.
"""

import socket
import statistics
import threading
import time

import pytest

from evil import Backend, Peer, after_101, answer, label, silent, swallow
from gateway import BASE, SLOWER, wait_for
from mortal import WHOLE, Mortal
from ports import free_port
from rawws import check_101
from wire import BINARY, CLOSE, TEXT, frame

KIB = 1024
AT_ONCE = 1.0 * SLOWER

every_way = pytest.mark.parametrize("listener,unit", [(listener, unit) for listener in ("plain", "tls")
                                                      for unit in ("connection", "message")])
every_listener = pytest.mark.parametrize("listener", ["plain", "tls"])


def config(servers, unit="connection", more=""):
    urls = ", ".join(f'"ws://127.0.0.1:{one if isinstance(one, int) else one.port}"' for one in servers)
    return BASE + f"""
[[route]]
path = "/*"
backend = "app"
[backend.app]
servers = [{urls}]
balance = {{ unit = "{unit}", policy = "round_robin" }}
{more}
"""


@pytest.fixture
def survivor():
    with Backend(label("survivor"), name="survivor") as backend:
        yield backend


@pytest.fixture
def doomed():
    server = Mortal("doomed")
    yield server
    server.stop()


def which(client):
    client.send_text("?")
    return client.recv_text().partition(":")[0]


def ask(gateway, listener="plain"):
    """Who serves a new client, and how long it took to know."""
    began = time.monotonic()
    with gateway.connect("/x", listener=listener) as client:
        return which(client), time.monotonic() - began


def status_of(gateway, listener="plain", timeout=30.0):
    began = time.monotonic()
    with gateway.client(listener, timeout=timeout) as client:
        status = client.upgrade("/x").status
    return status, time.monotonic() - began


def client_of(gateway, listener, name, word="?", **how):
    """A client whose server, or one of them, is `name`, and the frame by which that has answered the word."""
    for _ in range(20):
        client = gateway.connect("/x", listener=listener, **how)
        for _ in range(4):
            client.send_text(word)
            first = client.recv_frame()
            others = first.payload.partition(b":")[0] in (b"survivor", b"doomed") and not first.payload.startswith(name.encode())
            if not others:
                return client, first
        client.close()
    raise AssertionError(f"nobody comes to {name}")


def server_of(gateway, server):
    servers = gateway.admin_json("/api/v1/backends")["backends"][0]["servers"]
    return next(one for one in servers if one["url"] == f"ws://127.0.0.1:{server.port}")


def ejections(gateway):
    """Their lengths in seconds, as logged."""
    return [event["seconds"] for event in gateway.events() if event.get("event") == "backend_ejected"]


# ---- F1: the process is killed -----------------------------------------------------------------------------------------------

@every_way
def test_f1_a_server_is_killed_inside_a_frame(fresh_gateway, doomed, survivor, listener, unit):
    gateway = fresh_gateway(config([doomed, survivor], unit))
    others = []
    if unit == "connection":
        others = [client_of(gateway, listener, "survivor")[0] for _ in range(4)]
    idle = [client_of(gateway, listener, "doomed")[0] for _ in range(4)]
    between, inside = [], []
    for _ in range(4):
        client, first = client_of(gateway, listener, "doomed", "first")
        assert not first.fin and first.payload == b"x" * 1000
        between.append(client)
    for _ in range(4):
        client, first = client_of(gateway, listener, "doomed", "half")
        assert first.payload == WHOLE
        inside.append(client)
    began = time.monotonic()
    doomed.kill()
    for client in idle + between:
        assert client.expect_close(1011, 5) == []
    for client in inside:
        before, close = client.until_close(5)
        assert before == [] and close is None and client.ended, "no frame of which the end is missing, and nothing after it"
    assert time.monotonic() - began <= AT_ONCE
    for _ in range(20):
        name, took = ask(gateway, listener)
        assert name == "survivor" and took <= AT_ONCE
    for client in others:
        assert which(client) == "survivor", "sessions elsewhere stay"
    wait_for(lambda: ejections(gateway) == [10], 5, "ejected for ten seconds")
    assert server_of(gateway, doomed)["state"] == "ejected"
    assert failed_connects(gateway) <= 3, "after three failures in a row, and asked no more"
    for client in others + idle + between + inside:
        client.close()


def test_f1_an_ejection_doubles_and_ends(fresh_gateway, doomed, survivor):
    gateway = fresh_gateway(config([doomed, survivor]))
    doomed.kill()
    def until(count):
        def tried():
            assert ask(gateway)[0] == "survivor"
            return len(ejections(gateway)) >= count
        return tried
    wait_for(until(1), 5, "three failures")
    first = time.monotonic()
    wait_for(until(2), 15, "three failures more, after the first ejection")
    assert time.monotonic() - first >= 9.5
    assert ejections(gateway)[:2] == [10, 20]
    assert failed_connects(gateway) == 6


def test_f1_at_most_half_are_ejected(fresh_gateway, survivor):
    gateway = fresh_gateway(config([free_port(), free_port(), free_port(), survivor]))
    wait_for(lambda: status_of(gateway) and len(ejections(gateway)) == 2, 5, "two are ejected")
    for _ in range(24):
        assert ask(gateway)[0] == "survivor"
    assert ejections(gateway) == [10, 10]
    assert gateway.metric("sluice_backend_server_state", state="ejected") == 2


# ---- F2: a reset -------------------------------------------------------------------------------------------------------------

def resetting(when):
    """Speaks, and resets the connection: on "bye" right behind its last words, on "rest" a while later. Notes when."""
    def handler(peer: Peer):
        peer.accept()
        while (got := peer.next_message()) is not None:
            peer.send(frame(TEXT, b"doomed:" + got[1], mask=None))
            if got[1] in (b"bye", b"rest"):
                time.sleep(0.2 if got[1] == b"rest" else 0)
                when.append(time.monotonic())
                return peer.reset()
    return handler


@every_way
def test_f2_a_reset_is_noticed_at_once(fresh_gateway, survivor, listener, unit):
    when = []
    with Backend(resetting(when)) as backend:
        gateway = fresh_gateway(config([backend, survivor], unit, 'ejection = { failures = "off" }'))
        others = [client_of(gateway, listener, "survivor")[0] for _ in range(2)] if unit == "connection" else []
        for word in ("rest", "bye"):
            took = []
            for _ in range(10):
                when.clear()
                client, _ = client_of(gateway, listener, "doomed", word)
                client.expect_close(1011, 5)
                took.append(time.monotonic() - when[0])
                client.close()
            print(word, [f"{one:.3f}" for one in took])
            assert statistics.median(took) <= 0.1 * SLOWER and max(took) <= AT_ONCE, took
        for client in others:
            assert which(client) == "survivor"
            client.close()
        backend.stop()
        for _ in range(10):
            name, took = ask(gateway, listener)
            assert name == "survivor" and took <= AT_ONCE


# ---- F3: an end without Close ------------------------------------------------------------------------------------------------

@every_way
@pytest.mark.parametrize("inside", [False, True])
def test_f3_an_end_without_close(fresh_gateway, listener, unit, inside):
    """What is whole reaches a client that was slow to read, then 1011; cut, where half a frame had begun."""
    count, body = 500, b"x" * 8 * KIB
    def handler(peer: Peer):
        peer.accept()
        peer.next_message()
        peer.send(b"".join(frame(BINARY, b"%06d" % n + body, mask=None) for n in range(count)))
        if inside:
            peer.send(frame(BINARY, body, mask=None)[:1000])
        peer.finish()
        peer.drain(20)
    with Backend(handler) as backend:
        gateway = fresh_gateway(config([backend], unit))
        with gateway.client(listener, receive_buffer=16 * KIB) as client:
            check_101(client.upgrade("/x"))
            client.send_text("go")
            backend.wait_peer()
            time.sleep(0.5)
            before, close = client.until_close(20)
            assert [got.payload for got in before] == [b"%06d" % n + body for n in range(count)]
            if inside:
                assert close is None and client.ended
            else:
                assert close.code == 1011


@every_way
def test_f3_the_end_of_an_idle_connection(fresh_gateway, listener, unit):
    def handler(peer: Peer):
        peer.accept()
        peer.next_message()
        peer.finish()
        peer.drain(20)
    with Backend(handler) as backend:
        gateway = fresh_gateway(config([backend], unit))
        with gateway.connect("/x", listener=listener) as client:
            began = time.monotonic()
            client.send_text("go")
            client.expect_close(1011, 5)
            assert time.monotonic() - began <= AT_ONCE


# ---- F5: no answer to the upgrade ----------------------------------------------------------------------------------------------

@every_way
def test_f5_an_upgrade_that_is_never_answered(fresh_gateway, survivor, listener, unit):
    """504 after ten seconds; nobody else is asked, as it may be at work on it; three of them eject it."""
    with Backend(silent) as mute:
        gateway = fresh_gateway(config([mute, survivor], unit))
        results = []
        threads = [threading.Thread(target=lambda: results.append(status_of(gateway, listener))) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(status for status, _ in results) == [101] * 3 + [504] * 3
        for status, took in results:
            if status == 504:
                assert 9.9 <= took <= 10 + AT_ONCE, took
            else:
                assert took <= AT_ONCE
        assert mute.count + survivor.count == 6, "each client was one server's"
        wait_for(lambda: ejections(gateway) == [10], 5, "ejected for ten seconds")
        assert [ask(gateway, listener)[0] for _ in range(4)] == ["survivor"] * 4
        assert mute.count == 3


# ---- F6: no connection ---------------------------------------------------------------------------------------------------------

class Unreachable:
    """Listens, but every packet to it is lost on the way."""
    def __init__(self):
        self.port = free_port()
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("127.0.0.1", self.port))
        swallow(self.listener)
        self.listener.listen(16)


@pytest.fixture
def lost():
    made = [Unreachable() for _ in range(3)]
    yield made
    for one in made:
        one.listener.close()


def failed_connects(gateway):
    return gateway.metric("sluice_backend_connect_total", result="failed")


@every_way
def test_f6_refused_connections(fresh_gateway, survivor, listener, unit):
    gateway = fresh_gateway(config([free_port() for _ in range(5)], unit))
    status, took = status_of(gateway, listener)
    assert status == 503 and took <= AT_ONCE
    assert failed_connects(gateway) == 3, "the first and two further ones"
    gateway = fresh_gateway(config([free_port(), free_port(), survivor], unit))
    for _ in range(3):
        name, took = ask(gateway, listener)
        assert name == "survivor" and took <= AT_ONCE


@every_way
def test_f6_connections_that_are_never_answered(fresh_gateway, survivor, lost, listener, unit):
    gateway = fresh_gateway(config(lost, unit))
    status, took = status_of(gateway, listener)
    assert status == 504 and 5.9 <= took <= 6 + AT_ONCE, (status, took)
    assert failed_connects(gateway) == 2
    for servers in ([lost[0], survivor], [free_port(), lost[1], survivor]):
        gateway = fresh_gateway(config(servers, unit))
        answers = [status_of(gateway, listener) for _ in servers]  # each has been the first one once
        assert [status for status, _ in answers] == [101] * len(servers)
        assert 2.9 <= max(took for _, took in answers) <= 3 + AT_ONCE, answers


# ---- F7: a server that reads slowly ----------------------------------------------------------------------------------------------

@every_way
def test_f7_a_slow_server(fresh_gateway, listener, unit):
    """1 KiB a second each: their clients are paused, at most 128 KiB of each are in the gateway, nobody is closed or ejected."""
    clients, rate, stop = 32, KIB, threading.Event()
    counted = [0] * clients
    def slow(peer: Peer):
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.accept()
        index = backend.snapshot().index(peer)
        while not stop.wait(1.0):
            counted[index] += len(peer.sock.recv(rate))
    with Backend(slow) as backend:
        gateway = fresh_gateway(config([backend], unit))
        sessions = [gateway.connect("/x", listener=listener) for _ in range(clients)]
        backend.wait_peer(clients - 1)
        for client in sessions:
            client.send_binary(b"warm")
        before, sent, body = gateway.rss(), [0] * clients, frame(BINARY, bytes(16 * KIB))
        def fill(index):
            sock = sessions[index].sock
            sock.settimeout(3)
            try:
                for _ in range(4096):
                    sock.sendall(body)
                    sent[index] += len(body)
            except (socket.timeout, TimeoutError):
                pass
        threads = [threading.Thread(target=fill, args=(index,)) for index in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert max(sent) < 64 << 20, "a client was not paused"
        time.sleep(1.1)  # the gauge is looked at once a second
        assert gateway.metric("sluice_buffered_bytes") <= clients * 128 * KIB
        assert gateway.rss() - before <= clients * 128 * KIB
        assert gateway.metric("sluice_backpressure_pauses_total", direction="in") >= clients
        wait_for(lambda: min(counted) >= 6 * rate, 30, "all of them are read from")
        assert gateway.metric("sluice_websocket_connections") == clients
        assert ejections(gateway) == [] and server_of(gateway, backend)["state"] == "up"
        gateway.connect("/x", listener=listener).close()
        stop.set()
        for client in sessions:
            client.close()


# ---- F30: all servers down -------------------------------------------------------------------------------------------------------

@every_listener
def test_f30_all_servers_down(fresh_gateway, listener):
    ports = [free_port(), free_port()]
    gateway = fresh_gateway(config(ports, more='slow_start = "10s"\nhealth = { interval = "2s", rise = 1, fall = 1 }'))
    wait_for(lambda: gateway.metric("sluice_backend_server_state", state="down") == 2, 10, "both are down")
    took = []
    for _ in range(100):
        with gateway.client(listener) as client:
            began = time.monotonic()
            head = client.upgrade("/x")
            took.append(time.monotonic() - began)
            assert head.status == 503 and int(head.get("Retry-After")) >= 1
    assert statistics.median(took) <= 0.010 * SLOWER, sorted(took)[-5:]
    assert failed_connects(gateway) == 0, "nobody was asked"
    assert gateway.metric("sluice_backend_pending") == 0
    wait_for(lambda: gateway.metric("sluice_connections", listener=listener) == 0, 5, "nothing is left of them")
    with Backend(label("back"), port=ports[0]):
        began = time.monotonic()
        wait_for(lambda: status_of(gateway, listener)[0] == 101, 10, "it serves again")
        assert time.monotonic() - began <= 2 * 1.2 + AT_ONCE, "one interval, with its jitter"
        time.sleep(4)
        with Backend(label("late"), port=ports[1]):
            wait_for(lambda: gateway.metric("sluice_backend_server_state", state="up") == 2, 10, "both serve")
            names = [ask(gateway, listener)[0] for _ in range(11)]
            assert 0 < names.count("late") < 5, "a small share at first"
            time.sleep(10.5)
            names = [ask(gateway, listener)[0] for _ in range(10)]
            assert names.count("late") == 5


# ---- F31: answers that are faults ------------------------------------------------------------------------------------------------

@every_way
def test_f31_half_of_the_servers_answer_faults(fresh_gateway, listener, unit):
    def refusing(status):
        return answer(b"HTTP/1.1 %d Fault\r\nContent-Length: 4\r\n\r\nbusy" % status)
    for status, relayed, ejected in ((500, 20, 0), (503, 6, 2)):
        made = [Backend(refusing(status)), Backend(refusing(status)), Backend(label("a")), Backend(label("b"))]
        gateway = fresh_gateway(config(made, unit))
        statuses = [status_of(gateway, listener)[0] for _ in range(40)]
        assert statuses.count(status) == relayed and statuses.count(101) == 40 - relayed, status
        assert gateway.metric("sluice_backend_server_state", state="ejected") == ejected
        for backend in made:
            backend.stop()

"""Messages that go by their content: rules, keys, to all, races. Over plain and TLS listeners, and across a reload."""

import collections
import json
import threading

import pytest

from evil import Backend, label
from gateway import BASE, wait_for
from wire import TEXT, CONT, frame


def config(rules, balance='{ unit = "message", policy = "round_robin" }', **backends):
    tables = "".join(f"""
[backend.{name}]
servers = [{", ".join(f'"ws://127.0.0.1:{one.port}"' for one in servers)}]
balance = {balance}
""" for name, servers in backends.items())
    return BASE + f"""
[[route]]
path = "/*"
backend = "app"
{rules}
{tables}
"""


@pytest.fixture
def labelled():
    made = [Backend(label(name), name=name) for name in "abc"]
    yield made
    for backend in made:
        backend.stop()


def who(reply):
    return reply.partition(":")[0]


def call(method, **more):
    return json.dumps({"jsonrpc": "2.0", "method": method, **more})


ORDERS = """
[[route.message]]
name = "orders"
match = { pointer = "/method", prefix = "order." }
backend = "orders"
[[route.message]]
match = { opcode = "binary", hex = "00ff" }
backend = "files"
"""


def test_rules(fresh_gateway, labelled, listener):
    a, b, c = labelled
    gateway = fresh_gateway(config(ORDERS, app=[a], orders=[b], files=[c]))
    with gateway.connect("/x", listener=listener) as client:
        def ask(text):
            client.send_text(text)
            return who(client.recv_text())
        assert ask(call("order.new")) == "b"
        assert ask(call("chat.say")) == "a"
        assert ask("no json") == "a"
        assert ask(call("order.new", pad="x" * 100_000)) == "a"  # too large to be read
        # In fragments, with a pause between them.
        head = call("order.new", pad="y")
        client.send(frame(TEXT, head[:10].encode(), fin=False))
        gateway.reload()
        client.send(frame(CONT, head[10:].encode()))
        assert who(client.recv_text()) == "b"
    wait_for(lambda: gateway.metric("sluice_message_rules_total", route="/*", rule="orders") == 2, 10, "the rule's count")
    assert gateway.metric("sluice_messages_unread_total", route="/*") == 1


def test_key(fresh_gateway, labelled, listener):
    gateway = fresh_gateway(config("", '{ unit = "message", policy = "consistent_hash", key = "json:/room" }', app=labelled))
    homes = collections.defaultdict(set)

    def visit(client):
        for number in range(120):
            room = f"room {number % 60}"
            client.send_text(json.dumps({"room": room, "n": number}))
            homes[room].add(who(client.recv_text()))
    with gateway.connect("/x", listener=listener) as old:
        visit(old)
        gateway.reload()
        visit(old)
        with gateway.connect("/x", listener=listener) as new:
            visit(new)
    assert all(len(servers) == 1 for servers in homes.values())
    assert len(set().union(*homes.values())) == 3


def test_all_and_race(fresh_gateway, labelled, listener):
    rules = """
[[route.message]]
match = { pointer = "/method", equals = "tell" }
to = "all"
"""
    gateway = fresh_gateway(config(rules, app=labelled))
    with gateway.connect("/x", listener=listener) as client:
        for _ in range(2):
            client.send_text(call("tell"))
            assert sorted(who(client.recv_text()) for _ in range(3)) == ["a", "b", "c"]
            client.send_text(call("ask"))
            assert who(client.recv_text()) in "abc"
            gateway.reload()


def answers(name, may):
    """Answers each call by its name, once it may."""
    def handler(peer):
        peer.accept()
        while (got := peer.next_message()) is not None:
            assert may.wait(30)
            peer.put(TEXT, json.dumps({"jsonrpc": "2.0", "id": json.loads(got[1])["id"], "result": name}).encode())
    return handler


def test_a_race_that_a_reload_interrupts(fresh_gateway, listener):
    rules = """
[[route.message]]
match = { pointer = "/method", prefix = "get" }
to = "race"
"""
    may = {name: threading.Event() for name in "abc"}
    with Backend(answers("a", may["a"])) as a, Backend(answers("b", may["b"])) as b, Backend(answers("c", may["c"])) as c:
        gateway = fresh_gateway(config(rules, app=[a, b, c]))
        swallowed = lambda: gateway.metric("sluice_messages_discarded_total", route="/*", reason="race")
        with gateway.connect("/x", listener=listener) as old:
            old.send_text(call("get", id=1))
            for backend in (a, b, c):
                wait_for(lambda: backend.wait_peer().messages, 5, "asked")
            gateway.write_config(config("", app=[a, b, c]))
            gateway.reload()
            may["b"].set()
            assert json.loads(old.recv_text()) == {"jsonrpc": "2.0", "id": 1, "result": "b"}
            may["a"].set()
            may["c"].set()
            wait_for(lambda: swallowed() == 2, 10, "the later answers are swallowed")
            old.send_text(call("get", id=2))
            assert json.loads(old.recv_text())["id"] == 2
            wait_for(lambda: swallowed() == 4, 10, "its rules are those that it began with")
            with gateway.connect("/x", listener=listener) as new:
                new.send_text(call("get", id=3))
                assert json.loads(new.recv_text())["id"] == 3
                old.send_text(call("get", id=4))
                assert json.loads(old.recv_text())["id"] == 4
                wait_for(lambda: swallowed() == 6, 10, "and nobody races for who came later")


def test_survives_a_reload(fresh_gateway, labelled, listener):
    a, b, c = labelled
    before = config(ORDERS, app=[a], orders=[b], files=[c])
    gateway = fresh_gateway(before)
    with gateway.connect("/x", listener=listener) as old:
        old.send_text(call("order.new"))
        assert who(old.recv_text()) == "b"
        gateway.write_config(before.replace('backend = "orders"', 'backend = "files"', 1))
        gateway.reload()
        old.send_text(call("order.new"))
        assert who(old.recv_text()) == "b"  # it keeps the rules that it began with
        with gateway.connect("/x", listener=listener) as new:
            new.send_text(call("order.new"))
            assert who(new.recv_text()) == "c"

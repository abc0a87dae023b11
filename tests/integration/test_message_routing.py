"""Messages that go by their content: rules, keys, to all, races. Over plain and TLS listeners, and across a reload."""

import collections
import json

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


def test_rules(fresh_gateway, labelled):
    a, b, c = labelled
    gateway = fresh_gateway(config(ORDERS, app=[a], orders=[b], files=[c]))
    with gateway.connect("/x") as client:
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
        client.send(frame(CONT, head[10:].encode()))
        assert who(client.recv_text()) == "b"
    wait_for(lambda: gateway.metric("sluice_message_rules_total", route="/*", rule="orders") == 2, 10, "the rule's count")
    assert gateway.metric("sluice_messages_unread_total", route="/*") == 1


def test_key(fresh_gateway, labelled):
    gateway = fresh_gateway(config("", '{ unit = "message", policy = "consistent_hash", key = "json:/room" }', app=labelled))
    homes = collections.defaultdict(set)
    for _ in range(2):
        with gateway.connect("/x") as client:
            for number in range(60):
                room = f"room {number % 20}"
                client.send_text(json.dumps({"room": room, "n": number}))
                homes[room].add(who(client.recv_text()))
    assert all(len(servers) == 1 for servers in homes.values())
    assert len(set().union(*homes.values())) == 3


def test_all_and_race(fresh_gateway, labelled):
    rules = """
[[route.message]]
match = { pointer = "/method", equals = "tell" }
to = "all"
"""
    gateway = fresh_gateway(config(rules, app=labelled))
    with gateway.connect("/x") as client:
        client.send_text(call("tell"))
        assert sorted(who(client.recv_text()) for _ in range(3)) == ["a", "b", "c"]
        client.send_text(call("ask"))
        assert who(client.recv_text()) in "abc"


@pytest.mark.parametrize("listener", ["plain", "tls"])
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

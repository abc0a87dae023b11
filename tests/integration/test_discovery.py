"""Servers that a name leads to: each address, or each SRV record; what happens when answers change or fail to come. Over plain
and TLS listeners, and across a reload."""

import collections
import time

import pytest

from certs import server_context
from evil import Backend, label
from fake_dns import NXDOMAIN, SERVFAIL, Dns
from gateway import BASE, wait_for
from ports import free_port

TTL = 5  # the least that counts, whatever the record says


@pytest.fixture
def dns():
    with Dns() as server:
        yield server


@pytest.fixture
def fleet():
    """Backends on loopback addresses of their own, all on one port; each says which it is."""
    port, made = free_port(), {}
    for number in (1, 2, 3):
        made[number] = Backend(label(str(number)), name=str(number), port=port, host=f"127.0.0.{number}")
    yield made
    for backend in made.values():
        backend.stop()


def config(dns, servers, more="", route=""):
    return BASE.replace("[server]\n", f'[server]\nresolvers = ["{dns.address}"]\n') + f"""
[[route]]
path = "/keep"
backend = "app"
{route}
[[route]]
path = "/close"
backend = "app"
on_server_down = "close"
[backend.app]
servers = {servers}
{more}
"""


def which(client):
    client.send_text("?")
    return client.recv_text().partition(":")[0]


def ask(gateway, path="/keep", listener="plain"):
    with gateway.connect(path, listener=listener) as client:
        return which(client)


def backend_of(gateway):
    return gateway.admin_json("/api/v1/backends")["backends"][0]


def up(gateway):
    return backend_of(gateway)["up"]


def states(gateway):
    return {server["url"]: server["state"] for server in backend_of(gateway)["servers"]}


def test_each_address_of_a_name_is_a_server(fresh_gateway, dns, fleet, listener):
    port = fleet[1].port
    dns.set("app.test", ["127.0.0.2", "127.0.0.1"])
    gateway = fresh_gateway(config(dns, f'["dns+ws://app.test:{port}"]'))
    wait_for(lambda: up(gateway) == 2, 10, "two servers")
    counts = collections.Counter(ask(gateway, listener=listener) for _ in range(8))
    assert counts == {"1": 4, "2": 4}, counts
    assert sorted(states(gateway)) == [f"ws://127.0.0.1:{port}", f"ws://127.0.0.2:{port}"]
    name, = backend_of(gateway)["names"]
    assert name["url"] == f"dns+ws://app.test:{port}" and name["resolved"] and name["servers"] == 2
    assert gateway.metric("sluice_backend_server_up", server=f"ws://127.0.0.2:{port}") == 1
    assert gateway.metric("sluice_dns_lookups_total", backend="app", result="ok") >= 1
    assert gateway.metric("sluice_backend_connect_total", server=f"ws://127.0.0.1:{port}", result="ok") == 4


def test_new_sessions_follow_the_records_and_old_ones_stay(fresh_gateway, dns, fleet, listener):
    """F9: an address that is not named any more is given nothing new after the time to live and 5 s."""
    port = fleet[1].port
    dns.set("app.test", ["127.0.0.1", "127.0.0.2"], ttl=1)
    gateway = fresh_gateway(config(dns, f'["dns+ws://app.test:{port}"]'))
    wait_for(lambda: up(gateway) == 2, 10, "two servers")
    come = lambda path: [gateway.connect(path, listener=listener, timeout=30) for _ in range(2)]
    kept = {which(client): client for client in come("/keep")}
    closed = {which(client): client for client in come("/close")}
    assert set(kept) == set(closed) == {"1", "2"}
    gateway.reload()  # the sessions are of a configuration that is not in force any more
    began = time.monotonic()
    dns.set("app.test", ["127.0.0.2", "127.0.0.3"], ttl=1)
    wait_for(lambda: f"ws://127.0.0.3:{port}" in states(gateway), TTL + 5, "the new address serves")
    assert {ask(gateway, listener=listener) for _ in range(8)} == {"2", "3"}, "and the old one is given nothing new"
    print(f"followed after {time.monotonic() - began:.1f} s")
    # Only the sessions of the server that has vanished are touched, and only where the route says so.
    closed["1"].expect_close(1012)
    assert which(kept["1"]) == "1" and which(kept["2"]) == "2" and which(closed["2"]) == "2"
    assert states(gateway)[f"ws://127.0.0.1:{port}"] == "vanished"
    assert gateway.metric("sluice_backend_connections", server=f"ws://127.0.0.1:{port}") >= 1
    # Its last session over, nothing is left of it; the one that stayed is the same, with what was counted of it.
    closed["1"].close()
    kept["1"].close()
    wait_for(lambda: f"ws://127.0.0.1:{port}" not in states(gateway), 10, "the vanished server is forgotten")
    stayed = [server for server in backend_of(gateway)["servers"] if server["url"] == f"ws://127.0.0.2:{port}"][0]
    assert stayed["connects_ok"] >= 3
    for client in (kept["2"], closed["2"]):
        client.close()


@pytest.mark.parametrize("how", ["servfail", "nxdomain", "empty", "timeout"])
def test_the_last_good_answer_is_kept(fresh_gateway, dns, fleet, how):
    """F10: a failure to resolve takes no server away, is counted, and its length is seen."""
    port = fleet[1].port
    dns.set("app.test", ["127.0.0.1"], ttl=1)
    gateway = fresh_gateway(config(dns, f'["dns+ws://app.test:{port}"]'))
    wait_for(lambda: up(gateway) == 1, 10, "resolved")
    assert gateway.metric("sluice_dns_stale_seconds", backend="app") == 0
    dns.set("app.test", code={"servfail": SERVFAIL, "nxdomain": NXDOMAIN}.get(how, 0), silent=how == "timeout")
    result = {"servfail": "failed"}.get(how, how)
    lookups = lambda: gateway.metric("sluice_dns_lookups_total", backend="app", result=result)
    wait_for(lambda: lookups() >= 1, 40, f"a lookup with the result {result}")
    wait_for(lambda: gateway.metric("sluice_dns_stale_seconds", backend="app") > 0, 20, "the answer is stale")
    assert ask(gateway) == "1" and up(gateway) == 1
    said = lambda: [event for event in gateway.events() if event["event"] == "dns_failed"]
    wait_for(said, 10, "the failure is in the log")  # which is written behind
    dns.set("app.test", ["127.0.0.2"], ttl=60)
    wait_for(lambda: f"ws://127.0.0.2:{port}" in states(gateway), 60, "a good answer counts again")
    assert gateway.metric("sluice_dns_stale_seconds", backend="app") == 0
    assert ask(gateway) == "2"


def test_a_name_that_does_not_resolve_does_not_stop_the_start(fresh_gateway, dns, fleet):
    port = fleet[1].port
    gateway = fresh_gateway(config(dns, f'["dns+ws://late.test:{port}"]'))
    with gateway.client() as client:
        assert client.upgrade("/keep").status == 503
    assert gateway.wait_access(status=503)["reason"] == "be_unresolved"
    assert gateway.metric("sluice_backend_server_state", backend="app", state="unresolved") == 1
    wait_for(lambda: gateway.metric("sluice_dns_lookups_total", backend="app", result="nxdomain") >= 1, 10, "asked for")
    dns.set("late.test", ["127.0.0.1"])
    wait_for(lambda: up(gateway) == 1, 40, "resolved in the end")
    assert ask(gateway) == "1"


def test_services_bring_port_weight_and_address(fresh_gateway, dns):
    with Backend(label("a")) as a, Backend(label("b"), host="127.0.0.2") as b, Backend(label("c")) as c:
        dns.set("_ws._tcp.app.test", services=[(1, 10, a.port, "a.test"), (1, 30, b.port, "b.test")])
        dns.set("a.test", ["127.0.0.1"])
        dns.set("b.test", ["127.0.0.2"])
        dns.set("c.test", ["127.0.0.1"])
        gateway = fresh_gateway(config(dns, '["srv+ws://_ws._tcp.app.test"]'))
        wait_for(lambda: up(gateway) == 2, 10, "both services")
        counts = collections.Counter(ask(gateway) for _ in range(16))
        assert counts == {"a": 4, "b": 12}, counts
        assert sorted(states(gateway)) == [f"ws://a.test:{a.port}", f"ws://b.test:{b.port}"]
        dns.set("_ws._tcp.app.test", services=[(1, 0, c.port, "c.test")])
        wait_for(lambda: list(states(gateway)) == [f"ws://c.test:{c.port}"], 2 * TTL + 5, "the other service")
        assert ask(gateway) == "c"


def test_certificates_are_for_the_configured_name(fresh_gateway, dns, authority, tmp_path):
    mine = authority.issue("backend", ["app.test"], folder=tmp_path)
    with Backend(label("tls"), tls=server_context(mine)) as backend:
        dns.set("app.test", ["127.0.0.1"])
        dns.set("other.test", ["127.0.0.1"])
        dns.set("_ws._tcp.app.test", services=[(0, 0, backend.port, "other.test")])
        tls = f'tls = {{ ca = "{authority.path}" }}'
        for servers, status in ((f'["dns+wss://app.test:{backend.port}"]', 101),
                                ('["srv+wss://_ws._tcp.app.test"]', 101),
                                (f'["dns+wss://other.test:{backend.port}"]', 502)):
            gateway = fresh_gateway(config(dns, servers, tls))
            wait_for(lambda: up(gateway) >= 1, 10, "resolved")
            with gateway.client() as client:
                assert client.upgrade("/keep").status == status, servers


def test_a_reload_keeps_what_a_name_led_to_and_may_ask_others(fresh_gateway, dns, fleet, listener):
    port = fleet[1].port
    dns.set("app.test", ["127.0.0.1", "127.0.0.2"], ttl=300)
    gateway = fresh_gateway(config(dns, f'["dns+ws://app.test:{port}"]'))
    wait_for(lambda: up(gateway) == 2, 10, "resolved")
    with gateway.connect("/keep", listener=listener) as client:
        name = which(client)
        asked = dns.asked("app.test")
        with Dns() as other:
            other.set("more.test", ["127.0.0.3"])
            gateway.write_config(config(other, f'["dns+ws://app.test:{port}", "dns+ws://more.test:{port}"]'))
            gateway.reload()
            wait_for(lambda: up(gateway) == 3, 10, "the servers of both names")
            assert dns.asked("app.test") == asked and other.asked("app.test") == 0, "an answer that is good is used on"
            held = [server for server in backend_of(gateway)["servers"] if server["connections"]]
            assert [server["url"] for server in held] == [f"ws://127.0.0.{name}:{port}"], "its count lives on"
            assert {ask(gateway, listener=listener) for _ in range(6)} == {"1", "2", "3"}
        assert which(client) == name

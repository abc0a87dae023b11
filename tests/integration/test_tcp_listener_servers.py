"""Servers of plain TCP listeners: TLS and mutual TLS, unix sockets, clients that wait, servers that go down, and reloads."""

import collections
import json
import os
import ssl
import time

import pytest

from evil import Backend, Peer, tcp_echo
from gateway import COMMANDED, wait_for
from ports import free_port
from rawws import RawClient


def config(servers, more="", listener="", name="raw"):
    urls = ", ".join(one if one.startswith("{") else f'"{one}"' for one in servers)
    return COMMANDED + f"""
[[listener]]
name = "{name}"
bind = "127.0.0.1:@raw@"
protocol = "tcp"
backend = "app"
{listener}
[[route]]
path = "/*"
backend = "app"
[backend.app]
servers = [{urls}]
{more}
"""


def said(client, text=b"?"):
    client.send(text)
    return client.read_exactly(len(text), 20) == text


def server_context(authority, folder, *, mutual=False):
    certificate, key = authority.issue("upstream", ["db.internal"], folder=folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if mutual:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(authority.path)
    return context


def who(peer: Peer):
    """Says whose certificate it has been shown, then echoes."""
    subject = (getattr(peer.sock, "getpeercert", dict)() or {}).get("subject", ())
    name = dict(pair[0] for pair in subject).get("commonName", "nobody")
    peer.send(f"{name:10}".encode())
    tcp_echo(peer)


def tls_table(authority, more=""):
    return f'[backend.app.tls]\nca = "{authority.path}"\nserver_name = "db.internal"\n{more}'


def test_tls_and_plain_servers_in_one_backend(fresh_gateway, authority, tmp_path):
    with Backend(who, tls=server_context(authority, tmp_path)) as safe, Backend(who) as plain:
        gateway = fresh_gateway(config([f"tls://127.0.0.1:{safe.port}", f"tcp://127.0.0.1:{plain.port}"],
                                       "retries = 0\n" + tls_table(authority)))
        body = os.urandom(1 << 20)
        for _ in range(4):
            with RawClient(gateway.port("raw")) as client:
                assert client.read_exactly(10, 10) == b"nobody    "
                client.sock.sendall(body[:200_000])
                assert client.read_exactly(200_000, 20) == body[:200_000]
                client.finish()
                assert client.read_until_end(10) == b""
        assert safe.count == plain.count == 2


def test_mutual_tls(fresh_gateway, authority, tmp_path):
    certificate, key = authority.issue("gateway", ["gateway"], folder=tmp_path, client=True)
    with Backend(who, tls=server_context(authority, tmp_path, mutual=True)) as backend:
        gateway = fresh_gateway(config([f"tls://127.0.0.1:{backend.port}"],
                                       tls_table(authority, f'cert = "{certificate}"\nkey = "{key}"\n')))
        with RawClient(gateway.port("raw")) as client:
            assert client.read_exactly(10, 10) == b"gateway   "
            assert said(client)


def test_a_certificate_that_does_not_fit(fresh_gateway, authority, tmp_path):
    with Backend(who, tls=server_context(authority, tmp_path)) as backend:
        gateway = fresh_gateway(config([f"tls://127.0.0.1:{backend.port}"], "retries = 0\n"
                                       + tls_table(authority).replace("db.internal", "other.internal")))
        with RawClient(gateway.port("raw")) as client:
            assert client.read_until_end(10) == b""
        assert gateway.wait_access(event="tcp_close")["reason"] == "be_tls"
        assert not any(peer.buffer for peer in backend.snapshot()), "nothing went up in the clear"


def test_unix_sockets(fresh_gateway, authority, tmp_path):
    with Backend(tcp_echo, path=str(tmp_path / "plain.sock")) as plain, \
         Backend(tcp_echo, path=str(tmp_path / "tls.sock"), tls=server_context(authority, tmp_path)) as safe:
        gateway = fresh_gateway(config([f"unix://{plain.path}", f"tls+unix://{safe.path}"], tls_table(authority)))
        for _ in range(4):
            with RawClient(gateway.port("raw")) as client:
                assert said(client)
        assert plain.count == safe.count == 2


def waiting(gateway):
    return gateway.metric("sluice_backend_pending", backend="app")


def test_clients_wait_for_a_place(fresh_gateway):
    with Backend(tcp_echo) as backend:
        gateway = fresh_gateway(config([f'{{ url = "tcp://127.0.0.1:{backend.port}", max_connections = 1 }}'],
                                       'pending = { max = 1, timeout = "60s" }'))
        first = RawClient(gateway.port("raw"))
        assert said(first)
        with RawClient(gateway.port("raw")) as second:
            second.send(b"early")
            wait_for(lambda: waiting(gateway) == 1, 10, "it waits")
            with RawClient(gateway.port("raw")) as third:
                assert third.read_until_end(10) == b""
            assert gateway.wait_access(event="tcp_close", reason="pending_full")
            first.finish()
            assert first.read_until_end(10) == b""
            assert second.read_exactly(5, 10) == b"early"
            with RawClient(gateway.port("raw")):
                wait_for(lambda: waiting(gateway) == 1, 10, "it waits")
            wait_for(lambda: waiting(gateway) == 0, 10, "it has left")
        assert gateway.wait_access(event="tcp_close", reason="client_lost")


def test_they_are_held_while_the_server_restarts(fresh_gateway):
    port = free_port()
    gateway = fresh_gateway(config([f"tcp://127.0.0.1:{port}"], 'pending = { max = 5, timeout = "60s" }'))
    with RawClient(gateway.port("raw")) as client:
        client.send(b"early")
        wait_for(lambda: waiting(gateway) == 1, 10, "it waits")
        with Backend(tcp_echo, port=port):
            assert client.read_exactly(5, 20) == b"early"


def set_state(gateway, url, state):
    path = f"/api/v1/backends/app/servers/{url.replace(':', '%3A').replace('/', '%2F')}/state"
    assert gateway.admin(path, "PUT", {"Content-Type": "application/json"}, json.dumps({"state": state}).encode())[0] == 200


@pytest.mark.parametrize("rule", ["keep", "close"])
def test_a_server_that_goes_down(fresh_gateway, rule):
    with Backend(tcp_echo) as a, Backend(tcp_echo) as b:
        urls = [f"tcp://127.0.0.1:{one.port}" for one in (a, b)]
        gateway = fresh_gateway(config(urls, listener=f'on_server_down = "{rule}"'))
        clients = [RawClient(gateway.port("raw")) for _ in range(2)]
        assert all(said(client) for client in clients)
        of = {c["client_port"] if "client_port" in c else c["id"]: c["server"]
              for c in gateway.admin_json("/api/v1/connections")["connections"]}
        assert collections.Counter(of.values()) == {url: 1 for url in urls}
        set_state(gateway, urls[0], "down")
        if rule == "close":
            line = gateway.wait_access(event="tcp_close", reason="server_down")
            assert line["server"] == urls[0] and line["close_initiator"] == "gateway"
            wait_for(lambda: a.snapshot()[0].done.is_set(), 10, "its server has been told")
        else:
            time.sleep(2.5)  # it is looked at once a second
            assert gateway.access() == []
        assert not b.snapshot()[0].done.is_set()
        for client in clients:
            client.close()


def test_a_reload_changes_what_becomes_of_new_connections(fresh_gateway, authority, tmp_path):
    with Backend(who, tls=server_context(authority, tmp_path)) as safe, Backend(who) as plain:
        before = config([f"tcp://127.0.0.1:{plain.port}"])
        gateway = fresh_gateway(before)
        old = RawClient(gateway.port("raw"))
        assert old.read_exactly(10, 10) == b"nobody    "
        gateway.write_config(config([f"tls://127.0.0.1:{safe.port}"], tls_table(authority), 'on_server_down = "close"'))
        gateway.reload()
        with RawClient(gateway.port("raw")) as new:
            assert new.read_exactly(10, 10) == b"nobody    "
            assert safe.count == 1
            assert said(old), "it came when on_server_down was \"keep\""
            gateway.write_config(before)
            gateway.reload()
            assert new.read_until_end(10) == b"", "its server has gone from the configuration"
        assert gateway.wait_access(event="tcp_close", reason="server_down")
        assert said(old)
        old.close()


def test_who_waits_when_a_reload_comes(fresh_gateway):
    """They wait on for the servers that they came for; who comes later is not kept by them."""
    port = free_port()
    pending = 'pending = { max = 5, timeout = "60s" }'
    gateway = fresh_gateway(config([f"tcp://127.0.0.1:{port}"], pending))
    with Backend(tcp_echo) as other, RawClient(gateway.port("raw")) as old:
        old.send(b"early")
        wait_for(lambda: waiting(gateway) == 1, 10, "it waits")
        gateway.write_config(config([f"tcp://127.0.0.1:{other.port}"], pending))
        gateway.reload()
        with RawClient(gateway.port("raw")) as new:
            assert said(new)
        with Backend(tcp_echo, port=port):
            assert old.read_exactly(5, 20) == b"early"

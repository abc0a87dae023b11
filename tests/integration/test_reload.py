"""Reload by HUP: good and bad configurations, live connections, listeners, certificates, logs."""

import os
import signal
import ssl
import time

import pytest

from certs import Authority, fingerprint
from evil import Backend, label
from gateway import BASE, wait_for
from ports import free_port
from rawws import RawClient, check_101
from wire import frame


@pytest.fixture
def pair():
    made = [Backend(label(name), name=name) for name in "ab"]
    yield made
    for backend in made:
        backend.stop()


def config(backend, path="/ws", more=""):
    return BASE + f"""
[[route]]
path = "{path}"
backend = "app"
[backend.app]
servers = ["ws://127.0.0.1:{backend.port}"]
{more}
"""


def which(client):
    client.send_text("?")
    return client.recv_text().partition(":")[0]


def result(gateway, kind):
    return sum(value for name, value in gateway.metrics().items()
               if name.startswith("sluice_config_reloads_total") and kind in name)


def test_good_reload(fresh_gateway, pair):
    gateway = fresh_gateway(config(pair[0]))
    old = gateway.connect("/ws", listener="tls")
    assert which(old) == "a"
    gateway.write_config(config(pair[1]))
    gateway.reload()
    new = gateway.connect("/ws")
    assert which(new) == "b", "new connections follow the new configuration"
    assert which(old) == "a", "old ones go on as they began"
    assert gateway.metrics()["sluice_config_last_reload_successful"] == 1


def test_route_that_goes_away_keeps_its_connections(fresh_gateway, pair):
    gateway = fresh_gateway(config(pair[0], "/old"))
    old = gateway.connect("/old")
    gateway.write_config(config(pair[1], "/new"))
    gateway.reload()
    assert which(old) == "a"
    with gateway.client() as client:
        assert client.upgrade("/old").status == 404
    assert which(gateway.connect("/new")) == "b"
    assert any('route="/old"' in series for series in gateway.metrics())


BAD = {
    "no TOML": "this is = = no toml",
    "unknown key": "[serverr]\nworkers = 1\n",
    "bad reference": "[[route]]\npath = \"/x\"\nbackend = \"nowhere\"\n",
}


@pytest.mark.parametrize("name", BAD)
def test_bad_reload_changes_nothing(fresh_gateway, pair, name):
    gateway = fresh_gateway(config(pair[0]))
    live = gateway.connect("/ws")
    gateway.config_path.write_text(gateway.config_path.read_text() + BAD[name])
    gateway.reload()
    assert which(live) == "a" and which(gateway.connect("/ws")) == "a"
    assert gateway.metrics()["sluice_config_last_reload_successful"] == 0
    wait_for(lambda: any(event.get("level") == "error" for event in gateway.events()), 3, "the error in the log")
    gateway.write_config(config(pair[1]))
    gateway.reload()
    assert which(gateway.connect("/ws")) == "b"
    assert gateway.metrics()["sluice_config_last_reload_successful"] == 1


def test_bad_certificate_keeps_the_old(fresh_gateway, pair, authority):
    gateway = fresh_gateway(config(pair[0]))
    good = (gateway.folder / "server.key").read_bytes()
    authority.issue("other", ["localhost"], folder=gateway.folder)
    os.replace(gateway.folder / "other.key", gateway.folder / "server.key")  # does not belong to server.crt
    gateway.reload()
    assert which(gateway.connect("/ws", listener="tls")) == "a"
    assert gateway.metrics()["sluice_config_last_reload_successful"] == 0
    (gateway.folder / "server.key").write_bytes(good)


def test_expired_certificate_keeps_the_old(fresh_gateway, pair, authority):
    gateway = fresh_gateway(config(pair[0]))
    before = served(gateway)
    authority.issue("next", ["localhost"], folder=gateway.folder, days=0)
    os.replace(gateway.folder / "next.key", gateway.folder / "server.key")
    os.replace(gateway.folder / "next.crt", gateway.folder / "server.crt")
    gateway.reload()
    assert gateway.metrics()["sluice_config_last_reload_successful"] == 0
    assert served(gateway) == before
    failed = wait_for(lambda: [e for e in gateway.events() if e.get("event") == "reload_failed"], 3, "the reason")
    assert "'server.crt' has expired" in failed[-1]["error"]


def test_certificate_that_expired_is_no_obstacle_and_a_warning(fresh_gateway, pair, authority):
    gateway = fresh_gateway(config(pair[0]), start=False)
    authority.issue("server", ["localhost"], folder=gateway.folder, days=0)
    gateway.start()
    assert "warning: the certificate has expired" in gateway.log_text()
    gateway.write_config(config(pair[1]))
    gateway.reload()
    assert which(gateway.connect("/ws")) == "b"


def served(gateway):
    import hashlib
    with gateway.client("tls") as client:
        return hashlib.sha256(client.sock.getpeercert(True)).hexdigest()


def renew(gateway, authority):
    authority.issue("next", ["localhost"], folder=gateway.folder)
    os.replace(gateway.folder / "next.crt", gateway.folder / "server.crt")
    os.replace(gateway.folder / "next.key", gateway.folder / "server.key")
    return fingerprint(gateway.folder / "server.crt")


def test_certificate_by_hup(fresh_gateway, pair, authority):
    gateway = fresh_gateway(config(pair[0]))
    live = gateway.connect("/ws", listener="tls")
    before = served(gateway)
    new = renew(gateway, authority)
    gateway.signal(signal.SIGHUP)
    wait_for(lambda: served(gateway) == new, 5, "new certificate served")
    assert new != before and which(live) == "a"


def test_certificate_by_file_change(fresh_gateway, pair, authority):
    gateway = fresh_gateway(config(pair[0]))
    live = gateway.connect("/ws", listener="tls")
    new = renew(gateway, authority)
    wait_for(lambda: served(gateway) == new, 8, "new certificate served without a signal")
    assert which(live) == "a"


def test_listeners_come_and_go(fresh_gateway, pair):
    gateway = fresh_gateway(config(pair[0]))
    live = gateway.connect("/ws")
    text = config(pair[0]) + '\n[[listener]]\nname = "extra"\nbind = "127.0.0.1:@extra@"\n'
    gateway.write_config(text)
    gateway.reload()
    extra = gateway.connect("/ws", listener="extra", tls=None)
    assert which(extra) == "a"
    gateway.write_config(config(pair[0]))
    gateway.reload()
    with pytest.raises(OSError):
        RawClient(gateway.port("extra"))
    assert which(extra) == "a" and which(live) == "a"


def test_listener_that_cannot_bind_fails_the_reload(fresh_gateway, pair):
    gateway = fresh_gateway(config(pair[0]))
    gateway.write_config(config(pair[1]) + f'\n[[listener]]\nname = "taken"\nbind = "127.0.0.1:{pair[0].port}"\n')
    gateway.reload()
    assert gateway.metrics()["sluice_config_last_reload_successful"] == 0
    assert which(gateway.connect("/ws")) == "a"


def test_least_connections_survive_a_reload(fresh_gateway, pair):
    text = BASE + f"""
[[route]]
path = "/ws"
backend = "app"
[backend.app]
servers = ["ws://127.0.0.1:{pair[0].port}", "ws://127.0.0.1:{pair[1].port}"]
balance = "least_connections"
"""
    gateway = fresh_gateway(text)
    live = [gateway.connect("/ws") for _ in range(4)]
    names = [which(client) for client in live]
    for client, name in zip(live, names):
        if name == "a":
            client.send_close()
            client.expect_close(1000)
    wait_for(lambda: gateway.metric("sluice_websocket_connections") == 2, 5, "two left")
    gateway.reload()
    assert [which(gateway.connect("/ws")) for _ in range(2)] == ["a", "a"]


LIMITED = """
[rate_limit.seats]
key = "ip"
unit = "connections"
limit = {seats}
[rate_limit.new]
key = "ip"
unit = "handshakes"
rate = "{rate}"
burst = {burst}
"""


def limited(backend, **numbers):
    return config(backend).replace('backend = "app"', 'backend = "app"\nrate_limit = ["seats", "new"]') + LIMITED.format(**numbers)


def status(gateway):
    with gateway.client() as client:
        return client.upgrade("/ws").status


def test_limits_survive_a_reload(fresh_gateway, pair):
    gateway = fresh_gateway(limited(pair[0], seats=1, rate="2/h", burst=2))
    live = gateway.connect("/ws")
    gateway.reload()
    assert status(gateway) == 429 and which(live) == "a", "the seat is still taken"
    live.send_close()
    live.expect_close(1000)
    wait_for(lambda: gateway.metric("sluice_websocket_connections") == 0, 5, "the seat is free")
    gateway.connect("/ws").close()  # the second of two handshakes an hour
    gateway.reload()
    wait_for(lambda: gateway.metric("sluice_websocket_connections") == 0, 5, "the seat is free")
    assert status(gateway) == 429, "what was owed is forgotten"


def break_key(gateway, authority):
    good = (gateway.folder / "server.key").read_bytes()
    authority.issue("other", ["localhost"], folder=gateway.folder)
    os.replace(gateway.folder / "other.key", gateway.folder / "server.key")
    return lambda: (gateway.folder / "server.key").write_bytes(good)


def failed(gateway):
    gateway.reload()
    assert gateway.metrics()["sluice_config_last_reload_successful"] == 0


def test_failed_reload_leaves_the_numbers_of_limits(fresh_gateway, pair, authority):
    gateway = fresh_gateway(limited(pair[0], seats=100, rate="1000/s", burst=1000))
    repair = break_key(gateway, authority)
    gateway.write_config(limited(pair[0], seats=1, rate="1/h", burst=1))
    failed(gateway)
    live = [gateway.connect("/ws") for _ in range(3)]
    assert [which(client) for client in live] == ["a"] * 3
    repair()
    gateway.reload()
    assert status(gateway) == 429, "now they are in force, and count who is there"


def test_failed_reload_forgets_no_limit(fresh_gateway, pair, authority):
    gateway = fresh_gateway(limited(pair[0], seats=1, rate="1000/s", burst=1000))
    live = gateway.connect("/ws")
    repair = break_key(gateway, authority)
    gateway.write_config(limited(pair[0], seats=1, rate="1000/s", burst=1000).replace('key = "ip"', 'key = "route"'))
    failed(gateway)
    repair()
    gateway.write_config(limited(pair[0], seats=1, rate="1000/s", burst=1000))
    gateway.reload()
    assert status(gateway) == 429 and which(live) == "a"


def test_failed_reload_leaves_the_weights_of_servers(fresh_gateway, pair, authority):
    def weighted(a, b):
        servers = ", ".join(f'{{ url = "ws://127.0.0.1:{one.port}", weight = {weight} }}' for one, weight in zip(pair, (a, b)))
        return BASE + f"""
[[route]]
path = "/ws"
backend = "app"
[backend.app]
servers = [{servers}]
"""
    def of_a():
        return sum(which(gateway.connect("/ws")) == "a" for _ in range(10))
    gateway = fresh_gateway(weighted(1, 1))
    repair = break_key(gateway, authority)
    gateway.write_config(weighted(1, 9))
    failed(gateway)
    assert of_a() == 5
    repair()
    gateway.reload()
    assert of_a() == 1


def test_failed_reload_opens_no_socket(fresh_gateway, pair, authority):
    gateway = fresh_gateway(config(pair[0]))
    break_key(gateway, authority)
    gateway.write_config(config(pair[0]) + '\n[[listener]]\nname = "extra"\nbind = "127.0.0.1:@extra@"\n')
    before = gateway.open_files()
    failed(gateway)
    with pytest.raises(OSError):
        RawClient(gateway.port("extra"))
    assert gateway.open_files() <= before + 1


def test_counters_survive_a_reload(fresh_gateway, pair):
    gateway = fresh_gateway(config(pair[0]))
    for _ in range(3):
        gateway.connect("/ws").close()
    before = gateway.metric("sluice_handshakes_total", result="accepted")
    gateway.reload()
    assert before == 3 and gateway.metric("sluice_handshakes_total", result="accepted") == 3


def test_hundred_signals_in_a_second(fresh_gateway, pair):
    gateway = fresh_gateway(config(pair[0]))
    live = gateway.connect("/ws", listener="tls")
    for _ in range(100):
        gateway.signal(signal.SIGHUP)
    wait_for(lambda: result(gateway, "") >= 1, 10, "a reload")
    time.sleep(0.5)
    assert which(live) == "a" and which(gateway.connect("/ws")) == "a"
    assert gateway.running()


def test_usr1_reopens_the_logs(fresh_gateway, pair):
    gateway = fresh_gateway(config(pair[0]))
    gateway.connect("/ws").close()
    gateway.wait_access(event="ws_close")
    os.replace(gateway.folder / "access.log", gateway.folder / "access.log.1")
    gateway.signal(signal.SIGUSR1)
    wait_for(lambda: (gateway.folder / "access.log").exists(), 5, "a new access log")
    gateway.connect("/ws").close()
    assert gateway.wait_access(event="ws_close")


def test_pipe_is_ignored(fresh_gateway, pair):
    gateway = fresh_gateway(config(pair[0]))
    live = gateway.connect("/ws")
    gateway.signal(signal.SIGPIPE)
    assert which(live) == "a"

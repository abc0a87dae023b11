"""Balancing: per connection by every policy, per message over several legs, retries, ejection, health."""

import collections
import json
import threading
import time
import urllib.parse

import pytest

import tokens
from evil import Backend, after_101, answer, echo, label, sink
from gateway import AUTH, COMMANDED, wait_for
from ports import free_port
from rawws import check_101
from wire import BINARY, CLOSE, CONT, PING, PONG, TEXT, close_payload, frame


def urls(*backends, weights=None):
    entries = []
    for index, backend in enumerate(backends):
        port = backend if isinstance(backend, int) else backend.port
        url = f'"ws://127.0.0.1:{port}"'
        entries.append(f"{{ url = {url}, weight = {weights[index]} }}" if weights else url)
    return "[" + ", ".join(entries) + "]"


def config(servers, balance='"round_robin"', more="", route=""):
    return COMMANDED + f"""
[[route]]
path = "/*"
backend = "app"
{route}
[backend.app]
servers = {servers}
balance = {balance}
{more}
"""


@pytest.fixture
def labelled():
    made = [Backend(label(name), name=name) for name in "abc"]
    yield made
    for backend in made:
        backend.stop()


def which(client):
    client.send_text("?")
    return client.recv_text().partition(":")[0]


def ask(gateway, path="/x", fields=(), listener="plain"):
    with gateway.connect(path, fields, listener=listener) as client:
        return which(client)


# ---- per connection
def test_round_robin(fresh_gateway, labelled):
    gateway = fresh_gateway(config(urls(*labelled)))
    seen = [ask(gateway) for _ in range(12)]
    assert collections.Counter(seen) == {"a": 4, "b": 4, "c": 4}
    assert seen[:3] == seen[3:6] == seen[6:9]


def test_round_robin_by_weight(fresh_gateway, labelled):
    gateway = fresh_gateway(config(urls(*labelled, weights=[1, 2, 3])))
    assert collections.Counter(ask(gateway) for _ in range(18)) == {"a": 3, "b": 6, "c": 9}


def test_least_connections(fresh_gateway, labelled):
    gateway = fresh_gateway(config(urls(*labelled), '"least_connections"'))
    live = collections.defaultdict(list)
    for _ in range(9):
        client = gateway.connect("/x")
        live[which(client)].append(client)
    assert {name: len(clients) for name, clients in live.items()} == {"a": 3, "b": 3, "c": 3}
    for client in live["b"]:
        client.send_close()
        client.expect_close(1000)
        client.close()
    wait_for(lambda: gateway.metric("sluice_websocket_connections") == 6, 5, "three connections gone")
    assert [which(gateway.connect("/x")) for _ in range(3)] == ["b", "b", "b"]


def test_least_connections_by_weight(fresh_gateway, labelled):
    gateway = fresh_gateway(config(urls(*labelled[:2], weights=[1, 2]), '"least_connections"'))
    clients = [gateway.connect("/x") for _ in range(9)]
    assert collections.Counter(which(client) for client in clients) == {"a": 3, "b": 6}


def test_random_two_uses_all(fresh_gateway, labelled):
    gateway = fresh_gateway(config(urls(*labelled), '"random_two"'))
    clients = [gateway.connect("/x") for _ in range(30)]
    counts = collections.Counter(which(client) for client in clients)
    assert set(counts) == {"a", "b", "c"} and max(counts.values()) <= 20


MANY = 60  # keys: their servers' ports are new each time, and of few keys none may be one server's
KEYS = {
    "header:X-Room": lambda n: ("/x", [("X-Room", f"room-{n}")]),
    "cookie:room": lambda n: ("/x", [("Cookie", f"a=b; room=room-{n}")]),
    "query:room": lambda n: (f"/x?a=b&room=room-{n}", []),
    "path": lambda n: (f"/room-{n}", []),
    "path:2": lambda n: (f"/any{n % 3}/room-{n // 3}", []),
}


@pytest.mark.parametrize("key", KEYS)
def test_consistent_hash(fresh_gateway, labelled, key):
    gateway = fresh_gateway(config(urls(*labelled), f'{{ policy = "consistent_hash", key = "{key}" }}'))
    first = {n: ask(gateway, *KEYS[key](n)) for n in range(MANY)}
    assert {n: ask(gateway, *KEYS[key](n)) for n in range(MANY)} == first
    assert len(set(first.values())) == 3 if key != "path:2" else len(set(first.values())) >= 2
    if key == "path:2":
        assert all(first[n] == first[n // 3 * 3] for n in range(MANY))


def test_consistent_hash_by_ip_keeps_a_client(fresh_gateway, labelled):
    gateway = fresh_gateway(config(urls(*labelled), '{ policy = "consistent_hash", key = "ip" }'))
    assert len({ask(gateway) for _ in range(6)}) == 1


SPOKEN_FOR = ('name = "plain"', 'name = "plain"\ntrusted_proxies = ["127.0.0.1/32"]')


def test_consistent_hash_by_ip_spreads_clients(fresh_gateway, labelled):
    gateway = fresh_gateway(config(urls(*labelled), '{ policy = "consistent_hash", key = "ip" }').replace(*SPOKEN_FOR))
    who = lambda n: [("X-Forwarded-For", f"192.0.2.{n}")]
    first = {n: ask(gateway, fields=who(n)) for n in range(MANY)}
    assert {n: ask(gateway, fields=who(n)) for n in range(MANY)} == first and set(first.values()) == set("abc")


def test_consistent_hash_by_claim(fresh_gateway, labelled):
    gateway = fresh_gateway(config(urls(*labelled), '{ policy = "consistent_hash", key = "claim:room" }', AUTH, 'auth = "users"'))
    who = lambda n: [("Authorization", "Bearer " + tokens.mint(tokens.claims(sub=f"user-{n}", room=f"room-{n % MANY}")))]
    first = {n: ask(gateway, fields=who(n)) for n in range(2 * MANY)}
    assert all(first[n] == first[n % MANY] for n in first), "one room, one server, whoever asks"
    assert set(first.values()) == set("abc")


def test_consistent_hash_by_weight(fresh_gateway, labelled):
    gateway = fresh_gateway(config(urls(*labelled[:2], weights=[1, 4]), '{ policy = "consistent_hash", key = "query:k" }'))
    counts = collections.Counter(ask(gateway, f"/x?k={n}") for n in range(5 * MANY))
    assert counts["b"] > 2 * counts["a"] > 0


def test_random_two_by_weight(fresh_gateway, labelled):
    gateway = fresh_gateway(config(urls(*labelled[:2], weights=[1, 4]), '"random_two"'))
    live = [gateway.connect("/x") for _ in range(30)]
    counts = collections.Counter(which(client) for client in live)
    assert counts["b"] > 2 * counts["a"] > 0
    for client in live:
        client.close()


def test_consistent_hash_moves_only_what_it_must(fresh_gateway, labelled):
    gateway = fresh_gateway(config(urls(*labelled), '{ policy = "consistent_hash", key = "query:k" }'))
    before = {n: ask(gateway, f"/x?k={n}") for n in range(30)}
    gateway.write_config(config(urls(*labelled[:2]), '{ policy = "consistent_hash", key = "query:k" }'))
    gateway.reload()
    after = {n: ask(gateway, f"/x?k={n}") for n in range(30)}
    assert all(after[n] == before[n] for n in range(30) if before[n] != "c")


def test_bounded_load(fresh_gateway, labelled):
    """A key that everybody asks for fills its own server up to the bound, then its next one, and goes home again."""
    gateway = fresh_gateway(config(urls(*labelled), '{ policy = "consistent_hash", key = "query:k", max_load = "125%" }'))
    home = ask(gateway, "/x?k=1")
    wait_for(lambda: gateway.metric("sluice_websocket_connections") == 0, 5, "nobody connected")
    live = [gateway.connect("/x?k=1") for _ in range(12)]
    counts = collections.Counter(which(client) for client in live)
    assert counts[home] == max(counts.values()) == 5 and sum(counts.values()) == 12  # ceil(12 * 1.25 / 3)
    for client in live:
        client.close()
    wait_for(lambda: gateway.metric("sluice_websocket_connections") == 0, 5, "nobody connected")
    assert ask(gateway, "/x?k=1") == home


# ---- faults
def test_retry_on_the_next_candidate(fresh_gateway, labelled):
    gateway = fresh_gateway(config(urls(free_port(), labelled[0])))
    assert [ask(gateway) for _ in range(8)] == ["a"] * 8
    assert gateway.metric("sluice_backend_retries_total") >= 1


def test_no_retry_after_an_answer(fresh_gateway, labelled):
    refusal = answer(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    with Backend(refusal) as one, Backend(refusal) as two:
        gateway = fresh_gateway(config(urls(one, two), more="retries = 2"))
        with gateway.client() as client:
            assert client.upgrade("/x").status == 404
        assert one.count + two.count == 1


def test_all_down_is_503_with_retry_after(fresh_gateway):
    gateway = fresh_gateway(config(urls(free_port(), free_port())))
    for _ in range(5):
        start = time.monotonic()
        with gateway.client() as client:
            head = client.upgrade("/x")
        assert head.status == 503 and int(head.get("Retry-After")) >= 1
        assert time.monotonic() - start < 5
    assert gateway.metric("sluice_rejects_total", stage="backend") >= 5


def test_backend_that_comes_back_is_used_again(fresh_gateway):
    backend = Backend(label("a"))
    gateway = fresh_gateway(config(urls(backend), more='ejection = { base = "200ms" }'))
    assert ask(gateway) == "a"
    backend.stop()
    for _ in range(4):
        with gateway.client() as client:
            assert client.upgrade("/x").status == 503
    backend.start()
    def works():
        with gateway.client() as client:
            return client.upgrade("/x").status == 101
    wait_for(works, 8, "backend used again")
    backend.stop()


def test_passive_ejection(fresh_gateway, labelled):
    """A server whose connections fail is left alone for a while; nobody notices but the first ones."""
    broken = Backend(lambda peer: peer.reset())
    gateway = fresh_gateway(config(urls(broken, labelled[0]), more='ejection = { failures = 2, base = "60s" }'))
    for _ in range(10):
        assert ask(gateway) == "a"
    count = broken.count
    assert count <= 5
    for _ in range(10):
        assert ask(gateway) == "a"
    assert broken.count == count
    broken.stop()


def test_active_check(fresh_gateway):
    backend = Backend(label("a"))
    gateway = fresh_gateway(config(urls(backend), more='health = { interval = "200ms", timeout = "200ms", fall = 2, rise = 1 }'))
    up = lambda: gateway.metric("sluice_backend_server_up", backend="app")
    checks = lambda result: gateway.metric("sluice_backend_health_checks_total", backend="app", result=result)
    wait_for(lambda: up() == 1 and checks("ok") >= 1, 5, "server up")
    backend.stop_listening()
    wait_for(lambda: up() == 0, 5, "server down")
    assert checks("failed") >= 2 and gateway.metric("sluice_backend_server_state", state="down") == 1
    with gateway.client() as client:
        assert client.upgrade("/x").status == 503
    backend.start()
    wait_for(lambda: up() == 1, 5, "server up again")
    assert ask(gateway) == "a"
    backend.stop()


def test_names_are_resolved(fresh_gateway):
    with Backend(label("a")) as backend:
        gateway = fresh_gateway(config(f'["ws://localhost:{backend.port}"]'))
        wait_for(lambda: _status(gateway) == 101, 5, "name resolved")
        assert gateway.metric("sluice_dns_lookups_total", backend="app", result="ok") >= 1
        assert ask(gateway) == "a"


def test_unknown_name_is_a_backend_that_is_down(fresh_gateway, labelled):
    gateway = fresh_gateway(config(f'["ws://no-such-host.invalid:9", "ws://127.0.0.1:{labelled[0].port}"]'))
    assert [ask(gateway) for _ in range(4)] == ["a"] * 4
    lookups = lambda **result: gateway.metric("sluice_dns_lookups_total", backend="app", **result)
    wait_for(lambda: lookups() > lookups(result="ok"), 40, "the failed lookup is counted")
    assert gateway.metric("sluice_backend_server_state", state="unresolved") == 1


def _status(gateway):
    with gateway.client() as client:
        return client.upgrade("/x").status


def test_wss_backend_is_verified(fresh_gateway, authority, tmp_path):
    from certs import Authority, server_context
    mine = authority.issue("backend", ["backend.test"], folder=tmp_path)
    with Backend(label("tls"), tls=server_context(mine)) as backend:
        text = f'["wss://127.0.0.1:{backend.port}"]'
        good = fresh_gateway(config(text, more=f'tls = {{ ca = "{authority.path}", server_name = "backend.test" }}'))
        assert ask(good) == "tls"
        other = Authority(tmp_path / "other")
        for more in (f'tls = {{ ca = "{other.path}", server_name = "backend.test" }}',
                     f'tls = {{ ca = "{authority.path}", server_name = "other.test" }}', ""):
            bad = fresh_gateway(config(text, more=more))
            assert _status(bad) in (502, 503)
        assert backend.count == 1


def test_wss_backend_demands_a_certificate(fresh_gateway, authority, tmp_path):
    """Mutual TLS: the server sees the gateway's certificate, and neither side takes one of an authority it does not know."""
    import ssl
    from certs import Authority, server_context
    mine = authority.issue("backend", ["backend.test"], folder=tmp_path)
    gateways = Authority(tmp_path / "gateways", "gateways CA")
    good_pair = gateways.issue("gateway", ["gw.internal"], client=True)
    stranger = Authority(tmp_path / "strangers", "strangers CA")
    bad_pair = stranger.issue("gateway", ["gw.internal"], client=True)
    context = server_context(mine)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(str(gateways.path))
    seen = []

    def handler(peer):
        seen.append(peer.sock.getpeercert()["subjectAltName"])
        label("tls")(peer)

    with Backend(handler, tls=context) as backend:
        def tls(ca, pair=None, server_name="backend.test"):
            pair_text = f', cert = "{pair[0]}", key = "{pair[1]}"' if pair else ""
            return config(f'["wss://127.0.0.1:{backend.port}"]',
                          more=f'tls = {{ ca = "{ca.path}", server_name = "{server_name}"{pair_text} }}')
        assert ask(fresh_gateway(tls(authority, good_pair))) == "tls"
        assert seen == [(("DNS", "gw.internal"),)]
        for more in (tls(authority), tls(authority, bad_pair), tls(stranger, good_pair),
                     tls(authority, good_pair, "other.test")):
            assert _status(fresh_gateway(more)) in (502, 503)
        assert len(seen) == 1, "nobody else came through"


# ---- per message
PER_MESSAGE = '{ unit = "message", policy = "round_robin" }'


def test_messages_go_round(fresh_gateway, labelled):
    gateway = fresh_gateway(config(urls(*labelled), PER_MESSAGE))
    with gateway.connect("/x", listener="tls") as client:
        seen = []
        for n in range(12):
            client.send_text(f"m{n}")
            name, _, text = client.recv_text().partition(":")
            assert text == f"m{n}"
            seen.append(name)
        assert collections.Counter(seen) == {"a": 4, "b": 4, "c": 4}
        assert seen[:3] == seen[3:6]
    for backend in labelled:
        assert backend.count == 1
        assert backend.wait_peer().done.wait(5)


def test_many_messages_in_one_segment(fresh_gateway, labelled):
    gateway = fresh_gateway(config(urls(*labelled), PER_MESSAGE))
    with gateway.connect("/x") as client:
        client.send(b"".join(frame(TEXT, b"m%d" % n) for n in range(300)))
        got = collections.defaultdict(list)
        for _ in range(300):
            name, _, text = client.recv_text().partition(":")
            got[name].append(int(text[1:]))
        assert sorted(sum(got.values(), [])) == list(range(300))
        assert {name: len(texts) for name, texts in got.items()} == {"a": 100, "b": 100, "c": 100}
        assert all(texts == sorted(texts) for texts in got.values()), "one backend's answers changed their order"


def test_fragmented_message_stays_on_one_leg(fresh_gateway, labelled):
    gateway = fresh_gateway(config(urls(*labelled), PER_MESSAGE))
    with gateway.connect("/x") as client:
        for n in range(6):
            client.send(frame(TEXT, b"one ", fin=False))
            client.send(frame(PING, b"between"))
            client.send(frame(CONT, b"two ", fin=False) + frame(CONT, b"three"))
            pongs, texts = [], []
            while not texts:
                got = client.recv_frame()
                (pongs if got.opcode == PONG else texts).append(got.payload)
            assert texts[0].partition(b":")[2] == b"one two three"
            if not pongs:
                got = client.recv_frame()
                assert got.opcode == PONG
                pongs.append(got.payload)
            assert pongs == [b"between"], "answered by the gateway, once"
    for backend in labelled:
        assert all(frame.opcode != PING for frame in backend.wait_peer().frames)


def slow_fragments(name):
    """Answers each message by twenty fragments, a little time between them."""
    def handler(peer):
        peer.accept()
        while True:
            got = peer.next_message()
            if got is None:
                return
            for n in range(20):
                peer.put(TEXT if n == 0 else CONT, name.encode(), fin=n == 19)
                time.sleep(0.005)
    return handler


def test_answers_never_interleave(fresh_gateway):
    made = [Backend(slow_fragments(name)) for name in "abc"]
    gateway = fresh_gateway(config(urls(*made), PER_MESSAGE))
    with gateway.connect("/x") as client:
        client.send(b"".join(frame(TEXT, b"go") for _ in range(9)))
        got = [client.recv_text(20) for _ in range(9)]  # recv_message fails when frames of two messages mix
        assert sorted(got) == sorted(["a" * 20, "b" * 20, "c" * 20] * 3)
    for backend in made:
        backend.stop()


def test_large_answers_do_not_mix(fresh_gateway):
    def large(name):
        def handler(peer):
            peer.accept()
            while peer.next_message() is not None:
                peer.put(BINARY, name.encode() * 300_000)
        return handler
    made = [Backend(large(name)) for name in "ab"]
    gateway = fresh_gateway(config(urls(*made), PER_MESSAGE))
    with gateway.connect("/x", listener="tls") as client:
        client.send(frame(TEXT, b"go") * 10)
        got = [client.recv_message(20)[1] for _ in range(10)]
        assert sorted(got) == sorted([b"a" * 300_000, b"b" * 300_000] * 5)
    for backend in made:
        backend.stop()


def test_legs_open_lazily(fresh_gateway, labelled):
    gateway = fresh_gateway(config(urls(*labelled), PER_MESSAGE))
    with gateway.connect("/x") as client:
        wait_for(lambda: sum(b.count for b in labelled) == 1, 3, "first leg")
        which(client)
        assert sum(b.count for b in labelled) <= 2
        for _ in range(4):
            which(client)
        assert sum(b.count for b in labelled) == 3


def test_max_legs(fresh_gateway, labelled):
    gateway = fresh_gateway(config(urls(*labelled), '{ unit = "message", policy = "round_robin", max_legs = 2 }'))
    with gateway.connect("/x") as client:
        assert len({which(client) for _ in range(12)}) == 2
    assert sum(b.count for b in labelled) == 2


def test_close_goes_to_all_legs(fresh_gateway, labelled):
    gateway = fresh_gateway(config(urls(*labelled), PER_MESSAGE))
    with gateway.connect("/x") as client:
        for _ in range(3):
            which(client)
        client.send_close(1000)
        client.expect_close(1000)
        client.expect_end()
    for backend in labelled:
        peer = backend.wait_peer()
        assert peer.done.wait(5) and peer.close_code is not None


def test_close_of_a_leg_reaches_the_client(fresh_gateway, labelled):
    def closing(peer):
        peer.accept()
        peer.next_message()
        peer.put(CLOSE, close_payload(4321, b"enough"))
        peer.drain(3)
    ending = Backend(closing)
    gateway = fresh_gateway(config(urls(labelled[0], ending), PER_MESSAGE))
    with gateway.connect("/x") as client:
        client.send(frame(TEXT, b"1") + frame(TEXT, b"2"))
        _, close = client.until_close()
        assert (close.code, close.reason) == (4321, b"enough")
    peer = labelled[0].wait_peer()
    assert peer.done.wait(5) and peer.close_code == 1001
    ending.stop()


def test_lost_leg_is_1011(fresh_gateway, labelled):
    def dying(peer):
        peer.accept()
        peer.next_message()
        peer.reset()
    gateway = None
    with Backend(dying) as ending:
        gateway = fresh_gateway(config(urls(labelled[0], ending), PER_MESSAGE))
        with gateway.connect("/x") as client:
            client.send(frame(TEXT, b"1") + frame(TEXT, b"2"))
            client.expect_close(1011)


def test_deflate_is_not_offered_per_message(fresh_gateway, labelled):
    gateway = fresh_gateway(config(urls(*labelled), PER_MESSAGE))
    with gateway.client() as client:
        head = check_101(client.upgrade("/x", [("Sec-WebSocket-Extensions", "permessage-deflate")]))
        assert head.get("Sec-WebSocket-Extensions") is None
    assert all(b.wait_peer(0, 1).head.get("Sec-WebSocket-Extensions") is None for b in labelled if b.count)


def test_first_leg_down_is_503(fresh_gateway):
    gateway = fresh_gateway(config(urls(free_port(), free_port()), PER_MESSAGE))
    assert _status(gateway) == 503


def test_subprotocol_is_the_same_on_all_legs(fresh_gateway, labelled):
    gateway = fresh_gateway(config(urls(*labelled), PER_MESSAGE))
    with gateway.client() as client:
        head = check_101(client.upgrade("/x", [("Sec-WebSocket-Protocol", "v2, v1")]))
        assert head.all("Sec-WebSocket-Protocol") == ["v2"]
        for _ in range(3):
            which(client)
    offers = sorted(b.wait_peer().head.get("Sec-WebSocket-Protocol") for b in labelled)
    assert offers == ["v2", "v2", "v2, v1"]


def command(gateway, backend, what, value, name="app"):
    server = urllib.parse.quote(f"ws://127.0.0.1:{backend.port}", safe="")
    return gateway.admin(f"/api/v1/backends/{name}/servers/{server}/{what}", "PUT",
                         {"Content-Type": "application/json"}, json.dumps({what: value}).encode())


def test_an_operator_drains_a_server(fresh_gateway, labelled):
    gateway = fresh_gateway(config(urls(*labelled)))
    with gateway.connect("/x") as client:
        name = which(client)
        at = "abc".index(name)
        status, body = command(gateway, labelled[at], "state", "drain")
        assert status == 200 and json.loads(body)["state"] == "drain"
        assert name not in [ask(gateway) for _ in range(9)]
        assert which(client) == name, "it keeps what it has"
        gateway.reload()
        assert name not in [ask(gateway) for _ in range(9)], "over a reload"
        assert command(gateway, labelled[at], "state", "auto")[0] == 200
        assert name in [ask(gateway) for _ in range(9)]


def test_an_operator_takes_a_server_down(fresh_gateway, labelled):
    gateway = fresh_gateway(config(urls(*labelled), route='on_server_down = "close"'))
    clients = {}
    while len(clients) < 3:
        client = gateway.connect("/x")
        clients[which(client)] = client
    assert command(gateway, labelled[1], "state", "down")[0] == 200
    clients["b"].expect_close(1012)
    clients["b"].send_close(1012)
    assert which(clients["a"]) == "a" and which(clients["c"]) == "c"
    assert set(ask(gateway) for _ in range(8)) == {"a", "c"}
    for client in clients.values():
        client.close()


def test_an_operator_sets_weights(fresh_gateway, labelled):
    gateway = fresh_gateway(config(urls(*labelled)))
    assert command(gateway, labelled[0], "weight", 4)[0] == 200
    assert command(gateway, labelled[1], "weight", 0)[0] == 200
    assert collections.Counter(ask(gateway) for _ in range(10)) == {"a": 8, "c": 2}
    gateway.write_config(config(urls(*labelled, weights=[1, 3, 5])))
    gateway.reload()
    assert collections.Counter(ask(gateway) for _ in range(9)) == {"a": 4, "c": 5}, "over a reload, and before the file"
    said = {one["url"]: one.get("operator") for one in gateway.admin_json("/api/v1/backends")["backends"][0]["servers"]}
    assert [said[f"ws://127.0.0.1:{one.port}"] for one in labelled] == [{"weight": 4}, {"weight": 0}, None]
    for backend in labelled[:2]:
        assert command(gateway, backend, "weight", "auto")[0] == 200
    assert collections.Counter(ask(gateway) for _ in range(9)) == {"a": 1, "b": 3, "c": 5}
    assert command(gateway, labelled[0], "weight", -1)[0] == 400
    assert command(gateway, labelled[0], "weight", 1, name="none")[0] == 404


def test_a_server_configured_as_down(fresh_gateway, labelled):
    a, b, c = (f"ws://127.0.0.1:{one.port}" for one in labelled)
    gateway = fresh_gateway(config(f'["{a}", {{ url = "{b}", state = "drain" }}, {{ url = "{c}", state = "down" }}]'))
    assert {ask(gateway) for _ in range(9)} == {"a"}


def test_backends_on_admin(fresh_gateway, labelled):
    gateway = fresh_gateway(config(urls(*labelled), '"least_connections"'))
    clients = [gateway.connect("/x") for _ in range(3)]
    for client in clients:
        which(client)
    text = str(gateway.admin_json("/api/v1/backends"))
    for backend in labelled:
        assert f"ws://127.0.0.1:{backend.port}" in text
    assert gateway.metric("sluice_backend_connections", backend="app") == 3

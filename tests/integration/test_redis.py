"""Several gateways, one Redis: what one is told the others do, through every outage of it."""

import asyncio
import json
import re
import threading
import time
from pathlib import Path

import pytest

import tokens
from crowd import CountingEcho, Member, read_frame
from evil import Backend, frame_echo
from fake_dns import Dns
from gateway import AUTH, BASE, SLOWER, wait_for
from ports import free_port
from posts import answer, post
from redisd import Redis
from wire import CLOSE, frame

TOKEN = "an-admin-token-0123456789"
PASSWORD = "a-redis-password-0123456789"
CROWD = 1000  # of each gateway


def config(port, url, more=""):
    base = BASE.replace('bind = "127.0.0.1:@admin@"', f'bind = "127.0.0.1:@admin@"\ntoken_file = "admin.token"\n[redis]\nurl = "{url}"\n{more}')
    return base + AUTH + f"""
[[route]]
path = "/open"
backend = "echo"
[[route]]
path = "/members"
auth = "users"
backend = "echo"
[backend.echo]
servers = ["ws://127.0.0.1:{port}"]
"""


@pytest.fixture(scope="module")
def echo(backends):
    return backends(Backend(frame_echo))


@pytest.fixture
def redis(tmp_path):
    with Redis(tmp_path / "redis") as server:
        yield server


def url_of(redis):
    return f"redis://127.0.0.1:{redis.port}/0"


@pytest.fixture
def start(fresh_gateway, echo):
    def begin(url, more="", linked=True, port=None, password=None, dns=None, **how):
        text = config(port or echo.port, url, more)
        if dns:
            text = text.replace("[server]", f'[server]\nresolvers = ["{dns}"]')
        gateway = fresh_gateway(text, start=False, **how)
        for name, text in (("admin.token", TOKEN), ("redis.password", password)):
            if text:
                (gateway.folder / name).write_text(text + "\n")
                (gateway.folder / name).chmod(0o600)
        gateway.admin_token = TOKEN
        gateway.start()
        if linked:
            wait_up(gateway)
        return gateway
    return begin


def wait_up(gateway, up=1, timeout=5):
    wait_for(lambda: gateway.metric("sluice_redis_up") == up, timeout, f"sluice_redis_up {up}\n{gateway.log_tail()}")


def bearer(**claims):
    return [("Authorization", f"Bearer {tokens.mint(tokens.claims(**claims))}")]


def revoke(gateway, expected=200, **body):
    status, text = gateway.admin("/api/v1/revoke", "POST", {"Content-Type": "application/json"}, json.dumps(body).encode())
    assert status == expected, (status, text)
    return json.loads(text)


def status_of(gateway, **claims):
    """Of a new handshake."""
    with gateway.client() as client:
        return client.upgrade("/members", bearer(**claims)).status


def becomes(gateway, status, timeout=2, **claims):
    wait_for(lambda: status_of(gateway, **claims) == status, timeout, f"{claims} gets {status}\n{gateway.log_tail()}")


def speaks(client):
    client.send_text("x")
    return client.recv_text() == "x"


def events(gateway, name):
    return [line for line in gateway.events() if line.get("event") == name]


def test_what_one_is_told_all_do(start, redis):
    one, two = start(url_of(redis)), start(url_of(redis))
    ann = [gateway.connect("/members", bearer(sub="ann")) for gateway in (one, two)]
    bob = two.connect("/members", bearer(sub="bob"))
    began = time.monotonic()
    entry = revoke(one, sub="ann", ttl="10m", code=4409, reason="banned")
    assert entry["closed"] == 1
    for client in ann:
        _, close = client.until_close(2)
        assert (close.code, close.reason) == (4409, b"banned")
    assert time.monotonic() - began < 1 * SLOWER
    assert speaks(bob)
    assert status_of(two, sub="ann") == 403
    audit = wait_for(lambda: [line for line in events(two, "audit") if line["action"] == "revoke"], 2, "said so")
    assert (audit[0]["by"], audit[0]["value"], audit[0]["closed"]) == ("cluster", "ann", 1)

    late = start(url_of(redis))  # it was not there when that was said
    becomes(late, 403, sub="ann")
    assert two.admin_json("/api/v1/revocations")["revocations"][0]["id"] == entry["id"]
    assert two.admin(f"/api/v1/revocations/{entry['id']}", "DELETE")[0] == 200
    for gateway in (one, late):
        becomes(gateway, 101, sub="ann")
    assert start(url_of(redis)).admin_json("/api/v1/revocations")["in_force"] == 0
    assert one.metric("sluice_redis_revocations_total", direction="sent") == 1
    assert two.metric("sluice_redis_revocations_total", direction="received") >= 1
    assert all(redis.cli("pttl", key) not in ("-1", "-2") for key in redis.keys()), "each key ends by itself"


def test_kicks_of_the_moment_go_round_too(start, redis):
    one, two = start(url_of(redis)), start(url_of(redis))
    ann = two.connect("/members", bearer(sub="ann"))
    bob = two.connect("/members", bearer(sub="bob"))
    assert revoke(one, sub="ann") == {"closed": 0}
    ann.expect_close(4403)
    connection, = two.admin_json("/api/v1/connections?subject=bob")["connections"]
    assert revoke(one, connection=connection["id"]) == {"closed": 0}
    bob.expect_close(4403)
    again = two.connect("/members", bearer(sub="ann"))
    three = start(url_of(redis))
    assert speaks(again), "she came after the kick"
    assert status_of(three, sub="ann") == 101


def steady(gateway, seconds, spoil):
    """Round trips in seconds of one live connection while spoil() happens."""
    took = []
    with gateway.connect("/members", bearer(sub="steady")) as client:
        over = time.monotonic() + seconds
        thread = threading.Thread(target=spoil)
        thread.start()
        while time.monotonic() < over:
            began = time.monotonic()
            assert speaks(client)
            took.append(time.monotonic() - began)
            time.sleep(0.002)
        thread.join()
    return sorted(took)


@pytest.mark.parametrize("outage", ["kill", "pause"])
def test_an_outage_is_caught_up(start, redis, outage):
    one, two = start(url_of(redis)), start(url_of(redis))
    ann = two.connect("/members", bearer(sub="ann"))
    eve = two.connect("/members", bearer(sub="eve"))
    kept = revoke(one, sub="zoe", ttl="10m")["id"]
    gone = revoke(one, sub="yan", ttl="10m")["id"]
    becomes(two, 403, sub="yan")

    took = steady(one, 2.5, getattr(redis, outage))
    p99 = took[int(len(took) * 0.99)]
    print(f"{outage}: {len(took)} round trips, p99 {p99 * 1000:.1f} ms, worst {took[-1] * 1000:.1f} ms")
    assert p99 < 0.025 * SLOWER
    for gateway in (one, two):
        wait_up(gateway, 0, 4)
    began = time.monotonic()
    revoke(one, sub="ann", ttl="10m")
    revoke(one, sub="eve")
    assert one.admin(f"/api/v1/revocations/{gone}", "DELETE")[0] == 200
    assert time.monotonic() - began < 1 * SLOWER, "nobody waits for Redis"
    assert speaks(ann) and speaks(eve), "open connections go on"
    assert status_of(two, sub="bob") == 101 and status_of(two, sub="zoe") == 403

    began = time.monotonic()
    redis.start() if outage == "kill" else redis.resume()
    ann.expect_close(4403)
    eve.expect_close(4403)
    recovery = time.monotonic() - began
    print(f"{outage}: honoured after {recovery:.2f} s")
    assert recovery < (2 if outage == "pause" else 3) * SLOWER
    becomes(two, 101, sub="yan")
    assert status_of(two, sub="ann") == 403
    # Redis came back empty after the kill: it is told all of it again, and so is who starts now.
    three = start(url_of(redis))
    becomes(three, 403, sub="zoe")
    becomes(three, 403, sub="ann")
    assert status_of(three, sub="yan") == 101
    assert kept in [entry["id"] for entry in three.admin_json("/api/v1/revocations")["revocations"]]
    assert len(events(one, "redis_down")) == 1 and len(events(one, "redis_up")) == 2
    assert one.metric("sluice_redis_errors_total") > 0


def test_a_restart_with_what_it_held(start, tmp_path):
    with Redis(tmp_path / "saved", save=True) as redis:
        one = start(url_of(redis))
        revoke(one, sub="ann", ttl="10m")
        wait_for(lambda: redis.keys(), 2, "written")
        one.stop()
        redis.kill()
        redis.start()
        two = start(url_of(redis))
        becomes(two, 403, sub="ann")


def test_both_ways_without_redis(start, redis):
    closed = start(url_of(redis), 'on_store_failure = "closed"\nstale_after = "500ms"\n')
    open_one = start(url_of(redis))
    client = closed.connect("/members", bearer(sub="bob"))
    redis.kill()
    becomes(closed, 503, 4, sub="bob")
    assert speaks(client)
    with closed.client() as anybody:
        assert anybody.upgrade("/open").status == 101
    assert status_of(open_one, sub="bob") == 101
    assert closed.admin("/readyz")[0] == 200
    assert closed.metric("sluice_rejects_total", reason="store_unavailable") >= 1
    redis.start()
    becomes(closed, 101, 4, sub="bob")
    wait_for(lambda: len(events(closed, "redis_stale")) == len(events(closed, "redis_fresh")) == 2, 2, "said at the start, and now")

    # One that starts while Redis is away knows nothing.
    redis.kill()
    new = start(url_of(redis), 'on_store_failure = "closed"\nstale_after = "1h"\n', linked=False)
    assert status_of(new, sub="bob") == 503
    redis.start()
    becomes(new, 101, 4, sub="bob")


def test_a_password(start, tmp_path):
    with Redis(tmp_path / "locked", "--requirepass", PASSWORD, password=PASSWORD) as redis:
        good = start(url_of(redis), 'password_file = "redis.password"\n', password=PASSWORD)
        bad = start(url_of(redis), 'password_file = "redis.password"\n', linked=False, password="another-password-0123456789")
        none = start(url_of(redis), linked=False)
        for gateway in (bad, none):
            down, = wait_for(lambda: events(gateway, "redis_down"), 3, "said why")
            assert down["kind"] == "auth"
            assert PASSWORD not in gateway.log_text() and "another-password" not in gateway.log_text()
            assert status_of(gateway, sub="ann") == 101
        assert bad.metric("sluice_redis_errors_total", kind="auth") >= 1
        # The right one comes by a reload.
        (bad.folder / "redis.password").write_text(PASSWORD + "\n")
        wait_up(bad, timeout=5)
        revoke(good, sub="ann", ttl="10m")
        becomes(bad, 403, sub="ann")


# The line of the documentation is the one that is tried.
def test_a_user_with_no_more_rights_than_needed(start, tmp_path):
    page = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "cluster.md").read_text()
    rights = re.search(r"^ACL SETUSER sluice (.+)$", page, re.M)[1].replace("THE-PASSWORD", PASSWORD).split()
    with Redis(tmp_path / "acl", "--user", "sluice", *rights) as redis:
        url = f"redis://sluice@127.0.0.1:{redis.port}"
        one, two = (start(url, 'password_file = "redis.password"\n', password=PASSWORD) for _ in range(2))
        revoke(one, sub="ann", ttl="10m")
        becomes(two, 403, sub="ann")
        assert not events(one, "redis_refused") and not events(two, "redis_refused")


def test_by_tls(start, tmp_path, authority):
    certificate, key = authority.issue("redis", ["localhost", "127.0.0.1"], folder=tmp_path)
    with Redis(tmp_path / "tls", tls=(certificate, key, authority.path)) as redis:
        url = f"rediss://localhost:{redis.port}"
        ours = f'[redis.tls]\nca = "{authority.path}"\n'
        one, two = start(url, ours), start(url, ours)
        revoke(one, sub="ann", ttl="10m")
        becomes(two, 403, sub="ann")
        wrong = start(url, ours + 'server_name = "other.test"\n', linked=False)
        nobody = start(url, linked=False)
        for gateway in (wrong, nobody):
            down, = wait_for(lambda: events(gateway, "redis_down"), 3, "said why")
            assert down["kind"] == "tls"


def test_the_address_moves(start, tmp_path):
    port = free_port()
    with Dns() as dns, Redis(tmp_path / "first", port=port) as first, Redis(tmp_path / "second", port=port, bind="127.0.0.2") as second:
        dns.set("redis.test", ["127.0.0.1"])
        one, two = (start(f"redis://redis.test:{port}", dns=dns.address) for _ in range(2))
        revoke(one, sub="ann", ttl="10m")
        becomes(two, 403, sub="ann")
        first.kill()
        dns.set("redis.test", ["127.0.0.2"])
        for one_of in (one, two):
            wait_up(one_of, timeout=5)
        assert second.keys(), "what is in force was told to the new one"
        bob = two.connect("/members", bearer(sub="bob"))
        revoke(one, sub="bob")
        bob.expect_close(4403)


def test_words_stay_one_word(start, redis):
    one, two = start(url_of(redis)), start(url_of(redis))
    redis.cli("set", "other", "kept")
    monitor = redis.monitor()
    name = "a\r\nFLUSHALL\r\n"
    revoke(one, sub=name, ttl="10m")
    becomes(two, 403, sub=name)
    lines = monitor.lines('"PUBLISH"')
    monitor.close()
    sets = [line for line in lines if '"SET"' in line]
    assert len(sets) == 1 and "FLUSHALL" in sets[0]
    assert not [line for line in lines if line.upper().split("] ", 1)[-1].startswith('"FLUSHALL"')]
    assert redis.cli("get", "other") == "kept"


def test_what_others_write_there_does_no_harm(start, redis):
    gateway = start(url_of(redis))
    for text in ("", "x", "+ 1 2", "+ 1 2 o {}", "! 9999999999999999999 1 o {}", "- 1 2 o null", "+ 1 2 o " + "{" * 1000, "\x01" * 100):
        redis.cli("publish", "sluice:{v1}:news", text)
    far = int(time.time() * 1000) + 1000 * 366 * 24 * 3600 * 1000
    redis.cli("publish", "sluice:{v1}:news", f'+ 1 {far} o {{"id":"x","kind":"sub","value":"ann","made":1,"expires":{far}}}')
    redis.cli("zadd", "sluice:{v1}:revocations", "1", "nothing", "2", "y" * 1000)
    redis.cli("set", "sluice:{v1}:rev:nothing", "no entry")
    gateway.signal(1)
    revoke(gateway, sub="bob", ttl="10m")
    becomes(start(url_of(redis)), 403, sub="bob")
    assert status_of(gateway, sub="ann") == 101
    assert gateway.metric("sluice_redis_up") == 1


def test_another_prefix_is_another_cluster(start, redis):
    one, two = start(url_of(redis)), start(url_of(redis), 'prefix = "other"\n')
    revoke(one, sub="ann", ttl="10m")
    becomes(one, 403, sub="ann")
    assert status_of(two, sub="ann") == 101
    two.write_config(two.config_path.read_text().replace('prefix = "other"', 'prefix = "sluice"'))
    two.reload()
    becomes(two, 403, sub="ann")


def with_tickets(port, url, more=""):
    return config(port, url, more).replace('"cookie:session"]', '"cookie:session", "ticket:ticket"]').replace(
        "forward =", 'endpoints = { ticket = "/tickets" }\nforward =')


def ask_ticket(gateway):
    with gateway.client("tls") as client:
        status, _, body = answer(client, post("/tickets", b"", bearer(sub="ann")))
        return status, body


def use(gateway, ticket):
    with gateway.client("tls") as client:
        return client.upgrade(f"/members?ticket={ticket}").status


def test_a_ticket_of_one_gateway_opens_one_connection_at_another(fresh_gateway, echo, redis):
    one, two = (fresh_gateway(with_tickets(echo.port, url_of(redis)), start=False, workers=2) for _ in range(2))
    for gateway in (one, two):
        (gateway.folder / "admin.token").write_text(TOKEN + "\n")
        gateway.admin_token = TOKEN
        gateway.start()
        wait_up(gateway)
    status, body = ask_ticket(one)
    assert status == 200
    key, = redis.keys()
    assert body["ticket"] not in key and 0 < int(redis.cli("pttl", key)) <= 30_000
    statuses = []
    threads = [threading.Thread(target=lambda at=at: statuses.append(use((one, two)[at % 2], body["ticket"]))) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [101] + [401] * 7
    assert not redis.keys()

    kept = ask_ticket(one)[1]["ticket"]
    redis.pause()
    began = time.monotonic()
    assert ask_ticket(one)[0] == 503 and use(two, kept) == 503
    assert time.monotonic() - began < 0.5 * SLOWER
    redis.resume()
    wait_for(lambda: ask_ticket(two)[0] == 200, 4, "tickets again")
    redis.kill()
    wait_up(two, 0)
    assert ask_ticket(two)[0] == 503 and use(two, kept) == 503


# A kick by claim at one of three gateways, 1,000 connections on each.
def test_three_gateways_close_a_crowd_within_a_second(start, redis):
    port = free_port()
    gateways = [start(url_of(redis), port=port) for _ in range(3)]
    crowd = CROWD // SLOWER

    async def run():
        backend = CountingEcho()
        await backend.start(port)
        ended = []
        marked = bearer(sub="a", tenant="acme")

        async def listen(member):
            while True:
                opcode, payload = await read_frame(member.reader)
                if opcode == CLOSE:
                    ended.append(time.monotonic())
                    assert payload == b"\x11\x33revoked"
                    member.writer.write(frame(CLOSE, payload))
                    return

        members = [Member() for _ in range(3 * crowd)]
        quiet = [Member() for _ in range(3)]
        todo = [(member, marked) for member in members] + [(member, bearer(sub="b", tenant="other")) for member in quiet]
        for begin in range(0, len(todo), 50):
            await asyncio.gather(*(member.connect(gateways[index % 3].port("plain"), "/members", fields)
                                   for index, (member, fields) in enumerate(todo[begin:begin + 50], begin)))
        tasks = [asyncio.ensure_future(listen(member)) for member in members]
        began = time.monotonic()
        said = await asyncio.to_thread(revoke, gateways[0], claim={"name": "tenant", "value": "acme"}, ttl="10m")
        assert said["closed"] == crowd
        await asyncio.wait_for(asyncio.gather(*tasks), 10 * SLOWER)
        last = max(ended) - began
        for member in quiet:
            member.send(b"0")
            assert (await asyncio.wait_for(read_frame(member.reader), 5 * SLOWER))[1] == b"0"
        for member in members + quiet:
            member.hang_up()
        return last

    last = asyncio.run(run())
    print(f"{3 * crowd} connections at three gateways: the last Close came after {last * 1000:.0f} ms")
    assert last < 1 * SLOWER
    for gateway in gateways:
        becomes(gateway, 403, sub="a", tenant="acme")

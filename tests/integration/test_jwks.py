"""Keys that are fetched: by URL and by discovery, over HTTPS from a server on loopback; rotation, failures, floods, denied networks."""

import json
import subprocess
import threading
import time

import pytest

from certs import Authority, server_context
from evil import Backend, head_teller
from gateway import BASE, BINARY, wait_for
from keyserver import KeyServer
from rawws import check_101, upgrade_request
from tokens import claims, jwk, mint, private_key, public_pem

OLD, NEW, OTHER = (private_key("ES256") for _ in range(3))


@pytest.fixture(scope="module")
def backend(backends):
    return backends(Backend(head_teller))


@pytest.fixture
def server(authority):
    certificate = authority.issue("keys", ["localhost", "127.0.0.1"])
    with KeyServer(server_context(certificate)) as running:
        running.keys(old=OLD)
        yield running


def config(server, backend, authority, auth="", allow='["127.0.0.0/8"]', source=None, workers=None):
    source = source or f'jwks_url = "{server.url()}"'
    return BASE + f"""
[auth.users]
type = "jwt"
algorithms = ["ES256"]
{source}
jwks_ca = "{authority.path}"
jwks_allow = {allow}
{auth}
[[route]]
path = "/chat"
auth = "users"
backend = "teller"
[[route]]
path = "/open"
backend = "teller"
[backend.teller]
servers = ["ws://127.0.0.1:{backend.port}"]
"""


def token(key, kid, **changes):
    return mint(claims(**changes), algorithm="ES256", key=key, header={"kid": kid})


def status(gateway, text, path="/chat"):
    with gateway.client() as client:
        return client.upgrade(path, [("Authorization", f"Bearer {text}")]).status


def refreshes(gateway, result):
    return gateway.metric("sluice_jwks_refresh_total", auth="users", result=result)


def loaded(gateway):
    wait_for(lambda: refreshes(gateway, "ok") >= 1, 10, "the first set of keys")
    return gateway


@pytest.fixture
def gateway(fresh_gateway, server, backend, authority):
    return loaded(fresh_gateway(config(server, backend, authority)))


# ---- the first set
def test_keys_come_by_url(gateway, server):
    assert status(gateway, token(OLD, "old")) == 101
    assert status(gateway, token(NEW, "old")) == 401
    assert server.asked() == 1
    fields = server.last()
    assert fields["host"] == f"localhost:{server.port}"
    assert "cookie" not in fields and "authorization" not in fields
    metrics = gateway.metrics()
    assert 0 <= metrics['sluice_jwks_age_seconds{auth="users"}'] < 30
    assert abs(metrics['sluice_jwks_last_success_timestamp_seconds{auth="users"}'] - time.time()) < 30


def test_without_any_keys_the_gateway_is_at_fault(fresh_gateway, server, backend, authority):
    server.answer("/keys", "down", 503)
    gateway = fresh_gateway(config(server, backend, authority))
    wait_for(lambda: refreshes(gateway, "status") >= 1, 10, "a failed fetch")
    with gateway.client() as client:
        head = client.upgrade("/chat", [("Authorization", f"Bearer {token(OLD, 'old')}")])
        assert head.status == 503
        assert int(head.get("Retry-After")) >= 1
    assert status(gateway, "no.token") == 401, "what is no token needs no key"
    assert status(gateway, "x", "/open") == 101, "and routes without auth serve"
    gateway.wait_access(reason="keys_unavailable")
    assert gateway.metric("sluice_rejects_total", reason="keys_unavailable") >= 1
    server.keys(old=OLD)
    wait_for(lambda: status(gateway, token(OLD, "old")) == 101, 20, "keys as soon as there are some")


# ---- rotation
def test_a_rotation_is_seen_at_the_first_token_of_the_new_key(gateway, server):
    assert status(gateway, token(OLD, "old")) == 101
    server.keys(old=OLD, new=NEW)
    assert status(gateway, token(NEW, "new")) == 101, "who brings it waits for it"
    assert status(gateway, token(OLD, "old")) == 101, "both serve"
    assert server.asked() == 2
    server.keys(new=NEW)
    assert status(gateway, token(OLD, "old")) == 101, "until the next fetch"


def test_a_flood_of_unknown_keys_costs_few_fetches(gateway, server):
    """Thirty seconds stand between two fetches for unknown keys; this flood ends earlier."""
    refused = []

    def flood(worker):
        for i in range(60):
            refused.append(status(gateway, token(OTHER, f"random-{worker}-{i}")))

    threads = [threading.Thread(target=flood, args=(worker,)) for worker in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(refused) == {401}
    assert len(refused) == 300
    assert server.asked() <= 2, "the first one, and one for all of them"
    assert status(gateway, token(OLD, "old")) == 101


def test_names_in_a_token_are_nobodys_address(gateway, server):
    canary = server.url("/canary")
    for kid in ("../../dev/null", "' OR 1=1", canary, "a" * 128, "\r\nDEL x"):
        assert status(gateway, token(OTHER, kid)) == 401, kid
    assert status(gateway, token(OTHER, "a" * 129)) == 401
    for member in ("jku", "x5u"):
        text = mint(claims(), algorithm="ES256", key=OTHER, header={"kid": "old", member: canary})
        assert status(gateway, text) == 401
    text = mint(claims(), algorithm="ES256", key=OTHER, header={"kid": "evil", "jwk": jwk(OTHER, "ES256", "evil")})
    assert status(gateway, text) == 401
    assert server.asked("/canary") == 0


# ---- failures
BAD_SETS = {
    "nothing": ({}, 200, {}, "bad_set"),
    "a page": ("<!DOCTYPE html><title>Sign in</title>", 200, {"Content_Type": "text/html"}, "bad_set"),
    "no keys": ({"keys": []}, 200, {}, "bad_set"),
    "a secret": ({"keys": [{"kty": "oct", "kid": "old", "k": "A" * 43}]}, 200, {}, "bad_set"),
    "too many keys": ({"keys": [dict(jwk(NEW, "ES256", f"k{i}")) for i in range(101)]}, 200, {}, "bad_set"),
    "too much": ("[" + " " * 300_000 + "]", 200, {}, "bad_answer"),
    "an error": ({"keys": [jwk(NEW, "ES256", "new")]}, 500, {}, "status"),
    "gone": ("", 404, {}, "status"),
    "a redirect": ("", 302, {"Location": "http://169.254.169.254/latest/meta-data"}, "status"),
    "a redirect to the same server": ("", 307, {"Location": "/new"}, "status"),
}


@pytest.mark.parametrize("name", BAD_SETS)
def test_what_is_no_set_leaves_the_old_one(gateway, server, name):
    body, code, fields, result = BAD_SETS[name]
    server.keys(path="/new", new=NEW)
    server.answer("/keys", body, code, **fields)
    assert status(gateway, token(NEW, "new")) == 401
    wait_for(lambda: refreshes(gateway, result) >= 1, 10, "the fetch")
    assert status(gateway, token(OLD, "old")) == 101
    assert server.asked("/new") == 0, "redirects are not followed"
    failed = wait_for(lambda: [event for event in gateway.events() if event["event"] == "jwks_failed"], 5, "its line in the log")
    assert failed[0]["auth"] == "users" and failed[0]["result"] == result


def test_a_key_server_that_hangs_holds_up_nobody_else(gateway, server):
    server.hold.clear()
    waited = []

    def miss():
        began = time.monotonic()
        waited.append((status(gateway, token(NEW, "new")), time.monotonic() - began))

    missing = threading.Thread(target=miss)
    missing.start()
    wait_for(lambda: server.asked() == 2, 5, "the fetch")
    for _ in range(10):
        began = time.monotonic()
        assert status(gateway, token(OLD, "old")) == 101
        assert time.monotonic() - began < 1
    missing.join()
    server.hold.set()
    (code, seconds), = waited
    assert code == 401
    assert 1.9 < seconds < 4, "two seconds at most are waited for a key"


def test_the_first_clients_wait_for_the_first_keys(fresh_gateway, server, backend, authority):
    server.hold.clear()
    gateway = fresh_gateway(config(server, backend, authority))
    codes = []
    early = [threading.Thread(target=lambda: codes.append(status(gateway, token(OLD, "old")))) for _ in range(5)]
    for client in early:
        client.start()
    wait_for(lambda: gateway.metric("sluice_handshaking_connections") == 5, 2, "all of them")
    server.hold.set()
    for client in early:
        client.join()
    assert codes == [101] * 5
    assert server.asked() == 1


def test_who_waits_may_leave(fresh_gateway, server, backend, authority):
    gateway = loaded(fresh_gateway(config(server, backend, authority)))
    server.hold.clear()
    clients = [gateway.client() for _ in range(20)]
    for client in clients:
        client.send(upgrade_request("/chat", [("Authorization", f"Bearer {token(NEW, 'new')}")]))
    wait_for(lambda: gateway.metric("sluice_handshaking_connections") == 20, 5, "all of them")
    for client in clients[:10]:
        client.reset()
    for client in clients[10:]:
        client.close()
    wait_for(lambda: gateway.metric("sluice_connections", listener="plain") == 0, 5, "nobody")
    server.keys(new=NEW)
    server.hold.set()
    wait_for(lambda: refreshes(gateway, "ok") == 2, 5, "the fetch that they asked for")
    assert status(gateway, token(NEW, "new")) == 101


def test_only_what_has_changed_is_sent(fresh_gateway, server, backend, authority):
    server.keys(old=OLD, fields={"ETag": '"v1"'})
    gateway = loaded(fresh_gateway(config(server, backend, authority)))
    server.answer("/keys", "", 304, ETag='"v1"')
    assert status(gateway, token(NEW, "new")) == 401
    wait_for(lambda: refreshes(gateway, "not_modified") == 1, 10, "a conditional request")
    assert server.last()["if-none-match"] == '"v1"'
    assert status(gateway, token(OLD, "old")) == 101


# ---- who is believed, and who is asked
def test_a_key_server_with_a_foreign_certificate_is_not_believed(fresh_gateway, server, backend, tmp_path):
    foreign = Authority(tmp_path / "foreign", "Foreign CA")
    gateway = fresh_gateway(config(server, backend, foreign))
    wait_for(lambda: refreshes(gateway, "tls") >= 1, 10, "a refused certificate")
    assert status(gateway, token(OLD, "old")) == 503
    assert server.asked() == 0


def test_a_certificate_for_another_name_is_not_believed(fresh_gateway, backend, authority):
    certificate = authority.issue("elsewhere", ["id.example.com"])
    with KeyServer(server_context(certificate)) as server:
        server.keys(old=OLD)
        gateway = fresh_gateway(config(server, backend, authority))
        wait_for(lambda: refreshes(gateway, "tls") >= 1, 10, "a refused certificate")
        assert server.asked() == 0


@pytest.mark.parametrize("allow", ["[]", '["10.0.0.0/8"]', '["127.0.0.2"]', '["0.0.0.0/0"]'])
def test_no_network_of_the_inside_is_asked(fresh_gateway, server, backend, authority, allow):
    gateway = fresh_gateway(config(server, backend, authority, allow=allow))
    wait_for(lambda: refreshes(gateway, "denied") >= 1, 10, "a refused address")
    assert server.asked() == 0
    assert status(gateway, token(OLD, "old")) == 503


def test_without_tls_only_what_is_allowed_is_asked(fresh_gateway, backend, authority):
    with KeyServer() as server:
        server.keys(old=OLD)
        gateway = loaded(fresh_gateway(config(server, backend, authority)))
        assert status(gateway, token(OLD, "old")) == 101
        server_url = server.url()
    gateway = fresh_gateway(config(None, backend, authority, source=f'jwks_url = "{server_url}"', allow="[]"), start=False)
    run = subprocess.run([BINARY, "check", "--config", str(gateway.config_path)], capture_output=True, text=True, timeout=20)
    assert run.returncode != 0
    assert "'jwks_url' must begin with https://" in run.stderr


def test_a_ca_without_a_certificate_is_refused_at_the_start(fresh_gateway, server, backend, authority, tmp_path):
    bad = tmp_path / "bad.crt"
    bad.write_text("-----BEGIN CERTIFICATE-----\nMAo=\n-----END CERTIFICATE-----\n")
    text = config(server, backend, authority).replace(str(authority.path), str(bad))
    gateway = fresh_gateway(text, start=False)
    run = subprocess.run([BINARY, "check", "--config", str(gateway.config_path)], capture_output=True, text=True, timeout=20)
    assert run.returncode != 0
    assert "auth 'users': ca holds no certificate" in run.stderr


# ---- discovery
def discovery(server, slash="/"):
    return f'discovery = true\nissuer = "{server.origin}{slash}"'


def document(server, **changes):
    out = {"issuer": server.origin + "/", "jwks_uri": server.url(), "authorization_endpoint": server.url("/auth")}
    out.update(changes)
    return {name: value for name, value in out.items() if value is not None}


def test_keys_come_by_discovery(fresh_gateway, server, backend, authority):
    server.answer("/.well-known/openid-configuration", document(server))
    gateway = loaded(fresh_gateway(config(server, backend, authority, source=discovery(server))))
    assert status(gateway, token(OLD, "old", iss=server.origin + "/")) == 101
    assert status(gateway, token(OLD, "old")) == 401, "of another issuer"
    server.keys(path="/moved", new=NEW)
    server.answer("/.well-known/openid-configuration", document(server, jwks_uri=server.url("/moved")))
    assert status(gateway, token(NEW, "new", iss=server.origin + "/")) == 101, "a set that has moved"


@pytest.mark.parametrize("changes", [
    {"issuer": "https://evil.example/"}, {"issuer": None}, {"jwks_uri": None}, {"jwks_uri": 5}, {"jwks_uri": "file:///etc/passwd"},
    {"issuer": "without-slash"},
], ids=str)
def test_a_document_that_is_not_the_issuers_is_not_believed(fresh_gateway, server, backend, authority, changes):
    if changes.get("issuer") == "without-slash":
        changes = {"issuer": server.origin}
    server.answer("/.well-known/openid-configuration", document(server, **changes))
    gateway = fresh_gateway(config(server, backend, authority, source=discovery(server)))
    wait_for(lambda: refreshes(gateway, "discovery") >= 1, 10, "a refused document")
    assert server.asked() == 0
    assert status(gateway, token(OLD, "old", iss=server.origin + "/")) == 503


def test_a_document_leads_into_no_denied_network(fresh_gateway, server, backend, authority):
    server.answer("/.well-known/openid-configuration", document(server, jwks_uri="https://169.254.169.254/latest/meta-data"))
    gateway = fresh_gateway(config(server, backend, authority, source=discovery(server)))
    wait_for(lambda: refreshes(gateway, "denied") >= 1, 10, "a refused address")


# ---- reload
def test_keys_live_on_over_a_reload(gateway, server, backend, authority):
    asked = server.asked()
    gateway.write_config(config(server, backend, authority, 'leeway = "10s"'))
    gateway.reload()
    assert status(gateway, token(OLD, "old")) == 101
    assert server.asked() == asked, "the same source is not asked again"
    server.answer("/keys", "down", 500)
    gateway.reload()
    assert status(gateway, token(OLD, "old")) == 101


def test_another_source_begins_with_nothing_of_the_old_one(gateway, server, backend, authority):
    server.keys(path="/other", new=NEW)
    gateway.write_config(config(server, backend, authority, source=f'jwks_url = "{server.url("/other")}"'))
    gateway.reload()
    wait_for(lambda: status(gateway, token(NEW, "new")) == 101, 5, "the other keys")
    assert status(gateway, token(OLD, "old")) == 401


def test_every_worker_has_the_keys(fresh_gateway, server, backend, authority):
    gateway = loaded(fresh_gateway(config(server, backend, authority), workers=3))
    assert {status(gateway, token(OLD, "old")) for _ in range(30)} == {101}
    server.keys(old=OLD, new=NEW)
    assert {status(gateway, token(NEW, "new")) for _ in range(30)} == {101}
    assert server.asked() == 2, "one fetch for all of them"


# ---- files
def test_key_files_are_read_again_when_they_change(fresh_gateway, backend):
    text = BASE + f"""
[auth.set]
type = "jwt"
algorithms = ["ES256"]
jwks_file = "keys.json"
[auth.pem]
type = "jwt"
algorithms = ["ES256"]
public_key_file = "key.pem"
[[route]]
path = "/set"
auth = "set"
backend = "teller"
[[route]]
path = "/pem"
auth = "pem"
backend = "teller"
[backend.teller]
servers = ["ws://127.0.0.1:{backend.port}"]
"""
    gateway = fresh_gateway(text, start=False)

    def write(name, octets):
        (gateway.folder / (name + ".new")).write_bytes(octets)
        (gateway.folder / (name + ".new")).rename(gateway.folder / name)

    def key_set(**keys):
        return json.dumps({"keys": [jwk(key, "ES256", kid) for kid, key in keys.items()]}).encode()

    write("keys.json", key_set(old=OLD))
    write("key.pem", public_pem(OLD))
    gateway.start()
    assert status(gateway, token(OLD, "old"), "/set") == status(gateway, token(OLD, "x"), "/pem") == 101
    write("keys.json", key_set(old=OLD, new=NEW))
    wait_for(lambda: status(gateway, token(NEW, "new"), "/set") == 101, 5, "the new set")
    assert status(gateway, token(OLD, "old"), "/set") == 101
    write("key.pem", public_pem(NEW))
    wait_for(lambda: status(gateway, token(NEW, "x"), "/pem") == 101, 5, "the new key")
    assert status(gateway, token(OLD, "x"), "/pem") == 401
    before = gateway.reloads()
    write("keys.json", b"<html>")
    wait_for(lambda: gateway.reloads() > before, 5, "the reload")
    assert status(gateway, token(NEW, "new"), "/set") == 101, "a file that is no set leaves the old one"


def test_an_open_connection_outlives_the_key_that_let_it_in(gateway, server):
    with gateway.client() as client:
        check_101(client.upgrade("/chat", [("Authorization", f"Bearer {token(OLD, 'old')}")]))
        client.recv_message()
        server.keys(new=NEW)
        assert status(gateway, token(NEW, "new")) == 101
        assert status(gateway, token(OLD, "old")) == 401
        client.send_text("still here")
        assert client.recv_text() == "still here"

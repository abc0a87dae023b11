"""API keys with the real binary: what goes upstream, what the log says, reload of their file, addresses that guess."""

import hashlib
import json
import secrets

import pytest

import canary
from evil import Backend, head_teller
from gateway import AUTH, BASE, wait_for
from rawws import check_101
from tokens import mint
from wire import TEXT


def make(name, more=""):
    """A key and its entry, after docs/how-to/api-keys.md."""
    prefix = secrets.token_hex(8)
    text = canary.note(f"sk_{prefix}_{secrets.token_urlsafe(32)}")
    digest = hashlib.sha256(text.encode()).hexdigest()
    return text, f'[[key]]\nname = "{name}"\nprefix = "{prefix}"\nsha256 = "{digest}"\n{more}'


KEY, ENTRY = make("billing", 'claims = { team = "blue", level = 7 }\n')
WRONG = KEY[:-2] + ("AB" if KEY[-2:] != "AB" else "CD")
UNKNOWN = "sk_0000000000000000" + KEY[19:]

CONFIG = BASE + AUTH + """
[auth.machines]
type = "api_key"
keys_file = "keys.toml"
forward = { sub = "X-Client", team = "X-Team", level = "X-Level" }
failures = "@failures@"
[[route]]
path = "/machines"
auth = "machines"
backend = "teller"
[[route]]
path = "/both"
auth = ["users", "machines"]
backend = "teller"
[[route]]
path = "/soft"
auth = "machines"
backend = "teller"
reject = "close"
[backend.teller]
servers = ["ws://127.0.0.1:@teller@"]
"""


@pytest.fixture(scope="module")
def backend(backends):
    return backends(Backend(head_teller))


@pytest.fixture
def start(fresh_gateway, backend):
    def begin(keys=ENTRY, failures="off", **how):
        config = CONFIG.replace("@failures@", failures).replace("@teller@", str(backend.port))
        gateway = fresh_gateway(config, start=False, **how)
        (gateway.folder / "keys.toml").write_text(keys)
        return gateway.start()
    return begin


def key(text):
    return [("X-API-Key", text)]


def status(gateway, fields, path="/machines"):
    with gateway.client() as client:
        return client.upgrade(path, fields).status


def told(client):
    opcode, payload = client.recv_message()
    assert opcode == TEXT
    return json.loads(payload)[1:]


def test_the_backend_hears_who_it_is_and_not_the_key(start):
    gateway = start()
    with gateway.connect("/machines", key(KEY) + [("X-Client", "root"), ("x_team", "red")]) as client:
        fields = told(client)
    values = {name.lower(): value for name, value in fields}
    assert (values["x-client"], values["x-team"], values["x-level"]) == ("billing", "blue", "7")
    assert "x-api-key" not in values and KEY not in json.dumps(fields)
    line = gateway.wait_access(path="/machines", status=101, event="ws_open")
    assert (line["auth_method"], line["subject"]) == ("api_key", "billing")
    assert gateway.metric("sluice_auth_total", method="api_key", result="ok") == 1
    gateway.stop()
    everything = gateway.log_text() + (gateway.folder / "access.log").read_text()
    assert KEY not in everything and KEY[20:] not in everything


def test_unknown_and_wrong_ones_are_answered_alike(start):
    gateway = start()
    answers = []
    for text in (WRONG, UNKNOWN, "x", "sk_"):
        with gateway.client() as client:
            head = client.upgrade("/machines", key(text))
            fields = [(name.lower(), value) for name, value in head.fields if name.lower() not in ("x-request-id", "date")]
            answers.append((head.status, fields, head.body))
    assert answers[0][0] == 401 and b"bad_token" in answers[0][2]
    assert all(answer == answers[0] for answer in answers), answers
    assert status(gateway, []) == 401 and status(gateway, key(KEY) * 2) == 400
    assert gateway.metric("sluice_auth_total", method="api_key", reason="bad_token") == 4
    assert gateway.metric("sluice_auth_total", method="api_key", reason="no_token") == 1


def test_tokens_and_keys_on_one_route(start):
    gateway = start()
    bearer = [("Authorization", f"Bearer {mint()}")]
    for _ in range(3):
        gateway.connect("/both", bearer).close()
    gateway.connect("/both", key(KEY)).close()
    assert status(gateway, bearer + key(WRONG), "/both") == 101, "the first auth of the route that finds something decides"
    assert status(gateway, [("Authorization", f"Bearer {KEY}")], "/both") == 401
    assert gateway.metric("sluice_auth_total", method="jwt", result="ok") == 4
    assert gateway.metric("sluice_auth_total", method="api_key", result="ok") == 1
    assert gateway.metric("sluice_token_cache_hits_total") == 3


def test_the_file_is_taken_when_it_changes(start):
    gateway = start()
    path = gateway.folder / "keys.toml"
    other, entry = make("other")
    with gateway.connect("/machines", key(KEY)) as client:
        told(client)
        path.write_text(entry)
        wait_for(lambda: status(gateway, key(other)) == 101, 5, "the new key")
        assert status(gateway, key(KEY)) == 401
        client.send_text("still here")
        assert client.recv_text() == "still here", "whoever is connected stays"
    path.write_text(entry + ENTRY + "disabled = true\n")
    reloads = gateway.reloads()
    gateway.reload()
    assert gateway.reloads() > reloads and status(gateway, key(KEY)) == 401 and status(gateway, key(other)) == 101


def test_a_bad_file_keeps_the_one_in_force(start):
    gateway = start()
    path = gateway.folder / "keys.toml"
    path.write_text(ENTRY + '\n[[key]]\nname = "x"\nsha256 = "' + KEY + '"\n')
    wait_for(lambda: gateway.metric("sluice_config_reloads_total", result="failed") == 1, 5, "the reload that fails")
    assert status(gateway, key(KEY)) == 101
    fault = wait_for(lambda: [event for event in gateway.events() if event.get("event") == "config_error"], 3, "the fault")[0]
    assert fault["file"].endswith("keys.toml") and fault["line"] == ENTRY.count("\n") + 4, fault
    assert "64 hexadecimal digits" in fault["message"]
    assert KEY[20:] not in gateway.log_text(), "what was pasted there by mistake is not repeated"
    path.write_text(ENTRY)
    wait_for(lambda: gateway.metric("sluice_config_reloads_total", result="ok") == 1, 5, "the reload of the good file")


def test_an_expired_key_is_refused_and_its_connections_end(start):
    from datetime import datetime, timedelta, timezone
    soon = datetime.now(timezone.utc) + timedelta(seconds=4)
    gateway = start(ENTRY + f"expires = {soon.strftime('%Y-%m-%dT%H:%M:%SZ')}\n")
    with gateway.connect("/machines", key(KEY)) as client:
        told(client)
        client.expect_close(4401)
    with gateway.client() as client:
        head = client.upgrade("/machines", key(KEY))
        assert head.status == 401 and b"token_expired" in head.body


def test_whoever_guesses_is_held_back(start):
    gateway = start(failures="10/m", workers=2)
    assert [status(gateway, key(WRONG)) for _ in range(10)] == [401] * 10, "on whichever worker"
    with gateway.client() as client:
        head = client.upgrade("/machines", key(WRONG))
        assert head.status == 429 and 50 <= int(head.get("Retry-After")) <= 60
        assert b"rl_auth" in head.body
    assert status(gateway, key(KEY)) == 429, "a right one is not told from a wrong one"
    assert status(gateway, [], "/machines") == 401
    assert status(gateway, [("Authorization", "Bearer a.b.c")], "/both") == 401, "tokens have a count of their own"
    with gateway.client() as client:
        check_101(client.upgrade("/soft", key(KEY)))
        client.expect_close(4429)
    assert gateway.metric("sluice_rejects_total", stage="ratelimit", reason="rl_auth") == 3
    gateway.reload()
    assert status(gateway, key(KEY)) == 429, "a reload forgets nothing"
    gateway.write_config(gateway.config_path.read_text().replace('"10/m"', '"11/m"'))
    gateway.reload()
    assert status(gateway, key(KEY)) == 101, "but it takes other numbers"


GOLD = """
[rate_limit.each]
key = "claim:sub"
unit = "connections"
limit = 1
[rate_limit.gold]
key = "claim:sub"
unit = "connections"
limit = 2
"""


def test_a_key_has_limits_of_its_own_from_the_reload_on(fresh_gateway, backend):
    config = CONFIG.replace("@failures@", "off").replace("@teller@", str(backend.port))
    config = config.replace('path = "/machines"\n', 'path = "/machines"\nrate_limit = ["each"]\n') + GOLD
    gateway = fresh_gateway(config, start=False)
    file = gateway.folder / "keys.toml"
    file.write_text(ENTRY)
    gateway.start()
    with gateway.connect("/machines", key(KEY)):
        assert status(gateway, key(KEY)) == 429
        fresh = gateway.folder / "keys.new"
        fresh.write_text(ENTRY + 'rate_limit = ["gold"]\n')
        fresh.rename(file)
        wait_for(lambda: status(gateway, key(KEY)) == 101)
        # What it opened before counts in the limit of before.
        wait_for(lambda: gateway.metric("sluice_connections") == 1)
        with gateway.connect("/machines", key(KEY)), gateway.connect("/machines", key(KEY)):
            assert status(gateway, key(KEY)) == 429

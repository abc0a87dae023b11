"""The command line: check, exit codes, messages with their place, token, version."""

import base64
import hashlib
import hmac
import json
import re
import subprocess
import time
from pathlib import Path

import pytest

import tokens
from evil import Backend, echo
from gateway import AUTH, BASE, BINARY, NOWHERE, Gateway, wait_for
from ports import free_port

ROOT = Path(__file__).resolve().parents[2]

EXAMPLE = (ROOT / "tests/support/example.toml").read_text()


def sluice(*arguments, timeout=20, **how):
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=timeout, **how)


@pytest.fixture
def folder(tmp_path, authority):
    authority.issue("server", ["localhost"], folder=tmp_path)
    (tmp_path / "hs256.secret").write_bytes(tokens.SECRET)
    (tmp_path / "hs256.secret").chmod(0o600)
    return tmp_path


def check(folder, text):
    (folder / "sluice.toml").write_text(text)
    return sluice("check", "--config", folder / "sluice.toml")


def said(run):
    return run.stdout + run.stderr


def test_the_documented_configuration(folder):
    run = check(folder, EXAMPLE)
    assert run.returncode == 0, said(run)
    assert "error" not in said(run)


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "conf").glob("*.toml")) or ["none"])
def test_shipped_configurations(name):
    """conf/ holds only files that pass, or that name files which a fresh machine does not have."""
    run = sluice("check", "--config", ROOT / "conf" / name)
    assert run.returncode == 0, said(run)


SMALL = '''[[listener]]
bind = "127.0.0.1:8080"
[[route]]
path = "/*"
backend = "app"
[backend.app]
servers = ["ws://127.0.0.1:9000"]
'''

WRONG = {
    # what is wrong: (text, "line:column", words that must be said)
    "unknown table": (SMALL + '[[listner]]\n', "8:3", ["unknown", "listner", "did you mean 'listener'"]),
    "unknown key": (SMALL.replace('bind', 'bidn'), "2:1", ["bidn", "did you mean 'bind'"]),
    "bad reference": (SMALL.replace('backend = "app"', 'backend = "aap"'), "5:", ["aap", "did you mean 'app'"]),
    "wrong type": ('[server]\nworkers = "many"\n' + SMALL, "2:", ["workers"]),
    "bad duration": ('[server]\ndrain_timeout = "10 parsecs"\n' + SMALL, "2:", ["drain_timeout"]),
    "bare number": ('[server]\ndrain_timeout = 10\n' + SMALL, "2:", ["drain_timeout"]),
    "bad size": (SMALL.replace('backend = "app"', 'backend = "app"\nwebsocket = { max_message = "1 elephant" }'), "6:", ["max_message"]),
    "bad rate": (SMALL + '[rate_limit.x]\nkey = "ip"\nunit = "messages"\nrate = "50"\n', "", ["rate"]),
    "no TOML": ('[[listener]\n', "1:", []),
    "bad address": (SMALL.replace("127.0.0.1:8080", "127.0.0.1:123456"), "2:", ["bind"]),
    "duplicate route": (SMALL + '[[route]]\npath = "/*"\nbackend = "app"\n', "", ["route"]),
    "no listener": (SMALL.replace('[[listener]]\nbind = "127.0.0.1:8080"\n', ''), "", ["listener"]),
    "path in a server": (SMALL.replace("9000", "9000/path"), "7:", ["path"]),
    "unknown scheme": (SMALL.replace("ws://", "gopher://"), "7:", []),
    "missing certificate": (SMALL.replace('8080"', '8080"\ntls = { cert = "missing.crt", key = "missing.key" }'), "3:", ["missing.crt"]),
    "http beside ws": (SMALL.replace('"ws://127.0.0.1:9000"', '"ws://127.0.0.1:9000", "http://127.0.0.1:9000"'), "7:", ["must not stand in one backend"]),
    "password in a url": (SMALL + '[redis]\nurl = "redis://u:s3cret@x"\n', "9:7", ["holds a password", "password_file"]),
    "api keys without their file": (SMALL + '[auth.x]\ntype = "api_key"\nkeys_file = "x"\n', "10:13", ["cannot read"]),
    "not yet: compression": (SMALL.replace('backend = "app"', 'backend = "app"\nwebsocket = { compression = true }'), "6:", ["not yet supported"]),
    "mixed algorithms": (SMALL + '[auth.x]\ntype = "jwt"\nalgorithms = ["HS256", "RS256"]\nsecret_file = "hs256.secret"\n', "10:", ["HS"]),
    "secret too short": (SMALL + '[auth.x]\ntype = "jwt"\nalgorithms = ["HS256"]\nsecret_file = "short"\n', "11:", ["32"]),
    "key of another kind": (SMALL + '[auth.x]\ntype = "jwt"\nalgorithms = ["RS256"]\nsecret_file = "hs256.secret"\n', "11:", ["secret"]),
    "drop of bytes": (SMALL + '[rate_limit.x]\nkey = "ip"\nunit = "bytes"\nrate = "1KiB/s"\non_limit = "drop"\n', "12:", ["drop"]),
    "delay of handshakes": (SMALL + '[rate_limit.x]\nkey = "ip"\nunit = "handshakes"\nrate = "1/s"\non_limit = "delay"\n', "12:", ["delay"]),
    "public admin without a token": ('[admin]\nbind = "0.0.0.0:9901"\n' + SMALL, "2:", ["token"]),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_configuration(folder, name):
    text, place, words = WRONG[name]
    (folder / "short").write_text("too short")
    (folder / "short").chmod(0o600)
    run = check(folder, text)
    assert run.returncode == 2, (run.returncode, said(run))
    assert "error" in said(run)
    if place:
        assert f"sluice.toml:{place}" in said(run), said(run)
        assert re.search(r"^\s*\d+ \| ", said(run), re.M) and re.search(r"\|\s*\^", said(run)), said(run)
    for word in words:
        assert word in said(run), (word, said(run))


def test_all_errors_in_one_run(folder):
    run = check(folder, SMALL.replace("bind", "bidn").replace('backend = "app"', 'backend = "aap"') + "[serverr]\n")
    for word in ("bidn", "aap", "serverr"):
        assert word in said(run)
    assert len(re.findall(r"sluice\.toml:\d+:\d+: error", said(run))) >= 3


def test_run_refuses_what_check_refuses(folder):
    (folder / "sluice.toml").write_text(SMALL.replace("bind", "bidn"))
    run = sluice("run", "--config", folder / "sluice.toml")
    assert run.returncode == 2 and "bidn" in said(run)


# What the configurations of an edge with everything ask for beyond today, each at its place and by its name.
LATER = {
    "cluster": ('[rate_limit.x]\nkey = "ip"\nrate = "1/s"\nscope = "cluster"\n', "11:9", "cluster"),
    "fallback": ('[rate_limit.x]\nkey = "ip"\nrate = "1/s"\nfallback = "local"\n', "11:1", "fallback"),
}


@pytest.mark.parametrize("name", LATER)
def test_not_yet_supported(folder, name):
    text, place, word = LATER[name]
    run = check(folder, SMALL + text)
    assert run.returncode == 2
    line = next(line for line in said(run).splitlines() if f"sluice.toml:{place}: error:" in line)
    assert word in line and "not yet supported" in line, said(run)


@pytest.mark.parametrize("old, new, word", [
    ('bind = "127.0.0.1:8080"', 'bind = "127.0.0.1:8080"\nalpn = ["h2", "http/1.1"]', "h2"),
    ('backend = "app"', 'backend = "app"\nwebsocket = { compression = true }', "compression")])
def test_not_yet_supported_inside_what_is(folder, old, new, word):
    run = check(folder, SMALL.replace(old, new))
    assert run.returncode == 2
    assert any(word in line and "not yet supported" in line and re.search(r"sluice.toml:\d+:\d+: error", line)
               for line in said(run).splitlines()), said(run)


def test_missing_file(folder):
    assert sluice("check", "--config", folder / "none.toml").returncode == 2
    assert sluice("run", "--config", folder / "none.toml").returncode == 2


def test_usage(folder):
    assert sluice("no-such-command").returncode == 2
    assert sluice("run", "--no-such-option").returncode == 2
    assert sluice("--help").returncode == 0
    assert sluice("run", "--help").returncode == 0


def test_version():
    run = sluice("--version")
    assert run.returncode == 0 and re.search(r"\d+\.\d+\.\d+", run.stdout)
    assert "OpenSSL" in run.stdout and "libevent" in run.stdout


def test_the_commit_is_known(fresh_gateway):
    """Where the sources are a git repository: the same in --version, metrics and status."""
    commit = re.search(r"commit +(\S+)", sluice("--version").stdout)[1]
    head = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True)
    if head.returncode == 0:
        assert re.fullmatch(r"[0-9a-f]{12}(-dirty)?", commit)
    else:
        assert commit == "unknown"
    gateway = fresh_gateway(NOWHERE)
    told = gateway.admin_json("/api/v1/status")["revision"]
    assert told == ("" if commit == "unknown" else commit)
    assert any(series.startswith("sluice_build_info") and f'revision="{told}"' in series for series in gateway.metrics())


def test_healthcheck(fresh_gateway):
    gateway = fresh_gateway(NOWHERE)
    ask = lambda: sluice("healthcheck", "--admin", f"127.0.0.1:{gateway.port('admin')}")
    assert ask().returncode == 0
    gateway.stop()
    run = ask()
    assert run.returncode == 1 and "no answer" in run.stderr
    assert sluice("healthcheck", "--admin", "nonsense").returncode == 1


@pytest.mark.parametrize("answer", [b"HTTP/1.1 503 Service Unavailable\r\n\r\n", b"HTTP/1.1 2000 OK\r\n\r\n", b""])
def test_healthcheck_of_who_is_not_ready(answer):
    with Backend(lambda peer: (peer.read_head(), peer.send(answer))) as other:
        run = sluice("healthcheck", "--admin", f"127.0.0.1:{other.port}")
        assert run.returncode == 1, said(run)


def test_healthcheck_does_not_wait_for_long(fresh_gateway):
    def drips(peer):
        for _ in range(200):
            peer.send(b"H")
            time.sleep(0.1)
    with Backend(drips) as other:
        begin = time.monotonic()
        assert sluice("healthcheck", "--admin", f"127.0.0.1:{other.port}").returncode == 1
        assert time.monotonic() - begin < 6


def test_dump_says_what_is_in_force_and_no_secret(folder):
    (folder / "sluice.toml").write_text(EXAMPLE)
    run = sluice("check", "--config", folder / "sluice.toml", "--dump")
    assert run.returncode == 0, said(run)
    for part in ("max_message 16MiB", "drain_timeout 10s", "both 20s", "forwarded x-forwarded", "least_connections", "tcp://127.0.0.1:7001"):
        assert part in run.stdout, part + "\n" + run.stdout
    assert tokens.SECRET.decode("latin-1") not in run.stdout and "BEGIN" not in run.stdout


def test_address_in_use_is_3(folder):
    with Backend(echo) as taken:
        text = SMALL.replace("8080", str(taken.port)) + f'[admin]\nbind = "127.0.0.1:{free_port()}"\n'
        (folder / "sluice.toml").write_text(text)
        assert sluice("run", "--config", folder / "sluice.toml").returncode == 3


def test_admin_address_in_use_is_3(folder):
    with Backend(echo) as taken:
        text = SMALL.replace("8080", str(free_port())) + f'[admin]\nbind = "127.0.0.1:{taken.port}"\n'
        (folder / "sluice.toml").write_text(text)
        assert sluice("run", "--config", folder / "sluice.toml").returncode == 3


def test_too_many_connections_for_the_limit_of_files(folder):
    text = '[server]\nmax_connections = 1000000\n' + SMALL
    (folder / "sluice.toml").write_text(text)
    run = subprocess.run(["prlimit", "--nofile=4096:4096", BINARY, "check", "--config", folder / "sluice.toml"],
                         capture_output=True, text=True)
    assert run.returncode == 0 and "warning" in said(run)
    run = subprocess.run(["prlimit", "--nofile=4096:4096", BINARY, "run", "--config", folder / "sluice.toml"],
                         capture_output=True, text=True, timeout=20)
    assert run.returncode == 2 and "max_connections" in said(run) and "4096" in said(run), said(run)


def test_secret_files(folder):
    (folder / "hs256.secret").chmod(0o644)
    run = check(folder, EXAMPLE)
    assert run.returncode == 0 and "warning" in said(run)
    (folder / "hs256.secret").chmod(0o666)
    assert check(folder, EXAMPLE).returncode == 2


def test_query_token_on_a_plain_listener_warns(folder):
    run = check(folder, EXAMPLE)
    assert run.returncode == 0 and "warning" in said(run) and "query" in said(run)


def test_a_key_of_a_set_that_is_left_out_warns(folder, fresh_gateway):
    keys = json.loads((ROOT / "conf/examples/jwks.json").read_text())
    keys["keys"].append({"kty": "EC", "crv": "P-192", "kid": "old", "x": "AA", "y": "AA"})
    auth = """
[auth.users]
type = "jwt"
algorithms = ["ES256"]
jwks_file = "keys.json"
"""
    route = """
[[route]]
path = "/*"
auth = "users"
backend = "app"
[backend.app]
servers = ["ws://127.0.0.1:9000"]
"""
    gateway = fresh_gateway(BASE + auth + route, start=False)
    (gateway.folder / "keys.json").write_text(json.dumps(keys))
    run = subprocess.run([BINARY, "check", "--config", str(gateway.config_path)], capture_output=True, text=True, timeout=20)
    assert run.returncode == 0, said(run)
    assert "warning: auth 'users': key 2 left out" in said(run) and "ok, with warnings" in said(run)
    gateway.start()
    warned = lambda: [event for event in gateway.events() if event.get("event") == "config_warning"]
    told = wait_for(warned, 3, "the warning in the log")
    assert len(told) == 1 and "key 2 left out" in told[0]["message"], gateway.log_tail()


def test_leeway_has_a_bound(folder):
    assert check(folder, EXAMPLE.replace('audience = "chat"', 'audience = "chat"\nleeway = "300s"')).returncode == 0
    run = check(folder, EXAMPLE.replace('audience = "chat"', 'audience = "chat"\nleeway = "301s"'))
    assert run.returncode == 2 and re.search(r"sluice.toml:\d+:\d+: error: .*leeway", said(run)), said(run)


def test_key_that_does_not_match(folder, authority):
    authority.issue("other", ["localhost"], folder=folder)
    run = check(folder, EXAMPLE.replace("server.key", "other.key"))
    assert run.returncode == 2 and ("other.key" in said(run) or "server.crt" in said(run))


def test_variables(folder):
    import os
    text = SMALL.replace('"127.0.0.1:8080"', '"${WHERE}"')
    (folder / "sluice.toml").write_text(text)
    environment = dict(os.environ, WHERE="127.0.0.1:8080")
    assert sluice("check", "--config", folder / "sluice.toml", env=environment).returncode == 0
    run = sluice("check", "--config", folder / "sluice.toml")
    assert run.returncode == 2 and "WHERE" in said(run)
    (folder / "sluice.toml").write_text(SMALL.replace('"127.0.0.1:8080"', '"${WHERE:-127.0.0.1:8080}"'))
    assert sluice("check", "--config", folder / "sluice.toml").returncode == 0


def test_include(folder):
    (folder / "routes.d").mkdir()
    (folder / "routes.d" / "one.toml").write_text('[[route]]\npath = "/one"\nbackend = "app"\n')
    (folder / "sluice.toml").write_text('include = ["routes.d/*.toml"]\n' + SMALL)
    assert sluice("check", "--config", folder / "sluice.toml").returncode == 0
    (folder / "routes.d" / "one.toml").write_text('[[route]]\npath = "/one"\nbackend = "nope"\n')
    run = sluice("check", "--config", folder / "sluice.toml")
    assert run.returncode == 2 and "one.toml:3:" in said(run)


def test_odd_files(folder):
    for text in ("", "\0", "x" * 100_000, "[a" * 1000, 'a = ' + "[" * 5000):
        run = check(folder, text)
        assert run.returncode == 2, (text[:20], run.returncode)


def test_token(folder):
    """`sluice token` mints what any library can check, and the gateway accepts."""
    run = sluice("token", "--key", folder / "hs256.secret", "--iss", "https://id.example.com/", "--aud", "chat", "--sub",
                 "eve", "--ttl", "3600", "--claim", "level=7", "--claim", "team=blue")
    assert run.returncode == 0, said(run)
    token = run.stdout.strip()
    head, body, signature = token.split(".")
    decode = lambda part: base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    assert hmac.new(tokens.SECRET, f"{head}.{body}".encode(), hashlib.sha256).digest() == decode(signature)
    claims = json.loads(decode(body))
    assert claims["sub"] == "eve" and claims["aud"] == "chat" and claims["exp"] > time.time() + 3000
    assert claims["level"] == 7 and claims["team"] == "blue"
    assert json.loads(decode(head))["alg"] == "HS256"
    assert sluice("token", "--key", folder / "none").returncode == 2


def test_hash_key():
    """The key on one stream, what is kept of it on the other."""
    run = sluice("hash-key", "--name", "billing")
    assert run.returncode == 0, said(run)
    key = run.stderr.rstrip("\n")
    form = re.fullmatch(r"sk_([0-9a-f]{16})_([A-Za-z0-9_-]{43})", key)
    assert form and len(base64.urlsafe_b64decode(form[2] + "=")) == 32
    digest = hashlib.sha256(key.encode()).hexdigest()
    assert run.stdout == f'\n[[key]]\nname   = "billing"\nprefix = "{form[1]}"\nsha256 = "{digest}"\n'
    assert sluice("hash-key").stderr != run.stderr
    again = sluice("hash-key", "--name", "billing", "--stdin", input=key + "\n")
    assert (again.returncode, again.stdout, again.stderr) == (0, run.stdout, "")


def test_hash_key_of_another_kind():
    """A key that was made elsewhere keeps its form, unless it could be guessed from its digest."""
    foreign = "an-older-gateway-made-this-key-in-2019"
    run = sluice("hash-key", "--stdin", input=foreign)
    digest = hashlib.sha256(foreign.encode()).hexdigest()
    assert (run.returncode, run.stdout) == (0, f'\n[[key]]\nname   = "unnamed"\nsha256 = "{digest}"\n')
    for text in ("", "hunter2", "x" * 31, "two words " * 8, "x" * 40 + "\nsecond", "x" * 40 + "\n\n", "x" * 9000, "\u00e9" * 40):
        run = sluice("hash-key", "--stdin", input=text)
        assert run.returncode == 2 and run.stdout == "", (text[:20], said(run))
        assert text == "" or text[:12] not in run.stderr, "nothing of it is repeated"
    assert sluice("hash-key", "--name", 'a"b').returncode == 2


def test_documented_configuration_runs(folder, authority, fresh_gateway):
    """The configuration of the documentation, with ports of our own, does what it says."""
    from evil import Backend, label, tcp_echo
    with Backend(label("one")) as one, Backend(label("two")) as two, Backend(tcp_echo) as tcp:
        text = EXAMPLE
        for old, new in (("9901", "@admin@"), ("8443", "@tls@"), ("8080", "@plain@"), ("9001", str(one.port)),
                         ("9002", str(two.port)), ("7001", str(tcp.port))):
            text = text.replace(":" + old, ":" + new)
        gateway = fresh_gateway(text)
        token = tokens.mint()
        origin = ("Origin", "https://chat.example.com")
        with gateway.connect("/chat", [("Authorization", f"Bearer {token}"), origin], listener="tls") as client:
            client.send_text("hi")
            assert client.recv_text().endswith(":hi")
        with gateway.client("tls") as client:
            assert client.upgrade("/chat", [("Authorization", f"Bearer {token}"), ("Origin", "https://x")]).status == 403
        with gateway.connect("/legacy", [("Sec-WebSocket-Protocol", "binary")]) as client:
            client.send_binary(b"octets")
            assert client.recv_message() == (2, b"octets")
        with gateway.connect("/rpc/anything") as client:
            names = []
            for n in range(4):
                client.send_text("x")
                names.append(client.recv_text().partition(":")[0])
            assert sorted(names) == ["one", "one", "two", "two"]

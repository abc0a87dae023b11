"""Access rules: claims, scopes, addresses, origins and paths of whole requests, and what a message must be."""

import http.client
import http.server
import json
import threading

import pytest

import tokens
from evil import Backend, frame_echo
from gateway import AUTH, BASE, wait_for
from wire import BINARY, CLOSE, CONT, TEXT, frame

# Without a cookie, which would let in the route's own origin only.
USERS = AUTH.replace(', "cookie:session"', "")
RULES = {
    "equals": 'claim = "role"\nequals = "admin"',
    "nested": 'claim = "/realm_access/roles"\ncontains = "editor"',
    "any": 'claim = "role"\nany_of = ["admin", "owner", 7]',
    "all": 'claim = "groups"\nall_of = ["a", "b"]',
    "number": 'claim = "age"\nmin = 18\nmax = 65.5',
    "large": 'claim = "id"\nmin = 9007199254740993',
    "present": 'claim = "tenant"\npresent = true',
    "scopes": 'scopes = ["chat:read", "chat:write"]',
    "cidr": 'cidr = ["127.0.0.0/8"]',
    "elsewhere": 'cidr = ["10.0.0.0/8"]',
    "origin": 'origin = ["https://chat.example.com"]',
    "subprotocol": 'subprotocol = ["first"]',
}


def route(path, more="", auth="users"):
    return f'[[route]]\npath = "{path}"\nbackend = "echo"\nauth = "{auth}"\n{more}\n'


def rule(body):
    return f"[[route.access]]\n{body}\n"


@pytest.fixture(scope="module")
def echo(backends):
    return backends(Backend(frame_echo))


@pytest.fixture(scope="module")
def gateway(start_gateway, echo):
    messages = """
[[route.message_rule]]
pointer = "/room"
equals_claim = "room"
action = "{}"
[[route.message_rule]]
direction = "server"
max_size = "64B"
action = "drop"
"""
    return start_gateway(BASE + USERS + "".join(route(f"/{name}", rule(body)) for name, body in RULES.items())
                         + route("/both", rule(RULES["equals"]) + rule(RULES["scopes"]))
                         + route("/told", 'reject = "close"\n' + rule(RULES["equals"]))
                         + route("/rooms/{claim:room}") + route("/rooms/{claim:room}/files/*") + route("/rooms/lobby")
                         + route("/rooms/*", rule('claim = "role"\nequals = "admin"'))
                         + route("/drop", messages.format("drop")) + route("/close", messages.format("close")) + f"""
[backend.echo]
servers = ["ws://127.0.0.1:{echo.port}"]
""")


def fields(claims, more=()):
    return [("Authorization", "Bearer " + tokens.mint(tokens.claims(**claims))), *more]


def status(gateway, path, claims, more=()):
    with gateway.client() as client:
        return client.upgrade(path, fields(claims, more)).status


@pytest.mark.parametrize("path, claims, expected", [
    ("/equals", {"role": "admin"}, 101),
    ("/equals", {"role": "Admin"}, 403),
    ("/equals", {"role": ["admin"]}, 403),
    ("/equals", {"role": None}, 403),
    ("/nested", {"realm_access": {"roles": ["viewer", "editor"]}}, 101),
    ("/nested", {"realm_access": {"roles": "editor"}}, 403),
    ("/nested", {"realm_access": ["editor"]}, 403),
    ("/any", {"role": "owner"}, 101),
    ("/any", {"role": 7}, 101),
    ("/any", {"role": "7"}, 403),
    ("/any", {"role": ["x", "admin"]}, 101),
    ("/all", {"groups": ["b", "c", "a"]}, 101),
    ("/all", {"groups": ["a"]}, 403),
    ("/number", {"age": 18}, 101),
    ("/number", {"age": 65.5}, 101),
    ("/number", {"age": 65.51}, 403),
    ("/number", {"age": "18"}, 403),
    ("/large", {"id": 9007199254740993}, 101),
    ("/large", {"id": 9007199254740992}, 403),
    ("/present", {"tenant": False}, 101),
    ("/present", {}, 403),
    ("/scopes", {"scope": "chat:write chat:read"}, 101),
    ("/scopes", {"scp": ["chat:read", "chat:write"]}, 101),
    ("/scopes", {"scope": "chat:read"}, 403),
    ("/cidr", {}, 101),
    ("/elsewhere", {}, 403),
    ("/both", {"role": "admin", "scope": "chat:read chat:write"}, 101),
    ("/both", {"role": "admin"}, 403),
])
def test_rules(gateway, path, claims, expected):
    assert status(gateway, path, claims) == expected


def test_what_a_request_says_of_itself(gateway):
    assert status(gateway, "/origin", {}, [("Origin", "https://chat.example.com")]) == 101
    assert status(gateway, "/origin", {}, [("Origin", "https://evil.example.com")]) == 403
    assert status(gateway, "/origin", {}) == 403
    assert status(gateway, "/subprotocol", {}, [("Sec-WebSocket-Protocol", "first")]) == 101
    assert status(gateway, "/subprotocol", {}, [("Sec-WebSocket-Protocol", "first, other")]) == 403
    assert status(gateway, "/subprotocol", {}) == 403


@pytest.mark.parametrize("path, room, expected", [
    ("/rooms/blue", "blue", 101),
    ("/rooms/blue", ["red", "blue"], 101),
    ("/rooms/blue", "red", 403),
    ("/rooms/Blue", "blue", 403),
    ("/rooms/bl%75e", "blue", 101),
    ("/rooms/a%20b", "a b", 101),
    ("/rooms/red/../blue", "red", 403),
    ("/rooms/7", 7, 101),
    ("/rooms/lobby", None, 101),
    ("/rooms/blue/files/x/y", "blue", 101),
    ("/rooms/blue/files/x", "red", 403),
    ("/rooms/blue/other", "blue", 403),  # a route of its own, for administrators
])
def test_paths(gateway, path, room, expected):
    assert status(gateway, path, {"room": room}) == expected


def test_a_refusal_says_which_kind_of_rule_and_never_the_value(gateway):
    before = gateway.metric("sluice_access_denied_total", route="/equals", rule="claim")
    rejects = gateway.metric("sluice_rejects_total", reason="access_denied")
    assert status(gateway, "/equals", {"role": "canary-role"}) == 403
    assert gateway.metric("sluice_access_denied_total", route="/equals", rule="claim") == before + 1
    assert gateway.metric("sluice_rejects_total", reason="access_denied") == rejects + 1
    line = gateway.wait_access(path="/equals", status=403)
    assert line["reason"] == "access_denied" and "claim" in line["error"]
    assert "canary" not in gateway.log_text() and "canary" not in (gateway.folder / "access.log").read_text()


def test_a_browser_is_told_by_a_close(gateway):
    with gateway.connect("/told", fields({"role": "user"})) as client:
        opcode, payload = client.recv_message()
        assert opcode == CLOSE and int.from_bytes(payload[:2], "big") == 4403


GOOD, BAD = json.dumps({"room": "blue"}), json.dumps({"room": "red", "pad": "canary-message"})


def test_messages_that_are_denied_are_dropped(gateway, listener):
    before = gateway.metric("sluice_denied_messages_total", route="/drop", direction="in", action="drop")
    with gateway.connect("/drop", fields({"room": "blue"}), listener=listener) as client:
        client.send_text(BAD)
        client.send(frame(BINARY, GOOD.encode()))
        client.send_text("no json")
        client.send(frame(TEXT, BAD[:9].encode(), fin=False))
        client.send(frame(CONT, BAD[9:].encode()))
        client.send_text(json.dumps({"room": "blue", "pad": "x" * 100}))  # too large on its way back
        client.send_text(GOOD)
        assert client.recv_text() == GOOD
    wait_for(lambda: gateway.metric("sluice_denied_messages_total", route="/drop", direction="in", action="drop") == before + 4,
             5, "the count")
    assert gateway.metric("sluice_denied_messages_total", route="/drop", direction="out", action="drop") >= 1


def test_messages_that_are_denied_close(gateway, listener):
    with gateway.connect("/close", fields({"room": ["blue", "green"]}), listener=listener) as client:
        client.send_text(GOOD)
        assert client.recv_text() == GOOD
        client.send_text(BAD)
        opcode, payload = client.recv_message()
        assert opcode == CLOSE and int.from_bytes(payload[:2], "big") == 1008
    line = gateway.wait_access(event="ws_close", path="/close", reason="message_denied")
    assert line["close_code"] == 1008


def test_rules_hold_for_plain_requests(fresh_gateway):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    gateway = fresh_gateway(BASE + USERS + route("/rooms/{claim:room}/*").replace('"echo"', '"pages"') + f"""
[backend.pages]
servers = ["http://127.0.0.1:{server.server_port}"]
""")
    try:
        for room, expected in (("blue", 404), ("red", 403)):
            connection = http.client.HTTPConnection("127.0.0.1", gateway.port("plain"), timeout=5)
            connection.request("GET", "/rooms/blue/nothing-there", headers=dict(fields({"room": room})))
            assert connection.getresponse().status == expected
            connection.close()
    finally:
        server.shutdown()
        server.server_close()

"""Stickiness by cookie: over restarts, reloads and several gateways, and what the cookie says to browsers."""

import pytest

from evil import Backend, head_teller, label
from gateway import BASE
from test_balance import ask, urls, which

SECRET = "0123456789abcdef0123456789abcdef\n"


def config(backends, sticky="{}", balance='"round_robin"'):
    return BASE + f"""
[[route]]
path = "/*"
backend = "app"
[backend.app]
servers = {urls(*backends)}
balance = {balance}
sticky = {sticky}
"""


@pytest.fixture(scope="module")
def labelled(backends):
    return [backends(Backend(label(name), name=name)) for name in "abc"]


def joined(client):
    """Whom a client is joined to, and the whole field that it was answered, if any."""
    return which(client), client.response.get("Set-Cookie")


def first(gateway, listener="plain"):
    """A new client's."""
    with gateway.connect("/x", listener=listener) as client:
        return joined(client)


def pair(field):
    return field.partition(";")[0]


def back(gateway, cookie, listener="plain"):
    """That of a client with a cookie."""
    with gateway.connect("/x", [("Cookie", cookie)], listener=listener) as client:
        return joined(client)


def test_a_client_comes_back_to_its_server(fresh_gateway, labelled, listener):
    gateway = fresh_gateway(config(labelled), workers=2)
    for _ in range(4):
        name, field = first(gateway, listener)
        assert [back(gateway, pair(field), listener) for _ in range(5)] == [(name, None)] * 5
    assert {ask(gateway, listener=listener) for _ in range(20)} == set("abc"), "who has no cookie is spread"


def test_attributes_follow_the_listener(fresh_gateway, labelled):
    gateway = fresh_gateway(config(labelled))
    name, _, attributes = first(gateway)[1].partition("; ")
    assert name.startswith("sluice=") and attributes == "Path=/; Max-Age=28800; HttpOnly; SameSite=Lax"
    assert first(gateway, "tls")[1].partition("; ")[2] == "Path=/; Max-Age=28800; Secure; HttpOnly; SameSite=Lax"


def test_the_backend_does_not_see_it(fresh_gateway, listener):
    import json
    with Backend(head_teller) as backend:
        gateway = fresh_gateway(config([backend]))
        with gateway.connect("/x", listener=listener) as client:
            cookie = pair(client.response.get("Set-Cookie"))
        with gateway.connect("/x", [("Cookie", f"a=b; {cookie}; c=d")], listener=listener) as client:
            fields = json.loads(client.recv_text())
        assert [value for name, value in fields if name == "Cookie"] == ["a=b; c=d"]


def test_a_reload_keeps_it_and_a_restart_does_not(fresh_gateway, labelled, listener):
    gateway = fresh_gateway(config(labelled))
    with gateway.connect("/x", listener=listener) as live:
        name, field = joined(live)
        gateway.write_config(config(list(reversed(labelled)), '{ ttl = "7h" }'))
        gateway.reload()
        assert back(gateway, pair(field), listener)[0] == name
        assert which(live) == name
        assert "; Max-Age=25200; " in first(gateway, listener)[1], "new ones are set as the new configuration says"
    gateway.write_config(config(labelled, '{ cookie = "other" }'))
    gateway.reload()
    assert first(gateway, listener)[1].startswith("other=")
    assert back(gateway, pair(field), listener)[1].startswith("other=")
    gateway.write_config(config(labelled))
    gateway.reload()
    assert back(gateway, pair(field), listener) == (name, None), "the key is as old as the process"
    gateway.stop()
    gateway.start()
    assert back(gateway, pair(field), listener)[1] is not None, "signed by another key: a new one is set"


def test_a_secret_makes_it_good_everywhere(fresh_gateway, labelled, tmp_path):
    secret = tmp_path / "sticky.secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    text = config(labelled, f'{{ secret_file = "{secret}" }}')
    one, two = fresh_gateway(text), fresh_gateway(text)
    name, field = first(one)
    assert [back(two, pair(field)) for _ in range(4)] == [(name, None)] * 4
    one.stop()
    one.start()
    assert [back(one, pair(field)) for _ in range(4)] == [(name, None)] * 4


def test_a_server_that_goes_hands_its_clients_on(fresh_gateway, labelled, listener):
    gateway = fresh_gateway(config(labelled))
    cookies = {}
    while len(cookies) < 3:
        name, field = first(gateway, listener)
        cookies[name] = pair(field)
    with gateway.connect("/x", [("Cookie", cookies["c"])], listener=listener) as live:
        gateway.write_config(config(labelled[:2]))
        gateway.reload()
        name, field = back(gateway, cookies["c"], listener)
        assert name in "ab" and field
        assert [back(gateway, pair(field), listener) for _ in range(4)] == [(name, None)] * 4
        assert [back(gateway, cookies[one], listener) for one in "ab"] == [("a", None), ("b", None)]
        assert which(live) == "c", "who is there stays"


def test_a_drained_server_takes_its_own_clients_back(fresh_gateway, labelled, listener):
    def with_state(state):
        drained, *rest = labelled
        entries = [f'{{ url = "ws://127.0.0.1:{drained.port}", state = "{state}" }}']
        entries += [f'"ws://127.0.0.1:{one.port}"' for one in rest]
        return config(labelled).replace(urls(*labelled), "[" + ", ".join(entries) + "]")

    gateway = fresh_gateway(with_state("ready"))
    cookie = None
    while cookie is None:
        name, field = first(gateway, listener)
        cookie = pair(field) if name == "a" else None
    gateway.write_config(with_state("drain"))
    gateway.reload()
    assert {ask(gateway, listener=listener) for _ in range(8)} == {"b", "c"}
    assert [back(gateway, cookie, listener) for _ in range(3)] == [("a", None)] * 3
    gateway.write_config(with_state("down"))
    gateway.reload()
    name, field = back(gateway, cookie, listener)
    assert name in "bc" and field


def test_a_server_that_dies_hands_its_clients_on(fresh_gateway, labelled, listener):
    dying = Backend(label("d"))
    gateway = fresh_gateway(config([labelled[0], dying]))
    cookie = None
    while cookie is None:
        name, field = first(gateway, listener)
        cookie = pair(field) if name == "d" else None
    dying.stop()
    name, field = back(gateway, cookie, listener)
    assert name == "a" and field
    assert back(gateway, pair(field), listener) == ("a", None)


@pytest.mark.parametrize("bad", ["sluice=", "sluice=x", "sluice=" + "A" * 80, 'sluice="quoted"'])
def test_a_forged_one_is_replaced(fresh_gateway, labelled, bad):
    gateway = fresh_gateway(config(labelled))
    name, field = back(gateway, bad)
    assert back(gateway, pair(field)) == (name, None)


def test_one_of_another_backend_counts_as_none(fresh_gateway, labelled):
    both = config(labelled) + f"""
[[route]]
path = "/other"
backend = "other"
[backend.other]
servers = {urls(*labelled)}
sticky = {{}}
"""
    gateway = fresh_gateway(both)
    _, field = first(gateway)
    with gateway.connect("/other", [("Cookie", pair(field))]) as client:
        assert client.response.get("Set-Cookie")

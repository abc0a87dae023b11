"""Client certificates as identity: who the holder is taken for, beside other credentials, what revokes and ends it."""

import json
import socket
import ssl

import pytest

import tokens
from certs import Authority, fingerprint
from evil import Backend, head_teller
from gateway import AUTH, BASE, wait_for
from rawws import check_101
from wire import CLOSE, TEXT


@pytest.fixture(scope="module")
def clients(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("clients"), "Client CA")


@pytest.fixture(scope="module")
def teller(backends):
    return backends(Backend(head_teller, name="teller"))


def listener(name, client_ca, auth="optional", more=""):
    return f"""
[[listener]]
name = "{name}"
bind = "127.0.0.1:@{name}@"
[listener.tls]
cert = "server.crt"
key = "server.key"
client_auth = "{auth}"
client_ca = "{client_ca}"
{more}
"""


def route(path, auth, more=""):
    return f"""
[[route]]
path = "{path}"
auth = {json.dumps(auth)}
backend = "teller"
listener = ["mutual"]
{more}
"""


def config(clients, teller, more="", listeners=None):
    kinds = ("cn", "dn", "san_dns", "san_uri", "san_email", "spiffe")
    auths = "".join(f"""
[auth.{kind}]
type = "client_cert"
subject = "{kind}"
forward = {{ sub = "X-Who" }}
{'trust_domains = ["example.org"]' if kind == "spiffe" else ""}
""" for kind in kinds)
    routes = "".join(route(f"/{kind}", [kind]) for kind in kinds)
    routes += route("/any", ["cn", "users"]) + route("/rooms/{claim:cn}", ["cn"])
    routes += route("/one", ["cn"], 'reject = "close"') + '[[route.access]]\nclaim = "san_dns"\ncontains = "meter.example"\n'
    backend = f'[backend.teller]\nservers = ["ws://127.0.0.1:{teller.port}"]\n'
    return BASE + (listeners or listener("mutual", clients.path)) + AUTH + auths + routes + more + backend


@pytest.fixture(scope="module")
def gateway(start_gateway, clients, teller):
    return start_gateway(config(clients, teller))


@pytest.fixture(scope="module")
def meter(clients):
    names = ["meter.example", "spiffe://example.org/meter", "mail:meter@example.org"]
    return clients.issue("meter", names, client=True, common_names=["meter"])


def connect(gateway, path, certificate, fields=(), name="mutual"):
    return gateway.connect(path, fields, listener=name, tls=gateway.tls(certificate=certificate))


def who(client):
    opcode, payload = client.recv_message()
    assert opcode == TEXT
    return dict(json.loads(payload)[1:]).get("X-Who")


def status(gateway, path, certificate, fields=(), name="mutual"):
    with gateway.client(name, tls=gateway.tls(certificate=certificate)) as client:
        return client.upgrade(path, fields).status


def shut_out(gateway, path, certificate, name="mutual"):
    """TLS 1.3 tells a client that it is refused only after the client has finished."""
    try:
        with gateway.client(name, tls=gateway.tls(certificate=certificate)) as client:
            return client.upgrade(path) is None
    except (OSError, EOFError):
        return True


@pytest.mark.parametrize("kind, expected", [
    ("cn", "meter"), ("dn", "CN=meter"), ("san_dns", "meter.example"), ("san_uri", "spiffe://example.org/meter"),
    ("san_email", "meter@example.org"), ("spiffe", "spiffe://example.org/meter")])
def test_the_holder_is_one_of_its_names(gateway, meter, kind, expected):
    with connect(gateway, f"/{kind}", meter, [("X-Who", "admin")]) as client:
        assert who(client) == expected
        found = gateway.admin_json(f"/api/v1/connections?route=/{kind}")["connections"]
        assert [(one["auth_method"], one["subject"]) for one in found if one.get("subject") == expected] == [("client_cert", expected)]
    line = gateway.wait_access(event="ws_close", path=f"/{kind}")
    assert line["subject"] == expected


def test_without_a_certificate_nobody_is_let_in(gateway):
    before = gateway.metric("sluice_auth_total", method="client_cert", reason="no_token")
    assert status(gateway, "/cn", None) == 401
    assert gateway.metric("sluice_auth_total", method="client_cert", reason="no_token") == before + 1


def test_the_first_of_the_routes_auths_that_finds_something_decides(gateway, meter):
    bearer = [("Authorization", "Bearer " + tokens.mint())]
    with connect(gateway, "/any", meter, bearer) as client:
        assert who(client) == "meter"
    with connect(gateway, "/any", None, bearer) as client:
        opcode, payload = client.recv_message()
        assert dict(json.loads(payload)[1:])["X-User-Id"] == "alice"
    assert status(gateway, "/any", None) == 401
    assert status(gateway, "/any", None, [("Authorization", "Bearer x.y.z")]) == 401


BAD = {
    "two common names": dict(common_names=["meter", "admin"]),
    "no common name": dict(common_names=[]),
    "a NUL in the common name": dict(common_names=["meter\0.example"]),
    "a line break in the common name": dict(common_names=["meter\r\nX-Admin: 1"]),
    "a NUL in an alternative name": dict(common_names=["meter"], names=["meter.example\0.evil"]),
}


@pytest.mark.parametrize("what", BAD)
def test_a_name_that_is_no_name_is_refused(gateway, clients, what):
    how = {"names": ["meter.example"], **BAD[what]}
    certificate = clients.issue(what.replace(" ", "-"), how.pop("names"), client=True, **how)
    assert status(gateway, "/cn", certificate) == 401
    assert gateway.wait_access(status=401, reason="bad_certificate")


@pytest.mark.parametrize("uris", [
    ["spiffe://other.org/meter"], ["https://example.org/meter"], ["spiffe://example.org/a", "spiffe://example.org/b"],
    ["spiffe://example.org/a?b"], ["spiffe://Example.org/a"], ["spiffe://example.org/a/../b"], ["meter.example"]])
def test_what_is_no_spiffe_id_of_the_trust_domain_is_refused(gateway, clients, uris):
    certificate = clients.issue("workload", uris, client=True, common_names=["workload"])
    assert status(gateway, "/spiffe", certificate) == 401
    with connect(gateway, "/cn", certificate) as client:
        assert who(client) == "workload"


def test_its_claims_bind_paths_and_rules(gateway, clients, meter):
    other = clients.issue("other", ["other.example"], client=True, common_names=["other"])
    with connect(gateway, "/rooms/meter", meter) as client:
        assert who(client) == "meter"
    assert status(gateway, "/rooms/meter", other) == 403
    with connect(gateway, "/one", meter) as client:
        assert who(client) == "meter"
    with connect(gateway, "/one", other) as client:
        opcode, payload = client.recv_message()
        assert opcode == CLOSE and int.from_bytes(payload[:2], "big") == 4403


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_resumed_session_is_still_who_it_was(gateway, meter, version):
    tls = gateway.tls(certificate=meter, minimum=version, maximum=version)
    with gateway.connect("/cn", listener="mutual", tls=tls) as first:
        assert who(first) == "meter"
        session = first.sock.session
    client = resumed(gateway, tls, session, "mutual")
    assert client.sock.session_reused
    with client:
        check_101(client.upgrade("/cn"))
        assert who(client) == "meter"


def resumed(gateway, tls, session, name):
    client = gateway.client(name, tls=tls)
    client.sock.close()
    client.sock = tls.wrap_socket(socket.create_connection(("127.0.0.1", gateway.port(name)), 5),
                                  server_hostname="localhost", session=session)
    client.sock.settimeout(5)
    return client


def test_a_session_without_a_certificate_leads_to_no_listener_that_wants_one(fresh_gateway, clients, teller):
    listeners = listener("mutual", clients.path) + listener("strict", clients.path, "required")
    gateway = fresh_gateway(config(clients, teller, route("/all", ["cn"]).replace('"mutual"', '"strict"'), listeners))
    tls = gateway.tls(maximum=ssl.TLSVersion.TLSv1_2)
    with gateway.client("tls", tls=tls) as client:
        client.upgrade("/nowhere")
        session = client.sock.session
    for name in ("strict", "mutual"):
        try:
            other = resumed(gateway, tls, session, name)
        except ssl.SSLError:
            assert name == "strict"
            continue
        with other:
            assert not other.sock.session_reused and other.upgrade("/cn").status == 401


def test_the_end_of_the_certificate_is_the_end_of_the_connection(gateway, clients):
    certificate = clients.issue("short", ["short.example"], client=True, seconds=3, common_names=["short"])
    with connect(gateway, "/cn", certificate) as client:
        assert who(client) == "short"
        opcode, payload = client.recv_message()
        assert opcode == CLOSE and int.from_bytes(payload[:2], "big") == 4401
    assert shut_out(gateway, "/cn", certificate)


def test_a_kick_finds_it_by_its_fingerprint(gateway, clients):
    certificate = clients.issue("kicked", ["kicked.example"], client=True, common_names=["kicked"])
    with connect(gateway, "/cn", certificate) as client:
        assert who(client) == "kicked"
        found = gateway.admin_json(f"/api/v1/connections?claim=fingerprint_sha256:{fingerprint(certificate[0])}")["connections"]
        assert [one["subject"] for one in found] == ["kicked"]


# ---- revoked certificates


@pytest.fixture
def revoking(fresh_gateway, tmp_path, teller):
    authority = Authority(tmp_path / "authority", "Revoking CA")
    crl = authority.revoke()
    gateway = fresh_gateway(config(authority, teller, listeners=listener("mutual", authority.path, more=f'crl_file = "{crl}"')))
    return gateway, authority


def test_a_list_of_revoked_certificates_is_read_again_when_it_changes(revoking):
    gateway, authority = revoking
    one = authority.issue("one", ["one.example"], client=True, common_names=["one"])
    two = authority.issue("two", ["two.example"], client=True, common_names=["two"])
    tls = gateway.tls(certificate=one, maximum=ssl.TLSVersion.TLSv1_2)
    with gateway.connect("/cn", listener="mutual", tls=tls) as client:
        assert who(client) == "one"
        session = client.sock.session
    before = gateway.reloads()
    authority.revoke(one[0])
    wait_for(lambda: gateway.reloads() > before, 10, "the list is read")
    assert shut_out(gateway, "/cn", one)
    with connect(gateway, "/cn", two) as client:
        assert who(client) == "two"
    with pytest.raises((OSError, EOFError)):  # nor by what it had from before
        with resumed(gateway, tls, session, "mutual") as client:
            assert not client.sock.session_reused
            assert client.upgrade("/cn") is not None
    assert status(gateway, "/cn", None) == 401  # who shows none is asked for none


def test_with_a_list_that_has_expired_nobody_gets_in_and_the_log_says_so(revoking):
    gateway, authority = revoking
    one = authority.issue("one", ["one.example"], client=True, common_names=["one"])
    before = gateway.reloads()
    authority.revoke(hours=-1)
    wait_for(lambda: gateway.reloads() > before, 10, "the list is read")
    assert shut_out(gateway, "/cn", one)
    found = wait_for(lambda: [e for e in gateway.events() if e.get("event") == "crl_unusable"], 5, "crl_unusable in the log")
    assert found[0]["listener"] == "mutual" and "expired" in found[0]["error"]


def test_a_list_that_cannot_be_read_does_not_take_the_place_of_one_that_can(revoking):
    gateway, authority = revoking
    one = authority.issue("one", ["one.example"], client=True, common_names=["one"])
    before = gateway.reloads()
    (authority.folder / "clients.crl").write_text("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")
    wait_for(lambda: gateway.reloads() > before, 10, "the reload")
    wait_for(lambda: "crl_file" in gateway.log_text(), 5, "the fault in the log")
    with connect(gateway, "/cn", one) as client:
        assert who(client) == "one"

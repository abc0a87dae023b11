"""Client certificates: who is let in, what the backend and the log are told of them, and that nobody can pretend."""

import json
import socket
import ssl

import pytest

from certs import Authority
from evil import Backend, head_teller
from gateway import BASE
from rawws import check_101
from wire import TEXT

SUBJECT = "X-Client-Cert-Subject"
SAN = "X-Client-Cert-San"
SPOOFED = [(SUBJECT, "CN=admin"), (SAN, "admin.example"), ("x-client-cert-subject", "CN=admin"), ("X_Client_Cert_Subject", "CN=admin"),
           ("X.Client.Cert.San", "admin.example"), ("X-Client-Cert", "admin"), ("X-Client-Cert-Verify", "SUCCESS")]


@pytest.fixture(scope="module")
def clients(tmp_path_factory):
    """Signs certificates of clients: not the authority of the servers."""
    return Authority(tmp_path_factory.mktemp("clients"), "Client CA")


@pytest.fixture(scope="module")
def gateway(start_gateway, backends, clients):
    backend = backends(Backend(head_teller, name="teller"))
    listeners = "".join(f"""
[[listener]]
name = "{name}"
bind = "127.0.0.1:@{name}@"
[listener.tls]
cert = "server.crt"
key = "server.key"
client_auth = "{name}"
client_ca = "{clients.path}"
""" for name in ("required", "optional"))
    return start_gateway(BASE + listeners + f"""
[[route]]
path = "/*"
backend = "teller"
[backend.teller]
servers = ["ws://127.0.0.1:{backend.port}"]
""")


def told(client):
    opcode, payload = client.recv_message()
    assert opcode == TEXT
    return [(name, value) for name, value in json.loads(payload)[1:]]


def of_certificate(fields):
    return {name: value for name, value in fields if name.lower().replace("_", "-").replace(".", "-").startswith("x-client-cert")}


def opened(gateway, client):
    return gateway.wait_access(event="ws_open", client_port=client.port)


def connect(gateway, listener, certificate=None, fields=()):
    return gateway.connect("/ws", fields, listener=listener, tls=gateway.tls(certificate=certificate))


@pytest.mark.parametrize("listener", ["required", "optional"])
@pytest.mark.parametrize("minimum", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_backend_and_log_are_told_who_it_is(gateway, clients, listener, minimum):
    certificate = clients.issue("meter", ["meter-7.example"], client=True)
    tls = gateway.tls(certificate=certificate, minimum=minimum, maximum=minimum)
    with gateway.connect("/ws", SPOOFED, listener=listener, tls=tls) as client:
        assert of_certificate(told(client)) == {SUBJECT: "CN=meter-7.example", SAN: "meter-7.example"}
        client.port = client.sock.getsockname()[1]
    line = opened(gateway, client)
    assert line["tls_client_subject"] == "CN=meter-7.example" and line["tls_client_san"] == "meter-7.example"
    assert line["tls_ms"] >= 0


def test_a_uri_names_before_a_dns_name(gateway, clients):
    certificate = clients.issue("workload", ["workload.example", "spiffe://example.org/ns/web"], client=True)
    with connect(gateway, "required", certificate) as client:
        assert of_certificate(told(client))[SAN] == "spiffe://example.org/ns/web"


def test_a_resumed_session_is_still_who_it_was(gateway, clients):
    certificate = clients.issue("again", ["again.example"], client=True)
    tls = gateway.tls(certificate=certificate, maximum=ssl.TLSVersion.TLSv1_2)
    with gateway.connect("/ws", listener="required", tls=tls) as first:
        told(first)
        session = first.sock.session
    sock = tls.wrap_socket(socket.create_connection(("127.0.0.1", gateway.port("required")), 5),
                           server_hostname="localhost", session=session)
    assert sock.session_reused
    client = gateway.client("required", tls=tls)
    client.sock.close()
    client.sock = sock
    sock.settimeout(5)
    with client:
        check_101(client.upgrade("/ws"))
        assert of_certificate(told(client)) == {SUBJECT: "CN=again.example", SAN: "again.example"}


@pytest.mark.parametrize("listener", ["optional", "tls", "plain"])
def test_nobody_can_pretend(gateway, listener):
    tls = None if listener == "plain" else gateway.tls()
    with gateway.connect("/ws", SPOOFED, listener=listener, tls=tls) as client:
        assert of_certificate(told(client)) == {}
        client.port = client.sock.getsockname()[1]
    line = opened(gateway, client)
    assert "tls_client_subject" not in line and "tls_client_san" not in line


def test_a_certificate_that_is_not_asked_for_says_nothing(gateway, clients):
    certificate = clients.issue("eager", ["eager.example"], client=True)
    with connect(gateway, "tls", certificate, SPOOFED) as client:
        assert of_certificate(told(client)) == {}


def refused(gateway, listener, certificate):
    """TLS 1.3 tells a client that it is refused only after the client has finished."""
    try:
        with gateway.client(listener, tls=gateway.tls(certificate=certificate)) as client:
            head = client.upgrade("/ws")
            return head is None
    except (OSError, EOFError):
        return True


def test_required_refuses_who_shows_none(gateway):
    before = gateway.metric("sluice_rejects_total", reason="tls_failed")
    assert refused(gateway, "required", None)
    assert gateway.metric("sluice_rejects_total", reason="tls_failed") == before + 1


@pytest.mark.parametrize("listener", ["required", "optional"])
def test_a_certificate_of_another_authority_is_refused(gateway, authority, listener):
    assert refused(gateway, listener, authority.issue("stranger", ["stranger.example"], client=True))


@pytest.mark.parametrize("listener", ["required", "optional"])
def test_an_expired_certificate_is_refused(gateway, clients, listener):
    assert refused(gateway, listener, clients.issue("old", ["old.example"], client=True, days=0))


def test_host_must_be_the_name_of_the_handshake(gateway, clients):
    certificate = clients.issue("other", ["other.example"], client=True)
    with gateway.client("required", tls=gateway.tls(certificate=certificate)) as client:
        assert client.upgrade("/ws", host="gw.test").status == 421

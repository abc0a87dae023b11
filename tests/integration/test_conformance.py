"""The framing rules of RFC 6455 §5-7, each class a test: through the gateway to an echo backend, and to the demo's echo."""

import pytest

import conformance
from demo import Demo
from evil import Backend, echo
from gateway import BASE
from servers import websockets_server

GROUPS = ["framing", "ping", "rsv", "opcode", "fragment", "utf8", "close", "large", "cut"]


def check(cases, connect):
    assert cases
    faults = conformance.run_all(cases, connect)
    assert not faults, f"{len(faults)} of {len(cases)} cases failed:\n" + "\n".join(faults[:60])


@pytest.fixture(scope="module")
def gateway(start_gateway, backends):
    backend = backends(Backend(echo))
    return start_gateway(BASE + f"""
[[route]]
path = "/echo"
backend = "echo"
[route.websocket]
max_message = "64MiB"
max_fragments = 0
validate_utf8 = true
[backend.echo]
servers = ["ws://127.0.0.1:{backend.port}"]
""")


@pytest.mark.parametrize("group", GROUPS)
def test_through_the_gateway_over_tls(gateway, group):
    connect = conformance.connector(f"wss://localhost:{gateway.port('tls')}/echo", str(gateway.authority.path))
    check(conformance.select_cases([group]), connect)


@pytest.mark.parametrize("group", GROUPS)
def test_through_the_gateway_over_tcp(gateway, group):
    check(conformance.select_cases([group]), conformance.connector(f"ws://localhost:{gateway.port('plain')}/echo"))


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    demo = Demo(tmp_path_factory.mktemp("demo"))
    yield demo
    demo.stop()


# The demo keeps the shipped limit of fragments: at most 1024 under 1 KiB in one message.
@pytest.mark.parametrize("group", GROUPS)
def test_of_the_demo_echo_over_tls(demo, group):
    connect = conformance.connector(demo.url("/echo"), str(demo.certificate))
    check(conformance.select_cases([group], small_fragments=1024), connect)


# What python3-websockets is known to do otherwise: it accepts lengths that are not minimal, and judges the text of a
# frame only when all of it has come.
ELSEWHERE = ("framing/length-", "utf8/fail-fast-inside-a-frame")


@pytest.fixture(scope="module")
def python_echo():
    """An echo server that nobody here wrote, to prove the table itself."""
    return websockets_server(compression=None)


@pytest.mark.parametrize("group", GROUPS)
def test_table_holds_for_python_websockets(python_echo, group):
    cases = [case for case in conformance.select_cases([group]) if not case.name.startswith(ELSEWHERE)]
    check(cases, conformance.connector(f"ws://localhost:{python_echo}/"))

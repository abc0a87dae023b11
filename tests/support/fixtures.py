"""Fixtures that the integration and the end-to-end tests share: one certificate authority a run, gateways, backends."""

from contextlib import contextmanager

import pytest

from certs import Authority
from gateway import Gateway


@contextmanager
def starting(authority, next_folder):
    """A function that starts gateways; all of them are stopped, and checked for a crash, at the end."""
    running = []

    def start(config, **how):
        running.append(Gateway(next_folder(len(running)), config, authority=authority, **how))
        return running[-1]

    yield start
    for gateway in running:
        gateway.stop()


@pytest.fixture(params=["plain", "tls"])
def listener(request):
    """A test that asks for it runs twice: its clients come by WS, then by WSS."""
    return request.param


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def start_gateway(tmp_path_factory, authority):
    """Starts gateways that live to the end of the module."""
    with starting(authority, lambda _: tmp_path_factory.mktemp("gateway")) as start:
        yield start


@pytest.fixture
def fresh_gateway(tmp_path, authority):
    """Starts gateways that live for one test."""
    with starting(authority, lambda index: tmp_path / f"gateway{index}") as start:
        yield start


@pytest.fixture(scope="module")
def backends():
    """Keeps backends until the end of the module."""
    kept = []

    def keep(backend):
        kept.append(backend)
        return backend

    yield keep
    for backend in kept:
        backend.stop()

"""Fixtures of the integration tests: one certificate authority a run, one gateway a module."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from certs import Authority  # noqa: E402
from gateway import Gateway  # noqa: E402


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def start_gateway(tmp_path_factory, authority):
    """Starts gateways that are stopped, and checked for a crash, at the end of the module."""
    running = []

    def start(config, **how):
        gateway = Gateway(tmp_path_factory.mktemp("gateway"), config, authority=authority, **how)
        running.append(gateway)
        return gateway

    yield start
    for gateway in running:
        gateway.stop()


@pytest.fixture
def fresh_gateway(tmp_path, authority):
    """Starts gateways that live for one test."""
    running = []

    def start(config, **how):
        gateway = Gateway(tmp_path / f"gateway{len(running)}", config, authority=authority, **how)
        running.append(gateway)
        return gateway

    yield start
    for gateway in running:
        gateway.stop()


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

"""What the linker and the compiler have put into a release binary."""

import re
import subprocess

import pytest

from gateway import BINARY


def readelf(*options):
    return subprocess.run(["readelf", "-W", *options, BINARY], capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.fixture(scope="module")
def symbols():
    return readelf("--dyn-syms")


def test_position_independent():
    assert re.search(r"Type: +DYN", readelf("--file-header"))
    assert re.search(r"Flags: .*\bPIE\b", readelf("--dynamic"))


def test_relocations_are_read_only():
    assert "GNU_RELRO" in readelf("--program-headers")
    assert "BIND_NOW" in readelf("--dynamic")


def test_no_memory_is_both_written_and_run():
    headers = readelf("--program-headers")
    stack = next(line for line in headers.splitlines() if "GNU_STACK" in line)
    assert " RW " in stack
    assert not re.search(r" RWE ", headers)
    # separate-code: what is run holds nothing else.
    assert re.search(r"LOAD .* R E ", headers) and re.search(r"LOAD .* R +0x", headers)


def test_stack_protector_and_fortified_calls(symbols):
    assert "__stack_chk_fail" in symbols
    assert re.search(r"__(memcpy|read|recv|snprintf|fprintf|printf|vsnprintf)_chk", symbols)


def test_assertions_of_the_library(symbols):
    assert "__glibcxx_assert_fail" in symbols


def test_indirect_branches_are_marked():
    """In our own code: Debian's start files are not, so the program as a whole has no property note."""
    if "X86-64" in readelf("--file-header"):
        code = subprocess.run(["objdump", "-d", "--disassemble=main", BINARY], capture_output=True, text=True, check=True,
                              timeout=60).stdout
        assert "endbr64" in code

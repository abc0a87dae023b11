"""Free TCP ports on loopback that no other test process takes at the same time.

A port below the kernel's ephemeral range is reserved by a lock file for the life of this process, so that tests may run
in parallel without racing between the choice of a port and its use.
"""

import fcntl
import os
import random
import socket
import tempfile

_FIRST, _LAST = 20000, 32000
_held = []


def free_port() -> int:
    folder = os.path.join(tempfile.gettempdir(), f"sluice-test-ports-{os.getuid()}")
    os.makedirs(folder, exist_ok=True)
    candidates = list(range(_FIRST, _LAST))
    random.shuffle(candidates)
    for port in candidates:
        lock = open(os.path.join(folder, str(port)), "w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
        except OSError:
            lock.close()
            continue
        _held.append(lock)
        return port
    raise RuntimeError("no free port")

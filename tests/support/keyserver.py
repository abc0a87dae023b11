"""A key server of an identity provider on 127.0.0.1, by HTTPS: the set of keys, the issuer's document, and whatever else a path is
told to answer. Counts who asks for what."""

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Dict, List, Optional, Tuple

from tokens import jwk


class KeyServer:
    def __init__(self, context: Optional[ssl.SSLContext] = None):
        self.requests: List[Tuple[str, Dict[str, str]]] = []
        self._answers: Dict[str, Tuple[int, Dict[str, str], bytes]] = {}
        self._lock = threading.Lock()
        self.hold = threading.Event()  # answers wait while it is not set
        self.hold.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer._serve(self)

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # who does not trust the certificate goes away

        self._server = Server(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        self.scheme = "https" if context else "http"
        if context:
            # The handshake belongs to the thread of its connection: one that hangs must not hold up the others.
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def __enter__(self) -> "KeyServer":
        return self

    def __exit__(self, *exc) -> None:
        self.stop()

    def stop(self) -> None:
        self.hold.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def origin(self) -> str:
        return f"{self.scheme}://localhost:{self.port}"

    def url(self, path: str = "/keys") -> str:
        return self.origin + path

    def answer(self, path: str, body, status: int = 200, **fields: str) -> None:
        octets = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        with self._lock:
            self._answers[path] = (status, {name.replace("_", "-"): value for name, value in fields.items()}, octets)

    def keys(self, algorithm: str = "ES256", path: str = "/keys", fields: Optional[Dict[str, str]] = None, **keys) -> None:
        """kid=private key, ...: the set of their public halves."""
        self.answer(path, {"keys": [jwk(key, algorithm, kid) for kid, key in keys.items()]}, **(fields or {}))

    def asked(self, path: str = "/keys") -> int:
        with self._lock:
            return sum(1 for one, _ in self.requests if one == path)

    def last(self, path: str = "/keys") -> Dict[str, str]:
        with self._lock:
            return [fields for one, fields in self.requests if one == path][-1]

    def _serve(self, handler) -> None:
        with self._lock:
            self.requests.append((handler.path, {name.lower(): value for name, value in handler.headers.items()}))
        self.hold.wait(30)
        with self._lock:
            status, fields, body = self._answers.get(handler.path, (404, {}, b"nothing here"))
        handler.send_response(status)
        for name, value in fields.items():
            handler.send_header(name, value)
        if status != 304:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if status != 304:
            handler.wfile.write(body)

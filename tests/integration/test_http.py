"""Plain HTTP/1.1 beside WebSockets: raw octets against scripted backends, real backends, real clients."""

import hashlib
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import threading

import pytest

from evil import Backend
from gateway import BASE, wait_for
from ports import free_port
from servers import serving

CURL = shutil.which("curl")
NODE = shutil.which("node")
NGINX = shutil.which("nginx") or "/usr/sbin/nginx"


def answer(body=b"ok", status="200 OK", fields=""):
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{fields}\r\n".encode() + body


class Recorder:
    """A backend that remembers each octet, and answers each request by `reply(head, body)` once it is whole."""

    def __init__(self, reply=lambda head, body: answer()):
        self.reply, self.connections, self.requests, self.lock = reply, [], [], threading.Lock()

    def __call__(self, peer):
        seen = bytearray()
        with self.lock:
            self.connections.append(seen)
        stream = peer.sock.makefile("rb")

        def line():
            got = stream.readline()
            seen.extend(got)
            return got

        def octets(size):
            got = stream.read(size)
            seen.extend(got)
            return got

        while True:
            head = line()
            if not head:
                return
            while not head.endswith(b"\r\n\r\n"):
                head += line() or b"\r\n\r\n"
            body = b""
            length = re.search(rb"\r\nContent-Length: (\d+)", head)
            if length:
                body = octets(int(length[1]))
            elif b"\r\nTransfer-Encoding: chunked\r\n" in head:
                while size := int(line() or b"0", 16):
                    body += octets(size)
                    octets(2)
                line()
            with self.lock:
                self.requests.append((head, body))
            peer.sock.sendall(self.reply(head, body))

    def octets(self):
        with self.lock:
            return b"".join(bytes(one) for one in self.connections)

    def clear(self):
        with self.lock:
            self.connections, self.requests = [], []


ROUTE = """
[[route]]
path = "/{name}/*"
backend = "{name}"
{extra}
[backend.{name}]
servers = [{servers}]
"""


def route(name, *ports, extra="", scheme="http"):
    servers = ", ".join(f'"{scheme}://127.0.0.1:{port}"' for port in ports)
    return ROUTE.format(name=name, servers=servers, extra=extra)


class Raw:
    """A socket to the gateway."""

    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port), 20)
        self.sock.settimeout(20)

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError:
            pass
        return self

    def read_all(self):
        data = b""
        try:
            while chunk := self.sock.recv(65536):
                data += chunk
        except ConnectionResetError:
            pass
        return data

    def read_until(self, end):
        data = b""
        while not data.endswith(end):
            chunk = self.sock.recv(65536)
            assert chunk, data
            data += chunk
        return data

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()


def ask(port, data):
    """All that comes back for these octets, to the end."""
    with Raw(port) as raw:
        return raw.send(data).read_all()


# ---- scripted backends ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recorder():
    return Recorder()


@pytest.fixture(scope="module")
def gateway(start_gateway, backends, recorder):
    echo = backends(Backend(recorder))
    poison = backends(Backend(Recorder(lambda head, body: answer(b"first") + (
        answer(b"poison") if b"/poison/now" in head else b""))))
    return start_gateway(BASE + route("app", echo.port, extra='http = { max_body = "64KiB" }') +
                         route("poison", poison.port) + route("gone", free_port()))


HEAD = "Host: gw.test\r\n"
SMUGGLED = b"GET /app/smuggled HTTP/1.1\r\nHost: gw.test\r\n\r\n"
VECTORS = [
    (f"POST /app/ HTTP/1.1\r\n{HEAD}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (f"POST /app/ HTTP/1.1\r\n{HEAD}Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", 400),
    (f"POST /app/ HTTP/1.1\r\n{HEAD}Content-Length: 4, 4\r\n\r\nabcd", 400),
    (f"POST /app/ HTTP/1.1\r\n{HEAD}Content-Length: +4\r\n\r\nabcd", 400),
    (f"POST /app/ HTTP/1.1\r\n{HEAD}Content-Length: 0x4\r\n\r\nabcd", 400),
    (f"POST /app/ HTTP/1.1\r\n{HEAD}Content-Length:\r\n\r\nabcd", 400),
    (f"POST /app/ HTTP/1.1\r\n{HEAD}Content-Length: 18446744073709551621\r\n\r\nabcd", 400),
    (f"POST /app/ HTTP/1.1\r\n{HEAD}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    (f"POST /app/ HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501),
    (f"POST /app/ HTTP/1.1\r\n{HEAD}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", 400),
    (f"POST /app/ HTTP/1.1\r\n{HEAD}Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n", 400),
    (f"POST /app/ HTTP/1.0\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (f"GET /app/ HTTP/1.1\r\n{HEAD} folded: 1\r\n\r\n", 400),
    (f"GET /app/ HTTP/1.1\r\n{HEAD}X: a\rb\r\n\r\n", 400),
    (f"GET /app/ HTTP/1.1\r\n{HEAD}X: a\0b\r\n\r\n", 400),
    ("GET /app/ HTTP/1.1\nHost: gw.test\n\n", 400),
    (f"GET /app/..%2fadmin HTTP/1.1\r\n{HEAD}\r\n", 400),
    (f"GET /app/\xe9 HTTP/1.1\r\n{HEAD}\r\n", 400),
    (f"TRACE /app/ HTTP/1.1\r\n{HEAD}\r\n", 405),
    (f"GET /app/ HTTP/3.0\r\n{HEAD}\r\n", 505),
]


@pytest.mark.parametrize("vector,status", VECTORS)
def test_doubtful_requests_reach_nobody(gateway, recorder, vector, status):
    recorder.clear()
    got = ask(gateway.port("plain"), vector.encode("latin-1") + SMUGGLED)
    assert got.startswith(f"HTTP/1.1 {status} ".encode()), got
    assert got.count(b"HTTP/1.1 ") == 1, got
    assert b"Connection: close" in got
    assert recorder.octets() == b""


@pytest.mark.parametrize("body", [b"5\nhello\r\n0\r\n\r\n", b"0x5\r\nhello\r\n0\r\n\r\n", b"5 ;x\r\nhello\r\n0\r\n\r\n",
                                  b"5\r\nhelloGET", b"5;a=\"\n\r\nhello\r\n0\r\n\r\n", b"-5\r\nhello\r\n0\r\n\r\n",
                                  b"FFFFFFFFFFFFFFFFF\r\nhello", b"0\r\n\nGET / HTTP/1.1\r\n\r\n"])
def test_doubtful_chunks_end_everything(gateway, recorder, body):
    recorder.clear()
    got = ask(gateway.port("plain"),
              f"POST /app/ HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode() + body + SMUGGLED)
    assert got.startswith(b"HTTP/1.1 400 ") and got.count(b"HTTP/1.1 ") == 1, got
    assert b"smuggled" not in recorder.octets() and recorder.requests == []


def test_one_request_is_one_request(gateway, recorder):
    """What looks like requests inside bodies is none, and the backend sees as many as were sent, in their order."""
    recorder.clear()
    chunked = b"%x;ext\r\n%s\r\n0\r\nX-Trailer: 1\r\n\r\n" % (len(SMUGGLED), SMUGGLED)
    got = ask(gateway.port("plain"), (
        f"POST /app/1 HTTP/1.1\r\n{HEAD}Content-Length: {len(SMUGGLED)}\r\n\r\n".encode() + SMUGGLED +
        f"POST /app/2 HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode() + chunked +
        f"GET /app/3 HTTP/1.1\r\n{HEAD}Content-Length: 0\r\nConnection: close\r\n\r\n".encode()))
    assert got.count(b"HTTP/1.1 200 OK") == 3 and got.count(b"HTTP/1.1 ") == 3, got
    assert [(head.split(b" ")[1], body) for head, body in recorder.requests] == [
        (b"/app/1", SMUGGLED), (b"/app/2", SMUGGLED), (b"/app/3", b"")]
    assert b"X-Trailer" not in recorder.octets() and b";ext" not in recorder.octets()


def test_pipelined_requests_are_answered_in_order(gateway, recorder):
    recorder.reply = lambda head, body: answer(head.split(b" ")[1])
    try:
        got = ask(gateway.port("plain"), b"".join(
            f"GET /app/{i} HTTP/1.1\r\n{HEAD}{'Connection: close' + chr(13) + chr(10) if i == 19 else ''}\r\n".encode()
            for i in range(20)))
        places = [got.index(b"\r\n\r\n/app/%d" % i) for i in range(20)]
        assert places == sorted(places) and got.count(b"HTTP/1.1 200 OK") == 20
    finally:
        recorder.reply = lambda head, body: answer()


def test_an_answer_too_many_is_nobodys(gateway):
    for _ in range(10):
        got = ask(gateway.port("plain"), f"GET /poison/now HTTP/1.1\r\n{HEAD}\r\nGET /poison/later HTTP/1.1\r\n{HEAD}"
                                         "Connection: close\r\n\r\n".encode())
        assert got.count(b"first") == 2 and b"poison" not in got, got


def test_limits_and_refusals(gateway):
    got = ask(gateway.port("plain"), f"POST /app/ HTTP/1.1\r\n{HEAD}Content-Length: 65537\r\n\r\n".encode())
    assert got.startswith(b"HTTP/1.1 413 ")
    got = ask(gateway.port("plain"), f"GET /gone/ HTTP/1.1\r\n{HEAD}\r\n".encode())
    assert got.startswith(b"HTTP/1.1 503 ") and b"be_connect" in got
    got = ask(gateway.port("plain"), f"HEAD /gone/ HTTP/1.1\r\n{HEAD}\r\n".encode())
    assert got.endswith(b"\r\n\r\n")


def test_the_log_and_the_metrics_say_what_happened(gateway, recorder):
    with Raw(gateway.port("plain")) as raw:
        raw.send(f"POST /app/logged?token=x HTTP/1.1\r\n{HEAD}Content-Length: 3\r\n\r\nabc".encode()).read_until(b"ok")
    line = wait_for(lambda: next((l for l in gateway.access() if l.get("path", "").startswith("/app/logged")), None),
                    what="the access line")
    assert (line["event"], line["method"], line["status"]) == ("http", "POST", 200)
    assert (line["bytes_in"], line["bytes_out"], line["route"]) == (3, 2, "/app/*")
    wait_for(lambda: gateway.metric("sluice_http_requests_total", route="/app/*", method="POST", code="200"),
             what="the count")


# ---- real backends --------------------------------------------------------------------------------------------------------


NODE_SERVER = """
const http = require('http');
const crypto = require('crypto');
http.createServer((req, res) => {
  if (req.url.endsWith('/chunks')) {
    res.writeHead(200, {'Content-Type': 'text/plain'});
    for (let i = 0; i < 50; ++i) res.write('chunk ' + i + ';');
    return res.end();
  }
  if (req.url.endsWith('/big')) {
    res.writeHead(200);
    const block = Buffer.alloc(65536, 'x');
    let left = 512;
    const more = () => { while (left-- > 0) if (!res.write(block)) return res.once('drain', more); res.end(); };
    return more();
  }
  if (req.url.endsWith('/hints')) { res.writeEarlyHints({link: '</a.css>; rel=preload'}); return res.end('hinted'); }
  if (req.url.endsWith('/204')) { res.writeHead(204); return res.end(); }
  if (req.url.endsWith('/events')) {
    res.writeHead(200, {'Content-Type': 'text/event-stream'});
    let n = 0;
    const timer = setInterval(() => { res.write('data: ' + n + '\\n\\n'); if (++n == 5) { clearInterval(timer); res.end(); } }, 100);
    return;
  }
  const hash = crypto.createHash('sha256');
  let size = 0;
  req.on('data', (d) => { hash.update(d); size += d.length; });
  req.on('end', () => res.end(JSON.stringify({method: req.method, url: req.url, headers: req.headers, size, sha: hash.digest('hex')})));
}).listen(+process.argv[2], '127.0.0.1');
"""

NGINX_CONF = """
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{ listen 127.0.0.1:{port}; location /nginx/ {{ alias {folder}/files/; }} }}
}}
"""


@pytest.fixture(scope="module")
def real(start_gateway, tmp_path_factory):
    assert CURL and NODE and os.path.exists(NGINX), "curl, nodejs and nginx are needed"
    folder = tmp_path_factory.mktemp("real")
    files = folder / "files"
    files.mkdir()
    (files / "small.txt").write_bytes(b"small")
    (files / "big.bin").write_bytes(os.urandom(1 << 20) * 8)
    (folder / "server.cjs").write_text(NODE_SERVER)
    node, nginx, python = free_port(), free_port(), free_port()
    (folder / "nginx.conf").write_text(NGINX_CONF.format(
        folder=folder, port=nginx, user="user root;" if os.getuid() == 0 else ""))
    serve = ["python3", "-m", "http.server", "--bind", "127.0.0.1", "--directory", files, python]
    with serving([NODE, folder / "server.cjs", node], node), serving([NGINX, "-c", folder / "nginx.conf"], nginx), \
            serving(serve, python):
        gateway = start_gateway(BASE + route("node", node, extra='http = { max_body = "unlimited" }') +
                                route("nginx", nginx) + route("python", python) +
                                '[[route]]\npath = "/small.txt"\nbackend = "python"\n')
        yield gateway, files


def curl(gateway, path, *arguments, listener="tls"):
    scheme = "https" if listener == "tls" else "http"
    done = subprocess.run([CURL, "-sS", "-k", "--max-time", "60", *arguments,
                           f"{scheme}://127.0.0.1:{gateway.port(listener)}{path}"], capture_output=True, check=True)
    return done.stdout


@pytest.mark.parametrize("listener", ["plain", "tls"])
def test_node_serves_curl(real, tmp_path, listener):
    gateway, _ = real
    said = json.loads(curl(gateway, "/node/x?y=1", "-H", "X-Forwarded-For: 6.6.6.6", listener=listener))
    assert said["url"] == "/node/x?y=1" and said["headers"]["x-forwarded-for"] == "127.0.0.1"
    assert said["headers"]["x-forwarded-proto"] == ("https" if listener == "tls" else "http")
    chunks = curl(gateway, "/node/chunks", listener=listener)
    assert chunks == b"".join(b"chunk %d;" % i for i in range(50))
    assert len(curl(gateway, "/node/big", listener=listener)) == 512 * 65536
    assert b"103 Early Hints" in curl(gateway, "/node/hints", "-i", listener=listener)
    assert curl(gateway, "/node/204", "-w", "%{http_code}", listener=listener) == b"204"
    assert curl(gateway, "/node/events", "-N", listener=listener).count(b"data: ") == 5
    upload = tmp_path / "upload"
    upload.write_bytes(os.urandom(1 << 20) * 5)
    sha = hashlib.sha256(upload.read_bytes()).hexdigest()
    for how in ([], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"]):
        said = json.loads(curl(gateway, "/node/", "--data-binary", f"@{upload}", *how, listener=listener))
        assert (said["method"], said["size"], said["sha"]) == ("POST", 5 << 20, sha)
    # Three requests, one connection.
    urls = [f"http{'s' if listener == 'tls' else ''}://127.0.0.1:{gateway.port(listener)}/node/{i}" for i in range(3)]
    done = subprocess.run([CURL, "-sSk", "-o", tmp_path / "a", "-o", tmp_path / "b", "-o", tmp_path / "c", "-w",
                           "%{num_connects}\n", *urls], capture_output=True, check=True)
    assert done.stdout.split() == [b"1", b"0", b"0"]


def test_nginx_serves_files(real):
    gateway, files = real
    big = (files / "big.bin").read_bytes()
    for listener in ("plain", "tls"):
        assert curl(gateway, "/nginx/big.bin", listener=listener) == big
        assert curl(gateway, "/nginx/big.bin", "-r", "100-199", listener=listener) == big[100:200]
        assert curl(gateway, "/nginx/big.bin", "-H", "Accept-Encoding: gzip", listener=listener) == big
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port("plain"), timeout=60)

    def get(path, method="GET", headers={}):
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response, response.read()

    response, body = get("/nginx/small.txt")
    assert (response.status, body) == (200, b"small")
    etag = response.getheader("ETag")
    response, body = get("/nginx/small.txt", headers={"If-None-Match": etag})
    assert (response.status, body) == (304, b"") and response.getheader("ETag") == etag
    response, body = get("/nginx/big.bin", "HEAD")
    assert body == b"" and int(response.getheader("Content-Length")) == len(big)
    response, body = get("/nginx/nothing")
    assert response.status == 404 and b"nginx" in body
    assert get("/nginx/small.txt")[1] == b"small"
    connection.close()


def test_pythons_server_speaks_http_1_0(real):
    gateway, files = real
    assert curl(gateway, "/small.txt", listener="plain") == b"small"
    assert curl(gateway, "/small.txt", "-I", listener="plain").startswith(b"HTTP/1.1 200 OK")
    assert curl(gateway, "/small.txt", "--http1.0", listener="plain") == b"small"
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port("plain"), timeout=60)
    for _ in range(3):  # the client's connection stays, whatever the server's does
        connection.request("GET", "/small.txt")
        assert connection.getresponse().read() == b"small"
    connection.close()


def test_many_at_once_get_their_own_answers(real):
    gateway, _ = real
    wrong = []

    def work(number):
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port("plain"), timeout=60)
        for i in range(40):
            connection.request("POST", f"/node/{number}/{i}", body=b"x" * (i * 37))
            said = json.loads(connection.getresponse().read())
            if said["url"] != f"/node/{number}/{i}" or said["size"] != i * 37:
                wrong.append(said)
        connection.close()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert gateway.metric("sluice_backend_reused_total", backend="node") > 200

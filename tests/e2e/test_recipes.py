"""The recipes of docs/how-to/recipes, each as it stands there, against the real server. Only ports are changed."""

import getpass
import glob
import os
import re
import shutil
import socket
import subprocess
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

import tokens
from ports import free_port
from servers import redis_server, serving

HERE = Path(__file__).resolve().parent
RECIPES = HERE.parents[1] / "docs" / "how-to" / "recipes"
SCREENSHOTS = Path(os.environ.get("SLUICE_SCREENSHOTS", "."))
FILE = re.compile(r"^<!-- file: (\S+) -->\n^```\w*\n(.*?)^```$", re.M | re.S)

SURROUNDINGS = """
[log]
access = "access.log"
[admin]
bind = "127.0.0.1:@admin@"
"""


class Recipe:
    """A page of the documentation: its configuration runs in front of `port`, its other files lie in `folder`."""

    def __init__(self, name, port, start_gateway, tmp_path):
        text = (RECIPES / f"{name}.md").read_text()
        files = dict(FILE.findall(text))
        config = files.pop("sluice.toml")
        server = re.search(r'"tcp://(127\.0\.0\.1:\d+)"', config)[1]
        config = config.replace("0.0.0.0:8443", "127.0.0.1:@tls@").replace(server, f"127.0.0.1:{port}")
        self.gateway = start_gateway(config + SURROUNDINGS)
        self.folder = tmp_path
        for file, content in files.items():
            (tmp_path / file).write_text(content.replace("localhost:8443", f"localhost:{self.gateway.port('tls')}"))
        (tmp_path / "node_modules").symlink_to(HERE / "node_modules")
        self.certificate = self.gateway.folder / "server.crt"

    def client(self, **environment):
        """What the recipe's client prints."""
        done = subprocess.run(["node", "client.mjs"], cwd=self.folder, capture_output=True, text=True, timeout=60,
                              env=dict(os.environ, NODE_EXTRA_CA_CERTS=str(self.gateway.authority.path), **environment))
        assert done.returncode == 0, done.stdout + done.stderr + self.gateway.log_tail()
        return done.stdout.split()

    def page(self, file, **environment):
        name, package = environment.pop("package")
        (self.folder / name).symlink_to(HERE / "node_modules" / package)
        done = subprocess.run(["node", HERE / "page.mjs"], cwd=HERE, capture_output=True, text=True, timeout=110,
                              env=dict(os.environ, PAGE=str(self.folder), FILE=file, CERTIFICATE=str(self.certificate),
                                       SHOT=str(SCREENSHOTS / f"recipe-{file}.png"), **environment))
        assert done.returncode == 0, done.stdout + done.stderr + self.gateway.log_tail()


@pytest.fixture
def recipe(start_gateway, tmp_path):
    return lambda name, port: Recipe(name, port, start_gateway, tmp_path)


def tool(name):
    found = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin")
    assert found, f"{name} is not installed"
    return found


# ---- the servers
@pytest.fixture
def desktop(tmp_path):
    """A VNC server whose screen is white."""
    port = free_port()
    with serving([tool("Xtigervnc"), f":{port}", "-rfbport", port, "-localhost", "-SecurityTypes", "None",
                  "-geometry", "320x240", "-desktop", "white wall", "-wr", "-nolisten", "unix", "-auth", os.devnull], port):
        yield port


@pytest.fixture
def broker(tmp_path):
    port = free_port()
    (tmp_path / "mosquitto.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n")
    with serving([tool("mosquitto"), "-c", tmp_path / "mosquitto.conf"], port):
        yield port


@pytest.fixture
def database(tmp_path_factory):
    """A PostgreSQL server of this test's own; it refuses to run as root, and then runs as `postgres`."""
    folder, port = tmp_path_factory.mktemp("postgres"), free_port()
    binaries = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    assert binaries, "postgresql is not installed"
    user = []
    if getpass.getuser() == "root":
        user = ["runuser", "-u", "postgres", "--"]
        for part in [folder, *folder.parents]:  # the way there must be open to that user
            if part == Path("/tmp"):
                break
            part.chmod(0o755)
        shutil.chown(folder, "postgres")
    (folder / "password").write_text("a password of the test's own\n")
    (folder / "password").chmod(0o644)
    subprocess.run([*user, f"{binaries[-1]}/initdb", "-D", folder / "data", "-U", "app", "-A", "scram-sha-256", "-N",
                    "--pwfile", folder / "password"], check=True, stdout=subprocess.DEVNULL, cwd=folder)
    with serving([*user, f"{binaries[-1]}/postgres", "-D", folder / "data", "-p", port, "-h", "127.0.0.1", "-k", folder,
                  "-F"], port):
        yield port


@contextmanager
def super_server(command):
    """What inetd does: the command, with each connection as its standard input and output."""
    listener = socket.create_server(("127.0.0.1", 0))
    children = []

    def serve():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                children.append(subprocess.Popen(command, stdin=connection, stdout=connection, stderr=connection))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
        for child in children:
            child.terminate()
            child.wait(10)


# ---- the recipes
def test_every_recipe_is_run():
    pages = {page.stem for page in RECIPES.glob("*.md")} - {"README"}
    source = Path(__file__).read_text()
    elsewhere = {"own-protocol"}  # tests/integration/test_tcp_framing.py: it brings its server with it
    assert pages - elsewhere == {name for name in re.findall(r'recipe\("([a-z-]+)"', source)}


def test_novnc(recipe, desktop):
    recipe("novnc", desktop).page("desktop.html", package=("novnc", "@novnc/novnc"), EXPECT="""
        document.title === 'connected to white wall' && document.querySelector('#screen canvas').width === 320 &&
        document.querySelector('#screen canvas').getContext('2d').getImageData(300, 200, 1, 1).data.join() === '255,255,255,255'
    """)


def test_terminal(recipe):
    screen = "Array.from({length: 24}, (_, y) => terminal.buffer.active.getLine(y).translateToString(true)).join('\\n')"
    shell = "/usr/bin/env PS1=device> /bin/dash -i"
    with super_server([tool("telnetd"), "-h", "-E", shell]) as port:
        recipe("terminal", port).page("console.html", package=("xterm", "@xterm/xterm"), QUERY=f"?token={tokens.mint()}",
                                      READY=f"(terminal.focus(), {screen}.includes('device>'))",
                                      TYPE="echo $((6*7)) is the answer\n", EXPECT=f"{screen}.includes('42 is the answer')")


def test_mqtt(recipe, broker):
    assert recipe("mqtt", broker).client() == ["house/kitchen/temperature", "21.5"]


def test_postgresql(recipe, database):
    said = recipe("postgresql", database).client(
        TOKEN=tokens.mint(), DATABASE_URL="postgres://app:a%20password%20of%20the%20test's%20own@database/postgres")
    assert said == ["5050", "ababab"]


def test_redis(recipe, tmp_path):
    with redis_server(tmp_path) as port:
        assert " ".join(recipe("redis", port).client()) == "PONG 3 [ 'a', 'b', 'c' ]"


def test_irc(recipe, tmp_path):
    port = free_port()
    (tmp_path / "ngircd.conf").write_text(f"""
[Global]
Name = irc.test
Info = a test
Listen = 127.0.0.1
Ports = {port}
[Options]
Ident = no
DNS = no
PAM = no
""")
    (tmp_path / "ngircd.conf").chmod(0o644)
    with serving([tool("ngircd"), "-n", "-f", tmp_path / "ngircd.conf"], port):
        assert " ".join(recipe("irc", port).client()) == "#lobby :grüße grüße grüße"

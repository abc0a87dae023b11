"""The documentation is run: every configuration in it is checked, and the tutorial is followed step by step.

Marks in the Markdown, as comments before a fenced block:
  <!-- file: NAME -->              the block is written to NAME
  <!-- run -->                     the block is run; the lines of a ```text block behind it must be in its output
  <!-- run: until it succeeds -->  the same, again and again for some seconds
  <!-- background -->              the block starts something that stays until the end
"""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from certs import Authority
from gateway import BINARY, wait_for
from ports import free_port

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TUTORIAL = ROOT / "docs" / "tutorials" / "first-gateway.md"
BROWSER_TOKENS = ROOT / "docs" / "how-to" / "browser-tokens.md"
API_KEYS = ROOT / "docs" / "how-to" / "api-keys.md"
TICKETS = ROOT / "docs" / "how-to" / "tickets.md"
ACCESS_RULES = ROOT / "docs" / "how-to" / "access-rules.md"
CLIENT_CERTIFICATES = ROOT / "docs" / "how-to" / "client-certificates.md"
BLOCK = re.compile(r"(?:^<!-- (?P<mark>.+?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
FILE_KEYS = ("cert", "key", "ca", "client_ca", "secret_file", "public_key_file", "jwks_file", "jwks_ca", "token_file", "map_file",
             "keys_file", "crl_file")


def blocks(page):
    return [found.groupdict() for found in BLOCK.finditer(page.read_text())]


def configurations():
    found = []
    for page in PAGES:
        texts = [block["text"] for block in blocks(page) if block["language"] == "toml"]
        found += [pytest.param(text, id=f"{page.relative_to(ROOT)}-{i}") for i, text in enumerate(texts, 1)]
    return found


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """What the file keys of a configuration may name: one of each."""
    folder = tmp_path_factory.mktemp("material")
    authority = Authority(folder)
    certificate, key = authority.issue("server", ["localhost"], folder=folder)
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    return {
        "cert": certificate.read_bytes(),
        "key": key.read_bytes(),
        "ca": authority.path.read_bytes(),
        "crl_file": authority.revoke().read_bytes(),
        "jwks_ca": authority.path.read_bytes(),
        "client_ca": authority.path.read_bytes(),
        "secret_file": b"0123456789abcdef0123456789abcdef\n",
        "token_file": b"0123456789abcdef0123456789abcdef\n",
        "keys_file": b'[[key]]\nname = "billing"\nsha256 = "' + b"0" * 64 + b'"\n',
        "map_file": b"gamma: vm3.internal:5900\n",
        "public_key_file": public.public_bytes(serialization.Encoding.PEM,
                                               serialization.PublicFormat.SubjectPublicKeyInfo),
        "jwks_file": (ROOT / "conf" / "examples" / "jwks.json").read_bytes(),
    }


@pytest.mark.parametrize("text", configurations())
def test_a_configuration_in_the_documentation_passes(text, material, tmp_path):
    def place(found):
        name = found[2].lstrip("/")
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(material[found[1]])
        path.chmod(0o600)
        return f'{found[1]}{found[0][len(found[1]):-len(found[2]) - 1]}{name}"'

    for found in re.finditer(r'\bacme_folder\s*=\s*"/([^"]+)"', text):
        (tmp_path / found[1]).mkdir(parents=True, exist_ok=True)
    text = re.sub(r'(\bacme_folder\s*=\s*")/', r"\1", text)
    # Keys of balance and of limits are called `key` too: they hold no dot and no slash.
    pattern = re.compile(rf'\b({"|".join(FILE_KEYS)})\s*=\s*"([^":]*[./][^":]*)"')
    (tmp_path / "sluice.toml").write_text(pattern.sub(place, text))
    run = subprocess.run([BINARY, "check", "--config", "sluice.toml"], cwd=tmp_path, capture_output=True, text=True,
                         timeout=20)
    assert run.returncode == 0, f"{run.stderr}\n{text}"
    assert run.stdout == "sluice.toml: ok\n", run.stdout + run.stderr


def test_links_lead_somewhere():
    broken = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            if not target.startswith(("http:", "https:")) and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(ROOT)}: {target}")
    assert not broken


class Reader:
    """Somebody who follows a page, on ports that are free here."""

    def __init__(self, folder):
        self.folder = folder
        self.ports = {port: str(free_port()) for port in ("8443", "9000", "9901")}
        self.started = []
        (folder / "bin").mkdir()
        (folder / "bin" / "sluice").symlink_to(BINARY)
        self.environment = dict(os.environ, PATH=f"{folder / 'bin'}:{os.environ['PATH']}", NO_PROXY="*")

    def on_free_ports(self, text):
        for documented, free in self.ports.items():
            text = re.sub(rf"\b{documented}\b", free, text)
        return text

    def write(self, name, text):
        (self.folder / name).write_text(self.on_free_ports(text))

    def run(self, command):
        # A step may use what the one before it has set.
        script = f"set -e; [ ! -f .variables ] || . ./.variables\n{self.on_free_ports(command)}\ndeclare -p TOKEN >.variables 2>/dev/null || true\n"
        return subprocess.run(["bash", "-c", script], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30)

    def start(self, command):
        with open(self.folder / f"background{len(self.started)}.log", "wb") as log:
            self.started.append(subprocess.Popen(["bash", "-c", self.on_free_ports(command)], cwd=self.folder,
                                                 env=self.environment, stdin=subprocess.DEVNULL, stdout=log,
                                                 stderr=log, start_new_session=True))
        assert self.started[-1].wait(10) == 0

    def stop(self):
        for process in self.started:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def logs(self):
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("background*.log")))


@pytest.fixture
def reader(tmp_path):
    made = Reader(tmp_path)
    yield made
    made.stop()


@pytest.mark.parametrize("page, least", [pytest.param(TUTORIAL, 8, id="tutorial"), pytest.param(API_KEYS, 8, id="api-keys"),
                                         pytest.param(TICKETS, 5, id="tickets"), pytest.param(BROWSER_TOKENS, 5, id="browser-tokens"),
                                         pytest.param(ACCESS_RULES, 8, id="access-rules"),
                                         pytest.param(CLIENT_CERTIFICATES, 8, id="client-certificates")])
def test_a_page_leads_where_it_says(reader, page, least):
    steps = blocks(page)
    ran = 0
    for i, step in enumerate(steps):
        mark = step["mark"] or ""
        if mark.startswith("file: "):
            reader.write(mark[len("file: "):], step["text"])
        elif mark == "background":
            reader.start(step["text"])
        elif mark.startswith("run"):
            if mark == "run: until it succeeds":
                wait_for(lambda: reader.run(step["text"]).returncode == 0, 15, step["text"])
            result = reader.run(step["text"])
            assert result.returncode == 0, f"{step['text']}\n{result.stdout}\n{reader.logs()}"
            expected = steps[i + 1] if i + 1 < len(steps) else {"language": ""}
            if expected["language"] == "text":
                for line in reader.on_free_ports(expected["text"]).splitlines():
                    assert line in result.stdout, f"{line!r} is not in\n{result.stdout}\n{reader.logs()}"
            ran += 1
    assert ran >= least, "the page has lost its marks"
    pid = int((reader.folder / "sluice.pid").read_text())
    wait_for(lambda: not alive(pid), 10, "the gateway of the page has ended")
    assert '"event":"stopped","exit_code":0' in reader.logs()


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_metrics_reference_is_complete():
    made = set()
    for source in (ROOT / "gateway" / "server").glob("metrics*.cc"):
        made |= set(re.findall(r'"((?:sluice|process)_[a-z0-9_]+)"', source.read_text()))
    told = set(re.findall(r"`((?:sluice|process)_[a-z0-9_]+)`", (ROOT / "docs/reference/metrics.md").read_text()))
    assert made and made == told


def test_the_table_of_refusals_is_that_of_the_code():
    rows = re.findall(r"^  X\((\w+), (\w+), (\d+), (\d+), ", (ROOT / "gateway/base/error.h").read_text(), re.M)
    text = (ROOT / "docs/reference/close-codes.md").read_text()
    told = {row[0]: list(row[1:]) for row in re.findall(r"^\| `(\w+)` \| (\w+) \| (\S+) \| (\S+) \|", text, re.M)}
    for name, *row in rows:
        if name != "none":
            assert told.get(name) == [value.replace("0", "–") if value == "0" else value for value in row], name
    assert set(told) == {name for name, *_ in rows} - {"none"}

"""docs/how-to/acme.md as it stands there: certbot and lego get certificates of a real ACME server (pebble), which looks for
the challenge on the gateway's plain listener; the gateway takes each certificate without a signal. Only paths, ports, the user
and the authority are changed."""

import getpass
import json
import os
import re
import socket
import ssl
import subprocess
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography import x509

from evil import Backend, label
from gateway import wait_for
from ports import free_port
from servers import serving

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "acme.md"
FILE = re.compile(r"^<!-- file: (\S+) -->\n^```\w*\n(.*?)^```$", re.M | re.S)
NAME = "chat.example.com"
SURROUNDINGS = """
[log]
access = "access.log"
[admin]
bind = "127.0.0.1:@admin@"
"""


class Pebble:
    """An ACME server with a DNS server that knows every name as 127.0.0.1. It validates in earnest."""

    def __init__(self, stack, folder, authority, http_port):
        certificate, key = authority.issue("pebble", ["localhost", "127.0.0.1"], folder=folder)
        dns, port, management = free_port(), free_port(), free_port()
        config = {"pebble": {"listenAddress": f"127.0.0.1:{port}", "managementListenAddress": f"127.0.0.1:{management}",
                             "certificate": str(certificate), "privateKey": str(key), "httpPort": http_port,
                             "tlsPort": free_port(), "ocspResponderURL": "", "externalAccountBindingRequired": False,
                             "certificateValidityPeriod": 20 * 24 * 3600}}  # so that a renewal is always due
        (folder / "pebble.json").write_text(json.dumps(config))
        stack.enter_context(serving(["pebble-challtestsrv", "-dns01", f"127.0.0.1:{dns}", "-management",
                                     f"127.0.0.1:{free_port()}", "-http01", "", "-https01", "", "-tlsalpn01", "",
                                     "-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""], dns))
        stack.enter_context(serving(["pebble", "-strict", "-config", folder / "pebble.json", "-dnsserver",
                                     f"127.0.0.1:{dns}"], port))
        self.directory = f"https://localhost:{port}/dir"
        trusted = ssl.create_default_context(cafile=str(authority.path))
        self.root = urllib.request.urlopen(f"https://localhost:{management}/roots/0", context=trusted).read().decode()


class Site:
    """The gateway and the scripts of the page, below a folder of the test's own."""

    def __init__(self, stack, folder, start_gateway, authority):
        backend = stack.enter_context(Backend(label("app")))
        self.folder = folder
        self.files = dict(FILE.findall(PAGE.read_text()))
        self.tls = folder / "etc/sluice/tls"
        self.tls.mkdir(parents=True)
        # "start with any other certificate and let the first renewal replace it"
        certificate, key = authority.issue("other", [NAME, "localhost"], folder=folder)
        os.replace(certificate, self.tls / "fullchain.pem")
        os.replace(key, self.tls / "privkey.pem")
        config = self.placed(self.files["sluice.toml"]).replace("0.0.0.0:80", "127.0.0.1:@plain@")
        config = config.replace("0.0.0.0:443", "127.0.0.1:@tls@").replace("127.0.0.1:9000", f"127.0.0.1:{backend.port}")
        self.gateway = start_gateway(config + SURROUNDINGS)
        self.pebble = Pebble(stack, folder, authority, self.gateway.port("plain"))
        hook = folder / "usr/local/bin/install-certificate"
        hook.parent.mkdir(parents=True)
        hook.write_text(self.placed(self.files["install-certificate"]))
        hook.chmod(0o755)
        ini = folder / "letsencrypt" / "cli.ini"
        ini.parent.mkdir()
        ini.write_text(f"server = {self.pebble.directory}\nconfig-dir = {folder}/certbot\nwork-dir = {folder}/certbot-work\n"
                       f"logs-dir = {folder}/certbot-logs\nagree-tos = true\nregister-unsafely-without-email = true\n"
                       "non-interactive = true\nno-random-sleep-on-renew = true\n")
        self.environment = dict(os.environ, XDG_CONFIG_HOME=str(folder), REQUESTS_CA_BUNDLE=str(authority.path),
                                LEGO_CA_CERTIFICATES=str(authority.path))

    def placed(self, text):
        for path in ("/var/lib/", "/etc/sluice/", "/usr/local/bin/"):
            text = text.replace(path, f"{self.folder}{path}")
        return text.replace("-o sluice", f"-o {getpass.getuser()}")

    def run(self, script):
        script = self.placed(script).replace("lego --", f"lego --server {self.pebble.directory} --")
        script = script.replace(" renew --", " renew --no-random-sleep --")  # for minutes, to spare the authority
        done = subprocess.run(["sh", "-e", "-c", script], cwd=self.folder, env=self.environment, capture_output=True, text=True,
                              timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr + self.gateway.log_tail()

    def served(self):
        """The serial number of the certificate in a handshake; with pebble's root as the only one that is trusted."""
        context = ssl.create_default_context(cadata=self.pebble.root)
        with socket.create_connection(("127.0.0.1", self.gateway.port("tls")), 5) as plain:
            try:
                with context.wrap_socket(plain, server_hostname=NAME) as secure:
                    return x509.load_der_x509_certificate(secure.getpeercert(True)).serial_number
            except ssl.SSLCertVerificationError:
                return None

    def takes(self, script):
        """Runs it, and the certificate that it has brought is served."""
        before = self.served()
        self.run(script)
        written = x509.load_pem_x509_certificate((self.tls / "fullchain.pem").read_bytes()).serial_number
        assert written != before
        wait_for(lambda: self.served() == written, 10, "the new certificate in a handshake")
        return written


@pytest.fixture
def site(start_gateway, authority, tmp_path):
    with ExitStack() as stack:
        yield Site(stack, tmp_path, start_gateway, authority)


@pytest.mark.parametrize("first,renewal", [("certbot.sh", "certbot renew"), ("lego.sh", "lego-renew.sh")])
def test_certificates_come_and_are_renewed(site, first, renewal):
    gateway = site.gateway
    assert site.served() is None, "it is not pebble's that is served at first"
    with gateway.connect("/x", listener="tls") as client:
        serials = [site.takes(site.files[first]), site.takes(site.files.get(renewal, renewal))]
        assert len(set(serials)) == 2
        client.send_text("here")
        assert client.recv_text() == "app:here", "who was connected stays"
    asked = [line for line in gateway.access() if line["path"].startswith("/.well-known/acme-challenge/")]
    assert asked and {line["status"] for line in asked} == {200}
    with gateway.client("plain") as client:
        assert client.upgrade("/x", host=NAME).get("Location") == f"https://{NAME}:{gateway.port('tls')}/x"
    assert gateway.running() and gateway.metric("sluice_config_reloads_total", result="ok") >= 2

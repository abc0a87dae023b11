"""A certificate authority for tests, and certificates under it. P-256, made anew for each run."""

import datetime
import ipaddress
import ssl
from pathlib import Path
from typing import Iterable, Optional

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def _pem(key) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Authority:
    def __init__(self, folder: Path, name: str = "Sluice test CA"):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.datetime.utcnow() - datetime.timedelta(hours=1)
        self.certificate = (
            x509.CertificateBuilder().subject_name(_name(name)).issuer_name(_name(name))
            .public_key(self.key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now).not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256()))
        self.path = self.folder / "ca.crt"
        self.path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, stem: str, names: Iterable[str], *, folder: Optional[Path] = None, client: bool = False,
              days: int = 20, seconds: int = 0, common_names: Optional[Iterable[str]] = None):
        """Writes <stem>.crt and <stem>.key; returns both paths. Valid for `days`, or for `seconds` from now. The common name is
        the first of `names`, unless `common_names` says which there are. "mail:NAME" is an address, "NAME://..." a URI."""
        folder = Path(folder or self.folder)
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = []
        for name in names:
            try:
                alternatives.append(x509.IPAddress(ipaddress.ip_address(name)))
            except ValueError:
                kind = (x509.RFC822Name if name.startswith("mail:")
                        else x509.UniformResourceIdentifier if "://" in name else x509.DNSName)
                alternatives.append(kind(name.removeprefix("mail:")))
        now = datetime.datetime.utcnow() - datetime.timedelta(hours=1)
        until = now + (datetime.timedelta(hours=1, seconds=seconds) if seconds else datetime.timedelta(days=days))
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one)
                             for one in (list(names)[:1] if common_names is None else common_names)])
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        certificate = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(self.certificate.subject)
            .public_key(key.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now).not_valid_after(until)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256()))
        crt, pem = folder / f"{stem}.crt", folder / f"{stem}.key"
        crt.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        pem.write_bytes(_pem(key))
        pem.chmod(0o600)
        return crt, pem

    def revoke(self, *certificates: Path, path: Optional[Path] = None, hours: float = 24) -> Path:
        """Writes a list of these certificates that ends in so many hours."""
        now = datetime.datetime.utcnow()
        builder = (x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject)
                   .last_update(now - datetime.timedelta(hours=2)).next_update(now + datetime.timedelta(hours=hours)))
        for certificate in certificates:
            serial = x509.load_pem_x509_certificate(Path(certificate).read_bytes()).serial_number
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now - datetime.timedelta(hours=1)).build())
        path = Path(path or self.folder / "clients.crl")
        partial = path.with_suffix(".new")
        partial.write_bytes(builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        partial.rename(path)
        return path

    def client_context(self, *, minimum=None, maximum=None, certificate=None, alpn=None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.path))
        if minimum:
            context.minimum_version = minimum
        if maximum:
            context.maximum_version = maximum
        if certificate:
            context.load_cert_chain(str(certificate[0]), str(certificate[1]))
        if alpn:
            context.set_alpn_protocols(alpn)
        return context


def server_context(certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(str(certificate[0]), str(certificate[1]))
    return context


def fingerprint(path: Path) -> str:
    return x509.load_pem_x509_certificate(Path(path).read_bytes()).fingerprint(hashes.SHA256()).hex()

"""Certificates for tests, made when they are needed: good ones, and ones with exactly one fault."""

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey


class Authority:
    """Signs certificates of servers; `pem` is what a connection trusts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = named("Test Authority")
        self._certificate = self._signed(self._name, self._key, self._name, self._key, 30, ca=True)
        self.pem = self._certificate.public_bytes(serialization.Encoding.PEM).decode()

    def context(self, *, name: str = "127.0.0.1", days: int = 30, self_signed: bool = False) -> ssl.SSLContext:
        """What a server shows: valid for so many days from now on (a negative number: no longer)."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = named(name)
        issuer, signing = (subject, key) if self_signed else (self._name, self._key)
        certificate = self._signed(subject, key, issuer, signing, days, host=name)
        path = self._folder / f"{next(self._numbers)}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _signed(
        self, subject: x509.Name, key: Key, issuer: x509.Name, by: Key, days: int, *, host: str = "", ca: bool = False
    ) -> x509.Certificate:
        end = datetime.now(UTC) + timedelta(days=days)
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(end - timedelta(days=60))
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if host:
            made = made.add_extension(x509.SubjectAlternativeName([general_name(host)]), critical=False)
        return made.sign(by, hashes.SHA256())


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)

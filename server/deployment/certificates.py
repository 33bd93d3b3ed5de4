"""A certificate authority of one's own, and the server certificate that it signs.

Sites get ``ca.crt`` and verify the server by it. A site identifies itself by its node
key (``wardlaw client key``), not by a certificate.
"""

import ipaddress
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wardlaw.deployment.environment import LOOPBACK
from wardlaw.errors import ConfigError

CA_CERTIFICATE, CA_KEY = "ca.crt", "ca.key"
SERVER_CERTIFICATE, SERVER_KEY = "server.crt", "server.key"
CA_DAYS, SERVER_DAYS = 3650, 397


def make_certificates(folder: Path, hosts: Sequence[str]) -> None:
    """Write ``ca.crt``, ``ca.key``, ``server.crt`` and ``server.key``.

    An authority that is there already is kept, so that a new server certificate (another
    host name, a date that passed) asks nothing of the sites.

    Parameters
    ----------
    folder : Path
    hosts : sequence of str
        Names and addresses under which sites reach the server. Loopback is always
        added: the program that runs the ServerApp reaches the SuperLink there.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority, authority_key = _load_authority(folder) or _make_authority(folder)
    key = ec.generate_private_key(ec.SECP384R1())
    names = [_general_name(host) for host in dict.fromkeys([*hosts, "localhost", LOOPBACK])]
    certificate = (
        _builder(SERVER_DAYS)
        .subject_name(_name(hosts[0] if hosts else "localhost"))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
        )
        .sign(authority_key, hashes.SHA384())
    )
    _write(folder, SERVER_CERTIFICATE, SERVER_KEY, certificate, key)


def require_certificates(folder: Path) -> None:
    """Check that the server's files are there.

    Raises
    ------
    ConfigError
        With the command that makes them.
    """
    for name in (CA_CERTIFICATE, SERVER_CERTIFICATE, SERVER_KEY):
        if not (folder / name).is_file():
            raise ConfigError(
                f"no {name}",
                where=str(folder),
                remedy=f"Make it with `wardlaw server certificates --out {folder} --host NAME`",
            )


def _load_authority(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
    try:
        certificate = x509.load_pem_x509_certificate((folder / CA_CERTIFICATE).read_bytes())
        key = load_pem_private_key((folder / CA_KEY).read_bytes(), password=None)
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ConfigError(f"not a certificate authority: {error}", where=str(folder)) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigError("the authority's key is not an elliptic-curve key", where=str(folder / CA_KEY))
    return certificate, key


def _make_authority(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP384R1())
    name = _name("Wardlaw federation")
    certificate = (
        _builder(CA_DAYS)
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA384())
    )
    _write(folder, CA_CERTIFICATE, CA_KEY, certificate, key)
    return certificate, key


def _builder(days: int) -> x509.CertificateBuilder:
    # A little in the past, since clocks of hospitals differ.
    start = datetime.now(UTC) - timedelta(hours=1)
    return (
        x509.CertificateBuilder()
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(
    folder: Path,
    certificate_name: str,
    key_name: str,
    certificate: x509.Certificate,
    key: ec.EllipticCurvePrivateKey,
) -> None:
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    handle = os.open(folder / key_name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(secret)
    (folder / certificate_name).write_bytes(certificate.public_bytes(Encoding.PEM))

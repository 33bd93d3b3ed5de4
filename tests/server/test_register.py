"""What ``wardlaw server register`` takes, and what it refuses before a run could stumble over it."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from typer.testing import CliRunner

from server.cli import app
from server.deployment.start import site_keys
from wardlaw.errors import ConfigError

CURVE_KEY = ec.generate_private_key(ec.SECP384R1())


def openssh(key) -> bytes:
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)


def register(folder: Path, content: bytes, name: str = "hospital-a"):
    (folder / "key.pub").write_bytes(content)
    arguments = ["register", str(folder / "key.pub"), "--name", name, "--state", str(folder / "state")]
    return CliRunner().invoke(app, arguments)


def test_a_key_is_kept_under_the_sites_name_for_the_owner_only(tmp_path):
    assert register(tmp_path, openssh(CURVE_KEY)).exit_code == 0
    (kept,) = site_keys(tmp_path / "state").items()
    assert kept == ("hospital-a", tmp_path / "state/sites/hospital-a.pub")
    assert kept[1].read_bytes() == openssh(CURVE_KEY)
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"", "a"),
        (b"hello", "a"),
        (CURVE_KEY.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()), "a"),
        (openssh(ed25519.Ed25519PrivateKey.generate()), "a"),
        (openssh(CURVE_KEY), "../a"),
        (openssh(CURVE_KEY), ""),
    ],
    ids=["empty", "no-key", "private", "other-curve", "path-as-name", "no-name"],
)
def test_anything_else_is_one_clear_error(tmp_path, content, name):
    result = register(tmp_path, content, name)
    assert isinstance(result.exception, ConfigError)
    assert site_keys(tmp_path / "state") == {}

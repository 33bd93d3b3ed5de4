"""The node key as Flower and ssh read it."""

import stat

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_private_key, load_ssh_public_key

from client.deployment.node_key import make_node_key
from wardlaw.errors import ConfigError


def test_the_two_halves_belong_together_and_are_on_a_curve_that_flower_takes(tmp_path):
    public = load_ssh_public_key(make_node_key(tmp_path / "key").read_bytes())
    private = load_ssh_private_key((tmp_path / "key").read_bytes(), password=None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert private.curve.name == "secp384r1"
    assert private.public_key().public_numbers() == public.public_numbers()


def test_the_private_half_is_for_the_owner_only_and_never_overwritten(tmp_path):
    make_node_key(tmp_path / "key")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    before = (tmp_path / "key").read_bytes()
    with pytest.raises(ConfigError, match="already"):
        make_node_key(tmp_path / "key")
    assert (tmp_path / "key").read_bytes() == before

"""Who a site is to the others: one key for good, and a line of theirs that is checked when read."""

import stat
import tomllib

import pytest
from typer.testing import CliRunner

from client.cli import app
from client.secagg.identity import SIGNING_FILE, identity, require_peers, signing_key
from client.secagg.stages import set_up
from wardlaw.config import load_site_policy
from wardlaw.errors import LedgerError, PolicyError
from wardlaw.privacy.keystream import new_key


def site_toml(folder, more=""):
    folder.mkdir(exist_ok=True)
    path = folder / "site.toml"
    path.write_text(f'site = "{folder.name}"\ntokens = "tokens"\nstate = "state"\n{more}')
    return path


def shown(path):
    outcome = CliRunner().invoke(app, ["secagg", "identity", "--site", str(path)])
    assert outcome.exit_code == 0
    return outcome.output


def test_the_line_that_a_site_prints_is_the_line_that_others_pin(tmp_path):
    line = shown(site_toml(tmp_path / "oak.east"))
    oak = load_site_policy(tmp_path / "oak.east" / "site.toml")
    assert tomllib.loads(line) == {"oak.east": identity(oak)}
    assert shown(tmp_path / "oak.east" / "site.toml") == line
    assert stat.S_IMODE((oak.state / SIGNING_FILE).stat().st_mode) == 0o600

    ash = load_site_policy(site_toml(tmp_path / "ash", f"[secagg-peers]\n{line}"))
    roster = {
        name: set_up(name, "s", signing_key(policy))[1] for name, policy in (("oak.east", oak), ("ash", ash))
    }
    require_peers(roster, ash)
    # Oak names no peers, and believes the server.
    require_peers(roster, oak)
    with pytest.raises(PolicyError, match=r"the keys of 'oak\.east' are signed by"):
        require_peers(roster | {"oak.east": set_up("oak.east", "s", new_key())[1]}, ash)
    with pytest.raises(PolicyError, match=r"the keys of 'fir' are signed by .*, not by anyone named there"):
        require_peers(roster | {"fir": set_up("fir", "s", new_key())[1]}, ash)


@pytest.mark.parametrize("line", ['oak = "0a"', f'oak = "{"g" * 64}"', f'oak = "{"0" * 65}"', "oak = 7"])
def test_peers_that_are_no_identities_are_refused(tmp_path, line):
    with pytest.raises(PolicyError, match="secagg-peers"):
        load_site_policy(site_toml(tmp_path / "ash", f"[secagg-peers]\n{line}\n"))


def test_a_signing_key_that_others_can_read_is_not_used(tmp_path):
    policy = load_site_policy(site_toml(tmp_path / "ash"))
    before = signing_key(policy)
    assert signing_key(policy) == before
    (policy.state / SIGNING_FILE).chmod(0o640)
    with pytest.raises(LedgerError, match="others than its owner"):
        signing_key(policy)

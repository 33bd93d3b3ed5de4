"""What a private round costs a site, and the key that the payment gives."""

import hashlib
import platform
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from flwr.app import ArrayRecord

from client.modalities import Shard
from client.privacy.draw import sampling_rate_of
from client.privacy.ledger import Ledger
from client.privacy.limits import ledger_of
from client.privacy.spending import Reservation
from client.training.replica import training_device
from wardlaw.config import RunConfig, SitePolicy
from wardlaw.errors import ConfigError
from wardlaw.privacy.events import PoissonGaussian


@dataclass(frozen=True)
class PaidRound:
    """A round that the ledger has noted before any patient is read.

    Attributes
    ----------
    ledger : Ledger
    reservation : Reservation
    key : bytes of length 32
        Of the round's draws and noise.
    """

    ledger: Ledger
    reservation: Reservation
    key: bytes

    def commit(self) -> None:
        """Note that the round's work is done."""
        self.ledger.commit(self.reservation)


def pay_for_round(
    policy: SitePolicy, config: RunConfig, server_round: int, digest: str, patients: int
) -> PaidRound:
    """Reserve a round's cost in the site's ledger.

    A request with the same digest is the same request: it was paid for, and its key gives the same
    bits, so that nothing new is released. Any other request has draws and noise of its own. If two
    different requests shared them, their replies' difference would be free of noise.

    Parameters
    ----------
    policy : SitePolicy
    config : RunConfig
    server_round : int
    digest : str
        ``request_digest``.
    patients : int
        Train patients of the site.

    Raises
    ------
    BudgetError
        If the round would pass the site's limit.
    LedgerError
        If the ledger is missing, damaged, or the clock is behind it.
    ConfigError
        If the settings cannot be accounted for at this site.
    """
    privacy = config.privacy
    if not privacy.noise_multiplier:
        raise ConfigError(
            "privacy.noise-multiplier = 0 hides nobody, so no ledger can note it",
            remedy="Set it above 0, or privacy.mechanism = 'none'",
        )
    rate = sampling_rate_of(privacy.patients, patients, policy.site)
    ledger = ledger_of(policy)
    steps = config.round_steps(server_round)
    event = PoissonGaussian(rate, privacy.noise_multiplier, len(steps))
    reservation = ledger.reserve(config.fingerprint, server_round, digest, event)
    key = ledger.secret.derive("round", config.fingerprint, server_round, digest)
    return PaidRound(ledger, reservation, key)


def request_digest(
    arrays: ArrayRecord, proximal_mu: float, inner_state: str, shard: Shard, config: RunConfig
) -> str:
    """SHA-256 of all that a round's result follows from beside run, round and key.

    Parameters
    ----------
    arrays : ArrayRecord
        Of the global model.
    proximal_mu : float
    inner_state : str
        Digest of the moments that the round starts from; empty if there are none.
    shard : Shard
        The site's.
    config : RunConfig
        Its fingerprint is in the key; here it tells the device.
    """
    parts = (
        arrays_digest(arrays).encode(),
        repr(proximal_mu).encode(),
        inner_state.encode(),
        (shard.folder / "manifest.json").read_bytes(),
        computed_by(training_device(config.train)).encode(),
    )
    return _digest(parts)


def arrays_digest(arrays: ArrayRecord) -> str:
    """SHA-256 of names, types, shapes and bytes."""
    return _digest(
        part
        for name, array in sorted(arrays.items())
        for part in (name.encode(), array.dtype.encode(), str(tuple(array.shape)).encode(), array.data)
    )


def computed_by(device: torch.device) -> str:
    """What rounds a result: code, library and device. Another rounding under one noise would lay it bare.

    A GPU's sums can differ from one try to the next, so there each try is a request of its own, and pays.
    """
    told = f"{code_digest()} {torch.__version__} {np.__version__} {platform.processor()} {device}"
    return f"{told} {secrets.token_hex(16)}" if device.type == "cuda" else told


@cache
def code_digest() -> str:
    """SHA-256 of the sources of the rooms that a site runs."""
    root = Path(__file__).resolve().parents[2]
    files = sorted(path for room in ("client", "models", "wardlaw") for path in (root / room).rglob("*.py"))
    return _digest(
        part for path in files for part in (str(path.relative_to(root)).encode(), path.read_bytes())
    )


def _digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()

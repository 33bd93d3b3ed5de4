"""Sites of smooth noise (synthetic records): for trying the machinery, where nothing need be learnt."""

from pathlib import Path
from typing import Any

import numpy as np

from client.ecg.classes import SINUS
from client.ecg.record import EcgRecord
from client.ecg.request import ShardSettings
from client.ecg.shard import SignalShard
from client.ecg.shard_writer import write_shard
from simulations.federation_folder import load_federation
from wardlaw.seeds import generator

AF = "164889003"


def noise(site: str, number: int, samples: int) -> EcgRecord:
    """A record of one patient; each site's device has a gain of its own."""
    rng = generator(7, "noise", site, number)
    two = np.cumsum(rng.integers(-30, 31, (samples, 8)), axis=0)
    two = two * 2 * (1 + sum(map(ord, site)) % 7)
    i, ii = two[:, 0], two[:, 1]
    iii = ii - i
    limbs = [i, ii, iii, -(i + ii) // 2, (i - iii) // 2, (ii + iii) // 2]
    return EcgRecord(
        name=f"{site}-r{number:03}",
        patient=f"{site}-p{number:03}",
        digital=np.stack([*limbs, *two[:, 2:].T], axis=1).astype(np.int32),
        gain=np.full(12, 1000.0),
        baseline=np.zeros(12),
        rate=100.0,
        diagnoses=(SINUS,) if rng.random() < 0.6 else (AF,),
    )


def noise_shard(folder: Path, site: str, patients: int = 24, rate: float = 100.0) -> SignalShard:
    """A shard of records of 3 to 14 s."""
    lengths = generator(7, "noise lengths", site).integers(300, 1400, patients)
    records = (noise(site, number, int(samples)) for number, samples in enumerate(lengths))
    settings = ShardSettings(rate=rate)
    write_shard(folder, records, settings, site=site, source="synthetic noise", synthetic=True)
    return SignalShard.open(folder)


def small_run(federation: Path, *, context: int, batch_tokens: int, steps: int) -> dict[str, Any]:
    """Flat settings of a small ResNet's run over a federation of noise."""
    return {
        "data.federation": str(federation),
        "data.tokenizer": load_federation(federation).tokenizer,
        "model.family": "resnet",
        "model.size": "20k",
        "model.context": context,
        "objective.name": "bce",
        "train.batch-tokens": batch_tokens,
        "train.tokens": batch_tokens * steps,
        "train.device": "cpu",
    }

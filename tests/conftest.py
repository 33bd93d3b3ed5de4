"""Fixtures that every room's tests share."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

torch.set_num_threads(1)

_BESIDE = Path(__file__).resolve().parents[1].parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real records, or a skip that says where it was looked for."""
    folder = Path(os.environ.get("WARDLAW_DATA", _BESIDE))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder} (set WARDLAW_DATA)")
    return folder


@pytest.fixture(scope="session")
def random_federation(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a new federation folder of sites with random tokens, whose state nobody shares."""

    from simulations.random_federation import write_random_federation

    def make(sites: int = 3, **sizes: int) -> Path:
        return write_random_federation(tmp_path_factory.mktemp("federation"), sites, **sizes)

    return make

"""Fixtures that every room's tests share."""

import os
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

from pathlib import Path

import pytest

from simulations.study import load_study

STUDIES = sorted((Path(__file__).resolve().parents[2] / "studies").glob("*.toml"))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_every_shipped_study_expands(path):
    study = load_study(path, {})
    assert len(study.runs) > 1
    assert study.name == path.stem

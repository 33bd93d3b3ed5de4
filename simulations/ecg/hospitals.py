"""Synthetic ECG hospitals: a folder with a ``generator.json`` each."""

from pathlib import Path

from client.ecg.synthetic.site import Device, SyntheticSite, save_site
from simulations.ecg.label_skew import Case
from wardlaw.errors import DataError
from wardlaw.seeds import generator

RATES = (250, 500, 1000)
MAINS = (50, 60)


def drawn_device(site: str, seed: int) -> Device:
    """An electrocardiograph: rate, mains, gain error (5 % typically) and noise (0.5 to 2 times the usual)."""
    rng = generator(seed, "ecg-hospitals", "device", site)
    return Device(
        rate=int(rng.choice(RATES)),
        mains=int(rng.choice(MAINS)),
        gain_error=round(min(max(rng.normal(scale=0.05), -0.2), 0.2), 4),
        noise=round(float(2 ** rng.uniform(-1, 1)), 3),
    )


def hospitals_of(cases: dict[str, Case], patients: int, seed: int) -> list[SyntheticSite]:
    """Hospitals of the same number of patients, by name, each with its case mix and its device."""
    return [
        SyntheticSite(seed=seed, site=name, patients=patients, device=drawn_device(name, seed), **case)
        for name, case in cases.items()
    ]


def write_hospitals(out: Path, sites: list[SyntheticSite], made_from: str) -> None:
    """Write ``<out>/<site>/generator.json`` for each hospital.

    Parameters
    ----------
    out : Path
    sites : list of SyntheticSite
    made_from : str
        Where the label skew is from, for people.

    Raises
    ------
    DataError
        If the folder holds something already.
    """
    if out.exists() and any(out.iterdir()):
        raise DataError("the folder is not empty", where=str(out), remedy="Name a new one")
    for site in sites:
        save_site(out / site.site, site, label_skew=made_from)

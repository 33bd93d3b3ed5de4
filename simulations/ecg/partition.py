"""Divide one signal shard into sites that differ by a known amount."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from client.ecg.record import EcgRecord
from client.ecg.shard import SignalShard
from client.ecg.shard_writer import write_shard
from simulations.ecg.device_shift import DeviceShift, shifted, told
from simulations.ecg.shard_records import as_stored, records_of
from simulations.partition import Sites
from wardlaw.errors import DataError

NO_CLASS = "none"


def rarest_classes(classes: Mapping[str, set[str]]) -> dict[str, str]:
    """One label a patient: of the classes that it has, the one that the fewest patients have.

    Examples
    --------
    >>> rarest_classes({"a": {"1", "2"}, "b": {"1"}, "c": set()})
    {'a': '2', 'b': '1', 'c': 'none'}
    """
    patients = Counter(code for codes in classes.values() for code in codes)
    return {
        patient: min(codes, key=lambda code: (patients[code], code)) if codes else NO_CLASS
        for patient, codes in classes.items()
    }


def numbered(patients: Mapping[str, str]) -> dict[int, str]:
    """Labels by patient's number in the order of names, for `simulations.partition`."""
    return {number: patients[name] for number, name in enumerate(sorted(patients))}


def site_of_patient(sites: Sites, patients: Mapping[str, str]) -> dict[str, str]:
    """Site of each patient, from a partition of the numbers that `numbered` gave."""
    names = sorted(patients)
    return {names[number]: site for site, numbers in sites.items() for number in numbers.tolist()}


def write_partition(
    shard: SignalShard,
    home: Mapping[str, str],
    out: Path,
    *,
    partition: str,
    seed: int,
    shifts: Mapping[str, DeviceShift] | None = None,
) -> dict[str, SignalShard]:
    """Write a shard a site to ``<out>/<site>``; each patient stays in the split it had.

    Parameters
    ----------
    shard : SignalShard
    home : mapping of str to str
        Site of each patient.
    out : Path
    partition : str
        How the sites were divided, for the shards' source.
    seed : int
        Of the noise of the devices.
    shifts : mapping of str to DeviceShift, optional
        Device of each site; the records are as they were if absent.

    Returns
    -------
    dict of str to SignalShard

    Raises
    ------
    DataError
        If ``out`` holds something already.
    """
    if out.exists() and any(out.iterdir()):
        raise DataError("the folder is not empty", where=str(out), remedy="Name a new one")
    made = {}
    for site in sorted(set(home.values())):
        shift = shifts[site] if shifts else None
        described = [shard.manifest.source, f"partition {partition}", *([told(shift)] if shift else [])]
        write_shard(
            out / site,
            _records_of_site(shard, home, site, shift, seed),
            as_stored(shard),
            site=site,
            source=", ".join(described),
            synthetic=shard.manifest.synthetic,
        )
        made[site] = SignalShard.open(out / site, verify=False)
    return made


def _records_of_site(
    shard: SignalShard, home: Mapping[str, str], site: str, shift: DeviceShift | None, seed: int
) -> Iterator[EcgRecord]:
    for record in records_of(shard):
        if home[record.patient] == site:
            yield record if shift is None else shifted(record, shift, seed)

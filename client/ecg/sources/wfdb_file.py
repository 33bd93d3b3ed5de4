"""One WFDB record: its twelve leads as they were digitised."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import wfdb
from numpy.typing import NDArray

from client.ecg.checks import MISSING
from client.ecg.header import declared_samples, header_text, repaired, signal_files, uncalibrated
from client.ecg.record import LEADS
from client.ecg.sources.unreadable import UnreadableError

_PER_MILLIVOLT = {"nv": 1e6, "uv": 1e3, "mv": 1.0, "v": 1e-3}
_PLACES = {lead.casefold(): place for place, lead in enumerate(LEADS)} | {"di": 0, "dii": 1, "diii": 2}


@dataclass(frozen=True, eq=False)
class Signals:
    """What a WFDB record says, leads in the order of ``LEADS``.

    Attributes
    ----------
    digital : ndarray of int32, (samples, 12)
        ``MISSING`` where the file marks a sample as not recorded.
    gain : ndarray of float64, (12,)
        Digital units a mV.
    baseline : ndarray of float64, (12,)
    rate : float
        Samples a second.
    comments : tuple of str
    repairs : tuple of str
        Words of ``client.ecg.header.repaired``.
    """

    digital: NDArray[np.int32]
    gain: NDArray[np.float64]
    baseline: NDArray[np.float64]
    rate: float
    comments: tuple[str, ...]
    repairs: tuple[str, ...]


def read_signals(header: Path) -> Signals:
    """Read the twelve leads by name; other signals of the record are left out.

    Raises
    ------
    UnreadableError
        ``no-header``, ``no-signal``, ``too-short``, ``unreadable``, ``lead-missing``, ``lead-repeated``,
        ``mixed-rates``, ``unknown-unit``, ``impossible-gain`` or ``checksum``.
    """
    try:
        text, repairs = repaired(header_text(header))
    except OSError as error:
        raise UnreadableError("no-header", f"{header.name}: {error.strerror}") from error
    if declared_samples(text) == 0:
        raise UnreadableError("too-short", "0 samples")
    with _blamed_on_the_file(), _readable(header, text if repairs else "") as path:
        record = wfdb.rdrecord(str(path.with_suffix("")), physical=False, smooth_frames=False)
    channels = _channels(record)
    if without := uncalibrated(text) & set(channels):
        raise UnreadableError("impossible-gain", f"absent, 0 or not a number: {_names(record, without)}")
    with _blamed_on_the_file():
        physical = record.dac(expanded=True)
        sums = record.calc_checksum(expanded=True)
    _refuse_wrong_sums(record, channels, sums)
    frame = {record.samps_per_frame[channel] for channel in channels}
    if len(frame) > 1:
        raise UnreadableError("mixed-rates")
    digital = [
        np.where(np.isnan(physical[channel]), MISSING, record.e_d_signal[channel]) for channel in channels
    ]
    return Signals(
        digital=np.stack(digital, axis=1).astype(np.int32),
        gain=np.array([record.adc_gain[c] * _per_millivolt(record.units[c]) for c in channels], np.float64),
        baseline=np.array([record.baseline[c] for c in channels], np.float64),
        rate=float(record.fs * frame.pop()),
        comments=tuple(record.comments),
        repairs=repairs,
    )


@contextmanager
def _blamed_on_the_file() -> Iterator[None]:
    """Whatever a damaged file makes wfdb raise, it is this record's fault and stops no other."""
    try:
        yield
    except UnreadableError:
        raise
    except FileNotFoundError as error:
        raise UnreadableError("no-signal", Path(error.filename).name) from error
    except Exception as error:
        raise UnreadableError("unreadable", f"{type(error).__name__}: {error}") from error


@contextmanager
def _readable(header: Path, mended: str) -> Iterator[Path]:
    """The header, or its mended text beside links to its signal files in a folder of its own."""
    if not mended:
        yield header
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in signal_files(mended):
            if Path(file).name != file:
                raise UnreadableError("unreadable", f"{file} is not in the folder of its header")
            (folder / file).symlink_to(header.parent.resolve() / file)
        (folder / "mended.hea").write_text(mended, encoding="utf-8")
        yield folder / "mended.hea"


def _channels(record: wfdb.Record) -> list[int]:
    """Channel of each of ``LEADS``."""
    found: dict[int, int] = {}
    for channel, name in enumerate(record.sig_name or []):
        place = _PLACES.get((name or "").strip().casefold())
        if place in found:
            raise UnreadableError("lead-repeated", LEADS[place])
        if place is not None:
            found[place] = channel
    if missing := [lead for place, lead in enumerate(LEADS) if place not in found]:
        raise UnreadableError("lead-missing", ", ".join(missing))
    return [found[place] for place in range(len(LEADS))]


def _refuse_wrong_sums(record: wfdb.Record, channels: list[int], sums: list[int]) -> None:
    """Refuse signals that are not those whose sums, modulo 2^16, the header tells."""
    if record.checksum is None:
        return
    wrong = {
        channel
        for channel in channels
        if record.checksum[channel] is not None and (sums[channel] - record.checksum[channel]) % 65536
    }
    if wrong:
        raise UnreadableError("checksum", _names(record, wrong))


def _names(record: wfdb.Record, channels: set[int]) -> str:
    return ", ".join(record.sig_name[channel] for channel in sorted(channels))


def _per_millivolt(unit: str) -> float:
    try:
        return _PER_MILLIVOLT[unit.casefold()]
    except KeyError:
        raise UnreadableError("unknown-unit", unit) from None

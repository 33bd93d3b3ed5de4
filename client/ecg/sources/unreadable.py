"""What stops one record from being read, without stopping the others."""

from client.ecg.record import Quarantined


class UnreadableError(Exception):
    """A record that cannot be read.

    Parameters
    ----------
    reason : str
        A word, e.g. ``"no-signal"``.
    detail : str, optional
        For people.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail

    def quarantined(self, record: str) -> Quarantined:
        """The record of that name, with this reason."""
        return Quarantined(record, self.reason, self.detail)

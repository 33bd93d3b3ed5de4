"""The irreducible loss of generated patients, as `wardlaw simulate oracle` prints it."""

import json
from dataclasses import dataclass
from pathlib import Path

from wardlaw.errors import RecordError


@dataclass(frozen=True)
class Oracle:
    """Irreducible loss of the process that generated the patients, in nats.

    What ``wardlaw simulate oracle --json`` prints: of all sites' patients together, whose
    site the predictor does not know. Errors are standard errors over patients.
    """

    per_token: float
    per_token_error: float
    per_event: float
    per_event_error: float

    def loss(self, unit: str) -> float:
        """Nats per ``"token"`` or per ``"event"``."""
        return self.per_token if unit == "token" else self.per_event

    def error(self, unit: str) -> float:
        """Standard error of ``loss(unit)``."""
        return self.per_token_error if unit == "token" else self.per_event_error


def read_oracle(path: Path) -> Oracle | None:
    """An oracle's file; None where there is none.

    Raises
    ------
    RecordError
        If it is not one.
    """
    if not path.exists():
        return None
    try:
        pooled = json.loads(path.read_text(encoding="utf-8"))["floors"]["pooled"]["site_unknown"]
        return Oracle(**{name: float(value) for name, value in pooled.items()})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RecordError(
            f"not an irreducible loss ({type(error).__name__}: {error})",
            where=str(path),
            remedy="It holds the output of `wardlaw simulate oracle --json`; or remove it",
        ) from None

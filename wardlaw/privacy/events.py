"""What a site released: the truth from which every epsilon is computed.

An event names a mechanism with its parameters and how often it ran. Epsilons do not add up, events
do: a ledger keeps events, and an accountant composes them.

Neighbours differ by one patient's whole record at a site, added or removed. Noise multipliers are
standard deviations over the L2 sensitivity under that relation: the clipping norm of DP-SGD.
"""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from wardlaw.errors import RecordError

UNIT = "patient: the whole record at one site"
RELATION = "add or remove one patient"
ACCOUNTANT = "privacy loss distribution (dp-accounting)"

_CLOSED = ConfigDict(extra="forbid", allow_inf_nan=False)

Noise = Annotated[float, Field(gt=0)]


@dataclass(frozen=True, config=_CLOSED)
class PoissonGaussian:
    """Steps of DP-SGD: each patient drawn with the same probability, Gaussian noise on the clipped sum.

    Parameters
    ----------
    sampling_rate : float
        q in (0, 1]: the probability with which a step draws a patient.
    noise_multiplier : float
        sigma, above 0.
    steps : int
        How many such steps, at least 1. A step that drew nobody counts too.

    Raises
    ------
    pydantic.ValidationError
        If a value lies outside of its range.
    """

    sampling_rate: Annotated[float, Field(gt=0, le=1)]
    noise_multiplier: Noise
    steps: Annotated[int, Field(ge=1)]
    mechanism: Literal["poisson-gaussian"] = "poisson-gaussian"

    def to_json(self) -> dict[str, Any]:
        """Fields by name."""
        return _json(self)


@dataclass(frozen=True, config=_CLOSED)
class Gaussian:
    """Releases of all patients at once: a count, a metric or a histogram with Gaussian noise.

    Parameters
    ----------
    noise_multiplier : float
        sigma, above 0.
    count : int
        How many such releases, at least 1.

    Raises
    ------
    pydantic.ValidationError
        If a value lies outside of its range.
    """

    noise_multiplier: Noise
    count: Annotated[int, Field(ge=1)] = 1
    mechanism: Literal["gaussian"] = "gaussian"

    def to_json(self) -> dict[str, Any]:
        """Fields by name."""
        return _json(self)


Event = PoissonGaussian | Gaussian
_EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="mechanism")])


def from_json(fields: object) -> Event:
    """Event of ``to_json``'s fields.

    Raises
    ------
    RecordError
        If they are no event: an unknown mechanism, a field too many, a value out of range.
    """
    try:
        return _EVENT.validate_python(fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise RecordError(f"no event of privacy: {first['msg']}", where=field) from error


def merge(events: Iterable[Event]) -> tuple[Event, ...]:
    """Same composition in the fewest events: equal mechanisms become one, in order of first appearance."""
    steps: dict[tuple[float, float], int] = {}
    releases: dict[float, int] = {}
    for event in events:
        match event:
            case PoissonGaussian(sampling_rate=rate, noise_multiplier=noise):
                steps[rate, noise] = steps.get((rate, noise), 0) + event.steps
            case Gaussian(noise_multiplier=noise):
                releases[noise] = releases.get(noise, 0) + event.count
    return (
        *(PoissonGaussian(rate, noise, number) for (rate, noise), number in steps.items()),
        *(Gaussian(noise, number) for noise, number in releases.items()),
    )


def _json(event: Event) -> dict[str, Any]:
    fields: dict[str, Any] = _EVENT.dump_python(event, mode="json")
    return fields

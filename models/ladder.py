"""What all families' ladders share."""

from collections.abc import Mapping

from wardlaw.errors import ConfigError


def width_of(size: str, rungs: Mapping[str, int], family: str) -> int:
    """Width of the rung named ``size``.

    Raises
    ------
    ConfigError
        If the ladder has no such rung.
    """
    if size not in rungs:
        raise ConfigError(
            f"model.size = '{size}' is not on the {family} ladder",
            remedy=f"Choose one of {', '.join(rungs)}",
        )
    return rungs[size]

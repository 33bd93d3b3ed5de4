"""What the parts of a statement have in common."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from wardlaw.errors import RecordError


class Part(BaseModel):
    """Frozen; a field of a later version is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


Kind = TypeVar("Kind", bound=Part)


def read_part(kind: type[Kind], path: Path, what: str) -> Kind:
    """Read a part that stands in a file of its own.

    Parameters
    ----------
    kind : type of Part
    path : Path
    what : str
        Name of the part in errors, with its article.

    Raises
    ------
    RecordError
        If there is no such file, or it is not one.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise RecordError(f"no {what.split(' ', 1)[1]} ({type(error).__name__})", where=str(path)) from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise RecordError(f"not {what}: {field}: {first['msg']}", where=str(path)) from None

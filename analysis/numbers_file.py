"""Numbers in a file, for machines."""

import json
import math
from pathlib import Path
from typing import Any

from wardlaw.errors import RecordError
from wardlaw.files import write_text_atomically


def write_numbers(path: Path, content: Any) -> None:
    """Write JSON; null where there is no number.

    Raises
    ------
    RecordError
        If the file cannot be written.
    """
    text = json.dumps(_without_nan(content), indent=2, allow_nan=False) + "\n"
    try:
        write_text_atomically(path, text)
    except OSError as error:
        raise RecordError(f"cannot be written: {error.strerror}", where=str(path)) from None


def _without_nan(value: Any) -> Any:
    match value:
        case float() if not math.isfinite(value):
            return None
        case dict():
            return {key: _without_nan(item) for key, item in value.items()}
        case list() | tuple():
            return [_without_nan(item) for item in value]
        case _:
            return value

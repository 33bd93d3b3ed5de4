"""A run's statement in its record: ``privacy.json`` for machines, ``privacy.txt`` for people."""

from pathlib import Path

from pydantic import ValidationError

from wardlaw.errors import RecordError
from wardlaw.files import write_text_atomically
from wardlaw.privacy.statement import PrivacyStatement
from wardlaw.privacy.statement_text import text_of

STATEMENT_FILE = "privacy.json"
TEXT_FILE = "privacy.txt"


def save_statement(folder: Path, statement: PrivacyStatement) -> None:
    """Write a statement in both forms, over an earlier one."""
    write_text_atomically(folder / TEXT_FILE, text_of(statement))
    write_text_atomically(folder / STATEMENT_FILE, statement.to_json())


def load_statement(folder: Path) -> PrivacyStatement:
    """Read the statement of a run's record.

    Raises
    ------
    RecordError
        If there is none, or it is not one.
    """
    path = folder / STATEMENT_FILE
    try:
        return PrivacyStatement.model_validate_json(path.read_bytes())
    except OSError as error:
        raise RecordError(f"no statement of privacy ({type(error).__name__})", where=str(path)) from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        raise RecordError(f"not a statement of privacy: {field}: {first['msg']}", where=str(path)) from None

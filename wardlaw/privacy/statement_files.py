"""A run's statement in its record: ``privacy.json`` for machines, ``privacy.txt`` for people."""

from pathlib import Path

from wardlaw.files import write_text_atomically
from wardlaw.privacy.part import read_part
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
    return read_part(PrivacyStatement, folder / STATEMENT_FILE, "a statement of privacy")

"""What a source's TOML may say: its tables, and the events that each row makes."""

import tomllib
from importlib import resources
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from wardlaw.errors import ConfigError


def _kebab(name: str) -> str:
    return name.replace("_", "-")


def _listed(value: object) -> object:
    return (value,) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=_kebab)


class Event(_Section):
    """One kind of event that a row of a table makes.

    Attributes
    ----------
    code : tuple of str
        Templates (`client.ehr.templates`); the first that is complete is the code.
    time : tuple of str
        Columns of which the first that is present is the time. A date without a time of day
        is read as the end of that day, since the event may have happened at any hour of it.
        Neither time nor offset: a static event.
    offset : str
        Column of minutes since the source's origin, instead of ``time``.
    not_before, not_after : str
        Column (a time, or minutes where ``offset`` is used) that the time is kept from passing.
    value : str
        Column, with filters if need be, of the numeric value.
    text : str
        Column kept as text where there is no numeric value.
    each : tuple of str
        Columns that make one event each: ``{column}`` in the template is the column's name
        and its content the value. A row without that value makes no event.
    missing : float
        Number that the source writes where there is no value.
    where : str
        SQL condition on the row.
    description : tuple of str
        Templates of the code's description.
    parents : tuple of str
        Templates of ``vocabulary/code`` parents.
    rank : int
        Order among events of the same time.
    once : bool
        Several rows tell of the same event: of equal ones (subject, time, code, value) one is kept.
    """

    code: Names
    time: Names = ()
    offset: str = ""
    not_before: str = ""
    not_after: str = ""
    value: str = ""
    text: str = ""
    each: Names = ()
    missing: float | None = None
    where: str = ""
    description: Names = ()
    parents: Names = ()
    rank: int = 50
    once: bool = False


class Join(_Section):
    """Columns of another table, matched row by row.

    Attributes
    ----------
    table : str
    on : tuple of str
        Columns of the same name and content in both.
    take : tuple of str
        Columns to bring.
    """

    table: str
    on: Names
    take: Names


class Table(_Section):
    """A table of the source, or one that its preparation derives.

    Attributes
    ----------
    name : str
        File name without its endings; upper and lower case are alike.
    required : bool
        Whether its absence is an error; otherwise it is reported.
    join : Join
        For times that stand in another table.
    dictionary : Join
        For descriptions; matched once a code, not once a row, and allowed to be absent.
    quarantine : dict
        Reasons and the SQL conditions of rows that are set aside and counted.
    events : tuple of Event
    """

    name: str
    required: bool = False
    join: Join | None = None
    dictionary: Join | None = None
    quarantine: dict[str, str] = {}
    events: tuple[Event, ...]


class Source(_Section):
    """A source of tables.

    Attributes
    ----------
    name, version, license : str
        For ``dataset.json``.
    folders : tuple of str
        Where the tables lie under the input folder.
    key : str
        Column by which each row finds its patient's visit.
    origin, first, last : str
        Columns of the visit: what offsets count from, and between which times they may fall.
    site_columns : tuple of str
        Columns of the visit that can name a site.
    tables : tuple of Table
    """

    name: str
    version: str
    license: str
    folders: Names
    key: str
    origin: str = ""
    first: str = ""
    last: str = ""
    site_columns: Names
    tables: tuple[Table, ...]


def load_source(name: str) -> Source:
    """Event configuration shipped for a source, e.g. ``mimic-iv``.

    Raises
    ------
    ConfigError
        If the file is not of this form.
    """
    text = (resources.files("client.ehr.events") / f"{name}.toml").read_text(encoding="utf-8")
    try:
        return Source.model_validate(tomllib.loads(text))
    except (ValidationError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(str(error).replace("\n", "; "), where=f"events/{name}.toml") from None

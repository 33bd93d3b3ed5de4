"""Errors that a user may meet.

Each says what is wrong, where, and how to mend it; the command line prints that
one line and exits with the class's status. Only the ``code`` of an error may
leave a hospital (see ``client.sanitize``), since its text can name a patient.

    WardlawError
    |-- ConfigError       CFG  a run's or a study's settings
    |-- PolicyError       POL  the site's own policy forbids it
    |-- DataError         DAT  source tables, MEDS roots
    |-- ShardError        SHD  tokenised shards, vocabularies
    |-- CheckpointError   CKP  checkpoints and saved state
    |-- AdmissionError    ADM  a site or a reply that the server will not take
    |-- RoundError        RND  a federation that cannot go on
    |-- RecordError       REC  run records
    |-- TrainingError     TRN  local training that cannot go on
    |-- AccountingError   ACC  accountants of privacy that contradict each other
    |-- LedgerError       LGR  a site's ledger of privacy that is missing, edited or cut
    `-- BudgetError       BUD  a site's budget of privacy that would be passed
"""


class WardlawError(Exception):
    """One clear error for a user.

    Parameters
    ----------
    what : str
        What is wrong, in one sentence without a full stop.
    where : str, optional
        The file, field, row or site concerned.
    remedy : str, optional
        What the user can do about it.
    """

    code = "WRD"
    exit_status = 1

    def __init__(self, what: str, where: str = "", remedy: str = "") -> None:
        self.what, self.where, self.remedy = what, where, remedy
        # All of them, so that the error survives its way back from a worker process.
        super().__init__(what, where, remedy)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        mend = f". {self.remedy}" if self.remedy else ""
        return f"[{self.code}] {place}{self.what}{mend}"


class ConfigError(WardlawError):
    """A key, type or combination of settings that the schema refuses."""

    code = "CFG"
    exit_status = 2


class PolicyError(WardlawError):
    """The site's policy does not allow what a run asks for."""

    code = "POL"
    exit_status = 3


class DataError(WardlawError):
    """A source table or MEDS root that cannot be read as what it claims to be."""

    code = "DAT"
    exit_status = 4


class ShardError(WardlawError):
    """A tokenised shard or vocabulary that does not fit the run."""

    code = "SHD"
    exit_status = 5


class CheckpointError(WardlawError):
    """A checkpoint or saved state that is damaged or belongs to another run."""

    code = "CKP"
    exit_status = 6


class AdmissionError(WardlawError):
    """A site or reply that fails the server's checks."""

    code = "ADM"
    exit_status = 7


class RoundError(WardlawError):
    """A federation that cannot go on: quorum, deadline, too many failed rounds."""

    code = "RND"
    exit_status = 8


class RecordError(WardlawError):
    """A run record that is missing, incomplete or not of this format."""

    code = "REC"
    exit_status = 9


class TrainingError(WardlawError):
    """Local training that cannot go on: a loss or gradient that is not finite."""

    code = "TRN"
    exit_status = 10


class AccountingError(WardlawError):
    """Accountants of privacy that contradict each other: no epsilon can be trusted."""

    code = "ACC"
    exit_status = 12


class LedgerError(WardlawError):
    """A site's ledger of privacy that is missing, edited or cut, or that a clock set back would follow."""

    code = "LGR"
    exit_status = 13


class BudgetError(WardlawError):
    """What a site's budget of privacy does not pay for."""

    code = "BUD"
    exit_status = 14

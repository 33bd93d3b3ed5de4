"""A mechanism's audit in the statement of a run that it is an audit of."""

from pathlib import Path

from wardlaw.privacy.audits import MechanismAudit, differences
from wardlaw.privacy.statement_files import load_statement, save_statement


def take_over(folder: Path, audit: MechanismAudit) -> str:
    """Put an audit into a run's statement if it audited what took the run's private steps.

    Sources, engine, draws, clipping, precision, device and PyTorch must all be those of the run: a verdict on
    other code says nothing of it.

    Parameters
    ----------
    folder : Path
        The run's record.
    audit : MechanismAudit

    Returns
    -------
    str
        What was done, and why not.
    """
    statement = load_statement(folder)
    if statement.basis == "nothing":
        return "has no private steps, which the audit could be of"
    if statement.implementation is None:
        return "does not know what took its private steps: the audit is not taken over"
    if found := list(differences(audit.implementation, statement.implementation)):
        return f"the audit is not taken over: it is of {'; '.join(found)}"
    save_statement(folder, statement.model_copy(update={"mechanism_audit": audit}))
    return f"the audit of the mechanism is taken over: {'REFUTED' if audit.refuted else 'not refuted'}"

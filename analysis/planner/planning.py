"""From a table of runs to a plan."""

import polars as pl

from analysis.planner.consortium import Consortium
from analysis.planner.evidence import gather_evidence, without_noise
from analysis.planner.plan import Plan, make_plan
from analysis.planner.recorded import Roles, habits_of, of_one_model, roles_of, with_own_models
from analysis.tables.run_table import RunTable
from wardlaw.errors import RecordError


def plan_training(
    table: RunTable,
    consortium: Consortium,
    *,
    group: str = "",
    roles: Roles | None = None,
    batch_tokens: int | None = None,
    local_steps: int | None = None,
    unit: str = "token",
    replicates: int = 2000,
    seed: int = 42,
) -> Plan:
    """Plan a federated training from the runs of a study.

    Parameters
    ----------
    table : RunTable
    consortium : Consortium
    group : str
        Column of the arms; where empty ``arm``, and of run records ``surface``: an arm with its private runs.
    roles : Roles, optional
        Names of the arms; those that run records give them where absent or empty.
    batch_tokens, local_steps : int, optional
        As in the runs where absent.
    unit : {"token", "event"}
        That the table's loss was read in.
    replicates, seed : int
        Of the bootstrap.

    Raises
    ------
    RecordError
        If the runs do not support a plan.
    """
    group = group or ("surface" if table.measures else "arm")
    if group not in table.rows.columns:
        there = ", ".join(table.rows.columns)
        raise RecordError(f"there is no column '{group}'", where="--group", remedy=f"Use one of {there}")
    asked = roles or Roles("")
    of_model, model = of_one_model(table, group, asked.federated)
    known = with_own_models(of_model, group, unit)
    named = roles_of(known.rows[group].unique(maintain_order=True).to_list(), asked, model)
    rows = known.rows.filter(pl.col(group) == named.federated)
    plain, noisy = rows.filter(without_noise(rows)), rows.filter(~without_noise(rows))
    habits = habits_of(noisy if plain.is_empty() else plain, batch_tokens, local_steps)
    # A private step draws patients, and so other tokens than one that packs them.
    private = habits_of(noisy, batch_tokens, local_steps) if consortium.privacy and len(noisy) else None
    evidence = gather_evidence(known, group, replicates=replicates, seed=seed)
    return make_plan(evidence, named, consortium, habits, private)

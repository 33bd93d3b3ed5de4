"""Where the runs do not support a plan's answer."""

import numpy as np
import polars as pl

from analysis.planner.arm import Arm
from analysis.planner.consortium import Consortium
from analysis.planner.evidence import Evidence
from analysis.planner.schedule import Habits, Schedule
from analysis.planner.size import SizeChoice
from analysis.tables.run_table import RunTable
from analysis.uncertainty.intervals import Interval
from analysis.wording import count

_FRESH_PASSES = 4.0


def scope_of_intervals(table: RunTable) -> str:
    """What the plan's intervals hold, and what they do not."""
    number = ""
    if "patients" in table.rows.columns and (seen := table.rows["patients"].drop_nulls().to_list()):
        number = f" ({' to '.join(f'{end:,}' for end in dict.fromkeys([min(seen), max(seen)]))})"
    return (
        "intervals hold the scatter between runs only: neither the finite number of evaluated "
        f"patients{number} nor the choice of hospitals is in them"
    )


def cautions_of_choice(
    arm: Arm, choice: SizeChoice, optimum: Interval | None, evidence: Evidence, consortium: Consortium
) -> list[str]:
    """How the runs bind the choice, and how often it repeats patients.

    Parameters
    ----------
    arm : Arm
        Whose law chose.
    choice : SizeChoice
    optimum : Interval or None
        Of the law alone.
    evidence : Evidence
    consortium : Consortium
    """
    found = list(choice.notes)
    if optimum:
        size = optimum.estimate
        tokens = consortium.compute / float(evidence.token_cost(np.array([size]))[0])
        if not (arm.sizes[0] <= size <= arm.sizes[1] and arm.tokens[0] <= tokens <= arm.tokens[1]):
            sizes, budgets = (" to ".join(map(count, ends)) for ends in (arm.sizes, arm.tokens))
            found.append(
                f"the law alone is lowest at {count(size)} parameters and {count(tokens)} tokens, outside "
                f"what was trained ({sizes} and {budgets}): the choice is the best inside"
            )
    passes = choice.tokens / consortium.unique_tokens
    if arm.passes is None and passes > 1:
        found.append(
            "the runs do not say how often they passed over their patients (a column unique_tokens): what "
            f"{passes:.1f} passes are worth is not known"
        )
    if arm.passes is not None and passes > arm.passes * 1.01:
        found.append(
            f"{passes:.1f} passes over the patients, and the runs made at most {arm.passes:.1f}: what the "
            "further ones are worth is not known"
        )
    return found


def cautions_of_sites(arm: Arm, consortium: Consortium, habits: Habits, schedule: Schedule) -> list[str]:
    """How the consortium differs from the one that the runs federated."""
    found = []
    if consortium.sites != habits.replicas:
        found.append(
            f"the runs federated {habits.replicas} sites and the consortium has {consortium.sites}: no law "
            "here says what another number of sites changes"
        )
    if arm.passes is not None:
        unique = float(np.median(arm.rows["U"].drop_nulls().cast(pl.Float64).to_numpy()))
        times = consortium.unique_tokens / unique
        if not 1 / 1.5 < times < 1.5:
            found.append(
                f"the consortium has {times:.2g} times the unique tokens of the runs ({unique:.3g}): "
                "repetition, and so the law, would differ"
            )
    most = schedule.most_repeated
    if most.passes > _FRESH_PASSES:
        found.append(
            f"{most.site} passes over its patients {most.passes:.1f} times, since every site takes an equal "
            "share of a step: beyond about four, repeated tokens are worth less than fresh ones (arXiv "
            "2305.16264)"
        )
    return found

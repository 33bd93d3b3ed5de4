"""``wardlaw client plan-privacy``: what noise an epsilon takes, or what epsilon noise gives."""

import json
import math
from typing import Annotated, Any

import typer

from wardlaw.errors import ConfigError
from wardlaw.privacy.epsilon import LEAST_DELTA, epsilon_json, epsilon_text
from wardlaw.privacy.events import ACCOUNTANT, RELATION, UNIT
from wardlaw.privacy.plan import Plan


def plan_privacy(
    patients: Annotated[int, typer.Option(min=1, help="n: the site's train patients.")],
    batch: Annotated[int, typer.Option(min=1, help="B: patients that a step draws on average.")],
    steps: Annotated[int, typer.Option(min=1, help="T: steps of the whole training, all rounds together.")],
    delta: Annotated[float | None, typer.Option(help="Default: n^-1.1, below one in the patients.")] = None,
    epsilon: Annotated[float | None, typer.Option(help="Wanted; gives the noise.")] = None,
    noise: Annotated[float | None, typer.Option(help="Noise multiplier sigma; gives epsilon.")] = None,
    alternatives: Annotated[
        bool, typer.Option("--alternatives", help="Also other batches and steps at equal epsilon.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> None:
    """Plan private training at one site: noise for an epsilon, or epsilon of a noise."""
    # dp-accounting takes a second to import, which other commands need not wait for.
    from wardlaw.privacy.alternatives import at_equal_epsilon

    chosen = patients**-1.1 if delta is None else delta
    plan = _plan(patients, batch, steps, chosen, epsilon, noise)
    others = at_equal_epsilon(plan) if alternatives else ()
    delta_chosen = "patients^-1.1, the default" if delta is None else "as asked"
    account = {
        **_account(plan),
        "delta_chosen": delta_chosen,
        "unit": UNIT,
        "relation": RELATION,
        "accountant": ACCOUNTANT,
        **({"alternatives": [_account(other) for other in others]} if alternatives else {}),
    }
    typer.echo(
        json.dumps(account, indent=2, allow_nan=False) if as_json else _told(plan, others, delta_chosen)
    )


def _plan(
    patients: int, batch: int, steps: int, delta: float, epsilon: float | None, noise: float | None
) -> Plan:
    from wardlaw.privacy.calibration import plan_for_epsilon, plan_for_noise

    if batch > patients:
        raise ConfigError(
            f"a step cannot draw {batch} of {patients} patients", where="--batch", remedy="Lower --batch"
        )
    if not LEAST_DELTA <= delta < 1:
        raise ConfigError(
            f"delta must lie between {LEAST_DELTA:g} and 1, not {delta:g}",
            where="--delta",
            remedy="Take one below 1 / patients",
        )
    if noise is not None and not 0 < noise < math.inf:
        raise ConfigError(
            f"noise must be above 0 and finite, not {noise:g}", where="--noise", remedy="Take 1"
        )
    match epsilon, noise:
        case float(), None:
            return plan_for_epsilon(patients, batch, steps, delta, epsilon)
        case None, float():
            return plan_for_noise(patients, batch, steps, delta, noise)
    raise ConfigError("give exactly one of --epsilon and --noise", remedy="The other one is computed")


def _account(plan: Plan) -> dict[str, Any]:
    return {
        "patients": plan.patients,
        "batch": plan.batch,
        "steps": plan.steps,
        "delta": plan.delta,
        "sampling_rate": plan.sampling_rate,
        "noise_multiplier": plan.noise_multiplier,
        "noise_batch_ratio": plan.noise_batch_ratio,
        "epsilon": epsilon_json(plan.epsilon),
    }


def _told(plan: Plan, others: tuple[Plan, ...], delta_chosen: str) -> str:
    lines = [
        f"epsilon           {epsilon_text(plan.epsilon, '.4f')}",
        f"delta             {plan.delta:.3g} ({delta_chosen})",
        f"noise multiplier  {plan.noise_multiplier:.4f}",
        f"noise-batch ratio {plan.noise_batch_ratio:.3g}",
        f"sampling rate     {plan.sampling_rate:.4g} ({plan.batch} of {plan.patients} patients a step, "
        f"Poisson), {plan.steps} steps",
        f"unit              {UNIT}",
        f"neighbours        {RELATION}",
        f"accountant        {ACCOUNTANT}",
    ]
    if others:
        lines += ["", "At equal epsilon:", "   batch     steps   noise multiplier   noise-batch ratio"]
    for other in others:
        noise, ratio = other.noise_multiplier, other.noise_batch_ratio
        lines.append(f"{other.batch:8d}  {other.steps:8d}   {noise:16.4f}   {ratio:17.3g}")
    return "\n".join(lines)

"""What a statement's page says of audits."""

import math

from wardlaw.privacy.audits import Attack, Audit
from wardlaw.privacy.epsilon import epsilon_text
from wardlaw.privacy.statement import PrivacyStatement, is_refuted


def mechanism_text(statement: PrivacyStatement) -> list[str]:
    """Verdict on the code that took private steps; nothing where there were none."""
    audit, used = statement.mechanism_audit, statement.implementation
    if statement.basis == "nothing":
        return []
    if audit is None or used is None:
        return [
            "No audit of the code is known here: `wardlaw simulate audit-mechanism --out FILE` makes one, "
            "`wardlaw simulate audit --mechanism FILE` takes it over for simulated runs of the same code."
        ]
    verdict = "REFUTED what is claimed" if audit.refuted else "did not refute what is claimed"
    caught = ", ".join(name for name, seen in audit.catches.items() if seen) or "none"
    missed = f" It would have missed: {', '.join(audit.missed)}." if audit.missed else ""
    return [
        f"An audit of the same sources ({used.code[:16]}), engine ({used.engine}), draws ({used.sampling}), "
        f"clipping ({used.clipping}), precision ({used.precision}) and device ({used.device}) {verdict}, at "
        f"{percent(audit.false_alarm)} false alarms: {audit.canaries} patients made up for it, "
        f"q {audit.sampling_rate:g}, sigma {audit.noise_multiplier:g}, {audit.steps} steps. These have "
        f"epsilon {epsilon_text(audit.epsilon)} at delta {audit.delta:.3g}, and at least "
        f"{audit.epsilon_at_least:.3g} was seen.",
        f"The same audit catches, of mechanisms broken on purpose: {caught}.{missed}",
        "It is of the code and not of this run's noise, and what it did not find may still be there.",
    ]


def attacks_text(statement: PrivacyStatement) -> list[str]:
    """What membership inference found of a run's models."""
    audit = statement.audit
    if audit is None:
        return ["No attack was tried on these models: `wardlaw simulate audit` tries one on simulated runs."]
    return [
        f"Guesses by a score, {audit.score}, of who was trained on. An attack that fails proves nothing: "
        "another may not.",
        *(f"- {_attack(attack, audit, statement)}" for attack in audit.attacks),
        *(
            f"- {found.replica}: how far the embedding's rows moved tells {found.present} codes that its "
            f"patients have from {found.absent} that none has with AUROC {found.auroc:.3f}."
            for found in audit.presence
        ),
    ]


def _attack(attack: Attack, audit: Audit, statement: PrivacyStatement) -> str:
    finest = "" if attack.resolved else f" (so few others resolve no rate below {1 / attack.others:.2g})"
    beyond = is_refuted(statement) and attack.epsilon_at_least > (statement.epsilon or 0.0)
    return (
        f"{attack.replica}: {attack.members} trained on, {attack.others} not. AUROC {attack.auroc:.3f}; of "
        f"those trained on {percent(attack.true_positive_rate)} found [{percent(attack.low)}, "
        f"{percent(attack.high)}] where {percent(attack.false_positive_rate)} of the others are wrongly "
        f"taken for one{finest}. Epsilon is at least {attack.epsilon_at_least:.3g} at delta "
        f"{audit.delta:.3g}, with 99 % confidence"
        f"{': MORE THAN IS PROMISED ABOVE, which is refuted' if beyond else ''}."
    )


def percent(share: float) -> str:
    """Never more precise than the figure: 100 % only where it is."""
    return f"{math.floor(share * 10_000) / 100:g} %" if share > 0.99 else f"{100 * share:.3g} %"

"""A statement of privacy as a page that a data protection officer can read."""

import math
import textwrap
from collections.abc import Sequence

from wardlaw.privacy.statement import (
    Attack,
    Audit,
    Coordinator,
    PrivacyStatement,
    ServerShare,
    SiteShare,
    is_refuted,
)

WIDTH = 96

FALSE_ALARMS = 0.001
"""Rate at which an epsilon is said in the words of guesses."""

NO_BOUND = "none: the noise is too small for any bound of use"


def text_of(statement: PrivacyStatement) -> str:
    """The whole statement in plain words, lines of ``WIDTH`` but for its tables."""
    sections = [
        ("Statement of privacy", [_subject(statement)]),
        ("What is promised", _promise(statement)),
        ("How", _mechanism(statement)),
        ("What each site's patients paid", _sites(statement)),
        ("What left the sites", _releases(statement)),
        ("What is not covered", [f"- {sentence}" for sentence in statement.not_covered]),
        ("What the coordinator sees", _coordinator(statement.coordinator)),
        ("Client-level privacy, at the server", _server(statement.server)),
        ("What attackers learnt", _audit(statement)),
    ]
    return "\n\n".join(_section(title, paragraphs) for title, paragraphs in sections if paragraphs) + "\n"


def most_found(epsilon: float, delta: float, false_alarms: float = FALSE_ALARMS) -> float:
    """Largest true-positive rate of an attacker at a rate of false alarms.

    The trade-off of any (epsilon, delta)-private mechanism: Kairouz et al., arXiv 1311.0776, theorem 2.1.

    Examples
    --------
    >>> most_found(0.0, 0.0)
    0.001
    >>> round(most_found(8.0, 1e-6), 4)
    0.9997
    """
    if epsilon > 700:
        return 1.0
    by_ratio = math.exp(epsilon) * false_alarms + delta
    return min(1.0, by_ratio, 1 - math.exp(-epsilon) * (1 - delta - false_alarms))


def _section(title: str, paragraphs: Sequence[str]) -> str:
    body = "\n".join(_wrapped(paragraph) for paragraph in paragraphs)
    return f"{title.upper()}\n{body}"


def _wrapped(paragraph: str) -> str:
    if paragraph.startswith("|"):
        return paragraph[1:]
    hanging = "  " if paragraph.startswith("- ") else ""
    return textwrap.fill(paragraph, WIDTH, subsequent_indent=hanging, break_long_words=False)


def _subject(statement: PrivacyStatement) -> str:
    run = f"Run {statement.name or statement.run[:16]}, fingerprint {statement.run}."
    what = run if statement.run else "All runs that the ledger of this site knows."
    patients = {True: " The patients are synthetic.", False: "", None: ""}[statement.synthetic]
    return what + patients


def _promise(statement: PrivacyStatement) -> list[str]:
    if statement.basis == "nothing":
        return [
            "Nothing, of any patient: no gradient was clipped and no noise was added. Whoever has the models "
            "may be able to tell who was in the training set, and parts of what is in a record."
        ]
    if statement.basis == "elsewhere":
        return [
            "Each site added noise before anything left it, and keeps the account of what its patients paid "
            "in its own ledger. How many patients a site has, and so its epsilon, is not known here: "
            "`wardlaw client budget statement` says it at the site."
        ]
    return [_epsilon(statement), *_stands_for(statement)]


def _epsilon(statement: PrivacyStatement) -> str:
    if statement.epsilon is None or statement.delta is None:
        return f"No epsilon: {NO_BOUND.removeprefix('none: ')}. Read it as no promise."
    found = most_found(statement.epsilon, statement.delta)
    largest = ", the largest of the sites'" if len(statement.sites) > 1 else ""
    return (
        f"Epsilon {statement.epsilon:.4g} at delta {statement.delta:.3g}{largest}. In other words: whoever "
        "sees everything that epsilon covers and guesses of a patient whether he was there, wrongly of "
        f"at most 1 in {1 / FALSE_ALARMS:.0f} who were not, is right of at most {_percent(found)} of those "
        f"who were. A blind guess is right of {_percent(FALSE_ALARMS)}."
    )


def _stands_for(statement: PrivacyStatement) -> list[str]:
    if statement.stands_for == 1:
        return []
    k, other = statement.stands_for, statement.stands_for_epsilon
    price = "no epsilon of use, or more patients a step than there are" if other is None else f"{other:.4g}"
    return [
        f"The run is a stand-in: it drew 1/{k} of the patients a step with 1/{k} of the noise of the run "
        f"that it stands for, at the same ratio of noise to batch. The epsilon above is its own. "
        f"The run that it stands for would cost epsilon {price} at these sites."
    ]


def _mechanism(statement: PrivacyStatement) -> list[str]:
    rows = {
        "mechanism": statement.mechanism,
        "unit": statement.unit,
        "neighbours": statement.relation,
        "sampling": statement.sampling,
        "noise": _number(statement.noise_multiplier, "times the clipping norm, on a step's sum (sigma)"),
        "noise / batch": _number(statement.noise_batch_ratio, "(sigma / B)"),
        "clipping norm": _number(statement.clip_norm, f"({statement.clipping})"),
        "accountant": statement.accountant,
        "rests on": _BASIS[statement.basis],
    }
    if statement.basis == "nothing":
        rows = {name: rows[name] for name in ("mechanism", "sampling")}
    return [f"|  {name:14} {value}" for name, value in rows.items() if value]


_BASIS = {
    "nothing": "",
    "ledgers": "the sites' ledgers alone",
    "settings": "the run's settings: no ledger takes part",
    "elsewhere": "the sites' ledgers, which are not to be seen from here",
}


def _number(value: float | None, unit: str) -> str | None:
    return None if value is None else f"{value:.4g} {unit}"


def _sites(statement: PrivacyStatement) -> list[str]:
    if not statement.sites:
        return []
    head = "|  site                  patients         q     sigma     steps   epsilon  of all in its ledger"
    return [head, *(f"|  {_site_row(share, statement.basis)}" for share in statement.sites)]


def _site_row(share: SiteShare, basis: str) -> str:
    ledger = _bound(share.ledger_epsilon) if basis == "ledgers" else "no ledger"
    return (
        f"{share.site:20.20}  {share.patients or '-':>8}  {_or_dash(share.sampling_rate)}"
        f"  {_or_dash(share.noise_multiplier)}  {share.steps:8d}  {_bound(share.epsilon)}  {ledger:>20}"
    )


def _bound(epsilon: float | None) -> str:
    return f"{'no bound' if epsilon is None else f'{epsilon:.4g}':>8}"


def _or_dash(value: float | None) -> str:
    return f"{'-' if value is None else f'{value:.4g}':>8}"


def _releases(statement: PrivacyStatement) -> list[str]:
    told = {True: "covered by epsilon", False: "NOT covered by epsilon"}
    return [f"|  {release.name} ({release.times}): {told[release.covered]}" for release in statement.releases]


def _coordinator(coordinator: Coordinator | None) -> list[str]:
    if coordinator is None:
        return []
    if coordinator.sees == "updates":
        return [
            "Each site's update by itself, in every round. What is promised above holds against the "
            "coordinator, too; what is not, it can look for in each update."
        ]
    return [
        f"Sums of the updates of {coordinator.least_summed} sites or more, and none by itself (secure "
        "aggregation). This is no differential privacy: it adds nothing to what is promised above.",
        *(f"- Not covered: {sentence}" for sentence in coordinator.not_covered),
    ]


def _server(server: ServerShare | None) -> list[str]:
    if server is None:
        return []
    limit = f", limit {server.epsilon_limit:g}" if server.epsilon_limit else ""
    rows = {
        "unit": server.unit,
        "neighbours": server.relation,
        "mechanism": server.mechanism,
        "noise": f"{server.noise_multiplier:.4g} times the clipping norm {server.clip_norm:.4g} on the sum "
        f"of {server.sites} sites",
        "epsilon": f"{_bound(server.epsilon).strip()} at delta {server.delta:.3g} for "
        f"{server.releases} models{limit}",
    }
    return [
        *(f"|  {name:14} {value}" for name, value in rows.items()),
        *(f"- Not covered: {sentence}" for sentence in server.not_covered),
    ]


def _audit(statement: PrivacyStatement) -> list[str]:
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
        f"those trained on {_percent(attack.true_positive_rate)} found [{_percent(attack.low)}, "
        f"{_percent(attack.high)}] where {_percent(attack.false_positive_rate)} of the others are wrongly "
        f"taken for one{finest}. Epsilon is at least {attack.epsilon_at_least:.3g} at delta "
        f"{audit.delta:.3g}, with 99 % confidence"
        f"{': MORE THAN IS PROMISED ABOVE, which is refuted' if beyond else ''}."
    )


def _percent(share: float) -> str:
    """Never more precise than the figure: 100 % only where it is."""
    return f"{math.floor(share * 10_000) / 100:g} %" if share > 0.99 else f"{100 * share:.3g} %"

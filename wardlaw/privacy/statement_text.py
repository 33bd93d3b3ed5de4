"""A statement of privacy as a page that a data protection officer can read."""

import math
import textwrap
from collections.abc import Sequence

from wardlaw.privacy.audit_text import attacks_text, mechanism_text, percent
from wardlaw.privacy.coordinator import Coordinator
from wardlaw.privacy.epsilon import epsilon_text
from wardlaw.privacy.statement import PrivacyStatement, ServerShare, SiteShare

WIDTH = 96

FALSE_ALARMS = 0.001
"""Rate at which an epsilon is said in the words of guesses."""


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
        ("Whether the code is what the accountant assumes", mechanism_text(statement)),
        ("What attackers learnt of the models", attacks_text(statement)),
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
        return "No site is known that trained, and so no epsilon."
    largest = ", the largest of the sites'" if len(statement.sites) > 1 else ""
    told = f"Epsilon {epsilon_text(statement.epsilon)} at delta {statement.delta:.3g}{largest}."
    if math.isinf(statement.epsilon):
        return f"{told} The noise is too small to hold any attacker back: read it as no promise."
    found = most_found(statement.epsilon, statement.delta)
    return (
        f"{told} In other words: whoever "
        "sees everything that epsilon covers and guesses of a patient whether he was there, wrongly of "
        f"at most 1 in {1 / FALSE_ALARMS:.0f} who were not, is right of at most {percent(found)} of those "
        f"who were. A blind guess is right of {percent(FALSE_ALARMS)}."
    )


def _stands_for(statement: PrivacyStatement) -> list[str]:
    if statement.stands_for == 1:
        return []
    k, other = statement.stands_for, statement.stands_for_epsilon
    price = (
        "draw more patients a step than there are" if other is None else f"cost epsilon {epsilon_text(other)}"
    )
    return [
        f"The run is a stand-in: it drew 1/{k} of the patients a step with 1/{k} of the noise of the run "
        f"that it stands for, at the same ratio of noise to batch. The epsilon above is its own. "
        f"At these sites the run that it stands for would {price}."
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
    head = (
        "|  site                  patients         q     sigma     steps           epsilon"
        "  of all in its ledger"
    )
    return [head, *(f"|  {_site_row(share)}" for share in statement.sites)]


def _site_row(share: SiteShare) -> str:
    paid = share.ledger_epsilon
    return (
        f"{share.site:20.20}  {share.patients or '-':>8}  {_or_dash(share.sampling_rate)}"
        f"  {_or_dash(share.noise_multiplier)}  {share.steps:8d}  {epsilon_text(share.epsilon):>16}"
        f"  {'no ledger' if paid is None else epsilon_text(paid):>20}"
    )


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
    fewest = coordinator.fewest_summed
    smallest = f" The smallest sum of this run had {fewest} of {coordinator.sites}." if fewest else ""
    return [
        f"Sums of the updates of {coordinator.least_summed} sites or more, and none by itself (secure "
        f"aggregation: {coordinator.protocol}, {coordinator.neighbours} neighbours, threshold "
        f"{coordinator.threshold}).{smallest} A hospital can insist on more by `minimum-summed`. This is no "
        "differential privacy: it adds nothing to what is promised above, and takes nothing from it.",
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
        "epsilon": f"{epsilon_text(server.epsilon)} at delta {server.delta:.3g} for "
        f"{server.releases} models{limit}",
    }
    return [
        *(f"|  {name:14} {value}" for name, value in rows.items()),
        *(f"- Not covered: {sentence}" for sentence in server.not_covered),
    ]

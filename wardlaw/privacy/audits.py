"""What audits found: of a run's models, and of the code that trained them."""

from collections.abc import Iterator

from wardlaw.privacy.epsilon import Epsilon
from wardlaw.privacy.events import UNIT
from wardlaw.privacy.part import Part


class AttackFigures(Part):
    """How well a score tells members from others.

    Attributes
    ----------
    members, others : int
    auroc : float
        Probability that a member scores higher, ties counting half; 0.5 is a coin.
    false_positive_rate : float
        Share of the others at which the next figure is read. Figures on average hide what an attacker
        knows for sure of a few (Carlini et al., arXiv 2112.03570, section IV).
    true_positive_rate, low, high : float
        Share of members above the threshold, and its 95 % Clopper-Pearson interval for this threshold.
    resolved : bool
        Whether there are enough others for the rate: with fewer than 1 / rate of them no
        other may score above the threshold, which is then that of a larger rate.
    """

    members: int
    others: int
    auroc: float
    false_positive_rate: float
    true_positive_rate: float
    low: float
    high: float
    resolved: bool


class Attack(AttackFigures):
    """Membership inference on one final model: members are the patients who were trained on.

    Attributes
    ----------
    replica : str
    epsilon_at_least : float
        What training has at the least, at the audit's delta: for all models of the run together with 99 %
        confidence.
    """

    replica: str
    epsilon_at_least: float


class Presence(Part):
    """Whether a model's embedding tells which codes its patients have.

    Attributes
    ----------
    replica : str
    present, absent : int
        Tokens of the vocabulary that a train patient has, and that none has.
    auroc : float
        Of how far a token's row turned in training; 0.5 is a coin.
    """

    replica: str
    present: int
    absent: int
    auroc: float


class Audit(Part):
    """What attackers learnt from a run's final models. It bounds nothing from above."""

    unit: str = UNIT
    score: str = "minus the mean loss of a patient"
    delta: float
    attacks: tuple[Attack, ...]
    presence: tuple[Presence, ...] = ()


class Implementation(Part):
    """What takes private steps: an audit of one says nothing of another.

    Attributes
    ----------
    code : str
        SHA-256 of the sources that a site runs.
    engine : str
        What computes clipped gradients.
    sampling : str
        How a step's patients are drawn.
    clipping : str
    precision : str
    device : str
        Type of the processor.
    torch : str
        Version of PyTorch.
    """

    code: str
    engine: str
    sampling: str
    clipping: str
    precision: str
    device: str
    torch: str


class MechanismAudit(Part):
    """Verdict on private training's own code, of canaries that it trained on.

    It is held against a claim at its own sampling rate, noise and steps, not at a run's: what it tells of a
    run is that its code does what the accountant assumes.

    Attributes
    ----------
    implementation : Implementation
    canaries : int
        Patients made up for it, a half of them members by chance.
    sampling_rate, noise_multiplier : float
    steps : int
    seed : int
    delta : float
    epsilon : float
        Claimed of these steps.
    epsilon_at_least, epsilon_at_least_one_run : float
        What the canaries show, by two rates and by one run, each wrong with probability ``false_alarm`` at
        most.
    refuted : bool
    false_alarm : float
        Probability at most that a true claim is refuted.
    catches : dict of str to bool
        Broken mechanisms by name, and whether the same audit refutes them.
    """

    implementation: Implementation
    canaries: int
    sampling_rate: float
    noise_multiplier: float
    steps: int
    seed: int
    delta: float
    epsilon: Epsilon
    epsilon_at_least: float
    epsilon_at_least_one_run: float
    refuted: bool
    false_alarm: float
    catches: dict[str, bool]

    @property
    def missed(self) -> list[str]:
        """Broken mechanisms that this audit would not have noticed."""
        return [name for name, caught in self.catches.items() if not caught]


def differences(audited: Implementation, used: Implementation) -> Iterator[str]:
    """In what an audited implementation is not the one that was used."""
    for name in Implementation.model_fields:
        one, other = getattr(audited, name), getattr(used, name)
        if one != other:
            yield f"{name} {one[:16]}, not {other[:16]}"

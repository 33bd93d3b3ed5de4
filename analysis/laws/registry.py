"""Every law by its name."""

from analysis.laws.allocation import Allocation
from analysis.laws.broken_power import BrokenPower
from analysis.laws.chinchilla import Chinchilla
from analysis.laws.data_constrained import DataConstrained
from analysis.laws.error_from_loss import ErrorExponential, MetricLogistic
from analysis.laws.federated import Federated
from analysis.laws.joint import Joint
from analysis.laws.kaplan import Kaplan
from analysis.laws.law import ScalingLaw
from analysis.laws.loss_to_loss import LossToLoss
from analysis.laws.overtraining import Overtraining
from analysis.laws.power_law import (
    PowerLaw,
    PowerLawOfCompute,
    PowerLawOfTokens,
    PurePowerLaw,
    PurePowerLawOfCompute,
    PurePowerLawOfTokens,
)
from analysis.laws.private import Private, PrivatePower
from analysis.laws.private_draws import PrivateDraws
from analysis.laws.private_sigmoid import PrivateSigmoid
from analysis.laws.replicas import ReplicasExponent, ReplicasOffset, ReplicasPower, ReplicasSum
from wardlaw.errors import RecordError

LAWS: dict[str, type[ScalingLaw]] = {
    law.name: law
    for law in (
        PurePowerLaw,
        PowerLaw,
        PurePowerLawOfTokens,
        PowerLawOfTokens,
        PurePowerLawOfCompute,
        PowerLawOfCompute,
        BrokenPower,
        Chinchilla,
        Kaplan,
        Overtraining,
        DataConstrained,
        Allocation,
        ReplicasPower,
        ReplicasOffset,
        ReplicasExponent,
        ReplicasSum,
        Federated,
        Private,
        PrivatePower,
        PrivateSigmoid,
        PrivateDraws,
        Joint,
        LossToLoss,
        ErrorExponential,
        MetricLogistic,
    )
}


def find_law(name: str) -> type[ScalingLaw]:
    """A law by name.

    Raises
    ------
    RecordError
        If there is none of that name.
    """
    if name not in LAWS:
        raise RecordError(f"there is no law '{name}'", where="--law", remedy=f"Use one of {', '.join(LAWS)}")
    return LAWS[name]

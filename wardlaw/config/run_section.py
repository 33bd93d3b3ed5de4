"""[run]: which experiment this is."""

from typing import Literal

from wardlaw.config.base import Section, location

Topology = Literal["federated", "centralised", "local"]


class RunSection(Section):
    """Identity of a run.

    Attributes
    ----------
    name : str
        For people; not part of the fingerprint.
    records : str
        Folder under which the run's record folder is made; absolute in a deployment,
        where nobody knows the working directory of a ServerApp.
    seed : int
        Root of every random stream (``wardlaw.seeds``).
    topology : {"federated", "centralised", "local"}
        ``centralised`` trains one replica on the union of the sites' shards;
        ``local`` trains a replica a site that never communicates; ``federated``
        trains a replica a site and averages them every ``local-steps`` steps.
    """

    name: str = location("run")
    records: str = location("runs")
    seed: int = 0
    topology: Topology = "federated"

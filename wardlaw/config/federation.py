"""[federation]: rounds, quorum and deadlines."""

from pydantic import Field

from wardlaw.config.base import Section


class FederationSection(Section):
    """How sites take part.

    Attributes
    ----------
    replicas : int
        Sites that train at the same time (M). A federation with more sites draws
        M of them a round; one with fewer is refused.
    local_steps : int
        Optimiser steps of a site between two averages (H).
    quorum : int
        Valid replies without which a round fails and the former model stays.
    failed_rounds : int
        Consecutive failed rounds after which the run stops, resumable.
    round_deadline_s, wait_for_sites_s : float
        Seconds that a round waits for replies, and the start for sites.
    """

    replicas: int = Field(default=4, ge=1)
    local_steps: int = Field(default=20, ge=1)
    quorum: int = Field(default=1, ge=1)
    failed_rounds: int = Field(default=3, ge=1)
    round_deadline_s: float = Field(default=3600.0, gt=0)
    wait_for_sites_s: float = Field(default=600.0, gt=0)

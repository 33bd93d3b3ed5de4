"""A round whose update the server sees as it is."""

from flwr.app import RecordDict

from client.local_round import train_round
from client.site import Site
from wardlaw.errors import PolicyError


def train_in_the_open(content: RecordDict, site: Site) -> RecordDict:
    """Answer ``train``, unless the run has said that updates are seen in sums only.

    Raises
    ------
    PolicyError
        If it has.
    """
    if site.config.secagg.enabled:
        raise PolicyError(
            "an update of this run leaves the site masked, or not at all", where="secagg.enabled = true"
        )
    return train_round(content, site)

"""Sites and a server of secure aggregation, stage by stage in a loop, without messages."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np

from client.secagg import stages
from client.secagg.session import SiteSession
from server.secagg.session import (
    MaskedSum,
    announce,
    gather_shares,
    require_agreement,
    require_survivors,
    unmask,
)
from wardlaw.privacy.keystream import new_key
from wardlaw.secagg.keys import commitment
from wardlaw.secagg.roster import Member, receipt
from wardlaw.secagg.signing import sign

SITES = ("ash", "birch", "cedar", "elm", "fir", "oak")


@dataclass
class Loop:
    """A session in which sites are lost before they answer a stage."""

    levels: Mapping[str, np.ndarray]
    threshold: int = 3
    degree: int = 5
    lost: Mapping[str, Collection[str]] = field(default_factory=dict)
    seen: list[np.ndarray] = field(default_factory=list)

    def run(self, session: str = "s") -> tuple[np.ndarray, list[str]]:
        """Unmasked sum, and the sites in it."""
        keys = {site: new_key() for site in self.levels}
        kept: dict[str, SiteSession] = {}
        roster: dict[str, Member] = {}
        for site in self._alive(self.levels, "set-up"):
            kept[site], roster[site] = stages.set_up(site, session, keys[site])
        announced = announce(session, self.threshold, self.degree, roster)

        ciphertexts, commitments = {}, {}
        for site in self._alive(roster, "share"):
            kept[site], ciphertexts[site] = stages.share(kept[site], roster, self.degree, self.threshold)
            commitments[site] = commitment(kept[site].seed, session)
        shared = gather_shares(announced, ciphertexts, commitments)

        summed = MaskedSum(next(iter(self.levels.values())).size)
        for site in self._alive(ciphertexts, "mask"):
            kept[site] = stages.hold(kept[site], shared.ciphertexts_for(site))
            masked = stages.masked(kept[site], self.levels[site])
            self.seen.append(masked)
            summed.add(site, masked, sign(keys[site], *receipt(announced.digest, site)))
        require_survivors(shared, summed.survivors)

        agreements = {}
        for site in self._alive(summed.survivors, "agree"):
            kept[site], agreements[site] = stages.agree(kept[site], summed.receipts, keys[site])
        require_agreement(announced, agreements)

        shares = {
            site: stages.shares_for_unmasking(kept[site], agreements)
            for site in self._alive(agreements, "unmask")
        }
        return unmask(shared, summed, shares), summed.survivors

    def _alive(self, sites, stage):
        return [site for site in sites if site not in self.lost.get(stage, ())]

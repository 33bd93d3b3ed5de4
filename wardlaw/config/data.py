"""[data]: which shards a run reads."""

from typing import Literal

from wardlaw.config.base import Section, location


class DataSection(Section):
    """Shards of a run.

    Attributes
    ----------
    federation : str
        Folder of a local federation (``federation.json`` and ``sites/``), read by
        simulations only: in a deployment each site's ``site.toml`` names its shard.
    digest : str
        SHA-256 of that folder's ``federation.json``; empty means not pinned.
    tokenizer : str
        Fingerprint of the tokeniser that every shard must have been made with;
        empty means that the sites only have to agree with each other.
    vocabulary : {"existing", "fitted"}
        Whether the sites' shards are there already, or are made first with a
        vocabulary fitted across the sites (``query.sketch``, ``query.tokenize``).
    scheme : {"ethos", "fused"}
        Tokeniser's scheme where the vocabulary is fitted.
    sites : str
        Comma-separated site names that take part; empty means all.
    """

    federation: str = location("")
    digest: str = ""
    tokenizer: str = ""
    vocabulary: Literal["existing", "fitted"] = "existing"
    scheme: Literal["ethos", "fused"] = "ethos"
    sites: str = ""

    @property
    def site_names(self) -> tuple[str, ...]:
        """Names in ``sites``, sorted; empty when all take part."""
        return tuple(sorted(name.strip() for name in self.sites.split(",") if name.strip()))

"""A federation on one machine: a folder a site, and what they were made from.

The sites' policies are ordinary ``site.toml`` files, so that a simulated site is
read by the same code as a deployed one (``client.site``).
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from wardlaw.config import RunConfig, load_site_policy
from wardlaw.config.site import SitePolicy
from wardlaw.errors import DataError
from wardlaw.files import file_sha256, write_text_atomically

MANIFEST = "federation.json"


@dataclass(frozen=True)
class FederationManifest:
    """What a federation folder holds.

    Attributes
    ----------
    name : str
    synthetic : bool
        Whether any site's patients are generated.
    scheme, tokenizer : str
        Tokeniser's scheme and fingerprint, the same at every site.
    sites : dict[str, str]
        SHA-256 of each site's shard manifest (which holds its files' digests), by name.
    """

    name: str
    synthetic: bool
    scheme: str
    tokenizer: str
    sites: dict[str, str]


def site_folder(federation: Path, site: str) -> Path:
    """Folder of one site."""
    return federation / "sites" / site


def save_federation(federation: Path, manifest: FederationManifest) -> None:
    """Write ``federation.json``; its digest then identifies all tokens of all sites."""
    write_text_atomically(
        federation / MANIFEST, json.dumps(asdict(manifest), indent=2, sort_keys=True) + "\n"
    )


def load_federation(federation: Path) -> FederationManifest:
    """Read ``federation.json``."""
    path = federation / MANIFEST
    try:
        return FederationManifest(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(
            f"not a federation folder ({type(error).__name__})",
            where=str(path),
            remedy="Make one with `wardlaw simulate prepare`, of ECG with `wardlaw simulate prepare-ecg`",
        ) from None


def federation_digest(federation: Path) -> str:
    """SHA-256 of ``federation.json``, which a run's ``data.digest`` pins."""
    return file_sha256(federation / MANIFEST)


def participating_policies(config: RunConfig) -> list[SitePolicy]:
    """Policies of the sites that take part in a run, by name.

    Raises
    ------
    DataError
        If the folder is not the one that the run was pinned to, or lacks a site.
    """
    federation = Path(config.data.federation)
    manifest = load_federation(federation)
    if config.data.digest and config.data.digest != federation_digest(federation):
        raise DataError(
            "data.digest is that of another federation",
            where=str(federation / MANIFEST),
            remedy="Its sites were prepared anew since; start a new study",
        )
    names = config.data.site_names or tuple(sorted(manifest.sites))
    if unknown := set(names) - manifest.sites.keys():
        raise DataError(f"no site called {', '.join(sorted(unknown))}", where=str(federation))
    return [load_site_policy(site_folder(federation, name) / "site.toml") for name in names]


def write_site(federation: Path, site: str, *, meds: Path | None = None, shard: Path | None = None) -> None:
    """Write a site's ``site.toml`` beside the place of its state.

    A MEDS root, or a shard of ECG, stays where it is; the policy points to it. Nothing leaves a
    simulated site, so its counts are exact and its patients may be few.
    """
    folder = site_folder(federation, site)
    folder.mkdir(parents=True, exist_ok=True)
    lines: dict[str, str | int] = {
        "site": site,
        **({"meds": os.path.relpath(meds, folder.resolve())} if meds else {}),
        "tokens": os.path.relpath(shard, folder.resolve()) if shard else "tokens",
        "state": "state",
        "count-rounding": 1,
        "minimum-patients": 1,
    }
    text = "".join(f"{key} = {json.dumps(value)}\n" for key, value in lines.items())
    write_text_atomically(folder / "site.toml", text)

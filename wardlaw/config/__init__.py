"""One schema for a run (``RunConfig``) and one for a site (``SitePolicy``)."""

from wardlaw.config.files import load_config, load_manifest, save_manifest
from wardlaw.config.flat import from_flat, to_flat
from wardlaw.config.run import RunConfig
from wardlaw.config.site import SitePolicy, load_site_policy

__all__ = [
    "RunConfig",
    "SitePolicy",
    "from_flat",
    "load_config",
    "load_manifest",
    "load_site_policy",
    "save_manifest",
    "to_flat",
]

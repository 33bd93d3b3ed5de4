"""Engines by their name in a run's settings."""

from importlib import import_module

from client.privacy.engine import Engine
from wardlaw.config import RunConfig

# By name, since Opacus takes seconds to import and most runs do not use it.
ENGINES = {
    "loop": ("client.privacy.patient_loop", "patient_loop"),
    "batched": ("client.privacy.per_sample.batched", "batched"),
    "hooks": ("client.privacy.opacus_engines", "hooks"),
    "ghost": ("client.privacy.opacus_engines", "ghost"),
    "fast-gradient": ("client.privacy.opacus_engines", "fast_gradient"),
}
AUTOMATIC = {"ehr": "loop", "ecg": "batched"}


def engine_of(config: RunConfig) -> Engine:
    """What computes clipped gradients in a run."""
    named = config.privacy.engine
    module, name = ENGINES[AUTOMATIC[config.model.reads] if named == "auto" else named]
    engine: Engine = getattr(import_module(module), name)
    return engine

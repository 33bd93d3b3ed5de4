"""Engines by their name in a run's settings."""

from importlib import import_module

from client.privacy.engine import Engine
from wardlaw.config import RunConfig

# By name, since Opacus takes seconds to import and most runs do not use it.
ENGINES = {
    "loop": ("client.privacy.patient_loop", "patient_loop"),
    "batched ehr": ("client.privacy.per_sample.packed", "packed"),
    "batched ecg": ("client.privacy.per_sample.batched", "batched"),
    "hooks": ("client.privacy.opacus_engines", "hooks"),
    "ghost": ("client.privacy.opacus_engines", "ghost"),
    "fast-gradient": ("client.privacy.opacus_engines", "fast_gradient"),
}


def engine_of(config: RunConfig) -> Engine:
    """What computes clipped gradients in a run."""
    return engine_named(engine_name(config))


def engine_name(config: RunConfig) -> str:
    """Name of a run's engine in ``ENGINES``."""
    wanted = config.privacy.engine
    if wanted == "auto":
        # Within compiled blocks layers cannot be watched.
        wanted = "loop" if config.train.compile else "batched"
    return f"batched {config.model.reads}" if wanted == "batched" else wanted


def engine_named(engine_name: str) -> Engine:
    """Load an engine."""
    module, name = ENGINES[engine_name]
    engine: Engine = getattr(import_module(module), name)
    return engine

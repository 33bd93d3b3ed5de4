"""What stands against training a model privately, all at once and before it starts."""

from collections.abc import Callable

from opacus.validators import ModuleValidator
from torch import nn

from wardlaw.config import RunConfig
from wardlaw.config.objective import COUPLED
from wardlaw.errors import ConfigError


def offences(model: nn.Module, config: RunConfig) -> list[str]:
    """Reasons why noise on the model's gradients would not make them private; none if it would.

    Parameters
    ----------
    model : Module
    config : RunConfig
        Of the run that trains it.
    """
    return [
        *coupled_objective(config),
        *layers_that_mix_patients(model),
        *complex_parameters(model),
        *buffers_from_data(model),
        *compiled(config),
    ]


def require_private(model: nn.Module, config: RunConfig) -> None:
    """Refuse a model that cannot be trained privately.

    Raises
    ------
    ConfigError
        With all offences.
    """
    found = offences(model, config)
    if found:
        raise ConfigError(
            f"this cannot be trained privately: {'; '.join(found)}",
            "privacy.mechanism",
            "Choose another objective or model, or privacy.mechanism = 'none'.",
        )


def coupled_objective(config: RunConfig) -> list[str]:
    """An objective in which a patient's loss depends on the others of the batch."""
    name = config.objective.name
    return [f"objective.name = '{name}': {COUPLED[name]}"] if name in COUPLED else []


def layers_that_mix_patients(model: nn.Module) -> list[str]:
    """Layers by which a patient's output depends on the others, as Opacus knows them, trained or not."""
    found = ((path, module, rule_against(module)) for path, module in model.named_modules())
    return [
        f"{path} ({type(module).__name__}): {str(errors[0]).partition('. ')[0]}"
        for path, module, rule in found
        if rule is not None and (errors := rule(module))
    ]


def rule_against(module: nn.Module) -> Callable[[nn.Module], list[Exception]] | None:
    """Opacus's check of a layer of this type, or of what it is derived from."""
    known = ModuleValidator.VALIDATORS
    return next((known[kind] for kind in type(module).__mro__ if kind in known), None)


def complex_parameters(model: nn.Module) -> list[str]:
    """Complex parameters: noise of two parts, each of which needs the whole standard deviation."""
    return [
        f"{name} is complex, and would get noise short by a factor of sqrt(2)"
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and parameter.is_complex()
    ]


def buffers_from_data(model: nn.Module) -> list[str]:
    """Buffers of the state dict, which leave the site without noise."""
    kept = model.state_dict()
    return [
        f"{name} is a buffer, which leaves the site without noise"
        for name, _ in model.named_buffers()
        if name in kept
    ]


def compiled(config: RunConfig) -> list[str]:
    """Compiled blocks, within which layers cannot be watched; the loop over patients need not."""
    engine = config.privacy.engine
    looped = engine == "loop" or (engine == "auto" and config.model.family == "decoder")
    if not config.train.compile or looped:
        return []
    return [f"train.compile = true hides layers from privacy.engine = '{engine}'"]

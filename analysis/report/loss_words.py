"""What the losses of a study are, in words."""

from collections.abc import Iterable

from analysis.tables.measures import Measure
from analysis.tables.records import LOSSES, Runs


def measured(runs: Runs, unit: str) -> str:
    """What losses are counted in: ``nats per token``, or of ECG each objective's own."""
    return ", ".join(
        f"{measure.per(unit)} ({measure.objective})" if measure.sample == "sample" else measure.per(unit)
        for measure in runs.measures
    )


def pooled(runs: Runs, unit: str) -> str:
    """How sites are pooled: ``all nats over all tokens``."""
    scales = _listed(measure.scale for measure in runs.measures)
    return f"all {scales} over all {_listed(measure.words(unit) for measure in runs.measures)}"


def apart(runs: Runs) -> str:
    """What the second way to count parameters leaves out: embeddings, or an ECG objective's heads."""
    return _listed("heads" if measure.sample == "sample" else "embeddings" for measure in runs.measures)


def loss_headings(runs: Runs) -> tuple[str, ...]:
    """Headings of the two losses of a run: ``Nats/token`` and ``Nats/event``."""
    return tuple(_heading(list(runs.measures), unit) for unit in LOSSES)


def _heading(measures: list[Measure], unit: str) -> str:
    scale = _shared({measure.scale for measure in measures}, "loss")
    return f"{scale.capitalize()}/{_shared({measure.word(unit) for measure in measures}, 'target')}"


def _shared(words: set[str], otherwise: str) -> str:
    return words.pop() if len(words) == 1 else otherwise


def _listed(words: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(words))

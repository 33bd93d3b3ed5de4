"""``wardlaw simulate hospitals`` and ``wardlaw simulate oracle``."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from client.ehr.report import shown_progress
from simulations.synthetic.build import build_generator
from simulations.synthetic.floor import PatientNats, estimate_floor, patient_nats
from simulations.synthetic.hospitals import write_hospitals
from simulations.synthetic.parameters import parameters_of
from simulations.synthetic.process import load_generator
from wardlaw.config.files import parse_override
from wardlaw.vocabulary import Vocabulary


def hospitals(
    out: Annotated[Path, typer.Option(help="New folder: a MEDS root a hospital, and the generator.")],
    sites: Annotated[int, typer.Option(help="Number of hospitals.")] = 4,
    patients: Annotated[int, typer.Option(help="Patients of each hospital.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the process and its patients.")] = 0,
    settings: Annotated[
        list[str],
        typer.Option("--set", help="Another parameter of the process, e.g. case-mix=1.5; repeatable."),
    ] = [],  # noqa: B006
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Generate patients of hospitals that differ in case mix and coding habits."""
    chosen = {"sites": sites, "patients": patients, "seed": seed}
    parameters = parameters_of(chosen | dict(map(parse_override, settings)), "--set")
    with shown_progress(sys.stderr.isatty()) as progress:
        events = write_hospitals(out, build_generator(parameters), progress)
    if as_json:
        sites_written = {
            site: {"patients": parameters.patients, "events": count} for site, count in events.items()
        }
        typer.echo(json.dumps({"out": str(out), "synthetic": True, "sites": sites_written}, indent=2))
        return
    for site, count in events.items():
        typer.echo(f"{site}  {parameters.patients:>9,} patients  {count:>12,} events")
    typer.echo(f"synthetic: {out}")


def oracle(
    hospitals: Annotated[Path, typer.Option(help="Folder that `wardlaw simulate hospitals` wrote.")],
    vocabulary: Annotated[Path, typer.Option(help="vocabulary.json of the tokeniser.")],
    split: Annotated[str, typer.Option(help="train, tuning or held_out.")] = "held_out",
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Loss in nats of the true process on its own patients: what no model can beat."""
    generator = load_generator(hospitals)
    nats = patient_nats(hospitals, generator, Vocabulary.load(vocabulary), split)
    floors = {"pooled": _describe(nats, np.ones(len(nats.site), dtype=bool))}
    present = sorted(set(nats.site.tolist()))
    floors |= {generator.sites[site]: _describe(nats, nats.site == site) for site in present}
    if as_json:
        typer.echo(json.dumps({"split": split, "synthetic": True, "floors": floors}, indent=2))
        return
    typer.echo(f"{'':16}{'patients':>9}  {'site':7}{'nats/event':>20}{'nats/token':>20}")
    for name, floor in floors.items():
        for site in ("unknown", "known"):
            loss = floor[f"site_{site}"]
            per_event, per_token = (
                f"{loss[f'per_{of}']:.4f} +- {loss[f'per_{of}_error']:.4f}" for of in ("event", "token")
            )
            typer.echo(f"{name:16}{floor['patients']:>9,}  {site:7}{per_event:>20}{per_token:>20}")


def _describe(nats: PatientNats, chosen: "np.ndarray[Any, np.dtype[np.bool_]]") -> dict[str, Any]:
    tokens, events = nats.tokens[chosen], nats.events[chosen]
    return {
        "patients": int(chosen.sum()),
        "tokens": int(tokens.sum()),
        "events": int(events.sum()),
        "site_unknown": asdict(estimate_floor(nats.site_unknown[chosen], tokens, events)),
        "site_known": asdict(estimate_floor(nats.site_known[chosen], tokens, events)),
    }

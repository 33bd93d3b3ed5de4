"""``wardlaw simulate partition``."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from simulations.partition import partition_by_label, partition_by_quantity, partition_iid
from simulations.partition_roots import find_roots, label_patients, summarise_skew, write_partition


class Skew(StrEnum):
    """How the sites differ."""

    IID = "iid"
    DIRICHLET = "dirichlet"
    QUANTITY = "quantity"


def partition(
    meds: Annotated[Path, typer.Option(help="A MEDS root, or a folder of roots of one source.")],
    out: Annotated[Path, typer.Option(help="New folder: a MEDS root a site.")],
    by: Annotated[
        Skew,
        typer.Option(
            help="dirichlet: mix of diagnosis chapters; quantity: number of patients; iid: nothing."
        ),
    ],
    sites: Annotated[int, typer.Option(help="Number of sites.")] = 4,
    alpha: Annotated[float, typer.Option(help="Dirichlet concentration; small is more skew.")] = 0.5,
    seed: Annotated[int, typer.Option(help="Of the division.")] = 0,
    minimum: Annotated[int, typer.Option(help="Patients that every site must get.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print each site's skew as JSON.")] = False,
) -> None:
    """Divide the patients of MEDS roots into sites that differ by a known amount."""
    roots = find_roots(meds)
    labels = label_patients(roots)
    subjects = np.array(sorted(labels), dtype=np.int64)
    match by:
        case Skew.IID:
            divided = partition_iid(subjects, sites, seed=seed, minimum=minimum)
        case Skew.DIRICHLET:
            divided = partition_by_label(labels, sites, alpha=alpha, seed=seed, minimum=minimum)
        case Skew.QUANTITY:
            divided = partition_by_quantity(subjects, sites, alpha=alpha, seed=seed, minimum=minimum)
    described: dict[str, str | float] = {
        "partition": by.value,
        "sites": sites,
        "seed": seed,
        "minimum": minimum,
    }
    described |= {} if by is Skew.IID else {"alpha": alpha}
    write_partition(roots, divided, out, described)
    skew = summarise_skew(divided, labels)
    if as_json:
        typer.echo(json.dumps({**described, "out": str(out), "skew": skew}, indent=2))
        return
    typer.echo(f"{'':12}{'patients':>9}  distance of its mix of chapters from all patients'")
    for site, figures in skew.items():
        typer.echo(f"{site:12}{figures['patients']:>9,}  {figures['label_distance']:.3f}")

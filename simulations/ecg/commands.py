"""``wardlaw simulate ecg-hospitals``, ``ecg-oracle``, ``ecg-partition`` and ``prepare-ecg``."""

import json
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from client.ecg.shard import SPLITS, SignalShard
from simulations.ecg import prepare
from simulations.ecg.device_shift import DeviceShift, drawn_shift
from simulations.ecg.hospitals import hospitals_of, write_hospitals
from simulations.ecg.label_skew import drawn_cases, measured_cases
from simulations.ecg.oracle import best_auroc
from simulations.ecg.partition import numbered, rarest_classes, site_of_patient, write_partition
from simulations.ecg.shard_records import patients_of
from simulations.partition import partition_by_label, partition_by_quantity, partition_iid
from simulations.partition_roots import summarise_skew
from wardlaw.errors import ConfigError


class Kind(StrEnum):
    """How the sites of a partition differ."""

    DIRICHLET = "dirichlet"
    QUANTITY = "quantity"
    DEVICE = "device"


def ecg_hospitals(
    out: Annotated[Path, typer.Option(help="New folder: a generator.json a hospital.")],
    sites: Annotated[int, typer.Option(min=1, help="Number of hospitals.")] = 6,
    patients: Annotated[int, typer.Option(min=1, help="Patients of each, one record each.")] = 400,
    seed: Annotated[int, typer.Option(help="Of the hospitals and their patients.")] = 0,
    labels: Annotated[
        Path | None,
        typer.Option(help="CSV of site, age, gender and a column a SNOMED CT code: its sites' label skew."),
    ] = None,
    alpha: Annotated[
        float, typer.Option(help="Dirichlet concentration of the labels without --labels.")
    ] = 10.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the hospitals as JSON.")] = False,
) -> None:
    """Describe hospitals of synthetic ECG that differ in labels and devices."""
    if labels is not None:
        measured = measured_cases(labels, sites).items()
        cases = {f"synthetic-{name.replace('_', '-')}": case for name, case in measured}
        made_from = f"labels of {labels.name}"
    else:
        cases = {f"synthetic-{n:02d}": case for n, case in enumerate(drawn_cases(sites, alpha, seed))}
        made_from = f"Dirichlet, alpha {alpha:g}"
    hospitals = hospitals_of(cases, patients, seed)
    write_hospitals(out, hospitals, made_from)
    if as_json:
        described = {site.site: site.model_dump(by_alias=True) for site in hospitals}
        typer.echo(
            json.dumps({"out": str(out), "synthetic": True, "label_skew": made_from, "sites": described})
        )
        return
    for site in hospitals:
        device = site.device
        typer.echo(
            f"{site.site:32}{site.patients:>8,} patients  {device.rate:>5} Hz  "
            f"gain {1 + device.gain_error:.2f}  noise {device.noise:.2f}"
        )
    typer.echo(f"synthetic: {out}")


def ecg_oracle(
    hospitals: Annotated[Path, typer.Option(help="Folder that `wardlaw simulate ecg-hospitals` wrote.")],
    shard: Annotated[
        Path | None, typer.Option(help="Shard made of it; all generated patients if absent.")
    ] = None,
    split: Annotated[str, typer.Option(help="Split of --shard: train, tuning or held_out.")] = "held_out",
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """AUROC that the rule of the synthetic hospitals allows: what no model can beat but by chance."""
    if split not in SPLITS:
        raise ConfigError(f"no split is called {split!r}; splits are {', '.join(SPLITS)}", where="--split")
    aurocs = best_auroc(hospitals, SignalShard.open(shard) if shard else None, split)
    macro = float(np.mean(list(aurocs.values()))) if aurocs else None
    if as_json:
        typer.echo(json.dumps({"synthetic": True, "macro": macro, "auroc": aurocs}, indent=2))
        return
    for name, auroc in aurocs.items():
        typer.echo(f"{name:12}{auroc:8.4f}")
    typer.echo(f"{'macro':12}{macro:8.4f}" if macro is not None else "no label has positives and negatives")


def ecg_partition(
    shard: Annotated[Path, typer.Option(help="A signal shard.")],
    out: Annotated[Path, typer.Option(help="New folder: a shard a site.")],
    kind: Annotated[
        Kind,
        typer.Option(
            help="dirichlet: mix of classes; quantity: number of patients; "
            "device: gain, noise and bandwidth of alike sites."
        ),
    ],
    sites: Annotated[int, typer.Option(min=1, help="Number of sites.")] = 4,
    alpha: Annotated[float, typer.Option(help="Dirichlet concentration; small is more skew.")] = 0.5,
    seed: Annotated[int, typer.Option(help="Of the division and the devices.")] = 0,
    minimum: Annotated[int, typer.Option(help="Patients that every site must get.")] = 5,
    as_json: Annotated[bool, typer.Option("--json", help="Print each site as JSON.")] = False,
) -> None:
    """Divide the patients of a signal shard into sites that differ by a known amount."""
    source = SignalShard.open(shard)
    patients = rarest_classes(patients_of(source))
    labels = numbered(patients)
    everyone = np.array(sorted(labels), dtype=np.int64)
    match kind:
        case Kind.DIRICHLET:
            divided = partition_by_label(labels, sites, alpha=alpha, seed=seed, minimum=minimum)
        case Kind.QUANTITY:
            divided = partition_by_quantity(everyone, sites, alpha=alpha, seed=seed, minimum=minimum)
        case Kind.DEVICE:
            divided = partition_iid(everyone, sites, seed=seed, minimum=minimum)
    shifts: dict[str, DeviceShift] = {}
    if kind is Kind.DEVICE:
        shifts = {site: drawn_shift(site, seed) for site in divided}
    told = kind.value if kind is Kind.DEVICE else f"{kind.value} {alpha:g}"
    home = site_of_patient(divided, patients)
    made = write_partition(source, home, out, partition=told, seed=seed, shifts=shifts)
    skew = summarise_skew(divided, labels)
    if as_json:
        described = {
            site: skew[site]
            | {"records": {name: counts.records for name, counts in one.manifest.splits.items()}}
            | ({"device": asdict(shifts[site])} if shifts else {})
            for site, one in made.items()
        }
        typer.echo(
            json.dumps({"partition": told, "seed": seed, "out": str(out), "sites": described}, indent=2)
        )
        return
    typer.echo(f"{'':12}{'patients':>9}{'records':>9}  distance of its mix of classes from all patients'")
    for site, one in made.items():
        records = sum(counts.records for counts in one.manifest.splits.values())
        typer.echo(f"{site:12}{skew[site]['patients']:>9,}{records:>9,}  {skew[site]['label_distance']:.3f}")


def prepare_ecg(
    out: Annotated[Path, typer.Option(help="New federation folder.")],
    shards: Annotated[Path | None, typer.Option(help="Folder of signal shards, one a site.")] = None,
    shard: Annotated[
        list[Path] | None, typer.Option(help="A signal shard; repeatable, beside or instead of --shards.")
    ] = None,
    drop_shared: Annotated[
        bool, typer.Option("--drop-shared", help="Leave signals that two sites have out of the later one.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON.")] = False,
) -> None:
    """Make signal shards the sites of a federation."""
    folders = [*(prepare.find_shards(shards) if shards else []), *(shard or [])]
    if not folders:
        raise ConfigError("names no shard", where="--shards", remedy="Give --shards DIR or --shard PATH")
    manifest, shared = prepare.prepare_ecg_federation(folders, out, drop_shared=drop_shared)
    for pair in shared:
        typer.echo(f"{'dropped' if drop_shared else 'shared'}: {pair}", err=True)
    if as_json:
        typer.echo(json.dumps({**asdict(manifest), "shared": [str(pair) for pair in shared]}, indent=2))
        return
    typer.echo(f"{len(manifest.sites)} sites: {', '.join(manifest.sites)} -> {out}")

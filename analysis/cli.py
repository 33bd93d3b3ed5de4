"""``wardlaw analysis``: mounts the commands of this room."""

import typer

from analysis.fits.command import fit
from analysis.fits.joint_command import joint
from analysis.fits.select_command import select
from analysis.laws.command import laws
from analysis.report.command import report

app = typer.Typer(help="Fit, compare, extrapolate, plan and report runs.", no_args_is_help=True)
for command in (laws, fit, select, joint, report):
    app.command()(command)

"""``wardlaw analysis``: mounts the commands of this room."""

import typer

from analysis.comparison.command import compare
from analysis.fits.command import fit
from analysis.fits.joint_command import joint
from analysis.fits.select_command import select
from analysis.importance.command import importance
from analysis.isoflop.command import isoflop
from analysis.laws.command import laws
from analysis.planner.command import plan
from analysis.privacy.command import privacy
from analysis.report.command import report

app = typer.Typer(help="Fit, compare, extrapolate, plan and report runs.", no_args_is_help=True)
for command in (laws, fit, select, joint, compare, isoflop, importance, privacy, plan, report):
    app.command()(command)

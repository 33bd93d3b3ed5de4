"""The ServerApp: what Flower starts to coordinate a run."""

import logging
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from server.federation import run_federation
from wardlaw.config import from_flat
from wardlaw.errors import WardlawError

logger = logging.getLogger(__name__)

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Compute the run that Flower's ``run_config`` describes."""
    try:
        config = from_flat(context.run_config)
        run_federation(grid, config, Path(config.run.records))
    except WardlawError as error:
        # Raised again so that Flower marks the run as failed.
        logger.error("%s", error)
        raise

"""A federated run from its settings to its record, the same in every runtime."""

import logging
from pathlib import Path

from flwr.serverapp import Grid

from models.checkpoint import save_model
from models.counts import parameters
from server.census import Census
from server.checkpoint import Progress, Snapshot, newest_snapshot, save_snapshot
from server.common_vocabulary import fit_common_vocabulary, tokenise_everywhere
from server.evaluation import Evaluation, final_evaluation
from server.initial import initial_arrays, restored_model
from server.roster import Roster, wait_for_sites
from server.rounds import Federation, run_rounds
from strategies.registry import build_strategy
from wardlaw.config import RunConfig
from wardlaw.privacy.run_statement import run_statement
from wardlaw.privacy.statement_files import save_statement
from wardlaw.records import RunResult, finish, is_finished, open_record, write_table
from wardlaw.vocabulary import Vocabulary

logger = logging.getLogger(__name__)


def run_federation(grid: Grid, config: RunConfig, records: Path) -> Path:
    """Compute a federated run, or go on where it stopped.

    A run that was interrupted at any moment ends in the same weights as one that was
    not, bit for bit on a CPU.

    Parameters
    ----------
    grid : Grid
        Flower's way to the sites, of any runtime.
    config : RunConfig
    records : Path
        Folder of record folders.

    Returns
    -------
    Path
        The finished record's folder.

    Raises
    ------
    AdmissionError
        If the sites do not come, or do not fit together.
    RoundError
        If too many rounds fail; the run goes on from its last round when started again.
    CheckpointError
        If the record's checkpoints are damaged or another run's.
    """
    folder = open_record(records, config)
    if is_finished(folder):
        logger.info("finished before: %s", folder)
        return folder
    checkpoints = folder / "checkpoints"
    snapshot = newest_snapshot(checkpoints, config.fingerprint)
    roster, census = _assemble(grid, config, folder, snapshot.progress.sites if snapshot else ())
    federation_section = config.federation
    strategy = build_strategy(
        config.strategy,
        fingerprint=config.fingerprint,
        quorum=federation_section.quorum,
        reply_within_s=federation_section.round_deadline_s,
        sites=federation_section.replicas,
        # Beside the records and in none of them: a record is given away, the server's key is not.
        private_folder=records / ".server-private" / config.fingerprint[:16],
    )
    strategy.summary()
    if snapshot:
        logger.info("goes on after round %d", snapshot.progress.server_round)
        strategy.load_state(snapshot.state)
    else:
        arrays = initial_arrays(config, roster.vocabulary_size)
        snapshot = Snapshot(Progress(sites=roster.sites), arrays, {})
    strategy.require_rounds(config.rounds - snapshot.progress.server_round)

    def keep(following: Snapshot) -> None:
        # The table first: a crash in between leaves a row too many, which resuming replaces.
        write_table(folder, "rounds", following.progress.rows)
        save_snapshot(checkpoints, config.fingerprint, following)

    snapshot = run_rounds(Federation(grid, config, strategy, roster, census), snapshot, keep)
    evaluation = final_evaluation(grid, strategy, roster, census, snapshot.arrays, config)
    write_table(folder, "evaluation", evaluation.rows())
    save_model(
        restored_model(config, roster.vocabulary_size, snapshot.arrays),
        folder / "models" / "global",
        config.model.context,
    )
    statement = run_statement(config, synthetic=roster.synthetic, rounds=snapshot.progress.rows)
    save_statement(folder, statement)
    finish(folder, _totals(config, roster, snapshot.progress, evaluation))
    return folder


def _assemble(grid: Grid, config: RunConfig, folder: Path, former: tuple[str, ...]) -> tuple[Roster, Census]:
    """The run's sites, with their shards made first where the vocabulary is to be fitted."""
    roster, census = wait_for_sites(grid, config, former=former)
    if config.data.vocabulary == "existing":
        return roster, census
    sites = roster.participants(roster.sites)
    path = folder / "vocabulary.json"
    if not path.exists():
        fit_common_vocabulary(grid, config, sites, _log_refusal).save(path)
    vocabulary = Vocabulary.load(path)
    made = tokenise_everywhere(grid, config, sites, vocabulary, _log_refusal)
    return wait_for_sites(grid, config, former=former or made, tokenizer=vocabulary.fingerprint)


def _log_refusal(site: str, reason: str) -> None:
    logger.warning("%s has no part in the vocabulary: %s", site, reason)


def _totals(config: RunConfig, roster: Roster, progress: Progress, evaluation: Evaluation) -> RunResult:
    counted = parameters(config, roster.vocabulary_size)
    return RunResult(
        loss_per_token=evaluation.loss_per_token,
        loss_per_event=evaluation.loss_per_event,
        parameters=counted.total,
        non_embedding_parameters=counted.blocks,
        flops=progress.flops,
        tokens=progress.tokens,
        unique_tokens=sum(progress.examples.values()),
        wall_s=sum(row["wall_s"] for row in progress.rows),
        bytes_down=sum(row["bytes_down"] for row in progress.rows),
        bytes_up=sum(row["bytes_up"] for row in progress.rows),
        sites=len(progress.examples),
        synthetic=roster.synthetic,
    )

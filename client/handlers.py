"""What a site answers to each message of the protocol, as functions of content and site."""

import torch
from flwr.app import ConfigRecord, MetricRecord, RecordDict

from client.modalities import Shard, evaluate_shard, require_kind
from client.policy import require_allowed, require_evaluation_split, require_patients, rounded
from client.privacy.ledger import has_ledger
from client.privacy.limits import ledger_of
from client.privacy.private_round import arrays_digest
from client.site import Site, open_site_shard, tokenizer_of
from client.training.replica import training_device
from models.registry import build_model
from models.weights import load_weights
from wardlaw import protocol


def describe(content: RecordDict, site: Site) -> RecordDict:
    """Answer ``query.describe``: which tokeniser made the site's shard, whose files are verified here.

    A site whose vocabulary is yet to be fitted has no shard to describe.

    Raises
    ------
    ShardError
        If the shard is not what the run's model reads, or a file is not what it was.
    """
    if site.config.data.vocabulary == "fitted" and not tokenizer_of(content, site.config):
        return RecordDict()
    shard = open_site_shard(site.policy, tokenizer_of(content, site.config))
    require_kind(site.config, shard)
    require_patients(site.policy, shard.manifest.patients("train"))
    return describe_shard(shard)


def describe_shard(shard: Shard) -> RecordDict:
    """What the server must know of a shard before it builds a model."""
    described = ConfigRecord(
        {
            protocol.TOKENIZER: shard.manifest.tokenizer,
            protocol.VOCABULARY_SIZE: shard.manifest.vocabulary_size,
            protocol.SYNTHETIC: shard.manifest.synthetic,
        }
    )
    return RecordDict({protocol.ORIGIN: described})


def evaluate(content: RecordDict, site: Site) -> RecordDict:
    """Answer ``evaluate``: sums of the global model's loss on one split, to be pooled by the server."""
    require_allowed(site.policy, "evaluation")
    config = site.config
    order = content.config_records[protocol.CONFIG]
    shard = open_site_shard(site.policy, tokenizer_of(content, config), verify=False)
    split = str(order.get(protocol.SPLIT, config.evaluation.split))
    require_evaluation_split(split)
    # A loss on one or two patients is theirs.
    require_patients(site.policy, shard.manifest.patients(split))
    torch.set_num_threads(config.train.threads)
    model = build_model(config, shard.manifest.vocabulary_size)
    load_weights(model, content.array_records[protocol.ARRAYS])
    sums = evaluate_shard(model.to(training_device(config.train)), shard, split, config)
    if has_ledger(site.policy.state):
        # Whatever the run: no noise is on what leaves here.
        request = f"{config.fingerprint} {split} {arrays_digest(content.array_records[protocol.ARRAYS])}"
        ledger_of(site.policy).release(f"loss and counts of {split}", None, request)
    # Counts leave rounded; nats are scaled with the tokens, so that the loss per token is exact.
    tokens = rounded(site.policy, sums.tokens)
    return RecordDict(
        {
            protocol.METRICS: MetricRecord(
                {
                    protocol.NATS: sums.nats * tokens / sums.tokens if sums.tokens else 0.0,
                    protocol.TOKENS: tokens,
                    protocol.EVENTS: rounded(site.policy, sums.events),
                    protocol.PATIENTS: rounded(site.policy, sums.patients),
                }
            )
        }
    )

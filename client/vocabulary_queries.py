"""What a site answers while a common vocabulary is fitted and its shard made with it."""

from flwr.app import ConfigRecord, RecordDict

from client.ehr.meds_root import open_root
from client.ehr.summarise import summarise
from client.ehr.timeline import split_subjects
from client.ehr.tokenise import tokenise_root
from client.handlers import describe_shard
from client.policy import require_allowed, require_patients
from client.site import Site, open_site_shard
from wardlaw import protocol
from wardlaw.config.site import meds_root
from wardlaw.errors import ShardError
from wardlaw.vocabulary import Vocabulary


def sketch(content: RecordDict, site: Site) -> RecordDict:
    """Answer ``query.sketch``: the site's codes and values, coarsened above its own floor."""
    _require_vocabulary(site)
    policy = site.policy
    summary = summarise(
        meds_root(policy),
        site.config.data.scheme,
        floor=policy.code_floor,
        count_rounding=policy.count_rounding,
    )
    return RecordDict({protocol.PAYLOAD: ConfigRecord({protocol.BYTES: summary.to_bytes()})})


def tokenize(content: RecordDict, site: Site) -> RecordDict:
    """Answer ``query.tokenize``: the site's shard with the vocabulary sent, made unless it is there.

    Raises
    ------
    ShardError
        If the message has no vocabulary.
    """
    _require_vocabulary(site)
    vocabulary = Vocabulary.from_json(_payload(content).decode("utf-8"))
    try:
        shard = open_site_shard(site.policy, vocabulary.fingerprint)
    except ShardError:
        tokenise_root(meds_root(site.policy), vocabulary, site.policy.tokens, site=site.name)
        shard = open_site_shard(site.policy, vocabulary.fingerprint)
    return describe_shard(shard)


def _require_vocabulary(site: Site) -> None:
    require_allowed(site.policy, "vocabulary")
    require_patients(site.policy, len(split_subjects(open_root(meds_root(site.policy)), "train")))


def _payload(content: RecordDict) -> bytes:
    payload = content.config_records.get(protocol.PAYLOAD, ConfigRecord()).get(protocol.BYTES)
    if not isinstance(payload, bytes):
        raise ShardError("the message has no vocabulary")
    return payload

"""The words that server and sites exchange: message types, record and key names.

Names follow Flower's own (``arrays``, ``config``, ``metrics``, ``num-examples``,
``server-round``, ``proximal-mu``), so that stock strategies understand our sites.

A site's reply always has an ``origin`` record: the site's name, the run's
fingerprint and the round it answers, which the server checks before it reads on.

The words are those of EHR; a site of ECG uses the same. Its ``tokenizer`` is the fingerprint of its shard
(format, rate, leads, classes), ``vocabulary-size`` the number of classes, ``train-tokens`` and
``num-examples`` samples, and in an evaluation ``tokens`` are the objective's targets and ``events`` records.
It has no answer to ``query.sketch`` and ``query.tokenize``.
"""

# Message types (Flower: "<kind>" or "<kind>.<action>").
TRAIN = "train"
EVALUATE = "evaluate"
DESCRIBE = "query.describe"
SKETCH = "query.sketch"
TOKENIZE = "query.tokenize"

# Records of a message.
ARRAYS = "arrays"
CONFIG = "config"
METRICS = "metrics"
ORIGIN = "origin"
PAYLOAD = "payload"

# Keys of the ``config`` record that the server sends.
SERVER_ROUND = "server-round"
PROXIMAL_MU = "proximal-mu"
OLDEST_ROUND = "oldest-round"
SPLIT = "split"

# Keys of ``origin``.
SITE = "site"
FINGERPRINT = "fingerprint"

# Keys of ``metrics`` in a train reply.
NUM_EXAMPLES = "num-examples"
TRAIN_LOSS = "train-loss"
TRAIN_TOKENS = "train-tokens"
TRAIN_FLOPS = "train-flops"
TRAIN_SECONDS = "train-seconds"

# Keys of ``metrics`` in an evaluate reply: sums, so that the server can pool them exactly.
NATS = "nats"
TOKENS = "tokens"
EVENTS = "events"
PATIENTS = "patients"

# Keys of ``origin`` in a describe reply.
TOKENIZER = "tokenizer"
VOCABULARY_SIZE = "vocabulary-size"
SYNTHETIC = "synthetic"

# Key of ``payload``.
BYTES = "bytes"

"""The words of the four stages, beside those of ``wardlaw.protocol``.

Payloads of the first, second and last stage are config records keyed by site.
"""

# Message types (an action must be an identifier).
SETUP = "query.secagg_setup"
SHARE = "query.secagg_share"
MASK = "train.secagg"
UNMASK = "query.secagg_unmask"

# Keys of the ``config`` record that the server sends.
SESSION = "session"
SHARERS = "sharers"
SURVIVORS = "survivors"

# Records of a message or reply, by site: two public keys; a ciphertext; a share; a commitment.
KEYS = "keys"
CIPHERTEXTS = "ciphertexts"
SHARES = "shares"
COMMITMENT = "commitment"

# The one array of a masked update.
MASKED = "masked"

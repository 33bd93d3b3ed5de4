"""The words of the five stages, beside those of ``wardlaw.protocol``.

Payloads of all stages but the masked update itself are config records keyed by site.
"""

# Message types (an action must be an identifier).
SETUP = "query.secagg_setup"
SHARE = "query.secagg_share"
MASK = "train.secagg"
AGREE = "query.secagg_agree"
UNMASK = "query.secagg_unmask"

# Key of the ``config`` record that the server sends.
SESSION = "session"

# Records of a message or reply, by site: what a member tells of itself; a ciphertext; a commitment; what a
# survivor signed of its update, and of the sum; a share.
ROSTER = "roster"
CIPHERTEXTS = "ciphertexts"
COMMITMENT = "commitment"
RECEIPTS = "receipts"
AGREEMENTS = "agreements"
SHARES = "shares"

# The one array of a masked update.
MASKED = "masked"

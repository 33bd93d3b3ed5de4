"""What leaves a site when something goes wrong there: an error's code, and nothing else.

The text of an exception can name a patient (``KeyError: 10004235``), and Flower puts it
verbatim into the reply and the server's log. So no exception passes this boundary: the
reply has the code of one of our own errors, and the traceback goes to a file at the site
that only the site's user reads.
"""

import logging
import os
import traceback
from datetime import UTC, datetime
from pathlib import Path

from flwr.app import Context, Error, Message
from flwr.common.constant import ErrorCode

from client.site import resolve_site
from wardlaw.errors import WardlawError

ERROR_LOG = "errors.log"

logger = logging.getLogger(__name__)


def error_reply(error: Exception, message: Message, context: Context) -> Message:
    """Reply that says only that the site failed, and how by one of our codes.

    Parameters
    ----------
    error : Exception
        Kept at the site, in ``errors.log`` of the site's state folder.
    message : Message
        The message that could not be answered.
    context : Context
        Its context, which names the site.
    """
    code = error_code(error)
    try:
        place = log_at_site(error, message.metadata.message_type, context)
        logger.error("%s failed with %s; see %s", message.metadata.message_type, code, place)
    except Exception as failure:
        # An exception from here would carry the first one's text along. Our own errors about the
        # site's settings are raised before any patient is read, and their user must see them.
        why = failure if isinstance(failure, WardlawError) else type(failure).__name__
        logger.error("%s failed with %s; no error log: %s", message.metadata.message_type, code, why)
    return Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, code), reply_to=message)


def error_code(error: Exception) -> str:
    """Code of one of our errors; any other is the general one.

    Examples
    --------
    >>> from wardlaw.errors import ShardError
    >>> error_code(ShardError("patient 17 is broken")), error_code(KeyError(17))
    ('SHD', 'WRD')
    """
    return error.code if isinstance(error, WardlawError) else WardlawError.code


def log_at_site(error: Exception, request: str, context: Context) -> Path:
    """Append an error's traceback to the site's own log, mode 0600."""
    state = resolve_site(context).policy.state
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = state / ERROR_LOG
    text = "".join(traceback.format_exception(error))
    entry = f"{datetime.now(UTC).isoformat(timespec='seconds')} {request}\n{text}\n"
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as log:
        log.write(entry)
    return path

"""The border of a site: every message comes in here, and only these replies go out."""

from collections.abc import Callable

from flwr.app import ConfigRecord, Context, Message, RecordDict

from client.sanitize import error_reply
from client.site import Site, resolve_site
from wardlaw import protocol

Handler = Callable[[RecordDict, Site], RecordDict]


def answer(handle: Handler, message: Message, context: Context) -> Message:
    """Reply to a message, or say by a code alone that the site cannot.

    Parameters
    ----------
    handle : callable
        Makes the reply's records of the message's and the site.
    message : Message
    context : Context

    Returns
    -------
    Message
        The handler's records and an ``origin`` record: the site, the fingerprint of the
        settings that it received, and the round that it answers.
    """
    try:
        site = resolve_site(context)
        records = handle(message.content, site)
        order = message.content.config_records.get(protocol.CONFIG, ConfigRecord())
        origin = {
            protocol.SITE: site.name,
            protocol.FINGERPRINT: site.config.fingerprint,
            protocol.SERVER_ROUND: order.get(protocol.SERVER_ROUND, 0),
        }
        described = records.config_records.get(protocol.ORIGIN, ConfigRecord())
        records[protocol.ORIGIN] = ConfigRecord({**described, **origin})
        return Message(records, reply_to=message)
    except Exception as error:
        return error_reply(error, message, context)

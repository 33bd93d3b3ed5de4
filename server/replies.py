"""Messages out, replies back one at a time in the order of the sites."""

import time
from collections.abc import Iterator, Sequence

from flwr.app import Message
from flwr.serverapp import Grid

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.02, 0.25


def replies_in_order(grid: Grid, messages: Sequence[Message], deadline_s: float) -> Iterator[Message]:
    """Send all messages at once and take their replies in the order of the messages.

    A reply that is there already waits with the Grid until its turn, so that the server
    holds one at a time. A reply that is not there by the deadline is left out; each is
    looked for at least once, since a Grid in this process answers when it is asked.
    (Flower's own ``send_and_receive`` holds all replies, in the order of arrival, and
    sleeps 3 s between two looks.)

    Parameters
    ----------
    grid : Grid
    messages : sequence of Message
    deadline_s : float
        Seconds from now for all replies together.

    Returns
    -------
    iterator of Message
        Each may carry an error.
    """
    deadline = time.monotonic() + deadline_s
    # Flower gives no id to a message that it could not deliver.
    sent = [message_id for message_id in grid.push_messages(messages) if message_id]
    return _take(grid, sent, deadline)


def _take(grid: Grid, message_ids: list[str], deadline: float) -> Iterator[Message]:
    for message_id in message_ids:
        if reply := _wait_for(grid, message_id, deadline):
            yield reply
            del reply


def _wait_for(grid: Grid, message_id: str, deadline: float) -> Message | None:
    pause = FIRST_PAUSE_S
    while True:
        for reply in grid.pull_messages([message_id]):
            return reply
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        time.sleep(min(pause, left))
        pause = min(2 * pause, LONGEST_PAUSE_S)

from flwr.app import ConfigRecord, Message, RecordDict

from server.replies import replies_in_order
from tests.server.sites import NAMES, sites_of
from wardlaw import protocol


def describe_messages():
    content = RecordDict({protocol.CONFIG: ConfigRecord({protocol.SERVER_ROUND: 0})})
    return [Message(content, node, protocol.DESCRIBE) for node in range(3)]


def test_replies_come_in_the_order_of_the_messages_and_only_when_asked_for():
    sites = sites_of()
    replies = replies_in_order(sites.grid(), describe_messages()[::-1], 5.0)
    assert sites.asked == []
    first = next(replies)
    assert first.content[protocol.ORIGIN][protocol.SITE] == NAMES[2]
    assert len(sites.asked) == 1
    assert [reply.content[protocol.ORIGIN][protocol.SITE] for reply in replies] == [NAMES[1], NAMES[0]]


def test_a_reply_that_never_comes_is_left_out_and_those_after_it_are_not():
    sites = sites_of()
    grid = sites.grid()
    grid.silent = {NAMES[1]}
    replies = replies_in_order(grid, describe_messages(), 0.1)
    assert [reply.content[protocol.ORIGIN][protocol.SITE] for reply in replies] == [NAMES[0], NAMES[2]]


def test_a_message_that_flower_could_not_deliver_is_not_waited_for(monkeypatch):
    sites = sites_of()
    grid = sites.grid()
    push = grid.push_messages
    monkeypatch.setattr(grid, "push_messages", lambda messages: [None, *push(messages)[1:]])
    replies = replies_in_order(grid, describe_messages(), 60.0)
    assert [reply.content[protocol.ORIGIN][protocol.SITE] for reply in replies] == [NAMES[1], NAMES[2]]

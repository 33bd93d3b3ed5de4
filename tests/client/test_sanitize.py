"""A patient's number in an exception stays at the site."""

import logging
import stat

import pytest
from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects

from client.answer import answer
from client.site import resolve_site
from simulations.grid import InProcessGrid, WireGrid
from wardlaw import protocol
from wardlaw.config import RunConfig, to_flat
from wardlaw.errors import DataError, PolicyError

CANARY = "patient-10004235-canary"


def app_with(handle) -> ClientApp:
    app = ClientApp()

    @app.query("describe")
    def on_describe(message: Message, context: Context) -> Message:
        return answer(handle, message, context)

    return app


def ask(handle, folder, kind=InProcessGrid) -> tuple[Message, dict]:
    flat = to_flat(RunConfig.model_validate({"data": {"federation": str(folder)}}))
    grid = kind(app_with(handle), 1, flat)
    order = ConfigRecord({protocol.SERVER_ROUND: 3})
    message = Message(RecordDict({protocol.CONFIG: order}), 0, protocol.DESCRIBE)
    (reply,) = grid.send_and_receive([message])
    return reply, flat


def fail_plainly(content, site):
    {}[CANARY]


def fail_with_a_cause(content, site):
    try:
        {}[CANARY]
    except KeyError as error:
        raise DataError(f"no row of {CANARY}", where=CANARY, remedy=CANARY) from error


def fail_by_policy(content, site):
    raise PolicyError(f"{CANARY} is alone")


class CanaryError(DataError):
    code = "DAT"


def fail_with_a_telling_class(content, site):
    raise type(CANARY, (CanaryError,), {})(CANARY)


@pytest.mark.parametrize("kind", [InProcessGrid, WireGrid])
@pytest.mark.parametrize(
    ("handle", "code"),
    [
        (fail_plainly, "WRD"),
        (fail_with_a_cause, "DAT"),
        (fail_by_policy, "POL"),
        (fail_with_a_telling_class, "DAT"),
    ],
)
def test_only_a_code_leaves_and_the_rest_is_in_the_sites_own_log(
    random_federation, caplog, capfd, handle, code, kind
):
    folder = random_federation(sites=1)
    with caplog.at_level(logging.DEBUG):
        reply, _ = ask(handle, folder, kind)
    assert reply.has_error()
    assert reply.error.reason == code
    sent = b"".join(part.deflate() for part in get_all_nested_objects(reply).values())
    assert CANARY.encode() not in sent
    assert CANARY not in caplog.text
    assert CANARY not in "".join(capfd.readouterr())
    log = folder / "sites/site-0/state/errors.log"
    assert CANARY in log.read_text()
    assert "Traceback" in log.read_text()
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert stat.S_IMODE(log.parent.stat().st_mode) == 0o700


def test_a_log_that_cannot_be_written_changes_nothing(random_federation, caplog):
    folder = random_federation(sites=1)
    # A file where the state folder should be.
    (folder / "sites/site-0/state").write_text("")
    reply, _ = ask(fail_plainly, folder)
    assert reply.error.reason == "WRD"
    assert CANARY not in caplog.text


def test_a_site_that_cannot_be_resolved_says_so_by_code(tmp_path, caplog):
    reply, _ = ask(fail_plainly, tmp_path / "nowhere")
    assert reply.error.reason == "SHD"
    assert "federation folder" in caplog.text


def test_a_reply_says_which_site_run_and_round_it_is_of(random_federation):
    folder = random_federation(sites=1)
    reply, flat = ask(lambda content, site: RecordDict(), folder)
    context = Context(
        run_id=1, node_id=0, node_config={"partition-id": 0}, state=RecordDict(), run_config=flat
    )
    assert dict(reply.content[protocol.ORIGIN]) == {
        protocol.SITE: "site-0",
        protocol.FINGERPRINT: resolve_site(context).config.fingerprint,
        protocol.SERVER_ROUND: 3,
    }


def test_what_a_handler_describes_cannot_replace_the_origin(random_federation):
    def pretend(content, site):
        return RecordDict({protocol.ORIGIN: ConfigRecord({protocol.SITE: "another", "more": 1})})

    reply, _ = ask(pretend, random_federation(sites=1))
    assert reply.content[protocol.ORIGIN][protocol.SITE] == "site-0"
    assert reply.content[protocol.ORIGIN]["more"] == 1

"""The ClientApp: what a hospital's node runs for each message."""

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from client.answer import answer
from client.handlers import describe, evaluate
from client.secagg.handlers import agree_on_sum, help_unmask, mask_update, set_up_session, share_keys
from client.secagg.open_round import train_in_the_open
from client.vocabulary_queries import sketch, tokenize

app = ClientApp()


@app.query("describe")
def on_describe(message: Message, context: Context) -> Message:
    """Which site this is, and what its shard was made with."""
    return answer(describe, message, context)


@app.query("sketch")
def on_sketch(message: Message, context: Context) -> Message:
    """The site's part of a common vocabulary."""
    return answer(sketch, message, context)


@app.query("tokenize")
def on_tokenize(message: Message, context: Context) -> Message:
    """Make the site's shard with the common vocabulary."""
    return answer(tokenize, message, context)


@app.train()
def on_train(message: Message, context: Context) -> Message:
    """A round's local steps, for a server that sees the model they lead to."""
    return answer(train_in_the_open, message, context)


@app.query("secagg_setup")
def on_secagg_setup(message: Message, context: Context) -> Message:
    """Fresh keys of a session of secure aggregation."""
    return answer(set_up_session, message, context)


@app.query("secagg_share")
def on_secagg_share(message: Message, context: Context) -> Message:
    """Shares of the site's keys for its neighbours."""
    return answer(share_keys, message, context)


@app.train("secagg")
def on_secagg_train(message: Message, context: Context) -> Message:
    """A round's local steps, for a server that sees the sum over all sites."""
    return answer(mask_update, message, context)


@app.query("secagg_agree")
def on_secagg_agree(message: Message, context: Context) -> Message:
    """Agree to the sites of the sum."""
    return answer(agree_on_sum, message, context)


@app.query("secagg_unmask")
def on_secagg_unmask(message: Message, context: Context) -> Message:
    """Help to take the masks off the sum."""
    return answer(help_unmask, message, context)


@app.evaluate()
def on_evaluate(message: Message, context: Context) -> Message:
    """Loss of the global model on the site's patients."""
    return answer(evaluate, message, context)

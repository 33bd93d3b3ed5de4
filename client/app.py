"""The ClientApp: what a hospital's node runs for each message."""

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from client.answer import answer
from client.handlers import describe, evaluate
from client.local_round import train_round
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
    """A round's local steps."""
    return answer(train_round, message, context)


@app.evaluate()
def on_evaluate(message: Message, context: Context) -> Message:
    """Loss of the global model on the site's patients."""
    return answer(evaluate, message, context)

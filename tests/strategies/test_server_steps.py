"""Each strategy over several rounds against a loop over numbers, PyTorch, or Flower's own."""

import math

import numpy as np
import pytest
import torch
from flwr.app import ArrayRecord, ConfigRecord, Message
from flwr.serverapp import strategy as flower
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies.fedadam import FedAdam
from strategies.fedavg import FedAvg
from strategies.fedavgm import FedAvgM
from strategies.fednesterov import FedNesterov
from strategies.fedprox import FedProx
from strategies.guarded import Guard
from tests.strategies.replies import FINGERPRINT, ask, play_round, reply_content
from wardlaw import protocol

GUARD = Guard(FINGERPRINT)
SITES = ("ash", "birch", "cedar")
ROUNDS = 5


def start():
    generator = np.random.default_rng(3)
    return {
        "a": generator.standard_normal((2, 3)).astype(np.float32),
        "b": generator.standard_normal(4).astype(np.float32),
    }


def local_models(model, server_round, *, spread=0.3):
    """What the sites make of a model in a round, and their weights."""
    generator = np.random.default_rng(server_round)
    return {
        site: (
            {
                name: (array + spread * generator.standard_normal(array.shape)).astype(np.float32)
                for name, array in model.items()
            },
            10 * (index + 1),
        )
        for index, site in enumerate(SITES)
    }


def weighted_mean(replies, name, place):
    total = sum(weight for _, weight in replies.values())
    return math.fsum(weight * float(arrays[name].flat[place]) for arrays, weight in replies.values()) / total


def play(strategy, *, rounds=ROUNDS):
    """Models after each round, with the replies that led there."""
    model, history = start(), []
    for server_round in range(1, rounds + 1):
        replies = local_models(model, server_round)
        following = play_round(strategy, model, replies, server_round=server_round)
        assert following is not None
        history.append((model, replies, following))
        model = following
    return history


def assert_follows(strategy, step):
    """Every number of every round is what ``step(w, mean, state)`` gives, rounded to float32."""
    states = {}
    for model, replies, following in play(strategy):
        for name, array in model.items():
            for place in range(array.size):
                state = states.setdefault((name, place), {})
                expected = step(float(array.flat[place]), weighted_mean(replies, name, place), state)
                assert following[name].flat[place] == pytest.approx(expected, rel=1e-6, abs=1e-7)


def test_fedavg_is_the_mean():
    assert_follows(FedAvg(GUARD), lambda w, mean, state: mean)


def test_fedavgm_is_the_papers_recursion():
    def step(w, mean, state):
        state["v"] = 0.9 * state.get("v", 0.0) + (w - mean)
        return w - 0.7 * state["v"]

    assert_follows(FedAvgM(GUARD, server_learning_rate=0.7, server_momentum=0.9), step)


def test_fedadam_is_the_papers_recursion():
    eta, beta_1, beta_2, tau = 0.02, 0.9, 0.99, 1e-3

    def step(w, mean, state):
        delta = mean - w
        state["m"] = beta_1 * state.get("m", 0.0) + (1 - beta_1) * delta
        state["v"] = beta_2 * state.get("v", tau**2) + (1 - beta_2) * delta**2
        return w + eta * state["m"] / (math.sqrt(state["v"]) + tau)

    strategy = FedAdam(GUARD, server_learning_rate=eta, beta_1=beta_1, beta_2=beta_2, tau=tau)
    assert_follows(strategy, step)


@pytest.mark.parametrize(("eta", "beta"), [(0.7, 0.9), (1.0, 0.5), (0.4, 0.0)])
def test_fednesterov_is_pytorchs_sgd(eta, beta):
    """DiLoCo's outer optimiser is ``torch.optim.SGD(nesterov=True)`` on w - mean."""
    strategy = FedNesterov(GUARD, server_learning_rate=eta, server_momentum=beta)
    parameters = {name: torch.tensor(array, dtype=torch.float64) for name, array in start().items()}
    optimiser = torch.optim.SGD(parameters.values(), lr=eta, momentum=beta, nesterov=beta > 0)
    for model, replies, following in play(strategy):
        for name, parameter in parameters.items():
            mean = [weighted_mean(replies, name, place) for place in range(parameter.numel())]
            # The model travels in float32, so that both start a round from the same numbers.
            parameter.copy_(torch.from_numpy(model[name]))
            parameter.grad = parameter - torch.tensor(mean, dtype=torch.float64).reshape(parameter.shape)
        optimiser.step()
        for name, parameter in parameters.items():
            expected = parameter.numpy().astype(np.float32)
            np.testing.assert_allclose(following[name], expected, rtol=1.3e-7, atol=0)


def flower_round(strategy, model, replies, server_round):
    messages = ask(FedAvg(GUARD), model, replies, server_round=server_round)
    if getattr(strategy, "current_arrays", model) is None:
        # What its configure_train would keep, had it a Grid to sample from.
        strategy.current_arrays = messages[0].content[protocol.ARRAYS]
    answers = [
        Message(reply_content(site, arrays, examples=weight), reply_to=message)
        for message, (site, (arrays, weight)) in zip(messages, replies.items(), strict=True)
    ]
    for answer in answers:
        del answer.content[protocol.ORIGIN]
    following, _ = strategy.aggregate_train(server_round, answers)
    return {name: array.numpy() for name, array in following.items()}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (FedAvg(GUARD), flower.FedAvg()),
        (FedProx(GUARD, proximal_mu=0.1), flower.FedProx(proximal_mu=0.1)),
        (
            FedAvgM(GUARD, server_learning_rate=0.7, server_momentum=0.9),
            flower.FedAvgM(server_learning_rate=0.7, server_momentum=0.9),
        ),
    ],
    ids=["fedavg", "fedprox", "fedavgm"],
)
def test_flowers_own_strategy_agrees(ours, theirs):
    model = start()
    for server_round in range(1, ROUNDS + 1):
        replies = local_models(model, server_round)
        found = play_round(ours, model, replies, server_round=server_round)
        expected = flower_round(theirs, model, replies, server_round)
        for name in model:
            np.testing.assert_allclose(found[name], expected[name], rtol=2e-5, atol=2e-6)
        model = expected


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.0, 10.0))
def test_fedavgm_without_momentum_and_fedprox_are_fedavg(seed, mu):
    generator = np.random.default_rng(seed)
    model = {"a": generator.standard_normal(50).astype(np.float32)}
    replies = {
        site: ({"a": generator.standard_normal(50).astype(np.float32)}, int(generator.integers(1, 10**6)))
        for site in SITES
    }
    average = play_round(FedAvg(GUARD), model, replies)["a"]
    momentum = FedAvgM(GUARD, server_learning_rate=1.0, server_momentum=0.0)
    nesterov = FedNesterov(GUARD, server_learning_rate=1.0, server_momentum=0.0)
    # w - (w - mean) leaves mean up to the rounding of w in float64.
    bound = 2e-15
    for strategy in (momentum, nesterov):
        np.testing.assert_allclose(
            play_round(strategy, model, replies)["a"], average, rtol=1.2e-7, atol=bound
        )
    assert play_round(FedProx(GUARD, proximal_mu=mu), model, replies)["a"].tobytes() == average.tobytes()


def test_fedprox_tells_the_sites_mu():
    for mu in (0.0, 0.25):
        messages = ask(FedProx(GUARD, proximal_mu=mu), start(), SITES)
        assert [message.content[protocol.CONFIG][protocol.PROXIMAL_MU] for message in messages] == [mu] * 3
    assert protocol.PROXIMAL_MU not in ask(FedAvg(GUARD), start(), SITES)[0].content[protocol.CONFIG]


def every_strategy():
    return [
        FedAvg(GUARD),
        FedProx(GUARD, proximal_mu=0.1),
        FedAvgM(GUARD, server_learning_rate=0.7, server_momentum=0.9),
        FedNesterov(GUARD, server_learning_rate=0.7, server_momentum=0.9),
        FedAdam(GUARD, server_learning_rate=0.02, beta_1=0.9, beta_2=0.99, tau=1e-3),
    ]


@pytest.mark.parametrize("index", range(5), ids=[type(s).__name__ for s in every_strategy()])
def test_state_that_is_saved_and_loaded_goes_on_to_the_bit(index):
    straight = play(every_strategy()[index])
    first, second = every_strategy()[index], every_strategy()[index]
    model = play(first, rounds=2)[-1][2]
    second.load_state({name: array.copy() for name, array in first.state_arrays().items()})
    for server_round in range(3, ROUNDS + 1):
        model = play_round(second, model, local_models(model, server_round), server_round=server_round)
    for name, array in straight[-1][2].items():
        assert model[name].tobytes() == array.tobytes()


def test_state_is_exact():
    strategy = every_strategy()[4]
    play(strategy)
    state = strategy.state_arrays()
    assert sorted(state) == [
        "first_moment/a",
        "first_moment/b",
        "second_moment/a",
        "second_moment/b",
    ]
    assert all(array.dtype == np.float64 for array in state.values())


def test_settings_reach_the_log(caplog):
    with caplog.at_level("INFO"):
        every_strategy()[4].summary()
    assert "FedAdam" in caplog.text
    assert "tau 0.001" in caplog.text


def test_the_callers_settings_are_left_alone():
    order = ConfigRecord({protocol.OLDEST_ROUND: 3})
    strategy = FedProx(GUARD, proximal_mu=0.5)
    ask(strategy, start(), SITES)
    record = ArrayRecord(list(start().values()))
    messages = strategy.configure_train(4, record, order, None)
    assert dict(order) == {protocol.OLDEST_ROUND: 3}
    assert dict(messages[0].content[protocol.CONFIG]) == {
        protocol.OLDEST_ROUND: 3,
        protocol.PROXIMAL_MU: 0.5,
        protocol.SERVER_ROUND: 4,
        protocol.FINGERPRINT: FINGERPRINT,
    }

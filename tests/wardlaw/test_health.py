"""Health as a gRPC health client sees it."""

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from wardlaw.deployment.environment import free_port
from wardlaw.deployment.health import serve_health
from wardlaw.errors import ConfigError


def status(port: int) -> int:
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        return health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=10).status


def test_each_check_asks_anew():
    answers = iter([True, False, True])
    port = free_port()
    with serve_health(port, lambda: next(answers)):
        seen = [status(port) for _ in range(3)]
    serving, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
    assert seen == [serving, not_serving, serving]


def test_it_ends_with_the_block():
    port = free_port()
    with serve_health(port, lambda: True):
        pass
    with pytest.raises(grpc.RpcError):
        status(port)


def test_a_taken_port_is_one_clear_error():
    port = free_port()
    with serve_health(port, lambda: True), pytest.raises(ConfigError, match="taken"):  # noqa: SIM117
        with serve_health(port, lambda: True):
            pass

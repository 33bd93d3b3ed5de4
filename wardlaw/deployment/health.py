"""Truthful health by the standard protocol, grpc.health.v1 (``grpc_health_probe``, Kubernetes)."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from wardlaw.deployment.environment import LOOPBACK
from wardlaw.errors import ConfigError


class _Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    def __init__(self, is_serving: Callable[[], bool]) -> None:
        self._is_serving = is_serving

    def Check(self, request: object, context: object) -> health_pb2.HealthCheckResponse:  # noqa: N802
        kind = health_pb2.HealthCheckResponse
        return kind(status=kind.SERVING if self._is_serving() else kind.NOT_SERVING)


@contextmanager
def serve_health(port: int | None, is_serving: Callable[[], bool]) -> Iterator[None]:
    """Answer health checks on a loopback port while the block runs.

    Parameters
    ----------
    port : int or None
        None serves nothing.
    is_serving : callable
        Asked at each check, from another thread.

    Raises
    ------
    ConfigError
        If the port is taken.
    """
    if port is None:
        yield
        return
    server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
    health_pb2_grpc.add_HealthServicer_to_server(_Health(is_serving), server)
    try:
        server.add_insecure_port(f"{LOOPBACK}:{port}")
    except RuntimeError:
        raise ConfigError(f"port {port} is taken", where="--health-port") from None
    server.start()
    try:
        yield
    finally:
        server.stop(grace=None).wait()

"""Certificates as a TLS client and Flower's SuperLink judge them."""

import ssl
import stat
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from server.deployment.certificates import make_certificates, require_certificates
from server.deployment.waiting import is_healthy
from wardlaw.errors import ConfigError


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()

    def log_message(self, *_):
        pass


def serve(folder):
    server = HTTPServer(("127.0.0.1", 0), Answer)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    # The handshake is the connection's own thread's work, as a refused one raises.
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def test_the_server_is_trusted_under_its_own_authority_and_no_other(tmp_path):
    make_certificates(tmp_path / "ours", ["fl.example"])
    make_certificates(tmp_path / "theirs", ["fl.example"])
    server = serve(tmp_path / "ours")
    try:
        assert is_healthy(server.server_port, tmp_path / "ours/ca.crt")
        assert not is_healthy(server.server_port, tmp_path / "theirs/ca.crt")
    finally:
        server.shutdown()


def test_a_second_call_keeps_the_authority_and_renews_the_server(tmp_path):
    make_certificates(tmp_path, ["a.example"])
    authority, old = (tmp_path / "ca.crt").read_bytes(), (tmp_path / "server.crt").read_bytes()
    make_certificates(tmp_path, ["b.example"])
    assert (tmp_path / "ca.crt").read_bytes() == authority
    assert (tmp_path / "server.crt").read_bytes() != old
    server = serve(tmp_path)
    try:
        assert is_healthy(server.server_port, tmp_path / "ca.crt")
    finally:
        server.shutdown()


def test_private_keys_are_for_the_owner_only(tmp_path):
    make_certificates(tmp_path, [])
    for name in ("ca.key", "server.key"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_a_missing_certificate_names_the_command_that_makes_it(tmp_path):
    with pytest.raises(ConfigError, match="wardlaw server certificates"):
        require_certificates(tmp_path)

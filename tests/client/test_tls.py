# SPDX-License-Identifier: Apache-2.0
"""Encryption and client certificates, with an authority made for the occasion."""

import asyncio
import shutil
import subprocess

import grpc
import pytest

from mien import AsyncClient, Client, ServerUnavailableError, Tls
from mien._cli import main
from tests.fakes.fake_triton import FakeTriton

NAME = "triton.example"

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="needs the openssl command to make certificates"
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Paths of a self-signed certificate for `NAME` and of its key."""
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
    names = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    subprocess.run(
        [*make.split(), *names, "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )
    return certificate, key


def make_triton(pair, *, wants_client_certificate=False):
    certificate, key = (path.read_bytes() for path in pair)
    roots = certificate if wants_client_certificate else None
    return FakeTriton(
        grpc.ssl_server_credentials([(key, certificate)], roots, wants_client_certificate)
    )


def test_client_trusts_the_given_authority(pair):
    with (
        make_triton(pair) as triton,
        Client(triton.address, tls=Tls(pair[0], server_name=NAME)) as client,
    ):
        assert client.status().ready


def test_async_client_trusts_the_given_authority(pair):
    async def scenario(address):
        async with AsyncClient(address, tls=Tls(pair[0], server_name=NAME)) as client:
            return await client.status()

    with make_triton(pair) as triton:
        assert asyncio.run(scenario(triton.address)).ready


@pytest.mark.parametrize("tls", [None, Tls()], ids=["no TLS", "other authorities"])
def test_client_without_the_authority_is_turned_away(pair, tls):
    with make_triton(pair) as triton, Client(triton.address, tls=tls) as client:
        with pytest.raises(ServerUnavailableError, match="check the address and TLS"):
            client.status()

        assert triton.calls == []


def test_certificate_of_another_name_is_refused(pair):
    with (
        make_triton(pair) as triton,
        Client(triton.address, tls=Tls(pair[0], server_name="another.example")) as client,
        pytest.raises(ServerUnavailableError),
    ):
        client.status()


def test_client_shows_its_certificate(pair):
    certificate, key = pair
    tls = Tls(certificate, private_key=key, certificate_chain=certificate, server_name=NAME)

    with (
        make_triton(pair, wants_client_certificate=True) as triton,
        Client(triton.address, tls=tls) as client,
    ):
        assert client.status().ready


def test_command_takes_tls_options(pair, capsys):
    certificate, key = map(str, pair)
    options = ["--tls-ca", certificate, "--tls-cert", certificate, "--tls-key", key]

    with make_triton(pair, wants_client_certificate=True) as triton:
        server = ["--server", triton.address, "--tls-server-name", NAME]
        assert main(["status", *server, *options]) == 0

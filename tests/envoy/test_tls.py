"""Originals that speak TLS, with a CA of their own: who is trusted, and who is not."""

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.envoy.backend import Backend
from tests.envoy.harness import Mesh
from tests.envoy.values import active, component, profile, shadow, state
from xds_server.model.network import Endpoint, UpstreamTLS

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")

OK, REFUSED = 200, 503


@pytest.fixture
async def secured(tmp_path: Path) -> AsyncIterator[tuple[int, str]]:
    """An original behind a certificate, as (port, path of its CA)."""

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=tmp_path)

    new = ("-newkey", "rsa:2048", "-nodes")
    openssl("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=ca")
    openssl("req", *new, "-keyout", "own.key", "-out", "own.csr", "-subj", "/CN=own")
    (tmp_path / "names").write_text("subjectAltName=DNS:shop.internal,URI:spiffe://shop/catalog,IP:127.0.0.1\n")
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
    openssl("x509", "-req", "-in", "own.csr", "-out", "own.pem", *signed)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "own.pem", tmp_path / "own.key")
    backend = Backend("secured")
    server = await asyncio.start_server(backend._serve, "127.0.0.1", 0, ssl=context)
    backend._server = server
    yield server.sockets[0].getsockname()[1], str(tmp_path / "ca.pem")
    await backend.__aexit__()


async def test_an_original_is_trusted_by_its_ca_and_its_name(mesh: Mesh, secured: tuple[int, str]) -> None:
    port, ca = secured
    cases = [
        ("127.0.0.1", UpstreamTLS(ca_file=ca), OK),
        ("localhost", UpstreamTLS(ca_file=ca), REFUSED),
        ("localhost", UpstreamTLS(ca_file=ca, sni="shop.internal"), OK),
        ("127.0.0.1", UpstreamTLS(ca_file=ca, sni="other.internal"), REFUSED),
        ("127.0.0.1", UpstreamTLS(ca_file=ca, sni="other.internal", subject_alt_names=("shop.internal",)), OK),
        ("127.0.0.1", UpstreamTLS(ca_file=ca, subject_alt_names=("spiffe://shop/catalog",)), OK),
        ("127.0.0.1", UpstreamTLS(sni="shop.internal"), REFUSED),
    ]
    await mesh.start_envoy(state(component()))
    got = []
    async with await mesh.client() as client:
        for host, tls, _ in cases:
            each = component(endpoints=(Endpoint(host, port),), tls=tls)
            await mesh.publish(state(each, profiles=(active(profile(), shadow(port=mesh.shadow.port)),)))
            await mesh.envoy.until_stat("cluster_manager.warming_clusters", lambda count: count == 0)
            got.append((await client.get("/ok")).status_code)
    assert got == [wanted for _, _, wanted in cases]

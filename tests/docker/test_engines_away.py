"""Engines that are not what one would wish: away, behind another certificate, hanging, full. Each says what to do."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.docker.conftest import APP, IMAGE, ONE, ask, runtime_on, soon, spec
from tests.docker.engines import DockerEngine, engine, load
from tests.envoy.stack import wait_for
from xds_server.errors import UnavailableError
from xds_server.model.docker_host import DockerHost, TLSFiles
from xds_server.runtime.docker.engine import Engine
from xds_server.runtime.docker.runtime import DockerRuntime


def on(host: DockerHost) -> DockerRuntime:
    return DockerRuntime(Engine(host, node="far"), manager=lambda: "test")


async def refused(host: DockerHost) -> str:
    runtime = on(host)
    try:
        with pytest.raises(UnavailableError) as caught:
            await runtime.start(ONE, spec(), deadline=soon())
    finally:
        runtime._engine.close()
    return str(caught.value)


@pytest.mark.parametrize(
    ("url", "why", "hint"),
    [
        ("unix:///nosuch/docker.sock", "No such file", "is docker.host its socket?"),
        ("tcp://127.0.0.1:1", "refused", "is docker.host where it listens?"),
        ("tcp://nosuch.invalid:2375", "not known", "names no host"),
        ("ssh://nobody@127.0.0.1:1", "Connection refused", "is docker.host where it listens?"),
    ],
)
async def test_an_engine_that_is_not_there_is_named_with_what_to_look_at(url: str, why: str, hint: str) -> None:
    told = await refused(DockerHost(url))
    assert 'the Docker engine of node "far"' in told
    assert url in told
    assert why in told
    assert hint in told


async def test_an_engine_that_hangs_costs_a_caller_its_timeout_and_no_more(clean: DockerEngine) -> None:
    runtime = runtime_on(clean)
    started = await runtime.start(ONE, spec(), deadline=soon())
    await runtime.ready(started, spec())
    clean.send(signal.SIGSTOP)
    try:
        with pytest.raises(UnavailableError, match="no answer within 1 s"):
            await runtime._engine.call(lambda client: client.ping(), timeout=1.0)
        assert await runtime.usage(started.handle) is None
        assert (await ask(started, "/who"))["uid"] == 65534
    finally:
        clean.send(signal.SIGCONT)
    async with asyncio.timeout(20.0):
        while runtime._engine.away:
            await asyncio.sleep(0.2)
            await runtime.usage(started.handle)
            try:
                await runtime._engine.call(lambda client: client.ping())
            except UnavailableError:
                continue
    await runtime.stop(started.handle, spec())
    runtime._engine.close()


async def test_an_engine_that_is_restarted_with_live_restore_is_not_noticed_and_egress_is_as_it_was() -> None:
    with engine("--live-restore") as one:
        load(one, IMAGE, APP, changes=['ENTRYPOINT ["/usr/bin/python3","-u","/app.py"]', 'CMD ["8080"]'])
        runtime = runtime_on(one)
        started = await runtime.start(ONE, spec(), deadline=soon())
        await runtime.ready(started, spec())
        waiting = asyncio.create_task(runtime.wait(started.handle))
        one.kill()
        await asyncio.sleep(2.0)
        assert not (await ask(started, "/connect", host="192.0.2.1", port=80))["connected"]
        one.start()
        assert not (await ask(started, "/connect", host="192.0.2.1", port=80))["connected"]
        async with asyncio.timeout(20.0):
            while (found := await runtime.usage(started.handle)) is None or not found.denied:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.2)
        assert (found.denied[0].destination, found.denied[0].count) == ("192.0.2.1:80", 2)
        assert not waiting.done()
        waiting.cancel()
        await runtime.stop(started.handle, spec())
        assert one.containers() == []
        runtime._engine.close()


# TLS.


@dataclass(frozen=True)
class Secured:
    """An engine behind TLS, and certificates."""

    url: str
    folder: Path

    def files(self, *, ca: str = "ca", own: str = "client") -> TLSFiles:
        at = self.folder
        return TLSFiles(str(at / f"{ca}.pem"), str(at / f"{own}.pem"), str(at / f"{own}.key"))


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificates")
    folder = tmp_path_factory.mktemp("tls")
    for authority in ("ca", "other"):
        _certificate(folder, authority)
        for name, usage in ((f"server-{authority}", "serverAuth"), (f"client-{authority}", "clientAuth")):
            _certificate(folder, name, signed_by=authority, usage=usage)
    for suffix in ("pem", "key"):
        shutil.copy(folder / f"client-ca.{suffix}", folder / f"client.{suffix}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = [f"--host=tcp://127.0.0.1:{port}", "--tlsverify", f"--tlscacert={folder}/ca.pem"]
    flags += [f"--tlscert={folder}/server-ca.pem", f"--tlskey={folder}/server-ca.key"]
    with engine(*flags) as one:
        load(one, IMAGE, APP, changes=['ENTRYPOINT ["/usr/bin/python3","-u","/app.py"]', 'CMD ["8080"]'])
        yield Secured(f"tcp://127.0.0.1:{port}", folder)


def _certificate(folder: Path, name: str, *, signed_by: str = "", usage: str = "") -> None:
    new = ["-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-subj", f"/CN={name}"]

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], check=True, capture_output=True, cwd=folder)

    if not signed_by:
        openssl("req", "-x509", *new, "-out", f"{name}.pem", "-days", "2")
        return
    openssl("req", *new, "-out", f"{name}.csr")
    (folder / f"{name}.ext").write_text(f"subjectAltName=IP:127.0.0.1\nextendedKeyUsage={usage}\n")
    signed = ["-CA", f"{signed_by}.pem", "-CAkey", f"{signed_by}.key", "-CAcreateserial", "-days", "2"]
    openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *signed, "-extfile", f"{name}.ext")


async def test_a_node_behind_tls_runs_a_shadow_at_its_published_port(secured: Secured) -> None:
    runtime = on(DockerHost(secured.url, secured.files(), address="127.0.0.1"))
    started = await runtime.start(ONE, spec(), deadline=soon())
    await runtime.ready(started, spec())
    assert (await ask(started, "/who"))["uid"] == 65534
    await runtime.stop(started.handle, spec())
    runtime._engine.close()


async def test_another_authority_is_refused_and_named(secured: Secured) -> None:
    told = await refused(DockerHost(secured.url, secured.files(ca="other")))
    assert "certificate verify failed" in told.lower()
    assert "docker.tls.ca must hold the authority" in told


async def test_a_certificate_of_ours_that_the_engine_does_not_trust_is_refused(secured: Secured) -> None:
    told = await refused(DockerHost(secured.url, secured.files(own="client-other")))
    assert "docker.tls" in told, told


async def test_no_certificate_of_ours_is_refused(secured: Secured) -> None:
    told = await refused(DockerHost(secured.url, TLSFiles(ca=str(secured.folder / "ca.pem"))))
    assert "docker.tls" in told, told


async def test_a_file_that_is_not_there_is_named(secured: Secured) -> None:
    told = await refused(DockerHost(secured.url, secured.files(own="nosuch")))
    assert "nosuch.pem" in told


# A full disk.


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", str(small)]
    done = subprocess.run(mount, check=False, capture_output=True)
    if done.returncode:
        pytest.skip(f"no small disk can be mounted: {done.stderr.decode().strip()}")
    yield small
    subprocess.run(["umount", "-l", str(small)], check=True)


async def test_an_engine_without_room_is_the_nodes_fault(small_disk: Path) -> None:
    with engine(root=small_disk) as one:
        load(one, IMAGE, APP)
        _fill(small_disk)
        runtime = DockerRuntime(Engine(DockerHost(one.url), node="small"), manager=lambda: "test")
        with pytest.raises(UnavailableError) as caught:
            await runtime.start(ONE, spec(), deadline=soon())
        runtime._engine.close()
        assert 'the disk of node "small" is full' in str(caught.value)
        assert one.containers() == []


def _fill(folder: Path) -> None:
    with (folder / "filler").open("wb", buffering=0) as filler:
        try:
            while True:
                filler.write(os.urandom(4096))
        except OSError:
            return


# SSH.


@pytest.fixture
def over_ssh(clean: DockerEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The engine behind an SSH server of our own; yields its URL."""
    sshd = shutil.which("sshd", path="/usr/sbin:/sbin")
    if sshd is None or shutil.which("ssh") is None:
        pytest.skip("no ssh or sshd here (Debian: apt-get install openssh-server)")
    for name in ("host", "own"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/host\nPidFile none\nStrictModes no\n"
        f"AuthorizedKeysFile {tmp_path}/own.pub\nPermitRootLogin prohibit-password\nUsePAM no\n"
    )
    wrapper = tmp_path / "bin" / "ssh"
    wrapper.parent.mkdir()
    options = f"-F none -i {tmp_path}/own -o StrictHostKeyChecking=no -o UserKnownHostsFile={tmp_path}/known"
    wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} {options} "$@"\n')
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
    Path("/run/sshd").mkdir(exist_ok=True)
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen([sshd, "-D", "-e", "-f", tmp_path / "sshd_config"], stderr=log)
        try:
            wait_for(lambda: _listens(port), "sshd listens")
            yield f"ssh://root@127.0.0.1:{port}{clean.url.removeprefix('unix://')}"
        finally:
            server.terminate()
            server.wait()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_an_engine_behind_ssh_runs_a_shadow(over_ssh: str) -> None:
    runtime = on(DockerHost(over_ssh, address="127.0.0.1"))
    started = await runtime.start(ONE, spec(), deadline=soon())
    await runtime.ready(started, spec())
    assert (await ask(started, "/who"))["uid"] == 65534
    assert await runtime.usage(started.handle) is not None
    await runtime.stop(started.handle, spec())
    runtime._engine.close()


async def test_a_tunnel_that_breaks_is_made_anew_and_ends_with_its_engine(over_ssh: str) -> None:
    one = Engine(DockerHost(over_ssh), node="far")
    assert await one.call(lambda client: client.ping())
    assert one._tunnel is not None
    first = one._tunnel._process
    assert first is not None
    first.kill()
    async with asyncio.timeout(20.0):
        while True:
            with suppress(UnavailableError):
                assert await one.call(lambda client: client.ping())
                break
            await asyncio.sleep(0.2)
    second = one._tunnel._process
    assert second is not None
    assert second.pid != first.pid
    one.close()
    assert second.poll() is not None


async def test_what_a_killed_manager_left_of_its_tunnel_goes_with_the_next(
    over_ssh: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended = await asyncio.create_subprocess_exec("true")
    await ended.wait()
    dead, living = (tmp_path / f"shadowmesh-ssh-{pid}-x" for pid in (ended.pid, os.getppid()))
    for folder in (dead, living):
        folder.mkdir()
        (folder / "told").touch()
    one = Engine(DockerHost(over_ssh), node="far")
    assert await one.call(lambda client: client.ping())
    assert not dead.exists()
    assert living.exists()
    one.close()


async def test_a_host_that_does_not_know_us_is_said_so(over_ssh: str, tmp_path: Path) -> None:
    (tmp_path / "own.pub").write_text("")
    told = await refused(DockerHost(over_ssh))
    assert "Permission denied" in told
    assert "needs a key that the host knows" in told

"""The curl line goes through a real shell: what arrives is the request, whatever was in it, and nothing else runs."""

import base64
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds_server.analysis.examples.curl import Asked, curl_line
from xds_server.analysis.examples.excerpt import captured
from xds_server.analysis.examples.redact import Redactor

AUTHORITY = "127.0.0.1:1"
NASTY = [
    "it's",
    'say "hi"',
    "$HOME",
    "`id`",
    "$(touch x)",
    "a\\b",
    "!history",
    "a;b|c&d",
    "#no",
    "-o x",
    "@file",
    "é ü",
]


@dataclass
class Shell:
    """Runs a line with a stand-in for curl that tells what it was given."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, line: str) -> tuple[list[str], bytes]:
        """Return the arguments and what came on the standard input."""
        told = self.folder / "told"
        code = (
            "import json,sys;d=sys.stdin.buffer.read() if '@-' in sys.argv else b'';"
            f"open({str(told)!r},'w').write(json.dumps([sys.argv[1:],d.hex()]))"
        )
        script = self.folder / "curl"
        script.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}" "$@"\n')
        script.chmod(0o755)
        environment = {"PATH": f"{self.folder}:/usr/bin:/bin", **self.environment}
        work = self.folder / "work"
        work.mkdir(exist_ok=True)
        done = subprocess.run(
            ["/bin/sh", "-c", line], check=False, env=environment, cwd=work, capture_output=True, timeout=30
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
        assert not list(work.iterdir())
        words, data = json.loads(told.read_text())
        return words, bytes.fromhex(data)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def line(
    method: str = "GET",
    path: str = "/x",
    headers: Mapping[str, str] | None = None,
    body: bytes = b"",
    *,
    size: int | None = None,
    redactor: Redactor | None = None,
    authority: str = AUTHORITY,
) -> str:
    named = {":authority": authority, **(headers or {})}
    block = "".join(f"{name}: {value}\n" for name, value in named.items()).encode()
    kept = captured(base64.b64encode(body).decode(), block, size=len(body) if size is None else size)
    return curl_line(Asked(method, path, list(named.items()), kept), redactor or Redactor(key=b"k"))


def value_of(words: list[str], option: str) -> list[str]:
    return [words[at + 1] for at, word in enumerate(words) if word == option]


@pytest.mark.parametrize("text", NASTY)
def test_nothing_in_a_request_is_taken_for_the_shells_own(shell: Shell, text: str) -> None:
    words, _ = shell.run(line("POST", f"/a?q={text}", {"x-a": text, "content-type": "text/plain"}, text.encode()))
    assert words[-1] == text
    assert f"http://{AUTHORITY}/a?q={text}" in words
    assert value_of(words, "-H") == [f"x-a: {text}", "content-type: text/plain"]


def test_a_header_name_that_the_shell_would_run_is_quoted_also_before_a_variable(shell: Shell) -> None:
    shell.environment = {"X__ID__TOKEN": "v"}
    words, _ = shell.run(line(headers={"x-`id`-token": "planted-secret"}))
    assert value_of(words, "-H") == ["x-`id`-token: v"]


@given(body=st.binary(min_size=1, max_size=300))
def test_any_body_arrives_as_it_was_unless_it_holds_secrets(
    body: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = line("PUT", body=body)
    if "secret" in text:
        return
    words, piped = Shell(tmp_path_factory.mktemp("shell")).run(text)
    assert (piped or words[-1].encode()) == body


def test_secrets_are_variables_and_the_rest_is_shown(shell: Shell) -> None:
    headers = {"authorization": "Bearer abcdefgh1234", "cookie": "a=b", "x-api-key": "k1", "accept": "*/*"}
    text = line(headers=headers)
    assert '-H "authorization: $AUTHORIZATION" -H "cookie: $COOKIE" -H "x-api-key: $X_API_KEY"' in text
    shell.environment = {"AUTHORIZATION": "Bearer $(id)", "COOKIE": "c=d", "X_API_KEY": "'"}
    words, _ = shell.run(text)
    assert value_of(words, "-H") == ["authorization: Bearer $(id)", "cookie: c=d", "x-api-key: '", "accept: */*"]


def test_a_body_with_secrets_stays_json_and_says_so(shell: Shell) -> None:
    body = json.dumps({"user": "bob", "password": "hunter2", "n": [1, 2]}).encode()
    text = line("POST", "/login?token=abcdef", {"content-type": "application/json"}, body)
    assert "hunter2" not in text
    assert "abcdef" not in text
    assert text.startswith("# the URL held secrets")
    assert "# values of the body that are secret" in text
    shell.environment = {"TOKEN": "t"}
    words, _ = shell.run(text)
    assert f"http://{AUTHORITY}/login?token=t" in words
    sent = json.loads(words[-1])
    assert (sent["user"], sent["n"]) == ("bob", [1, 2])
    assert sent["password"].startswith("[redacted")


def test_secrets_of_the_url_are_variables_without_which_nothing_is_sent(shell: Shell) -> None:
    path = "/users/bob@example.com/[x]/bob@example.com/al@example.com/reset/a8f3b"
    path += "?q=it's&user%5Bpw%5D=p1&pw=p2&pwd=p3&x=$HOME"
    text = line(path=path)
    comment = "# the URL held secrets: set EMAIL, EMAIL_2, SECRET, USER_PW_, PW, MY_PWD, percent-encoded\n"
    assert text.startswith(comment)
    given = {"EMAIL": "a%40b", "EMAIL_2": "c%40d", "SECRET": "$(id)", "USER_PW_": "`id`", "PW": "' \"", "MY_PWD": "*"}
    shell.environment = given
    words, _ = shell.run(text)
    wanted = "/users/a%40b/[x]/a%40b/c%40d/reset/$(id)?q=it's&user%5Bpw%5D=`id`&pw=' \"&pwd=*&x=$HOME"
    assert f"http://{AUTHORITY}{wanted}" in words
    for name in given:
        (shell.folder / "told").unlink(missing_ok=True)
        environment = {"PATH": f"{shell.folder}:/usr/bin:/bin", **given, name: ""}
        done = subprocess.run(["/bin/sh", "-c", text], check=False, env=environment, capture_output=True, timeout=30)
        assert done.returncode != 0
        assert f"{name}:" in done.stderr.decode()
        assert not (shell.folder / "told").exists()


def test_a_target_that_is_no_path_has_variables_too(shell: Shell) -> None:
    shell.environment = {"TOKEN": "t"}
    words, _ = shell.run(line(path="*?token=planted"))
    assert value_of(words, "--request-target") == ["*?token=t"]


def test_places_that_the_profile_names_are_hidden_in_the_body(shell: Shell) -> None:
    body = b'{"customer": {"name": "Paula"}}'
    redactor = Redactor(["$.customer.name"], key=b"k")
    text = line("POST", headers={"content-type": "application/json"}, body=body, redactor=redactor)
    assert "Paula" not in text
    assert "customer" in shell.run(text)[0][-1]


def test_json_without_secrets_is_sent_to_the_byte(shell: Shell) -> None:
    body = b'{ "n": 1.50, "big": 123456789012345678901234567890, "n": 1e400 }'
    words, _ = shell.run(line("POST", headers={"content-type": "application/json"}, body=body))
    assert words[-1].encode() == body


def test_a_body_that_was_cut_is_said_to_be(shell: Shell) -> None:
    text = line("POST", headers={"content-type": "text/plain"}, body=b"some words " * 20, size=70_000)
    assert text.startswith("# the body is cut: it had 70000 bytes\n")
    assert shell.run(text)[0][-1].startswith("some words some")


def test_messages_in_protobuf_are_left_out(shell: Shell) -> None:
    text = line("POST", headers={"content-type": "application/grpc"}, body=b"\0\0\0\0\5hello")
    assert text.startswith("# the body is left out: 10 bytes of protobuf")
    assert "--data" not in " ".join(shell.run(text)[0])


def test_without_a_host_there_is_no_line() -> None:
    assert line(authority="") == ""


class _Server(BaseHTTPRequestHandler):
    asked: list[tuple[str, str, dict[str, str], bytes]]

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.asked.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 - names of the library

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    _Server.asked = []
    made = HTTPServer(("127.0.0.1", 0), _Server)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def test_the_real_curl_sends_the_same_request(server: HTTPServer) -> None:
    curl = shutil.which("curl")
    if curl is None:
        return  # the stand-in above says what it would be given
    authority = f"127.0.0.1:{server.server_port}"
    requests: list[tuple[str, str, dict[str, str], bytes]] = [
        ("GET", "/a/../b?x[]={1}&y=%20'", {"accept": "text/html", "x-empty": ""}, b""),
        ("HEAD", "/head", {}, b""),
        ("DELETE", "/gone", {}, b""),
        ("POST", "/order", {"content-type": "application/json"}, b'{"a": "it\'s $5"}'),
        ("POST", "/form", {}, b"@/etc/passwd"),
        ("PUT", "/binary", {"content-type": "image/png"}, bytes(range(256))),
    ]
    for method, path, headers, body in requests:
        text = line(method, path, headers, body, authority=authority)
        command = ["/bin/sh", "-c", text]
        done = subprocess.run(command, check=False, capture_output=True, timeout=30, env={"PATH": "/usr/bin:/bin"})
        assert b"200 OK" in done.stdout, done.stderr
        got = _Server.asked[-1]
        assert (got[0], got[1], got[3]) == (method, path, body)
        assert got[2].get("content-type") == headers.get("content-type")
        assert {name: got[2].get(name) for name in headers} == headers

"""The `curl` line that sends a captured request again.

Guarantees: quoted for a POSIX shell whatever the request holds, so running it runs nothing but curl (with `printf` and
`base64` for a body that is not text); a value that was redacted stands as a variable of the environment, and those in
the URL must be set, or the shell sends nothing: no request goes to a place that nobody meant. What could not be kept is
said in comments before the line. At most about `LIMIT` bytes of body.
Not guaranteed: the same bytes on the wire where the body was compressed, cut, or held secrets.
"""

import base64
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

from xds_server.analysis.examples.excerpt import Captured, excerpt, redacted_text
from xds_server.analysis.examples.redact import ELIDED, Redactor

LIMIT = 4_000
"""Bytes of a body."""
MOST_HEADERS = 40
HEADER_LIMIT = 1_000
MOST_OF_NAME = 40
"""Characters of a variable's name."""

_LEFT_OUT = frozenset(
    {
        *("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"),
        *("host", "content-length", "content-encoding", "accept-encoding", "expect"),
        *("forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id"),
    }
)
"""Of the connection, or made by curl itself."""
_SIMPLE = re.compile(r"[a-z0-9-]+")
_VARIABLE = re.compile(r"[^A-Z0-9]")
_TAKEN = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "PWD", "OLDPWD", "IFS", "SESSION", "MAIL", "HOST", "HOSTNAME"),
        *("UID", "LANG", "TERM", "ENV"),
    }
)
"""Variables that a shell has already, with another value."""
_MARK = re.compile(r"(?:(?<=[?&])([^?&=/\[\]]{1,64})=)?(\[redacted(?: ([a-z-][a-z -]{0,20}))? [0-9a-f]{6}\])")
_CONTROL = re.compile(r"[\x00-\x20\x7f]")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it was captured. `headers` are name and value, with `:authority`."""

    method: str
    path: str
    headers: Sequence[tuple[str, str]]
    body: Captured
    credentials_removed: bool = False


def curl_line(asked: Asked, redactor: Redactor) -> str:
    """Return the line, after comments; empty when it is not known where to send it."""
    authority = next((value for name, value in asked.headers if name == ":authority"), "")
    if not authority:
        return ""
    comments: list[str] = []
    words = ["curl", "-sS", "-i", "-g", "--path-as-is"]
    if asked.method == "HEAD":
        words.append("-I")
    elif asked.method != "GET" or asked.body.size:
        words += ["-X", shlex.quote(asked.method or "GET")]
    words.append(_url(asked, authority, redactor, comments))
    words += _headers(asked, redactor)
    body, pipe = _body(asked.body, redactor, comments)
    if asked.credentials_removed:
        comments.append("the request carried credentials, which its copies do not; add them where they are needed")
    line = " ".join([*pipe, *words, *body])
    return "".join(f"# {comment}\n" for comment in comments) + line


def _url(asked: Asked, authority: str, redactor: Redactor, comments: list[str]) -> str:
    scheme = next((value for name, value in asked.headers if name == "x-forwarded-proto"), "http")
    scheme = scheme if scheme in {"http", "https"} else "http"
    path = redactor.path(asked.path)
    base = f"{scheme}://{authority}"
    if path == asked.path:
        variables: list[str] = []
        word = shlex.quote(path if not path.startswith("/") else f"{base}{path}")
    else:
        word, variables = _with_variables(path if not path.startswith("/") else f"{base}{path}")
        told = f": set {', '.join(variables)}, percent-encoded" if variables else ", which are left out"
        comments.append(f"the URL held secrets{told}")
    return word if path.startswith("/") else f"--request-target {word} {shlex.quote(f'{base}/')}"


def _with_variables(url: str) -> tuple[str, list[str]]:
    """Return a word of the shell with a variable in the place of each mark, and the names of the variables."""
    word, end = "", 0
    names: dict[str, str] = {}
    for found in _MARK.finditer(url):
        if found[0] not in names:
            # Of a parameter, its own name says most.
            name = _variable(unquote(found[1] or (found[3] or "secret").replace("-", "")))[:MOST_OF_NAME]
            taken = sum(each.rstrip("_0123456789") == name.rstrip("_0123456789") for each in names.values())
            names[found[0]] = f"{name}_{taken + 1}" if taken else name
        word += _literal(url[end : found.start(2)]) + f'"${{{names[found[0]]}:?}}"'
        end = found.end()
    return word + _literal(url[end:]), list(names.values())


def _literal(text: str) -> str:
    return shlex.quote(_CONTROL.sub(lambda found: quote(found[0]), text)) if text else ""


def _headers(asked: Asked, redactor: Redactor) -> list[str]:
    words: list[str] = []
    names = set()
    for name, value in asked.headers:
        names.add(name)
        if name in _LEFT_OUT or name.startswith(":") or len(words) >= 2 * MOST_HEADERS:
            continue
        words += ["-H", _header(name, value, redactor)]
    if "accept-encoding" in names:
        words.append("--compressed")
    if "content-type" not in names and asked.body.size:
        words += ["-H", "content-type:"]
    return words


def _header(name: str, value: str, redactor: Redactor) -> str:
    if not value:
        return shlex.quote(f"{name};")
    if redactor.header(name, value) != value or len(value) > HEADER_LIMIT:
        variable = f"${_variable(name)}"
        if _SIMPLE.fullmatch(name):
            return f'"{name}: {variable}"'
        return f'{shlex.quote(f"{name}: ")}"{variable}"'
    return shlex.quote(f"{name}: {value}")


def _variable(name: str) -> str:
    variable = _VARIABLE.sub("_", name.upper())
    if variable in _TAKEN:
        return f"MY_{variable}"
    return variable if variable[:1].isalpha() else f"H_{variable}"


def _body(body: Captured, redactor: Redactor, comments: list[str]) -> tuple[list[str], list[str]]:
    """Return the words of the body, and those that go before `curl`."""
    if not body.size:
        return [], []
    if body.encoded and body.readable:
        comments.append("the body was compressed; it is sent as it is")
    if body.is_message:
        comments.append(
            f"the body is left out: {body.size} bytes of protobuf, in which no secret can be told by its name"
        )
        return [], []
    text = _as_text(body)
    if text is None:
        return _binary(body, redactor, comments)
    shown = excerpt(body, redactor, limit=LIMIT, pretty=False)
    # Of JSON, only its own form knows the places that the profile names, and only its text the keys that stand twice.
    if not shown.redacted and body.complete and len(text) <= LIMIT and redacted_text(body, redactor) == text:
        return ["--data-raw", shlex.quote(text)], []
    if shown.redacted:
        comments.append("values of the body that are secret stand as [redacted ...]")
    if shown.cut:
        comments.append(f"the body is cut: it had {body.size} bytes")
    return ["--data-raw", shlex.quote(shown.text.removesuffix(ELIDED))], []


def _as_text(body: Captured) -> str | None:
    if not body.is_text:
        return None
    try:
        return body.data.decode()
    except UnicodeDecodeError as error:
        # A head may end inside a character.
        cut = not body.complete and error.start >= len(body.data) - 3
        return body.data[: error.start].decode() if cut else None


def _binary(body: Captured, redactor: Redactor, comments: list[str]) -> tuple[list[str], list[str]]:
    before = redactor.marks
    redactor.text(body.data.decode("latin-1"))
    if not body.readable:
        comments.append(f"the body is left out: {body.size} bytes in an encoding that could not be undone")
        return [], []
    if redactor.marks != before:
        comments.append(f"the body is left out: {body.size} bytes, not text, which hold secrets")
        return [], []
    data = body.data[:LIMIT]
    if not body.complete or len(data) < len(body.data):
        comments.append(f"the body is cut: it had {body.size} bytes")
    encoded = base64.b64encode(data).decode()
    return ["--data-binary", "@-"], ["printf", "%s", shlex.quote(encoded), "|", "base64", "-d", "|"]

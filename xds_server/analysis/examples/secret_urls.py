"""The `code` of a sign-in (OAuth, OpenID Connect): a secret in a URL or form of one, and nowhere else.

It is told by its company: `state`, `redirect_uri` and the like beside it, or a path that speaks of a callback. As a key
of JSON, or in any other query, `code` is a status, a voucher, a country, and is shown.

Guarantees: linear in the text; what is looked at around a `code` is bounded (`_AROUND`).
"""

import re
from collections.abc import Callable, Collection

Mark = Callable[[str, str], str]

CODE = "code"
_AROUND = 500
"""Characters on each side in which its company is looked for."""
_COMPANY = ("state", "session_state", "redirect_uri", "client_id", "grant_type", "code_verifier", "iss")
_PATH = re.compile(r"oauth|oidc|openid|callback|authorize\b|\bsso\b|signin-", re.IGNORECASE)
_CODE = re.compile(r"(?:(?<![A-Za-z0-9_.$-])|(?<=%[0-9a-f]{2})|(?<=\\u0026))code(?:=|%3D)", re.IGNORECASE)
_BESIDE = re.compile(
    rf"(?:(?<![A-Za-z0-9_.$-])|(?<=%[0-9a-f]{{2}})|(?<=\\u0026))(?:{'|'.join(_COMPANY)})(?:=|%3D)", re.IGNORECASE
)
_VALUE = re.compile(r"(?:(?!%26|%23|\\u0026)[^\s&\"'<>#;])++", re.IGNORECASE)
_OUTSIDE = re.compile(r"[\s\"'<>]")


def is_sign_in(names: Collection[str], path: str = "") -> bool:
    """Whether a query or form with these names (in lower case) is that of a sign-in."""
    return CODE in names and (any(name in names for name in _COMPANY) or bool(_PATH.search(path)))


def hide_codes(text: str, mark: Mark) -> str:
    """Return a text without the codes of sign-ins in the URLs in it."""
    out, shown = [], 0
    for found in _CODE.finditer(text):
        value = _VALUE.match(text, found.end())
        if found.start() < shown or value is None:
            continue
        before = _OUTSIDE.split(text[max(0, found.start() - _AROUND) : found.start()])[-1]
        after = _OUTSIDE.split(text[value.end() : value.end() + _AROUND], maxsplit=1)[0]
        if _PATH.search(before) or _BESIDE.search(before) or _BESIDE.search(after):
            out += [text[shown : value.start()], mark("", value[0])]
            shown = value.end()
    return "".join([*out, text[shown:]])

"""Recognisers: texts that are an identifier, a number, a date, not a word.

`kind_of_text` is used where names must be few: path segments of endpoints, keys of objects that are really maps.
Not guaranteed: perfection. An unlucky word in hexadecimal ("deadbeef") is taken for a hash. For values, where a wrong
guess hides a difference, there is the stricter `looks`.
"""

import re

from xds_server.analysis.examples import secret_looks as looks

_UUID = r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
_PATTERNS = (
    ("uuid", re.compile(rf"\{{?{_UUID}\}}?")),
    ("date", re.compile(r"\d{4}-[01]\d-[0-3]\d(?:[T ][0-9:.]+(?:Z|[+-][0-9:]+)?)?")),
    ("id", re.compile(r"[+-]?\d+")),
    ("number", re.compile(r"[+-]?\d+\.\d+(?:[eE][+-]?\d+)?")),
    # ULID, 26 characters of Crockford's base 32, with a digit: words have none.
    ("id", re.compile(r"(?=.*\d)[0-7][0-9A-HJKMNP-TV-Z]{25}")),
    ("hash", re.compile(r"(?=.*\d)[0-9a-fA-F]{8,}")),
    # A prefix and a number (`item-42`, `ord_000123`), or with a long tail that is no word (`cus_9s6XKzkNRiz8i3`).
    ("id", re.compile(r"[A-Za-z]{1,16}[-_.:]\d+")),
    ("id", re.compile(r"[A-Za-z]{2,16}_(?=\w*\d)\w{8,}")),
    # Any long run with at least three digits spread in it: tokens, base64.
    ("token", re.compile(r"(?=(?:[^\d]*\d){3})[A-Za-z0-9_\-=+.~]{20,}")),
)
LONGEST = 200
"""Characters looked at; a longer text is a token."""


def kind_of_text(text: str) -> str:
    """Return what a text is (`uuid`, `date`, `id`, `number`, `hash`, `token`), or nothing when it may be a word.

    An e-mail address is one too (`email`).
    """
    if len(text) > LONGEST:
        return "token"
    if ("@" in text or "%40" in text) and looks.kind_of(text) == looks.EMAIL:
        return "email"
    # Each pattern wants a digit, except a uuid and a hash of letters alone, which are too rare to pay for.
    if not any(map(str.isdigit, text)):
        return ""
    return next((kind for kind, pattern in _PATTERNS if pattern.fullmatch(text)), "")

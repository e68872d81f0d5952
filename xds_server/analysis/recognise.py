"""Recognisers: texts that are an identifier, a number, a date, not a word.

Used where names must be few: `kind_of_segment` for the segments of paths, `kind_of_text` for the keys of objects that
may really be maps, and for the names of cookies. A key is a name far more often than a segment is, so a word with a
short number (`address_1`, `utf-8`) is an identifier in a path only.

Several words stay words, with whatever number behind them (`response_time_p95`, `quarterly_revenue_2024`): a tail or a
token must look like chance, many short runs of letters and digits.
Not guaranteed: perfection. A tail with few digits in it is taken for a word, one word with a long number (`error_404`)
for an identifier, an unlucky one in hexadecimal ("deadbeef1") for a hash. For values, where a wrong guess hides a
difference, there is the stricter `looks`.
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
    # A prefix and a number: `ord_000123`.
    ("id", re.compile(r"[A-Za-z]{1,16}[-_.:]\d{3,}")),
)
_BY_CHANCE = (
    # A prefix and a long tail that is no word: `cus_9s6XKzkNRiz8i3`.
    ("id", re.compile(r"[A-Za-z]{2,16}_((?=[A-Za-z]*\d)[A-Za-z0-9]{8,})")),
    # Any long run with at least three digits in it: tokens, base64.
    ("token", re.compile(r"((?=(?:[^\d]*\d){3})[A-Za-z0-9_\-=+.~]{20,})")),
)
_SHORT_NUMBER = re.compile(r"[A-Za-z]{1,16}[-_.:]\d{1,2}")
_RUN = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+")
_FEWEST_RUNS = 5
_LONGEST_MEAN = 2.6
"""Characters a run has at most, on average, in what looks like chance; base 62 has 1.7, camel case 4."""
LONGEST = 200
"""Characters looked at; a longer text is a token."""


def kind_of_segment(text: str) -> str:
    """Return what a segment of a path is, as `kind_of_text` does; `item-4` is an identifier there."""
    return kind_of_text(text) or ("id" if _SHORT_NUMBER.fullmatch(text) else "")


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
    for kind, pattern in _PATTERNS:
        if pattern.fullmatch(text):
            return kind
    for kind, pattern in _BY_CHANCE:
        found = pattern.fullmatch(text)
        if found is not None and _looks_like_chance(found[1]):
            return kind
    return ""


def _looks_like_chance(text: str) -> bool:
    runs = _RUN.findall(text)
    length = sum(map(len, runs))
    return (len(runs) >= _FEWEST_RUNS and length <= _LONGEST_MEAN * len(runs)) or 2 * sum(
        map(str.isdigit, text)
    ) > length

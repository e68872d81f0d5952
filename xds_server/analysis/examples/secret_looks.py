"""Secrets that are told by their looks, wherever they stand in a text.

E-mail addresses, numbers of payment cards (13 to 19 digits, with separators or without, Luhn-valid), JSON web tokens,
`Bearer ...` and `Basic ...`, keys of well-known services (AWS, GitHub, Slack, Stripe, Google), PEM private keys, user
and password in a URL.

Guarantees: linear in the text (each expression is bounded or cannot backtrack); never raises.
Not guaranteed: perfection on either side. One in ten random numbers of 16 digits is Luhn-valid and is hidden; numbers
that begin with 0 or 1 (milliseconds since 1970, many ids) are never taken for a card.
"""

import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Callable
from typing import Final

Mark = Callable[[str, str], str]
"""From what was found (`e-mail`) and the secret to what stands in its place."""

EMAIL: Final = "e-mail"
CARD: Final = "card number"

_AT = r"(?:@|%40|&#64;|&#x40;|\\u0040)"
_EMAIL = re.compile(
    rf"(?<![A-Za-z0-9_.+-])[\w.+\-%']{{1,64}}?{_AT}(?:[^\W_](?:[\w\-]{{0,62}})\.){{1,8}}[^\W\d_]{{2,24}}", re.IGNORECASE
)
_AT_SIGN = re.compile(_AT, re.IGNORECASE)
_JWT = re.compile(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{5,}+\.[A-Za-z0-9_-]{5,}+(?:\.[A-Za-z0-9_-]*+){0,3}")
_SCHEME = re.compile(r"(?<![A-Za-z0-9])(bearer|basic)((?:\s|%20|\+){1,4})([A-Za-z0-9+/=._~\-]{8,}+)", re.IGNORECASE)
_SERVICES = re.compile(
    r"(?<![A-Za-z0-9])(?:(?:AKIA|ASIA|AROA|AIDA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])|gh[opsur]_[A-Za-z0-9]{20,}+"
    r"|github_pat_\w{20,}+|glpat-[\w-]{16,}+|xox[abeoprs]-[\w-]{10,}+|[rs]k_(?:live|test)_[A-Za-z0-9]{10,}+"
    r"|sk-[\w-]{20,}+|AIza[\w-]{30,}+)"
)
_PEM_BEGIN = re.compile(r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----")
_PEM_END = re.compile(r"-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----")
_USER_INFO = re.compile(r"(?<=://)[^\s/@:\"'<>]{0,128}:[^\s/@\"'<>]{1,256}(?=@)")
_GAP = r"(?:[ .+\-]|%20|%2D)"
_DIGITS = re.compile(
    rf"(?:(?<![A-Za-z0-9%])(?<!%[0-9a-f])|(?<=%[0-9a-f]{{2}}))(?<!\d\.)\d++(?![a-z])(?:{_GAP}\d++(?![a-z]))*+",
    re.IGNORECASE,
)
_GROUP = re.compile(r"(?:%20|%2D)?(\d+)", re.IGNORECASE)
_LEAST, _MOST = 13, 19
LEAST_CARD = 10 ** (_LEAST - 1)
"""No smaller number is a card's."""
_GROUP_LEAST, _GROUP_MOST = 3, 7
"""Digits between separators; a table of small numbers is no card."""


def hide(text: str, mark: Mark) -> str:
    """Return the text with all that looks like a secret replaced."""
    if "PRIVATE KEY-----" in text:
        text = _without_keys(text, mark)
    if "eyJ" in text:
        text = _JWT.sub(lambda found: mark("token", found[0]), text)
    text = _SCHEME.sub(lambda found: _scheme(found, mark), text)
    if _AT_SIGN.search(text):
        text = _USER_INFO.sub(lambda found: mark("credentials", found[0]), text)
        text = _EMAIL.sub(lambda found: mark(EMAIL, found[0]), text)
    text = _SERVICES.sub(lambda found: mark("key", found[0]), text)
    return _DIGITS.sub(lambda found: _cards(found[0], mark), text)


def kind_of(text: str) -> str:
    """Return what a whole text is (`EMAIL`, `CARD`), or nothing."""
    if len(text) <= LONGEST_NAME:
        if _AT_SIGN.search(text) and _EMAIL.fullmatch(text):
            return EMAIL
        if len(text) >= _LEAST and _DIGITS.fullmatch(text) and CARD in _cards(text, lambda what, _: what):
            return CARD
    return ""


LONGEST_NAME = 320
"""Characters of the longest e-mail address (RFC 5321)."""


def is_card(digits: str) -> bool:
    """Whether these digits may be the number of a payment card: their count, how they begin, and Luhn's sum."""
    if not _LEAST <= len(digits) <= _MOST or digits[0] in "01" or (len(digits) == _LEAST and digits[0] != "4"):
        return False
    if digits.count(digits[0]) == len(digits):
        return False
    odd = sum(map(int, digits[-1::-2]))
    return (odd + sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])) % 10 == 0


def _cards(run: str, mark: Mark) -> str:
    """Hide the cards in a run of digits and separators: whole groups of it, the longest that fit."""
    if len(run) < _LEAST:
        return run
    groups = list(_GROUP.finditer(run))
    out, shown, first = [], 0, 0
    while first < len(groups):
        best = 0
        digits = ""
        for last in range(first, min(first + _MOST, len(groups))):
            group = groups[last][1]
            digits += group
            if len(digits) > _MOST or (last > first and len(group) > _GROUP_MOST):
                break
            # "3.4012888888881881" is a number.
            fraction = last == first and run[groups[first].start(1) - 1 : groups[first].start(1)] == "."
            if is_card(digits) and not fraction:
                best = last + 1
            if not _GROUP_LEAST <= len(group) <= _GROUP_MOST:
                break
        if best:
            begin, end = groups[first].start(1), groups[best - 1].end()
            out += [run[shown:begin], mark(CARD, run[begin:end])]
            shown, first = end, best
        else:
            first += 1
    return "".join([*out, run[shown:]])


def _scheme(found: re.Match[str], mark: Mark) -> str:
    scheme, gap, secret = found.groups()
    if scheme.lower() == "basic":
        # "Basic subscription" is a text: of a secret, the decoded form has a colon.
        try:
            if b":" not in a2b_base64(secret + "=" * (-len(secret) % 4)):
                return found[0]
        except (Base64Error, ValueError):
            return found[0]
    return f"{scheme}{gap}{mark('', secret)}"


def _without_keys(text: str, mark: Mark) -> str:
    out, at = [], 0
    while begin := _PEM_BEGIN.search(text, at):
        # A key that was cut goes to the end.
        end = _PEM_END.search(text, begin.end())
        stop = end.end() if end else len(text)
        out += [text[at : begin.start()], mark("private key", text[begin.start() : stop])]
        at = stop
    return "".join([*out, text[at:]])

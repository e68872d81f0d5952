"""Names whose values are secrets: of headers, cookies, query parameters, form fields, keys of JSON at any depth.

A name is split into words (`accessToken`, `access-token`, `ACCESS_TOKEN` are the same two) and is sensitive when a term
stands in it as whole words, unless the word behind the term says that it only tells something *about* the secret:
`password_hash` is one, `password_policy` and `token_type` are not. In the plural (`tokens`, `max_tokens`) only texts
are secrets, numbers are counts. `true`, `false` and `null` are shown under any name: they say nothing.
Names that a profile adds are compared whole, however they are written.

Guarantees: linear in the name, of which the first `LONGEST` characters count; answers are cached, boundedly.
Not guaranteed: that a secret under a name that says nothing (`value`, `data`) is known; see `secret_looks`, and
`redact` in the profile.
"""

import re
from collections.abc import Iterable
from enum import IntEnum
from functools import lru_cache

LONGEST = 200
"""Characters of a name that are looked at."""

_WORD = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")


def words_of(name: str) -> tuple[str, ...]:
    """Return the words of a name in lower case."""
    return tuple(word.lower() for word in _WORD.findall(name[:LONGEST]))


_TERMS = frozenset(
    {
        *("authorization", "auth", "cookie", "credential", "bearer", "jwt", "otp", "totp", "mfa code", "security code"),
        *("token", "secret", "password", "passwd", "pwd", "pw", "passphrase", "passcode", "passwort"),
        *("session", "sid", "jsessionid", "phpsessid", "connect sid", "csrf", "xsrf"),
        *("api key", "access key", "private key", "secret key", "signing key", "encryption key", "master key"),
        *("credit card", "card number", "card no", "cc number", "cc num", "cvv", "cvc", "csc"),
        *("recovery code", "recovery codes", "recovery key", "backup code", "backup codes"),
        *("code verifier", "device code", "authorization code"),
        *("user pass", "userpass", "db pass", "dbpass", "database pass", "admin pass", "root pass", "smtp pass"),
        *("mail pass", "ftp pass", "proxy pass", "http pass", "ssh pass", "ldap pass", "redis pass", "mysql pass"),
        *("old pass", "new pass", "current pass", "confirm pass", "login pass", "key pass", "store pass"),
        *("ssn", "social security", "iban", "signature", "sig"),
    }
)
_ENDINGS = (
    *("token", "secret", "password", "passwd", "cookie", "apikey", "accesskey", "privatekey", "secretkey"),
    *("sessionid", "sessid", "creditcard", "cardnumber", "ccnumber", "csrf", "xsrf"),
)
"""Terms written without a gap, at the end of a word: `accesstoken`, `clientsecret`."""
_ABOUT = frozenset(
    {
        *("accepted", "age", "at", "banner", "budget", "consent", "count", "counts", "created", "date", "days"),
        *("details", "duration", "enabled", "end", "endpoint", "error", "expiration", "expire"),
        *("expired", "expires", "expiry", "expirydate", "flow", "format", "hits", "in", "issuer", "kind"),
        *("last", "left", "len", "length", "lifetime", "limit", "limits", "max", "method", "min", "minutes"),
        *("mode", "name", "names", "notice", "per", "policy", "present", "provider", "rate", "remaining"),
        *("required", "rotation", "scheme", "seconds", "size", "start", "started", "state", "status"),
        *("strength", "time", "timeout", "total", "ttl", "type", "types", "updated", "uri", "url", "usage"),
        *("used", "valid", "version"),
    }
)
"""Words that, right behind a term, say that the value is not the secret itself."""


_STEPS = re.compile(r"[\[\].]+")
_ALONE = frozenset({"pass"})
"""Sensitive when they are all of a name's last step (`user[pass]`, `pass2`): a boarding pass is none."""


class Level(IntEnum):
    """What is hidden under a name."""

    SHOWN = 0
    TEXTS = 1
    """Texts are, numbers are not."""
    ALL = 2


@lru_cache(maxsize=8192)
def level_of(name: str) -> Level:
    """Return what the built-in list hides under a name."""
    words = words_of(name)
    found = Level.SHOWN
    last = next((step for step in reversed(_STEPS.split(name)) if step), "")
    if [word for word in words_of(last) if not word.isdigit()] in [[word] for word in _ALONE]:
        return Level.ALL
    for at, word in enumerate(words):
        two = f"{words[at - 1]} {word}" if at else ""
        if at + 1 < len(words) and words[at + 1] in _ABOUT:
            continue
        if word in _TERMS or two in _TERMS or word.endswith(_ENDINGS):
            return Level.ALL
        singular = word.removesuffix("s")
        if singular != word and (singular in _TERMS or two.removesuffix("s") in _TERMS or singular.endswith(_ENDINGS)):
            found = Level.TEXTS
    return found


class Names:
    """The built-in names and those of a profile."""

    def __init__(self, added: Iterable[str] = ()) -> None:
        self._added = frozenset("".join(words_of(name)) or name.lower() for name in added)

    def level(self, name: str) -> Level:
        """Return what is hidden under a name."""
        if self._added and ("".join(words_of(name)) or name.lower()) in self._added:
            return Level.ALL
        return level_of(name[:LONGEST])

"""A profile's rules, made ready: what an endpoint's comparison leaves out, evens out, tells apart.

Guarantees: compiling never raises on rules that `check` took; rules of one endpoint are made once.
"""

from dataclasses import dataclass

from xds_server.analysis.headers import IGNORED
from xds_server.model.analysis import DEFAULT_ANALYSIS, Analysis


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for one endpoint. `ignore_headers` holds names in lower case, with those that are always ignored."""

    ignore_headers: frozenset[str] = IGNORED
    keep_credentials: bool = False
    analysis: Analysis = DEFAULT_ANALYSIS


DEFAULT_RULES = Rules()


class RuleBook:
    """The rules of a profile, by endpoint.

    Args:
        analysis: of the profile.
        keep_credentials: whether copies carry them.
    """

    def __init__(self, analysis: Analysis = DEFAULT_ANALYSIS, *, keep_credentials: bool = False) -> None:
        self._rules = Rules(keep_credentials=keep_credentials, analysis=analysis)

    def of(self, endpoint: str) -> Rules:  # noqa: ARG002 - rules by endpoint come with their matchers
        """Return the rules of an endpoint."""
        return self._rules

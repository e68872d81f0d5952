"""Suggested rules as YAML that can be pasted into a profile.

Guarantees: what is printed is accepted by the schema of a profile's `analysis`; what would not be is left out.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import yaml

from api.schemas.analysis import MOST_RULES, AnalysisBody
from api.schemas.base import validate
from xds_server.analysis.query.suggest import Suggestion
from xds_server.cli.output import clean
from xds_server.errors import InvalidFieldsError

SECTIONS = ("ignore", "normalize", "tolerance", "arrayKeys")


def accepted(found: Iterable[Suggestion]) -> list[Suggestion]:
    """Return those that a profile may have, at most as many of each sort as it may have."""
    kept: list[Suggestion] = []
    for one in found:
        try:
            validate(AnalysisBody, {one.section: [dict(one.rule)]})
        except InvalidFieldsError:
            continue
        if sum(other.section == one.section for other in kept) < MOST_RULES:
            kept.append(one)
    return kept


def as_yaml(found: Sequence[Suggestion], *, about: str) -> str:
    """Return the rules as they are pasted into a profile, each with its reason; they must be accepted."""
    if not found:
        return f"# {about}: nothing to suggest\n"
    lines = [f"# {about}: made of what was seen. Read each rule before you paste it.", "analysis:"]
    for section in SECTIONS:
        its = [one for one in found if one.section == section]
        lines += [f"  {section}:"] if its else []
        for one in its:
            lines += [f"    # {line}" for line in _wrapped(clean(one.why))]
            lines += _rule(one.rule)
    return "\n".join(lines) + "\n"


def as_json(found: Iterable[Suggestion]) -> list[dict[str, Any]]:
    """Return the rules for programs."""
    return [{"section": one.section, "rule": dict(one.rule), "why": one.why} for one in found]


def _rule(rule: Mapping[str, Any]) -> Iterator[str]:
    text = yaml.safe_dump(dict(rule), sort_keys=False, allow_unicode=True, width=10_000)
    for index, line in enumerate(text.splitlines()):
        yield ("    - " if index == 0 else "      ") + line


def _wrapped(text: str, width: int = 72) -> Iterator[str]:
    line = ""
    # A number stays with its per cent sign.
    for word in re.findall(r"\S+(?: %\S*)?", text):
        if line and len(line) + len(word) + 1 > width:
            yield line
            line = ""
        line = f"{line} {word}".strip()
    yield line

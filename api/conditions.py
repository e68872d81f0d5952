"""ETag and If-Match: a change that was meant for one revision does not hit another.

An entity tag is `"<beginning of the id>-<revision>"`, so that something deleted and created anew under the same name
is not taken for what it was. `If-Match` is optional; when it is given it is honoured.
"""

import re

from api.problems import HttpProblem
from api.schemas.base import shown
from xds_server.errors import StaleError
from xds_server.model.network import VirtualNetwork
from xds_server.model.profile import ShadowingProfile

_TAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]*"')
_LIST = re.compile(rf"{_TAG.pattern}(?:\s*,\s*{_TAG.pattern})*")


def etag(entity: VirtualNetwork | ShadowingProfile) -> str:
    """Return the entity tag of a definition as it is now."""
    return f'"{entity.id[:8]}-{entity.revision}"'


def required_revision(if_match: str | None, entity: VirtualNetwork | ShadowingProfile) -> int | None:
    """Return the revision that a change is meant for; None: whatever it is.

    Args:
        if_match: the header's value, None when it was not given.
        entity: what is to be changed, as it is now.

    Raises:
        StaleError: it has another revision already.
        HttpProblem: 400 for what is no list of entity tags.
    """
    if if_match is None or if_match.strip() == "*":
        return None
    if not _LIST.fullmatch(if_match.strip()):
        raise HttpProblem(400, f"If-Match is {shown(if_match)}", hint=f"an ETag that was answered, like {etag(entity)}")
    if etag(entity) in _TAG.findall(if_match):
        return entity.revision
    hint = "read it again and decide anew"
    raise StaleError(f"it has changed since: it is {etag(entity)} now", field="If-Match", hint=hint)

"""Questions about differences, answered: a page of a group or of pairs, or one pair in full.

Guarantees: pure. See `walk` for what holds when items come, go and move between two pages.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from xds_server.analysis.clock import moment
from xds_server.analysis.query.diff_found import find, resolution
from xds_server.analysis.query.diff_groups import Item, item_json, items_of
from xds_server.analysis.query.diff_groups import pair_id as pair_id_of
from xds_server.analysis.query.diff_pairs import Pair, pair_json, pairs_of, place
from xds_server.analysis.query.diff_query import DiffQuery, Group, Sort, Source
from xds_server.analysis.query.walk import by_memory, by_place
from xds_server.analysis.windows.noise import Nature
from xds_server.errors import InvalidError, NotFoundError, cut

SHORTEST = 6
"""Letters of a pair's id that may stand for all of it."""


def page_of(sources: Sequence[Source], query: DiffQuery, *, scope: str = "") -> dict[str, Any]:
    """Return a page as REST shows it.

    Args:
        sources: what is asked about.
        query: what is asked.
        scope: what else the cursor belongs to (network, profile).

    Raises:
        InvalidError: the cursor is none, or of another walk.
    """
    scope = "\0".join(
        map(
            str, (scope, query.group, query.order, query.version, query.endpoint, query.field, query.kind, query.nature)
        )
    )
    bounds: dict[str, Any] = {"scope": scope, "cursor": query.cursor, "limit": query.limit}
    width = 0
    if query.group is Group.PAIR:
        pairs = pairs_of(_everything(sources, query), query)
        natures = _natures(pair.nature for pair in pairs)
        pairs = [pair for pair in pairs if query.nature in {None, pair.nature}]
        page = by_place(pairs, key=place, **bounds) if query.order is Sort.NEWEST else _remembered(pairs, bounds)
        shown = [pair_json(pair) for pair in page.items]
    else:
        found = list(find(sources, query))
        natures, width = _natures(one.judgement.nature for one in found), resolution(found)
        items = items_of((o for o in found if query.nature in {None, o.judgement.nature}), query)
        page = _remembered(items, bounds)
        shown = [item_json(item, query) for item in page.items]
    return {
        "group": str(query.group),
        "sort": str(query.order),
        "items": shown,
        "total": page.total,
        "nextCursor": page.next_cursor,
        "natures": natures,
        "window": _window(query, width) if query.timed else None,
    }


def _window(query: DiffQuery, width: int) -> dict[str, Any]:
    since, until = (None if at is None else moment(at) for at in (query.since, query.until))
    return {"since": since, "until": until, "resolutionSeconds": width}


def _remembered(items: Sequence[Any], bounds: dict[str, Any]) -> Any:
    return by_memory(items, name=_name, **bounds)


def _name(item: Item | Pair) -> str:
    return item.name


def _everything(sources: Sequence[Source], query: DiffQuery) -> list[Any]:
    return list(find(sources, replace(query, field=None, kind=None, since=None, until=None)))


def pair_of(sources: Sequence[Source], pair_id: str) -> dict[str, Any]:
    """Return one pair in full, by the id in either form (`a~b`, `a/b`) or the first `SHORTEST` or more of its letters.

    Raises:
        NotFoundError: there is none.
        InvalidError: there are several that begin so.
    """
    wanted = pair_id.replace("~", "/")
    found = []
    for pair in pairs_of(find(sources, DiffQuery()), DiffQuery()):
        if pair.example.id == wanted:
            found = [pair]
            break
        if len(wanted) >= SHORTEST and pair.example.id.startswith(wanted):
            found.append(pair)
    if not found:
        raise NotFoundError(
            f'there is no differing pair "{cut(pair_id, 120)}" (any more)',
            hint="only the newest few of each difference are kept; .../shadowing/diffs lists them",
        )
    if len(found) > 1:
        named = ", ".join(pair_id_of(pair.example) for pair in found[:3])
        raise InvalidError(f'{len(found)} pairs begin with "{pair_id}"', field="pair_id", hint=f"like {named}")
    return pair_json(found[0])


def _natures(natures: Iterable[Nature]) -> dict[str, int]:
    counted = Counter(natures)
    return {str(nature): counted[nature] for nature in Nature}

"""Show what differs, from the whole to the request: by endpoint, field and class, the most surprising first.

\b
shadowmesh diffs                      classes of difference, noise in a line
shadowmesh diffs --since 10m          those of the last ten minutes
shadowmesh diffs --by endpoint        the whole; --by field is one step down
shadowmesh diffs --endpoint 'GET /items/{id}' --pairs --sort rarest
shadowmesh diffs --pair 0a4a5f4e      one pair, both answers side by side
shadowmesh diffs --suggest            rules to paste into the profile
shadowmesh diffs --profile catalog    also one deleted within a day

A pair is named by its id or the first letters of it. The figure in bits says how surprising a difference is: one bit
more is half as likely; what is rare, and what came only after many pairs without it, has most.
"""  # noqa: D301 - \b keeps the lines of the list as they are

import enum
import sys
from functools import partial
from typing import Annotated, Any

import typer

from xds_server.analysis.query.suggest import suggest
from xds_server.cli import diff_views
from xds_server.cli.client import JSON, Client
from xds_server.cli.options import DEFAULT_SERVER, Format, Output, Server, Token
from xds_server.cli.output import console, emit
from xds_server.cli.pair_view import pair as pair_view
from xds_server.cli.suggesting import accepted, as_json, as_yaml
from xds_server.errors import InvalidError

MOST_PAGES = 20
"""Pages of classes that suggestions are made of."""


class GroupBy(enum.StrEnum):
    """How far down."""

    ENDPOINT = "endpoint"
    FIELD = "field"
    CLASS = "class"
    PAIR = "pair"


class SortBy(enum.StrEnum):
    """What comes first."""

    SURPRISE = "surprise"
    NEWEST = "newest"
    RAREST = "rarest"
    COUNT = "count"


class OfNature(enum.StrEnum):
    """What a difference is taken for."""

    DIFFERENCE = "difference"
    UNDECIDED = "undecided"
    NOISE = "noise"
    RECOGNISED = "recognised"


def command(
    network: Annotated[
        str | None,
        typer.Argument(envvar="SHADOWMESH_NETWORK", help="Name or id; not needed when there is only one."),
    ] = None,
    *,
    pair: Annotated[
        str | None, typer.Option(metavar="ID", help="Show this pair in full; the first letters of its id will do.")
    ] = None,
    pairs: Annotated[bool, typer.Option("--pairs", help="List the sampled pairs, newest first.")] = False,
    suggest_rules: Annotated[
        bool, typer.Option("--suggest", help="Print rules for what was seen, as YAML for the profile's `analysis`.")
    ] = False,
    group: Annotated[
        GroupBy | None, typer.Option("--by", help="Put together by endpoint, field, class or pair.")
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="Only of this profile, also of one that was deleted within a day.")
    ] = None,
    variant: Annotated[str | None, typer.Option(help="Only of this version, or of the instance with this id.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="Only of this endpoint, like 'GET /items/{id}'.")] = None,
    field: Annotated[str | None, typer.Option(help="Only of this field, like '$.items[*].price'.")] = None,
    kind: Annotated[str | None, typer.Option("--class", help="Only of this class, like value or missing.")] = None,
    nature: Annotated[OfNature | None, typer.Option(help="Only what is taken for this.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Only from then on: 10m (ago), or 2026-01-31T12:00:00Z.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="WHEN", help="Only up to then.")] = None,
    sort: Annotated[
        SortBy | None, typer.Option(help="What comes first; surprise when left out, of pairs newest.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", "-a", help="Show noise, and equal lines of a pair, too.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many.")] = 100,
    cursor: Annotated[str | None, typer.Option(help="nextCursor of the page before.")] = None,
    output: Output = Format.TABLE,
    server: Server = DEFAULT_SERVER,
    token: Token = None,
) -> None:
    """Show what differs."""
    if sum((pair is not None, pairs, suggest_rules, group is not None)) > 1:
        raise InvalidError("--pair, --pairs, --suggest and --by are given together", hint="one of them")
    how = GroupBy.PAIR if pairs else group or GroupBy.CLASS
    query: dict[str, Any] = {
        "profile": profile,
        "variant": variant,
        "endpoint": endpoint,
        "field": field,
        "class": kind,
        "nature": nature,
        "since": since,
        "until": until,
    }
    with Client(server, token) as client:
        home = client.the_network(network)
        if pair is not None:
            one = client.get("networks", home, "shadowing", "diffs", pair.replace("/", "~"), profile=profile)
            emit(one, output, lambda: pair_view(one, width=_width(), everything=everything))
            return
        if suggest_rules:
            _suggest(client, home, query, output)
            return
        page = client.get(
            "networks", home, "shadowing", "diffs", **query, group=how, sort=sort, limit=limit, cursor=cursor
        )
    emit(page, output, lambda: _view(page, how, everything=everything or nature is not None))


def _view(page: JSON, how: GroupBy, *, everything: bool) -> Any:
    if how is GroupBy.PAIR:
        return diff_views.pairs(page, width=_width())
    return diff_views.classes(page, width=_width(), everything=everything)


def _width() -> int | None:
    return console().width if sys.stdout.isatty() else None


def _suggest(client: Client, home: str, query: dict[str, Any], output: Format) -> None:
    by_profile: dict[str, list[JSON]] = {}
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        page = client.get("networks", home, "shadowing", "diffs", **query, group="class", limit=1000, cursor=cursor)
        for item in page["items"]:
            by_profile.setdefault(item["profileID"], []).append(item)
        cursor = page["nextCursor"]
        if cursor is None:
            break
    documents = []
    data = []
    for profile, items in by_profile.items():
        read = partial(client.get, "networks", home, "shadowing", "diffs", profile=profile)
        found = accepted(suggest(items, read))
        about = f"profile {items[0]['profile'] or profile}"
        documents.append(as_yaml(found, about=about))
        data.append({"profileID": profile, "profile": items[0]["profile"], "suggestions": as_json(found)})
    if output is Format.TABLE:
        sys.stdout.write("---\n".join(documents) or "# no differences, nothing to suggest\n")
        return
    emit({"items": data}, output, lambda: ())

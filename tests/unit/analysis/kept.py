"""What a collector keeps, as tests ask for it."""

from collections.abc import Iterable

from xds_server.analysis.examples.example import Example
from xds_server.analysis.link.collector import Collector
from xds_server.analysis.windows.tally import Tally


def examples_of(collector: Collector, profile: str) -> list[Example]:
    """Return the examples of a profile's shadows."""
    tallies = (tally for tally in collector.tallies(profile) if not tally.control)
    fields = (field for tally in tallies for endpoint in tally.endpoints.values() for field in endpoint.fields.values())
    return list({example.id: example for field in fields for example in field.examples}.values())


def of_shadows(tallies: Iterable[Tally]) -> list[Tally]:
    """Return the tallies of instances, without that of what belongs to none: arms."""
    return [tally for tally in tallies if tally.instance]

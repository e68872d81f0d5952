"""A verdict as one page: nothing else is loaded, no script runs.

Guarantees: every value is escaped (Jinja's autoescape; the template marks nothing as safe), and a policy in the page
forbids whatever might be loaded nonetheless. Bounded in size; see `page`.
"""

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from xds_server.report.geometry import HEIGHT, PLOT, WIDTH
from xds_server.report.page import page
from xds_server.report.subject import Subject


def html(subject: Subject) -> str:
    """Return the page."""
    return _template().render(page(subject), width=WIDTH, plot=PLOT, height=HEIGHT)


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("xds_server.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")

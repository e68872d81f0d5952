"""From the model to Envoy: resources, bootstrap, and their print. Pure: no I/O but our assets, no clock, no chance."""

from xds_server.translate.bootstrap import BootstrapOptions, bootstrap
from xds_server.translate.check import check_profile
from xds_server.translate.network import translate
from xds_server.translate.render import to_yaml

__all__ = ["BootstrapOptions", "bootstrap", "check_profile", "to_yaml", "translate"]

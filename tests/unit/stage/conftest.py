"""The services that the tests of the demo have."""

from tests.unit.demo.conftest import catalogue_port, scripted

__all__ = ["catalogue_port", "scripted"]

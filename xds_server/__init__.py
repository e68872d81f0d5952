"""Shadowmesh: an xDS management server that shadows live traffic and judges new versions on it."""

__version__ = "0.1.0"

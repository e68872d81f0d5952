"""Frozen values: network, profile, shadow. Imports nothing of the project but this package."""

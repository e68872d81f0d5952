"""Requests with the same meaning under one name."""

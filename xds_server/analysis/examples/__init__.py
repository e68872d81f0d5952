"""Differing pairs as a person reads them, with nothing secret in them."""

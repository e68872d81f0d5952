"""Questions about differences: from the whole to one request."""

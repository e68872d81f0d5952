"""Reports of a verdict: what REST answers of a profile goes in; a page, a comment, a file for a CI system come out."""

"""One command a file; `command` is what runs, the docstring what `--help` says."""

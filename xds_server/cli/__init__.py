"""The command line: `shadowmesh`. Importing this package does nothing; `main` loads what the command needs."""


def main() -> int:
    """Run the command line of this process.

    Returns:
        The exit code; see `xds_server.cli.entry`.
    """
    import sys  # noqa: PLC0415 - nothing is loaded before it is needed

    from xds_server.cli.entry import run  # noqa: PLC0415 - nothing is loaded before it is needed

    return run(sys.argv[1:])

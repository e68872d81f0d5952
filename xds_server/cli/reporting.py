"""What reports are made of, read from a manager; and where they go."""

import sys
from dataclasses import replace
from pathlib import Path

from xds_server.cli.client import JSON, Client, reference
from xds_server.cli.gating import check_variant
from xds_server.errors import InvalidError, NotFoundError
from xds_server.report.formats import Form, write
from xds_server.report.subject import Subject

STDOUT = "-"
CLASSES = 300
"""Classes of difference that are read; the most surprising."""


def read_profile(client: Client, network: str, profile: str) -> JSON:
    """Return a living profile.

    Raises:
        NotFoundError: there is none, or no such network.
    """
    home = reference(network, "network")
    try:
        return client.get("networks", home, "shadowing", "profiles", reference(profile, "profile"))
    except NotFoundError as error:
        if client.find("networks", home, "shadowing", "archive", profile) is None:
            raise
        told = f'profile "{profile}" is not there: it was deleted; shadowmesh report still has its comparison'
        raise NotFoundError(told) from error


def read_subject(client: Client, network: str, profile: str, *, variant: str = "") -> Subject:
    """Return all that a report is made of, also of a profile that was deleted within a day.

    Raises:
        NotFoundError: there is none, or no such variant.
    """
    home, name = reference(network, "network"), reference(profile, "profile")
    archived = False
    try:
        document = client.get("networks", home, "shadowing", "profiles", name)
    except NotFoundError:
        found = client.find("networks", home, "shadowing", "archive", name)
        if found is None:
            raise
        document, archived = found[0], True
    check_variant(document, variant)
    subject = replace(Subject.now(network, document, variant=variant), archived=archived)
    return with_details(client, subject, profile)


def with_details(client: Client, subject: Subject, profile: str) -> Subject:
    """Return a subject with its differences and distributions; without those that are not there any more.

    Args:
        client: where to ask.
        subject: what is known so far.
        profile: the profile's name or id.
    """
    try:
        page = client.get(
            "networks",
            subject.network,
            "shadowing",
            "diffs",
            profile=profile,
            variant=subject.variant or None,
            group="class",
            limit=CLASSES,
        )
    except NotFoundError:
        return subject
    found = client.find("networks", subject.network, "shadowing", "profiles", profile, "report")
    return replace(
        subject,
        differences=page["items"],
        total=page["total"],
        histograms=found[0].get("responseTimes") if found else None,
    )


def check_places(places: dict[str, str | None]) -> None:
    """Look whether reports can be written, before anybody waits for them.

    Args:
        places: file names by option; None is none, `-` standard output.

    Raises:
        InvalidError: a folder is not there, or two want standard output or the same file.
    """
    given = {option: place for option, place in places.items() if place}
    if sum(place == STDOUT for place in given.values()) > 1:
        raise InvalidError("only one report fits on standard output", field=", ".join(given), hint="a file's name")
    taken: dict[Path, str] = {}
    for option, place in given.items():
        path = Path(place).resolve()
        if place != STDOUT and (path.is_file() or not path.exists()):
            if path in taken:
                told = f'"{place}" is that of {taken[path]} too'
                raise InvalidError(told, field=option, hint="a file of its own for each report")
            taken[path] = option
        if place != STDOUT and (not Path(place).absolute().parent.is_dir() or Path(place).is_dir()):
            raise InvalidError(f'"{place}" cannot be written', field=option, hint="a file in a folder that is there")


def clear_places(places: dict[str, str | None]) -> None:
    """Look whether reports can be written, and remove those of an earlier run, so that an error leaves none behind.

    Args:
        places: file names by option; what is no regular file (a pipe, a device) is left as it is.

    Raises:
        InvalidError: as `check_places`; also: an old one cannot be removed.
    """
    for option, place in places.items():
        path = Path(place).resolve() if place and place != STDOUT else None
        if path is None or not path.is_file():
            continue
        try:
            path.unlink()
        except OSError as error:
            raise InvalidError(f'"{place}" cannot be written: {error.strerror}', field=option) from error
    check_places(places)


def put(subject: Subject, form: Form, place: str) -> None:
    """Write a report to a file, or to standard output (`-`).

    Raises:
        InvalidError: it cannot be written.
    """
    data = write(subject, form).encode("utf-8", "backslashreplace")
    if place == STDOUT:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    try:
        Path(place).write_bytes(data)
    except OSError as error:
        raise InvalidError(f'"{place}" cannot be written: {error.strerror}') from error

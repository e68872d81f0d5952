"""Manifests: the documents of the API as Kubernetes-style YAML, several in a file.

`apiVersion: shadowmesh.io/v1alpha1`, kinds `VirtualNetwork` and `ShadowingProfile`; `metadata.name` is the name, `spec`
has the fields of the REST body (and `spec.network` for a profile), so that one file works with `shadowmesh apply -f`
and `kubectl apply -f`.

Guarantees: each problem names file, document, line and field; YAML that cannot be read is one clear line.
Not guaranteed: that what a manifest names exists (a network, a component); the manager knows.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import yaml
from pydantic import Field
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from api.schemas.base import D, Document, shown, validate
from api.schemas.network import Label, NetworkSpec
from api.schemas.profile import ManifestProfileSpec
from api.schemas.values import AnyText, Name
from xds_server.errors import FieldProblem, InvalidFieldsError
from xds_server.model.network import VirtualNetwork
from xds_server.model.profile import ShadowingProfile

if yaml.__with_libyaml__:
    from yaml.cyaml import CParser  # type: ignore[attr-defined]  # it is imported there
else:  # a PyYAML that was built without it

    class CParser:  # type: ignore[no-redef]
        """Never used."""


API_VERSION = "shadowmesh.io/v1alpha1"
MAX_BYTES = 16 * 1024 * 1024
"""Largest text that is read."""
_MOST_ENTRIES = 10_000
"""Entries of one list or object; a few lines of nested merges can stand for billions."""
_MOST_REREAD = 256 * 1024
"""Largest text that is read once more, slowly, for the sake of a clear error."""
_ERRORS = (yaml.YAMLError, RecursionError, ValueError)


class Metadata(Document):
    """What Kubernetes knows of every object. Only the name and a network's labels mean something here."""

    name: Name
    """Name of the object."""
    namespace: AnyText = ""
    """Left to Kubernetes."""
    labels: dict[Label, Label] = Field(default_factory=dict)
    """Labels; those of a network are its own."""
    annotations: dict[AnyText, AnyText] = Field(default_factory=dict)
    """Left to Kubernetes."""


class NetworkManifest(Document):
    """A virtual network."""

    api_version: Literal["shadowmesh.io/v1alpha1"]
    """`shadowmesh.io/v1alpha1`."""
    kind: Literal["VirtualNetwork"]
    """`VirtualNetwork`."""
    metadata: Metadata
    """Its name."""
    spec: NetworkSpec
    """What it is."""

    def to_model(self) -> VirtualNetwork:
        """Return the network."""
        labels = self.metadata.labels | self.spec.labels
        return self.spec.model_copy(update={"labels": labels}).to_model(self.metadata.name)


class ProfileManifest(Document):
    """A shadowing profile."""

    api_version: Literal["shadowmesh.io/v1alpha1"]
    """`shadowmesh.io/v1alpha1`."""
    kind: Literal["ShadowingProfile"]
    """`ShadowingProfile`."""
    metadata: Metadata
    """Its name."""
    spec: ManifestProfileSpec
    """What it is, and in which network."""

    def to_model(self) -> ShadowingProfile:
        """Return the profile."""
        return self.spec.to_model(self.metadata.name)


_KINDS: dict[str, type[NetworkManifest] | type[ProfileManifest]] = {
    "VirtualNetwork": NetworkManifest,
    "ShadowingProfile": ProfileManifest,
}


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object and where it was written; `document` and `line` count from 1."""

    body: NetworkManifest | ProfileManifest
    file: str
    document: int
    line: int

    @property
    def label(self) -> str:
        """What the object is called in listings: `network/shop`, `profile/shop/catalog-v2`."""
        if isinstance(self.body, NetworkManifest):
            return f"network/{self.body.metadata.name}"
        return f"profile/{self.body.spec.network}/{self.body.metadata.name}"


Attach = Callable[[dict[str, Any]], None]
"""Puts the content of files in the place of their names. Raises: InvalidFieldsError, with paths in the document."""


def parse(text: str | bytes, file: str, attach: Attach | None = None) -> list[Manifest]:
    """Return the objects of a text, in its order; documents without content are left out.

    Args:
        text: YAML or JSON.
        file: how to call it in errors.
        attach: does what it does to each document before it is checked.

    Raises:
        InvalidFieldsError: with every problem of every document, or the one reason why it cannot be read.
    """
    if len(text) > MAX_BYTES:
        raise _one(file, f"has {len(text)} bytes", f"at most {MAX_BYTES}")
    found: list[Manifest] = []
    problems: list[FieldProblem] = []
    for number, (node, value) in enumerate(_documents(text, file), start=1):
        if value is None:
            continue
        place = _Place(file, number, node)
        try:
            found.append(Manifest(_validated(value, place, attach), file, number, node.start_mark.line + 1))
        except InvalidFieldsError as error:
            problems += [place.problem(problem) for problem in error.problems]
    if problems:
        raise InvalidFieldsError(problems)
    if not found:
        raise _one(file, "holds no manifest", f"documents with apiVersion: {API_VERSION}")
    return found


def read_document(text: bytes, file: str) -> Any:
    """Return the one document of a text in YAML or JSON. Raises: InvalidFieldsError: why it cannot be read."""
    if len(text) > MAX_BYTES:
        raise _one(file, f"has {len(text)} bytes", f"at most {MAX_BYTES}")
    found = [value for _, value in _documents(text, file)]
    if len(found) != 1:
        raise _one(file, f"holds {len(found)} documents", "one document")
    return found[0]


def parse_one(model: type[D], text: str | bytes, file: str, *, hint: str = "") -> D:
    """Return the one document of a text, validated.

    Args:
        model: the kind of document.
        text: YAML or JSON.
        file: how to call it in errors.
        hint: what it should be when it is not even an object.

    Raises:
        InvalidFieldsError: with every problem, its line and its field, or the one reason why it cannot be read.
    """
    if len(text) > MAX_BYTES:
        raise _one(file, f"has {len(text)} bytes", f"at most {MAX_BYTES}")
    found = [(node, value) for node, value in _documents(text, file) if value is not None]
    if len(found) != 1:
        raise _one(file, f"holds {len(found)} documents" if found else "is empty", hint or "one document")
    node, value = found[0]
    if not isinstance(value, dict):
        raise _one(file, f"is {shown(value)}, not an object", hint)
    problems: Sequence[FieldProblem] = list(_twice(node, "", set()))
    if not problems:
        try:
            return validate(model, value)
        except InvalidFieldsError as error:
            problems = error.problems
    raise InvalidFieldsError(
        [replace(one, field=f"{file}, line {_line(node, one.field)}: {one.field}") for one in problems]
    )


def check_together(manifests: Sequence[Manifest]) -> None:
    """Refuse two manifests of one object.

    Raises:
        InvalidFieldsError: naming both places.
    """
    first: dict[str, Manifest] = {}
    for manifest in manifests:
        other = first.setdefault(manifest.label, manifest)
        if other is not manifest:
            where = f"{manifest.file}, document {manifest.document}, line {manifest.line}"
            told = f"{manifest.label} is already in {other.file}, document {other.document}, line {other.line}"
            raise _one(where, told, "each object once")


@dataclass(frozen=True, slots=True)
class _Place:
    file: str
    document: int
    node: yaml.Node

    def problem(self, problem: FieldProblem) -> FieldProblem:
        line = _line(self.node, problem.field)
        where = f"{self.file}, document {self.document}, line {line}"
        return FieldProblem(f"{where}: {problem.field}" if problem.field else where, problem.detail, problem.hint)


def _validated(value: object, place: _Place, attach: Attach | None) -> NetworkManifest | ProfileManifest:
    whole = "the document"
    if not isinstance(value, dict):
        hint = f"an object with apiVersion: {API_VERSION}"
        raise InvalidFieldsError([FieldProblem("", f"{whole} is {shown(value)}, not an object", hint)])
    version, kind = value.get("apiVersion"), value.get("kind")
    if version != API_VERSION:
        told = f"{shown(version)} is not known" if "apiVersion" in value else "is required"
        raise InvalidFieldsError([FieldProblem("apiVersion", told, API_VERSION)])
    if not isinstance(kind, str) or kind not in _KINDS:
        told = f"{shown(kind)} is not known" if "kind" in value else "is required"
        raise InvalidFieldsError([FieldProblem("kind", told, " or ".join(_KINDS))])
    twice = list(_twice(place.node, "", set()))
    if twice:
        raise InvalidFieldsError(twice)
    if attach is not None:
        attach(value)
    return validate(_KINDS[kind], value, whole=whole)


class _TooManyError(yaml.constructor.ConstructorError):
    """More than anybody needs."""


class _Guards(Composer, SafeConstructor):
    """Lists and objects end somewhere, while they are read; merges (`<<`) stay small, whatever they multiply."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if isinstance(parent, yaml.CollectionNode) and len(parent.value) >= _MOST_ENTRIES:
            told = f"has more than {_MOST_ENTRIES} entries, at most {_MOST_ENTRIES} can be used"
            raise _TooManyError(None, None, told, parent.start_mark)
        return super().compose_node(parent, index)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        if len(node.value) > _MOST_ENTRIES:
            told = f"merges (<<) make {len(node.value)} entries, at most {_MOST_ENTRIES} can be used"
            raise _TooManyError(None, None, told, node.start_mark)


class _Loader(_Guards, yaml.SafeLoader):
    """Reads slowly, and says best what is wrong."""


class _FastLoader(_Guards, CParser, Resolver):
    """Reads with libyaml; nodes are made here, so that what is nested too deeply is an error and no crash."""

    def __init__(self, stream: str | bytes) -> None:
        CParser.__init__(self, stream)
        Composer.__init__(self)
        SafeConstructor.__init__(self)
        Resolver.__init__(self)


# What looks like a date stays text: JSON has no dates.
_Loader.yaml_implicit_resolvers = _FastLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _documents(text: str | bytes, file: str) -> Iterator[tuple[yaml.Node, Any]]:
    try:
        yield from _loaded(text, fast=yaml.__with_libyaml__)
    except _ERRORS as error:
        raise _told(_in_words(text, error), file) from error


def _loaded(text: str | bytes, *, fast: bool) -> Iterator[tuple[yaml.Node, Any]]:
    loader = _FastLoader(text) if fast else _Loader(text)
    while loader.check_node():
        node = loader.get_node()
        assert node is not None  # noqa: S101 - check_node said so
        yield node, loader.construct_document(node)


def _in_words(text: str | bytes, error: Exception) -> Exception:
    """Return the error that the slow loader has for the same text: its words are the better ones."""
    if len(text) > _MOST_REREAD or isinstance(error, (RecursionError, _TooManyError)):
        return error
    try:
        for _ in _loaded(text, fast=False):
            pass
    except _ERRORS as plain:
        return plain
    return error


def _told(error: Exception, file: str) -> InvalidFieldsError:
    if isinstance(error, yaml.MarkedYAMLError):
        return _unreadable(error, file)
    if isinstance(error, RecursionError):
        return _one(file, "is nested too deeply", "fewer than a few hundred levels")
    return _one(file, f"is not YAML: {' '.join(str(error).split())}", "text in UTF-8")


def _unreadable(error: yaml.MarkedYAMLError, file: str) -> InvalidFieldsError:
    mark = error.problem_mark or error.context_mark
    where = f"{file}, line {mark.line + 1}, column {mark.column + 1}" if mark else file
    problem = " ".join(str(error.problem or error.context or error).split())
    ended = "stream end" in problem or "end of stream" in problem
    told = "ends in the middle of a value" if ended else f"is not YAML: {problem}"
    if isinstance(error, _TooManyError):
        told = problem
    return _one(where, told, "is the file whole?" if ended else "")


def _one(where: str, detail: str, hint: str = "") -> InvalidFieldsError:
    return InvalidFieldsError([FieldProblem(where, detail, hint)])


def _twice(node: yaml.Node, path: str, seen: set[int]) -> Iterator[FieldProblem]:
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _twice(item, f"{path}[{index}]", seen)
    elif isinstance(node, yaml.MappingNode):
        names: set[str] = set()
        for key, value in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else ""
            below = f"{path}.{name}" if path else name
            if name in names and name != "<<":
                yield FieldProblem(below, "is there twice", f"once; the second time in line {key.start_mark.line + 1}")
            names.add(name)
            yield from _twice(value, below, seen)


def _line(node: yaml.Node, path: str) -> int:
    """Return the line of a path, or of the deepest part of it that is there."""
    line = node.start_mark.line + 1
    for part in re.findall(r"[^.\[\]]+", path):
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if getattr(k, "value", None) == part), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and part.isdecimal() and int(part) < len(node.value):
            node = node.value[int(part)]
            line = node.start_mark.line + 1
        else:
            break
    return line

"""gRPC messages read by a FileDescriptorSet: what stands in each field, in the names of the .proto.

Guarantees: a set is built once; a broken set, an unknown method and bytes that are no such message give nothing and
raise nothing (`check_descriptor_set` says what is wrong, when a profile is given).
Not guaranteed: messages that cannot be written as JSON (NaN in a `Value`) and those inside an `Any` of a type that the
set lacks; the message is then not read at all.
"""

import base64
import binascii
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError, Message

from xds_server.analysis.diff.expressions import BadRuleError

HINT = "base64 of what `protoc --include_imports --descriptor_set_out` wrote"
_CACHED = 10_000


class Descriptors:
    """The methods of a descriptor set."""

    def __init__(self, encoded: str) -> None:
        """Build. Raises: BadRuleError."""
        try:
            raw = base64.b64decode(encoded, validate=True)
            files = descriptor_pb2.FileDescriptorSet.FromString(raw)
        except binascii.Error as error:
            raise BadRuleError("is not base64", HINT) from error
        except DecodeError as error:
            raise BadRuleError("is not a FileDescriptorSet", HINT) from error
        if not files.file or any(not file.name for file in files.file):
            raise BadRuleError("is not a FileDescriptorSet with files", HINT)
        self._pool = descriptor_pool.DescriptorPool()
        self._methods: dict[str, MethodDescriptor | None] = {}
        left = {file.name: file for file in files.file}
        for file in files.file:
            missing = next((name for name in file.dependency if name not in left), None)
            if missing is not None:
                raise BadRuleError(f"lacks {missing}, which {file.name} imports", HINT)
        added: set[str] = set()
        while left:
            ready = [name for name, file in left.items() if added.issuperset(file.dependency)]
            if not ready:
                raise BadRuleError("has files that import each other in a circle", HINT)
            for name in ready:
                self._add(left.pop(name))
            added.update(ready)

    def _add(self, file: descriptor_pb2.FileDescriptorProto) -> None:
        try:
            self._pool.AddSerializedFile(file.SerializeToString())
            self._pool.FindFileByName(file.name)
        except (TypeError, KeyError, ValueError) as error:
            raise BadRuleError(f"cannot be built: {str(error)[:200]}", HINT) from error

    def method(self, path: str) -> MethodDescriptor | None:
        """Return the method of a request path, `/pkg.Service/Method`."""
        if path in self._methods:
            return self._methods[path]
        found = None
        service, _, name = path.partition("?")[0].strip("/").rpartition("/")
        try:
            found = self._pool.FindServiceByName(service).methods_by_name.get(name)
        except (KeyError, TypeError, ValueError):
            found = None
        if len(self._methods) >= _CACHED:
            self._methods.clear()
        self._methods[path] = found
        return found

    def read(self, method: MethodDescriptor, data: bytes) -> tuple[Any, bytes] | None:
        """Return an answer of the method as a JSON value, and its canonical bytes; None when it is none."""
        try:
            message: Message = message_factory.GetMessageClass(method.output_type)()
            message.ParseFromString(data)
            value = json_format.MessageToDict(
                message,
                preserving_proto_field_name=True,
                always_print_fields_with_no_presence=True,
                descriptor_pool=self._pool,
            )
            return value, message.SerializeToString(deterministic=True)
        except (DecodeError, json_format.Error, TypeError, KeyError, ValueError, OverflowError, RecursionError):
            # Some messages cannot be JSON: a Timestamp beyond year 9999, NaN in a Value.
            return None


def check_descriptor_set(encoded: str) -> None:
    """Say whether messages can be read by it. Raises: BadRuleError."""
    if encoded:
        Descriptors(encoded)


def descriptors_of(encoded: str) -> Descriptors | None:
    """Return the methods of a set; None when there is none, or it is broken."""
    try:
        return Descriptors(encoded) if encoded else None
    except BadRuleError:
        return None

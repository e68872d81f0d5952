"""The small values of documents: durations, shares, ports, names. Each says what would be right when it is not.

Durations are text with a unit (`10m`, `200ms`, `1h30m`), as in Go, Kubernetes and Envoy's own documentation; inside
they are seconds. A bare number is refused: nobody knows its unit.
"""

import ipaddress
import math
import re
import uuid
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from api.schemas.base import kind_of, refuse, shown
from xds_server.model.quantity import MEMORY_HINT, format_bytes, parse_bytes

HOUR = 3600.0
MOST_NAME = 63
"""Characters of a name."""
_REFERENCE = "[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?"
DAY = 24 * HOUR
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": HOUR}
_DURATION = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,9})?(?:ms|s|m|h))+")
_PART = re.compile(r"([0-9.]+)(ms|s|m|h)")
DURATION_HINT = 'text with a unit, like "10m", "200ms" or "1h30m"'


def parse_duration(text: str) -> float | None:
    """Return the seconds of `1h30m`; None when it is not a duration."""
    if len(text) > 64 or not _DURATION.fullmatch(text):  # noqa: PLR2004 - no duration is that long
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))


def format_duration(seconds: float) -> str:
    """Return seconds as `1h30m`, `200ms`; what `parse_duration` reads back, to the millisecond."""
    total = round(seconds * 1000)
    parts = []
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        count, total = divmod(total, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


@dataclass(frozen=True, slots=True)
class Duration:
    """Marks a field as a duration between two bounds (seconds)."""

    least: float = 0.0
    most: float = DAY

    def check(self, value: Any) -> float:
        """Return the seconds of what was given."""
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            unit = f'"{value}s"' if 0 <= value <= self.most else '"10m"'
            refuse(f"{shown(value)} has no unit", f"{DURATION_HINT}; for seconds {unit}")
        if not isinstance(value, str):
            refuse(f"{kind_of(value)} is not a duration", DURATION_HINT)
        seconds = parse_duration(value)
        if seconds is None:
            refuse(f"{shown(value)} is not a duration", DURATION_HINT)
        if seconds < self.least:
            refuse(f"{shown(value)} is too short", f"from {self._range}")
        if seconds > self.most:
            refuse(f"{shown(value)} is too long", f"from {self._range}")
        return seconds

    @property
    def _range(self) -> str:
        return f"{format_duration(self.least)} to {format_duration(self.most)}"

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.check, serialization=core_schema.plain_serializer_function_ser_schema(format_duration)
        )

    def __get_pydantic_json_schema__(self, _core: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {
            "type": "string",
            "pattern": r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$",
            "description": f"Duration from {self._range}.",
            "examples": ["10m", "200ms", "1h30m"],
        }


@dataclass(frozen=True, slots=True)
class Number:
    """Marks a field as a finite number between two bounds; both allowed unless `exclusive`. `what` says what it is."""

    least: float
    most: float
    what: str = ""
    whole: bool = False
    share: bool = False
    exclusive: bool = False

    def check(self, value: Any) -> float:
        """Return the number that was given."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            refuse(f"{shown(value)} is not a number", self._right)
        if isinstance(value, float) and not math.isfinite(value):
            refuse(f"{shown(value)} is not a number that can be used", self._right)
        if self.whole and not isinstance(value, int):
            refuse(f"{shown(value)} is not a whole number", self._right)
        inside = self.least < value < self.most if self.exclusive else self.least <= value <= self.most
        if not inside:
            meant = f"; for {value:g} % give {value / 100:g}" if self.share and 1 < value <= 100 else ""  # noqa: PLR2004 - per cent
            refuse(f"{shown(value)} is out of range", self._right + meant)
        return value

    @property
    def _right(self) -> str:
        kind = "a whole number" if self.whole else "a number"
        least, most = (f"{bound:g}" if bound < 1e6 else str(int(bound)) for bound in (self.least, self.most))  # noqa: PLR2004 - %g would round above
        bounds = "from 0.0 to 1.0" if self.share else f"from {least} to {most}"
        if self.exclusive:
            bounds = f"above {least} and below {most}"
        return f"{kind} {bounds}" + (f", {self.what}" if self.what else "")

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, _core: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        least, most = ("exclusiveMinimum", "exclusiveMaximum") if self.exclusive else ("minimum", "maximum")
        return {"type": "integer" if self.whole else "number", least: self.least, most: self.most}


@dataclass(frozen=True, slots=True)
class Text:
    """Marks a field as text that matches a pattern as a whole. Control characters are never allowed."""

    pattern: str
    hint: str
    most: int = 255
    not_uuid: bool = False

    def check(self, value: Any) -> str:
        """Return the text that was given."""
        if not isinstance(value, str):
            refuse(f"{shown(value)} is not text", self.hint)
        if len(value) > self.most:
            refuse(f"has {len(value)} characters", f"at most {self.most}")
        if not _printable(value) or not re.fullmatch(self.pattern, value, re.DOTALL):
            refuse(f"{shown(value)} cannot be used here", self.hint)
        if self.not_uuid and is_uuid(value):
            refuse(f"{shown(value)} looks like an id", "a name that is not a UUID, so that the two cannot be mixed up")
        return value

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, _core: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "pattern": f"^(?:{self.pattern})$", "maxLength": self.most}


def _printable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return not any(ord(character) < 0x20 and character not in "\t\n\r" for character in text)  # noqa: PLR2004 - controls


def is_uuid(text: str) -> bool:
    """Tell whether `text` is a UUID in its usual spelling."""
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False


def is_ip(text: str) -> bool:
    """Tell whether `text` is an IPv4 or IPv6 address; one with a zone (`fe80::1%eth0`) is none that Envoy takes."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


@dataclass(frozen=True, slots=True)
class Memory:
    """Marks a field as an amount of memory between two bounds (bytes)."""

    least: int
    most: int

    def check(self, value: Any) -> int:
        """Return the bytes of what was given."""
        if isinstance(value, bool) or not isinstance(value, (int, str)):
            refuse(f"{shown(value)} is not an amount of memory", MEMORY_HINT)
        amount = parse_bytes(str(value))
        if amount is None:
            refuse(f"{shown(value)} is not an amount of memory", MEMORY_HINT)
        if not self.least <= amount <= self.most:
            told = "too little" if amount < self.least else "too much"
            refuse(f"{shown(value)} is {told}", f"from {format_bytes(self.least)} to {format_bytes(self.most)}")
        return amount

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.check, serialization=core_schema.plain_serializer_function_ser_schema(format_bytes)
        )

    def __get_pydantic_json_schema__(self, _core: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(|k|M|G|T|Ki|Mi|Gi|Ti)$", "examples": ["512Mi", "4Gi"]}


def _ip(value: Any) -> str:
    if not isinstance(value, str) or not is_ip(value):
        refuse(f"{shown(value)} is not an IP address", 'like "127.0.0.1", or "0.0.0.0" for all interfaces')
    return str(ipaddress.ip_address(value))  # one spelling, so that equal ones are found


_LABEL = "[A-Za-z0-9_]([-A-Za-z0-9_]{0,61}[A-Za-z0-9_])?"
_DNS = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*\.?")


def _host(value: Any) -> str:
    hint = 'an IP address or DNS name without a port, like "127.0.0.1" or "catalog.shop.svc"'
    numeric = isinstance(value, str) and re.fullmatch(r"[0-9.]+", value) is not None
    if not isinstance(value, str) or not (is_ip(value) or (_DNS.fullmatch(value) and not numeric)):
        refuse(f"{shown(value)} is not an address", hint)
    return str(ipaddress.ip_address(value)) if is_ip(value) else value


def is_reference(text: str) -> bool:
    """Tell whether `text` may be the name or the id of something."""
    return len(text) <= MOST_NAME and re.fullmatch(_REFERENCE, text) is not None


@dataclass(frozen=True, slots=True)
class _Checked:
    function: Any
    format: str

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.function)

    def __get_pydantic_json_schema__(self, _core: CoreSchema, _handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "string", "format": self.format}


_NAME = "[a-z0-9]([-a-z0-9.]*[a-z0-9])?"
_NAME_HINT = "lower-case letters, digits, '-' and '.', at most 63, beginning and ending with a letter or digit"

Name = Annotated[str, Text(_NAME, _NAME_HINT, most=63, not_uuid=True)]
"""Name of a network, component, profile or variant."""
Reference = Annotated[str, Text(_REFERENCE, "a name or an id", most=MOST_NAME)]
"""Name or id of something that exists."""
AnyText = Annotated[str, Text(".*", "text without control characters", most=8192)]
"""Text that somebody else gives a meaning to: an argument, a value of the environment."""
EnvName = Annotated[str, Text("[A-Za-z_][A-Za-z0-9_]*", "the name of an environment variable", most=255)]
Port = Annotated[int, Number(1, 65535, "a TCP port", whole=True)]
IPAddress = Annotated[str, _Checked(_ip, "ip")]
HostAddress = Annotated[str, _Checked(_host, "hostname")]
Share = Annotated[float, Number(0.0, 1.0, "the share of the traffic; 0.5 is half of it", share=True)]
Percentage = Annotated[float, Number(0.0, 100.0, "per cent of the copies; 50 is half of them")]

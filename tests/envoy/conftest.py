from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.envoy.harness import Mesh


@pytest.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[Mesh]:
    """Everything but the Envoy, which a test starts with what it wants to publish."""
    async with Mesh(tmp_path) as made:
        yield made
        if hasattr(made, "envoy"):
            assert [c for c in made.envoy.complaints() if not any(e in c for e in made.expected)] == []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/envoy/" in str(item.path):
            item.add_marker("envoy")

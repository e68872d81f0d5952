import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def tools() -> Path:
    """Folder of prometheus, promtool and prometheus-alertmanager; Debian's packages are unpacked when it takes that."""
    done = subprocess.run([ROOT / "hack/prometheus"], capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        pytest.skip(f"no Prometheus to test with: {done.stderr.strip()}")
    return Path(done.stdout.strip())

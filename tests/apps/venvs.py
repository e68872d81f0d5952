"""Released versions of applications, each in an environment of its own with exactly the packages of its lock file.

Guarantees: only wheels whose hash is in `locks/` are installed; an environment is made once and used until its lock
file, this file or the interpreter changes; two test runs at once do not make the same one.
Not guaranteed: that the registry answers. Without it the tests are skipped with the reason, which CI does not allow.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_HERE = Path(__file__).parent
_BUILT = _HERE.parents[1] / "build/apps"
_UNREACHABLE = "connection broken by"
"""pip's words when it got through to no registry; a wrong hash or a version that is gone are failures of ours."""


def program_of(name: str, version: str) -> str:
    """Return the program of an application's environment, made if need be."""
    lock = _HERE / "locks" / f"{name}-{version}.lock"
    folder = _BUILT / lock.stem
    made_of = hashlib.sha256(lock.read_bytes() + Path(__file__).read_bytes() + sys.version.encode()).hexdigest()
    stamp = folder / "made-of"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (_BUILT / f"{lock.stem}.making").open("w") as making:
        fcntl.flock(making, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != made_of:
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", folder], check=True, capture_output=True)
            _install(folder / "bin/python", lock)
            stamp.write_text(made_of)
    return str(folder / "bin" / name)


def _install(python: Path, lock: Path) -> None:
    pip = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--retries", "2"]
    exactly = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", lock]
    done = subprocess.run([*pip, *exactly], capture_output=True, text=True, check=False, timeout=300)
    if done.returncode and _UNREACHABLE in done.stderr:
        pytest.skip(f"no registry to get {lock.stem} from: {done.stderr.strip().splitlines()[-1]}")
    assert not done.returncode, done.stderr[-2000:]

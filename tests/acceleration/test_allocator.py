"""Settings of a process: freed memory is kept for the next step, unless environment variables say otherwise."""

import os
import platform
import subprocess
import sys

import pytest

from machamp_lite.acceleration import allocator as process

# Page faults when the same memory is allocated and freed for the third time.
FAULTS = """
import resource
from machamp_lite.acceleration.allocator import keep_freed_memory
{setting}
for _ in range(3):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [bytearray(b"x") * 2**24 for _ in range(8)]
    del blocks
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(setting: str, **environment: str) -> int:
    command = [sys.executable, "-c", FAULTS.format(setting=setting)]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return int(result.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators have no such settings")
def test_freed_memory_is_kept_unless_the_environment_says_otherwise() -> None:
    kept = faults("keep_freed_memory()")
    assert kept < 100 < faults("")
    assert faults("keep_freed_memory()", MALLOC_TRIM_THRESHOLD_="1000000") > 100
    assert faults("keep_freed_memory()", GLIBC_TUNABLES="glibc.malloc.trim_threshold=1000000") > 100


def test_settings_are_made_before_torch_is_imported() -> None:
    command = "import sys, machamp_lite.acceleration.allocator; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", command], check=True)


def test_an_allocator_without_such_settings_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process.ctypes, "CDLL", lambda name: object())
    process.keep_freed_memory()


def test_a_number_of_primitives_in_the_environment_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
    monkeypatch.delenv(name, raising=False)
    for _ in range(2):
        process.limit_onednn_primitives(5)
        assert os.environ[name] == "5"
    monkeypatch.setenv(name, "7")
    process.limit_onednn_primitives(5)
    assert os.environ[name] == "7"

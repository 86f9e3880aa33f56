"""No garbage is collected while libraries are imported; afterwards, it is as before."""

import atexit
import gc
import subprocess
import sys
from typing import Any

import pytest

from machamp_lite.acceleration import WITHOUT
from machamp_lite.acceleration.garbage_collection import (
    freeze_at_exit,
    freeze_objects,
    garbage_collection_paused,
)


@pytest.mark.parametrize("error", [None, ValueError])
def test_it_is_collected_again_after_imports(error: type[Exception] | None) -> None:
    assert gc.isenabled()
    try:
        with garbage_collection_paused():
            assert not gc.isenabled()
            if error:
                raise error
    except ValueError:
        pass
    assert gc.isenabled()


def test_what_the_user_has_switched_off_stays_off() -> None:
    gc.disable()
    try:
        with garbage_collection_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_it_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WITHOUT, "garbage_collection")
    registered: list[Any] = []
    frozen = gc.get_freeze_count()
    monkeypatch.setattr(atexit, "register", registered.append)
    freeze_at_exit()
    freeze_objects()
    with garbage_collection_paused():
        assert gc.isenabled()
    assert not registered and gc.get_freeze_count() == frozen


def test_a_server_does_not_collect_its_models() -> None:
    frozen = gc.get_freeze_count()
    freeze_objects()
    try:
        assert gc.get_freeze_count() > frozen
    finally:
        gc.unfreeze()


def test_nothing_is_collected_at_the_end_of_a_process() -> None:
    code = """
import atexit, gc
from machamp_lite.acceleration.garbage_collection import freeze_at_exit
# The first that is registered is called last.
atexit.register(lambda: print(gc.get_freeze_count() > 0))
freeze_at_exit()
freeze_at_exit()
import sys
assert "torch" not in sys.modules and gc.get_freeze_count() == 0
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "True\n"

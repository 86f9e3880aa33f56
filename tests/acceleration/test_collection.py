"""Python does not search for garbage while libraries are imported, and as its user wants it afterwards."""

import atexit
import gc
import subprocess
import sys
from typing import Any

import pytest

from machamp_lite.acceleration import WITHOUT
from machamp_lite.acceleration.collection import end_without_collection, without_collection


@pytest.mark.parametrize("error", [None, ValueError])
def test_the_search_goes_on_after_imports(error: type[Exception] | None) -> None:
    assert gc.isenabled()
    try:
        with without_collection():
            assert not gc.isenabled()
            if error:
                raise error
    except ValueError:
        pass
    assert gc.isenabled()


def test_a_search_that_the_user_has_switched_off_stays_off() -> None:
    gc.disable()
    try:
        with without_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_it_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WITHOUT, "collection")
    registered: list[Any] = []
    monkeypatch.setattr(atexit, "register", registered.append)
    end_without_collection()
    with without_collection():
        assert gc.isenabled()
    assert not registered


def test_the_end_of_a_process_searches_nothing() -> None:
    code = """
import atexit, gc
from machamp_lite.acceleration.collection import end_without_collection
# The first that is registered is called last.
atexit.register(lambda: print(gc.get_freeze_count() > 0))
end_without_collection()
end_without_collection()
import sys
assert "torch" not in sys.modules and gc.get_freeze_count() == 0
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "True\n"

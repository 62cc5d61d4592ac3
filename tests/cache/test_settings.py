"""Sizes and lengths of time as people write them."""

from __future__ import annotations

import pytest

from crane_core.cache.settings import (
    DEFAULT_SIZE,
    DEFAULT_STALE_LIMIT,
    CacheSettings,
    parse_size,
    read_settings,
    show_size,
)
from crane_core.config.durations import parse_duration
from crane_core.errors import UsageError

SIZES = {
    "0": 0, "123": 123, "5GB": 5 * 10**9, "5 gb": 5 * 10**9, "5G": 5 * 10**9, "500MB": 5 * 10**8,
    "1.5GiB": 3 << 29, "2k": 2000, "2KiB": 2048, " 1TB ": 10**12, "7B": 7,
}  # fmt: skip
DURATIONS = {
    "0": 0, "45": 45, "45s": 45, "90m": 5_400, "12h": 43_200, "30d": 2_592_000, "2w": 1_209_600,
    "1.5h": 5_400, "3 D": 259_200,
}  # fmt: skip


@pytest.mark.parametrize(("text", "size"), SIZES.items())
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text, "it") == size


@pytest.mark.parametrize(("text", "seconds"), DURATIONS.items())
def test_lengths_of_time(text: str, seconds: float) -> None:
    assert parse_duration(text, "it") == seconds


@pytest.mark.parametrize("text", ["", "much", "-1", "5 apples", "5XB", "1e9", "GB", "5iB", "5GG"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_size(text, "CRANE_CACHE_SIZE")
    assert "CRANE_CACHE_SIZE" in caught.value.message


@pytest.mark.parametrize("text", ["", "soon", "-1d", "3y", "d"])
def test_what_is_no_length_of_time(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_duration(text, "--older")
    assert "--older" in caught.value.message


def test_the_settings_of_the_environment() -> None:
    assert read_settings({}) == CacheSettings(DEFAULT_SIZE, DEFAULT_STALE_LIMIT)
    assert read_settings({"CRANE_CACHE_SIZE": ""}) == CacheSettings()
    found = read_settings({"CRANE_CACHE_SIZE": "5GB", "CRANE_STALE_LIMIT": "12h"})
    assert found == CacheSettings(5 * 10**9, 43_200)
    assert read_settings({"CRANE_CACHE_SIZE": "0", "CRANE_STALE_LIMIT": "0"}).size == 0


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (9_900, "9.9 kB"), (10_000, "10 kB"),
     (123_456_789, "123 MB"), (999_600, "1.0 MB"), (10**10, "10 GB"), (2 * 10**12, "2.0 TB")],
)  # fmt: skip
def test_sizes_for_people(size: int, shown: str) -> None:
    assert show_size(size) == shown

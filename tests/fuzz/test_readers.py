"""Any bytes for each reader of foreign bytes: nothing but declared errors, soon, in bounded memory.

`python3 dev.py fuzz --minutes 10` goes on for long, with other bytes each time. What it finds is
kept in `corpus/TARGET/`, which is replayed here (docs/decisions/0017-fuzzing.md).
"""

from __future__ import annotations

import gc
import hashlib
import os
import time
import tracemalloc
from collections import Counter

import pytest
from fuzz.targets import CORPUS, TARGETS, Target
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

# Of a test's whole time, in seconds; 0 is the bounded run of CI.
LONG = float(os.environ.get("FUZZ_SECONDS", "0"))
EXAMPLES = 250
ROUND = 500  # inputs, of the long run
PROCESSOR_SECONDS = 2.0  # for one input; a reader takes milliseconds
MEMORY = 64 << 20  # bytes; an input has at most some hundred thousand


def inputs(target: Target) -> st.SearchStrategy[bytes]:
    """Return bytes made of a kept input, cut and with words of its language put in, or of these."""
    words = st.sampled_from(target.words) | st.binary(max_size=6)
    edits = st.lists(
        st.tuples(st.integers(0, 1 << 16), st.integers(0, 12), st.lists(words, max_size=3)),
        max_size=6,
    )
    changed = st.builds(edited, st.sampled_from(target.seeds), edits)
    return changed | st.lists(words, max_size=25).map(b"".join) | st.binary(max_size=200)


def edited(seed: bytes, edits: list[tuple[int, int, list[bytes]]]) -> bytes:
    """Take so many bytes away at each place, and put words there."""
    for place, count, words in edits:
        at = place % (len(seed) + 1)
        seed = seed[:at] + b"".join(words) + seed[at + count :]
    return seed


def read(target: Target, data: bytes) -> None:
    """Let a target read; keep what it fails at, if this is the long run."""
    began = time.process_time()
    try:
        target.read(data)
        took = time.process_time() - began
        assert took < PROCESSOR_SECONDS, f"{took:.1f} s for {len(data)} bytes"
    except BaseException:
        if LONG:
            name = f"crash-{hashlib.sha256(data).hexdigest()[:12]}"
            (CORPUS / target.name / name).write_bytes(data)
        raise


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_kept_inputs_are_read_in_bounded_memory(target: Target) -> None:
    for data in target.seeds:
        read(target, data)  # imports, too
        gc.collect()
        tracemalloc.start()
        try:
            read(target, data)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < MEMORY, f"{peak} bytes for {data[:60]!r}"


@pytest.mark.skipif(bool(LONG), reason="the long run is another test")
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_any_bytes_are_read_or_refused(target: Target) -> None:
    @settings(max_examples=EXAMPLES, derandomize=True, database=None)
    @given(data=inputs(target))
    def check(data: bytes) -> None:
        read(target, data)

    check()


@pytest.mark.skipif(not LONG, reason="asked for with: python3 dev.py fuzz")
@pytest.mark.timeout(0)
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_any_bytes_for_long(target: Target, capsys: pytest.CaptureFixture[str]) -> None:
    """Each reader gets the same share of the time; each round begins somewhere else."""
    end = time.monotonic() + LONG / len(TARGETS)
    sizes: Counter[str] = Counter()

    @settings(max_examples=ROUND, database=None, suppress_health_check=list(HealthCheck))
    @given(data=inputs(target))
    def check(data: bytes) -> None:
        sizes["inputs"] += 1
        sizes["bytes"] += len(data)
        read(target, data)

    while time.monotonic() < end:
        check()
    with capsys.disabled():
        print(f"\n{target.name}: {sizes['inputs']:,} inputs, {sizes['bytes'] / 1e6:,.1f} MB")

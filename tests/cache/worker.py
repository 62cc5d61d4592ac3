"""A process that uses a cache as gateways do, and checks all that it is given.

    python worker.py FOLDER SIZE SEED ROUNDS

Says `ready`, waits for a line, then says each round that it has done. Ends with 1 and the reason
where it was given anything that it should not have.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from cache.kit import Desk, sha256

from crane_core.cache.model import FileRecord, PageKey, StoredPage
from crane_core.errors import StorageError

CONTENTS = [bytes([n]) * (1000 + 700 * n) for n in range(24)]
# Time passes from round to round, so that uses are written.
ROUND_SECONDS = 4_000.0


def use_file(desk: Desk, content: bytes, identity: str) -> None:
    """Have the file from the cache, or bring it there."""
    url, digest = f"https://files.example.com/{len(content)}", sha256(content)
    record = desk.files.record(url, identity)
    if record is not None:
        assert record.headers == {"whose": identity}, f"{identity} was given {record}"
        assert record.sha256 == digest
    cached = desk.files.find(digest)
    if cached is not None:
        try:
            assert cached.path.read_bytes() == content, "damaged"
        except FileNotFoundError:
            cached = None  # another process made room
    if cached is None:
        bring(desk, content, digest)
    desk.files.authorise(url, identity, FileRecord(digest, 1.0, {"whose": identity}))


def bring(desk: Desk, content: bytes, digest: str) -> None:
    """Download a file, and read it meanwhile."""
    spool = desk.files.spool(len(content))
    assert spool is not None, desk.notices
    with spool.reader() as reader:
        for start in range(0, len(content), 900):
            spool.write(content[start : start + 900])
        assert reader.read() == content
    try:
        spool.commit(digest)
    except StorageError as error:
        print(f"busy: {error.line}", flush=True)
    spool.discard()


def use_page(desk: Desk, number: int, identity: str) -> None:
    """Have a page from the cache, or bring it there; sometimes it has changed."""
    key = PageKey(f"https://index.example.com/{number}/", identity)
    page = desk.pages.read(key)
    body = f"{number} for {identity}".encode() * 50
    assert page is None or page.body == body, f"{identity} was given {page!r}"
    if page is None or number % 3 == 0:
        desk.pages.write(key, StoredPage(key.url, {"n": str(number)}, body, 1.0))
    elif number % 3 == 1:
        desk.pages.renew(key, 2.0, {"n": str(number)})
    else:
        desk.pages.remove(key)


def work(desk: Desk, seed: int, rounds: int) -> None:
    """Use the cache for so many rounds."""
    chance = random.Random(seed)
    for number in range(rounds):
        desk.clock.time += ROUND_SECONDS
        identity = f"id-{chance.randrange(4)}"
        use_file(desk, chance.choice(CONTENTS), identity)
        use_page(desk, chance.randrange(20), identity)
        desk.contacts.note("https://index.example.com", identity, desk.clock.now())
        if chance.random() < 0.05:
            desk.contacts.forget(identity)
        print(number, flush=True)


if __name__ == "__main__":
    place, size, first, count = sys.argv[1:]
    process_desk = Desk(Path(place), int(size))
    print("ready", flush=True)
    sys.stdin.readline()
    work(process_desk, int(first), int(count))
    if process_desk.notices:
        sys.exit(f"{process_desk.notices}")

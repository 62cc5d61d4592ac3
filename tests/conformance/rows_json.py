"""What the specification says of a file entry, and what becomes of it."""

from __future__ import annotations

from conformance.rows import ABSENT, MD5, SHA256, SHA512, WHEEL, Row, entry

FROM_JSON = [
    Row(
        "Any value that represents an URL may be relative to the current URL as if it were HTML",
        entry(url=f"../../files/{WHEEL}"),
        {"href": f"{{gate}}/files/{WHEEL}"},
        {"url": f"{{gate}}/files/{WHEEL}"},
    ),
    Row(
        "Any value that represents an URL may be absolute",
        entry(url=f"https://files.example/{WHEEL}"),
        {"href": f"https://files.example/{WHEEL}"},
        {"url": f"https://files.example/{WHEEL}"},
    ),
    Row(
        "hashes: multiple hashes can be included",
        entry(hashes={"md5": MD5, "sha512": SHA512, "sha256": SHA256, "x-own": "1"}),
        {"href": f"{{gate}}/simple/{{name}}/{WHEEL}#sha256={SHA256}"},
        {"hashes": {"md5": MD5, "sha512": SHA512, "sha256": SHA256, "x-own": "1"}},
    ),
    Row(
        "At least one secure algorithm SHOULD always be included (HTML gets the best known one)",
        entry(hashes={"x-own": "1", "md5": MD5, "sha512": SHA512}),
        {"href": f"{{gate}}/simple/{{name}}/{WHEEL}#sha512={SHA512}"},
        {"hashes": {"x-own": "1", "md5": MD5, "sha512": SHA512}},
    ),
    Row(
        "These hash names SHOULD always be normalized to be lowercase (where not: kept, used)",
        entry(hashes={"SHA256": SHA256}),
        {"href": f"{{gate}}/simple/{{name}}/{WHEEL}#sha256={SHA256}"},
        {"hashes": {"SHA256": SHA256}},
    ),
    Row(
        "The hashes dictionary MUST be present, even if no hashes are available",
        entry(hashes={}),
        {"href": f"{{gate}}/simple/{{name}}/{WHEEL}"},
        {"hashes": {}},
    ),
    Row(
        "requires-python does not require any special escaping (HTML does)",
        entry(requires_python=">=3.7,<4"),
        {"data-requires-python": ">=3.7,<4"},
        {"requires-python": ">=3.7,<4"},
    ),
    Row(
        "requires-python: an optional key (null says nothing)",
        entry(requires_python=None),
        {"data-requires-python": ABSENT},
        {"requires-python": None},
    ),
    Row(
        "core-metadata: a dictionary mapping hash names to a digest",
        entry(core_metadata={"md5": MD5, "sha256": SHA256}),
        {"data-core-metadata": f"sha256={SHA256}"},
        {"core-metadata": {"md5": MD5, "sha256": SHA256}, "dist-info-metadata": ABSENT},
    ),
    Row(
        "core-metadata: a boolean to indicate if the file has an associated metadata file",
        entry(core_metadata=True),
        {"data-core-metadata": "true"},
        {"core-metadata": True},
    ),
    Row(
        "core-metadata: if it is falsey then it is not",
        entry(url=f"https://files.example/{WHEEL}", core_metadata=False),
        {"data-core-metadata": ABSENT, "data-dist-info-metadata": ABSENT},
        {"core-metadata": False},
    ),
    Row(
        "dist-info-metadata: an optional, deprecated alias for core-metadata",
        entry(dist_info_metadata={"sha256": SHA256}),
        {"data-core-metadata": f"sha256={SHA256}"},
        {"dist-info-metadata": {"sha256": SHA256}, "core-metadata": {"sha256": SHA256}},
    ),
    Row(
        "gpg-sig: an optional key that acts a boolean",
        entry(gpg_sig=True),
        {"data-gpg-sig": "true"},
        {"gpg-sig": True},
    ),
    Row(
        "yanked: a boolean to indicate if the file has been yanked",
        entry(yanked=True),
        {"data-yanked": ""},
        {"yanked": True},
    ),
    Row(
        "yanked: if present and truthy it SHOULD be interpreted as yanked (false is not)",
        entry(yanked=False),
        {"data-yanked": ABSENT},
        {"yanked": False},
    ),
    Row(
        "yanked: a non empty, but otherwise arbitrary, string",
        entry(yanked="<b>no</b> ✓"),
        {"data-yanked": "<b>no</b> ✓"},
        {"yanked": "<b>no</b> ✓"},
    ),
    Row(
        "size: an integer which is the file size in bytes",
        entry(size=2**70),
        {},
        {"size": 2**70},
    ),
    Row(
        "upload-time: an ISO 8601 date/time string",
        entry(upload_time="2024-01-01T00:00:00.000001Z"),
        {},
        {"upload-time": "2024-01-01T00:00:00.000001Z"},
    ),
    Row(
        "provenance: a JSON string",
        entry(provenance="https://attest.example/p"),
        {"data-provenance": "https://attest.example/p"},
        {"provenance": "https://attest.example/p"},
    ),
    Row(
        "provenance: or null",
        entry(provenance=None),
        {"data-provenance": ABSENT},
        {"provenance": None},
    ),
    Row(
        "provenance: a URL to the file's associated provenance (the index's needs its token)",
        entry(provenance="/attest/p.json"),
        {"data-provenance": "{gate}/attest/p.json"},
        {"provenance": "{gate}/attest/p.json"},
    ),
    Row(
        "Additional keys may be added to any dictionary objects in the API responses",
        {**entry(x_future={"deep": [None, 1.5, "é", 2**80]}), "_private": 1},
        {},
        {"x-future": {"deep": [None, 1.5, "é", 2**80]}, "_private": 1},
    ),
]

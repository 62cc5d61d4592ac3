"""Rows of the tables: a sentence of the specification, what an index sends, what a tool sees."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

SPECIFICATION = "https://packaging.python.org/en/latest/specifications/simple-repository-api/"
WHEEL = "lib-1.0-py3-none-any.whl"
SDIST = "lib-1.0.tar.gz"
SHA256 = "a" * 64
MD5 = "b" * 32
SHA512 = "c" * 128
# What must not be there at all.
ABSENT: Any = object()


@dataclass(frozen=True)
class Row:
    """`given` is an anchor's attributes or a JSON file entry; `html` and `json` are parts of it.

    `{up}` stands for the index, `{gate}` for the place of its files at the gateway.
    """

    says: str
    given: str | dict[str, Any]
    html: dict[str, Any] = field(default_factory=dict)
    json: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.says[:90]


FROM_HTML = [
    Row(
        "The href attribute MUST be a URL that links to the location of the file for download",
        f'href="{WHEEL}"',
        {"href": f"{{gate}}/simple/{{name}}/{WHEEL}"},
        {"url": f"{{gate}}/simple/{{name}}/{WHEEL}", "filename": WHEEL, "hashes": {}},
    ),
    Row(
        "URLs may be either absolute or relative as long as they point to the correct location",
        f'href="../../files/a%20b/{WHEEL}"',
        {"href": f"{{gate}}/files/a%20b/{WHEEL}"},
        {"url": f"{{gate}}/files/a%20b/{WHEEL}"},
    ),
    Row(
        "URLs may be absolute (with the index's own host)",
        f'href="{{up}}/files/{WHEEL}?sig=1&amp;x=2"',
        {"href": f"{{gate}}/files/{WHEEL}?sig=1&x=2"},
        {"url": f"{{gate}}/files/{WHEEL}?sig=1&x=2"},
    ),
    Row(
        "There are no constraints on where the files must be hosted relative to the repository",
        f'href="https://files.example/x/{WHEEL}#sha256={SHA256}"',
        {"href": f"https://files.example/x/{WHEEL}#sha256={SHA256}"},
        {"url": f"https://files.example/x/{WHEEL}", "hashes": {"sha256": SHA256}},
    ),
    Row(
        "There may be any other HTML elements (a base element counts, as HTML says)",
        f'href="{WHEEL}"><base href="/mirror/"',
        {"href": f"{{gate}}/mirror/{WHEEL}"},
        {"url": f"{{gate}}/mirror/{WHEEL}"},
    ),
    Row(
        "Each file URL SHOULD include a hash: #<hashname>=<hashvalue>",
        f'href="{SDIST}#sha256={SHA256}"',
        {"href": f"{{gate}}/simple/{{name}}/{SDIST}#sha256={SHA256}"},
        {"url": f"{{gate}}/simple/{{name}}/{SDIST}", "hashes": {"sha256": SHA256}},
    ),
    Row(
        "Repositories SHOULD choose a hash function from hashlib's (md5)",
        f'href="{SDIST}#md5={MD5}"',
        {"href": f"{{gate}}/simple/{{name}}/{SDIST}#md5={MD5}"},
        {"hashes": {"md5": MD5}},
    ),
    Row(
        "<hashname> is the lowercase name of the hash function (where it is not, it is understood)",
        f'href="{SDIST}#SHA256={SHA256}"',
        {"href": f"{{gate}}/simple/{{name}}/{SDIST}#sha256={SHA256}"},
        {"hashes": {"sha256": SHA256}},
    ),
    Row(
        "SHOULD include a hash (beside pip's older egg fragment, with a second hash)",
        f'href="{SDIST}#egg=lib-1.0&amp;md5={MD5}&amp;sha256={SHA256}"',
        {"href": f"{{gate}}/simple/{{name}}/{SDIST}#sha256={SHA256}"},
        {"hashes": {"md5": MD5, "sha256": SHA256}},
    ),
    Row(
        "The text of the anchor tag MUST match the final path component of the URL",
        'href="lib-1.0%2Blocal.tar.gz"',
        {"href": "{gate}/simple/{name}/lib-1.0%2Blocal.tar.gz", "text": "lib-1.0+local.tar.gz"},
        {"filename": "lib-1.0+local.tar.gz"},
    ),
    Row(
        "Any URL (RFC 3986: a character outside of ASCII travels percent-encoded)",
        'href="lib-1.0+é.tar.gz"',
        {"href": "{gate}/simple/{name}/lib-1.0+%C3%A9.tar.gz", "text": "lib-1.0+é.tar.gz"},
        {"url": "{gate}/simple/{name}/lib-1.0+%C3%A9.tar.gz", "filename": "lib-1.0+é.tar.gz"},
    ),
    Row(
        "data-requires-python: < and > have to be HTML encoded",
        f'href="{WHEEL}" data-requires-python="&gt;=3.7,&lt;4"',
        {"data-requires-python": ">=3.7,<4"},
        {"requires-python": ">=3.7,<4"},
    ),
    Row(
        "The data-yanked attribute may have no value",
        f'href="{WHEEL}" data-yanked',
        {"data-yanked": ""},
        {"yanked": True},
    ),
    Row(
        "The data-yanked attribute may have an arbitrary string as a value",
        f'href="{WHEEL}" data-yanked="says &quot;no&quot; é"',
        {"data-yanked": 'says "no" é'},
        {"yanked": 'says "no" é'},
    ),
    Row(
        "The presence of a data-yanked attribute SHOULD be interpreted (its absence too)",
        f'href="{WHEEL}"',
        {"data-yanked": ABSENT, "data-requires-python": ABSENT, "data-gpg-sig": ABSENT},
        {"yanked": ABSENT, "requires-python": ABSENT, "gpg-sig": ABSENT, "size": ABSENT},
    ),
    Row(
        "A repository MAY include a data-core-metadata attribute: <hashname>=<hashvalue>",
        f'href="{WHEEL}" data-core-metadata="sha256={SHA256}"',
        {
            "data-core-metadata": f"sha256={SHA256}",
            "data-dist-info-metadata": f"sha256={SHA256}",
        },
        {"core-metadata": {"sha256": SHA256}},
    ),
    Row(
        "The repository MAY use true as the attribute's value if a hash is unavailable",
        f'href="{WHEEL}" data-core-metadata="true"',
        {"data-core-metadata": "true", "data-dist-info-metadata": "true"},
        {"core-metadata": True},
    ),
    Row(
        "data-dist-info-metadata: a legacy fallback for data-core-metadata",
        f'href="{WHEEL}" data-dist-info-metadata="sha256={SHA256}"',
        {"data-core-metadata": f"sha256={SHA256}"},
        {"core-metadata": {"sha256": SHA256}, "dist-info-metadata": ABSENT},
    ),
    Row(
        "data-gpg-sig with a value of either true or false",
        f'href="{WHEEL}" data-gpg-sig="false"',
        {"data-gpg-sig": "false"},
        {"gpg-sig": False},
    ),
    Row(
        "data-gpg-sig: whether or not there is a GPG signature (there is)",
        f'href="{SDIST}" data-gpg-sig="true"',
        {"data-gpg-sig": "true"},
        {"gpg-sig": True},
    ),
    Row(
        "data-provenance MUST be a fully qualified URL (elsewhere it stays what it is)",
        f'href="{WHEEL}" data-provenance="https://attest.example/{WHEEL}"',
        {"data-provenance": f"https://attest.example/{WHEEL}"},
        {"provenance": f"https://attest.example/{WHEEL}"},
    ),
    Row(
        "data-provenance: the provenance can be found at that URL (the index's needs its token)",
        f'href="{WHEEL}" data-provenance="{{up}}/attest/{WHEEL}.provenance"',
        {"data-provenance": f"{{gate}}/attest/{WHEEL}.provenance"},
        {"provenance": f"{{gate}}/attest/{WHEEL}.provenance"},
    ),
]


def entry(**keys: Any) -> dict[str, Any]:
    """Return a JSON file entry; keys are written with underscores."""
    given = {name.replace("_", "-"): value for name, value in keys.items()}
    return {"filename": WHEEL, "url": WHEEL, "hashes": {}, "size": 10, **given}


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

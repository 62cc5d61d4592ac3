"""What the specification says of an anchor, and what becomes of it."""

from __future__ import annotations

from conformance.rows import ABSENT, MD5, SDIST, SHA256, WHEEL, Row

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

"""The golden vectors, read by a foreign msgpack: the values of each file are the values of its bytes."""

import json
import re
from pathlib import Path

import msgpack
import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "schemas/golden").glob("*.hex"))


def plain(value):
    """As the JSON has it: bytes in hexadecimal."""
    return value.hex() if isinstance(value, bytes) else value


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_values_and_bytes_agree(path):
    lines = path.read_text().splitlines()
    values = json.loads(lines[1].removeprefix("# "))
    data = bytes.fromhex("".join(line for line in lines if not line.startswith("#")))
    kind, version, request_id, route, key, *fields = msgpack.unpackb(data)
    assert [kind, version, request_id.hex(), route, key] == [
        values[name] for name in ("type", "version", "request_id", "route", "key")
    ]
    assert [plain(field) for field in fields] == list(values["fields"].values())


def test_every_type_of_the_table_has_a_file():
    table = (ROOT / "schemas/messages.def").read_text()
    names = re.findall(r"^MESSAGE\(0x[0-9a-f]{4}, \w+, (\w+),", table, re.MULTILINE)
    assert len(names) > 40 and sorted(names) == [path.stem for path in FILES]

"""Whose machine this is: provider, type of instance, image and firmware, as files on this disk tell it.

Nothing is asked of a network: a metadata service answers only inside of one cloud, and a laboratory does not call out.
Names, serial numbers, addresses, accounts and projects are left out: a bundle may be published. What no file tells is
absent. cloud-init's /run/cloud-init/instance-data.json hides what the provider says of the instance (`ds`) from all but
root; there, it is read from the file beside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_DMI = {
    "machine_vendor": "sys_vendor",
    "machine_model": "product_name",
    "firmware_vendor": "bios_vendor",
    "firmware_version": "bios_version",
}
_STANDARD = {"cloud": "cloud_name", "cloud_region": "region", "cloud_zone": "availability_zone"}
_OF_PROVIDERS = {  # as EC2, GCE, Azure and OpenStack call them
    "instance_type": ("instance-type", "instance_type", "instanceType", "machine-type", "machineType", "vmSize"),
    "image": ("ami-id", "ami_id", "imageId", "image_id", "image"),
}
_DATA = ("run/cloud-init/instance-data-sensitive.json", "run/cloud-init/instance-data.json")
_MOST_BYTES = 4 << 20
_MOST_CHARACTERS = 100
_DEEPEST = 12


def facts(root: Path = Path("/")) -> dict[str, str]:
    """What is known, by name; `root` is where the files of the machine are."""
    found = {fact: _text(root / "sys/class/dmi/id" / name) for fact, name in _DMI.items()}
    for data in filter(None, (_read(root / path) for path in _DATA)):
        for fact, value in _said(data):
            found[fact] = found.get(fact) or value
    return {fact: value for fact, value in found.items() if value}


def _said(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What cloud-init knows: by its own standard, and by the provider's words."""
    standard = data.get("v1")
    for fact, key in _STANDARD.items():
        value = (standard if isinstance(standard, dict) else data).get(key)
        yield fact, _clean(value) if value != "null" else ""
    for fact, keys in _OF_PROVIDERS.items():
        yield fact, next((word for key in keys for word in _values(data.get("ds"), key)), "")


def _values(data: Any, key: str, depth: int = 0) -> Iterator[str]:
    """Every text under that key, however deep, without the project in front of it."""
    if depth > _DEEPEST or not isinstance(data, dict):
        return
    if isinstance(data.get(key), str) and (word := _clean(data[key].rpartition("/")[2])):
        yield word
    for each in data.values():
        yield from _values(each, key, depth + 1)


def _clean(value: Any) -> str:
    """One line of a sane length; nothing for what is no text."""
    if not isinstance(value, str) or "redacted" in value:
        return ""
    return "".join(letter if letter.isprintable() else " " for letter in value).strip()[:_MOST_CHARACTERS]


def _text(path: Path) -> str:
    try:
        return _clean(path.read_text(errors="replace"))
    except OSError:
        return ""


def _read(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is none that can be read."""
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(_MOST_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}

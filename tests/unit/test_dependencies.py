"""What paylog depends on: pinned, consistent, of a licence that may be shipped with, and audited honestly."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[2]
# Permissive, or with a copyleft that ends at the library's own files.
PERMITTED = re.compile(
    r"MIT|Apache|BSD|ISC|PSF|Python Software Foundation|CNRI|MPL|Mozilla|Unlicense|Zlib|LGPL|Lesser General"
)
# What an environment comes with.
GIVEN = {"pip", "setuptools"}
# Dual-licensed: used under the Artistic License. OpenLineage's parser is of Apache 2.0 and does not say so.
EXCEPTIONS = {"text-unidecode", "openlineage-sql"}


def constraints() -> dict[str, Requirement]:
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    wanted = [Requirement(line) for line in lines if line.strip() and not line.startswith("#")]
    here = [each for each in wanted if each.marker is None or each.marker.evaluate()]
    return {canonicalize_name(each.name): each for each in here}


def installed() -> dict[str, importlib.metadata.Distribution]:
    found = {canonicalize_name(d.metadata["Name"]): d for d in importlib.metadata.distributions()}
    return {name: found[name] for name in constraints() if name in found and name not in GIVEN}


def test_every_dependency_is_pinned_to_one_version_from_an_index() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"], *(r for e in project["optional-dependencies"].values() for r in e)]
    names = {canonicalize_name(r.name) for r in map(Requirement, declared) if r.name != "paylog"
             and (r.marker is None or r.marker.evaluate())}  # fmt: skip
    pinned = constraints()
    assert names - pinned.keys() == set()
    loose = [
        str(each)
        for each in pinned.values()
        if each.url or not re.fullmatch(r"==[^,*]+", str(each.specifier))
    ]
    assert loose == []
    assert "://" not in (REPOSITORY / "constraints.txt").read_text()


def test_what_is_installed_fits_together() -> None:
    found = {canonicalize_name(d.metadata["Name"]): d.version for d in importlib.metadata.distributions()}
    broken = [
        f"{name} wants {wanted}, there is {found.get(canonicalize_name(wanted.name))}"
        for name, distribution in installed().items()
        for wanted in map(Requirement, distribution.requires or ())
        if wanted.marker is None or wanted.marker.evaluate({"extra": ""})
        if not wanted.specifier.contains(found.get(canonicalize_name(wanted.name)) or "0", prereleases=True)
    ]
    assert broken == []
    pinned = {name: str(each.specifier).removeprefix("==") for name, each in constraints().items()}
    assert {name: d.version for name, d in installed().items() if d.version != pinned[name]} == {}
    assert len(installed()) > 100


def test_every_licence_is_permitted() -> None:
    strange = []
    for name, distribution in installed().items():
        metadata = distribution.metadata
        stated = metadata.get("License-Expression") or "; ".join(
            [c for c in metadata.get_all("Classifier") or () if c.startswith("License ::")]
            or [(metadata.get("License") or "none stated")[:80]]
        )
        restrictive = re.search(r"(?<!L)GPL|SSPL|BUSL|Commons Clause|none stated", stated)
        if name not in EXCEPTIONS and (restrictive or not PERMITTED.search(stated)):
            strange.append(f"{name}: {stated}")
    assert strange == []


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        ([{"name": "a", "version": "1", "vulns": []}], 0, "1 dependencies, no known vulnerability"),
        (
            [{"name": "a", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2"]}]}],
            1,
            "fixed in 2",
        ),
        ([{"name": "a", "version": "1", "vulns": []}, {"name": "b", "skip_reason": "?"}], 75, "NOT AUDITED"),
        (None, 75, "does not answer"),
        ([], 75, "NOT AUDITED"),
    ],
)
def test_the_audit_does_not_pass_for_what_it_could_not_look_up(
    tmp_path: Path, answer: object, code: int, words: str
) -> None:
    fake = tmp_path / "fake.py"
    fake.write_text("" if answer is None else f"print({json.dumps(json.dumps({'dependencies': answer}))})")
    command = [sys.executable, str(REPOSITORY / ".ci" / "audit.py"), sys.executable, str(fake)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, words in done.stdout) == (code, True), done.stdout + done.stderr

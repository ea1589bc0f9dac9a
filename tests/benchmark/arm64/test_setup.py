"""The set-up of the ARM64 root: what can be told without downloading 60 MB."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[3]
SETUP = PROJECT / "tools" / "arm64" / "setup.py"
TOOL = runpy.run_path(str(SETUP))
LOCK = list(TOOL["pinned"](TOOL["PACKAGES"].read_text(encoding="utf-8")))

linux_pc = pytest.mark.skipif(not TOOL["APT_HELPER"].is_file(), reason="needs apt")


def setup(root: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = os.environ | {"TFKD_ARM64": str(root)} | environment
    return subprocess.run([sys.executable, str(SETUP), *arguments], capture_output=True, text=True, env=variables)


def test_every_package_is_pinned_by_hash():
    assert len(LOCK) == len(dict(LOCK)) > 20
    for digest, path in LOCK:
        assert re.fullmatch("[0-9a-f]{64}", digest)
        assert re.fullmatch(r"pool/main/[a-z0-9.+-]+/[a-z0-9.+-]+/[a-z0-9.+-]+_[^_/]+_(amd64|arm64)\.deb", path)


def test_litert_on_arm64_is_the_pinned_one():
    pattern = r"^ai-edge-litert==(\S+)"
    (here,) = re.findall(pattern, (PROJECT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    assert re.findall(pattern, TOOL["WHEELS"].read_text(encoding="utf-8"), re.MULTILINE) == [here]


def test_the_version_of_qemu_comes_from_its_package():
    assert re.fullmatch(r"\d+\.\d+", TOOL["version_of"]("qemu-user", LOCK))
    assert TOOL["version_of"]("libffi8", [("", "pool/main/libf/libffi/libffi8_3.4.4-1_amd64.deb")]) == "3.4.4"


@linux_pc
def test_missing_tools_are_reported_in_one_line(tmp_path):
    done = setup(tmp_path / "root", PATH=str(tmp_path), CC="")
    assert done.returncode == 2
    assert done.stderr == "This machine lacks dpkg gcc. On Debian or Ubuntu run `sudo apt-get install dpkg gcc`.\n"


@linux_pc
def test_an_unreachable_mirror_leaves_nothing_behind(tmp_path):
    done = setup(tmp_path / "root", "--mirror", "http://127.0.0.1:9/debian")
    assert done.returncode == 2
    assert re.match("apt-helper failed: E: .*Check the network", done.stderr.splitlines()[-1])
    assert not list(tmp_path.iterdir())


@linux_pc
def test_a_package_with_another_hash_is_refused(tmp_path):
    digest, path = LOCK[0]
    package = tmp_path / path
    package.parent.mkdir(parents=True)
    package.write_bytes(b"something else")
    with pytest.raises(Exception, match="Hash Sum mismatch"):
        TOOL["unpack"]([(digest, path)], f"file://{tmp_path}", tmp_path / "root")
    assert not (tmp_path / "root").exists()

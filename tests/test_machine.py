"""The description of the machine on which figures were measured."""

import platform

import pytest

from tfkd import machine

X86 = """processor\t: 0
model name\t: AMD EPYC
flags\t\t: fpu sse2 avx2 avx512f avx_vnni avx512_vnni

processor\t: 1
model name\t: another
"""
ARM = """processor\t: 0
Features\t: fp asimd asimddp
CPU part\t: 0xd0b
"""


@pytest.mark.parametrize(
    ("cpuinfo", "description"),
    [
        (X86, "AMD EPYC (AVX2, AVX-512, VNNI)"),
        ("model name : Old\nflags : fpu sse2\n", "Old"),
        (ARM, f"{platform.machine()} (dot products)"),
        ("", ""),
    ],
)
def test_a_processor_is_described_with_its_extensions(cpuinfo: str, description: str) -> None:
    assert machine.described(cpuinfo) == description


def test_this_machine_has_a_processor() -> None:
    assert machine.processor()
    assert machine.environment()["processor"] == machine.processor()

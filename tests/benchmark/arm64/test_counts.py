"""Instruction words in, counts by class out; the words and their names are from a disassembly of LiteRT and Python."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfkd.benchmark.arm64.counts import CLASSES, inference, kind
from tfkd.errors import TfkdError

ADD, SDOT, CLOSE = "0b000020", "4f80e090", "d4000001"


@pytest.mark.parametrize(
    ("word", "instruction", "expected"),
    [
        (0x0B000020, "add w0, w1, w0", "int"),
        (0x1A800021, "csel w1, w1, w0, eq", "int"),
        (0x1B010273, "madd w19, w19, w1, w0", "int"),
        (0x90000000, "adrp x0, #0", "int"),
        (0x54000040, "b.eq #8", "branch"),
        (0x94000003, "bl #0xc", "branch"),
        (0xD65F03C0, "ret", "branch"),
        (0xD4000001, "svc #0", "system"),
        (0xD50339BF, "dmb ishld", "system"),
        (0xD5380000, "mrs x0, midr_el1", "system"),
        (0xB8404401, "ldr w1, [x0], #4", "load"),
        (0xB8804401, "ldrsw x1, [x0], #4", "load"),
        (0x294007E2, "ldp w2, w1, [sp]", "load"),
        (0x885FFC20, "ldaxr w0, [x1]", "load"),
        (0x88A0FC41, "casl w0, w1, [x2]", "load"),
        (0xB8A00020, "ldadda w0, w0, [x1]", "load"),
        (0xF9800000, "prfm pldl1keep, [x0]", "load"),
        (0xF83C0D3A, "ldraa x26, [x9, #0xe00]!", "load"),
        (0x599FE0E3, "ldapursh x3, [x7, #-2]", "load"),
        (0x38001401, "strb w1, [x0], #1", "store"),
        (0x29000268, "stp w8, w0, [x19]", "store"),
        (0x889FFD00, "stlr w0, [x8]", "store"),
        (0x8811FC30, "stlxr w17, w16, [x1]", "store"),
        (0x3CC10421, "ldr q1, [x1], #0x10", "simd_load"),
        (0x2D408803, "ldp s3, s2, [x0, #4]", "simd_load"),
        (0x0D40C042, "ld1r {v2.8b}, [x2]", "simd_load"),
        (0x3C808400, "str q0, [x0], #8", "simd_store"),
        (0x3D001C1E, "str b30, [x0, #7]", "simd_store"),
        (0x0C008863, "st2 {v3.2s, v4.2s}, [x3]", "simd_store"),
        (0x0E25CC80, "fmla v0.2s, v4.2s, v5.2s", "float_mac"),
        (0x4F801194, "fmla v20.4s, v12.4s, v0.s[0]", "float_mac"),
        (0x5F151BF2, "fmla h18, h31, v5.h[5]", "float_mac"),
        (0x1F020020, "fmadd s0, s1, s2, s0", "float_mac"),
        (0x0E238211, "smlal v17.8h, v16.8b, v3.8b", "int_mac"),
        (0x4F402094, "smlal2 v20.4s, v4.8h, v0.h[0]", "int_mac"),
        (0x0E23C083, "smull v3.8h, v4.8b, v3.8b", "int_mac"),
        (0x6EA094E3, "mls v3.4s, v7.4s, v0.4s", "int_mac"),
        (0x4E87945B, "sdot v27.4s, v2.16b, v7.16b", "dot"),
        (0x4F80E090, "sdot v16.4s, v4.16b, v0.4b[0]", "dot"),
        (0x0E20D420, "fadd v0.2s, v1.2s, v0.2s", "simd"),
        (0x1E200820, "fmul s0, s1, s0", "simd"),
        (0x4F83C0C6, "sqdmulh v6.4s, v6.4s, v3.s[0]", "simd"),
        (0x04A00000, "add z0.s, z0.s, z0.s", "other"),
    ],
)
def test_every_kind_of_instruction_has_its_class(word, instruction, expected):
    assert kind(word) == expected, instruction


@given(st.integers(0, 2**32 - 1))
def test_every_word_has_a_class(word):
    assert kind(word) in CLASSES


@given(st.integers(0, 2**32 - 1))
def test_pairs_of_general_and_of_vector_registers_differ_by_bit_26(word):
    pair = word & ~0x3A000000 | 0x28000000
    way = "load" if pair >> 22 & 1 else "store"
    assert kind(pair & ~(1 << 26)) == way
    assert kind(pair | 1 << 26) == f"simd_{way}"


def test_the_cost_of_marking_is_taken_off_the_last_inference():
    log = f"mark\nmark\n{ADD} 900\nmark\n{ADD} 5\n{CLOSE} 1\nmark\n{ADD} 105\n{CLOSE} 1\n{SDOT} 30\n"
    assert inference(log.splitlines()) == {"total": 130, **dict.fromkeys(CLASSES, 0), "int": 100, "dot": 30}


@pytest.mark.parametrize(
    "log",
    [
        "mark\nmark\nfull\nmark\n",  # the plugin's table
        f"{ADD} 3\nmark\nmark\nmark\n",
        f"mark\nmark\n{ADD} -3\nmark\n",
        f"mark\nmark\n{ADD}\nmark\n",
        "mark\nmark\nbytes 3\nmark\n",
        "qemu: uncaught target signal 11\n",
    ],
)
def test_a_line_that_is_no_count_is_named(log):
    with pytest.raises(TfkdError, match="no line of a count"):
        inference(log.splitlines())


@pytest.mark.parametrize("log", ["", "mark\n", f"mark\nmark\n{ADD} 3\n"])
def test_a_truncated_log_is_refused(log):
    with pytest.raises(TfkdError, match="before the inference was counted"):
        inference(log.splitlines())

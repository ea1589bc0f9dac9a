"""Measures the memory of one TFLite file with LiteRT on ARM64: `python memory.py FOLDER`.

The folder holds model.tflite. The program prints one line of JSON: {"peak_memory_mb": MB}, the growth of its resident
memory while it loads the file and runs it once. QEMU's counters are those of QEMU itself, whose translated code is part
of them. So the resident pages of the program's own mappings are counted (mincore, Linux), after loading and after the
inference; a shorter peak in between is not seen. Any Python with LiteRT runs it by its path; it imports nothing of
tfkd.
"""

import ctypes
import json
import mmap
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mincore.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p


def main(folder: Path) -> None:
    """Loads the file and runs it once on zeros."""
    _libc.malloc_trim(0)  # gives freed memory back, which the file would otherwise fill without any growth
    before = resident()
    interpreter = Interpreter(model_path=str(folder / "model.tflite"), num_threads=1)
    interpreter.allocate_tensors()
    for entry in interpreter.get_input_details():
        interpreter.set_tensor(entry["index"], np.zeros(entry["shape"], entry["dtype"]))
    loaded = resident()
    interpreter.invoke()
    print(json.dumps({"peak_memory_mb": (max(loaded, resident()) - before) / 1e6}))


def resident() -> int:
    """Returns the bytes of all resident pages of the program."""
    return sum(_pages(*_ends(line)) for line in Path("/proc/self/maps").read_text().splitlines()) * mmap.PAGESIZE


def _ends(line: str) -> tuple[int, int]:
    start, _, end = line.split(maxsplit=1)[0].partition("-")
    return int(start, 16), int(end, 16)


def _pages(start: int, end: int) -> int:
    found = (ctypes.c_ubyte * ((end - start) // mmap.PAGESIZE))()
    if _libc.mincore(start, end - start, found):
        return 0  # no memory of the program, such as [vsyscall]
    return sum(page & 1 for page in bytes(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

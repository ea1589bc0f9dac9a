"""What Android devices write about themselves, as recorded formats of `dumpsys`, `getprop` and sysfs."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfkd.benchmark.android import device as android_device
from tfkd.benchmark.android.adb import Phone
from tfkd.errors import MachineError, RequestError

SYSTEM = Path(__file__).resolve().parents[3] / "tools" / "virtual_device" / "system"
PIXEL = {
    "getprop": "[ro.product.manufacturer]: [Google]\n[ro.product.model]: [Pixel 8]\n[ro.soc.manufacturer]: [Google]\n"
    "[ro.soc.model]: [Tensor G3]\n[ro.product.cpu.abi]: [arm64-v8a]\n[ro.build.version.release]: [15]\n"
    "[ro.build.version.sdk]: [35]\n[sys.boot_completed]: [1]\n[ro.hardware]: [shiba]\n[empty]: []\n[odd]: [a]: [b]\n",
    "for c in": "0 1704000 sched_pixel\n1 1704000 sched_pixel\n4 2367000 sched_pixel\n8 2914000 sched_pixel\n",
}


class Answering(Phone):
    """A device that answers commands by how they begin."""

    def __init__(self, answers: dict[str, str]) -> None:
        super().__init__("adb", "serial")
        object.__setattr__(self, "answers", answers)

    def shell(self, script: str, limit: float = 0) -> str:
        answers: dict[str, str] = self.answers  # type: ignore[attr-defined]
        return next((text for start, text in answers.items() if script.startswith(start)), "")


def test_a_phone_is_described() -> None:
    told = android_device.describe(Answering(PIXEL))
    device = told.device
    assert (device.name, device.soc, device.os) == ("Google Pixel 8", "Google Tensor G3", "Android 15, API 35")
    assert [(kind.count, kind.max_mhz) for kind in device.cores] == [(1, 2914), (1, 2367), (2, 1704)]
    assert (device.governor, device.abi, told.emulated) == ("sched_pixel", "arm64-v8a", False)
    assert android_device.fast_cores(told.speeds) == [4, 8]


def test_a_device_that_tells_little() -> None:
    silent = {"getprop": "[sys.boot_completed]: [1]\n", "for c in": "0 - -\n1 - -\nsh: permission denied\n"}
    told = android_device.describe(Answering(silent))
    assert told.device.cores[0].count == 2 and told.device.cores[0].max_mhz is None
    assert (told.device.maker, told.device.soc, told.device.governor) == (None, None, None)
    assert android_device.fast_cores(told.speeds) == [0, 1]
    now = android_device.condition(Answering(silent))
    assert (now.celsius, now.thermal_status, now.battery) == (None, None, None)
    assert android_device.cool(Answering(silent), 0) == now


@pytest.mark.parametrize("hardware", ["ranchu", "goldfish", "cutf_cvm"])
def test_an_emulator_is_no_phone(hardware: str) -> None:
    emulator = PIXEL | {"getprop": PIXEL["getprop"].replace("shiba", hardware)}
    assert android_device.describe(Answering(emulator)).emulated


def test_a_device_that_starts() -> None:
    starting = PIXEL | {"getprop": PIXEL["getprop"].replace("boot_completed]: [1]", "boot_completed]: [0]")}
    with pytest.raises(MachineError, match="still starting"):
        android_device.describe(Answering(starting))


def test_its_condition() -> None:
    texts = {f"dumpsys {name}": (SYSTEM / name).read_text() for name in ("battery", "thermalservice")}
    now = android_device.condition(Answering(texts))
    assert (now.celsius, now.thermal_status, now.battery, now.load) == (38.2, "none", 0.87, None)
    for text, load in (("4.00 3.1 2.0 2/900 77\n8\n", 0.5), ("4.00 3.1 2.0 2/900 77\n", None), ("8\n", None)):
        assert android_device.condition(Answering(texts | {"cat /proc/loadavg": text})).load == load
    texts["dumpsys thermalservice"] = "Can't find service: thermalservice\n"
    assert android_device.condition(Answering(texts)).celsius == 28.1  # the battery's


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_whatever_it_writes_is_read_or_refused(data: st.DataObject) -> None:
    texts = dict(PIXEL)
    texts |= {f"dumpsys {name}": (SYSTEM / name).read_text() for name in ("battery", "thermalservice")}
    for name, text in texts.items():
        start = data.draw(st.integers(0, len(text)))
        stop = data.draw(st.integers(start, len(text)))
        filling = st.text(max_size=20) | st.sampled_from(["9" * 30, "-", "\0", "level: 0\nscale: 0\n"])
        texts[name] = text[:start] + data.draw(filling) + text[stop:]
    phone = Answering(texts)
    try:
        android_device.fast_cores(android_device.describe(phone).speeds)
        android_device.condition(phone)
    except (RequestError, MachineError):
        pass

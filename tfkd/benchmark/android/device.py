"""What an Android device reports about itself: properties, cores, temperature, battery.

The texts are those of `getprop`, of sysfs, and of `dumpsys battery` and `dumpsys thermalservice` (from Android 10
on); what a device does not report is None.
"""

import re
import time
from collections import Counter
from dataclasses import dataclass

from tfkd.benchmark.android.adb import Phone
from tfkd.bundle.results import Condition, Cores, Device
from tfkd.errors import MachineError

STATUS = ("none", "light", "moderate", "severe", "critical", "emergency", "shutdown")
"""Android's thermal status by number (android.os.PowerManager)."""
HOTTEST_BATTERY = 40.0  # degrees Celsius; above it phones slow their processors down
LOWEST_CHARGE = 0.15  # below it they save power
_POLLING = 2.0  # seconds
_EMULATORS = ("ranchu", "goldfish", "cutf_cvm")
_PROPERTY = re.compile(r"^\[([^\]]+)\]: \[(.*)\]$", re.MULTILINE)
_CPUS = "/sys/devices/system/cpu"
# One line per core: its number, the highest frequency in kHz, the governor; a dash for what it does not report.
_CORES = (
    f"for c in {_CPUS}/cpu[0-9]*; do f=$(cat $c/cpufreq/cpuinfo_max_freq 2>/dev/null); "
    'g=$(cat $c/cpufreq/scaling_governor 2>/dev/null); echo "${c##*cpu} ${f:--} ${g:--}"; done'
)
_LOAD = "cat /proc/loadavg 2>/dev/null; nproc 2>/dev/null; true"


@dataclass(frozen=True)
class PhoneDescription:
    """What stays the same while a device is measured.

    Attributes:
        device: in the results' terms, without its condition.
        speeds: core number to its highest frequency, kHz; 0 where unknown.
        emulated: it is no phone but a program that plays one.
    """

    device: Device
    speeds: dict[int, int]
    emulated: bool

    @property
    def abi(self) -> str:
        """Of the device's 64-bit programs, or of its only ones."""
        return self.device.abi


def describe(phone: Phone) -> PhoneDescription:
    """Asks a device what it is.

    Raises:
        MachineError: it does not respond, or has not booted yet.
    """
    properties = dict(_PROPERTY.findall(phone.shell("getprop")))
    if properties.get("sys.boot_completed") != "1":
        raise MachineError(
            f"{phone.serial} is still starting. Wait until its screen shows Android, then measure again."
        )
    cores = _cores(phone.shell(_CORES))
    kinds = Counter(speed for speed, _ in cores.values())
    maker, model = properties.get("ro.product.manufacturer"), properties.get("ro.product.model")
    chip = " ".join(filter(None, (properties.get("ro.soc.manufacturer"), properties.get("ro.soc.model"))))
    version, level = properties.get("ro.build.version.release"), properties.get("ro.build.version.sdk")
    device = Device(
        maker=maker,
        model=model,
        soc=chip or properties.get("ro.board.platform"),
        cores=[
            Cores(count=count, max_mhz=round(khz / 1000) or None) for khz, count in sorted(kinds.items(), reverse=True)
        ],
        os=f"Android {version or 'unknown'}, API {level or 'unknown'}",
        build=properties.get("ro.build.fingerprint") or properties.get("ro.build.id"),
        abi=properties.get("ro.product.cpu.abi", "unknown"),
        governor=next((governor for _, governor in cores.values() if governor), None),
    )
    emulated = properties.get("ro.boot.qemu") == "1" or properties.get("ro.hardware") in _EMULATORS
    return PhoneDescription(device, {number: speed for number, (speed, _) in cores.items()}, emulated)


def condition(phone: Phone) -> Condition:
    """Returns a device's temperature, its thermal status, its charge and its load.

    Raises:
        MachineError: the device is gone.
    """
    thermal = phone.shell("dumpsys thermalservice 2>/dev/null; true")
    battery = phone.shell("dumpsys battery 2>/dev/null; true")
    status = _number(r"Thermal Status: (\d+)", thermal)
    level, scale = _number(r"level: (\d+)", battery), _number(r"scale: (\d+)", battery)
    return Condition(
        celsius=max(_temperatures(thermal), default=_battery_celsius(battery)),
        thermal_status=STATUS[int(status)] if status is not None and status < len(STATUS) else None,
        battery=min(level / scale, 1.0) if level is not None and scale else None,
        charging=("powered: true" in battery) if "powered:" in battery else None,
        load=_load(phone.shell(_LOAD)),
    )


def cool(phone: Phone, limit: float) -> Condition:
    """Waits until a device is cool enough to be measured, and returns its condition.

    Args:
        phone: the device.
        limit: seconds to wait.

    Raises:
        MachineError: it stays too hot, or its battery is low.
    """
    end = time.monotonic() + limit
    while True:
        now = condition(phone)
        battery = phone.shell("dumpsys battery 2>/dev/null; true")
        heat = _battery_celsius(battery)
        if now.battery is not None and now.battery < LOWEST_CHARGE:
            raise MachineError(
                f"{phone.serial} has {now.battery:.0%} of its charge and saves power. "
                f"Charge it above {LOWEST_CHARGE:.0%}, then measure again."
            )
        if now.thermal_status in (None, "none") and (heat is None or heat <= HOTTEST_BATTERY):
            return now
        if time.monotonic() >= end:
            degrees = "" if heat is None else f", battery {heat:g} °C"
            raise MachineError(
                f"{phone.serial} is still too hot after {limit:g} seconds (status {now.thermal_status}{degrees}). "
                "Let it cool down out of the sun and off the charger, then measure again."
            )
        time.sleep(min(_POLLING, limit))


def fast_cores(speeds: dict[int, int]) -> list[int]:
    """Returns the cores to measure on: all but the slowest kind, or all where there is one kind only."""
    slowest = min(speeds.values(), default=0)
    return sorted(number for number, speed in speeds.items() if speed > slowest) or sorted(speeds)


def _cores(text: str) -> dict[int, tuple[int, str | None]]:
    """Reads lines of number, kHz and governor; what is none of these is left out."""
    rows = (line.split() for line in text.splitlines())
    return {
        int(row[0]): (int(row[1]) if row[1].isdecimal() else 0, None if row[2] == "-" else row[2])
        for row in rows
        if len(row) == 3 and row[0].isdecimal()
    }


def _temperatures(thermal: str) -> list[float]:
    """Returns the present temperatures of the chip's and the skin's sensors, °C (types 0, 1 and 3)."""
    _, _, now = thermal.partition("Current temperatures from HAL:")
    found = re.findall(r"Temperature\{mValue=(-?\d{1,3}(?:\.\d+)?), mType=([013]),", now)
    return [float(value) for value, _ in found]


def _battery_celsius(battery: str) -> float | None:
    tenths = _number(r"temperature: (-?\d+)", battery)
    return None if tenths is None else tenths / 10


def _load(text: str) -> float | None:
    """Returns the average of a minute in the kernel's five fields over the cores in the line behind them."""
    found = re.fullmatch(r"(\d{1,6}\.\d+) .*\n(\d{1,4})\s*", text)
    return float(found[1]) / int(found[2]) if found and int(found[2]) else None


def _number(pattern: str, text: str) -> float | None:
    found = re.search(pattern.replace(r"\d+", r"\d{1,9}"), text)
    return float(found[1]) if found else None

"""Exported files: docs/evidence of int8_latency.py, quantizers.py and others about files."""

from collections.abc import Callable

from tfkd.report import units
from tools.figures import evidence

_QUANTIZERS = {
    "float": "none (fp32)",
    "tfkd_min_max": '**tfkd, `ranges="min_max"`**',
    "tfkd_mse": '**tfkd, `ranges="mse"`**',
    "converter": "plain converter",
    "litert_moving_average": "litert-quantizer, moving average",
    "litert_min_max": "litert-quantizer, min/max",
    "litert_octav_weights": "litert-quantizer, OCTAV for weights",
}


def quantizers() -> str:
    """Returns the table of the int8 files of several quantizers."""
    rows = []
    for name, title in _QUANTIZERS.items():
        found = evidence.read("quantizers")["contestants"][name]
        rows.append(
            [
                title,
                f"{found['bytes']:,}",
                units.percent(found["accuracy"]),
                "" if name == "float" else units.percent(found["agreement"]),
                f"{found['partitions']}, {sum(found['outside'].values())}",
                f"{found['latency_ms']['threads_1']['median']:.3f} ms",
            ]
        )
    titles = ["quantizer", "bytes", "accuracy", "same class as the float file"]
    return evidence.table([*titles, "XNNPACK partitions, operators outside", "latency"], rows)


def _ratio(name: str) -> tuple[str, str]:
    ratio = evidence.read("int8_latency")["ratios"][name]
    return f"{ratio['one_thread']:.3f}", f"{ratio['goal']:.2f}"


def _sparse(name: str) -> str:
    return f"{evidence.read('sparse_latency')['files'][name]['ratio']:.2f}"


def files() -> str:
    """Returns the table about files, with the goals."""
    contestants = evidence.read("quantizers")["contestants"]
    applications, fuzzed = evidence.read("export_applications"), evidence.read("fuzz_bundles")
    alarm, mutants = evidence.read("regression_alarm"), evidence.read("mutants")
    published, weights = evidence.read("publishing"), evidence.read("fuzz_pth")
    gaps, mixtures = (sum(published[kind].values()) for kind in ("gaps", "mixtures"))
    plain = evidence.read("transcribed")["int8_without_dot_products"]
    wrong = len(fuzzed["wrongly_accepted"]) + len(fuzzed["crashes"])
    verdicts, inspected = evidence.read("fuzz_verdicts"), evidence.read("fuzz_inspect")
    impossible = [len(verdicts[kind]) for kind in ("accepted", "other_exit_codes", "crashes")]
    peer = contestants["litert_min_max"]["latency_ms"]["threads_1"]["median"]
    ours = contestants["tfkd_min_max"]["latency_ms"]["threads_1"]["median"]
    rows = [
        [
            "int8_latency.json: int8 MobileNetV3-Small at 224 px / Keras's own through the plain converter, one "
            "thread, with VNNI",
            *_ratio("ours_int8 / peer_int8"),
        ],
        ["int8 / fp32 of the same network, with VNNI", *_ratio("ours_int8 / ours_fp32")],
        [
            "the same two without int8 dot products (transcribed.json)",
            f"{plain['ours_int8 / peer_int8']:.2f}: missed, {plain['ours_int8 / ours_fp32']:.2f}",
            "0.40, 1.05",
        ],
        [
            "quantizers.json: latency of litert-quantizer's int8 file / ours, quickstart's student",
            f"{peer / ours:.2f}",
            "",
        ],
        ["XNNPACK partitions of our int8 file", str(contestants["tfkd_min_max"]["partitions"]), "1"],
        [
            "export_applications.json: networks of keras.applications, with random weights, that `tfkd export` turns "
            "into verified bundles",
            f"{applications['verified']} of {len(applications['applications'])}",
            "",
        ],
        [
            f"fuzz_bundles.json: damaged bundles of {fuzzed['count']:,} that were wrongly accepted, or crashed "
            "`tfkd verify`",
            str(wrong),
            "0",
        ],
        [
            f"fuzz_verdicts.json: bundles of {verdicts['count']:,} with impossible values and right seals that "
            "`tfkd verify` accepts, ends with another exit code than 1, or crashes on",
            ", ".join(map(str, impossible)),
            "0, 0, 0",
        ],
        [
            f"fuzz_inspect.json: damaged .tflite files of {inspected['count']:,} that crash `tfkd inspect`, or end in "
            "anything but an answer or one line",
            str(len(inspected["wrong"])),
            "0",
        ],
        [
            f"fuzz_pth.json: damaged PyTorch files of {weights['count']:,} that hung or crashed their reader, or ended "
            "in anything but tensors or one line",
            str(len(weights["wrong"])),
            "0",
        ],
        [
            f"publishing.json: reads, of {published['polls']:,} while {published['published'] // 2} pairs of processes "
            "replace a bundle, that find no bundle or a mixture of two bundles' files",
            f"{gaps}, {mixtures}",
            "0, 0",
        ],
        [
            f"regression_alarm.json: false alarms, and {100 * alarm['max_regression']:.0f} % slower files found, of "
            f"{alarm['repetitions']} each",
            f"{alarm['alarms']['same']}, {alarm['alarms']['slower']}",
            f"0, {alarm['repetitions']}",
        ],
        [
            "mutants.json: faults put into the source that a test notices",
            f"{mutants['caught']} of {mutants['tried']}",
            "all",
        ],
    ]
    return evidence.table(["", "", "goal"], rows)


def figures() -> dict[str, Callable[[], str]]:
    """Returns the figures by name."""
    return {
        "quantizers table": quantizers,
        "files table": files,
        "sparse fp32": lambda: _sparse("fp32 80% sparse"),
        "sparse int8": lambda: _sparse("int8 80% sparse"),
    }

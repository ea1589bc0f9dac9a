"""A stand-in for the user's benchmark_model, options to run it, and the message of a run that fails."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tfkd.benchmark.options import AndroidOptions
from tfkd.benchmark.subject import Expected
from tfkd.errors import TfkdError
from tfkd.formats.families import FAMILIES

# Speaks as benchmark_model does: no package ships one. DURATION makes it last, EXTRA makes it fail.
STAND_IN = r"""#!/system/bin/sh
for option; do
  case $option in
    --help) echo "HELP"; exit 1 ;;
    --graph=*) graph=${option#*=} ;;
    --num_runs=*) runs=${option#*=} ;;
    --output_filepath=*) printf '\000\000\000\076\000\000\200\076\000\000\040\077' > ${option#*=} ;;
    --op_profiling_output_file=*) profile=${option#*=} ;;
  esac
done
echo "INFO: Loaded model $graph"
sleep DURATION
[ -s "$graph" ] || exit 1
EXTRA
if [ -n "$profile" ]; then
  echo '============================== Run Order ==============================' > $profile
  echo 'node type, first, avg_ms, %, cdf%, mem KB, times called, name' >> $profile
  echo 'CONV_2D, 0.5, 0.4, 80%, 80%, 0, 1, [a]:0' >> $profile
fi
echo "INFO: Explicitly applied XNNPACK delegate, and the model graph will be completely executed by the delegate."
echo "INFO: count=3 first=90 curr=30 min=30 max=90 avg=50 std=28 p5=30 median=30 p95=90"
echo "INFO: count=$runs first=14 curr=12 min=11 max=19 avg=13.1 std=2 p5=11 median=13 p95=18"
echo "INFO: Inference timings in us: Init: 5685, First inference: 90, Warmup (avg): 50, Inference (avg): 13.1"
"""
NOTHING = {"files": [], "processes": []}


def write_tool(folder: Path, seconds: float = 0, extra: str = "", litert: bool = False) -> Path:
    """Writes the stand-in: both tools are called benchmark_model; LiteRT's has an option for NPUs."""
    path = folder / "benchmark_model"
    help_text = "--use_cpu=true --use_gpu=false --use_npu=false" if litert else "--use_xnnpack=true --use_gpu=false"
    path.write_text(STAND_IN.replace("DURATION", str(seconds)).replace("EXTRA", extra).replace("HELP", help_text))
    return path


def short_run(binary: Path | None, **more: object) -> dict[str, object]:
    """Returns the values of the options for one process."""
    runs = {"runs": 6, "warmup": 3, "processes": 1, "threads": (1,), "patience": 30.0, "cooling": 0.0}
    return {"benchmark_model": binary, **runs, **more}


def options(binary: Path | None, **more: object) -> AndroidOptions:
    return AndroidOptions(**short_run(binary, **more))  # type: ignore[arg-type]


def refusal(call: Callable[[], object], limit: float = 60) -> str:
    """Returns the one line with which the call must fail within `limit` seconds."""
    began = time.monotonic()
    with pytest.raises(TfkdError) as raised:
        call()
    assert time.monotonic() - began < limit
    assert raised.value.exit_code in (2, 4)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def predictions(families: dict[str, np.ndarray]) -> Expected:
    """Returns the predictions of float32 files per family of runtimes, of which the answers must be within 1e-4."""
    return Expected("tflite", "fp32", families, dict.fromkeys(FAMILIES, 1e-4))

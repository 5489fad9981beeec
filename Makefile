# Two commands from a bare machine with Python 3.11+ and git:
#   make repro   the virtual environment, the pinned dependencies, the demo study, its table
#   make test    lint, types, tests
# PYTHON=python3.12 make repro chooses another interpreter.
PYTHON ?= python3
ACTIVATE = . .venv/bin/activate
READY = .venv/.ready

.PHONY: repro test environment lint lock clean
.DELETE_ON_ERROR:

repro: $(READY)
	@$(ACTIVATE) && dvc repro && cat reports/demo/report.md

test: lint
	@$(ACTIVATE) && python -m pytest -n 2

lint: $(READY)
	@$(ACTIVATE) && ruff check . && ruff format --check . && mypy

environment: $(READY)

$(READY): requirements.lock pyproject.toml packages/ser_synth/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "ser needs Python 3.11, 3.12 or 3.13, this is " + sys.version.split()[0] + ": make PYTHON=python3.12 ...")'
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@echo "installing the pinned dependencies (about 5 GB, minutes) ..."
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable . --editable packages/ser_synth
	@$(ACTIVATE) && python tools/offline_plots.py
	@touch $(READY)

clean:
	rm -rf .venv checkpoints dvc_plots .pytest_cache .mypy_cache .ruff_cache

lock:
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --all-extras \
		--python-version 3.11 pyproject.toml -o requirements.lock

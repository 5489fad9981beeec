# Two commands on a bare machine with Python 3.11 to 3.13 and git:
#   make repro   create the environment, install the pinned dependencies, run the demo study, print its table, and
#                compare it with the results in git
#   make test    lint, types, all tests
# Others:
#   make quick   lint, types, the unit tests only
#   make chaos   random kills, full disks and damaged files in large numbers (about an hour)
#   make coverage  all tests, and which lines of src they run (docs/testing.md)
#   make docs    renew the generated page docs/parameters.md, and build the site of docs into site/
#   make lock    renew requirements.lock (needs uv)
#   make clean   remove the environment, checkpoints and caches
# PYTHON=python3.12 make repro chooses another interpreter.
PYTHON ?= python3
ACTIVATE = . .venv/bin/activate
READY = .venv/.ready
INSTALL = .venv/bin/python -m pip install --disable-pip-version-check --progress-bar off
# two processes, each with whole files, so that a study that several tests use is made once
PYTEST = python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: repro test quick chaos coverage docs environment lint lock clean
.DELETE_ON_ERROR:

repro: $(READY)
	@$(ACTIVATE) && python tools/dvc_lock.py && dvc repro && cat reports/demo/report.md && python tools/reproduced.py

test: lint
	@$(ACTIVATE) && $(PYTEST) --durations=10

quick: lint
	@$(ACTIVATE) && $(PYTEST) -m "not slow and not real"

chaos: $(READY)
	@$(ACTIVATE) && SER_CHAOS=1000 python -m pytest tests/chaos

coverage: $(READY)
	@$(ACTIVATE) && $(PYTEST) --durations=10 --cov --cov-report=term:skip-covered

docs: $(READY)
	@$(ACTIVATE) && python tools/keys.py && NO_MKDOCS_2_WARNING=1 mkdocs build && echo "the pages: site/index.html"

lint: $(READY)
	@$(ACTIVATE) && ruff check . && ruff format --check . && mypy

environment: $(READY)

$(READY): requirements.lock pyproject.toml packages/ser_synth/pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "ser needs Python 3.11, 3.12 or 3.13, this is " + sys.version.split()[0] + ": make PYTHON=python3.12 ...")'
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	@echo "installing the pinned dependencies into .venv: 6 GB on the disk, 3 to 10 minutes (what pip says: .venv/pip.log) ..."
	@$(INSTALL) --require-hashes --no-deps -r requirements.lock >.venv/pip.log 2>&1 || { tail -n 20 .venv/pip.log; exit 1; }
	@$(INSTALL) --no-build-isolation --no-deps --editable . --editable packages/ser_synth >>.venv/pip.log 2>&1 || { tail -n 20 .venv/pip.log; exit 1; }
	@$(ACTIVATE) && python tools/offline_plots.py
	@touch $(READY)

clean:
	rm -rf .venv checkpoints dvc_plots site .pytest_cache .mypy_cache .ruff_cache

lock:
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-annotate --no-header --all-extras \
		--python-version 3.11 pyproject.toml -o requirements.lock

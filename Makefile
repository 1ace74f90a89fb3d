# The commands of this project. `make` alone says what there is.

VENV := .venv
PYTHON := $(VENV)/bin/python
INSTALLED := $(VENV)/installed
# The newest Python that the lock is made for.
BASE_PYTHON := $(shell for v in 3.12 3.11; do python$$v -c 0 2>/dev/null && echo python$$v && exit; done; \
	python3 -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null && echo python3)
ARGS ?=
# Most tests wait for other processes most of the time: three at once keep two cores busy. Beside
# Kafka, whose workers may not be starved of their heartbeats, two.
BY_MODULE := --dist loadscope --no-loadscope-reorder
SIDE_BY_SIDE := --numprocesses 3 $(BY_MODULE)
IN_PAIRS := --numprocesses 2 $(BY_MODULE)
.DEFAULT_GOAL := help
.PHONY: help install demo up test test-kafka zones chaos bench lint lock clean

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED) ## Make .venv with everything in it

# Only when the lock or the packaging has changed: what is in the folders is used where it lies.
$(INSTALLED): requirements.lock setup.cfg pyproject.toml
	@test -n "$(BASE_PYTHON)" || { echo "no Python 3.11 or 3.12 on PATH" >&2; exit 1; }
	@test -x $(PYTHON) || $(BASE_PYTHON) -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(INSTALLED) ## Live through two months of a cinema; ARGS=--exit ends after the table
	$(PYTHON) -m dev demo $(ARGS)

up: $(INSTALLED) ## Run the stack in the foreground; ARGS="--broker kafka --clock topic" change it
	$(PYTHON) -m dev up $(ARGS)

test: lint ## Lint, types, unit tests, and integration tests on the embedded stack
	$(PYTHON) -m pytest -m "not kafka and not browser" $(SIDE_BY_SIDE) $(ARGS)

# Those in tests/alone are the sender's and run in `make test`: on Kafka chaos and the rolling
# restart do what they do, and they would take six minutes more. The demo and the embedded broker's
# own tests have that broker whatever is said.
test-kafka: $(INSTALLED) ## Integration and kill -9 tests on Apache Kafka, and the browser's
	$(PYTHON) -m pytest -m "integration or kafka or browser" --broker kafka --ignore tests/alone \
		--ignore tests/dev/test_demo_week.py --ignore tests/dev/test_embedded.py $(IN_PAIRS) $(ARGS)

zones: $(INSTALLED) ## Hold every day from 2024 to 2031 in every time zone against a walk over all minutes
	@$(PYTHON) -m tests.streams.zones

chaos: $(INSTALLED) ## Kill, stop and cut off what runs, and verify; ARGS="--kills 100 --seed 1" in full
	@$(PYTHON) -m dev chaos $(ARGS)

bench: $(INSTALLED) ## Measure, each figure beside its limit in the same run: one JSON object a line
	@$(PYTHON) -m bench $(ARGS)

lint: $(INSTALLED) ## ruff and mypy
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

lock: $(INSTALLED) ## Pin what setup.cfg asks for; LOCK_ARGS=--upgrade takes newer versions
	$(PYTHON) -m pip install --quiet --disable-pip-version-check uv
	$(PYTHON) -m uv pip compile setup.cfg requirements.in --extra dev --extra test --universal \
		--python-version 3.11 --generate-hashes --no-annotate --custom-compile-command "make lock" \
		--quiet $(LOCK_ARGS) --output-file requirements.lock
	$(PYTHON) -m uv pip compile setup.cfg --constraint requirements.lock --universal \
		--python-version 3.11 --generate-hashes --no-annotate --custom-compile-command "make lock" \
		--quiet --output-file requirements-run.lock

clean: ## Remove what was made: .venv, downloads, data
	rm -rf $(VENV) .cache data data-* .mypy_cache .pytest_cache .ruff_cache

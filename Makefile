.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# A variable, so that a machine with several says which: make setup PYTHON=/opt/python3.12/bin/python3
PYTHON ?= $(shell scripts/find-python)
BIN := .venv/bin
# These share one Airflow, and mostly wait for it: the others run beside them.
ON_A_STACK := tests/faults $(addprefix tests/stack/,browser cli distributed load main_job recurring)
SIDE_BY_SIDE := $(MAKE) --no-print-directory --jobs=2 --keep-going --output-sync=target test-on-a-stack test-others test-services
# The services' environment has neither our pytest plugins nor what tests/conftest.py imports.
SERVICES_PYTEST := PYTHONPATH=plugins:. .venv-services/bin/python -m pytest -c /dev/null --rootdir=. \
	--confcutdir=tests/face_services
# The machine's own, or what `make setup` fetched.
UV := $(or $(shell command -v uv),.uv/bin/uv)
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Make the virtual environments; seconds when nothing changed
	@test -n "$(PYTHON)" && "$(PYTHON)" scripts/setup.py

.PHONY: setup-dev
setup-dev:
	@test -n "$(PYTHON)" && "$(PYTHON)" scripts/setup.py --dev

.PHONY: demo
demo: setup ## Import a few faces, start to end, and show what became of each
	@$(BIN)/python -m examples.demo

.PHONY: up
up: setup ## Start everything, in the foreground until Ctrl-C
	@$(BIN)/face-import up

.PHONY: down
down: ## End everything this checkout's `make up` started
	@test ! -x $(BIN)/face-import || $(BIN)/face-import down

.PHONY: up-distributed
up-distributed: setup ## The same on the PostgreSQL and the Redis of this machine, with two Celery workers
	@$(BIN)/python -m examples.distributed up

.PHONY: down-distributed
down-distributed: ## End everything `make up-distributed` started
	@test ! -x $(BIN)/face-import || $(BIN)/python -m examples.distributed down

.PHONY: status
status: ## Show what runs and how it is
	@$(BIN)/face-import status

.PHONY: test-unit
test-unit: setup-dev ## Run the unit tests: within a minute, without a server
	$(BIN)/python -m pytest tests/unit

.PHONY: test
test: setup-dev ## Run all tests but the slow ones, in 12 minutes; with T=tests/unit/test_keeper.py only these
ifdef T
	$(if $(filter tests/face_services%,$(T)),$(SERVICES_PYTEST),$(BIN)/python -m pytest) $(T)
else
	@echo "three sets of tests run side by side; each prints its output when it finishes"
	@$(SIDE_BY_SIDE) PYTEST_ADDOPTS='-m "not slow"'
endif

.PHONY: test-all
test-all: setup-dev ## Run all tests, the slow ones too, in most of an hour
	@echo "three sets of tests run side by side; each prints its output when it finishes"
	@$(SIDE_BY_SIDE) PYTEST_ADDOPTS=--durations=20

.PHONY: test-on-a-stack
test-on-a-stack:
	$(BIN)/python -m pytest $(ON_A_STACK)

.PHONY: test-others
test-others:
	$(BIN)/python -m pytest tests $(ON_A_STACK:%=--ignore=%) --ignore=tests/face_services

.PHONY: test-services
test-services:
	$(SERVICES_PYTEST) tests/face_services

.PHONY: fix
fix: setup-dev ## Repair what the linter can repair, and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: check
check: setup-dev ## Run the linters, the type checker, the licence check and the audit
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/licences.py
	.venv-services/bin/python scripts/licences.py
	$(BIN)/python scripts/audit.py

.PHONY: audit
audit: setup-dev ## Look for known vulnerabilities of what we depend on (asks the package index)
	$(BIN)/python scripts/audit.py

.PHONY: bench
bench: setup-dev ## Measure against peers and limits; ROWS="1 6" measures only these
	@$(BIN)/python -m bench $(ROWS)

.PHONY: lock
lock: setup ## Recompile the requirement files from their .in files
	$(COMPILE) requirements.in examples/requirements.in -o requirements.txt
	$(COMPILE) requirements-dev.in -o requirements-dev.txt
	$(COMPILE) --override face_services/overrides.txt face_services/requirements.in -o face_services/requirements.txt
	$(COMPILE) --override face_services/overrides.txt face_services/requirements-dev.in -o face_services/requirements-dev.txt
	echo uv | $(COMPILE) - -o scripts/uv-requirements.txt

.PHONY: clean
clean: down down-distributed ## End everything and remove environments and caches; imports and faces stay
	rm -rf .venv .venv-services .uv .demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build *.egg-info plugins/*.egg-info
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

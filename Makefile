.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# To choose another interpreter: make setup PYTHON=/opt/python3.12/bin/python3
PYTHON ?= $(shell scripts/find-python)
BIN := .venv/bin
# Both share one Airflow each and mostly wait for it, so other tests run in parallel.
FAULTS := tests/faults
ON_A_STACK := $(addprefix tests/stack/,browser cli distributed load main_job own_dags recurring)
# With the embedded face services; beside the others, so that both halves of the machine take about as long.
WITH_SERVICES := tests/face_services tests/stack/demo
# What mounts a file system or is different for root; CI runs all others as an ordinary user (.ci/run).
AS_ROOT := tests/faults/test_full_disk.py tests/faults/test_full_postgres.py tests/integration/stack \
	tests/stack/lifecycle/test_airflow.py
SIDE_BY_SIDE := $(MAKE) --no-print-directory --jobs=2 --keep-going --output-sync=target \
	test-others test-faults test-on-a-stack test-services
# The machine's own, or what `make setup` fetched.
UV := $(or $(shell command -v uv),.uv/bin/uv)
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: ## Create the virtual environment; takes seconds if nothing changed
	@test -n "$(PYTHON)" && "$(PYTHON)" scripts/setup.py

.PHONY: setup-dev
setup-dev:
	@test -n "$(PYTHON)" && "$(PYTHON)" scripts/setup.py --dev

.PHONY: demo
demo: setup ## Run a small import end to end and check the result of every row
	@$(BIN)/python -m examples.demo

.PHONY: up
up: setup ## Start the stack, in the foreground until Ctrl-C
	@$(BIN)/face-import up

.PHONY: down
down: ## Stop the stack of this checkout's `make up`
	@test ! -x $(BIN)/face-import || $(BIN)/face-import down

.PHONY: up-distributed
up-distributed: setup ## Start the stack on this machine's PostgreSQL and Redis, with two Celery workers
	@$(BIN)/python -m examples.distributed up

.PHONY: down-distributed
down-distributed: ## Stop the stack of `make up-distributed`
	@test ! -x $(BIN)/face-import || $(BIN)/python -m examples.distributed down

.PHONY: status
status: ## Show the stack's processes and their health
	@$(BIN)/face-import status

.PHONY: test-unit
test-unit: setup-dev ## Run the unit tests: within a minute, without a server
	$(BIN)/python -m pytest tests/unit

.PHONY: test
test: setup-dev ## Run all tests except slow ones, in 12 minutes; T=tests/unit/test_keeper.py selects some
ifdef T
	$(BIN)/python -m pytest $(T)
else
	@echo "four test suites run in parallel, two at a time; each prints its output when it finishes"
	@$(SIDE_BY_SIDE) PYTEST_ADDOPTS='-m "not slow"'
endif

.PHONY: test-all
test-all: setup-dev ## Run all tests, including the slow ones, in most of an hour
	@echo "four test suites run in parallel, two at a time; each prints its output when it finishes"
	@$(SIDE_BY_SIDE) PYTEST_ADDOPTS=--durations=20

.PHONY: test-faults
test-faults:
	$(BIN)/python -m pytest $(FAULTS)

.PHONY: test-on-a-stack
test-on-a-stack:
	$(BIN)/python -m pytest $(ON_A_STACK)

.PHONY: test-others
test-others:
	$(BIN)/python -m pytest tests $(patsubst %,--ignore=%,$(FAULTS) $(ON_A_STACK) $(WITH_SERVICES))

.PHONY: test-services
test-services:
	$(BIN)/python -m pytest $(WITH_SERVICES)

.PHONY: test-as-root
test-as-root: setup-dev
	$(BIN)/python -m pytest tests/unit $(AS_ROOT)

.PHONY: test-containers
test-containers: setup-dev ## Run docker-compose.yaml in a Docker daemon of its own, as root
	@$(BIN)/python -m tests.containers

.PHONY: fix
fix: setup-dev ## Repair what the linter can repair, and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: check
check: setup-dev ## Run linters, type checker, licence check and audit
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/licences.py
	$(BIN)/python scripts/audit.py

.PHONY: audit
audit: setup-dev ## Check dependencies for known vulnerabilities (needs the package index)
	$(BIN)/python scripts/audit.py

.PHONY: sbom
sbom: setup-dev ## Write a bill of materials of the pinned packages, build/face-import.cdx.json
	$(BIN)/python -m scripts.sbom

.PHONY: bench
bench: setup-dev ## Run the benchmarks; ROWS="1 6" selects rows of the table
	@$(BIN)/python -m bench $(ROWS)

.PHONY: bench-growth
bench-growth: setup-dev ## Measure what grows with rows and imports, up to ten million, in an hour; SIZES="1000 crowd" selects
	@$(BIN)/python -m bench.growth $(SIZES)

.PHONY: lock
lock: setup ## Recompile the requirement files from their .in files
	$(COMPILE) --override face_services/overrides.txt \
		requirements.in examples/requirements.in face_services/requirements.in -o requirements.txt
	$(COMPILE) --override tests/overrides.txt requirements-dev.in -o requirements-dev.txt
	echo uv | $(COMPILE) - -o scripts/uv-requirements.txt

.PHONY: clean
clean: down down-distributed ## Stop everything and remove environments and caches; keeps imports and faces
	rm -rf .venv .uv .demo .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build *.egg-info plugins/*.egg-info
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

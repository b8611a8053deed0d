# Every step a person or CI needs. `make demo` and `make test` set everything up by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
ARGS ?=
# Many tests wait for a checkpoint or a JVM, so more files at a time than cores; those of one file follow one another.
WORKERS ?= 4
# Hundreds of processes are started by the tests: each would compile again what was changed since the setup.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: audit-deps compose-test help setup demo test lint type fmt bench check lock
help: ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | sort

setup: $(STAMP) ## Make the virtual environment from the hash-locked requirements
# Bytecode is made here, once: uv makes none by default, and where PYTHONDONTWRITEBYTECODE is set every process would
# compile all that it imports, a run in Dagster for 3 s of processor time.
$(STAMP): requirements.lock requirements-bootstrap.lock pyproject.toml Makefile
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 10) <= v < (3, 13) else \
	  f"Python {v[0]}.{v[1]} cannot run the Flink job: use one of 3.10 to 3.12, as in make setup PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bootstrap.lock
	$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock requirements-bootstrap.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	$(BIN)/python -m compileall -q lineage_pipeline lineage_dagster
	@touch $@

demo: $(STAMP) ## Run the whole story on the embedded stack (ARGS=--exit for scripts)
	$(BIN)/lineage demo $(ARGS)

test: $(STAMP) ## Run all tests, those on the real broker and Flink among them
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

lint: $(STAMP) ## Check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

type: $(STAMP) ## Check types
	$(BIN)/mypy

fmt: $(STAMP) ## Format the code and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) ## Measure ratios of two runs side by side
	$(BIN)/python -m benchmarks $(ARGS)

audit-deps: $(STAMP) ## Look every locked package and jar up among known vulnerabilities (needs the internet; OSV_URL)
	$(BIN)/python -m tests.audit_dependencies

compose-test: $(STAMP) ## Bring docker-compose.yml up with podman and break it (needs root; .ci/containers gets podman)
	$(BIN)/python -m tests.compose $(ARGS)

check: lint type test ## What CI runs

LOCK = $(BIN)/uv pip compile --quiet pyproject.toml --universal --generate-hashes --no-header --no-annotate
lock: $(STAMP) ## Resolve the dependencies anew into the locks
	$(LOCK) --all-extras --output-file requirements.lock > /dev/null
	$(LOCK) --extra flink --extra local --output-file images/flink/requirements.lock > /dev/null
	$(LOCK) --extra dagster --extra postgres --output-file images/auditor/requirements.lock > /dev/null

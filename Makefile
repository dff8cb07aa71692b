# `make run` and `make test` do all the set-up that they need; everything else is for those who change benchproof.
PYTHON ?= python3
# another interpreter gets an environment of its own: make test PYTHON=python3.13
VENV := $(if $(filter python3,$(PYTHON)),.venv,.venv-$(notdir $(PYTHON)))
BIN := $(VENV)/bin

.PHONY: run test soak fuzz setup check lint types format bench clean

# make run PLAN=mine.toml TARGETS=mine/balanced
run: setup
	$(BIN)/benchproof run $(if $(PLAN),--plan $(PLAN)) $(if $(TARGETS),--targets $(TARGETS))

test: setup
	$(BIN)/python -m pytest -n 2 --dist worksteal

soak: setup
	$(BIN)/python -m pytest -m soak -rP

# hostile files, for a minute: every reader of bytes that a stranger wrote; what crashes it is left in .fuzz
fuzz: setup
	$(BIN)/python tests/fuzz/run.py --seconds 60

setup:
	@./tools/setup.sh "$(PYTHON)" "$(VENV)"

check: lint types test

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup
	$(BIN)/mypy

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv .venv-* .pytest_cache .mypy_cache .ruff_cache

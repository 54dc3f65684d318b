# Every target makes what it needs; see tools/bootstrap.sh for the virtual environment.
# PYTHON=python3.13 chooses the interpreter of .venv.

BIN := .venv/bin

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test lint clean

# Simulators call make themselves; they must not inherit this one's flags.
unexport MAKEFLAGS MFLAGS

help: ## list the targets
	@sed -n 's/^\([a-z]*\): .*## /  make \1\t/p' Makefile

demo: ## run the demonstration; ARGS="..." goes to `spikeloom demo`
	@sh tools/bootstrap.sh all
	@$(BIN)/spikeloom demo $(ARGS)

test: lint ## lint, then all tests; PYTEST_ARGS="..." goes to pytest
	$(BIN)/pytest --numprocesses=auto --dist=loadgroup --junitxml=build/junit.xml $(PYTEST_ARGS)

lint: ## style, format and types
	@sh tools/bootstrap.sh dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean: ## delete everything made here, the virtual environment too
	rm -rf .venv .hypothesis build dist
	find . -name __pycache__ -prune -exec rm -rf {} +

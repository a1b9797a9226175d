# make demo | test | bench | bench-quick | check | clean     (POSIX make and sh; nothing here needs root)
.POSIX:
.SUFFIXES:

VENV = .venv
PYTHON = $(VENV)/bin/python
DEMO = $(VENV)/.installed-demo
TEST = $(VENV)/.installed-test
BENCH = $(VENV)/.installed-bench
AUDIT = $(VENV)/.installed-audit
# Airflow starts many short processes: without cached bytecode each compiles everything again.
RUN = unset PYTHONDONTWRITEBYTECODE; exec $(PYTHON)

help:
	@echo 'make demo         install, start everything on this machine, load scoring logs, show the result'
	@echo 'make demo-once    the same, then stop'
	@echo 'make test         the whole test suite'
	@echo 'make check        ruff and mypy'
	@echo 'make audit        known vulnerabilities of the dependencies (asks a service)'
	@echo 'make bench        the benchmark; writes benchmarks/RESULTS.md'
	@echo 'make bench-quick  the same on 100,000 records'
	@echo 'make clean        remove .venv, the demo state (.paylog) and caches'

demo: $(DEMO)
	@$(RUN) -m paylog.testing.demo

demo-once: $(DEMO)
	@$(RUN) -m paylog.testing.demo --once

test: $(TEST)
	@$(RUN) -m pytest -n logical --maxprocesses 4 --no-loadscope-reorder

check: $(TEST)
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy

audit: $(AUDIT)
	@$(PYTHON) .ci/audit.py

bench: $(BENCH)
	@$(RUN) -m benchmarks

bench-quick: $(BENCH)
	@$(RUN) -m benchmarks --quick

install: $(TEST)

$(DEMO): pyproject.toml constraints.txt
	@sh install.sh $(VENV) demo

$(TEST): pyproject.toml constraints.txt
	@sh install.sh $(VENV) test

$(AUDIT): pyproject.toml constraints.txt
	@sh install.sh $(VENV) audit

$(BENCH): pyproject.toml constraints.txt
	@sh install.sh $(VENV) test,bench

# Passwords of the compose stack, random, made once.
.env:
	@umask 077; for name in AIRFLOW_DB_PASSWORD DATA_MART_PASSWORD DATA_MART_OWNER_PASSWORD \
	DATA_MART_LOAD_PASSWORD DATA_MART_READ_PASSWORD REDIS_PASSWORD OBJECT_STORE_KEY OBJECT_STORE_SECRET AIRFLOW_ADMIN_PASSWORD JWT_SECRET SERVE_API_KEY DB2_PASSWORD; do \
	echo "$$name=$$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')"; done > .env.new
	@echo "FERNET_KEY=$$(head -c 32 /dev/urandom | base64 | tr -d '\n' | tr '+/' '-_')" >> .env.new
	@mv .env.new .env
	@echo 'Wrote .env. Now: docker compose --profile try up --build'

clean:
	rm -rf $(VENV) .paylog .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests dags benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: help demo demo-once test check audit bench bench-quick install clean

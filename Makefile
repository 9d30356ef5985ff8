# make demo       the main job, for real: two Slurm sites, a tunnel, a container, a solver
# make test       everything: unit, flow, contract and lab tests, the campaign in simulation
# make check      the quick half: format, lint, types, imports, tests without the lab
# make faults     the whole crash campaign on the lab, an hour and a half; goes on where it was
# make demo-down  end every lab; leaves nothing outside this folder

SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
PAPERS := tests/packaging/test_documents.py tests/packaging/test_source.py
# Tests without a lab, three beside each other on two cores: they wait now and then, too.
BESIDE := --dist worksteal -n 3
# The lab mostly waits: its tests have three labs beside each other, about as long each. What is
# not named here is the third one's.
lab_tests = $(addprefix tests/lab/test_,$(addsuffix .py,$(1)))
ONE := $(call lab_tests,bucket passage policy shapes wishes)
TWO := $(call lab_tests,faults files second_runtime stays story)
THREE := tests/lab tests/contract $(addprefix --ignore=,$(ONE) $(TWO))
APT := requirements.apt lab/requirements.apt

.PHONY: demo demo-down test test-long test-one test-two test-three check faults format tools docs

demo: tools .venv/ready
	$(BIN)/python -m demo

demo-down: .venv/ready
	@for lab in "" one two three; do LAB=$$lab $(BIN)/python -m lab down || exit 1; done

test: tools .venv/ready
	$(MAKE) --no-print-directory check
	$(BIN)/pytest -q tests/far tests/packaging $(addprefix --ignore=,$(PAPERS)) $(BESIDE)
	@echo "the labs and the long stories, a third of an hour; of four logs, build/test-*.log, this is one:"
	@$(MAKE) --no-print-directory -k -j4 test-long test-one test-two test-three

test-long: SHARE := tests/sim -m long
test-one: SHARE := $(ONE) -m lab
test-two: SHARE := $(TWO) -m lab
test-three: SHARE := $(THREE) -m lab
test-long test-one test-two test-three: test-%: .venv/ready
	@mkdir -p build
	@set -o pipefail; export LAB=$*; $(if $(filter long,$*),nice -n 15) \
	$(BIN)/pytest -q $(SHARE) --durations=5 2>&1 \
	| $(if $(filter three,$*),tee,cat >) build/$@.log; rc=$$?; \
	$(BIN)/python -m lab down >> build/$@.log; \
	[ $* = three ] || { echo; echo "$@:"; cat build/$@.log; }; exit $$rc

check: .venv/ready
	$(BIN)/ruff format --check -q .
	$(BIN)/ruff check -q .
	$(BIN)/mypy
	@mkdir -p build
	$(BIN)/lint-imports --no-cache > build/imports.log || { cat build/imports.log; exit 1; }
	$(BIN)/pytest -q tests/unit tests/flow tests/contract tests/sim $(PAPERS) -m "not lab and not long" \
		$(BESIDE)

faults: tools .venv/ready
	$(BIN)/python -m tests.fault
	$(BIN)/python -m lab down

format: .venv/ready
	$(BIN)/ruff format -q .
	$(BIN)/ruff check -q --fix .

# What is generated: the example configuration, the drawing of the life cycle, the table of shapes.
docs: .venv/ready
	$(BIN)/python -m burstd.config.example > config.example.toml
	$(BIN)/python -m docs.draw
	$(BIN)/python -m tests.lab.shapes

# Debian packages that are missing here, and nothing where all are there.
tools:
	@missing=$$(for p in $$(cat $(APT)); do dpkg -s $$p > /dev/null 2>&1 || echo $$p; done); \
	if [ -n "$$missing" ]; then \
	  echo "installing: $$missing"; \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	    apt-get install -y -qq --no-install-recommends $$missing; } > /dev/null; \
	fi

.venv/ready: pyproject.toml hatch_build.py $(wildcard burstd/far/native/*.[ch])
	@echo "installing Python packages into .venv"
	@mkdir -p build
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e .[dev]
	@touch $@

# Everything that a fresh machine needs is made by the targets themselves: Python 3.11+ and make suffice.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo
ECG := demo-ecg

# No program of ours needs the network at run time.
export FLWR_TELEMETRY_ENABLED := 0
export FLWR_DISABLE_UPDATE_CHECK := 1
export FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION := 1
export RAY_USAGE_STATS_ENABLED := 0

.PHONY: demo plan ecg test test-all lint bench lock flower-config clean

$(VENV)/installed: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -r requirements.lock
	$(BIN)/pip install --quiet --no-deps --editable .
	touch $@

demo: $(DEMO)/runs/oracle.json
	$(BIN)/wardlaw simulate study studies/demo.toml --federation $(DEMO)/federation --out $(DEMO)/runs
	$(BIN)/wardlaw analysis report $(DEMO)/runs --out $(DEMO)/report --title "Demo: four synthetic hospitals"

# Two more token budgets of the demo, and what its hospitals should train.
plan: demo
	$(BIN)/wardlaw simulate study studies/demo-budgets.toml --federation $(DEMO)/federation --out $(DEMO)/budgets
	$(BIN)/wardlaw simulate shards $(DEMO)/federation --out $(DEMO)/sites.csv
	$(BIN)/wardlaw analysis plan $(DEMO) --sites $(DEMO)/sites.csv --compute 1e12 --json $(DEMO)/plan.json

# Synthetic ECG hospitals: four train, two stay unseen; two families with labels and without, pooled and federated.
ecg: $(ECG)/federation/federation.json
	$(BIN)/wardlaw simulate study studies/ecg-demo.toml --federation $(ECG)/federation --out $(ECG)/runs \
		--sites synthetic-00,synthetic-01,synthetic-02,synthetic-03
	$(BIN)/wardlaw simulate ecg-scores $(ECG)/runs --method linear --table $(ECG)/scores.csv
	$(BIN)/wardlaw analysis report $(ECG)/runs --out $(ECG)/report --title "Demo: synthetic ECG of four hospitals"

$(ECG)/federation/federation.json: $(VENV)/installed
	rm -rf $(ECG)
	$(BIN)/wardlaw simulate ecg-hospitals --patients 300 --out $(ECG)/hospitals
	$(BIN)/wardlaw client shard ecg --source synthetic --input $(ECG)/hospitals --site-column site --out $(ECG)/shards
	$(BIN)/wardlaw simulate prepare-ecg --shards $(ECG)/shards --out $(ECG)/federation

$(DEMO)/hospitals/generator.json: $(VENV)/installed
	rm -rf $(DEMO)
	$(BIN)/wardlaw simulate hospitals --out $(DEMO)/hospitals

$(DEMO)/federation/federation.json: $(DEMO)/hospitals/generator.json
	$(BIN)/wardlaw simulate prepare --meds $(DEMO)/hospitals --scheme fused --out $(DEMO)/federation

# The loss of the process that the hospitals were generated from: the floor that no model can pass.
$(DEMO)/runs/oracle.json: $(DEMO)/federation/federation.json
	mkdir -p $(DEMO)/runs
	$(BIN)/wardlaw simulate oracle --hospitals $(DEMO)/hospitals \
		--vocabulary $(DEMO)/federation/vocabulary.json --json > $@.new
	mv $@.new $@

test: $(VENV)/installed
	$(BIN)/pytest --numprocesses 2 -m "not slow"

test-all: $(VENV)/installed
	$(BIN)/pytest

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/installed
	$(BIN)/python -m bench

lock:
	rm -rf $(VENV)-lock
	$(PYTHON) -m venv $(VENV)-lock
	$(VENV)-lock/bin/pip install --quiet torch==2.13.0 ".[simulations,analysis,inference,checks]"
	sed -n '/^#/p' requirements.lock > requirements.lock.new
	$(VENV)-lock/bin/pip freeze --exclude wardlaw | sed 's/+cpu//' >> requirements.lock.new
	mv requirements.lock.new requirements.lock
	rm -rf $(VENV)-lock

flower-config: $(VENV)/installed
	$(BIN)/python -m wardlaw.config.pyproject

clean:
	rm -rf $(VENV) $(DEMO) $(ECG)

# What a person can do here. `make help` lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
UV_VERSION := 0.13.8

# uv is found, or installed for this user with pip; nothing else is assumed but Python 3.11+ and make.
export PATH := $(HOME)/.local/bin:$(PATH)
UV := uv
RUN := $(UV) run --frozen --all-extras
LEADSCORE_HOME ?= .leadscore
PORT ?= 3000
CONSOLE_PORT ?= 8050
MONITOR_PORT ?= 9464
RECEIVER_PORT ?= 8060
export LEADSCORE_HOME
# Files of scenarios that are run at once, each in namespaces of its own: they mostly wait. 0: one after the other, for figures
# that nothing beside them disturbs.
E2E_WORKERS ?= 2
# Says why and skips where no cluster is possible; with CI=true that is a failure.
E2E = $(RUN) python -m tools.cluster run -- $(RUN) pytest -m e2e tests/e2e -n $(E2E_WORKERS) --dist loadfile

.PHONY: help
help:  ## List what a person can do
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  \033[1m%-14s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup:  ## Install what is missing (uv, the locked Python environment, the native kernel)
	@tools/setup/uv.sh $(UV_VERSION)
	$(UV) sync --frozen --all-extras

.PHONY: up
up: setup  ## Train on the synthetic CRM (or DATA=, CONTRACT=), serve, open the console; Ctrl-C stops it
	$(RUN) leadscore up --port $(PORT) --console-port $(CONSOLE_PORT) --monitor-port $(MONITOR_PORT) --receiver-port $(RECEIVER_PORT) $(if $(DATA),--data $(DATA)) $(if $(CONTRACT),--contract $(CONTRACT))

.PHONY: test
test: setup system  ## Set up and run every test; the cluster's too, where a cluster is possible
	$(if $(filter true,$(CI)),$(RUN) python -m tests.faults --programs)
	$(RUN) pytest -n 2 --dist loadgroup -m "not e2e"
	$(E2E)

.PHONY: unit
unit: setup  ## Only the fast tests
	$(RUN) pytest tests/unit -n 2

.PHONY: faults
faults: setup system  ## Every scenario of the operator, once per call and way it can fail (FAULTS="--scenario NAME --workers 3")
	$(RUN) python -m tests.faults $(FAULTS)

.PHONY: faults-programs
faults-programs: setup  ## Build etcd and kube-apiserver for the fault tests, once (minutes; kept in the cache)
	$(RUN) python -m tests.faults --programs

.PHONY: fuzz
fuzz: setup  ## Damage what strangers send and what is read, find what does not end in a sentence (FUZZ="http --cases 5000"; all four without it)
	$(if $(FUZZ),nice -n 10 $(RUN) python -m tests.fuzz $(FUZZ),for what in arrow http documents models; do nice -n 10 $(RUN) python -m tests.fuzz $$what || exit 1; done)

.PHONY: system
system:  ## Install the distribution's packages that tests need (PostgreSQL, Chromium, Java)
	@tools/setup/system.sh

.PHONY: lint
lint: setup  ## Format check, lint, types, import contract, fresh docs and lock
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) pyright
	$(RUN) lint-imports --no-logo
	$(RUN) python tools/docs/cli_reference.py --check
	$(RUN) python -m tools.chart --check
	$(RUN) python -m benchmarks.pages --check
	$(RUN) python -m tools.docs.decisions --check
	$(RUN) python -m tools.names
	$(RUN) python -m tools.workflows
	$(UV) lock --check

.PHONY: docs
docs: setup  ## Regenerate what is made from code and figures (docs/cli.md, the chart's schema and table, benchmark tables, …)
	$(RUN) python tools/docs/cli_reference.py
	$(RUN) python -m tools.chart
	$(RUN) python -m benchmarks.pages
	$(RUN) python -m tools.docs.decisions
	for extra in spark train; do tools/setup/databricks.sh $$extra >manifests/databricks/requirements/$$extra.txt; done

.PHONY: docs-site
docs-site: setup  ## The documentation as a site (build/docs-site), readable without a network; a dead link fails it
	NO_MKDOCS_2_WARNING=1 $(RUN) python -m mkdocs build
	@echo "build/docs-site/index.html (search needs a server: python3 -m http.server --directory build/docs-site)"

.PHONY: console-pictures
console-pictures: setup system  ## Pictures of the console of a running `make up`, into docs/console (look at them)
	$(RUN) python -m tools.console --url http://127.0.0.1:$(CONSOLE_PORT) --key-file $(LEADSCORE_HOME)/local.key

.PHONY: format
format:  ## Let ruff format and fix what it can
	$(RUN) ruff format .
	$(RUN) ruff check --fix .

.PHONY: bench
bench: setup  ## Every speed figure, side by side with others; writes benchmarks/results.json and docs/benchmarks.md
	@tools/setup/system.sh bench
	$(RUN) python -m benchmarks $(BENCH)

.PHONY: load
load:  ## 25 req/s for 60 s against http://127.0.0.1:$(PORT), with the SLO verdict
	$(RUN) locust -f loadtests/locustfile.py --headless --host http://127.0.0.1:$(PORT) --run-time 60s

.PHONY: drift-alibi
drift-alibi: setup  ## alibi-detect 0.11.4 in an environment of its own (800 MB), for `alibi:` drift detectors
	@tools/setup/alibi.sh

.PHONY: spark
spark: setup  ## PySpark 4.0.2 with Delta Lake in an environment of its own (700 MB), for `leadscore batch spark`
	@tools/setup/spark.sh

.PHONY: build
build: setup  ## The wheel (with the native kernel) and the bento
	$(UV) build --wheel
	$(RUN) bentoml build

.PHONY: clean
clean:  ## Remove build products (never .leadscore, which holds your models and events)
	rm -rf dist build .pytest_cache .ruff_cache .hypothesis .import_linter_cache

.PHONY: cluster-up
cluster-up: setup  ## A real Kubernetes on this machine, with ingress, rollouts and metrics
	$(RUN) python -m tools.cluster up

.PHONY: e2e
e2e: setup  ## The cluster tests alone (a cluster that is up is used and stays; else one is made and taken down)
	$(E2E)

.PHONY: cluster-down
cluster-down:  ## Take it down again, leaving nothing but the cache
	$(RUN) python -m tools.cluster down

.PHONY: cluster-status
cluster-status:  ## Whether it is up, and what runs on it
	$(RUN) python -m tools.cluster status

.PHONY: chart
chart: setup  ## Lint the chart with every values file and package it (dist/lead-scoring-….tgz)
	$(RUN) python -m tools.chart.package

.PHONY: deploy
deploy: setup  ## Bring a model to an environment (ENV=staging VERSION=7), watch its canary, then promote it
	$(RUN) python -m tools.deploy apply --environment "$(ENV)" --version "$(VERSION)" $(if $(IMAGES),--images "$(IMAGES)") $(if $(CHART),--chart "$(CHART)") $(if $(INTERRUPT),--interrupt) $(if $(ENVIRONMENTS),--environments "$(ENVIRONMENTS)")

.PHONY: deploy-verdict
deploy-verdict: setup  ## Judge what runs in an environment (ENV=production); healthy: promote it, sent back: fail
	$(RUN) python -m tools.deploy verdict --environment "$(ENV)" $(if $(ENVIRONMENTS),--environments "$(ENVIRONMENTS)")

.PHONY: ci-access
ci-access: setup  ## In a CI job: a kubeconfig from its identity, or from its secret
	@$(RUN) python -m tools.deploy.access

.PHONY: images-push
images-push: setup  ## Push the local images (REGISTRY=host/path) and write their digests as values (build/images-values.yaml)
	$(RUN) python -m tools.images load --docker
	$(RUN) python -m tools.images values | $(RUN) python -m tools.deploy.images "$(REGISTRY)" build/images-values.yaml

.PHONY: images
images: setup  ## Every role's image, loaded into the local cluster if it runs
	$(RUN) python -m tools.images build $(ROLES)

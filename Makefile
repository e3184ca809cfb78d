# The commands of the project. `make` alone lists them.

AETHER := .venv/bin/aether
PYTEST := .venv/bin/pytest

# what `make setup` builds
export PATH := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/aether/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup judges lab down status test unit coverage lint bench fuzz chaos console lock

help: ## list the commands
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

setup: ## install everything on Debian 12: packages, Python environment, console
	@sh lab/setup/all.sh

judges: setup ## install the NETCONF clients of others that the tests use: Ansible, netconf-console2
	@sh lab/setup/judges.sh

lab: setup ## start the lab, wait until it is ready, print where the console is
	@$(AETHER) lab up

down: ## stop the lab; nothing stays but its databases under var/
	@if [ -x $(AETHER) ]; then $(AETHER) lab down; fi

status: ## what runs and who is online
	@$(AETHER) lab status

test: setup judges lint coverage ## setup, lint, coverage and all tests
	@sh lab/setup/tests.sh

unit: ## the fast tests only
	@$(PYTEST) -q tests/unit tests/replay tests/contract

coverage: ## the session machine, codecs and protocols: every branch is tested
	@sh lab/setup/coverage.sh

lint: ## formatting, rules, types, dependencies between packages, YANG modules
	@sh lab/setup/lint.sh

bench: setup ## all benchmarks, or one: make bench BENCH=session-setup
	@$(AETHER) bench $(BENCH)

fuzz: setup ## a million hostile inputs for each parser, some minutes
	@.venv/bin/python -m tests.fuzz

chaos: setup ## kill BNGs, collectors, PostgreSQL, network and clocks under churn, sixty times; nothing may be lost
	@.venv/bin/python -m tests.chaos

console: ## build the console
	@sh lab/setup/console.sh

lock: ## write requirements.lock from what .venv holds
	@sh lab/setup/lock.sh

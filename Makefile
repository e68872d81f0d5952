# The same verbs everywhere; CI calls just these. Each works as the first command ever typed.
.PHONY: help setup demo test docker apps chaos hostile verdicts browser lint format bench lock clean

help:            ## list the verbs
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/'

setup:           ## make .venv with the locked dependencies (seconds when it is there already)
	@hack/bootstrap

demo: setup      ## run the main job on a real Envoy, tell what the new version does differently (RUNTIME=docker: in containers)
	@hack/demo $(if $(RUNTIME),--runtime $(RUNTIME)) $(ARGS)

test: setup      ## unit, conformance and real-Envoy tests
	@hack/test

docker: setup    ## containers as shadows on real Docker engines: confinement, egress, limits, nodes
	@hack/test tests/docker

apps: setup      ## judge released versions of real applications from PyPI, in environments of their own
	@hack/test tests/apps

chaos: setup     ## kill, stop, cut, fill and set everything, alone and in pairs, at 100 points under traffic
	@hack/test tests/chaos
	@hack/chaos

hostile: setup   ## shadows that hang, flood, lie and eat, on the real Envoy; the table goes to build/hostile
	@hack/test tests/hostile

verdicts: setup  ## verdicts, splits, steps and `shadowmesh try` end to end on a real Envoy
	@hack/test tests/verdicts

browser: setup   ## open the report in a real Chromium; pictures go to build/browser
	@hack/test tests/browser

lint: setup      ## ruff, mypy, import contracts, lock file
	@hack/lint

format: setup    ## let ruff rewrite the tree
	@.venv/bin/ruff format . && .venv/bin/ruff check --fix-only -q .

bench: setup     ## print the tables, write build/bench/*.json
	@hack/bench

lock: setup      ## resolve pyproject.toml anew into hack/requirements.lock
	@hack/lock

clean:           ## remove what setup and the tests made
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

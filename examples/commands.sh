#!/usr/bin/env bash
# The whole loop from the shell, on the agent of own_agent.py and a store in a temporary folder.
#
#     bash examples/commands.sh
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
echo "agent_files = [\"$here/own_agent.py\"]" > steersman.toml
export STEERSMAN_STORE="$PWD/log.db"
state='{"rows_waiting": 5000, "memory_free_mb": 900, "reports_running": 0}'

echo "== decide, act, report"
decision=$(steersman decide mine/insert-size "$state" --json | python -c 'import json, sys; print(json.load(sys.stdin)["id"])')
steersman report "$decision" '{"rows_per_s": 21000, "deadlock": 0}'

echo "== why was that decided, and would it be decided again?"
steersman explain "$decision"
steersman replay "$decision"

echo "== what is in the store?"
steersman doctor || test $? -eq 2   # 2 is a warning: one outcome is too little to judge anything

echo "== keep what was learned, and judge it on the log"
steersman cut mine/insert-size
steersman evaluate mine/insert-size || test $? -eq 2   # one outcome cannot tell
steersman release status

echo "== stop, look, go on"
steersman kill mine/insert-size --reason "drill"
steersman decide mine/insert-size "$state"
steersman kill mine/insert-size --off --reason "drill is over"
steersman audit

echo "== move the log to another store"
steersman export log.jsonl
steersman import log.jsonl --store moved.db

#!/usr/bin/env bash
# Every published number, one script after the other. BIN names the folder of the interpreter to use; PEERS an interpreter
# that has torch and stable-baselines3, and REQUESTS, PRICES and CI_HISTORIES data, without which a script does less or is left out.
set -uo pipefail
cd "$(dirname "$0")/.."
python="${BIN:-.venv/bin}/python"
failed=0
run() {
  echo "== $*"
  "$python" "$@" || { echo "FAILED: $*"; failed=1; }
}
run benchmarks/imports.py --size
run benchmarks/decide.py
run benchmarks/trading_episodes.py
run benchmarks/trading_bus.py
run benchmarks/warm_start.py
run benchmarks/refold.py
run benchmarks/replay.py
run benchmarks/ingest.py
run benchmarks/store.py
run benchmarks/store.py --commit-ms 3
run benchmarks/pages.py
run benchmarks/outage.py --stops 100
run benchmarks/outage.py --stops 30 --kill worker
run benchmarks/bus_outage.py --kills 100
run benchmarks/lost_updates.py
run benchmarks/workers.py
run benchmarks/streams.py
run benchmarks/safety.py
run benchmarks/position_limits.py
run benchmarks/crash.py --kills 500 --cuts 300
run benchmarks/sequences.py
run benchmarks/simulation.py
run benchmarks/load.py --stall --rates 400
run benchmarks/load.py
run benchmarks/http_safety.py
run benchmarks/api_fuzz.py
run benchmarks/known_answers.py
run benchmarks/fleet.py
run benchmarks/fleet.py --sequential --seeds 10
run benchmarks/qe_executor.py
run benchmarks/qe_fleet.py --train 30 --agent-s 40
run benchmarks/generated_tests.py
run benchmarks/executor_orders.py
run benchmarks/personalizer.py
run benchmarks/ci_order.py ${CI_HISTORIES:-}
run benchmarks/trading_backtest.py ${PRICES:-}
run benchmarks/ope.py
run benchmarks/rollout.py
run benchmarks/rollback.py
run benchmarks/floor.py
run benchmarks/propensities.py
run benchmarks/deep_gate.py
run benchmarks/deep_drift.py
run benchmarks/poisoning.py
run benchmarks/drift.py
run benchmarks/deep_known_answers.py ${PEERS:+--peers "$PEERS"}
run benchmarks/deep_speed.py ${PEERS:+--peers "$PEERS"}
${REQUESTS:+run benchmarks/forecasters.py "$REQUESTS"}
run benchmarks/scale_out.py
run benchmarks/multi_agent.py
run benchmarks/onnx_serving.py
exit "$failed"

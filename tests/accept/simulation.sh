#!/usr/bin/env bash
# A million requests through the scheduler, pool and cache in virtual time; every one is answered.
# The trace is replayed when it is there, else random traffic; then policies side by side.
set -euo pipefail
cd "$(dirname "$0")/../.."
inferno="${INFERNO_BINARY:-build/release/inferno}"
trace="../shared/traces/azure_2023_conv.csv"
if [ -f "$trace" ]; then
  traffic=(--dataset-name trace --dataset-path "$trace" --max-input-len 1000 --max-output-len 120)
else
  echo "no trace at $trace: random traffic"
  traffic=(--random-input-len 200 --random-output-len 40 --random-range-ratio 0.9)
fi
"$inferno" simulate --num-prompts 1000000 "${traffic[@]}" --load 0.9
echo "mixed load at 1.2 times capacity"
"$inferno" simulate --num-prompts 5000 --random-input-len 200 --random-output-len 40 \
  --random-range-ratio 0.5 --mix interactive:0.3,batch:0.7 --load 1.2 --step-fixed-s 0.002 \
  --decode-row-s 0.001 --prefill-token-s 0.0008 --policies slo,fcfs
echo "ten clients, of which client-0 sends ten times its share"
for greedy in 1 10; do
  "$inferno" simulate --num-prompts 5000 --random-input-len 200 --random-output-len 40 \
    --random-range-ratio 0.5 --clients 10 --greedy-client "$greedy" --load 0.8 \
    --policies slo,fcfs
done

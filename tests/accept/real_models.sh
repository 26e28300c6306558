#!/usr/bin/env bash
# Greedy tokens of the three real models follow the recorded references up to near ties.
set -euo pipefail
cd "$(dirname "$0")/../.."
./dev build >/dev/null
for name in smollm2-135m gemma3-270m qwen2.5-coder-1.5b; do ./dev model "$name" >/dev/null; done
INFERNO_TEST_ALL_MODELS=1 build/release/model_test --gtest_filter='*RealModel*'

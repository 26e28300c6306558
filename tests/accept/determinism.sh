#!/usr/bin/env bash
# The determinism test on every model of the cache, all 32 requests in every variation.
set -euo pipefail
cd "$(dirname "$0")/../.."
./dev build >/dev/null
for name in smollm2-135m gemma3-270m qwen2.5-coder-1.5b; do ./dev model "$name" >/dev/null; done
INFERNO_TEST_ALL_MODELS=1 build/release/engine_test --gtest_filter='*Determinism*'

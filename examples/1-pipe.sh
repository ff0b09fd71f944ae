#!/bin/sh
# A pipe: reads records from stdin and prints answers to stdout. To use Claude, remove --emulate and set ANTHROPIC_API_KEY.
set -eu
cd "$(dirname "$0")"

head -n 6 data/state-of-the-union.csv |
  node ../dist/bin/claude-batch-stream.js --emulate --poll 100ms --to text \
    -p 'The mood of {{president}} in {{year}}, in one word: {{opening}}'

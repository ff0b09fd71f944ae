#!/bin/sh
# A pipe: records in on stdin, answers out on stdout. Without --emulate (and with ANTHROPIC_API_KEY) it asks Claude.
set -eu
cd "$(dirname "$0")"

head -n 6 data/state-of-the-union.csv |
  node ../dist/bin/claude-batch-stream.js --emulate --poll 100ms --to text \
    -p 'The mood of {{president}} in {{year}}, in one word: {{opening}}'

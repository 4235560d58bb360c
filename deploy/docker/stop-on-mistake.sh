#!/bin/sh
# Run anew in a container that is started again when it fails. Exit code 2 means that something given cannot be used: the same command would fail again, so this
# ends with 0. Signals are handed on, and the training saves its state.
trap 'kill -TERM $! 2>/dev/null' TERM INT
anew "$@" &
CHILD=$!
wait "$CHILD"; CODE=$?
while kill -0 "$CHILD" 2>/dev/null; do wait "$CHILD"; CODE=$?; done
if [ "$CODE" -eq 2 ]; then
  echo "not restarted: see the error above; fix it and start the container again" >&2
  exit 0
fi
exit "$CODE"

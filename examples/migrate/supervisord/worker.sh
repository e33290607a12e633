#!/bin/sh
# Waits for work, as worker number $1.
echo "worker $1 looks into $QUEUE"
while :; do sleep 1; done

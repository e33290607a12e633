# Waits for work.
echo "looks into $QUEUE"
while :; do sleep 1; done

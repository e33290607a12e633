#!/bin/sh
# Makes what the web server serves.
mkdir -p /srv/public
echo hello >/srv/public/index.html
echo prepared

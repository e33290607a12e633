#!/bin/sh
# Makes a folder that the store may write to.
install --directory --owner nobody /run/store
echo prepared

#!/bin/sh
# Makes configure and the files it needs, after a checkout.
set -e
cd "$(dirname "$0")"
exec autoreconf -fi

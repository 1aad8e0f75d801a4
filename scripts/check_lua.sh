#!/bin/sh
# luacheck over all Lua. Run by its own path: its interpreter need not be ours.
set -eu

"$(command -v luacheck)" --quiet --no-color .busted .luacheckrc stdlib scripts tests

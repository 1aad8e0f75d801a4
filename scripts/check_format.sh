#!/bin/sh
# C files look as clang-format wants them; `clang-format -i FILE` repairs.
set -eu

# The layout differs between versions of clang-format; Debian 12's is the one that counts.
find runtime vm tests -name '*.[ch]' -exec clang-format --dry-run -Werror {} +

rockspec_format = "3.0"
package = "moonfleet"
version = "scm-1"
source = { url = "git+https://example.invalid/moonfleet.git" }
description = {
    summary = "Futures and parallel maps on all cores of one machine, or of many",
    detailed = "The module moonfleet for a stock Lua 5.4, and the programs moonfleet and moonfleet-node, which its worker "
        .. "processes are.",
    license = "MIT",
}
supported_platforms = { "unix" }
dependencies = { "lua ~> 5.4" }
external_dependencies = {
    SSH2 = { header = "libssh2.h" },
    CRYPTO = { header = "openssl/evp.h" },
}
build = {
    type = "make",
    build_target = "all",
    install_target = "install-rock",
    install_variables = { BINDIR = "$(BINDIR)", LIBDIR = "$(LIBDIR)" },
}

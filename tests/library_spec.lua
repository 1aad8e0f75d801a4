-- Libraries that are loaded when they are first needed: nobody else pays for them; and what is said where they are
-- missing, which fails.c makes so.
local fails = require("tests.support.fails")
local program = require("tests.support.program")
local sshd = require("tests.support.sshd")
local terminal = require("tests.support.terminal")
local H = require("tests.conformance.helper")

local MISSING = ": /no/such/library.so: cannot open shared object file: No such file or directory; "
local NO_SSH = "cannot load libssh2.so.1" .. MISSING .. 'install libssh2, or set transport = "openssh"'
local NO_CRYPTO = "cannot load libcrypto.so.3" .. MISSING
    .. 'install OpenSSL\'s libcrypto, or set transport = "openssh" and upload = false'

local preloaded = fails.sanitized() and pending or it

-- The text without what differs between versions of the libraries.
local function plain(text)
    return (text:gsub("(lib%a+%d?%.so)[.%d]*: /no", "%1: /no"))
end

local function has(text, words)
    H.has(plain(text), plain(words))
end

describe("a library", function()
    it("is not loaded by scripts, and not by worker processes", function()
        local r = program.script([[
            local function maps()
                local file = io.open("/proc/self/maps")
                local text = file and file:read("a") or ""
                return (text:find("libssh2", 1, true) or text:find("libcrypto", 1, true)
                    or text:find("libedit", 1, true)) and text or "none"
            end
            local mf = require("moonfleet")
            print(maps())
            mf.plan("processes", { workers = 1 })
            print(mf.future(maps):value())
        ]])
        assert.equal("none\nnone\n", r.out, r.err)
    end)
end)

describe("where libssh2 or libcrypto is missing", function()
    local hosts, server, shim

    setup(function()
        hosts = sshd.new()
        server = hosts:start("a")
        shim = fails.build(hosts.folder)
    end)

    teardown(function()
        hosts:close()
    end)

    -- moonfleet check of the server, with these options and that order of fails.c.
    local function check(options, order)
        local code = ("os.getenv(%q) os.exit(require('moonfleet.check').main({ '127.0.0.1:%d' }, "
            .. "{ config = %q, known_hosts = %q, workers = 1, %s }), true)")
        return program.run(
            { "-e", code:format(order, server.port, hosts.config, hosts.known_hosts, options) },
            { env = { LD_PRELOAD = shim } }
        )
    end

    local here = ("program = %q"):format(program.absolute)

    preloaded("transport libssh2 says so", function()
        local r = check("transport = 'libssh2', " .. here, "dlopen 1 0")
        assert.equal(1, r.code, r.err)
        has(r.out, "configuration: " .. NO_SSH .. "\n")
        r = check("transport = 'libssh2', " .. here, "dlopen 2 1")
        assert.equal(1, r.code, r.err)
        has(r.out, "configuration: " .. NO_CRYPTO .. "\n")
    end)

    preloaded("transport auto goes on with the ssh program, and says why", function()
        local r = check(here, "dlopen 1 0")
        assert.equal(0, r.code, r.out .. r.err)
        has(r.out, "by the ssh program: " .. NO_SSH .. "\n")
        r = check(here, "off")
        assert.equal(0, r.code, r.out .. r.err)
        assert.is_nil(r.out:find("by the ssh program", 1, true))
    end)

    preloaded("transport openssh needs neither, unless it uploads", function()
        local r = check("transport = 'openssh', " .. here, "dlopen 1 0")
        assert.equal(0, r.code, r.out .. r.err)
        assert.is_nil(r.out:find("cannot load", 1, true))
        r = check("transport = 'openssh'", "dlopen 1 0")
        assert.equal(1, r.code, r.err)
        has(r.out, "the node build: " .. NO_CRYPTO .. "\n")
    end)
end)

describe("where libedit is missing", function()
    local on_terminal = terminal.there_is and preloaded or pending

    on_terminal("the prompt is plain", function()
        program.with_folder(function(folder)
            local env = { LD_PRELOAD = fails.build(folder), FAILS = "dlopen 1 0" }
            local r = terminal.drive({ "-i" }, [[see '^> '; type_in '6 * 7\n'; see '^42'; type_in '\004'; finish]], 60,
                env)
            assert.equal(0, r.code, r.out)
            assert.is_nil(r.out:find("2004h", 1, true)) -- which the editor turns on
        end)
    end)
end)

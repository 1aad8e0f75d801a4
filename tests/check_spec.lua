-- moonfleet check: the table of hosts, and its exit code. Hosts are agents on this machine.
local peer = require("tests.support.peer")
local program = require("tests.support.program")
local H = require("tests.conformance.helper")

-- Checks hosts, given as Lua text.
local function check(names, defaults)
    local code = "os.exit(require('moonfleet.check').main(%s, { transport = 'local', %s }), true)"
    return program.run({ "-e", code:format(names, defaults or "") })
end

local HEAD = "^host +cores +start +latency +both ways +version\n"
local LINE = " +%d+%.%d%d s +%d+%.%d%d ms +%d+ MB/s  0%.1%.0, Lua 5%.4\n"

describe("moonfleet check", function()
    it("prints a line for each host", function()
        local r = check("{ 'a', 'bob@b:22', '::1' }", "workers = 3")
        assert.equal(0, r.code, r.err)
        assert.matches(HEAD .. "a +3" .. LINE .. "bob@b:22 +3" .. LINE .. "::1 +3" .. LINE .. "$", r.out)
        assert.equal("", r.err)
    end)

    it("counts a host's cores, or how often it is named", function()
        local r = check("{ 'a', 'b', 'b', 'b' }")
        local cores = program.run({ "-e", "print(require('moonfleet').cores())" }).out:match("%d+")
        assert.matches(HEAD .. "a +" .. cores .. LINE .. "b +3" .. LINE .. "$", r.out)
    end)

    it("says of each host that fails why, and goes on with the others", function()
        local r = check("{ { 'a', program = '/bin/false' }, 'b', { 'c', dir = '/no/such/folder' } }")
        assert.equal(1, r.code)
        assert.matches(HEAD .. "a +%- +%- +%- +%-  FAILED\n    exited with code 1\nb +%d+" .. LINE
            .. "c +%- +%- +%- +%-  FAILED\n    [^\n]*cannot work in folder '/no/such/folder'[^\n]*\n$", r.out)
        assert.equal("", r.err)
    end)

    it("says when a host fails while it is measured", function()
        peer.with_agent("peer.join() peer.task() os.exit(7)", function(path)
            local r = check(("{ { 'a', program = %q }, 'b' }"):format(path), "workers = 1")
            assert.equal(1, r.code)
            assert.matches(HEAD .. "a +1 +%- +%- +%-  FAILED\n    [^\n]*host a exited with code 7\nb +1" .. LINE .. "$",
                r.out)
        end)
    end)

    it("names a host that cannot be one, without a traceback", function()
        local r = program.run({ "check", "a", "b:x" })
        assert.equal(1, r.code)
        assert.equal("", r.out)
        assert.equal('moonfleet: check: "b:x" is no host; write name, user@name, name:port or [address]:port\n', r.err)
        H.has(check("{}").err, "check: option 'hosts' names no host")
    end)

    it("is a script's name where there is such a file, and where no host follows", function()
        program.with_folder(function(folder)
            program.write_file(folder .. "/check", "print('a script', ...)")
            local r = program.run({ "check", "a" }, { folder = folder, program = program.absolute })
            assert.equal("a script\ta\n", r.out)
        end)
        assert.equal("moonfleet: cannot open check: No such file or directory\n", program.run({ "check" }).err)
    end)
end)

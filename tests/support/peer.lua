-- A worker process made by hand, for what no honest one does. It is a script that the master starts in the place of an
-- agent and whose standard input and output are the link (runtime/msg.h draws what goes over it):
--
--     local peer = require("tests.support.peer")
--     peer.with(code, function(plan) mf.with_plan({ plan }, function() ... end) end)     -- in a spec
--     peer.send("HELLO", 0, peer.hello())                                                -- in code
local program = require("tests.support.program")

local peer = {}

local KINDS = {
    "HELLO", "INIT", "CODE", "FORGET", "TASK", "CANCEL", "RECALL", "OUTPUT", "PROGRESS", "RESULT", "FETCH", "MODULE",
    "PING", "PONG", "BYE",
}
local NUMBERS = {}
for i, name in ipairs(KINDS) do
    NUMBERS[name] = i
end

-- The bytes of a message. kind is a name, or a number that may be none. flags: 0 when nil.
function peer.frame(kind, id, body, flags)
    return string.pack("<I4BBI2I8", 12 + #body, NUMBERS[kind] or kind, flags or 0, 0, id) .. body
end

function peer.send(...)
    io.stdout:write(peer.frame(...))
    io.stdout:flush()
end

function peer.send_bytes(bytes)
    io.stdout:write(bytes)
    io.stdout:flush()
end

-- The body of an honest greeting, with some fields changed.
function peer.hello(changes)
    local h = {
        magic = "MooF",
        version = tonumber(program.read_file("runtime/msg.h"):match("MF_MSG_VERSION%s+(%d+)")),
        program = "0.1.0",
        lua = 504,
        integer = 8,
        number = 8,
        codec = tonumber(program.read_file("vm/codec.h"):match("MF_CODEC_VERSION%s+(%d+)")),
        host = "by hand",
    }
    for k, v in pairs(changes or {}) do
        h[k] = v
    end
    local layout = "<c4I4c16I4BBI2I4I4I4c64"
    return layout:pack(h.magic, h.version, h.program, h.lua, h.integer, h.number, 0, h.codec, 1, 1, h.host)
end

-- The next message: kind, id, body; nil at the end. One with a body beside the stream has that body's place as its own.
function peer.receive()
    local head = io.stdin:read(16)
    if not head then
        return nil
    end
    local length, kind, _, _, id = string.unpack("<I4BBI2I8", head)
    return KINDS[kind], id, length > 12 and io.stdin:read(length - 12) or ""
end

-- Greets as the agent of a host does: HELLO, and the answer to the PING that comes behind INIT.
function peer.join()
    peer.send("HELLO", 0, peer.hello())
    peer.send("PONG", peer.await("PING"), "")
end

-- Receives until a message of that kind comes; its id and body. Ends the process at the end of the stream.
function peer.await(wanted)
    while true do
        local kind, id, body = peer.receive()
        if kind == wanted then
            return id, body
        elseif not kind then
            os.exit(0)
        end
    end
end

-- The body of a result: outcome 0 (done) or 1 (error), and the value.
function peer.result(value, outcome)
    return string.pack("<I8I8", outcome or 0, 1000) .. require("moonfleet.codec").encode(value)
end

-- The next task's number; what else comes is answered as it should be.
function peer.task()
    while true do
        local kind, id = peer.receive()
        if kind == "TASK" then
            return id
        elseif kind == "PING" then
            peer.send("PONG", id, "")
        elseif kind == "RECALL" or kind == "CANCEL" then
            peer.send("RESULT", id, string.pack("<BI8", 2, 0))
        elseif not kind then
            os.exit(0)
        end
    end
end

-- Answers each task with the value, for ever.
function peer.serve(value)
    while true do
        peer.send("RESULT", peer.await("TASK"), peer.result(value))
    end
end

-- Calls fn with the path of a program that runs that code as the agent of a host. behind: shell code that follows.
function peer.with_agent(code, fn, behind)
    program.with_folder(function(folder)
        program.write_file(folder .. "/peer.lua", 'local peer = require("tests.support.peer")\n' .. code)
        program.write_file(folder .. "/agent", ("#!/bin/sh\n%s %s %s/peer.lua\n%s\n"):format(
            behind and "" or "exec", program.quote(program.absolute), program.quote(folder), behind or ""))
        assert(os.execute("chmod +x " .. program.quote(folder) .. "/agent"))
        fn(folder .. "/agent")
    end)
end

-- Calls fn with the options of a plan of one worker that runs that code.
function peer.with(code, fn, options)
    program.with_folder(function(folder)
        program.write_file(folder .. "/peer.lua", 'local peer = require("tests.support.peer")\n' .. code)
        program.write_file(folder .. "/agent", ("#!/bin/sh\nexec %s %s/peer.lua <&3 >&3 3>&-\n"):format(
            program.quote(program.absolute), program.quote(folder)))
        os.execute("chmod +x " .. program.quote(folder) .. "/agent")
        local plan = { "processes", workers = 1, grace = 0.2, program = folder .. "/agent" }
        for k, v in pairs(options or {}) do
            plan[k] = v
        end
        fn(plan)
    end)
end

return peer

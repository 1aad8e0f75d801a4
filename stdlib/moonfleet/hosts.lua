-- Hosts of a cluster: how people write them, and what the core takes.

local core = require("moonfleet.core")
local options = require("moonfleet.options")

local M = {}

local kinds = options.kinds

local MOST = 1024 -- workers of one host

local port = { expects = "a port from 1 to 65535", check = options.integer_in(1, 65535).check }
local workers = { expects = ("a positive integer up to %d"):format(MOST), check = options.integer_in(1, MOST).check }

local function is_list_of_strings(v)
    if type(v) ~= "table" then
        return false
    end
    for _, item in ipairs(v) do
        if type(item) ~= "string" then
            return false
        end
    end
    return #v > 0
end

local identity = {
    expects = "the path of a private key, or a list of such",
    check = function(v)
        return type(v) == "string" or is_list_of_strings(v)
    end,
}

local environment = {
    expects = "a table of names and strings",
    check = function(v)
        if type(v) ~= "table" then
            return false
        end
        for name, text in pairs(v) do
            local named = type(name) == "string" and name:find("^[%a_][%w_]*$")
            if not named or type(text) ~= "string" or text:find("\0", 1, true) then
                return false
            end
        end
        return true
    end,
}

local transport = options.one_of("auto", "libssh2", "openssh", "local")

---What may be said of one host, or of all of them at once.
M.spec = {
    workers = workers,
    user = kinds.string,
    port = port,
    identity = identity,
    program = kinds.string,
    env = environment,
    dir = kinds.string,
    isolate = kinds.boolean,
    timeout = kinds.seconds,
    transport = transport,
    accept_new = kinds.boolean,
    upload = kinds.boolean,
    config = kinds.string,
    known_hosts = kinds.string,
    ssh = kinds.string,
    node_build = kinds.string,
    library_cannot = kinds.string,
}

local host_spec = options.merge(M.spec, { host = kinds.string })

---A host as it is given: a name, `user@name`, `name:port`, `user@[address]:port`, or a table.
---@class moonfleet.Host
---@field host string name or address, or a name of the SSH configuration
---@field user string? as configured for SSH unless told
---@field port integer?
---@field identity string|string[]|nil private keys that are tried first
---@field workers integer? as many as the host has cores unless told
---@field isolate boolean? the workers are processes of their own, so that a C module that crashes takes only one along
---@field program string? moonfleet on the host: a name or a path; nothing is uploaded then
---@field upload boolean? false: no build of the program is put on a host that has none
---@field env table<string, string>? environment variables of the workers
---@field dir string? the folder in which they work
---@field timeout number? seconds that each step of connecting may take; otherwise each has its own limit
---@field transport "auto"|"libssh2"|"openssh"|"local"|nil "local": workers on this machine, without SSH
---@field accept_new boolean? the key of a host that is not known is accepted and written to known_hosts
---@field config string? in place of the user's SSH configuration; "none": no configuration
---@field known_hosts string? in place of the known_hosts files
---@field ssh string? the ssh program

-- Takes "user@host:port" apart. An address with colons stands in brackets when a port follows.
local function split(where, text)
    local user, rest = text:match("^(.*)@([^@]*)$")
    rest = rest or text
    local address, number = rest:match("^%[([^%[%]]*)%]:(%d+)$")
    if not address then
        address, number = rest:match("^([^:]*):(%d+)$")
    end
    address = address or rest:match("^%[([^%[%]]*)%]$") or rest
    if address == "" or user == "" then
        options.raise(("%s: %s names no host"):format(where, options.describe(text)))
    elseif address:find("[%[%]]") or address:find("^[^:]*:[^:]*$") then
        local shown = options.describe(text)
        options.raise(("%s: %s is no host; write name, user@name, name:port or [address]:port"):format(where, shown))
    end
    local given = { host = address, user = user }
    if number then
        given.port = math.tointeger(tonumber(number)) or tonumber(number)
    end
    return given
end

-- A checked copy of what was given for one host, with the defaults of the plan.
local function make(where, item, defaults)
    local given
    if type(item) == "string" then
        given = split(where, item)
    elseif type(item) ~= "table" then
        local shown = options.describe(item)
        options.raise(("%s: a host must be a name or a table, not %s"):format(where, shown))
    else
        given = {}
        for key, value in pairs(item) do
            given[key == 1 and "host" or key] = value
        end
        if type(given.host) == "string" then
            for key, value in pairs(split(where, given.host)) do
                given[key] = key == "host" and value or given[key] or value
            end
        end
    end
    options.check(where, host_spec, given)
    for name in pairs(M.spec) do
        if given[name] == nil then
            given[name] = defaults[name]
        end
    end
    if given.host == nil and given.transport == "local" then
        given.host = "localhost"
    elseif given.host == nil then
        options.raise(where .. ": a host's table has no field 'host'")
    end
    return given
end

---How a host is called in messages.
---@param given moonfleet.Host
---@return string
function M.name(given)
    local name = given.host:find(":", 1, true) and given.port and ("[%s]"):format(given.host) or given.host
    return (given.user and given.user .. "@" or "") .. name .. (given.port and ":" .. given.port or "")
end

local function same(a, b)
    return a.host == b.host and a.user == b.user and a.port == b.port and a.transport == b.transport
end

-- A host that is named again has more workers.
local function merge(where, list, given)
    for _, other in ipairs(list) do
        if same(other, given) then
            if other.workers or given.workers then
                other.workers = (other.workers or other.times) + (given.workers or 1)
            end
            other.times = other.times + 1
            if (other.workers or other.times) > MOST then
                options.raise(("%s: host '%s' is named with more than %d workers"):format(where, M.name(other), MOST))
            end
            return
        end
    end
    given.times = 1
    list[#list + 1] = given
end

---The hosts of a plan, one entry each, in the form that plans keep.
---@param where string
---@param hosts string|(string|moonfleet.Host)[] a list, or names separated by commas or blanks
---@param defaults table
---@return moonfleet.Host[]
function M.list(where, hosts, defaults)
    if type(hosts) == "string" then
        local names = {}
        for name in hosts:gmatch("[^%s,+]+") do
            names[#names + 1] = name
        end
        hosts = names
    elseif type(hosts) ~= "table" then
        options.raise(("%s: option 'hosts' must be a list of hosts, not %s"):format(where, options.describe(hosts)))
    end
    for key in pairs(hosts) do
        if math.type(key) ~= "integer" then
            local shown = options.describe(key)
            options.raise(("%s: option 'hosts' has a field %s; each host is a name or a table in a list"):format(where,
                shown))
        end
    end
    local list = {}
    for _, item in ipairs(hosts) do
        merge(where, list, make(where, item, defaults))
    end
    if #list == 0 then
        options.raise(where .. ": option 'hosts' names no host")
    end
    for _, given in ipairs(list) do
        -- named n times without a number: n workers, as in R
        given.workers = given.workers or given.times > 1 and given.times or nil
        given.times = nil
    end
    return list
end

---The list as the core takes it.
---@param list moonfleet.Host[]
---@return table[]
function M.for_core(list)
    local made = {}
    for i, given in ipairs(list) do
        local host = { name = M.name(given) }
        for key, value in pairs(given) do
            host[key] = value
        end
        if type(host.identity) == "string" then
            host.identities = { host.identity }
        else
            host.identities = host.identity
        end
        if host.upload == nil then
            host.upload = true
        end
        host.program = host.program or host.transport == "local" and core.program() or nil
        host.node_build = host.node_build or core.node_build()
        made[i] = host
    end
    return made
end

---Why a host is not there, or what should be known although it is, without its name in front.
---@param host table as pool:hosts() tells of it
---@return string
function M.reason(host)
    for _, prefix in ipairs({ ("host %s: "):format(host.name), ("host %s "):format(host.name), host.name .. ": " }) do
        if host.text:sub(1, #prefix) == prefix then
            return host.text:sub(#prefix + 1)
        end
    end
    return host.text
end

---Starts all hosts of a pool and looks at who is there. Raises when somebody is missing, unless there are enough.
---@param where string
---@param pool userdata
---@param enough integer? min_workers
function M.assemble(where, pool, enough)
    pool:open()
    local reasons, there = {}, 0
    for _, host in ipairs(pool:hosts()) do
        if host.state == "here" then
            there = there + host.workers
            if host.text ~= "" then
                core.complain(("%s: %s"):format(host.name, M.reason(host)))
            end
        else
            reasons[#reasons + 1] = ("  %s: %s"):format(host.name, M.reason(host))
        end
    end
    if #reasons == 0 then
        return
    end
    local text = table.concat(reasons, "\n")
    if enough and there >= enough then
        core.complain(("going on with %d workers; not there:\n%s"):format(there, text))
        return
    end
    pool:close()
    local advice = enough and ("; option 'min_workers' asks for %d, there are %d"):format(enough, there) or ""
    options.raise(("%s: not all hosts could be started%s:\n%s"):format(where, advice, text))
end

return M

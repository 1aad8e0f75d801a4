-- make install and uninstall, and what is installed: hosts of tests/embed are built against it and run.
local fails = require("tests.support.fails")
local program = require("tests.support.program")

local BUILD = program.absolute:match("^(.*)/[^/]*$")
local ROOT = os.getenv("PWD")

-- Runs make in the build that is being tested, whose flags it has from the environment (MAKEFLAGS).
local function make(words, folder)
    local command = ("exec make BUILD=%s %s"):format(program.quote(BUILD), words)
    local r = program.shell(command, { folder = folder, deadline = 110 })
    assert.equal(0, r.code, r.out .. r.err)
    return r
end

-- The files below a folder, sorted.
local function files_below(folder)
    local r = program.shell("find . ! -type d | sort", { folder = folder })
    return r.out
end

local expected = [[
./bin/moonfleet
./include/moonfleet.h
./lib/libmoonfleet.a
./lib/libmoonfleet.so
./lib/libmoonfleet.so.0
./lib/libmoonfleet.so.VERSION
./lib/lua/5.4/moonfleet.so
./lib/moonfleet/moonfleet-node
./lib/pkgconfig/moonfleet.pc
./share/bash-completion/completions/moonfleet
./share/fish/vendor_completions.d/moonfleet.fish
./share/man/man1/moonfleet.1
./share/man/man3/moonfleet.3
./share/zsh/site-functions/_moonfleet
]]
local version = require("moonfleet").version

describe("make install", function()
    it("puts all of it below DESTDIR and PREFIX, and uninstall takes it away", function()
        program.with_folder(function(folder)
            local where = ("DESTDIR=%s PREFIX=/opt/mf"):format(folder)
            make("install " .. where)
            local inside = expected:gsub("VERSION", version):gsub("%./", "./opt/mf/")
            assert.equal(inside, files_below(folder))
            local pc = program.read_file(folder .. "/opt/mf/lib/pkgconfig/moonfleet.pc")
            assert.truthy(pc:find("prefix=/opt/mf\n", 1, true))
            assert.falsy(pc:find(folder, 1, true))
            program.write_file(folder .. "/opt/mf/lib/moonfleet/else", "not ours")
            make("uninstall " .. where)
            assert.equal("./opt/mf/lib/moonfleet/else\n", files_below(folder))
        end)
    end)
end)

describe("the installed", function()
    local folder

    setup(function()
        local pipe = assert(io.popen("mktemp -d"))
        folder = pipe:read("l")
        pipe:close()
        make("install PREFIX=" .. folder)
    end)

    teardown(function()
        os.execute("rm -rf " .. program.quote(folder))
    end)

    local function run(command, options)
        options = options or {}
        options.env = options.env or {}
        options.env.PKG_CONFIG_PATH = folder .. "/lib/pkgconfig"
        return program.shell(command, options)
    end

    it("program runs, and finds its node build", function()
        local r = program.run({ "-e", "print(require('moonfleet.core').node_build())" }, {
            program = folder .. "/bin/moonfleet",
        })
        assert.equal(folder .. "/bin/../lib/moonfleet/moonfleet-node\n", r.out)
    end)

    it("shared library shows the names of the header, and nothing else", function()
        local path = folder .. "/lib/libmoonfleet.so"
        local shown = run(("nm -D --defined-only %s | awk '$2 == \"T\" { print $3 }'"):format(path))
        local names = {}
        for name in shown.out:gmatch("[^\n]+") do
            names[#names + 1] = name:match("^(mf_[%w_]+)@@MOONFLEET_0$") or "strange: " .. name
        end
        local promised = {}
        for line in io.lines("vm/moonfleet.h") do
            promised[#promised + 1] = line:match("^MF_API .-(mf_[%w_]+)%(")
        end
        table.sort(names)
        table.sort(promised)
        assert.is_true(#promised > 30)
        assert.same(promised, names)
        local soname = run(("objdump -p %s | awk '$1 == \"SONAME\" { print $2 }'"):format(path))
        assert.equal("libmoonfleet.so.0\n", soname.out)
    end)

    it("header is C++, too", function()
        program.with_folder(function(own)
            program.write_file(own .. "/host.cc", [[
                #include <moonfleet.h>
                #include <moonfleet.h>
                static void twice(mf_call *call, void *) { mf_return(call, mf_argument(call, 0)); }
                static void add(mf_addition *addition, void *arg) { mf_add_function(addition, "twice", twice, arg); }
                int main() {
                    mf_config config = {};
                    config.on_state = add;
                    mf_interp *interp = nullptr;
                    mf_datum arg = mf_from_string("x"), result;
                    size_t n = 1;
                    bool ok = mf_open(&config, &interp) == MF_RUN_OK &&
                        mf_run_function(interp, "twice", &arg, 1, &result, &n) == MF_RUN_OK && result.string[0] == 'x';
                    mf_close(interp);
                    return ok ? 0 : 1;
                }]])
            for _, standard in ipairs({ "c++11", "c++20" }) do
                local r = run(("g++ -std=%s -Wall -Wextra -Wpedantic -Werror $(pkg-config --cflags moonfleet) "
                    .. "-fsyntax-only host.cc"):format(standard), { folder = own })
                assert.equal("", r.err)
                assert.equal(0, r.code)
            end
            if not fails.instrumented() then
                local r = run(("g++ host.cc $(pkg-config --cflags --libs moonfleet) -Wl,-rpath,%s/lib -o host "
                    .. "&& ./host"):format(folder), { folder = own })
                assert.equal("", r.err)
                assert.equal(0, r.code)
            end
        end)
    end)

    it("man pages are free of mistakes", function()
        for _, page in ipairs({ "man1/moonfleet.1", "man3/moonfleet.3" }) do
            local r = run(("mandoc -Tlint -Wwarning %s/share/man/%s"):format(folder, page))
            assert.equal("", r.out .. r.err)
            assert.equal(0, r.code)
        end
        -- each public function of the header's main parts is on the page
        local text = program.read_file(folder .. "/share/man/man3/moonfleet.3")
        for _, name in ipairs({ "mf_open", "mf_close", "mf_submit", "mf_fd", "mf_add_function", "mf_serve" }) do
            assert.truthy(text:find(".Fn " .. name .. " ", 1, true), name)
        end
    end)

    it("completion for bash knows options, plans and files", function()
        local script = [[
            source %s/share/bash-completion/completions/moonfleet
            try() {
                COMP_WORDS=("$@")
                COMP_CWORD=$(($# - 1))
                _moonfleet
                echo "${COMPREPLY[@]}"
            }
            touch script.lua text.txt
            try moonfleet --pl
            try moonfleet --plan f
            try moonfleet --log po
            try moonfleet sc
            try moonfleet ch
            try moonfleet -e ""
        ]]
        program.with_folder(function(own)
            program.write_file(own .. "/try.bash", script:format(folder))
            local r = run("exec bash try.bash", { folder = own })
            assert.equal("", r.err)
            assert.equal("--plan\nforks\npool\nscript.lua\ncheck\n\n", r.out)
        end)
    end)

    it("completions for other shells are free of mistakes", function()
        for _, shell in ipairs({ "bash", "zsh", "fish" }) do
            local files = {
                bash = "/share/bash-completion/completions/moonfleet",
                zsh = "/share/zsh/site-functions/_moonfleet",
                fish = "/share/fish/vendor_completions.d/moonfleet.fish",
            }
            if program.has(shell) then
                local r = run(("%s -n %s%s"):format(shell, folder, files[shell]))
                assert.equal("", r.err)
                assert.equal(0, r.code)
            end
        end
    end)

    -- Every option of the program is known to every completion and to the manual.
    it("completions and manual know the options that the program has", function()
        local help = program.run({ "--help" }).out
        local manual = program.read_file(folder .. "/share/man/man1/moonfleet.1")
        local bash = program.read_file(folder .. "/share/bash-completion/completions/moonfleet")
        local zsh = program.read_file(folder .. "/share/zsh/site-functions/_moonfleet")
        local fish = program.read_file(folder .. "/share/fish/vendor_completions.d/moonfleet.fish")
        local n = 0
        for dashes, option in help:gmatch("\n  (%-+)(%a+)") do
            n = n + 1
            local name = dashes .. option
            assert.truthy(manual:find((dashes == "--" and "Fl Fl " or "Fl ") .. option, 1, true), name)
            assert.truthy(bash:find(name, 1, true), name)
            assert.truthy(zsh:find(name, 1, true), name)
            assert.truthy(fish:find((dashes == "--" and "-l " or "-s ") .. option .. " ", 1, true), name)
        end
        assert.is_true(n >= 10)
    end)

    -- Builds tests/embed/NAME.c with the shared library and with the static one; calls fn with the path of each.
    local function with_host(name, fn)
        if fails.instrumented() then
            return -- it would have to be built with that, too; tests/embed/api.c is
        end
        local libraries = {
            "$(pkg-config --libs moonfleet) -Wl,-rpath," .. folder .. "/lib",
            folder .. "/lib/libmoonfleet.a $(pkg-config --static --libs moonfleet | sed 's/-lmoonfleet//')",
        }
        for _, library in ipairs(libraries) do
            program.with_folder(function(own)
                local build = ("exec %s -std=c11 -D_POSIX_C_SOURCE=200809L -Wall -Wextra -Wpedantic -Werror "
                    .. "$(pkg-config --cflags moonfleet) -o %s/host tests/embed/%s.c %s")
                local r = run(build:format(os.getenv("CC") or "cc", own, name, library))
                assert.equal(0, r.code, r.err)
                fn(own .. "/host", own)
            end)
        end
    end

    it("library carries the 40-line host of the README", function()
        local lines = {}
        for line in io.lines("tests/embed/host.c") do
            lines[#lines + 1] = line
        end
        assert.is_true(#lines <= 40)
        local readme = program.read_file("README.md")
        assert.truthy(readme:find(table.concat(lines, "\n", 2), 1, true))
        with_host("host", function(host, own)
            program.write_file(own .. "/fit.lua", [[
                local cjson = require("cjson") -- a C module
                function fit(start)
                    print(cjson.encode({ start:sum() }))
                    return start:sum() + math.random() * 0
                end]])
            local r = run(host .. " fit.lua", { folder = own })
            assert.equal("", r.err)
            local out = {}
            for i = 0, 7 do
                out[#out + 1] = ("[%s]\nfit %d: %d\n"):format(3 + i, i, 3 + i)
            end
            assert.equal(table.concat(out), r.out)
            r = run(host .. " nowhere.lua", { folder = own })
            assert.equal("host: an error was raised: cannot open nowhere.lua: No such file or directory\n", r.err)
            assert.equal(1, r.code)
        end)
    end)

    it("library may be a plug-in's, and C modules still find Lua", function()
        if fails.instrumented() then
            return
        end
        program.with_folder(function(own)
            assert(program.compile("tests/support/plugin.c", own .. "/plugin", "-Wno-pedantic", "-ldl"))
            local r = run(("%s/plugin %s/lib/libmoonfleet.so"):format(own, folder))
            assert.equal("", r.err)
            assert.equal(0, r.code)
        end)
    end)

    it("library carries a host with an event loop of its own", function()
        with_host("loop", function(host)
            local r = run("(echo 3; sleep 0.05; echo 4; echo 5) | " .. host .. " | sort")
            assert.equal("", r.err)
            assert.equal("3: 9\n4: 16\n5: 25\n", r.out)
        end)
    end)

    it("library carries a host whose functions workers call", function()
        with_host("functions", function(host)
            for _, plan in ipairs({ "threads:2", "processes:2", "forks:2", "sequential" }) do
                local r = run(host .. " " .. plan)
                assert.equal("", r.err)
                assert.equal("5.0\t7.5\t2.5\nfalse\tshop:6: price: we do not sell that\n", r.out)
            end
        end)
    end)
end)

describe("a tarball without git", function()
    it("builds and installs", function()
        program.with_folder(function(folder)
            -- what git tracks, or all but what is built; the objects are taken along, and the rest is made there
            local copy = "cd %s && (git ls-files -z 2>/dev/null || find . -path ./build -prune -o -type f -print0) "
                .. "| tar c --null -T - | tar x -C %s && mkdir %s/build && cd %s && cp -a runtime vm flags %s/build"
            local into = folder .. "/source"
            assert(os.execute("mkdir " .. into))
            local r = program.shell(copy:format(program.quote(ROOT), into, into, program.quote(BUILD), into))
            assert.equal(0, r.code, r.err)
            r = program.shell("exec make BUILD=build install PREFIX=/usr DESTDIR=" .. folder .. "/out", {
                folder = into,
                env = { GIT_DIR = "/nowhere" },
                deadline = 110,
            })
            assert.equal(0, r.code, r.err)
            assert.truthy(r.out:find("LD  build/moonfleet\n", 1, true))
            assert.falsy(r.out:find("CC  runtime/", 1, true)) -- those were taken along
            r = program.run({ "-e", "print(require('moonfleet').map({ 2 }, function(x) return x * x end)[1])" }, {
                program = folder .. "/out/usr/bin/moonfleet",
            })
            assert.equal("4\n", r.out)
        end)
    end)
end)

-- The prompt, driven through a pipe with -i, which reads it like a terminal.
local program = require("tests.support.program")

-- What the prompt answers to lines: standard output without the banner, and standard error.
local function type_in(lines, options)
    options = options or {}
    options.stdin = lines
    local r = program.run({ "-i" }, options)
    assert.equal(0, r.code)
    local banner, rest = r.out:match("^(Moonfleet [^\n]*\n)(.*)$")
    assert.is_string(banner)
    return rest, r.err
end

describe("the prompt", function()
    it("prints the values of an expression", function()
        assert.equal("> 2\ta\tnil\n> \n", (type_in("1 + 1, 'a', nil\n")))
        assert.equal("> 3\n> \n", (type_in("= 3\n")))
    end)

    it("prints nothing for statements and empty lines", function()
        assert.equal("> > > 5\n> \n", (type_in("x = 5\n\nx\n")))
    end)

    it("asks for more lines until a statement is complete", function()
        assert.equal("> >> >> 1\n2\n> \n", (type_in("for i = 1, 2 do\nprint(i)\nend\n")))
        assert.equal("> >> > a\nb\n> \n", (type_in("x = [[a\nb]]\nx\n")))
    end)

    it("goes on after an error", function()
        local out, err = type_in("error('oops')\nx =\n1\n42\n")
        assert.equal("> > >> > 42\n> \n", out)
        assert.matches("^stdin:1: oops\nstack traceback:\n\t%[C%]: in function 'error'\n", err)
        out, err = type_in(")\n7\n")
        assert.equal("> > 7\n> \n", out)
        assert.equal("stdin:1: unexpected symbol near ')'\n", err)
    end)

    it("prints through the global print", function()
        local out = type_in("print = function(...) io.write('<', ..., '>\\n') end\n5\n")
        assert.equal("> > <5>\n> \n", out)
        local _, err = type_in("print = 1\n5\n")
        assert.equal("error calling 'print' (attempt to call a number value)\n", err)
    end)

    it("takes its prompts from _PROMPT and _PROMPT2", function()
        local second = "_PROMPT2 = setmetatable({}, { __tostring = function() return '.. ' end })"
        local out = type_in("_PROMPT = 'ok '\n" .. second .. "\nx =\n1\n")
        assert.equal("> ok ok .. ok \n", out)
        out = type_in("_PROMPT = setmetatable({}, { __tostring = error })\n1\n")
        assert.equal("> > 1\n> \n", out)
    end)

    it("takes a last line without its end, and lines of any length", function()
        assert.equal("> 1\n> \n", (type_in("1")))
        assert.equal("> 100000\n> \n", (type_in("#'" .. ("x"):rep(100000) .. "'\n")))
    end)

    it("keeps bytes that are not text", function()
        assert.equal("> 3\n> \n", (type_in("#'a\0b'\n")))
    end)

    it("drops a statement that the end of the input cuts off", function()
        assert.equal("> >> \n", (type_in("for i = 1, 2 do\n")))
    end)

    it("starts after a script that ran well, and not after one that failed", function()
        local r = program.run({ "-i", "-e", "x = 6" }, { stdin = "x\n" })
        assert.matches("> 6\n> \n$", r.out)
        r = program.run({ "-i", "-e", "error('x')" }, { stdin = "6\n" })
        assert.equal(1, r.code)
        assert.not_matches("> ", r.out)
    end)
end)

describe("Ctrl-C at the prompt", function()
    it("stops what runs and returns", function()
        local out, err = type_in("io.popen('kill -INT $PPID'):close() while true do end\n42\n")
        assert.equal("> > 42\n> \n", out)
        assert.matches("interrupted!\nstack traceback:", err)
    end)

    it("stops what runs each time", function()
        local line = "io.popen('kill -INT $PPID'):close() while true do end\n"
        local out, err = type_in(line:rep(3) .. "42\n")
        assert.equal("> > > > 42\n> \n", out)
        local _, count = err:gsub("interrupted!", "")
        assert.equal(3, count)
    end)

    it("drops what was typed", function()
        -- The signal goes out when the second prompt of the unfinished statement has been written.
        local r = program.shell([[
            folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
            mkfifo "$folder/in"
            ]] .. program.quote(program.path) .. [[ -i <"$folder/in" >"$folder/out" 2>&1 &
            exec 3>"$folder/in"
            echo 'x = {' >&3
            until grep -q '>> ' "$folder/out"; do sleep 0.01; done
            until [ "$(cut -d' ' -f3 /proc/$!/stat)" = S ]; do sleep 0.01; done
            kill -INT $!
            until grep -q '>> $' "$folder/out" && [ "$(wc -l <"$folder/out")" -ge 2 ]; do sleep 0.01; done
            echo '42' >&3
            exec 3>&-
            wait $!
            code=$?
            cat "$folder/out"
            exit $code]])
        assert.equal(0, r.code)
        assert.matches("\n> >> \n> 42\n> \n$", r.out)
    end)
end)

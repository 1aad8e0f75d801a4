-- Word frequencies of the text files under a directory, by map and reduce on all cores.
--
--   moonfleet scripts/wordcount.lua DIR [N]        the N (20) most frequent words
--
-- The files are cut into pieces of some 128 KB, so that a single large file keeps all cores busy too. Each worker reads
-- its pieces itself and counts their words (the map); what travels back is counts, which are added up (the reduce).

local mf = require "moonfleet"

local PIECE = 128 * 1024

local wordcount = {}

-- Lua alone cannot list a directory, so we ask find(1); names end with a zero byte, as they may hold anything else.
local function list_files(directory)
    local quoted = "'" .. directory:gsub("'", "'\\''") .. "'"
    local find = assert(io.popen("cd -- " .. quoted .. " 2>/dev/null && LC_ALL=C find . -type f -print0"))
    local names = {}
    for name in find:read("a"):gmatch("%./([^\0]+)") do
        names[#names + 1] = directory .. "/" .. name
    end
    if not find:close() then
        error("cannot read the directory '" .. directory .. "'", 0)
    end
    table.sort(names)
    return names
end

-- The size of a text file; nil for one that cannot be read or is no text, which shows by an early zero byte.
local function text_size(path)
    local file = io.open(path, "rb")
    local start = file and file:read(4096)
    local size = start and not start:find("\0", 1, true) and file:seek("end")
    if file then
        file:close()
    end
    return size or nil
end

-- The pieces of all text files under a directory, and how many files and bytes these are.
function wordcount.pieces(directory)
    local pieces, files, bytes = {}, 0, 0
    for _, path in ipairs(list_files(directory)) do
        local size = text_size(path)
        if size then
            files, bytes = files + 1, bytes + size
            for first = 0, size - 1, PIECE do
                pieces[#pieces + 1] = { path = path, first = first, size = math.min(PIECE, size - first) }
            end
        end
    end
    return pieces, files, bytes
end

-- The text of a piece: the lines that start in it, whole, so that no word is cut and no line is read twice.
local function read_piece(piece)
    local file = assert(io.open(piece.path, "rb"))
    if piece.first > 0 then
        file:seek("set", piece.first - 1)
        file:read("L") -- the end of a line that started before us
    end
    local left = piece.first + piece.size - file:seek()
    local text = left > 0 and file:read(left) or ""
    if text ~= "" and text:byte(-1) ~= 10 then
        text = text .. (file:read("L") or "")
    end
    file:close()
    return text
end

-- Map: the words of one piece. A word is letters (any byte over 127 counts as one: UTF-8) with apostrophes inside.
local function count_piece(piece)
    local text = read_piece(piece):lower()
    if text:find("\xE2\x80", 1, true) then -- typographic quotes and dashes
        text = text:gsub("\u{2019}", "'"):gsub("\xE2\x80[\x90-\xBF]", " ")
    end
    local counts = {}
    for word in text:gmatch("[%a\x80-\xff][%a'\x80-\xff]*") do
        if word:byte(-1) == 39 then
            word = word:gsub("'+$", "")
        end
        counts[word] = (counts[word] or 0) + 1
    end
    return counts
end

-- Reduce: the counts of two parts of the text are the counts of both.
local function add_counts(sum, counts)
    for word, count in pairs(counts) do
        sum[word] = (sum[word] or 0) + count
    end
    return sum
end

-- How often each word stands in the text files under a directory: a table from word to count.
function wordcount.count(directory, options)
    local pieces = wordcount.pieces(directory)
    return mf.mapreduce(pieces, count_piece, add_counts, {}, options)
end

-- The n most frequent words as a list of { word =, count = }; how many words there are, and how many different ones.
function wordcount.top(counts, n)
    local list, total = {}, 0
    for word, count in pairs(counts) do
        list[#list + 1] = { word = word, count = count }
        total = total + count
    end
    table.sort(list, function(a, b)
        if a.count ~= b.count then
            return a.count > b.count
        end
        return a.word < b.word
    end)
    return table.move(list, 1, math.min(n, #list), 1, {}), total, #list
end

local function main(directory, n)
    local _, files, bytes = wordcount.pieces(directory)
    local top, total, different = wordcount.top(wordcount.count(directory, { progress = true }), n)
    print(("%d files, %d KB: %d words, %d different"):format(files, (bytes + 1023) // 1024, total, different))
    for _, entry in ipairs(top) do
        print(("%8d  %5.2f %%  %s"):format(entry.count, 100 * entry.count / total, entry.word))
    end
end

-- Run as a program, and not loaded by another one.
if arg and arg[0] and debug.getinfo(1, "S").source == "@" .. arg[0] then
    local directory, n = arg[1], math.tointeger(tonumber(arg[2] or 20))
    if not directory or not n or n < 0 then
        io.stderr:write("usage: moonfleet scripts/wordcount.lua DIR [N]\n")
        os.exit(2)
    end
    main(directory, n)
end

return wordcount

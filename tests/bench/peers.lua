-- Peers of the benchmark: numpy and R (Debian's python3-numpy and r-base-core), if they are installed. Each is a
-- program that does the work twice and prints the seconds of the second time: the first one is for caches, and for the
-- memory that its allocator keeps.
--
-- Called with what bench.lua has: output_of(command), quoted(text).

local PYTHON = [[
import sys, time
import numpy as np
from multiprocessing import Pool
def task(i):
    x = np.random.default_rng(i).standard_normal(10000000)
    return x.mean(), x.std(ddof=1)
def main():
    g = np.random.default_rng(1)
    %s
    for _ in range(2):
        since = time.perf_counter()
        result = work()
        taken = time.perf_counter() - since
    print(taken)
if __name__ == "__main__":
    main()
]]

local R = [=[
RNGkind("L'Ecuyer-CMRG", "Inversion")
work <- function() %s
for (i in 1:2) taken <- system.time(x <- work(), gcFirst = TRUE)[["elapsed"]]
cat(taken)
]=]

return function(tools)
    local peers = {}

    local function runs(command)
        return os.execute(command .. " >/dev/null 2>&1") == true
    end

    -- Debian's own, which has Debian's numpy, before another one on the path.
    local python
    for _, path in ipairs({ "/usr/bin/python3", "python3" }) do
        python = python or runs(path .. " -c 'import numpy'") and path
    end
    local has_r = runs("Rscript -e 0")

    local function seconds_of(command)
        return assert(tonumber(tools.output_of(command)), "no figure from: " .. command)
    end

    ---What a line of Python that defines work() takes, or nil. It has numpy as np, and a generator g.
    function peers.numpy(definition)
        return python and function()
            return seconds_of(python .. " -c " .. tools.quoted(PYTHON:format(definition)))
        end
    end

    ---What an expression of R takes, or nil.
    function peers.r(expression)
        return has_r and function()
            return seconds_of("Rscript -e " .. tools.quoted(R:format(expression)))
        end
    end

    ---A row whose budget holds only beside that peer.
    function peers.against(name, peer, row)
        row.against = name
        row.floor = peer or nil
        if not peer then
            row.name = row.name .. " (no " .. name .. ")"
            row.ratio = nil
        end
        return row
    end
    return peers
end

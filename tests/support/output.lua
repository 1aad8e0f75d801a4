-- busted's plain output, followed by the closing line that scripts/test.sh counts by.
return function(options)
    local busted = require("busted")
    local handler = require("busted.outputHandlers.plainTerminal")(options)
    busted.subscribe({ "suite", "end" }, function()
        local bad = handler.failuresCount + handler.errorsCount
        io.write(("%d passed, %d failed\n"):format(handler.successesCount, bad))
        io.flush()
        return nil, true
    end)
    return handler
end

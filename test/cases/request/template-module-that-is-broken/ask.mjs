throw new Error("at the start")

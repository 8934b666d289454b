--- The independent streams of random numbers of a phase: what one purpose draws
--- does not change what another one gets.
return { schedule = 1, order = 2, content = 3, endpoint = 4, user = 1024 } -- user + id: of that user

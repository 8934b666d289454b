--- The independent streams of random numbers of a phase: what one purpose draws
--- does not change what another one gets.
--- A phase's are keyed by its number and the purpose (of a user: user + its id), the simulated endpoint's by `endpoint` and
--- the request: below 0, so that it is no phase's number.
return { schedule = 1, order = 2, content = 3, user = 1024, endpoint = -1 }

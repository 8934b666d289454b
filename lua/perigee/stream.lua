--- The independent streams of random numbers of a phase: what one purpose draws
--- does not change what another one gets.
--- A phase's are keyed by its number and the purpose, the simulated endpoint's by `endpoint` and the
--- request: below 0, so that it is no phase's number.
return { schedule = 1, order = 2, content = 3, endpoint = -1 }

--- The style sheet of report.html: one column that fits a phone, dark mode, print.
return [[
:root { color-scheme: light dark; --bg: #fff; --fg: #1c1e21; --soft: #5b6169; --line: #d9dce1; --card: #f6f7f9;
  --good: #1a7f37; --bad: #b42318; --warn: #8a5a00;
  --c1: #0072b2; --c2: #d55e00; --c3: #007a5a; --c4: #aa3f87; --c5: #8a6d00; --c6: #56606b; }
@media (prefers-color-scheme: dark) { :root { --bg: #15181c; --fg: #e7e9ec; --soft: #a2a9b3; --line: #343a42; --card: #1d2126;
  --good: #57c272; --bad: #ff7b72; --warn: #e3b341;
  --c1: #6cb6ff; --c2: #ff9f5a; --c3: #4fd1a5; --c4: #f08ccf; --c5: #e0c34a; --c6: #b4bcc6; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 60rem; background: var(--bg); color: var(--fg); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: .2rem 0; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 .4rem; padding-top: .6rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; } p { margin: .3rem 0; } a { color: var(--c1); }
.soft { color: var(--soft); } .good { color: var(--good); } .bad { color: var(--bad); } .warn { color: var(--warn); }
.verdict { display: inline-block; padding: .15rem .7rem; border: 2px solid currentColor; border-radius: 1rem; font-weight: 600; }
.wide { overflow-x: auto; } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } thead th { color: var(--soft); font-weight: 600; }
caption { text-align: left; color: var(--soft); padding: .3rem 0; }
td.text { text-align: left; white-space: normal; }
figure { margin: .8rem 0; padding: .6rem; background: var(--card); border-radius: .5rem; } figcaption { font-weight: 600; }
svg { display: block; width: 100%; height: auto; font: 12px system-ui, sans-serif; fill: var(--fg); }
svg .grid { stroke: var(--line); } svg .label { fill: var(--soft); }
svg .line { fill: none; stroke-width: 2; stroke-linejoin: round; } svg .limit { stroke: var(--bad); stroke-dasharray: 6 4; }
svg text.limit { stroke: none; fill: var(--bad); }
svg .s1 { stroke: var(--c1); } svg .s2 { stroke: var(--c2); stroke-dasharray: 8 3; } svg .s3 { stroke: var(--c3); stroke-dasharray: 3 3; }
svg .s4 { stroke: var(--c4); stroke-dasharray: 10 3 2 3; } svg .s5 { stroke: var(--c5); stroke-dasharray: 2 4; }
svg .s6 { stroke: var(--c6); } svg .dot { fill: var(--bg); stroke-width: 2; stroke-dasharray: none; }
details { margin: .6rem 0; } summary { cursor: pointer; }
pre { overflow-x: auto; background: var(--card); padding: .6rem; border-radius: .5rem; font-size: .8rem; }
@media print { :root { --bg: #fff; --fg: #000; --soft: #444; --line: #bbb; --card: #fff; }
body { max-width: none; padding: 0; font-size: 11px; }
  figure, tr { break-inside: avoid; } h2, h3, figcaption { break-after: avoid; } figure { border: 1px solid var(--line); } }
]]

--- The style sheet of report.html: as many columns of figures as there is room for, one on a phone; dark mode; print.
--- The six colours of lines can be told apart by the colour-blind, and each has dashes of its own.
return [[
:root { color-scheme: light dark; --bg: #fff; --fg: #1c1e21; --soft: #5b6169; --line: #dfe2e7; --card: #f7f8fa;
  --good: #1a7f37; --bad: #b42318; --warn: #8a5a00;
  --c1: #0072b2; --c2: #d55e00; --c3: #007a5a; --c4: #aa3f87; --c5: #8a6d00; --c6: #56606b; }
@media screen and (prefers-color-scheme: dark) { :root { --bg: #14171a; --fg: #e7e9ec; --soft: #a2a9b3; --line: #333940; --card: #1c2025;
  --good: #57c272; --bad: #ff7b72; --warn: #e3b341;
  --c1: #6cb6ff; --c2: #ff9f5a; --c3: #4fd1a5; --c4: #f08ccf; --c5: #e0c34a; --c6: #b4bcc6; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 78rem; background: var(--bg); color: var(--fg);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .2rem 0 .5rem; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 .3rem; padding-top: .8rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.4rem 0 .3rem; } p { margin: .3rem 0; } a { color: var(--c1); }
.soft { color: var(--soft); } .good { color: var(--good); } .bad { color: var(--bad); } .warn { color: var(--warn); }
.verdict { display: inline-block; padding: .1rem .8rem; margin-right: .4rem; border: 2px solid currentColor; border-radius: 1rem;
  font-weight: 600; }
.message { padding: .3rem .7rem; border-left: 4px solid currentColor; background: var(--card); }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); gap: .7rem; margin: 1rem 0; }
.tiles div { padding: .5rem .8rem; background: var(--card); border: 1px solid var(--line); border-radius: .5rem; }
.tiles dt { color: var(--soft); font-size: .85rem; } .tiles dd { margin: 0; font-size: 1.35rem; font-weight: 600; line-height: 1.3; }
.wide { overflow: auto; max-width: 100%; margin: .8rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem; }
th, td { padding: .3rem 1rem .3rem 0; text-align: right; vertical-align: top; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } tbody th { font-weight: 500; } thead th { color: var(--soft); font-weight: 600; }
td small { display: block; color: var(--soft); font-size: .75rem; line-height: 1.2; }
caption { text-align: left; color: var(--soft); padding: .3rem 0; max-width: calc(100vw - 2.5rem); }
th.text, td.text { text-align: left; white-space: normal; } td.text:last-child { min-width: 12rem; }
.beside { display: flex; flex-wrap: wrap; column-gap: 3rem; align-items: flex-start; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr)); gap: 1rem; margin: 1rem 0; }
figure { min-width: 0; margin: 0; padding: .7rem .8rem; background: var(--card); border: 1px solid var(--line); border-radius: .5rem;
  display: flex; flex-direction: column; font-size: .85rem; }
figcaption { color: var(--soft); line-height: 1.35; margin-bottom: .5rem; }
figcaption b { display: block; color: var(--fg); font-size: 1rem; }
svg { display: block; width: 100%; height: auto; font: 12px system-ui, sans-serif; fill: var(--fg); }
svg .grid { stroke: var(--line); } svg .label { fill: var(--soft); }
svg .line, svg .bar { fill: none; stroke-width: 2; stroke-linejoin: round; } svg .bar { stroke-width: 1.5; stroke-dasharray: none; }
svg .thin { stroke-width: 1.1; }
svg .limit { stroke: var(--bad); stroke-width: 1.5; stroke-dasharray: 6 4; }
svg .mark { fill: none; stroke: var(--good); stroke-width: 2; }
svg .s1 { stroke: var(--c1); } svg .s2 { stroke: var(--c2); stroke-dasharray: 8 3; } svg .s3 { stroke: var(--c3); stroke-dasharray: 3 3; }
svg .s4 { stroke: var(--c4); stroke-dasharray: 10 3 2 3; } svg .s5 { stroke: var(--c5); stroke-dasharray: 2 4; }
svg .s6 { stroke: var(--c6); } svg .dot { fill: var(--card); stroke-width: 2; stroke-dasharray: none; }
svg .area { opacity: .15; } svg .f1 { fill: var(--c1); } svg .f2 { fill: var(--c2); } svg .f3 { fill: var(--c3); }
svg .f4 { fill: var(--c4); } svg .f5 { fill: var(--c5); } svg .f6 { fill: var(--c6); }
.legend { display: flex; flex-wrap: wrap; gap: .1rem 1rem; margin: .3rem 0 0; padding: 0; list-style: none; }
.legend li { display: flex; align-items: center; gap: .4rem; } svg.key { width: 26px; flex: none; }
details { margin: .4rem 0 0; } figure details { margin-top: auto; padding-top: .4rem; } summary { cursor: pointer; color: var(--soft); }
figure .wide { max-height: 20rem; margin: .3rem 0 0; } figure caption { display: none; }
pre { overflow-x: auto; background: var(--card); padding: .7rem; border-radius: .5rem; font-size: .8rem; }
@media print { :root { color-scheme: light; font-size: 10.5px; --card: #fff; }
  body { max-width: none; padding: 0; font-size: 1rem; } details { display: none; }
  .figures { grid-template-columns: 1fr 1fr 1fr; gap: .6rem; } figure, tr, .tiles div { break-inside: avoid; }
  h2, h3, figcaption, caption { break-after: avoid; } .wide { overflow: visible; } th, td { padding-right: .6rem; } }
]]

/** The style sheet of a report, for light and dark mode and for paper. */
export const STYLE: string = `
:root { color-scheme: light dark; --page: #fff; --card: #f6f7f9; --ink: #1a1d21; --soft: #5b6470; --line: #dfe3e8;
  --data: #2f6fdb; --pale: #a9b4c2; --good: #2c8a5b; --warn: #b97400; --bad: #c43d3d; --again: #8a5bd0; --area: #2f6fdb2e; }
@media (prefers-color-scheme: dark) {
  :root { --page: #14171b; --card: #1d2127; --ink: #e6e9ed; --soft: #9aa5b1; --line: #313740;
    --data: #6ea3ff; --pale: #66717f; --good: #4fb985; --warn: #e0a33c; --bad: #f07b76; --again: #b592f2; --area: #6ea3ff38; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 3rem; max-width: 62rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif; }
h1 { margin: 0; font-size: 1.7rem; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 2.5rem 0 .75rem; font-size: 1.15rem; }
p { margin: .5rem 0; max-width: 75ch; }
.soft, figcaption { color: var(--soft); font-size: .9rem; }
.state { display: inline-block; margin-left: .5rem; padding: .1rem .6rem; border: 1px solid currentColor; border-radius: 1rem;
  font-size: .85rem; font-weight: 500; vertical-align: middle; color: var(--data); }
.state.finished { color: var(--good); }
.state.unfinished { color: var(--warn); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: .75rem; margin: 1.5rem 0 0; }
.tile { padding: .75rem 1rem; background: var(--card); border-radius: .5rem; }
.tile dt { color: var(--soft); font-size: .85rem; }
.tile dd { margin: 0; font-size: 1.45rem; font-weight: 600; line-height: 1.3; font-variant-numeric: tabular-nums; }
.tile dd.note { color: var(--soft); font-size: .85rem; font-weight: 400; }
.chart svg { display: block; width: 100%; }
.at-narrow { display: none; max-width: 32rem; }
h3 { margin: 1.25rem 0 .4rem; font-size: .9rem; font-weight: 500; color: var(--soft); }
pre { margin: 0; padding: .75rem 1rem; max-height: 24rem; overflow: auto; border-radius: .5rem;
  font: .85rem/1.5 ui-monospace, 'Cascadia Mono', 'DejaVu Sans Mono', Menlo, monospace; white-space: pre-wrap; overflow-wrap: anywhere; tab-size: 4;
  /* A shadow at the lower edge while there is more text below. */
  background: linear-gradient(#0000, var(--card) 50%) bottom / 100% 2rem no-repeat local,
    linear-gradient(#0000, var(--pale)) bottom / 100% .6rem no-repeat, var(--card); }
.facts { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: .5rem 1rem; margin: 1.25rem 0 0; }
.facts div { padding-top: .4rem; border-top: 1px solid var(--line); }
.facts dt { color: var(--soft); font-size: .85rem; }
.facts dd { margin: 0; overflow-wrap: anywhere; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); gap: 1.5rem 2rem; }
figure { margin: 0 0 1rem; }
figcaption { margin-top: .4rem; }
a { color: var(--data); }
figure h3 { margin: 0 0 .5rem; font-size: 1rem; font-weight: 600; color: inherit; }
svg text { fill: var(--ink); font-size: 13px; dominant-baseline: central; }
svg .name { text-anchor: end; }
svg .value, svg .tick { fill: var(--soft); font-variant-numeric: tabular-nums; }
svg .tick, svg .small { font-size: 11px; }
svg .tick.left { text-anchor: end; }
svg .tick.below { text-anchor: middle; dominant-baseline: auto; }
svg .grid { stroke: var(--line); }
svg .axis { stroke: var(--pale); }
svg .area { fill: var(--area); stroke: var(--data); stroke-width: 1.5; }
svg .data, svg .lane { fill: var(--data); }
svg .pale { fill: var(--pale); }
svg .good { fill: var(--good); }
svg .warn { fill: var(--warn); }
svg .bad { fill: var(--bad); }
svg .lane.again { fill: var(--again); }
svg .lane.running, svg .lane.unknown { fill: var(--area); stroke: var(--data); stroke-dasharray: 4 2; }
svg .lane.unknown { stroke: var(--warn); }
.key { display: inline-block; width: .7em; height: .7em; margin: 0 .3em 0 .8em; border-radius: 2px; background: var(--data); }
.key.again { background: var(--again); }
.key.pale { background: var(--pale); }
.key.running { background: var(--area); outline: 1px dashed var(--data); }
.wide { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .6rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; }
th { color: var(--soft); font-weight: 500; }
th:first-child, td:first-child, .texts th, .texts td { text-align: left; }
.batches { font-size: .85rem; }
.batches :is(th, td) { padding-inline: .4rem; white-space: nowrap; }
.batches :is(th, td):is(:nth-child(2), :last-child) { text-align: left; }
th button { all: unset; cursor: pointer; }
th button:hover { color: var(--ink); text-decoration: underline; }
th[aria-sort] button { color: var(--ink); font-weight: 600; }
th[aria-sort=ascending] button::after { content: ' ↑'; }
th[aria-sort=descending] button::after { content: ' ↓'; }
:is(th button, .wide, pre, summary):focus-visible { outline: 2px solid var(--data); outline-offset: 2px; }
tfoot td { font-weight: 600; border-bottom: 0; }
.failure { margin: 0 0 1.25rem; padding: .85rem 1rem; background: var(--card); border-radius: .5rem; border-left: 4px solid var(--bad); }
.failure.warn { border-left-color: var(--warn); }
.failure.pale { border-left-color: var(--pale); }
.failure h3 { margin: 0; font-size: 1rem; font-weight: 600; color: inherit; }
.failure p, header p { overflow-wrap: anywhere; }
.failure table { table-layout: fixed; }
.failure th:first-child { width: 30%; }
.failure .one th:first-child { width: 7rem; }
.failure td { overflow-wrap: anywhere; }
code { font: .85em/1.45 ui-monospace, 'Cascadia Mono', 'DejaVu Sans Mono', Menlo, monospace; }
.empty { margin-top: 2.5rem; }
summary { margin: 0 0 1rem; color: var(--data); cursor: pointer; }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line); }
@media screen and (max-width: 44rem) {
  body { padding: 1.25rem 1.25rem 2rem; }
  .at-wide { display: none; }
  .at-narrow { display: block; }
  .pair svg .tick { font-size: 14px; }
  .tiles { grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); }
  th, td { padding: .35rem .3rem; }
  table { font-size: .85rem; }
  .facts { grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); }
  .pair figure { max-width: 32rem; }
  .failure thead { display: none; }
  .failure :is(table, tbody, tr, td) { display: block; }
  .failure td { padding: .2rem 0; }
  .failure td:first-child { border: 0; color: var(--soft); }
  .failure td:first-child::before { content: 'Line '; }
}
@media print {
  :root { color-scheme: light; --page: #fff; --card: #fff; --ink: #000; --soft: #444; --line: #ccc;
    --data: #2f6fdb; --pale: #a9b4c2; --good: #2c8a5b; --warn: #b97400; --bad: #c43d3d; --again: #8a5bd0; --area: #2f6fdb2e; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  body { max-width: none; padding: 0; font-size: 10.5pt; }
  .tile, .failure { border: 1px solid var(--line); }
  h2 { break-after: avoid; }
  figure, .failure, .tile, tr { break-inside: avoid; }
  details::details-content { content-visibility: visible; }
  summary { display: none; }
  pre { max-height: none; border: 1px solid var(--line); }
}
`
